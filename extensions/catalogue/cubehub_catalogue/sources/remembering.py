"""What a source remembers of its catalogue for some minutes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECONDS = 600.0
_MOST = 200


class Remembered:
    """Values by name, each had once at a time and again when it is old; what fails is not remembered.

    Parameters
    ----------
    seconds
        How long a value holds.
    clock
        Gives seconds.
    """

    def __init__(self, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._kept: dict[str, tuple[float, Any]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """Give a value, made now if it is not there or old."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            kept = self._kept.get(name)
            if kept is None or self._clock() - kept[0] > self._seconds:
                kept = (self._clock(), await make())
                while len(self._kept) >= _MOST:
                    oldest = next(iter(self._kept))
                    del self._kept[oldest]
                self._kept[name] = kept
        if name not in self._kept or len(self._locks) > 2 * _MOST:
            self._locks = {key: lock for key, lock in self._locks.items() if lock.locked()}
        return kept[1]
