"""Tiles made beforehand: one file for a variable and a time, compressed already and without colours.

A file begins with a table, sorted, of 24 bytes for each tile: zoom, column and row (uint32, column and row after one
another), then offset (uint64), length (uint32) and the number that says "no value" (int32, -1 for none). A tile that is
not in the table has no value in it, at any zoom up to the one that the cube's index names.
"""

import os
import struct
from bisect import bisect_left
from collections import OrderedDict
from pathlib import Path

import numpy as np

from xcube_cubehub.index import TILES
from xcube_cubehub.shards import damaged, write_whole

MAGIC = b"CHT1"
ENTRY = np.dtype([("key", "<u8"), ("offset", "<u8"), ("length", "<u4"), ("clear", "<i4")])
HEAD = struct.Struct("<4sI")
OPEN_TABLES = 64
"""Files whose tables are kept; of a large cube some 30 KB each."""


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


class PackReader:
    """Reads tiles made beforehand.

    Parameters
    ----------
    cube : path
        Folder of the cube.
    """

    def __init__(self, cube: Path) -> None:
        self._cube = cube
        self._tables: OrderedDict[tuple[str, int], tuple[list[int], np.ndarray, int]] = OrderedDict()

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
        keys, table, file = found
        key = key_of(z, x, y)
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            return b"", -1
        _, offset, length, clear = table[place].item()
        data = os.pread(file, length, offset)
        if len(data) != length:
            raise damaged(str(pack_path(self._cube, name, seconds)))
        return data, clear

    def _open(self, name: str, seconds: int) -> tuple[list[int], np.ndarray, int] | None:
        path = pack_path(self._cube, name, seconds)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            magic, count = HEAD.unpack(os.pread(file, HEAD.size, 0))
            length = count * ENTRY.itemsize if magic == MAGIC else os.fstat(file).st_size + 1
            data = os.pread(file, min(length, os.fstat(file).st_size), HEAD.size)
            table = np.frombuffer(data, ENTRY, count)
        except (struct.error, ValueError, OSError) as error:
            os.close(file)
            raise damaged(str(path)) from error
        made = self._tables[name, seconds] = table["key"].tolist(), table, file
        while len(self._tables) > OPEN_TABLES:
            os.close(self._tables.popitem(last=False)[1][2])
        return made

    def close(self) -> None:
        """Let go of the files."""
        while self._tables:
            os.close(self._tables.popitem()[1][2])
