"""The last look at a pod: of exactly the granted size, and safe."""

import copy

import pytest
from cubehub_spawner._kube_pod import faults, fit, quantity
from cubehub_spawner._kube_quota import quota_of, with_room
from cubehub_spawner._kube_resize import state_of
from cubehub_spawner._kube_status import metrics_bytes, ran_out
from cubehub_spawner.profiles import Profile
from hypothesis import given
from hypothesis import strategies as st

MEMORY, CPU = 5 * 2**30, 2.0
SAFE = {
    "runAsUser": 1000, "runAsGroup": 100, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
POD = {
    "metadata": {"name": "jupyter-ana"},
    "spec": {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "notebook", "securityContext": SAFE}],
    },
}


def sidecar(**limits):
    return {"name": "side", "securityContext": SAFE, "resources": {"limits": limits}}


def fitted(change=None):
    pod = copy.deepcopy(POD)
    if change:
        change(pod["spec"])
    fit(pod, MEMORY, CPU, 0.25)
    return pod


def test_a_safe_pod_of_the_granted_size():
    pod = fitted()
    assert faults(pod, MEMORY, CPU) == []
    notebook = pod["spec"]["containers"][0]
    assert notebook["resources"] == {
        "limits": {"memory": str(MEMORY), "cpu": "2000m"},
        "requests": {"memory": str(MEMORY), "cpu": "500m"},
    }
    assert {one["restartPolicy"] for one in notebook["resizePolicy"]} == {"NotRequired"}


def test_limits_of_others_are_taken_off_and_other_resources_kept():
    def change(spec):
        spec["containers"][0]["resources"] = {"limits": {"memory": "64Gi", "nvidia.com/gpu": "1"}}
        spec["containers"].append(sidecar(memory="1Gi", cpu="500m"))
        spec["resources"] = {"limits": {"memory": "64Gi"}}
        spec["initContainers"] = [{"name": "first", "securityContext": SAFE}]

    pod = fitted(change)
    assert faults(pod, MEMORY, CPU) == []
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"memory": str(4 * 2**30), "cpu": "1500m", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    "limits", [{}, {"memory": "1Gi"}, {"memory": "5Gi", "cpu": "1"}, {"memory": "x", "cpu": "1"}]
)
def test_others_without_limits_or_with_all_of_it(limits):
    with pytest.raises(ValueError, match=r"limit|nothing|amount"):
        fitted(lambda spec: spec["containers"].append(sidecar(**limits)))


def context(**values):
    return lambda spec: spec["containers"][0]["securityContext"].update(values)


