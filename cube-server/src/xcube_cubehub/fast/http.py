"""Just enough HTTP/1.1 to answer at once what can be answered at once."""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import httptools
import orjson

log = logging.getLogger(__name__)
MAX_URL_BYTES = 16 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_WAITING = 16
"""Requests that one connection may send before it has read the answers."""
RETRY_S = 5
"""What a client is told to wait while the server behind is away."""
IDLE_S = 75.0
"""A connection that says nothing for so long, or takes so long to say what it wants, is closed."""
_HINTS = {
    400: "correct the request",
    413: "send less at once",
    414: "shorten the address",
    431: "send fewer or shorter headers",
    503: "try again in a minute",
}


@dataclass(slots=True)
class Request:
    """A request, whole."""

    method: bytes = b""
    url: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    keep_alive: bool = True
    refused: int = 0
    """A status with which it is refused, however it goes on; 0 for none."""

    def header(self, name: bytes) -> bytes | None:
        """The first header of a name in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


def response(status: int, headers: bytes, body: bytes = b"", *, keep_alive: bool = True) -> bytes:
    """A whole response; ``headers`` are lines, each with its end."""
    length = b"" if status == HTTPStatus.NOT_MODIFIED else b"Content-Length: %d\r\n" % len(body)
    close = b"" if keep_alive else b"Connection: close\r\n"
    return b"".join((_status_line(status), headers, length, close, b"\r\n", body))


_REFUSED_GZIP = re.compile(rb"gzip\s*;\s*q\s*=\s*0(?:\.0*)?\s*(?:,|$)")


def takes_gzip(request: Request) -> bool:
    """Whether a client unpacks gzip, by what it says (``Accept-Encoding``); one may say so to exclude it."""
    given = (request.header(b"accept-encoding") or b"").lower()
    return b"gzip" in given and _REFUSED_GZIP.search(given) is None


def unchanged(request: Request, etag: bytes) -> bool:
    """Whether a client has what it asks for already, by what it says (``If-None-Match``)."""
    given = request.header(b"if-none-match")
    return given is not None and (etag in given or given.strip() == b"*")


_LINES: dict[int, bytes] = {
    s.value: b"HTTP/1.1 %d %s\r\nServer: CubeHub\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus
}


def _status_line(status: int) -> bytes:
    return _LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def error_body(status: int, message: str, hint: str = "", *, code: str = "") -> bytes:
    """What a refusal says, as JSON."""
    body = {
        "status_code": status, "code": code or f"http_{status}", "message": message,
        "reason": HTTPStatus(status).phrase, "hint": hint or _HINTS.get(status, ""),
    }  # fmt: skip
    return orjson.dumps({"error": body})


def error(status: int, message: str, hint: str = "", *, code: str = "", keep_alive: bool = True) -> bytes:
    """A refusal, in the words and the form of the server behind."""
    head = b"Content-Type: application/json; charset=UTF-8\r\nCache-Control: no-store\r\n"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        head += b"Retry-After: %d\r\n" % RETRY_S
    body = error_body(status, message, hint, code=code)
    return response(status, head, body, keep_alive=keep_alive)


def failure(request: Request) -> bytes:
    """What is said where something went wrong that nobody thought of; the log has more."""
    request.keep_alive = False
    return error(
        500, "this could not be answered", "tell the operator the time of this answer", keep_alive=False
    )


Answer = Callable[["Connection", Request], bytes | Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client.

    Parameters
    ----------
    answer : callable
        Given a request: the whole response, or what writes it (`write`, `drain`).
    open_connections : set
        Where it is listed while it is open.
    """

    def __init__(self, answer: Answer, open_connections: "set[Connection]") -> None:
        self._answer = answer
        self._all = open_connections
        self._transport: Any = None
        self._parser: Any = None
        self._current = Request()
        self._size = 0
        self._parts: list[bytes] = []
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self.since = time.monotonic()
        self.gone = self.ending = False

    # Of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: what waits for it is given up."""
        del exc
        self.gone = True
        self._all.discard(self)
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.since = time.monotonic()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "this server speaks HTTP/1.1 only")
        except httptools.HttpParserError:
            status = self._current.refused or 400
            self._refuse(
                status, "the request cannot be read" if status == 400 else "the request is too large"
            )

    def _refuse(self, status: int, message: str) -> None:
        if not self._transport.is_closing():
            self._transport.write(error(status, message, keep_alive=False))
            self._transport.close()

    # Of the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._current, self._size, self._parts = Request(), 0, []

    def on_url(self, url: bytes) -> None:
        """Part of its address."""
        self._current.url += url
        if len(self._current.url) > MAX_URL_BYTES:
            self._too_large(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._size += len(name) + len(value)
        if self._size > MAX_HEADER_BYTES:
            self._too_large(431)
        self._current.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._size = 0
        self._current.method = self._parser.get_method()
        expect = self._current.header(b"expect")
        if expect is not None and expect.lower() == b"100-continue" and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._too_large(413)
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._current
        request.body = b"".join(self._parts)
        request.keep_alive = self._parser.should_keep_alive()
        self._parts = []
        if self._busy:
            self._waiting.append(request)
            if len(self._waiting) >= MAX_WAITING:
                self._transport.pause_reading()
        else:
            self._begin(request)

    def _too_large(self, status: int) -> None:
        self._current.refused = status
        message = "too large"
        raise ValueError(message)  # the parser makes an error of its own from it

    # Answers

    @property
    def _busy(self) -> bool:
        return self._task is not None

    def _begin(self, request: Request) -> None:
        if self.gone or self._transport.is_closing():
            return
        try:
            found = self._answer(self, request)
        except Exception:
            log.exception("a request could not be answered")
            found = failure(request)
        if isinstance(found, bytes):
            self._transport.write(found)
            if not request.keep_alive:
                self._transport.close()
        else:
            self._task = asyncio.ensure_future(self._finish(found, request))

    async def _finish(self, work: Awaitable[None], request: Request) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if not self.gone:
                raise
            return
        except Exception:
            # What was sent may be half an answer, and only an end without an end says so
            log.exception("a request could not be answered")
            self.write(failure(request))
            self._transport.close()
        finally:
            self._task = None
        self.since = time.monotonic()
        if not request.keep_alive or self.ending:
            self._transport.close()
            return
        while self._waiting and not self._busy:
            self._begin(self._waiting.popleft())
        if len(self._waiting) < MAX_WAITING and not self.gone and not self._transport.is_closing():
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        if not self.gone:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent."""
        await self._can_write.wait()

    def close(self) -> None:
        """End."""
        self._transport.close()

    def end(self) -> None:
        """Answer what is being answered, and no more."""
        self._waiting.clear()
        self.ending = True
        if not self._busy:
            self._transport.close()

    def abort_if_idle(self, now: float) -> None:
        """End if it has said nothing for long."""
        if not self._busy and now - self.since > IDLE_S:
            self._transport.close()


def date() -> str:
    """Now, as HTTP writes it."""
    return formatdate(usegmt=True)
