"""What takes long, in threads of its own: away from the loop that serves everybody, and from the threads of tiles."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from xcube.server.api import ApiHandler, ApiResponse

from xcube_cubehub.errors import BusyError
from xcube_cubehub.routes import LARGE_ROUTES, LISTING_ROUTE

FEW, MANY = 8, 200
"""How many may wait: for what takes seconds, and for what takes a moment, as when a class clicks on a map at once."""
client_gone: ContextVar[Callable[[], bool]] = ContextVar("client_gone", default=lambda: False)
"""Whether whoever sent the current request has closed the connection."""


class Line:
    """A few threads, and a bounded number of requests that wait for one.

    Parameters
    ----------
    name : str
        Of the threads, and of what is done in them, for people.
    threads : int
        How many.
    waiting : int
        How many requests may wait.
    """

    def __init__(self, name: str, threads: int, waiting: int = FEW) -> None:
        self._name, self._most = name, waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: list[Callable[[], bool]] = []

    async def run(self, call: Callable[[], Any]) -> Any:
        """Result of a call in one of the threads; None, without calling, if nobody waits for it any more.

        Raises
        ------
        BusyError
            Too many wait already.
        """
        gone = client_gone.get()
        if sum(not left() for left in tuple(self._waiting)) >= self._most:
            raise BusyError(f"too many {self._name} are being computed already", "try again in a minute")
        self._waiting.append(gone)

        def begin() -> Any:
            self._waiting.remove(gone)
            return None if gone() else call()

        return await asyncio.get_running_loop().run_in_executor(self._executor, begin)

    def stop(self) -> None:
        """Begin nothing more; what is being done ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Lines:
    """Threads for what takes long, apart from those that make tiles."""

    large: Line = field(default_factory=lambda: Line("coverages", 1))
    """Only one: HDF5, which writes netCDF, ends the process when two use it."""
    listings: Line = field(default_factory=lambda: Line("listings", 1, MANY))
    series: Line = field(default_factory=lambda: Line("series", 2, MANY))

    def of(self, route: str) -> Line | None:
        """Where all of a route's answer is made; None on the loop, as xcube does."""
        return self.large if route in LARGE_ROUTES else self.listings if route == LISTING_ROUTE else None

    def stop(self) -> None:
        """Begin nothing more."""
        for line in (self.large, self.listings, self.series):
            line.stop()


class _Recorded(ApiResponse):
    """Keeps what a handler answers, because a connection may be written to by its own loop only."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def set_status(self, status_code: int, reason: str | None = None) -> None:
        self.calls.append(("set_status", (status_code, reason)))

    def set_header(self, name: str, value: str) -> None:
        self.calls.append(("set_header", (name, value)))

    def write(self, data: Any, content_type: str | None = None) -> None:
        self.calls.append(("write", (data, content_type)))

    async def finish(self, data: Any = None, content_type: str | None = None) -> None:
        self.calls.append(("finish", (data, content_type)))


async def answer(
    line: Line, handler: ApiHandler, method: Callable[..., Awaitable[None]], *args: Any, **kwargs: Any
) -> None:
    """Run a handler's method aside, then give its answer here.

    Parameters
    ----------
    line : Line
        Where.
    handler : ApiHandler
        xcube's handler of one request.
    method : callable
        Its coroutine function for the request's method.

    Raises
    ------
    BusyError
        Too many wait already.
    """
    response, recorded = handler._response, _Recorded()  # noqa: SLF001 - xcube offers no other way to exchange it
    handler._response = recorded  # noqa: SLF001

    async def run() -> None:
        await method(*args, **kwargs)

    context = contextvars.copy_context()
    await line.run(lambda: context.run(asyncio.run, run()))
    for name, values in recorded.calls:
        given = getattr(response, name)(*values)
        if name == "finish":
            await given
