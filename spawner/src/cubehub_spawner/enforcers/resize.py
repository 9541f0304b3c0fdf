"""Another limit for a group that runs: checked first, so that a change of limit never ends a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_spawner.errors import NoRoomError, ResizeError

if TYPE_CHECKING:
    from cubehub_spawner.enforcers.base import Enforcer

_MARGIN = 0.97
"""How full a smaller limit may be at first: the kernel would end a process that allocates while it is written."""


def resize(enforcer: Enforcer, handle: str, before: int, after: int) -> None:
    """Change the limit of a group from `before` to `after` bytes; its processes go on.

    Raises
    ------
    NoRoomError
        The machine has less memory available than would be promised in addition.
    ResizeError
        More is in use than the new limit, or the limit can't be written; the old one holds.

    Notes
    -----
    Limits of all servers together may exceed the machine, as at a start. But a server that runs is given more only
    where that much is there to be had: it may be used within the second.
    """
    if after > before and after - before > (available := available_bytes(enforcer, handle)):
        raise NoRoomError(
            f"{after - before} bytes more are wanted and the machine has {max(0, available)} available."
        )
    try:
        if after < before and used_bytes(enforcer, handle) > after * _MARGIN:
            raise ResizeError("More memory is in use than the new limit allows.")
        enforcer.limit(handle, after)
    except (OSError, ValueError) as error:
        _restore(enforcer, handle, before)
        raise ResizeError(f"The limit of {handle} can't be changed: {error}") from error


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
    return min(room)


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _restore(enforcer: Enforcer, handle: str, before: int) -> None:
    """Put the old limit back where only a part of the new one could be written."""
    try:
        enforcer.limit(handle, before)
    except (OSError, ValueError):
        return
