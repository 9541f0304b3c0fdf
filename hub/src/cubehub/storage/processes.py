"""Who uses a home just now, as far as this machine's processes tell."""

from __future__ import annotations

import os
import time

_FRESH_S = 1.0


class Users:
    """What the processes of this machine have open; looked at anew when it is older than a second.

    Those of other people are seen by root only.
    """

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._folders: set[tuple[int, int]] = set()
        self._opened: set[tuple[int, int]] = set()

    def __call__(self, home: int, inodes: set[tuple[int, int]]) -> str:
        """Why what has these inodes must stay where it is; empty if nobody uses it.

        Parameters
        ----------
        home : int
            Descriptor of the home. A process that works in it, as a person's server does, keeps all of it.
        inodes : set of tuple of int
            Device and inode of what is to be moved.
        """
        if time.monotonic() - self._looked > _FRESH_S:
            self._look()
        facts = os.fstat(home)
        if (facts.st_dev, facts.st_ino) in self._folders or not inodes.isdisjoint(self._folders):
            return "a server or another program of this person runs"
        if not inodes.isdisjoint(self._opened):
            return "a program has something of it open"
        return ""

    def _look(self) -> None:
        self._folders, self._opened = set(), set()
        for process in os.listdir("/proc"):  # noqa: PTH208 - names are enough
            if not process.isdigit() or int(process) == os.getpid():
                continue
            for link in ("cwd", "root"):
                self._note(f"/proc/{process}/{link}", self._folders)
            try:
                opened = os.listdir(f"/proc/{process}/fd")  # noqa: PTH208 - as above
            except OSError:
                continue
            for number in opened:
                self._note(f"/proc/{process}/fd/{number}", self._opened)
        self._looked = time.monotonic()

    @staticmethod
    def _note(path: str, where: set[tuple[int, int]]) -> None:
        try:
            facts = os.stat(path)  # noqa: PTH116 - thousands of times
        except OSError:
            return
        where.add((facts.st_dev, facts.st_ino))
