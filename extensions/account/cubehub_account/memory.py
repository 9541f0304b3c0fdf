"""Whether a kernel ended because the server's memory ran out: one counter, and who has been told of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EVENTS_VARIABLE = "CUBEHUB_MEMORY_EVENTS"
"""Path of a file with a line ``oom_kill N``: a cgroup's (v1 or v2) or the spawner's watchdog's."""

_KILLED = frozenset({-9, 9 + 128})
"""Exit status of a process that was killed: itself, or as a wrapping shell reports it."""

_LATELY_S = 30
"""Kernels are looked at every 3 s; a server at its limit can be slow to."""


def oom_kills(path: str | os.PathLike[str] | None) -> int | None:
    """Read the counter of out-of-memory kills; None where there is none to read."""
    if not path:
        return None
    try:
        lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    counts = [line.split() for line in lines if line.startswith("oom_kill ")]
    return int(counts[0][1]) if counts and counts[0][1].isdigit() else None


class Ledger:
    """Attributes out-of-memory kills to kernels, each kill at most once.

    Parameters
    ----------
    path : path or None
        The file with the counter; without one nothing is ever attributed.
    clock : callable
        Seconds, for tests.

    Notes
    -----
    The counter is the whole server's, so its growth alone does not say which process was stopped. A kernel is taken
    for the one when it was killed (not crashed, not ended by itself) and a kill that was seen lately is not explained
    yet: two kernels that were stopped between two looks have a kill each, and a kill that took a cell's child process
    is old news when the kernel is killed otherwise later.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._clock = clock
        self._seen = oom_kills(path) or 0
        self._unexplained: list[float] = []
        self._deaths: WeakKeyDictionary[object, bool] = WeakKeyDictionary()
        self._told: WeakSet[object] = WeakSet()

    def look(self) -> None:
        """See whether there were kills; called every few seconds, while any kernel runs."""
        now, count = self._clock(), oom_kills(self.path)
        if count is None:
            return
        self._unexplained = [when for when in self._unexplained if now - when < _LATELY_S]
        self._unexplained += [now] * (count - self._seen)
        self._seen = count

    def died(self, kernel: object, status: int | None) -> None:
        """Take note, once for each death, of how a kernel ended.

        Parameters
        ----------
        kernel : object
            The kernel's manager.
        status : int or None
            Exit status as `subprocess` gives it.
        """
        if kernel in self._deaths:
            return
        self.look()
        self._deaths[kernel] = status in _KILLED and bool(self._unexplained)
        if self._deaths[kernel]:
            self._unexplained.pop(0)

    def started(self, kernel: object) -> None:
        """Forget the death of a kernel that runs again."""
        self._deaths.pop(kernel, None)
        self._told.discard(kernel)

    def is_first(self, kernel: object) -> bool:
        """Tell whether this is the first question of its kind about the kernel's last death."""
        first = kernel not in self._told
        self._told.add(kernel)
        return first

    def ran_out(self, kernel: object) -> bool:
        """Tell whether the kernel's last death was for want of memory."""
        return self._deaths.get(kernel, False)


@dataclass(frozen=True)
class Limits:
    """What the server has, as the spawner told it."""

    memory_bytes: int | None = None
    """RAM of the whole server."""
    profile: str = ""
    """The profile's name as people read it."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Limits:
        """Read ``MEM_LIMIT`` (bytes) and ``CUBEHUB_PROFILE_TITLE`` or ``CUBEHUB_PROFILE``."""
        limit = environ.get("MEM_LIMIT", "")
        title = environ.get("CUBEHUB_PROFILE_TITLE") or environ.get("CUBEHUB_PROFILE", "")
        return cls(int(limit) if limit.isdigit() else None, title)


def reason(limits: Limits, notebook: str = "") -> str:
    """Say which kernel was stopped, at what limit, and what to do.

    Parameters
    ----------
    limits : Limits
        The server's limits.
    notebook : str
        The notebook's file name; empty where the kernel belongs to none.
    """
    which = f"The kernel of {notebook}" if notebook else "The kernel"
    size = f" of {_gib(limits.memory_bytes)}" if limits.memory_bytes else ""
    profile = f" (profile {limits.profile})" if limits.profile else ""
    return (
        f"{which} was stopped: the server reached its memory limit{size}{profile}.\n"
        "Your files are safe; the variables of this kernel are lost. The kernel starts again by itself.\n"
        "What you can do:\n"
        "  - close notebooks and kernels that you don't need: all of them share the limit;\n"
        "  - open data lazily (xarray: chunks={}) and select area, time and variables before computing;\n"
        "  - compute with Dask Gateway, whose workers have memory of their own;\n"
        f"  - ask your administrator for a profile with more memory{_for_example(limits.profile)}.\n"
    )


def _for_example(profile: str) -> str:
    """Name the profile to ask for, but not to somebody who has it."""
    return "" if profile.casefold() == "premium" else ", e.g. Premium"


def _gib(count: int) -> str:
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.4g} MiB"


_ledger: Ledger | None = None


def ledger() -> Ledger:
    """Tell the one ledger of this server process."""
    global _ledger  # noqa: PLW0603 - one server process has one counter
    if _ledger is None:
        _ledger = Ledger(os.environ.get(EVENTS_VARIABLE))
    return _ledger
