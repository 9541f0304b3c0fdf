"""A change of group reaches a running pod: the kernel goes on, the kubelet says that it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cubehub_spawner._kube_pod import faults, quantity
from cubehub_tests.kube.cluster import until
from cubehub_tests.plugin import tell_left_out

if TYPE_CHECKING:
    from cubehub_tests.kube.cluster import Cluster
    from cubehub_tests.kube.hub import KubeHub

pytestmark = pytest.mark.kube
MIB = 2**20
# a child tries, and is the first to go, so that the kernel lives to tell
TRY = """
import subprocess, sys
code = "open('/proc/self/oom_score_adj', 'w').write('1000'); hog = bytearray({mib} << 20); hog[::4096] = b'x' * len(hog[::4096])"
print(subprocess.run([sys.executable, "-c", code]).returncode)
"""


def events(cluster: Cluster, pod: dict[str, Any]) -> set[str]:
    """What the kubelet told about a pod."""
    uid, namespace = pod["metadata"]["uid"], pod["metadata"]["namespace"]
    return {
        one["reason"]
        for one in cluster.get("events")
        if one["involvedObject"].get("uid") == uid and namespace
    }


def limit(pod: dict[str, Any]) -> int:
    """What the container really has, by the kubelet."""
    return int(quantity(pod["status"]["containerStatuses"][0]["resources"]["limits"]["memory"]))


@pytest.mark.parametrize("which", ["hub", "own"], ids=["shared namespace", "own namespace"])
def test_premium_now_kernel_kept(which: str, request: pytest.FixtureRequest) -> None:
    hub: KubeHub = request.getfixturevalue(which)
    name = hub.person("paul", "standard")
    before = hub.begin(name)
    with hub.kernel(name) as kernel:
        process = kernel.run("kept = 'still here'; import os; print(os.getpid())").text
        if _stops_processes_only(kernel):
            assert kernel.run(TRY.format(mib=900)).text != "0", "more than the limit"
        hub.person(name, "premium")
        (action,) = hub.apply(name)
        assert (action["kind"], action["to_bytes"]) == ("resized", 1200 * MIB), hub.warnings()
        pod = hub.pod(name)
        assert limit(pod) == 1200 * MIB, "the kubelet has done it when the Hub says so"
        assert faults(pod, 1200 * MIB, 2) == []
        assert kernel.run("print(kept, os.getpid())").text == f"still here {process}"
        assert kernel.run(TRY.format(mib=900)).text == "0", "what was refused before"
    assert pod["metadata"]["uid"] == before["metadata"]["uid"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    until(lambda: "ResizeCompleted" in events(hub.cluster, pod), "ResizeCompleted")
    assert hub.apply(name) == [], "again changes nothing"
    assert "resized" in hub.notices(name)
    if hub.own_namespaces:
        _less_comes_at_once_where_it_is_free(hub, name, request)
    hub.stop(name)


def _stops_processes_only(kernel: Any) -> bool:
    """Whether the node stops one process for want of memory, and not the whole container."""
    group = "open('/sys/fs/cgroup/memory.oom.group').read()"
    return bool(
        kernel.run(f"print({group} if os.path.exists('/sys/fs/cgroup/memory.oom.group') else 0)").text == "0"
    )


def _less_comes_at_once_where_it_is_free(hub: KubeHub, name: str, request: pytest.FixtureRequest) -> None:
    """Without metrics less is announced; with them, and little in use, it comes at once, and the quota follows."""
    namespace = hub.pod(name)["metadata"]["namespace"]
    hard = hub.cluster.get("resourcequota", "cubehub", namespace)["spec"]["hard"]
    assert quantity(hard["limits.memory"]) == 1200 * MIB, "widened with the limit"
    hub.person(name, "standard")
    if not hub.cluster.enter:
        tell_left_out(request.node, "less memory, where the metrics of the cluster can't be set by a test")
        return
    assert [one["kind"] for one in hub.apply(name)] == ["announced"], "nobody knows what is in use"
    with_metrics(hub.cluster)
    tell_metrics(hub, name, "1000Mi")
    assert hub.apply(name) == [], "more is in use: it stays announced"
    tell_metrics(hub, name, "120Mi")
    until(lambda: [one["kind"] for one in hub.apply(name)] == ["resized"], "less has come")
    assert limit(hub.pod(name)) == 600 * MIB
    hard = hub.cluster.get("resourcequota", "cubehub", namespace)["spec"]["hard"]
    assert quantity(hard["limits.memory"]) == 600 * MIB, "narrowed after the limit"


def with_metrics(cluster: Cluster) -> None:
    """Let the API server keep objects of ``metrics.k8s.io``, as a metrics server would serve them."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    cluster.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": "pods.metrics.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
            },
            "spec": {
                "group": "metrics.k8s.io", "scope": "Namespaced", "names": {"plural": "pods", "kind": "PodMetrics"},
                "versions": [
                    {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
                ],
            },
        }
    )  # fmt: skip
    cluster.kubectl("wait", "--for=condition=established", "crd/pods.metrics.k8s.io", "--timeout=60s")