UNSAFE = {
    "token": lambda spec: spec.update(automountServiceAccountToken=True),
    "token left open": lambda spec: spec.pop("automountServiceAccountToken"),
    "service links": lambda spec: spec.pop("enableServiceLinks"),
    "network": lambda spec: spec.update(hostNetwork=True),
    "processes": lambda spec: spec.update(hostPID=True),
    "ipc": lambda spec: spec.update(hostIPC=True),
    "root's group": lambda spec: spec["securityContext"].update(fsGroup=0),
    "root's group too": lambda spec: spec["securityContext"].update(supplementalGroups=[5, 0]),
    "sysctls": lambda spec: spec["securityContext"].update(sysctls=[{"name": "a", "value": "1"}]),
    "host path": lambda spec: spec.update(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
    "projected token": lambda spec: spec.update(
        volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]
    ),
    "privileged": context(privileged=True),
    "escalation": context(allowPrivilegeEscalation=True),
    "escalation left open": context(allowPrivilegeEscalation=None),
    "root": context(runAsUser=0),
    "may be root": context(runAsNonRoot=False),
    "group root": context(runAsGroup=0),
    "seccomp": context(seccompProfile={"type": "Unconfined"}),
    "apparmor": context(appArmorProfile={"type": "Unconfined"}),
    "capabilities": context(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    "capabilities kept": context(capabilities={}),
    "proc": context(procMount="Unmasked"),
    "node's port": lambda spec: spec["containers"][0].update(ports=[{"hostPort": 80}]),
    "devices": lambda spec: spec["containers"][0].update(volumeDevices=[{"name": "v"}]),
    "ephemeral": lambda spec: spec.update(ephemeralContainers=[{"name": "e"}]),
    "unsafe neighbour": lambda spec: spec["containers"].append(
        sidecar(memory="1Gi", cpu="1") | {"securityContext": {}}
    ),
    "unsafe first": lambda spec: spec.update(initContainers=[{"name": "first"}]),
    "greedy first": lambda spec: spec.update(
        initContainers=[sidecar(memory="6Gi", cpu="1") | {"name": "first"}]
    ),
}


@pytest.mark.parametrize("change", UNSAFE.values(), ids=UNSAFE)
def test_what_is_not_safe_is_named(change):
    assert faults(fitted(change), MEMORY, CPU)


def test_what_cannot_be_read_is_a_fault():
    assert faults({"spec": {"containers": [{"name": "notebook"}]}}, MEMORY, CPU)


@given(st.integers(2**20, 2**45), st.floats(0.01, 256), st.floats(0.01, 1))
def test_any_grant_fits(memory, cpu, share):
    pod = copy.deepcopy(POD)
    fit(pod, memory, cpu, share)
    assert faults(pod, memory, cpu) == []
    assert faults(pod, memory - 1, cpu)
    found = pod["spec"]["containers"][0]["resources"]
    assert quantity(found["requests"]["cpu"]) <= quantity(found["limits"]["cpu"])


def profile(name, memory, cpu):
    return Profile(name=name, title=name, groups=frozenset({"/g"}), memory=memory, cpu=cpu, storage="10G")


def test_a_quota_lets_every_combination_in_that_a_decision_does():
    quota = quota_of([profile("big", "10G", 4), profile("small", "2G", 2)])
    assert quota["limits.memory"] == quota["requests.memory"] == str(10 * 2**30)
    assert quantity(quota["limits.cpu"]) == 10, "five small ones"
    assert quota["pods"] == "5"


def test_a_quota_is_only_widened():
    quota = {"limits.memory": "4Gi", "limits.cpu": "2", "requests.memory": "8Gi", "requests.cpu": "1"}
    assert with_room(quota, 6 * 2**30, 1) == {"limits.memory": str(6 * 2**30)}


WANTED = {"limits": {"memory": "256Mi", "cpu": "1"}, "requests": {"memory": "256Mi", "cpu": "250m"}}
OLD = {"limits": {"memory": "128Mi", "cpu": "1"}, "requests": {"memory": "128Mi", "cpu": "250m"}}


@pytest.mark.parametrize(
    ("resources", "condition", "expected"),
    [
        (WANTED, None, "done"),
        ({kind: {**WANTED[kind], "memory": str(2**28)} for kind in WANTED}, None, "done"),
        (OLD, None, "waiting"),
        (None, None, "waiting"),
        (WANTED, ("PodResizeInProgress", None), "waiting"),
        (OLD, ("PodResizeInProgress", "Error"), "failed"),
        (OLD, ("PodResizePending", "Deferred"), "no_room"),
        (OLD, ("PodResizePending", "Infeasible"), "no_room"),
    ],
)
def test_how_far_a_resize_is(resources, condition, expected):
    conditions = [{"type": condition[0], "status": "True", "reason": condition[1]}] if condition else []
    status = {"name": "notebook", "resources": resources}
    pod = {"metadata": {"generation": 2}, "status": {"conditions": conditions, "containerStatuses": [status]}}
    assert state_of(pod, WANTED)[0] == expected


def test_when_a_server_ran_out():
    ended = {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z"}}
    pod = {
        "status": {"containerStatuses": [{"name": "notebook", "state": {"running": {}}, "lastState": ended}]}
    }
    assert ran_out(pod) == "2026-01-01T00:00:00Z"
    assert ran_out({"status": {"containerStatuses": [{"name": "notebook", "lastState": {}}]}}) is None
    assert ran_out(None) is ran_out({"status": {}}) is None


def test_metrics_of_all_containers():
    assert metrics_bytes({"containers": [{"usage": {"memory": "2Ki"}}, {"usage": {"memory": "10"}}]}) == 2058
