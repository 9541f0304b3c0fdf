"""The spawner of a Kubernetes cluster: a server as a pod whose limits are the grant's, and that opens nothing else."""

from __future__ import annotations

import asyncio
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kubernetes_asyncio.client import ApiException
from kubespawner.clients import shared_client
from traitlets import Bool, Float, TraitError, Unicode, validate

from cubehub_spawner._kube_claims import grow_claim
from cubehub_spawner._kube_defaults import PodDefaults
from cubehub_spawner._kube_names import ACCOUNT_LABEL, PROFILE_LABEL, claim_name, namespace_name
from cubehub_spawner._kube_pod import SERVER, Pod, faults, fit, quantity
from cubehub_spawner._kube_quota import (
    ensure_policies,
    ensure_quota,
    narrow_quota,
    quota_of,
    widen_quota,
    with_room,
)
from cubehub_spawner._kube_resize import API_ERRORS, Resizer, reason_of, server_resources
from cubehub_spawner._kube_status import metrics_bytes, pod_command, ran_out
from cubehub_spawner._mixin import EntitledSpawner
from cubehub_spawner._rescue import rescue_script
from cubehub_spawner.entitlement import Refusal, format_bytes, granted_profiles
from cubehub_spawner.environment import THREAD_VARIABLES
from cubehub_spawner.errors import AnotherAccountError, ResizeError, SpawnerError
from cubehub_spawner.names import slug

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cubehub_spawner.entitlement import Grant

_IN_THE_LOG = "Your administrator finds the reason in the Hub's log."
_HOME = "home"
_RESCUE, _RESCUE_PATH = "cubehub-rescue", "/run/cubehub-rescue"
_V2_EVENTS = "/sys/fs/cgroup/memory.events"


