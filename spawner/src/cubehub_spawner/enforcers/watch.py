"""The process that runs a server and ends processes at the limit: ``watch FOLDER -- COMMAND``."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_spawner.enforcers._tree import (
    BEHIND_BUBBLEWRAP,
    children,
    descendants,
    memory_of,
    proportional,
    server_chain,
    started_at,
)
from cubehub_spawner.enforcers.base import kill

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

REMEMBERED = 200
"""How many looks are remembered, 20 s on a machine that keeps up."""
TOO_OFTEN = 50
"""With so many of them over the limit, ending single processes does not help. Counted in looks and not in seconds: on a
slow machine one look may take seconds, and that alone must not end a server."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.1
_START_POLL_S = 0.01
_PATIENCE_S = 10.0
_ROUNDS = 50
_libc = ctypes.CDLL(None, use_errno=True)


def to_end(sizes: Mapping[int, int], server: Collection[int], limit: int, often: int) -> list[int]:
    """Decide which processes to end, in this order.

    Parameters
    ----------
    sizes : mapping of int to int
        Process id to bytes, of all processes.
    server : collection of int
        The ids of the server and of what it runs behind. They are spared while ending others helps.
    limit : int
        Bytes that all of them together may use.
    often : int
        How many of the remembered looks found them over it.

    Returns
    -------
    list of int
        Nothing while they fit; else the biggest until the rest fits; or all, the server first so that it starts no
        new ones, when it is too big by itself or when the others come back as fast as they are ended.
    """
    left = sum(sizes.values())
    if left <= limit:
        return []
    others = sorted(sizes.keys() - set(server), key=lambda pid: sizes[pid], reverse=True)
    if left - sum(sizes[pid] for pid in others) > limit or often >= TOO_OFTEN:
        return [*server, *others]
    ended = []
    for pid in others:
        if left <= limit:
            break
        left -= sizes[pid]
        ended.append(pid)
    return ended


ORPHANS = 0
"""Stands for the tree of all whose parents have ended."""


def trees(families: Mapping[int, Collection[int]], server: Sequence[int]) -> dict[int, list[int]]:
    """Sort the processes below a server into trees, each of which one kernel or terminal started.

    Parameters
    ----------
    families : mapping of int to collection of int
        Process id to those of its children, from the watching process down.
    server : sequence of int
        The ids of the server and of what it runs behind, the server last.

    Returns
    -------
    dict of int to list of int
        The first process of each to all of it. Orphans are one tree, since a fork bomb leaves its parents behind.
    """

    def below(pids: Collection[int]) -> list[int]:
        found = list(pids)
        for one in found:
            found += families.get(one, ())
        return found

    found = {child: below([child]) for child in families.get(server[-1], ())}
    behind = [os.getpid(), *server[:-1]]
    orphans = [child for parent in behind for child in families.get(parent, ()) if child not in server]
    return {ORPHANS: below(orphans), **found}


