"""Tiles made beforehand: one file for a variable and a time, compressed already and without colours.

A file begins with a table, sorted, of 24 bytes for each tile: zoom, column and row (uint32, column and row after one
another), then offset (uint64), length (uint32) and the number that says "no value" (int32, -1 for none). A tile that is
not in the table has no value in it, at any zoom up to the one that the cube's index names.
"""

import os
import struct
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from isal import isal_zlib

from xcube_cubehub.index import TILES
from xcube_cubehub.shards import DamagedError, damaged, open_plain, write_whole

MAGIC = b"CHT1"
ENTRY = np.dtype([("key", "<u8"), ("offset", "<u8"), ("length", "<u4"), ("clear", "<i4")])
HEAD = struct.Struct("<4sI")
ROW = struct.Struct("<QQIi")
_FIRST_BYTES = 4096
"""What is read of a file at once: the table of a cube of a few hundred tiles, and a page of the system."""
NOT_PREPARED = -2
"""In place of the "no value" number of a tile that needs more than a palette, and is made when it is asked for."""
CLEAR_NUMBERS = range(NOT_PREPARED, 256)
OPEN_TABLES = 64
"""Files whose tables are kept; of a large cube some 30 KB each."""


def is_whole(data: bytes, clear: int) -> bool:
    """Whether bytes are a chunk of a PNG as it was written: told by its own length and CRC-32."""
    if clear == NOT_PREPARED:
        return True
    if len(data) < 12 or data[4:8] != b"IDAT":
        return False
    length, told = int.from_bytes(data[:4]), int.from_bytes(data[-4:])
    return length == len(data) - 12 and told == isal_zlib.crc32(memoryview(data)[4:-4])


def key_of(z: int, x: int, y: int) -> int:
    """A number for a tile: zoom in the upper 8 bits, then column and row."""
    return z << 56 | x << 28 | y


def pack_path(cube: Path, name: str, seconds: int) -> Path:
    """The file for a variable and a time."""
    return cube / TILES / name / f"{seconds}.tiles"


def write_pack(path: Path, tiles: dict[tuple[int, int, int], tuple[bytes, int]]) -> int:
    """Write tiles: by zoom, column and row the compressed chunk and the number that says "no value"; the bytes written."""
    table = np.zeros(len(tiles), ENTRY)
    offset = HEAD.size + table.nbytes
    parts = []
    for row, (key, place) in zip(table, sorted((key_of(*p), p) for p in tiles), strict=True):
        idat, clear = tiles[place]
        row["key"], row["offset"], row["length"], row["clear"] = key, offset, len(idat), clear
        parts.append(idat)
        offset += len(idat)
    data = b"".join((HEAD.pack(MAGIC, len(tiles)), table.tobytes(), *parts))
    write_whole(path, data)
    return len(data)


class _Table(NamedTuple):
    """Of an open file: its rows, their keys, its descriptor and its size when it was opened; one is never written to."""

    rows: bytes
    keys: Sequence[int]
    file: int
    size: int


class PackReader:
    """Reads tiles made beforehand.

    Parameters
    ----------
    cube : path
        Folder of the cube.
    """

    def __init__(self, cube: Path) -> None:
        self._cube = cube
        self._folder = f"{cube / TILES}/"
        self._tables: OrderedDict[tuple[str, int], _Table] = OrderedDict()

    def read(self, name: str, seconds: int, z: int, x: int, y: int) -> tuple[bytes, int] | None:
        """Compressed chunk (empty if there is nothing in the tile) and "no value" number; None if it was not made.

        Raises
        ------
        DamagedError
            The file is not what it should be.
        """
        found = self._tables.get((name, seconds))
        if found is None:
            found = self._open(name, seconds)
            if found is None:
                return None
        rows, keys, file, size = found
        key = key_of(z, x, y)
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            return b"", -1
        _, offset, length, clear = ROW.unpack_from(rows, place * ROW.size)
        data = os.pread(file, length, offset) if offset + length <= size and clear in CLEAR_NUMBERS else b""
        if len(data) != length or not is_whole(data, clear):
            raise damaged(str(pack_path(self._cube, name, seconds)))
        return data, clear

    def _open(self, name: str, seconds: int) -> "_Table | None":
        # A viewer that goes through the times opens one for each: text and one reading cost a third of a Path and two
        path = f"{self._folder}{name}/{seconds}.tiles"
        try:
            file, whole = open_plain(path)
        except FileNotFoundError:
            return None
        try:
            begin = os.pread(file, _FIRST_BYTES, 0)
            magic, count = HEAD.unpack_from(begin)
            size = count * ROW.size if magic == MAGIC else -1
            table = begin[HEAD.size : HEAD.size + size]
            if len(table) < size <= whole:
                table = os.pread(file, size, HEAD.size)
            if len(table) != size:
                raise damaged(path)
        except (struct.error, OSError) as error:
            os.close(file)
            raise damaged(path) from error
        except DamagedError:
            os.close(file)
            raise
        # A view of nothing cannot be cast
        keys: Sequence[int] = memoryview(table).cast("Q")[::3] if table else ()
        made = self._tables[name, seconds] = _Table(table, keys, file, whole)
        while len(self._tables) > OPEN_TABLES:
            os.close(self._tables.popitem(last=False)[1].file)
        return made

    def close(self) -> None:
        """Let go of the files."""
        while self._tables:
            os.close(self._tables.popitem()[1].file)
