"""What a server's pod is where the operator says nothing: safe, in its person's home, its files kept."""

from __future__ import annotations

from typing import Any

from kubespawner import KubeSpawner
from traitlets import Unicode, default

from cubehub_spawner._kube_names import PEOPLE_LABEL, pod_name


class PodDefaults(KubeSpawner):
    """Replaces kubespawner's defaults; an operator may change each, and a pod that is not safe is not made."""

    home_path = Unicode(
        "/home/jovyan", help="Where the person's claim is mounted in the server, which starts there."
    ).tag(config=True)

    @default("pod_name_template")
    def _default_pod_name(self) -> str:
        return pod_name(self.user.name, self.name)

    @default("working_dir")
    def _working_dir_default(self) -> str:
        # an image without one of its own starts in /, where nobody may write
        return str(self.home_path)

    @default("cmd")
    def _default_cmd(self) -> list[str]:
        return ["jupyterhub-singleuser"]

    @default("storage_pvc_ensure")
    def _default_storage(self) -> bool:
        return True

    @default("delete_pvc")
    def _default_delete(self) -> bool:
        return False  # people's files outlive their user in the Hub

    @default("uid")
    def _default_uid(self) -> int:
        return 1000  # jovyan in the images of the Jupyter project

    @default("gid")
    def _default_gid(self) -> int:
        return 100

    @default("fs_gid")
    def _default_fs_gid(self) -> int:
        return 100

    @default("pod_security_context")
    def _default_pod_security(self) -> dict[str, Any]:
        return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}

    @default("container_security_context")
    def _default_container_security(self) -> dict[str, Any]:
        return {"capabilities": {"drop": ["ALL"]}}

    @default("extra_pod_config")
    def _default_pod_config(self) -> dict[str, Any]:
        return {"enableServiceLinks": False}

    @default("automount_service_account_token")
    def _default_token(self) -> bool:
        return False

    @default("user_namespace_labels")
    def _default_namespace_labels(self) -> dict[str, str]:
        return {PEOPLE_LABEL: "true", "pod-security.kubernetes.io/enforce": "restricted"}
