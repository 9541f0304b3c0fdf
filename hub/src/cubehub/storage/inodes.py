"""Numbers of files in SQLite, whose whole numbers end at 2^63: some file systems give larger ones. Pure."""

from __future__ import annotations

_HALF, _WHOLE = 1 << 63, 1 << 64


def stored(inode: int) -> int:
    """An inode as SQLite takes it."""
    return inode - _WHOLE if inode >= _HALF else inode


def known(number: int) -> int:
    """The inode that was stored."""
    return number + _WHOLE if number < 0 else number
