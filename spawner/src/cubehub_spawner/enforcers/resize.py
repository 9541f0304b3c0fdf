"""Another limit for a group that runs: checked first, so that a change of limit never ends a process."""

from __future__ import annotations

import errno
import mmap
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_spawner.errors import NoRoomError, ResizeError

if TYPE_CHECKING:
    from cubehub_spawner.enforcers.base import Enforcer

_MARGIN = 0.97
"""How full a smaller limit may be at first: what runs on would meet it within a moment."""
_RESERVE = 256 * 2**20
"""What stays free of the machine, and of every limit around a group, for the Hub and the system."""


def resize(enforcer: Enforcer, handle: str, after: int) -> None:
    """Change the limit of a group to `after` bytes; its processes go on. The same again changes nothing.

    Raises
    ------
    NoRoomError
        The whole of the new limit could not be used now.
    ResizeError
        More is in use than the new limit, or the limit can't be written; the old one holds.

    Notes
    -----
    Limits of all servers together may exceed the machine, as at a start: what counts is what is in use. A server
    that runs is given more where the machine could fill its new limit this very moment: MemAvailable and what the
    server uses already, less a reserve.

    What the limit was is asked of the group and not of the Hub's memory: a Hub that was killed in the middle of a
    change does not know.
    """
    try:
        before = enforcer.limit_now(handle)
        # the kernel keeps whole pages
        if after // mmap.PAGESIZE == before // mmap.PAGESIZE:
            return
        if after > before:
            _check_room(enforcer, handle, after)
            _write(enforcer, handle, before, after)
        else:
            _shrink(enforcer, handle, before, after)
    except (OSError, ValueError) as error:
        raise ResizeError(f"The limit of {handle} can't be changed: {error}") from error


def _check_room(enforcer: Enforcer, handle: str, after: int) -> None:
    wanted, available = after - used_bytes(enforcer, handle), available_bytes(enforcer, handle)
    if wanted > available:
        raise NoRoomError(
            f"The server could use {wanted} bytes more, and the machine has {available} to give."
        )


def _shrink(enforcer: Enforcer, handle: str, before: int, after: int) -> None:
    """Lower the limit where what is in use fits, which the kernel itself does not ask in cgroup v2."""
    if used_bytes(enforcer, handle) > after * _MARGIN:
        raise ResizeError("More memory is in use than the new limit allows.")
    try:
        enforcer.hold_back(handle, after)
        _write(enforcer, handle, before, after)
    finally:
        enforcer.hold_back(handle, None)


def _write(enforcer: Enforcer, handle: str, before: int, after: int) -> None:
    try:
        enforcer.limit(handle, after)
        if enforcer.limit_now(handle) // mmap.PAGESIZE != after // mmap.PAGESIZE:
            raise OSError(errno.EIO, "it was written and does not hold", handle)  # noqa: TRY301 - as any other
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # a part of it may be written
            enforcer.limit(handle, before)
        raise


def used_bytes(enforcer: Enforcer, handle: str) -> int:
    """Tell what a group uses, without files that the kernel drops before it ends anything.

    Raises
    ------
    OSError, ValueError
        There is no such group any more.
    """
    return max(0, enforcer.usage(handle) - enforcer.droppable(handle))


def available_bytes(enforcer: Enforcer, handle: str) -> int:
    """Tell how many bytes more a group could use: of the machine, and within every limit around the group."""
    room = [_meminfo("MemAvailable")]
    room += [limit - used for limit, used in enforcer.around(handle)]
    return max(0, min(room) - _RESERVE)


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
