"""Hand a request on to xcube, and its answer back."""

import asyncio
import contextlib
import ipaddress
from pathlib import Path
from typing import Any

import httptools

from xcube_cubehub.fast.http import Connection, Request, error

_NOT_HANDED_ON = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade", b"content-length", b"expect", b"x-forwarded-for", b"x-real-ip",
    }
)  # fmt: skip
_CHUNK = 256 * 1024


class _Reply:
    """Translates what the parser of the answer reads into what the client is sent."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self._to, self._request = connection, request
        self._headers: list[tuple[bytes, bytes]] = []
        self.parser: Any = httptools.HttpResponseParser(self)
        self.begun = self.done = self._chunked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if 100 <= status < 200:
            self._headers = []
            return
        names = {name.lower() for name, _ in self._headers}
        bodiless = status in {204, 304} or self._request.method == b"HEAD"
        self._chunked = b"content-length" not in names and not bodiless
        lines = [b"HTTP/1.1 %d %s\r\n" % (status, self.status_text or b"")]
        for name, value in self._headers:
            if name.lower() not in _NOT_HANDED_ON or name.lower() == b"content-length":
                lines.append(name + b": " + value + b"\r\n")
        if self._chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        if not self._request.keep_alive:
            lines.append(b"Connection: close\r\n")
        lines.append(b"\r\n")
        self._to.write(b"".join(lines))
        self.begun = True
        if bodiless:
            # the parser cannot know that the answer to HEAD ends here
            self.done = True

    status_text: bytes = b""

    def on_status(self, status: bytes) -> None:
        self.status_text = status

    def on_body(self, body: bytes) -> None:
        if self._request.method != b"HEAD" and body:
            self._to.write(b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        if self.begun:
            self.finish()

    def finish(self) -> None:
        if not self.done:
            self.done = True
            if self._chunked:
                self._to.write(b"0\r\n\r\n")


def sender(request: Request) -> bytes:
    """The address of whoever sent a request, as far as anybody knows who can be believed.

    Notes
    -----
    A proxy appends to ``X-Forwarded-For`` whom it heard, and all that stands before may be made up by the client. A
    proxy is near: what somebody says who comes from a public address is not asked for.
    """
    try:
        is_near = not request.peer or not ipaddress.ip_address(request.peer.partition("%")[0]).is_global
    except ValueError:
        is_near = False
    told = [value for name, value in request.headers if name == b"x-forwarded-for"]
    last = told[-1].rpartition(b",")[2].strip() if told and is_near else b""
    return last or request.peer.encode()


def rewritten(request: Request) -> bytes:
    """The request as it goes to xcube: same words, a connection of its own."""
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method, request.url)]
    lines += [name + b": " + value + b"\r\n" for name, value in request.headers if name not in _NOT_HANDED_ON]
    if address := sender(request):
        lines.append(b"x-forwarded-for: %b\r\n" % address)
    if request.body or request.method in {b"POST", b"PUT", b"PATCH"}:
        lines.append(b"content-length: %d\r\n" % len(request.body))
    lines.append(b"connection: close\r\n\r\n")
    lines.append(request.body)
    return b"".join(lines)


async def forward(connection: Connection, request: Request, socket: Path) -> None:
    """Have xcube answer a request.

    Parameters
    ----------
    connection : Connection
        Whom the answer is for.
    socket : path
        Where xcube listens.
    """
    reply = _Reply(connection, request)
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=_CHUNK)
    except OSError:
        connection.write(
            error(503, "the cube server is starting", "try again in a moment", keep_alive=request.keep_alive)
        )
        return
    try:
        writer.write(rewritten(request))
        # xcube has it, or has it soon; the answer may take long
        request.body = b""
        while not reply.done:
            data = await reader.read(_CHUNK)
            if not data:
                break
            reply.parser.feed_data(data)
            await connection.drain()
    except (OSError, httptools.HttpParserError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not reply.begun:
        connection.write(
            error(503, "the cube server stopped while it answered", "try again in a moment", keep_alive=False)
        )
        connection.close()
    elif not reply.done:
        # What was sent is not whole, and only an end without an end says so
        connection.close()