class Watch:
    """What is known of one server from look to look.

    Parameters
    ----------
    folder : Path
        The group's folder, with ``limit`` and ``events``.
    pid : int
        The process that was started: the server, or bubblewrap that starts it.
    chain_length : int
        How many processes there are from that one to the server, both counted.
    """

    def __init__(self, folder: Path, pid: int, chain_length: int) -> None:
        self.folder = folder
        self._pid = pid
        self._chain_length = chain_length
        self._server: dict[int, int] = {}  # process id to the time it started
        self._over: deque[bool] = deque(maxlen=REMEMBERED)
        self._kills = 0

    def find_server(self) -> bool:
        """Find the processes to spare, once and as soon as they are there; tell whether they are.

        Later it would have to be asked of names and of who is whose parent, and a server can change both.
        """
        if not self._server:
            chain = server_chain(self._pid, self._chain_length)
            if len(chain) == self._chain_length:
                self._server = {pid: started_at(pid) for pid in chain}
        return bool(self._server)

    def look(self) -> None:
        """Look once, and end and count what is too much."""
        limit = int((self.folder / "limit").read_text(encoding="ascii"))
        self._thin_out()
        pids = _below()
        if memory_of(pids, enough=limit) <= limit:
            self._over.append(False)
            return
        started = {pid: started_at(pid) for pid in pids}
        sizes = {pid: proportional(pid) for pid in pids}
        server = [pid for pid, then in self._server.items() if started.get(pid) == then]
        ended = to_end(sizes, server, limit, sum(self._over))
        self._over.append(bool(ended))
        self._count(len(ended))  # first: whoever sees a process gone finds the reason already there
        for pid in ended:
            if started_at(pid) == started[pid]:
                _end(pid)

    def _thin_out(self) -> None:
        """End the biggest tree of processes when there are too many: a fork bomb would take all process ids."""
        try:
            most = int((self.folder / "processes").read_text(encoding="ascii"))
        except FileNotFoundError:
            return
        if len(_below()) <= most:
            return
        server = [pid for pid, then in self._server.items() if started_at(pid) == then]
        if not server:
            return
        found = trees(_families(), server)
        biggest = max(found, key=lambda first: len(found[first]))
        _end_whole(lambda: trees(_families(), server).get(biggest, []))

    def _count(self, kills: int) -> None:
        """Write down how many processes were ended; on a full disk too, and if not even that works, go on.

        Written in place, not replaced: the server sees this very file through a read-only bind. The number only grows,
        so nothing need be cut off first, which would give its block on the disk away.
        """
        self._kills += kills
        with contextlib.suppress(OSError), (self.folder / "events").open("r+", encoding="ascii") as events:
            events.write(f"oom_kill {self._kills}\n")


def main() -> int:
    """Run the command until it ends, and end with its status."""
    folder = Path(sys.argv[1])
    command = sys.argv[3:]
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    (folder / "pid").write_text(f"{os.getpid()} {started_at(os.getpid())}", encoding="ascii")
    server = subprocess.Popen(command, preexec_fn=_die_with_parent)  # noqa: PLW1509 - there is one thread
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: kill(server.pid, number) and None)
    in_bubblewrap = Path(command[0]).name == "bwrap"
    watch = Watch(folder, server.pid, BEHIND_BUBBLEWRAP if in_bubblewrap else 1)
    while (status := _reap(server)) is None:
        found = watch.find_server()
        if found:
            with contextlib.suppress(OSError, ValueError):  # a file or a process that went away meanwhile
                watch.look()
        time.sleep(_POLL_S if found else _START_POLL_S)
    _end_the_rest(server)
    return status if status >= 0 else 128 - status


def _die_with_parent() -> None:
    """Run in the server's process before its program; see prctl(2)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _below() -> list[int]:
    return [pid for pid in descendants(os.getpid()) if pid != os.getpid()]


def _families() -> dict[int, list[int]]:
    families: dict[int, list[int]] = {}
    left = [os.getpid()]
    while left:
        pid = left.pop()
        families[pid] = children(pid)
        left += families[pid]
    return families


def _end_whole(listed: Callable[[], list[int]]) -> None:
    """End processes that start others meanwhile: whoever is stopped starts none, so the list ends.

    Notes
    -----
    What was stopped is ended in any case; a tree that grows faster than it is stopped meets the next round.
    """
    stopped: dict[int, int] = {}
    for _ in range(_ROUNDS):
        new = {pid: started_at(pid) for pid in listed() if pid not in stopped}
        if not new:
            break
        for pid in new:
            with contextlib.suppress(PermissionError):
                kill(pid, signal.SIGSTOP)
        stopped |= new
    for pid, then in stopped.items():
        if started_at(pid) == then:
            _end(pid)


def _end(pid: int) -> None:
    with contextlib.suppress(PermissionError):  # one that became another user's must not save the others
        kill(pid)


def _end_the_rest(server: subprocess.Popen[bytes]) -> None:
    """End what a server left behind: once this process is gone nothing would hold it."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := _below()) and time.monotonic() < deadline:
        for pid in left:
            _end(pid)
        time.sleep(_START_POLL_S)
        _reap(server)


def _reap(server: subprocess.Popen[bytes]) -> int | None:
    """Collect orphans that ended; tell the server's status once it has ended."""
    status = server.poll()
    for pid in children(os.getpid()):
        if pid != server.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return status


if __name__ == "__main__":
    sys.exit(main())
