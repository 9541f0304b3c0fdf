"""Every way to a server, as a pod: what the API server has is what the group gives, and a refusal leaves nothing."""

from __future__ import annotations

import contextlib
import json
import signal
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
    assert_held(pod, 600 * MIB, 1.5)
    assert pod["metadata"]["namespace"] == "cubehub-people"
    env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert env["MEM_LIMIT"] == str(600 * MIB)
    assert env["FROM_THE_LIST"] == "standard", "what an operator gives with the granted profile comes"
    claim = hub.cluster.get("pvc", "home-id-ana", "cubehub-people")
    assert quantity(claim["spec"]["resources"]["requests"]["storage"]) == 2**30
    hub.stop(name)
    assert hub.pods(name) == []


def test_the_form_only_chooses_among_what_is_granted(hub: KubeHub) -> None:
    name = hub.person("flora", "standard", "premium")
    with contextlib.closing(hub.browser(name)) as browser:
        posted = {"profile": "standard", "mem_limit": "64G", "_xsrf": browser.cookies["_xsrf"]}
        browser.post(f"/hub/spawn/{name}", data=posted).raise_for_status()
        hub.ready(name)
        assert_held(hub.pod(name), 600 * MIB, 1.5)
        hub.stop(name)
        page = browser.post(f"/hub/spawn/{name}", data=posted | {"profile": "giant"})
    assert page.status_code == 403
    assert "is not one that your groups grant" in page.text
    assert hub.pods(name) == []


def test_named_servers_stay_within_the_best_profile_over_a_restart_of_the_hub(hub: KubeHub) -> None:
    name = hub.person("petra", "standard", "premium")
    assert_held(hub.begin(name, profile="standard"), 600 * MIB, 1.5)
    assert_held(hub.begin(name, "second"), 600 * MIB, 1.5)
    hub.end(signal.SIGKILL)
    hub.start()
    people = hub.api("GET", "cubehub/servers").json()["people"]
    servers = next(one["servers"] for one in people if one["name"] == name)
    assert [(one["profile"], one["memory_bytes"], one["ready"]) for one in servers] == [
        ("standard", 600 * MIB, True)
    ] * 2
    answer = hub.ask(name, "third")
    assert answer.status_code == 409, answer.text
    assert "1.2 GiB" in answer.json()["message"]
    names = {pod["metadata"]["name"] for pod in hub.pods(name)}
    assert len(names) == 2, "the refused one left nothing"
    claims = {pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] for pod in hub.pods(name)}
    assert claims == {"home-id-petra"}
    hub.stop(name, "second")
    hub.stop(name)


@pytest.mark.parametrize(
    ("groups", "enabled", "options", "status", "code"),
    [
        ([], True, {}, 403, "no_profile"),
        (["premium"], False, {}, 403, "account_disabled"),
        (["standard"], True, {"profile": "premium"}, 403, "profile_not_granted"),
        (["standard"], True, {"profile": "huge"}, 403, "profile_not_granted"),
        (None, True, {}, 403, "unknown_account"),
    ],
    ids=["no group", "suspended", "not granted", "of the list", "unknown"],
)
def test_a_refusal_leaves_nothing(
    hub: KubeHub, groups: Any, enabled: bool, options: Any, status: int, code: str
) -> None:
    name = f"norbert-{code.replace('_', '-')}"
    if groups is not None:
        hub.person(name, *groups, enabled=enabled)
    answer = hub.ask(name, **options)
    assert answer.status_code == status, answer.text
    assert hub.audit(name)[-1]["code"] == code
    assert hub.pods(name) == []
    assert f"home-id-{name}" not in {one["metadata"]["name"] for one in hub.cluster.get("pvc")}


def test_without_the_directory_nothing_starts(hub: KubeHub) -> None:
    name, people = hub.person("dora", "premium"), hub.root / "people.json"
    known = people.read_text()
    people.write_text("null")
    try:
        answer = hub.ask(name)
    finally:
        people.write_text(known)
    assert answer.status_code == 503, answer.text
    assert hub.pods(name) == []


def test_a_hook_cannot_give_more_and_an_unsafe_one_gives_nothing(hub: KubeHub) -> None:
    more, unsafe = hub.person("hugo", "standard"), hub.person("ursel", "standard")
    (hub.root / "hook.json").write_text(json.dumps({more: "more", unsafe: "unsafe"}))
    assert_held(hub.begin(more), 600 * MIB, 1.5)
    hub.stop(more)
    answer = hub.ask(unsafe)
    assert answer.status_code == 403, answer.text
    assert "configuration" in answer.json()["message"]
    assert "share the node's Network" in hub.log()
    assert hub.pods(unsafe) == []


def test_any_name_gets_a_pod_of_its_own(hub: KubeHub) -> None:
    one, other = hub.person("ö@b", "tiny"), hub.person("ö_b", "tiny")
    names = set()
    for name in (one, other):
        hub.begin(name)
        names.add(hub.pod(name)["metadata"]["name"])
        hub.stop(name)
    assert len(names) == 2


def test_whoever_gets_a_name_later_gets_an_empty_home(hub: KubeHub) -> None:
    name = hub.person("nele", "standard", "premium", account="first")
    hub.begin(name, profile="standard")
    hub.person("nele", "standard", "premium", account="second")
    answer = hub.ask(name, "another")
    assert answer.status_code == 403, answer.text
    assert "belonged to another account" in answer.json()["message"]
    hub.stop(name)
    pod = hub.begin(name)
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "home-second"
    hub.stop(name)
    assert hub.cluster.get("pvc", "home-first", "cubehub-people"), "files are kept"
