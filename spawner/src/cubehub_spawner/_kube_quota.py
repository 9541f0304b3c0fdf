"""What a person's own namespace is kept within by the cluster, whatever the Hub asks for: a quota, and whom it reaches."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes_asyncio.client import ApiException

from cubehub_spawner._kube_pod import milli, quantity
from cubehub_spawner._kube_resize import API_ERRORS, reason_of
from cubehub_spawner.errors import ResizeError

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from kubernetes_asyncio.client import CoreV1Api, NetworkingV1Api

    from cubehub_spawner.profiles import Profile

QUOTA = "cubehub"
"""Name of the ResourceQuota."""
_SETTLES_S = 10


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
    await _in_force(api, namespace)


async def change_quota(api: CoreV1Api, namespace: str, hard: dict[str, str]) -> None:
    """Change some figures of a quota that is there."""
    await api.patch_namespaced_resource_quota(
        QUOTA, namespace, {"spec": {"hard": hard}}, _content_type="application/merge-patch+json"
    )


async def _in_force(api: CoreV1Api, namespace: str) -> None:
    """Wait, not for ever, until the cluster goes by a quota as it was written.

    Notes
    -----
    The API server measures by the quota's status, which a controller brings to the figures a moment later.
    """
    ends = time.monotonic() + _SETTLES_S
    while time.monotonic() < ends:
        quota = await api.read_namespaced_resource_quota(QUOTA, namespace)
        if quota.status is not None and dict(quota.status.hard or {}) == dict(quota.spec.hard or {}):
            return
        await asyncio.sleep(0.1)


async def widen_quota(api: CoreV1Api, namespace: str, memory_bytes: int, cpu: float) -> dict[str, str]:
    """Let a quota have room for that much in all; give the figures that were changed, as they were.

    Raises
    ------
    ResizeError
        It can't be read or changed.
    """
    try:
        quota = await api.read_namespaced_resource_quota(QUOTA, namespace)
        hard = dict(quota.spec.hard or {})
        wider = with_room(hard, memory_bytes, cpu)
        if wider:
            await change_quota(api, namespace, wider)
            await _in_force(api, namespace)
    except API_ERRORS as error:
        raise ResizeError(f"The quota of {namespace} can't be widened: {reason_of(error)}") from error
    return {name: hard[name] for name in wider if name in hard}


async def narrow_quota(api: CoreV1Api, namespace: str, hard: dict[str, str], log: logging.Logger) -> None:
    """Bring a quota down to these figures; what servers have is settled by then, so a failure is only logged."""
    try:
        if hard:
            await change_quota(api, namespace, hard)
    except API_ERRORS as error:
        log.warning("The quota of %s stays too wide: %s", namespace, reason_of(error))


async def ensure_policies(api: NetworkingV1Api, namespace: str, file: str) -> None:
    """Make the NetworkPolicies of a YAML file in a namespace, or bring those that are there to it."""
    text = await asyncio.to_thread(Path(file).read_text, encoding="utf-8")
    for policy in yaml.safe_load_all(text):
        policy["metadata"].pop("namespace", None)
        try:
            await api.create_namespaced_network_policy(namespace, policy)
        except ApiException as error:
            if error.status != 409:
                raise
            await api.replace_namespaced_network_policy(policy["metadata"]["name"], namespace, policy)