def tell_metrics(hub: KubeHub, name: str, memory: str) -> None:
    """Say what a person's pod uses."""
    pod = hub.pod(name)["metadata"]
    hub.cluster.apply(
        {
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": {"name": pod["name"], "namespace": pod["namespace"]},
            "containers": [{"name": "notebook", "usage": {"memory": memory, "cpu": "10m"}}],
        }
    )  # fmt: skip


def test_a_node_without_room(hub: KubeHub) -> None:
    """The person is told and keeps what they have."""
    hub.cluster.kubectl(
        "patch",
        "configmap",
        "server-limits",
        "-n",
        "cubehub",
        "--type=merge",
        "-p",
        '{"data": {"memory": "1Ti"}}',
    )
    name = hub.person("rosa", "standard")
    hub.begin(name)
    with hub.kernel(name) as kernel:
        kernel.run("kept = 'still here'")
        hub.person(name, "giant")
        (action,) = hub.apply(name)
        assert (action["kind"], action["code"]) == ("kept", "no_room"), action
        pod = hub.pod(name)
        assert limit(pod) == 600 * MIB
        assert faults(pod, 600 * MIB, 1.5) == [], "the old figures were put back"
        conditions = {one["type"] for one in pod["status"]["conditions"] if one["status"] == "True"}
        assert not conditions & {"PodResizePending", "PodResizeInProgress"}
        assert kernel.run("print(kept)").text == "still here"
    assert "no_room" in hub.notices(name)
    servers = hub.api("GET", f"cubehub/users/{name}/entitlement").json()["servers"]
    assert [one["memory_bytes"] for one in servers] == [600 * MIB]
    hub.person(name, "premium")
    assert [one["kind"] for one in hub.apply(name)] == ["resized"], "what there is room for comes"
    hub.stop(name)


def test_the_cluster_refuses_more_than_a_server_may_have(hub: KubeHub) -> None:
    """The second lock holds for a resize as for a start."""
    hub.cluster.kubectl(
        "patch",
        "configmap",
        "server-limits",
        "-n",
        "cubehub",
        "--type=merge",
        "-p",
        '{"data": {"memory": "800Mi"}}',
    )
    name = hub.person("lena", "standard")
    hub.begin(name)
    hub.person(name, "premium")

    def kept() -> bool:
        (action,) = hub.apply(name)
        return bool((action["kind"], action["code"]) == ("kept", "resize_failed"))

    assert kept()
    assert limit(hub.pod(name)) == 600 * MIB
    hub.stop(name)
    answer = hub.ask(name)
    assert answer.status_code == 403, answer.text
    assert "did not accept" in answer.json()["message"]
    assert "800Mi of memory at most" in hub.log()
    assert hub.pods(name) == []
    hub.cluster.kubectl(
        "patch",
        "configmap",
        "server-limits",
        "-n",
        "cubehub",
        "--type=merge",
        "-p",
        '{"data": {"memory": "10Gi"}}',
    )
