"""A whole CubeHub, Keycloak and all, beside the cluster; only its servers are pods."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import yaml
from cubehub.local.progress import open_progress
from cubehub.local.up import Request, get_ready
from cubehub_spawner._kube_pod import quantity

from cubehub_tests.kube.cluster import CHECKOUT, Cluster, until
from cubehub_tests.platform import Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

PEOPLE = "cubehub-people"
_MANIFESTS = CHECKOUT / "config" / "kubernetes"
# What docs/how-to/kubernetes.md tells operators to write, for this cluster
_HUB = """\
import os

os.environ["KUBECONFIG"] = {kubeconfig!r}  # before the next lines, which read it

from cubehub import configure, servers_as_pods

configure(c)
servers_as_pods(c)
kube = c.ProfileKubeSpawner
port = c.JupyterHub.hub_bind_url.rpartition(":")[2]
c.JupyterHub.hub_bind_url = f"http://0.0.0.0:{{port}}"
c.JupyterHub.hub_connect_url = f"http://{address}:{{port}}"
kube.namespace = {namespace!r}
kube.image = {image!r}
kube.image_pull_policy = "IfNotPresent"
kube.cmd = ["python3", "-m", "jupyterhub.singleuser"]
kube.cpu_request_share = 0.1
"""


@contextlib.contextmanager
def running_whole_beside(cluster: Cluster) -> Iterator[Whole]:
    """Give a platform that is up, whose servers are pods that share a namespace."""
    cluster.kubectl("apply", "-k", str(_MANIFESTS / "shared"))
    with Whole.make(within=tuple(cluster.enter)) as whole, contextlib.ExitStack() as ways:
        assert whole.scratch is not None
        kubeconfig = whole.scratch / "kubeconfig"
        kubeconfig.touch(0o600)
        kubeconfig.write_text(json.dumps(cluster.kubeconfig_of("hub")))
        hub = _HUB.format(
            kubeconfig=str(kubeconfig), address=cluster.address, namespace=PEOPLE, image=cluster.image
        )
        (whole.config / "jupyterhub_config.py").write_text(hub)
        _fetch_and_build(whole)
        whole.up()
        for port in (whole.port, whole.ports["keycloak"]):
            ways.enter_context(cluster.same_here(port))
        policy = yaml.safe_dump(_to_the_hub(cluster, whole.ports["hub_api"]))
        cluster.kubectl("apply", "-n", PEOPLE, "-f", "-", given=policy)
        try:
            yield whole
        finally:
            cluster.kubectl("delete", "pods", "-n", PEOPLE, "-l", "component=singleuser-server", check=False)
            whole.down()


def _fetch_and_build(whole: Whole) -> None:
    """Do what needs the internet before the start: the cluster's network has no way there."""
    ready = get_ready(Request(whole.data, "127.0.0.1", whole.port, whole.config), open_progress(as_json=True))
    os.close(ready.lock)


def _to_the_hub(cluster: Cluster, port: int) -> dict[str, Any]:
    """Write a policy for a platform that is beside the cluster instead of in it."""
    hub = [{"ipBlock": {"cidr": f"{cluster.address}/32"}}]
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "platform-of-the-tests"},
        "spec": {
            "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "egress": [{"to": hub, "ports": [{"protocol": "TCP", "port": port}]}],
            "ingress": [{"from": hub, "ports": [{"protocol": "TCP", "port": 8888}]}],
        },
    }  # fmt: skip


def pod_of(cluster: Cluster, name: str) -> dict[str, Any]:
    """Read the pod of a person's server."""
    found = [
        pod for pod in cluster.get("pods", namespace=PEOPLE)
        if pod["metadata"].get("annotations", {}).get("hub.jupyter.org/username") == name
    ]  # fmt: skip
    assert len(found) == 1, [pod["metadata"]["name"] for pod in found]
    return dict(found[0])


def limit_of(pod: dict[str, Any]) -> int:
    """Bytes that a server really has, by the kubelet."""
    return int(quantity(pod["status"]["containerStatuses"][0]["resources"]["limits"]["memory"]))


def resize_is_told(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Wait for the kubelet's own word that the resize is done."""
    uid = pod["metadata"]["uid"]

    def told() -> bool:
        events = cluster.get("events", namespace=PEOPLE)
        return any(
            one["reason"] == "ResizeCompleted" and one["involvedObject"].get("uid") == uid for one in events
        )

    until(told, "ResizeCompleted")
