"""Files with holes: which of their bytes are data."""

from __future__ import annotations

import errno
import os
from array import array

from cubehub.storage.archive.errors import ArchiveError
from cubehub.storage.archive.tarball import MOST_SEGMENTS

_SMALL = 1 << 16
"""A hole that is no longer is read like data: cheaper than to tell of it."""


def find(fd: int, size: int) -> array[int] | None:
    """Where the data of an open file are: begin, end, begin, end …, in bytes; None if it has no holes.

    However large the holes are, they take no time.

    Raises
    ------
    ArchiveError
        There are too many of them.
    """
    found: array[int] = array("q")
    at = 0
    while at < size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        at = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
        if found and begin - found[-1] < _SMALL:
            found[-1] = at
        elif begin < size:
            found.extend((begin, at))
        if len(found) > 2 * MOST_SEGMENTS:
            raise ArchiveError(
                f"A file has more than {MOST_SEGMENTS:,} holes.", "Copy it without holes (cp --sparse=never)."
            )
    os.lseek(fd, 0, os.SEEK_SET)
    return None if list(found) == [0, size] else found
