"""What holds even when the Hub is wrong: the API server, by quota and admission, and the network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_tests.kube.cluster import until

if TYPE_CHECKING:
    from cubehub_tests.kube.cluster import Cluster
    from cubehub_tests.kube.hub import KubeHub

pytestmark = pytest.mark.kube
HUB = "--as=system:serviceaccount:cubehub:hub"
PEOPLE = "cubehub-people"
MIB = 2**20


def pod(*, account: str = "id-mia", name: str = "wrong", **spec: Any) -> dict[str, Any]:
    """Write a pod as a wrong Hub might."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "notebook", "image": "localhost/pause:1", "securityContext": safe,
        "resources": {"limits": {"memory": "200Mi", "cpu": "500m"}},
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"cubehub/account": account}},
        "spec": {
            "automountServiceAccountToken": False, "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 100, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        } | spec,
    }  # fmt: skip


def container(**changes: Any) -> list[dict[str, Any]]:
    """Write the one container of such a pod, changed."""
    return [pod()["spec"]["containers"][0] | changes]


def asked(cluster: Cluster, namespace: str, manifest: dict[str, Any]) -> str:
    """What the API server says when the Hub's service account asks for an object; nothing is made."""
    arguments = ["create", HUB, "--dry-run=server", "-n", namespace, "-f", "-"]
    return cluster.kubectl(*arguments, given=json.dumps(manifest), check=False)


WRONG = {
    "too much memory": (pod(containers=container(resources={"limits": {"memory": "64Gi", "cpu": "1"}})), "10Gi of memory"),
    "too many cores": (pod(containers=container(resources={"limits": {"memory": "1Gi", "cpu": "32"}})), "4 cores"),
    "too much together": (
        pod(
            containers=[
                *container(resources={"limits": {"memory": "6Gi", "cpu": "1"}}),
                *container(name="two", resources={"limits": {"memory": "6Gi", "cpu": "1"}}),
            ]
        ),
        "10Gi of memory",
    ),
    "no limit": (pod(containers=container(resources={})), "needs a limit"),
    "a token": (pod(automountServiceAccountToken=True), "no service account's token"),
    "a projected token": (
        pod(volumes=[{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
        "no service account's token",
    ),
    "service links": (pod(enableServiceLinks=True), "not told of the namespace's services"),
    "nobody's": (pod(account=""), "needs the label"),
    "another's home": (
        pod(volumes=[{"name": "h", "persistentVolumeClaim": {"claimName": "home-id-ana"}}]), "own account only",
    ),
    "a folder of the node": (pod(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), "restricted"),
    "root": (pod(securityContext={"runAsUser": 0}), "restricted"),
    "the node's network": (pod(hostNetwork=True), "restricted"),
    "privileged": (pod(containers=container(securityContext={"privileged": True})), "restricted"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_hub_gets_no_such_pod(hub: KubeHub, manifest: dict[str, Any], why: str) -> None:
    said = asked(hub.cluster, PEOPLE, manifest)
    assert why in said
    assert "wrong created" not in said


def test_a_right_one_it_gets(hub: KubeHub) -> None:
    assert "created" in asked(hub.cluster, PEOPLE, pod())


def test_the_hub_acts_in_peoples_namespaces_only(own: KubeHub) -> None:
    cluster = own.cluster
    assert "people's namespaces only" in asked(cluster, "kube-system", pod())
    assert "people's namespaces only" in asked(cluster, "cubehub", pod())
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "loose", "labels": {"cubehub/people": "true"}},
    }
    assert "people's namespaces only" in asked(cluster, "default", namespace)
    for question in (
        "get secrets", "create pods --subresource=exec", "update pods", "get nodes --subresource=proxy",
        "delete namespaces", "delete persistentvolumeclaims", "delete resourcequotas", "delete networkpolicies",
        "create rolebindings", "create serviceaccounts --subresource=token", "impersonate users",
    ):  # fmt: skip
        said = cluster.kubectl("auth", "can-i", *question.split(), HUB, "-n", PEOPLE, check=False)
        assert "yes" not in said.splitlines(), question


def test_a_quota_refuses_what_the_hub_sized_wrongly(own: KubeHub) -> None:
    name = own.person("mia", "standard")
    namespace = own.begin(name)["metadata"]["namespace"]
    assert namespace == "people-id-mia"
    quota = own.cluster.get("resourcequota", "cubehub", namespace)["status"]
    assert quota["hard"]["pods"] == quota["used"]["pods"] == "1"
    said = asked(own.cluster, namespace, pod())
    assert "exceeded quota: cubehub" in said, "a second server of a size that would do"
    own.stop(name)
    until(
        lambda: own.cluster.get("resourcequota", "cubehub", namespace)["status"]["used"]["pods"] == "0",
        "counted",
    )
    larger = container(resources={"limits": {"memory": "800Mi", "cpu": "500m"}})
    assert "exceeded quota: cubehub" in asked(own.cluster, namespace, pod(containers=larger))
    assert "created" in asked(own.cluster, namespace, pod())
    assert "namespace of its own account only" in asked(own.cluster, namespace, pod(account="id-ana"))
