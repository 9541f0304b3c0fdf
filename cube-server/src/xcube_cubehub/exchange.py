"""Putting a finished folder in the place of another one, so that at every moment there is one."""

import ctypes
import errno
import os
import shutil
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def put_in_place(new: Path, place: Path) -> None:
    """Put a folder in its place, and take away what was there; whoever is killed meanwhile leaves the one or the other.

    Notes
    -----
    ``renameat2(2)`` with RENAME_EXCHANGE. File systems that cannot do it (NFS) get two renames, between which there is
    nothing in the place for a moment.

    Raises
    ------
    OSError
        It cannot be done; the old one is where it was.
    """
    if not place.exists():
        new.rename(place)
        return
    try:
        _exchange(new, place)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _one_after_the_other(new, place)
    shutil.rmtree(new, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, "renameat2 is not there")
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


def _one_after_the_other(new: Path, place: Path) -> None:
    aside = new.with_name(f".building-old-{place.name}")
    shutil.rmtree(aside, ignore_errors=True)
    place.rename(aside)
    try:
        new.rename(place)
    except OSError:
        aside.rename(place)
        raise
    aside.rename(new)
