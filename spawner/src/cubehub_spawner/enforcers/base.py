"""What every enforcer can do: hold a group of processes to a number of bytes."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class CannotHoldError(Exception):
    """An enforcer can't work on this machine; the text says why."""


class Enforcer(ABC):
    """Holds groups of processes, each under a name, to their memory limits.

    Notes
    -----
    A group is known by its *handle*, a string that a Hub keeps in its database: a Hub that was restarted finds the
    group again by it, whatever the Hub's own place in the cgroup tree is now.
    """

    name: ClassVar[str]
    inside: ClassVar[Path]
    """Where `folder` is shown to an isolated process, so that it and its libraries find the limit."""
    is_parent: ClassVar[bool] = False
    """Whether it holds as the server's parent process, so that the server must not outlive it."""
    events_file: ClassVar[str]
    """The file in `folder` with a line ``oom_kill N``."""

    @classmethod
    @abstractmethod
    def probe(cls, state_dir: Path) -> Enforcer:
        """Try it, leaving nothing behind.

        Raises
        ------
        CannotHoldError
            When it can't hold anything here.
        """

    @property
    def holds(self) -> frozenset[str]:
        """What it holds on this machine, of ``memory``, ``cpu`` and ``processes``."""
        return frozenset({"memory"})

    @abstractmethod
    def create(
        self, group: str, memory_bytes: int, *, cpu: float | None = None, pids: int | None = None
    ) -> str:
        """Make a group with its limits and return its handle; an old one of that name is ended first.

        Parameters
        ----------
        group : str
            Its name.
        memory_bytes : int
            RAM of all its processes together.
        cpu : float, optional
            Cores that they may use together; not held where `holds` doesn't say so.
        pids : int, optional
            How many processes and threads there may be; the same.
        """

    @abstractmethod
    def command(self, handle: str, argv: list[str]) -> list[str]:
        """Write the command that is in the group before `argv` runs its first instruction."""

    @abstractmethod
    def limit(self, handle: str, memory_bytes: int) -> None:
        """Change the limit of a group that runs."""

    def limit_cpu(self, handle: str, cpu: float) -> None:
        """Change the cores of a group that runs, where they are held."""
        del handle, cpu

    @abstractmethod
    def limit_now(self, handle: str) -> int:
        """Tell the limit that holds now, in bytes; a very large number where none does."""

    def hold_back(self, handle: str, memory_bytes: int | None) -> None:
        """Slow the group down where it would come to use more than so many bytes; None ends that.

        Raises
        ------
        OSError
            It uses more already, of what can't be dropped.

        Notes
        -----
        Called before and after a smaller limit is written, since cgroup v2 ends processes to meet one. Nothing is to
        be done where the kernel refuses such a limit (v1), or nobody acts between two looks (watchdog).
        """
        del handle, memory_bytes

    @abstractmethod
    def usage(self, handle: str) -> int:
        """Tell how many bytes the group uses now."""

    def droppable(self, handle: str) -> int:
        """Tell how many of those bytes are unused file contents, which the kernel drops first."""
        del handle
        return 0

    def around(self, handle: str) -> list[tuple[int, int]]:
        """List limit and use, in bytes, of each group around this one that has a limit."""
        del handle
        return []

    @abstractmethod
    def folder(self, handle: str) -> Path:
        """Tell the folder that holds the events file; it exists when the group's command begins."""

    @abstractmethod
    def processes(self, handle: str) -> list[int]:
        """List the process ids in the group, as seen from outside; empty when there is no such group."""

    @abstractmethod
    def discard(self, handle: str) -> bool:
        """Remove a group without processes; False while the kernel still holds on to it."""

    def events_path(self, handle: str) -> Path:
        """Tell the file that counts the group's out-of-memory kills."""
        return self.folder(handle) / self.events_file

    def remove(self, handle: str, timeout_s: float = 10.0) -> bool:
        """Kill what is left in the group and remove it; False when that took longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = self.processes(handle)
            for pid in left:
                kill(pid)
            if not left and self.discard(handle):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Signal a process; False when it is gone.

    Notes
    -----
    A process of another pid namespace is listed in a cgroup as 0, which to ``kill`` means the caller's own group.
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def oom_kills(events: Path) -> int:
    """Read the counter of out-of-memory kills from a cgroup's (v1, v2) or the watchdog's events file."""
    try:
        lines = events.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
    return int(counts[0]) if counts else 0


def held_beside(holds: frozenset[str], cpu: float, pids: int) -> str:
    """Say for the log what is held beside memory, and what is not."""
    said = [f"{cpu:g} CPU"] if "cpu" in holds else []
    said += [f"{pids} processes"] if "processes" in holds else []
    missing = [what for what in ("cpu", "processes") if what not in holds]
    return "".join(f", {one}" for one in said) + (
        f" (not held here: {', '.join(missing)})" if missing else ""
    )
