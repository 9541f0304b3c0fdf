"""What people ask the gateway, seen through before Dask Gateway answers 500 to it."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CLUSTERS = "/api/v1/clusters/"
_NAME = re.compile(r"[0-9A-Za-z.-]{1,100}")
_ADDRESSES = ("api_address", "scheduler_address", "dashboard_address")
_HUNG_UP = 499
"""Nginx's number for a client that did not wait; nobody reads the answer, but the log does."""
_WORKERS = ("active_workers", "closing_workers", "closed_workers")


class BadRequestError(Exception):
    """A request that can't be answered; the text says what was wrong and what is allowed."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


def check(action: str, body: bytes) -> None:
    """Refuse a body that isn't what its route takes.

    Parameters
    ----------
    action
        `create`, `scale`, `adapt` or `heartbeat`.
    body
        As it was sent.

    Raises
    ------
    BadRequestError
        Status 400 for what is no JSON object, 422 for members that can't be.
    """
    message = _read(body, endless=action == "adapt")
    if action in _CHECKS:
        _CHECKS[action](message)


def _check_create(message: dict[str, Any]) -> None:
    options = message.get("cluster_options")
    if not isinstance(options, dict | None):
        raise BadRequestError('cluster_options must be a JSON object such as {"worker_cores": 1}')
    for name, value in (options or {}).items():
        # to Python, true is 1
        if isinstance(value, bool):
            raise BadRequestError(f"{name!r} must be a number, not {str(value).lower()}")


def _check_scale(message: dict[str, Any]) -> None:
    _check_count("count", message.get("count"))


def _check_adapt(message: dict[str, Any]) -> None:
    low, high = message.get("minimum"), message.get("maximum")
    if high == math.inf:
        high = None  # distributed's own default; the profile's limit holds all the same
    for name, value in (("minimum", low), ("maximum", high)):
        if value is not None:
            _check_count(name, value)
    if low is not None and high is not None and low > high:
        raise BadRequestError(f"minimum ({low}) must not be above maximum ({high})")
    if not isinstance(message.get("active", True), bool):
        raise BadRequestError("active must be true or false")


def _check_heartbeat(message: dict[str, Any]) -> None:
    _check_count("count", message.get("count"))
    if not all(isinstance(message.get(name), str) for name in _ADDRESSES):
        raise BadRequestError(f"a heartbeat has the texts {', '.join(_ADDRESSES)}")
    if not all(_is_names(message.get(name)) for name in _WORKERS):
        raise BadRequestError(f"a heartbeat has the lists of names {', '.join(_WORKERS)}")


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "create": _check_create,
    "scale": _check_scale,
    "adapt": _check_adapt,
    "heartbeat": _check_heartbeat,
}


def _read(body: bytes, *, endless: bool) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        if endless and constant == "Infinity":
            return math.inf
        raise ValueError(f"{constant} is no number")

    def finite(digits: str) -> float:
        number = float(digits)
        return number if math.isfinite(number) else refuse(digits[:40])

    try:
        message = json.loads(body, parse_constant=refuse, parse_float=finite)
        # halves of characters, which JSON can write, can't be answered
        json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is no JSON that can be used: {str(error)[:100]}", 400) from error
    if not isinstance(message, dict):
        raise BadRequestError('The body must be a JSON object such as {"cluster_options": {}}', 400)
    return message


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise BadRequestError(f"{name} must be a whole number of workers, 0 or more")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _action(request: web.Request) -> str:
    """Name what a request asks for by the route that it found."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else ""
    if request.method != "POST" or not route.startswith(_CLUSTERS):
        return ""
    return "create" if route == _CLUSTERS else route.rpartition("/")[2]


@web.middleware
async def see_through(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what Dask Gateway would fail on; what fails nevertheless is logged, and told without details."""
    try:
        header = request.headers.get("Authorization")
        if header is not None and not header.strip().partition(" ")[2]:
            headers = {"WWW-Authenticate": "jupyterhub"}
            return _told(401, "The Authorization header must be a scheme and a token", headers)
        name = request.match_info.get("cluster_name")
        if name is not None and _NAME.fullmatch(name) is None:
            return _told(404, "There is no cluster of that name")
        if action := _action(request):
            check(action, await request.read())
        return await handler(request)
    except BadRequestError as error:
        return _told(error.status, str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _told(error.status, error.reason, error.headers)
    except Exception as error:  # noqa: BLE001 -- logged with its traceback, which people don't get
        return _failed(request, error)


def _failed(request: web.Request, error: Exception) -> web.Response:
    # Re-raised, aiohttp would log a client that hung up with a traceback. A connection to the Hub that broke is a
    # failure like any other.
    if isinstance(error, ConnectionError) and request.transport is None:
        return web.Response(status=_HUNG_UP)
    request.app["log"].error("%s %s failed", request.method, request.rel_url.raw_path, exc_info=error)
    return _told(500, "The gateway made a mistake; try again, and tell the operator the time if it stays")


def _told(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    kept = {name: value for name, value in (headers or {}).items() if not name.lower().startswith("content-")}
    return web.json_response({"error": reason}, status=status, headers=kept)
