"""Runs searches from Python where a loop may be running already, as in every notebook."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


class Runner:
    """A loop in a thread of its own, begun when it is needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, Result], timeout: float | None = None) -> Result:
        """Wait for a coroutine, at most some seconds; interrupting the wait gives it up."""
        waiting = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return waiting.result(timeout)
        except BaseException:
            waiting.cancel()
            raise

    def stop(self) -> None:
        """End the thread."""
        with self._lock:
            if self._loop is None:
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="cubehub-catalogue", daemon=True
                )
                self._thread.start()
            return self._loop
