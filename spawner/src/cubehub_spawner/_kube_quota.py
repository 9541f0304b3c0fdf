"""The second lock of a person's own namespace: a quota that the API server keeps, whatever the Hub asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes_asyncio.client import ApiException

from cubehub_spawner._kube_pod import milli, quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernetes_asyncio.client import CoreV1Api

    from cubehub_spawner.profiles import Profile

QUOTA = "cubehub"
"""Name of the ResourceQuota."""


def quota_of(mine: Sequence[Profile]) -> dict[str, str]:
    """Write the quota of somebody whose groups grant these profiles, best first.

    Notes
    -----
    Memory is the best profile's, as in `decide`. Cores are not added up there, so the most that servers within that
    memory can have is allowed: as many per byte as the profile that gives most for a byte.
    """
    memory = mine[0].memory
    cpu = memory * max(profile.cpu / profile.memory for profile in mine)
    return {
        "limits.memory": str(memory),
        "requests.memory": str(memory),
        "limits.cpu": milli(cpu),
        "requests.cpu": milli(cpu),
        "pods": str(memory // min(profile.memory for profile in mine)),
        "persistentvolumeclaims": "1",
        "requests.storage": str(max(profile.storage for profile in mine)),
    }


def with_room(hard: dict[str, str], memory_bytes: int, cpu: float) -> dict[str, str]:
    """Give the entries of a quota that are too small for that much memory and as many cores in all."""
    wanted = {"limits.memory": str(memory_bytes), "requests.memory": str(memory_bytes)}
    wanted |= {"limits.cpu": milli(cpu), "requests.cpu": milli(cpu)}
    return {name: value for name, value in wanted.items() if quantity(hard.get(name, "0")) < quantity(value)}


async def ensure_quota(api: CoreV1Api, namespace: str, hard: dict[str, str]) -> None:
    """Make the quota of a namespace, or bring the one that is there to these figures."""
    body: dict[str, Any] = {"metadata": {"name": QUOTA}, "spec": {"hard": hard}}
    try:
        await api.create_namespaced_resource_quota(namespace, body)
    except ApiException as error:
        if error.status != 409:
            raise
        await change_quota(api, namespace, hard)


async def change_quota(api: CoreV1Api, namespace: str, hard: dict[str, str]) -> None:
    """Change some figures of a quota that is there."""
    await api.patch_namespaced_resource_quota(
        QUOTA, namespace, {"spec": {"hard": hard}}, _content_type="application/merge-patch+json"
    )


async def read_quota(api: CoreV1Api, namespace: str) -> dict[str, str]:
    """Read the figures of a quota."""
    quota = await api.read_namespaced_resource_quota(QUOTA, namespace)
    return dict(quota.spec.hard or {})
