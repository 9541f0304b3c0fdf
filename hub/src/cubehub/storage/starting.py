"""A start of a server and the keeper at the same home: each sees the other, whoever comes first."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FRESH_S = 900.0
"""For so long after a start has begun its home stays where it is; later its server's processes are seen, or there are none."""
STARTED = f"a server of this person was started less than {_FRESH_S / 60:.0f} minutes ago"
_SAID = 1
"""Time of last reading that a note has which a start wrote: times need no room on a disk, and nobody reads it."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Without room for a note the keeper moves no home either, and people are to get in, to make room."""


def _open(root: int, home: bytes) -> int:
    """The note beside a home, where its owner cannot reach it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(b"." + home + b".starting", flags, 0o600, dir_fd=root)


def note(homes: Path, home: bytes, patience_s: float) -> None:
    """Write down that a server starts in a home: from now on the keeper leaves it, or has moved it already.

    Raises
    ------
    CubeHubError
        The keeper is at this home for longer than one can wait, or it cannot be written down.
    """
    until = time.monotonic() + patience_s
    try:
        root = os.open(homes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            at = _open(root, home)
        finally:
            os.close(root)
        try:
            while not _locked(at):
                if time.monotonic() > until:
                    raise CubeHubError("The keeper moves this home just now.", "Try again.", code="busy")
                time.sleep(0.05)
            os.utime(at, (_SAID, time.time()))
        finally:
            os.close(at)
    except OSError as error:
        if error.errno in _NO_ROOM:
            return
        message = f"It cannot be written down beside the home that a server starts: {error.strerror}."
        raise CubeHubError(message, "Look at the disk of the homes.") from error


def _locked(at: int) -> bool:
    try:
        fcntl.flock(at, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def kept_off(root: int, home: bytes) -> Iterator[bool]:
    """Let no start of a server begin at a home meanwhile; gives whether one has begun just before."""
    at = _open(root, home)
    try:
        fcntl.flock(at, fcntl.LOCK_EX)
        facts = os.fstat(at)
        yield facts.st_atime == _SAID and abs(time.time() - facts.st_mtime) < _FRESH_S
    finally:
        os.close(at)
