"""Whose a port is: people's servers share one loopback with each other, and the Hub must not take one for another.

The Hub chooses a server's port before the server listens there, and sends people there as long as the server runs. A
process of somebody else that listens first, or after the server ended, would answer in that person's name. So the Hub
sends nobody to a port before the listener is seen to be the server's, and keeps a duplicate of it: then nobody can have
the port until the Hub lets go of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from typing import TYPE_CHECKING

from cubehub_spawner.enforcers._tree import descendants

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTEN = "0A"
_PIDFD_GETFD = 438
"""Of every architecture since Linux 5.6."""
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def listeners(port: int) -> set[str]:
    """List the sockets that listen at a port of any address, by inode."""
    ending = f":{port:04X}"
    found = set()
    for table in _TABLES:
        with contextlib.suppress(OSError), open(table, encoding="ascii") as lines:  # noqa: PTH123 - may be large
            for line in lines:
                # most lines are passed over by their text alone: somebody may hold thousands of ports
                if ending in line:
                    fields = line.split()
                    if fields[1].endswith(ending) and fields[3] == _LISTEN:
                        found.add(fields[9])
    return found


def holders(inodes: Iterable[str], pids: Iterable[int]) -> dict[str, tuple[int, int]]:
    """Find which of some processes has each socket: by inode the process and its descriptor."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, tuple[int, int]] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names only
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(f"/proc/{pid}/fd/{descriptor}"))  # noqa: PTH115 - thousands of them
                    if inode is not None:
                        found.setdefault(inode, (pid, int(descriptor)))
    return found


def duplicate(pid: int, descriptor: int) -> socket.socket:
    """Duplicate a socket of another process.

    Raises
    ------
    OSError
        The kernel does not let us (it asks for the same user, or CAP_SYS_PTRACE), or the process has gone.
    """
    process = os.pidfd_open(pid)
    try:
        made = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, descriptor, 0)
        if made < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(process)
    return socket.socket(fileno=made)


def belongs_to(port: int, pid: int, started: int) -> tuple[int, int] | None:
    """Tell which process at or below `pid` listens at a port, and by which descriptor; None while not all that do are its.

    Parameters
    ----------
    port : int
        The port.
    pid, started : int
        The process, and when it was started (`cubehub_spawner.enforcers._tree.started_at`).
    """
    inodes = listeners(port)
    if not inodes:
        return None
    found = holders(inodes, descendants(pid, started))
    return next(iter(found.values())) if found.keys() == inodes else None


def tell_who(port: int) -> str:
    """Name the processes that listen at a port, for the administrator's log, with the groups that they are in."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    said = []
    for pid, _ in holders(listeners(port), pids).values():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="utf-8") as groups:  # noqa: PTH123
            names = {line.rstrip("\n").split(":", 2)[2] for line in groups} - {"/"}
            said.append(f"process {pid} in {', '.join(sorted(names)) or '/'}")
    return "; ".join(said) or "a process that is not seen from here"
