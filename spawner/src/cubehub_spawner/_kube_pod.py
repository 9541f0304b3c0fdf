"""What a person's pod must be: its limits those of the grant, and nothing in it that opens the node or the cluster."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "notebook"
"""kubespawner's name of the container that the server runs in."""
_UNITS = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3)}
_UNITS |= {unit: Decimal(10 ** (3 * power)) for power, unit in enumerate("MGTP", 2)}
_UNITS |= {f"{unit}i": Decimal(2 ** (10 * power)) for power, unit in enumerate("KMGTP", 1)}
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-zA-Z]*)")
_HOST = ("hostNetwork", "hostPID", "hostIPC")

Pod = dict[str, Any]
"""A pod as JSON, in the API server's spelling."""


def quantity(value: object) -> Decimal:
    """Read an amount as Kubernetes writes it: ``512Mi``, ``2``, ``500m``.

    Raises
    ------
    ValueError
        When it is none.
    """
    found = _QUANTITY.fullmatch(str(value).strip())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{value!r} is no amount such as 512Mi or 500m")
    return Decimal(found[1]) * _UNITS[found[2]]


def milli(cpu: float) -> str:
    """Write cores as Kubernetes reads them; never none at all, which would mean no limit."""
    return f"{max(1, round(cpu * 1000))}m"


def resources(memory_bytes: int, cpu: float, cpu_share: float) -> dict[str, dict[str, str]]:
    """Write what a container may have; memory is kept free for it in full, of its cores a share."""
    return {
        "limits": {"memory": str(memory_bytes), "cpu": milli(cpu)},
        "requests": {"memory": str(memory_bytes), "cpu": milli(cpu * cpu_share)},
    }


