"""Process trees, their memory and their end, by ``/proc``."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cubehub_spawner.enforcers.base import kill

BEHIND_BUBBLEWRAP = 3
"""Length of the chain to a server in bubblewrap: the one outside, its process 1 inside, the server."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def started_at(pid: int) -> int:
    """Tell when a process started, in clock ticks since boot; -1 when it is gone or only a zombie.

    With the process id this names one process for the life of the machine, so a recycled id is not taken for it.
    """
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def children(pid: int) -> list[int]:
    """List the direct children of a process, of all its threads."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    except OSError:
        pass
    return found


def descendants(pid: int, started: int | None = None) -> list[int]:
    """List a process tree, the deepest generation first and `pid` last; empty when it is not the one meant."""
    now = started_at(pid)
    if now < 0 or (started is not None and now != started):
        return []
    generation, found = [pid], [pid]
    while generation:
        generation = [child for parent in generation for child in children(parent)]
        found += generation
    return list(reversed(found))


def end_tree(pid: int, started: int, timeout_s: float) -> bool:
    """Kill a process and all below it and wait until they are gone; False when some are not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    left = {one: started_at(one) for one in descendants(pid, started)}
    while left := {one: then for one, then in left.items() if then >= 0 and started_at(one) == then}:
        if time.monotonic() > deadline:
            return False
        for one in left:
            kill(one)
        time.sleep(0.02)
    return True


def eldest_child(pid: int) -> int | None:
    """Give the child that was started first; one that has ended and waits to be collected is none."""
    alive = [(started, child) for child in children(pid) if (started := started_at(child)) >= 0]
    return min(alive)[1] if alive else None


def server_chain(pid: int, most: int = BEHIND_BUBBLEWRAP) -> list[int]:
    """List the processes from `pid` to the server it runs: bubblewrap's own two, then the server.

    The server is the first process that bubblewrap started; what it orphaned is bubblewrap's child too, but younger.
    No more than `most` are listed, because a process may give itself any name, bubblewrap's too.
    """
    chain = [pid]
    while len(chain) < most and command_name(chain[-1]) == "bwrap":
        below = eldest_child(chain[-1])
        if below is None:
            break
        chain.append(below)
    return chain


def command_name(pid: int) -> str:
    """Tell the kernel's short name of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def resident(pid: int) -> int:
    """Tell a process's resident memory in bytes, shared pages counted whole; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def proportional(pid: int) -> int:
    """Tell a process's proportional memory (PSS) in bytes, or the resident one where PSS can't be read."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident(pid)


def memory_of(pids: list[int], enough: int = 0) -> int:
    """Add up the proportional memory of processes, in bytes.

    Parameters
    ----------
    pids : list of int
        The processes.
    enough : int
        Don't look closely while the sum of resident memory, which is never less, stays within this many bytes:
        reading PSS walks every page, the resident size is one number.
    """
    rough = sum(map(resident, pids))
    return rough if rough <= enough else sum(map(proportional, pids))
