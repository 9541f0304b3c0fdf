"""Every way to a server, as a pod: what the API server has is what the group gives, and a refusal leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cubehub_spawner._kube_pod import faults, quantity

if TYPE_CHECKING:
    from cubehub_tests.kube.hub import KubeHub

pytestmark = pytest.mark.kube
MIB = 2**20
FORGED = {
    "profile": "",
    "mem_limit": "64G", "cpu_limit": 64, "profile_list": "huge", "image": "evil", "namespace": "kube-system",
    "kubespawner_override": {"mem_limit": "64G", "privileged": True, "service_account": "hub"},
}  # fmt: skip


def assert_held(pod: dict[str, Any], memory_bytes: int, cpu: float) -> None:
    """The pod that runs is of that size, and safe."""
    assert faults(pod, memory_bytes, cpu) == []
    notebook = pod["spec"]["containers"][0]["resources"]
    assert quantity(notebook["requests"]["memory"]) == memory_bytes
    assert quantity(notebook["requests"]["cpu"]) < cpu
    kubelet = pod["status"]["containerStatuses"][0]["resources"]
    assert quantity(kubelet["limits"]["memory"]) == memory_bytes


def test_forged_options_and_overrides_change_nothing(hub: KubeHub) -> None:
    name = hub.person("ana", "standard")
    pod = hub.begin(name, **FORGED)
    assert_held(pod, 300 * MIB, 1)
    assert pod["metadata"]["namespace"] == "cubehub-people"
    env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert env["MEM_LIMIT"] == str(300 * MIB)
    assert env["FROM_THE_LIST"] == "standard", "what an operator gives with the granted profile comes"
    claim = hub.cluster.get("pvc", "home-id-ana", "cubehub-people")
    assert quantity(claim["spec"]["resources"]["requests"]["storage"]) == 2**30
    hub.stop(name)
    assert hub.pods(name) == []
