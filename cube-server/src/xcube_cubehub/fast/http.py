"""Just enough HTTP/1.1 to answer at once what can be answered at once."""

import asyncio
import fcntl
import logging
import re
import struct
import termios
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
HEADER_COST = 32
"""Bytes that a header counts for beside its own, so that many empty ones are not free."""
MAX_UNREAD_BYTES = 64 * 1024
"""What one connection may send ahead while it is being answered; then it is not read from."""
MAX_HELD_BYTES = 128 * 1024 * 1024
"""What all connections of a process may have sent that is not answered yet; who then sends much is refused."""
SLICE_BYTES = 8 * 1024
"""What is read at once: requests that follow in it are kept until their turn, all else is kept as it came."""
ARRIVAL_S = 60.0
"""In which a request is there, its body aside."""
MIN_BODY_RATE = 8 * 1024
"""Bytes in a second at which a body comes at least."""
STUCK_S = 60.0
"""A client that takes less than `MIN_PROGRESS_BYTES` of its answer in so long has gone, whatever it says."""
MIN_PROGRESS_BYTES = 1024
RETRY_S = 5
"""What a client is told to wait while the server behind is away."""
IDLE_S = 75.0
"""A connection that says nothing for so long, or takes so long to say what it wants, is closed."""
_HINTS = {
    400: "correct the request",
    408: "try again over a better line",
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
    peer: str = ""
    """Address of whoever holds the other end of the connection; empty if it has none."""

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


@dataclass(slots=True)
class Held:
    """What the connections of a process have sent that is not answered yet, in bytes."""

    size: int = 0


class Connection(asyncio.Protocol):
    """One client.

    Parameters
    ----------
    answer : callable
        Given a request: the whole response, or what writes it (`write`, `drain`).
    open_connections : set
        Where it is listed while it is open.
    held : Held, optional
        Where all connections of the process count what they keep.

    Notes
    -----
    One request is answered at a time. While one is, or while the client does not read what it was sent, nothing more
    is parsed: what comes meanwhile is kept as it came, and soon not read from the socket at all. So no client makes
    the process keep more than the body of one request, its answer and `MAX_UNREAD_BYTES` and one read.
    """

    def __init__(self, answer: Answer, open_connections: "set[Connection]", held: Held | None = None) -> None:
        self._answer = answer
        self._all = open_connections
        self._held = held or Held()
        self._transport: Any = None
        self._parser: Any = None
        self._peer = ""
        self._current = Request()
        self._size = self._dry = 0
        self._body = bytearray()
        self._receiving = self._in_trailers = False
        self._unread = bytearray()
        self._waiting: deque[Request] = deque()
        self._broken: tuple[int, str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._answering = self._counted = 0
        self._reading = True
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._left = 0
        self.since = self._began = self._moved = time.monotonic()
        self.gone = self.ending = False

    # Of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: what waits for it is given up."""
        del exc
        self.gone = True
        self._all.discard(self)
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()
        self._waiting.clear()
        self._unread, self._body, self._answering = bytearray(), bytearray(), 0
        self._count()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._can_write.set()
        self.since = self._began = time.monotonic()
        if self._waiting or self._unread or self._broken or not self._reading:
            asyncio.get_running_loop().call_soon(self._go_on)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if len(data) <= SLICE_BYTES and not (self._busy or self._waiting or self._unread or self._broken):
            self._feed(data)
        else:
            self._unread += data
            self._go_on()
        self._count()
        if self._held.size > MAX_HELD_BYTES and self._counted > MAX_UNREAD_BYTES:
            if self._busy:
                self._transport.abort()
            else:
                self._refuse(503, "too much is being sent to this server at once")

    def _go_on(self) -> None:
        """Answer and parse what has come until something has to be waited for; read on if little is left."""
        while not self._busy and not self.gone and not self._transport.is_closing():
            if self._waiting:
                self._begin(self._waiting.popleft())
            elif self._broken is not None:
                self._refuse(*self._broken)
            elif self._unread:
                data = bytes(self._unread[:SLICE_BYTES])
                del self._unread[:SLICE_BYTES]
                self._feed(data)
            else:
                break
        self._count()
        if self.gone or self._transport.is_closing():
            return
        if self._reading and len(self._unread) > MAX_UNREAD_BYTES:
            self._reading = False
            self._transport.pause_reading()
        elif not self._reading and len(self._unread) <= MAX_UNREAD_BYTES:
            self._reading = True
            self._transport.resume_reading()

    def _count(self) -> None:
        """Tell the process what is kept for this connection."""
        kept = len(self._unread) + len(self._body) + self._answering
        self._held.size += kept - self._counted
        self._counted = kept

    def _feed(self, data: bytes) -> None:
        """Parse on."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "this server speaks HTTP/1.1 only")
            return
        except httptools.HttpParserError:
            status = self._current.refused or 400
            self._refuse(
                status, "the request cannot be read" if status == 400 else "the request is too large"
            )
            return
        # The parser keeps a header, however long, until it ends
        self._dry += len(data)
        if self._dry > MAX_URL_BYTES + MAX_HEADER_BYTES:
            self._refuse(431, "the request is too large")

    def _refuse(self, status: int, message: str) -> None:
        """Say what is wrong and end, after what was asked before is answered."""
        if self._busy:
            self._broken = status, message
        elif not self._transport.is_closing():
            self._transport.write(error(status, message, keep_alive=False))
            self._transport.close()

    # Of the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._current, self._size, self._body = Request(peer=self._peer), 0, bytearray()
        self._receiving, self._in_trailers = True, False
        self._began = time.monotonic()

    def on_url(self, url: bytes) -> None:
        """Part of its address."""
        self._current.url += url
        if len(self._current.url) > MAX_URL_BYTES:
            self._too_large(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; what stands behind a body is none, for what was decided by the headers is decided."""
        self._size += len(name) + len(value) + HEADER_COST
        if self._in_trailers:
            if self._size > MAX_BODY_BYTES + MAX_HEADER_BYTES:
                self._too_large(431)
            return
        if self._size > MAX_HEADER_BYTES:
            self._too_large(431)
        self._current.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._size = self._dry = 0
        self._in_trailers = True
        self._current.method = self._parser.get_method()
        expect = self._current.header(b"expect")
        if expect is not None and expect.lower() == b"100-continue" and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._dry = 0
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._too_large(413)
        self._body += body

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._current
        request.body, self._body = bytes(self._body), bytearray()
        request.keep_alive = self._parser.should_keep_alive()
        self._receiving, self._dry = False, 0
        self.since = time.monotonic()
        if self._parser.should_upgrade():
            return  # the parser says so to whoever fed it, who refuses it
        if self._busy or self._waiting:
            self._waiting.append(request)
        else:
            self._begin(request)

    def _too_large(self, status: int) -> None:
        self._current.refused = status
        message = "too large"
        raise ValueError(message)  # the parser makes an error of its own from it

    # Answers

    @property
    def _busy(self) -> bool:
        """Whether the next request has to wait: for an answer, or for the client to read one."""
        return self._task is not None or not self._can_write.is_set()

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
            self._answering = len(request.body)
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
            self._answering = 0
        self.since = self._began = time.monotonic()
        if not request.keep_alive or self.ending:
            self._transport.close()
            return
        self._go_on()

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
        self._unread.clear()
        self.ending = True
        if self._task is None:
            self._transport.close()

    def end_if_idle(self, now: float) -> None:
        """End if it says nothing, does not come to an end with what it says, or does not read what it is told.

        Parameters
        ----------
        now : float
            Seconds, as `time.monotonic` counts them.
        """
        if self._is_stuck(now):
            self._transport.abort()
        elif not self._busy and self._receiving:
            if now - self._began > ARRIVAL_S + self._size / MIN_BODY_RATE:
                self._refuse(408, "the request did not come to its end in time")
        elif not self._busy and now - self.since > IDLE_S:
            self._transport.close()

    def _is_stuck(self, now: float) -> bool:
        """Whether the client has taken next to nothing of what waits for it since long."""
        left = self._transport.get_write_buffer_size()
        if left:
            left += _queued(self._transport)
        # More is only written once what was there has gone
        if not left or left > self._left or left <= self._left - MIN_PROGRESS_BYTES:
            self._left, self._moved = left, now
        return now - self._moved > STUCK_S


def _queued(transport: Any) -> int:
    """Bytes that the kernel has for a client: it takes some at a time, and a slow client hours for them."""
    try:
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except (OSError, AttributeError):
        return 0
    return int(struct.unpack("i", answer)[0])


def date() -> str:
    """Now, as HTTP writes it."""
    return formatdate(usegmt=True)
