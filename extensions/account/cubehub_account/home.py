"""How much a person's home holds, counted in the background and now and then."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FRESH_S = 300.0
_MOST_ENTRIES = 1_000_000
_NICE = 15
_PAUSE_EVERY = 500
_PAUSE_S = 0.005
"""A breath after each few hundred entries: counting must not slow anybody's notebook."""


@dataclass(frozen=True)
class HomeSize:
    """What was counted."""

    bytes: int
    """Allocated on the disk, hard links once."""
    complete: bool
    """False where there were too many files to count all."""


def count(home: str, most: int = _MOST_ENTRIES, pause_s: float = _PAUSE_S) -> HomeSize:
    """Count what a folder holds.

    Notes
    -----
    No link is followed and no other file system entered, so that a link to a data archive costs nothing.
    """
    total, linked, device = 0, set(), os.lstat(home).st_dev
    folders = [home]
    for entries, entry in enumerate(_walk(folders), 1):
        if entries > most:
            return HomeSize(total, complete=False)
        if entries % _PAUSE_EVERY == 0:
            time.sleep(pause_s)
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:  # gone since
            continue
        if facts.st_dev != device or facts.st_ino in linked:
            continue
        total += facts.st_blocks * 512
        if stat.S_ISDIR(facts.st_mode):
            folders.append(entry.path)
        elif facts.st_nlink > 1:
            linked.add(facts.st_ino)
    return HomeSize(total, complete=True)


def _walk(folders: list[str]) -> Iterator[os.DirEntry[str]]:
    """Give what is in the folders; whoever takes it may add more."""
    while folders:
        try:
            found = os.scandir(folders.pop())
        except OSError:
            continue
        with found:
            yield from found


class HomeCounter:
    """Gives the last count at once, and counts anew in a thread when it is old.

    Parameters
    ----------
    home : str
        The folder.
    clock : callable
        Seconds, for tests.
    """

    def __init__(self, home: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.home = home
        self._clock = clock
        self._last: HomeSize | None = None
        self._when = -_FRESH_S
        self.thread: threading.Thread | None = None

    def size(self) -> HomeSize | None:
        """Tell the last count; None before the first is done."""
        last = self._last  # what was known when asked, however fast the thread is
        running = self.thread is not None and self.thread.is_alive()
        if not running and self._clock() - self._when >= _FRESH_S:
            self._when = self._clock()
            self.thread = threading.Thread(target=self._count, daemon=True, name="cubehub-home")
            self.thread.start()
        return last

    def _count(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # this thread alone; Linux only
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self._last = count(self.home)
        except OSError:  # no home: nothing to tell
            self._last = None
