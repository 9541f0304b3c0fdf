"""The last resort: a parent process that adds up what a server's processes use and ends the biggest.

It needs nothing but a readable ``/proc``. Between two looks (100 ms) a server can pass its limit, and page cache and
``/dev/shm`` that no process maps are not seen; so every enforcer that asks the kernel comes before it. It is made for
programs that use too much, not for people who mean harm: whoever wants to can pass the limit for moments again and
again, or for good in memory that no process maps, and outside bubblewrap can stop the watching process itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from cubehub_spawner.enforcers._tree import descendants, memory_of
from cubehub_spawner.enforcers.base import CannotHoldError, Enforcer


class Watchdog(Enforcer):
    """Groups as folders with ``limit``, ``pid`` and ``events``, each served by a process of its own.

    Notes
    -----
    The watching process is the server's parent and its subreaper, not the Hub: it goes on while the Hub restarts, and
    a process that calls ``setsid`` or forks twice becomes its child instead of escaping. When the server ends it ends
    what is left of these. Should it be killed, the server goes with it: nothing would hold it any more. (In bubblewrap
    so does all that it started.)

    Whom it ends is decided in `watch.to_end`: the biggest until the rest fits, the server only with all the others.
    """

    name: ClassVar[str] = "watchdog"
    inside: ClassVar[Path] = Path("/run/cubehub/memory")
    events_file: ClassVar[str] = "events"
    is_parent: ClassVar[bool] = True

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    @classmethod
    def probe(cls, state_dir: Path) -> Watchdog:
        """See whether the kernel tells a process's proportional memory."""
        if not memory_of([os.getpid()]):
            raise CannotHoldError("/proc does not tell the memory of a process")
        if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
            raise CannotHoldError("/proc does not tell the children of a process")
        return cls(state_dir)

    @property
    @override
    def holds(self) -> frozenset[str]:
        return frozenset({"memory", "processes"})

    @override
    def create(
        self, group: str, memory_bytes: int, *, cpu: float | None = None, pids: int | None = None
    ) -> str:
        del cpu
        folder = self.state_dir / "watchdog" / group
        if folder.exists() and not self.remove(str(folder)):
            raise OSError(f"{folder} is left from an earlier server and can't be removed")
        folder.mkdir(parents=True)
        for one in (folder.parent, folder):  # the server reads limit and events, under whatever user id
            one.chmod(0o711)
        (folder / "events").write_text("oom_kill 0\n", encoding="ascii")
        (folder / "events").chmod(0o644)
        if pids is not None:
            (folder / "processes").write_text(str(pids), encoding="ascii")
        self.limit(str(folder), memory_bytes)
        return str(folder)

    @override
    def command(self, handle: str, argv: list[str]) -> list[str]:
        return [sys.executable, "-I", "-m", "cubehub_spawner.enforcers.watch", handle, "--", *argv]

    @override
    def limit(self, handle: str, memory_bytes: int) -> None:
        new = Path(handle) / "limit.new"
        new.write_text(str(memory_bytes), encoding="ascii")
        new.chmod(0o644)
        new.replace(Path(handle) / "limit")  # the watching process never reads half a number

    @override
    def limit_now(self, handle: str) -> int:
        return int((Path(handle) / "limit").read_text(encoding="ascii"))

    @override
    def usage(self, handle: str) -> int:
        """Add up what the watching process adds up: all but itself."""
        return memory_of(self.processes(handle)[:-1])

    @override
    def folder(self, handle: str) -> Path:
        return Path(handle)

    @override
    def processes(self, handle: str) -> list[int]:
        """List the watching process's descendants and, last, itself: it reaps what is killed before it."""
        try:
            pid, started = (Path(handle) / "pid").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return []
        return descendants(int(pid), int(started))

    @override
    def discard(self, handle: str) -> bool:
        shutil.rmtree(handle, ignore_errors=True)
        return not Path(handle).exists()