class ProfileKubeSpawner(EntitledSpawner, PodDefaults):
    """Starts servers as pods, each with the RAM of its person's group.

    Notes
    -----
    Limits come from the grant alone: what `mem_limit` and its like, ``kubespawner_override`` or ``modify_pod_hook``
    say about them is replaced, and the pod is looked at once more as it goes to the API server. One that would not be
    of the granted size, or not safe, is not made; the Hub's log says why.

    Of `profile_list` the entry whose ``slug`` is the name of the granted profile is applied, for images, node
    selectors and the like; no other is, and none can be chosen.
    """

    cpu_request_share = Float(
        0.25,
        help="How much of a server's cores is kept free for it on its node, between 0 and 1; its RAM always is.",
    ).tag(config=True)

    resize_timeout = Float(
        30.0,
        help="Seconds a node may take to change the limits of a running server before they are put back.",
    ).tag(config=True)

    namespace_prefix = Unicode(
        "people-",
        help="""Begins the names of people's namespaces with `enable_user_namespaces`; in place of `user_namespace_template`.
        Two Hubs in one cluster need two.""",
    ).tag(config=True)

    network_policy_file = Unicode(
        help="""YAML file with the NetworkPolicies that each person's namespace gets with `enable_user_namespaces`;
        config/kubernetes/people/ has them. Empty: the cluster keeps servers apart in another way."""
    ).tag(config=True)

    finds_memory_events = Bool(
        True,
        help="""Start the server through /bin/sh, which looks which version of cgroups the node has, so that the server
        can tell why a kernel was stopped. Switch off for images without /bin/sh.""",
    ).tag(config=True)

    rescues_full_homes = Bool(
        True,
        help="""Start the server through /bin/sh, which looks whether the home is full: its own files then go into an emptyDir, and
        what the person deletes is gone at once, so that they can make room. Switch off for images without /bin/sh.""",
    ).tag(config=True)

    if TYPE_CHECKING:
        namespace: str
        pod_name: str
        pvc_name: str
        user_namespace_labels: dict[str, str]

    _grant: Grant | None = None
    _out_of_memory_at = ""
    """When the server was last stopped as a whole for want of memory, as the kubelet says it."""

    @validate("cpu_request_share")
    def _check_share(self, proposal: dict[str, Any]) -> float:
        value: float = proposal["value"]
        if not 0 < value <= 1:
            raise TraitError(f"cpu_request_share={value!r}: write a number above 0 and up to 1")
        return value

    @validate("namespace_prefix")
    def _check_prefix(self, proposal: dict[str, Any]) -> str:
        value: str = proposal["value"]
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,13}-", value):
            raise TraitError(
                f"namespace_prefix={value!r}: write up to 15 of a-z, 0-9 and -, with a - at the end"
            )
        return value

    # ---- what is started ----------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Start the server, or refuse with a page that says why; a refusal leaves nothing in the cluster."""
        self._grant = await self.entitle()
        try:
            self._claim()
            address: str = await super().start()
            # after the namespace's quota has followed the profile
            await grow_claim(self.api, self.namespace, self.pvc_name, self.granted_storage, self.log)
        except SpawnerError as error:
            self.log.error("%s: %s", error.code, error.message)  # noqa: TRY400 - expected; the page says it too
            self.refuse(Refusal(error.code, error.message, error.hint))
        except API_ERRORS as error:
            self.log.error("The cluster refused the server of %s: %s", self._log_name, reason_of(error))  # noqa: TRY400
            self.refuse(Refusal("cluster_refused", "The cluster did not accept your server.", _IN_THE_LOG))
        return address

    def _claim(self) -> None:
        """See to it that nobody gets at the files of an earlier account of the same name."""
        others = [one for one in self.user.spawners.values() if one is not self and one.active]
        if any(
            one.account_id not in {"", self.account_id} for one in others if isinstance(one, EntitledSpawner)
        ):
            raise AnotherAccountError
        self.pvc_name = claim_name(self.account_id)
        self._pvc_exists = (
            False  # looked for at each start: the one that the Hub remembers may be another account's
        )
        self.storage_capacity = str(self.granted_storage)
        if self.enable_user_namespaces:
            self.namespace = namespace_name(self.namespace_prefix, self.account_id)
            self.user_namespace_labels = {**self.user_namespace_labels, ACCOUNT_LABEL: self._account_label}

    async def load_user_options(self) -> None:
        """Apply what an operator gives with the granted profile; nothing that a person posted.

        Notes
        -----
        kubespawner calls this at each start, before it makes anything.
        """
        assert self._grant is not None  # noqa: S101 - `start` came first
        listed = self._sorted_dict_values(self.profile_list)
        if callable(listed):
            listed = listed(self)
            if asyncio.iscoroutine(listed):
                listed = await listed
        names: tuple[str, str, str] = (self.namespace, self.pod_name, self.pvc_name)
        mine = [
            one
            for one in self._get_initialized_profile_list(listed or [])
            if one["slug"] == self.granted_profile
        ]
        if mine:
            self._apply_overrides(mine[0].get("kubespawner_override", {}))
        self.namespace, self.pod_name, self.pvc_name = names
        self.take(self._grant)  # whatever the overrides said
        self.mem_guarantee, self.cpu_guarantee = self._grant.memory_bytes, None

    async def _ensure_namespace(self) -> None:
        """Make the person's namespace, and what keeps it within bounds, before anything runs in it."""
        await super()._ensure_namespace()
        assert self.account_seen is not None  # noqa: S101 - there is a grant
        mine = granted_profiles(self.account_seen, self._profiles())
        await ensure_quota(self.api, self.namespace, quota_of(mine))
        if self.network_policy_file:
            await ensure_policies(shared_client("NetworkingV1Api"), self.namespace, self.network_policy_file)

    def get_env(self) -> dict[str, Any]:
        """Add the profile, and how many threads libraries may start."""
        env: dict[str, Any] = super().get_env()
        threads = str(max(1, math.ceil(self.granted_cpu)))
        ours = {
            **dict.fromkeys((*THREAD_VARIABLES, "CPU_COUNT"), threads),
            "CUBEHUB_PROFILE": self.granted_profile,
            "CUBEHUB_PROFILE_TITLE": self.granted_title,
            "CUBEHUB_MEMORY_EVENTS": _V2_EVENTS,
        }
        return env | {name: value for name, value in ours.items() if name not in self.environment}

    @property
    def _account_label(self) -> str:
        return slug(self.account_id)

    def _build_common_labels(self, extra_labels: Mapping[str, str]) -> dict[str, str]:
        labels: dict[str, str] = super()._build_common_labels(extra_labels)
        return labels | {ACCOUNT_LABEL: self._account_label}

    def final_pod(self, pod: Any) -> Pod:
        """Write the pod as it goes to the API server, after every hook and override had its say.

        Raises
        ------
        SpawnerError
            It would not be of the granted size, or not safe.
        """
        assert self._grant is not None  # noqa: S101 - `start` came first
        manifest: Pod = self.api.api_client.sanitize_for_serialization(pod)
        memory, cpu = self._grant.memory_bytes, self._grant.cpu
        try:
            self._add_ours(manifest)
            fit(manifest, memory, cpu, self.cpu_request_share)
            wrong = faults(manifest, memory, cpu)
        except (ValueError, KeyError, TypeError) as error:
            wrong = [str(error)]
        if manifest["metadata"].get("name") != self.pod_name:
            wrong.append("it would have another name")
        if wrong:
            self.log.error(
                "The pod of %s is not made, by the Hub's configuration: %s", self._log_name, "; ".join(wrong)
            )
            raise SpawnerError(
                "The Hub's configuration would give your server more than it may have, so none is started.",
                _IN_THE_LOG,
            )
        return manifest

    def _add_ours(self, manifest: Pod) -> None:
        """Add the home, and what finds the counter of out-of-memory kills."""
        spec = manifest["spec"]
        manifest["metadata"]["labels"] |= {
            ACCOUNT_LABEL: self._account_label,
            PROFILE_LABEL: self.granted_profile,
        }
        server = next(one for one in spec["containers"] if one["name"] == SERVER)
        volumes, mounts = spec.setdefault("volumes", []), server.setdefault("volumeMounts", [])
        if all(one["name"] != _HOME for one in volumes):
            volumes.append({"name": _HOME, "persistentVolumeClaim": {"claimName": self.pvc_name}})
            mounts.append({"name": _HOME, "mountPath": self.home_path})
        if self.rescues_full_homes:
            volumes.append({"name": _RESCUE, "emptyDir": {"sizeLimit": "512Mi"}})
            mounts.append({"name": _RESCUE, "mountPath": _RESCUE_PATH})
        if server.get("args"):
            server["args"] = pod_command(
                server["args"],
                finds_events=self.finds_memory_events,
                rescue=rescue_script(self.home_path, _RESCUE_PATH) if self.rescues_full_homes else "",
            )

    async def _make_create_pod_request(self, pod: Any, request_timeout: float) -> bool:
        """Make the pod; the last step of kubespawner's start, whatever came before.

        Notes
        -----
        In place of kubespawner's own, which writes the pod with the server's token into the log when it fails.
        """
        manifest = self.final_pod(pod)
        try:
            await asyncio.wait_for(self.api.create_namespaced_pod(self.namespace, manifest), request_timeout)
        except TimeoutError:
            return False
        except ApiException as error:
            if error.status != 409:
                raise
            self.log.info("A pod named %s is there already, and is removed", self.pod_name)
            await self.stop(now=True)
            return False
        self.log.info(
            "Made the pod %s/%s of %s as %s: %s, %g cores",
            self.namespace,
            self.pod_name,
            self._log_name,
            self.granted_profile,
            format_bytes(self.granted_bytes),
            self.granted_cpu,
        )
        return True

    # ---- while it runs ------------------------------------------------------------------------------------------

    async def resize_server(self, memory_bytes: int, cpu: float) -> None:
        """Change the pod's limits through ``pods/resize``; its processes go on.

        Notes
        -----
        Done is what the kubelet reports of the running container. With a namespace of the person's own, its quota is
        widened first and narrowed last, so that it never stands in the way and never stays wider than needed.
        A limit below what is in use is refused by the kubelet (from Kubernetes 1.34 on), and by this as far as known.
        """
        resizer = Resizer(self.api, self.namespace, self.pod_name, self.resize_timeout)
        pod = await resizer.read()
        shrinks = memory_bytes < quantity(server_resources(pod)["limits"]["memory"])
        if shrinks:
            used = await self.memory_used()
            if used is not None and used > memory_bytes:
                raise ResizeError(f"The server uses {format_bytes(used)} now.")
        if not self.enable_user_namespaces:
            await resizer.resize(pod, memory_bytes, cpu, self.cpu_request_share)
            return
        others = [one for one in self.user.spawners.values() if one is not self and one.active]
        total = (
            memory_bytes + sum(one.granted_bytes for one in others),
            cpu + sum(one.granted_cpu for one in others),
        )
        quota = self.api, self.namespace
        before = await widen_quota(*quota, *total)
        try:
            await resizer.resize(pod, memory_bytes, cpu, self.cpu_request_share)
        except BaseException:
            await asyncio.shield(narrow_quota(*quota, before, self.log))
            raise
        if shrinks:
            await narrow_quota(*quota, with_room({}, *total), self.log)

    async def memory_used(self) -> int | None:
        """Tell what the pod uses, by the cluster's metrics; None where it keeps none.

        Notes
        -----
        Metrics are the only source that needs no right to run commands in pods or to speak to kubelets. They do not
        count unused file contents, and are up to a minute old: see `resize_server` for what happened since.
        """
        try:
            found = await shared_client("CustomObjectsApi").get_namespaced_custom_object(
                "metrics.k8s.io", "v1beta1", self.namespace, "pods", self.pod_name
            )
            return metrics_bytes(found)
        except (*API_ERRORS, ValueError, KeyError, TypeError):
            return None

    async def poll(self) -> int | None:
        """Tell whether the server runs (None) or how it ended; say so when it was stopped for want of memory."""
        name, reflector = f"{self.namespace}/{self.pod_name}", self.pod_reflector
        before = (
            reflector.pods.get(name) if reflector else None
        )  # a pod that has ended is removed by the next line
        status: int | None = await super().poll()
        ended = ran_out(self.pod_reflector.pods.get(name) or before)
        if ended is None or ended == self._out_of_memory_at or not self.granted_bytes:
            return status
        self._out_of_memory_at = ended
        size = format_bytes(self.granted_bytes)
        self.log.warning("The server of %s was stopped at its memory limit of %s", self._log_name, size)
        if status is not None:
            return status
        self.board.say(
            datetime.fromisoformat(ended),
            "error",
            "out_of_memory",
            f"Your server was stopped at its memory limit of {size} (profile {self.granted_title}) and started again.",
            "Files are kept, variables are lost. Use less at a time, or ask your administrator for more memory.",
        )
        self.save_grant()
        return status

    # ---- what a restarted Hub knows -----------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Write down how to find the pod and its grant again."""
        state: dict[str, Any] = super().get_state()
        return state | self.grant_state() | {"out_of_memory_at": self._out_of_memory_at}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a server that a previous Hub started."""
        super().load_state(state)
        self.load_grant_state(state)
        self._out_of_memory_at = state.get("out_of_memory_at", "")

    def clear_state(self) -> None:
        """Forget a server that has ended."""
        super().clear_state()
        self._grant, self._out_of_memory_at = None, ""
