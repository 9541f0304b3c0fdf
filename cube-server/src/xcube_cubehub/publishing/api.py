"""The HTTP API of publishing: JSON in and out, errors as ``{code, message, hint}``; tokens only in the header."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web
from pydantic import ValidationError

from xcube_cubehub.publishing.desk import Desk
from xcube_cubehub.publishing.model import PublishError, Wish
from xcube_cubehub.publishing.people import People
from xcube_cubehub.publishing.rules import Person
from xcube_cubehub.publishing.uploads import PART_BYTES

log = logging.getLogger(__name__)
MAX_BODY_BYTES = 4 * 2**20
"""As in the processes in front."""
MAX_DEPTH = 8
"""Of JSON: the structure of a dataset has less."""
AT_ONCE = 6
"""Bodies that are held in memory; who comes then waits, and its connection is not read."""
_ID = re.compile(r"[0-9a-f]{32}")
_SHA = re.compile(r"[0-9a-fA-F]{64}")
T = TypeVar("T")
Handler = Callable[[web.Request, Person], Awaitable[web.StreamResponse]]


class Api:
    """The routes below ``PREFIX/publishing``.

    Parameters
    ----------
    desk : Desk
        Does what is asked.
    people : People
        Say who asks.
    """

    def __init__(self, desk: Desk, people: People) -> None:
        self._desk, self._people = desk, people
        self._bodies = asyncio.Semaphore(AT_ONCE)
        self._quick = ThreadPoolExecutor(3, thread_name_prefix="desk")
        self._build = ThreadPoolExecutor(1, thread_name_prefix="build")
        """One step is written, and one cube finished, at a time: each holds a field of the cube in memory."""
        self._late = ThreadPoolExecutor(4, thread_name_prefix="finish")
        self._tasks: set[asyncio.Task[Any]] = set()

    def application(self, prefix: str) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors])
        base = f"{prefix}/publishing"
        upload, step = f"{base}/uploads/{{upload}}", f"{base}/uploads/{{upload}}/steps/{{step}}"
        app.add_routes([
            web.get(f"{base}/health", _health),
            web.post(f"{base}/uploads", self._known(self._begin)),
            web.get(upload, self._known(self._state)),
            web.delete(upload, self._known(self._give_up)),
            web.put(f"{step}/{{variable}}/{{part}}", self._known(self._put)),
            web.post(step, self._known(self._commit)),
            web.post(f"{upload}/finish", self._known(self._finish)),
            web.get(f"{base}/cubes", self._known(self._list)),
            web.get(f"{base}/cubes/{{cube}}/item", self._known(self._item)),
            web.delete(f"{base}/cubes/{{cube}}", self._known(self._take_back)),
            web.patch(f"{base}/cubes/{{cube}}", self._known(self._extend)),
        ])  # fmt: skip
        return app

    def _known(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            person = await self._people.identify(request.headers.get("Authorization"))
            return await handler(request, person)

        return handle

    async def _do(
        self, function: Callable[..., T], *args: Any, pool: ThreadPoolExecutor | None = None, **more: Any
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool or self._quick, lambda: function(*args, **more))

    async def _begin(self, request: web.Request, person: Person) -> web.StreamResponse:
        async with self._bodies:
            body = await request.read()
            made = await self._do(lambda: self._desk.begin(_wish(body), person))
        return web.json_response(made, status=200 if made["resumed"] else 201)

    async def _state(self, request: web.Request, person: Person) -> web.StreamResponse:
        return web.json_response(await self._do(self._desk.state, _upload(request), person))

    async def _give_up(self, request: web.Request, person: Person) -> web.StreamResponse:
        await self._do(self._desk.give_up, _upload(request), person)
        return web.json_response({})

    async def _put(self, request: web.Request, person: Person) -> web.StreamResponse:
        digest = request.query.get("sha256", "")
        if not _SHA.fullmatch(digest):
            raise PublishError(
                400, "bad_input", "sha256 is missing", "give the SHA-256 of the values, in hex"
            )
        step, part = _number(request, "step"), _number(request, "part")
        if (request.content_length or 0) > PART_BYTES + PART_BYTES // 8:
            raise PublishError(413, "too_large", f"a part holds {PART_BYTES} bytes at most")
        async with self._bodies:
            body = await request.read()
            await self._do(
                self._desk.put,
                _upload(request),
                person,
                step,
                request.match_info["variable"],
                part,
                digest,
                body,
            )
        return web.json_response({})

    async def _commit(self, request: web.Request, person: Person) -> web.StreamResponse:
        made = await self._do(
            self._desk.commit, _upload(request), person, _number(request, "step"), request.query.get("same"),
            pool=self._build,
        )  # fmt: skip
        return web.json_response(made)

    async def _finish(self, request: web.Request, person: Person) -> web.StreamResponse:
        upload = await self._do(self._desk.start_finish, _upload(request), person)
        if upload is not None:
            task = asyncio.create_task(self._do(self._desk.finish, upload, pool=self._late))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return web.json_response({"state": "finishing"}, status=202)

    async def _list(self, request: web.Request, person: Person) -> web.StreamResponse:
        everybody = request.query.get("all") == "1"
        return web.json_response(await self._do(self._desk.shelf.listing, person, everybody=everybody))

    async def _item(self, request: web.Request, person: Person) -> web.StreamResponse:
        body = await self._do(self._desk.shelf.item, request.match_info["cube"], person)
        return web.Response(body=body, content_type="application/geo+json")

    async def _take_back(self, request: web.Request, person: Person) -> web.StreamResponse:
        now = request.query.get("now") == "1"
        return web.json_response(
            await self._do(
                self._desk.shelf.take_back, request.match_info["cube"], person, now=now, pool=self._late
            )
        )

    async def _extend(self, request: web.Request, person: Person) -> web.StreamResponse:
        body = _parsed(await request.read())
        days = body.get("expires_days") if isinstance(body, dict) else None
        if not isinstance(days, (int, float)) or isinstance(days, bool) or not 0 < days < 1e5:
            raise PublishError(
                400, "bad_input", "expires_days is not a number of days", 'send {"expires_days": 90}'
            )
        return web.json_response(
            await self._do(self._desk.shelf.extend, request.match_info["cube"], person, float(days))
        )


async def _health(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ok"})


def _upload(request: web.Request) -> str:
    name = request.match_info["upload"]
    if not _ID.fullmatch(name):
        raise PublishError(404, "no_upload", "there is no such upload", "begin one")
    return name


def _number(request: web.Request, name: str) -> int:
    text = request.match_info[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise PublishError(404, "not_found", f"{name} is not a number", "count from 0")
    return int(text)


def _parsed(body: bytes) -> Any:
    """JSON that is not nested without end: of the depth that a parser and its recursion bear."""
    depth = deepest = 0
    for byte in re.finditer(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', body):
        token = byte[0]
        depth += token in b"[{" and len(token) == 1
        depth -= token in b"]}" and len(token) == 1
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            raise PublishError(400, "bad_input", f"the JSON is nested deeper than {MAX_DEPTH} levels")
    try:
        made = json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise PublishError(400, "bad_input", f"the body is not JSON: {str(error)[:200]}") from error
    try:
        json.dumps(made, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise PublishError(
            400, "bad_input", f"{_broken_text(made) or 'the body'}: half of a character (U+{ord(error.object[error.start]):04X})",
            "correct the text; no file could hold it",
        ) from error  # fmt: skip
    return made


def _broken_text(value: Any) -> str:
    """Where in parsed JSON the first text is that cannot be written as UTF-8; the way to it, with points."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        name = str(key).encode("ascii", "backslashreplace").decode()[:60]
        if not _is_text(key) or not _is_text(member):
            return name
        if inside := _broken_text(member):
            return f"{name}.{inside}"
    return ""


def _is_text(value: Any) -> bool:
    return not isinstance(value, str) or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _wish(body: bytes) -> Wish:
    try:
        return Wish.model_validate(_parsed(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:200] or "the body"
        raise PublishError(
            400, "bad_input", f"{where}: {first['msg']}", "correct the request; `cubehub.publish` writes it"
        ) from error


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    status, code, message, hint, more = (
        500,
        "failed",
        "something failed here",
        "tell the operator the time",
        {},
    )
    try:
        answer = await handler(request)
        answer.headers["Cache-Control"] = "no-store"
    except PublishError as error:
        status, code, message, hint, more = (
            error.status,
            error.code,
            error.message,
            error.hint,
            dict(error.more),
        )
        if error.problems:
            more["problems"] = [p.as_json() for p in error.problems]
    except web.HTTPException as error:
        status, code, message, hint = error.status, f"http_{error.status}", error.reason, ""
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
    else:
        return answer
    headers = {"Cache-Control": "no-store"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return web.json_response(
        {"code": code, "message": message, "hint": hint, **more}, status=status, headers=headers
    )
