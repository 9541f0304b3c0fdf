"""A plain client and a server in a thread, for the tests of the catalogue's sources."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp import web
from cubehub_catalogue.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path
    from types import TracebackType

_STARTING_S = 30.0


@dataclass(frozen=True)
class Settings:
    """What a source needs of a catalogue's settings."""

    url: str
    type: str = "static"
    id: str = "one"
    title: str = "One"
    collections: tuple[str, ...] = ()
    timeout: float = 30


@dataclass
class Answer:
    """An answer that was read whole, or is being read."""

    status: int
    url: str
    headers: dict[str, str]
    value: Any
    pieces: Any = None


@dataclass
class PlainClient:
    """The contract of the client without its guard, so that sources are tried alone; counts what it is asked."""

    asked: list[str] = field(default_factory=list)

    async def json(self, url: str, *, cached: bool = False) -> Answer:
        return await self._read(url, cached=cached, as_json=True)

    async def text(self, url: str, *, cached: bool = False) -> Answer:
        return await self._read(url, cached=cached, as_json=False)

    async def _read(self, url: str, *, cached: bool, as_json: bool) -> Answer:
        del cached
        self.asked.append(url)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            self._check(answer)
            try:
                value = await answer.json(content_type=None) if as_json else await answer.text()
            except ValueError as error:
                raise UpstreamError("bad_answer", "No JSON, or no text.", "Look.") from error
            return Answer(answer.status, str(answer.url), dict(answer.headers), value)

    @contextlib.asynccontextmanager
    async def stream(self, url: str, *, most_bytes: int) -> AsyncIterator[Answer]:
        self.asked.append(url)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            self._check(answer)
            pieces = _within(answer.content.iter_chunked(65536), most_bytes)
            yield Answer(answer.status, str(answer.url), dict(answer.headers), None, pieces)

    @staticmethod
    def _check(answer: aiohttp.ClientResponse) -> None:
        if answer.status >= 400:
            raise UpstreamError(
                "upstream", f"It answered {answer.status}.", "Look.", upstream_status=answer.status
            )


async def _within(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    got = 0
    async for chunk in chunks:
        got += len(chunk)
        if got > most:
            raise UpstreamError("too_large", "The answer is too large.", "Take less.")
        yield chunk


@dataclass
class Folder:
    """Serves a folder's files; what `instead` has for a path comes before them."""

    folder: Path
    instead: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self.asked.append(request.path)
        if request.path in self.instead:
            status, written = self.instead[request.path]
            return web.Response(status=status, text=written, content_type="application/json")
        file = (self.folder / request.path.lstrip("/")).resolve()
        if not file.is_relative_to(self.folder.resolve()) or not file.is_file():
            return web.Response(status=404)
        return web.Response(body=file.read_bytes(), content_type="application/json")


class ServerInThread:
    """A server on a free port of loopback, in a thread of its own; use it in a ``with``."""

    def __init__(self, handler: Callable[[web.BaseRequest], Coroutine[Any, Any, web.StreamResponse]]) -> None:
        self._handler = handler
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(_STARTING_S):
            raise RuntimeError("the test's server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_STARTING_S)

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handler))
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._started.set()
            await self._ending.wait()
        finally:
            await runner.cleanup()
