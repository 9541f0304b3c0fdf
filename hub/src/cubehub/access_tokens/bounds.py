"""How often something may be done: some times at once, then one now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_TIDIED_FROM = 1000
"""With fewer remembered there is no use in looking for those that can be forgotten."""


class Bound:
    """Keeps everybody, and each for themselves, to a rate.

    Parameters
    ----------
    at_once
        So many may come together.
    every_s
        After these, one in so many seconds.
    clock
        Seconds; only ever goes on.

    Notes
    -----
    A token bucket, kept as the one moment at which it is full again.
    """

    def __init__(self, at_once: int, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._every_s, self._clock = at_once, every_s, clock
        self._full_at: dict[Hashable, float] = {}
        self._tidy_at = _TIDIED_FROM

    def wait_s(self, whose: Hashable) -> float:
        """Take one turn: 0, or the seconds after which there is one, and then none was taken."""
        now = self._clock()
        full_at = max(self._full_at.get(whose, now), now)
        wait = full_at - now - (self._at_once - 1) * self._every_s
        # what is left of a difference of two times is no wait
        if wait > 1e-6:
            return wait
        self._full_at[whose] = full_at + self._every_s
        self._tidy(now)
        return 0.0

    def _tidy(self, now: float) -> None:
        """Forget whose turns are all there again; seldom, so that it costs nothing."""
        if len(self._full_at) >= self._tidy_at:
            self._full_at = {whose: at for whose, at in self._full_at.items() if at > now}
            self._tidy_at = max(_TIDIED_FROM, 2 * len(self._full_at))