def own_part(pod: Pod, memory_bytes: int, cpu: float) -> tuple[int, float]:
    """Tell what of a grant is left for the server itself, beside the containers an operator put into its pod.

    Raises
    ------
    ValueError
        Another container says no limit, or nothing is left.
    """
    left_memory, left_cpu = Decimal(memory_bytes), Decimal(str(cpu))
    for container in _lasting(pod):
        if container["name"] == SERVER:
            continue
        try:
            limits = container["resources"]["limits"]
            left_memory -= quantity(limits["memory"])
            left_cpu -= quantity(limits["cpu"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"container {container['name']} has no limit of memory and cpu") from error
    if left_memory <= 0 or left_cpu <= 0:
        raise ValueError("the other containers of the pod leave nothing of the grant for the server")
    return int(left_memory), float(left_cpu)


def fit(pod: Pod, memory_bytes: int, cpu: float, cpu_share: float) -> None:
    """Set the limits of a pod to a grant, whatever they were.

    Raises
    ------
    ValueError
        The pod cannot be held to the grant; the text says why.
    """
    spec = pod["spec"]
    spec.pop("resources", None)  # limits of the pod as a whole would stand beside those of its containers
    servers = [one for one in spec["containers"] if one["name"] == SERVER]
    if len(servers) != 1:
        raise ValueError(f"there are {len(servers)} containers named {SERVER}")
    servers[0]["resources"] = _with_others(
        servers[0].get("resources"), resources(*own_part(pod, memory_bytes, cpu), cpu_share)
    )
    for container in spec["containers"]:
        container["resizePolicy"] = [
            {"resourceName": name, "restartPolicy": "NotRequired"} for name in ("cpu", "memory")
        ]
    for container in _passing(pod):
        limits = (container.get("resources") or {}).get("limits") or {}
        if "memory" not in limits or "cpu" not in limits:
            container["resources"] = _with_others(
                container.get("resources"), resources(memory_bytes, cpu, cpu_share)
            )


def faults(pod: Pod, memory_bytes: int, cpu: float) -> list[str]:
    """List what is wrong with a pod that is about to be made; empty where it is safe and of exactly that size.

    Parameters
    ----------
    pod : dict
        As it goes to the API server.
    memory_bytes, cpu
        What its containers may have together.
    """
    try:
        return [*_of_size(pod, memory_bytes, cpu), *_of_pod(pod), *_of_containers(pod)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return [f"it can't be read: {error}"]


def _with_others(given: dict[str, Any] | None, ours: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Keep what an operator says about other resources, such as GPUs or the container's own disk."""
    return {
        kind: {
            name: value
            for name, value in ((given or {}).get(kind) or {}).items()
            if name not in ours["limits"]
        }
        | ours[kind]
        for kind in ("limits", "requests")
    }


def _passing(pod: Pod) -> list[Pod]:
    """List the containers that have ended before the server begins."""
    inits: list[Pod] = pod["spec"].get("initContainers") or []
    return [one for one in inits if one.get("restartPolicy") != "Always"]


def _lasting(pod: Pod) -> list[Pod]:
    """List the containers that run at the same time."""
    inits: list[Pod] = pod["spec"].get("initContainers") or []
    return [*pod["spec"]["containers"], *(one for one in inits if one.get("restartPolicy") == "Always")]


def _of_size(pod: Pod, memory_bytes: int, cpu: float) -> Iterator[str]:
    granted = {"memory": Decimal(memory_bytes), "cpu": quantity(milli(cpu))}
    for name, most in granted.items():
        total = sum((quantity(one["resources"]["limits"][name]) for one in _lasting(pod)), Decimal(0))
        if total != most:
            yield f"the {name} limits of its containers make {total}, not the {most} granted"
        for one in _passing(pod):
            if quantity(one["resources"]["limits"][name]) > most:
                yield f"container {one['name']} may have more {name} than the {most} granted"
    if pod["spec"].get("resources"):
        yield "it has limits as a whole beside those of its containers"


def _of_pod(pod: Pod) -> Iterator[str]:
    spec = pod["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        yield "it would get a service account's token"
    if spec.get("enableServiceLinks") is not False:
        yield "it would be told of the namespace's services"
    yield from (f"it would share the node's {name[4:]}" for name in _HOST if spec.get(name))
    if spec.get("ephemeralContainers"):
        yield "it has ephemeral containers"
    context = spec.get("securityContext") or {}
    groups = [context.get("fsGroup"), *(context.get("supplementalGroups") or [])]
    if 0 in groups:
        yield "it would be in root's group"
    if context.get("sysctls"):
        yield "it would set sysctls"
    for volume in spec.get("volumes") or []:
        if volume.get("hostPath") is not None:
            yield f"volume {volume['name']} is a folder of the node"
        sources = (volume.get("projected") or {}).get("sources") or []
        if any(source.get("serviceAccountToken") is not None for source in sources):
            yield f"volume {volume['name']} has a service account's token"


def _of_containers(pod: Pod) -> Iterator[str]:
    whole = pod["spec"].get("securityContext") or {}
    for container in [*_lasting(pod), *_passing(pod)]:
        own = container.get("securityContext") or {}
        for fault in _of_container(container, whole | {key: own[key] for key in own if own[key] is not None}):
            yield f"container {container['name']} {fault}"


def _of_container(container: Pod, context: dict[str, Any]) -> Iterator[str]:
    capabilities = context.get("capabilities") or {}
    seccomp, apparmor = context.get("seccompProfile") or {}, context.get("appArmorProfile") or {}
    found = {
        "is privileged": context.get("privileged"),
        "could gain privileges": context.get("allowPrivilegeEscalation") is not False,
        "could run as root": context.get("runAsNonRoot") is not True or not context.get("runAsUser"),
        "could run in root's group": not context.get("runAsGroup"),
        "has no seccomp profile": seccomp.get("type") not in {"RuntimeDefault", "Localhost"},
        "is without AppArmor": apparmor.get("type") == "Unconfined",
        "keeps capabilities": "ALL" not in (capabilities.get("drop") or []) or capabilities.get("add"),
        "sees more of /proc": context.get("procMount") not in {None, "Default"},
        "takes a port of the node": any(port.get("hostPort") for port in container.get("ports") or []),
        "has raw devices": container.get("volumeDevices"),
    }
    return (fault for fault, here in found.items() if here)
