"""How much a person's home holds, counted in the background and now and then."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FRESH_S = 300.0
_MOST_ENTRIES = 1_000_000
_NICE = 15
_PAUSE_EVERY = 500
_PAUSE_S = 0.005
"""A breath after each few hundred entries: counting must not slow anybody's notebook."""
_DEEPEST = 3
_MOST_FOLDERS, _MOST_TOLD = 20_000, 1000
_UNSAFE = re.compile("[%\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]")


@dataclass
class Folder:
    """A folder near the top of the home, and what lies in it at any depth."""

    path: str
    """From the home on, empty for the home itself; what is no text stands as ``%XX``."""
    bytes: int = 0
    files: int = 0


@dataclass(frozen=True)
class HomeSize:
    """What was counted."""

    bytes: int
    """Allocated on the disk, hard links once."""
    complete: bool
    """False where there were too many files to count all."""
    folders: tuple[Folder, ...] = ()
    """The home and the largest folders near its top, largest first."""
    counted: str = ""
    """When, ISO 8601."""


def count(home: str, most: int = _MOST_ENTRIES, pause_s: float = _PAUSE_S) -> HomeSize:
    """Count what a folder holds.

    Notes
    -----
    No link is followed and no other file system entered, so that a link to a data archive costs nothing.
    """
    linked, device = set(), os.lstat(home).st_dev
    tree = _Tree()
    todo = [(home, 0)]
    complete = True
    for entries, (entry, place) in enumerate(_walk(todo), 1):
        if entries > most:
            complete = False
            break
        if entries % _PAUSE_EVERY == 0:
            time.sleep(pause_s)
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:  # gone since
            continue
        if facts.st_dev != device or facts.st_ino in linked:
            continue
        within = place
        if stat.S_ISDIR(facts.st_mode):
            within = tree.enter(place, entry.name)
            todo.append((entry.path, within))
        else:
            tree.folders[place].files += 1
            if facts.st_nlink > 1:
                linked.add(facts.st_ino)
        tree.folders[within].bytes += facts.st_blocks * 512
    folders = tree.summed()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return HomeSize(folders[0].bytes, complete, tuple(folders[:_MOST_TOLD]), now)


class _Tree:
    """The folders near the top; what lies deeper counts in the one above it."""

    def __init__(self) -> None:
        self.folders = [Folder("")]
        self._above = [(0, 0)]
        """Of each folder the place of the one above it, and how deep it lies."""

    def enter(self, place: int, name: str) -> int:
        """Give the place of a folder in another: its own, or the other's where it gets none."""
        depth = self._above[place][1] + 1
        if depth > _DEEPEST or len(self.folders) >= _MOST_FOLDERS:
            return place
        above = self.folders[place].path
        self.folders.append(Folder(f"{above}/{readable(name)}" if above else readable(name)))
        self._above.append((place, depth))
        return len(self.folders) - 1

    def summed(self) -> list[Folder]:
        """Add each folder to the one above it, and give them largest first."""
        for place in range(len(self.folders) - 1, 0, -1):  # a folder comes after the one that it lies in
            above, own = self.folders[self._above[place][0]], self.folders[place]
            above.bytes += own.bytes
            above.files += own.files
        return sorted(self.folders, key=lambda folder: (-folder.bytes, folder.path))


def readable(name: str) -> str:
    """Write a name so that people can read it, as CubeHub's storage does: what is no text becomes ``%XX``."""
    return _UNSAFE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape")), name
    )


def _walk(todo: list[tuple[str, int]]) -> Iterator[tuple[os.DirEntry[str], int]]:
    """Give what is in the folders, with the place of each; whoever takes it may add more."""
    while todo:
        path, place = todo.pop()
        try:
            found = os.scandir(path)
        except OSError:
            continue
        with found:
            for entry in found:
                yield entry, place


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
