"""Another limit for a pod that runs: what to ask for, and what the pod's status says became of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import ClientError
from kubernetes_asyncio.client import ApiException

from cubehub_spawner._kube_pod import SERVER, Pod, own_part, quantity, resources
from cubehub_spawner.errors import NoRoomError, ResizeError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import CoreV1Api

_LOOK_EVERY_S = 0.2
_QUOTA_SETTLES_S = 2
_TELL = {"PodResizePending", "PodResizeInProgress"}
API_ERRORS = (ApiException, ClientError)
"""The API server says no, or can't be reached."""

State = Literal["done", "waiting", "no_room", "failed"]


def server_resources(pod: Pod) -> dict[str, Any]:
    """Read what the pod's server is asked to be held to."""
    found: dict[str, Any] = next(
        one["resources"] for one in pod["spec"]["containers"] if one["name"] == SERVER
    )
    return found


def same(one: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    """Tell whether two containers have the same memory and cores, however the amounts are written."""
    return all(
        quantity(((one or {}).get(kind) or {}).get(name, 0)) == quantity((other.get(kind) or {}).get(name, 0))
        for kind in ("limits", "requests")
        for name in ("memory", "cpu")
    )


def state_of(pod: Pod, wanted: dict[str, Any]) -> tuple[State, str]:
    """Tell how far a resize is, by what the kubelet says, and the kubelet's reason.

    Parameters
    ----------
    pod : dict
        The pod, read after the change was asked for.
    wanted : dict
        The server's resources as they were asked for.

    Notes
    -----
    The status that is there before the kubelet has looked is that of an earlier question: a condition counts once the
    kubelet has seen the present one, and done is only what the runtime reports.
    """
    status = pod["status"]
    generation = pod["metadata"].get("generation", 0)
    conditions = {one["type"]: one for one in status.get("conditions") or [] if one["status"] == "True"}
    if any(
        conditions[name].get("observedGeneration", generation) < generation
        for name in _TELL & set(conditions)
    ):
        return "waiting", ""
    pending, running = conditions.get("PodResizePending"), conditions.get("PodResizeInProgress")
    if pending is not None and pending.get("reason") in {"Infeasible", "Deferred"}:
        return "no_room", pending.get("message", "")
    if running is not None and running.get("reason") == "Error":
        return "failed", running.get("message", "")
    real = next(
        (one.get("resources") for one in status.get("containerStatuses") or [] if one["name"] == SERVER), None
    )
    if pending is None and running is None and same(real, wanted):
        return "done", ""
    return "waiting", ""


class Resizer:
    """Changes the limits of one pod, and puts the old ones back where that can't be done.

    Parameters
    ----------
    api : CoreV1Api
    namespace, name : str
        The pod.
    timeout_s : float
        How long the kubelet may take.
    """

    def __init__(self, api: CoreV1Api, namespace: str, name: str, timeout_s: float) -> None:
        self._api, self._namespace, self._name, self._timeout_s = api, namespace, name, timeout_s

    async def read(self) -> Pod:
        """Read the pod as it is now."""
        try:
            pod = await self._api.read_namespaced_pod(self._name, self._namespace)
        except API_ERRORS as error:
            raise ResizeError(f"The pod {self._name} can't be read: {reason_of(error)}") from error
        found: Pod = self._api.api_client.sanitize_for_serialization(pod)
        return found

    async def resize(self, pod: Pod, memory_bytes: int, cpu: float, cpu_share: float) -> None:
        """Bring the pod to these limits; nothing happens where it has them.

        Raises
        ------
        NoRoomError
            Its node has no room; it is as it was.
        ResizeError
            It could not be done; it is as it was.
        """
        before = server_resources(pod)
        try:
            wanted = resources(*own_part(pod, memory_bytes, cpu), cpu_share)
        except ValueError as error:
            raise ResizeError(f"The pod {self._name} can't have that limit: {error}") from error
        try:
            if not same(before, wanted):
                await self._ask(wanted)
            state, why = await self._wait(wanted)
        except BaseException:  # the request was given up: what was not granted must not come later
            await asyncio.shield(self._put_back(before))
            raise
        if state == "done":
            return
        await self._put_back(before)
        if state == "no_room":
            raise NoRoomError(f"The node of {self._name} has no room: {why}")
        raise ResizeError(f"The limit of {self._name} was not changed: {why}")

    async def _ask(self, wanted: dict[str, Any]) -> None:
        body = {"spec": {"containers": [{"name": SERVER, "resources": wanted}]}}
        ends = time.monotonic() + _QUOTA_SETTLES_S
        while True:
            try:
                await self._api.patch_namespaced_pod_resize(
                    self._name, self._namespace, body, _content_type="application/strategic-merge-patch+json"
                )
            except API_ERRORS as error:
                why = reason_of(error)
                # a quota that was widened just now may not have reached the API server's memory
                if "exceeded quota" not in why or time.monotonic() > ends:
                    raise ResizeError(
                        f"The cluster did not take the new limit of {self._name}: {why}"
                    ) from error
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return

    async def _wait(self, wanted: dict[str, Any]) -> tuple[State, str]:
        ends = time.monotonic() + self._timeout_s
        while True:
            state, why = state_of(await self.read(), wanted)
            if state != "waiting":
                return state, why
            if time.monotonic() > ends:
                return "failed", f"nothing was heard of it for {self._timeout_s:g} s"
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _put_back(self, before: dict[str, Any]) -> None:
        """Ask for the old figures; the pod has them still, so there is nothing to wait for but the kubelet's look."""
        if same(server_resources(await self.read()), before):
            return
        await self._ask({kind: dict(before.get(kind) or {}) for kind in ("limits", "requests")})
        state, why = await self._wait(before)
        if state != "done":
            raise ResizeError(f"The limit of {self._name} is not as it was: {why}")


def reason_of(error: Exception) -> str:
    """Tell the API server's own words, which name objects and limits, without the request."""
    if not isinstance(error, ApiException):
        return f"the API server can't be reached ({type(error).__name__})"
    try:
        return f"{error.status} {json.loads(error.body)['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"
