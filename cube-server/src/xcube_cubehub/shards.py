"""Shards of Zarr 3: files that hold many chunks, written whole and read a chunk at a time.

zarr-python reads what is written here, and is what everybody else uses. This is for the two places where its cost for a
chunk, a good part of a millisecond, would be most of the work: time stores of tens of thousands of small chunks, and
map tiles.

References
----------
Zarr 3 core, and its codec ``sharding_indexed`` version 1.0: the index is an array of (offset, length) pairs of
little-endian uint64 with a CRC-32C behind it; both are 2**64 - 1 where a chunk is absent.
"""

import ctypes
import math
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from xcube_cubehub.errors import CubeError

ABSENT = 2**64 - 1
COMPRESSOR = "lz4"
LEVEL = 5
MAX_CHUNK_BYTES = 64 * 2**20
"""No chunk that a cube may have is larger, so one that says so is damaged."""
Array = npt.NDArray[np.generic]


class DamagedError(CubeError):
    """Stored bytes that are not what they should be."""

    code = "damaged"


@dataclass(frozen=True)
class Layout:
    """How one array is cut.

    Attributes
    ----------
    shape, shard, chunk : tuple of int
        Of the array, of a file, of what is compressed as one; a shard is a whole number of chunks.
    dtype : dtype
        Little-endian.
    fill : float or int
        What an absent chunk is full of.
    """

    shape: tuple[int, ...]
    shard: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fill: float

    @property
    def per_shard(self) -> tuple[int, ...]:
        """How many chunks a shard has along each dimension."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk that is not compressed."""
        return math.prod(self.chunk) * self.dtype.itemsize

    @property
    def index_bytes(self) -> int:
        """Bytes of the index at the end of each shard."""
        return 16 * math.prod(self.per_shard) + 4

    def locate(self, chunk: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """Which shard a chunk is in, and its place there in C order."""
        per_shard = self.per_shard
        shard = tuple(n // m for n, m in zip(chunk, per_shard, strict=True))
        place = 0
        for number, count in zip(chunk, per_shard, strict=True):
            place = place * count + number % count
        return shard, place


def shard_path(array: Path, shard: tuple[int | str, ...]) -> Path:
    """Where a shard is, by Zarr 3's default keys."""
    return array / "c" / "/".join(map(str, shard))


def encode_chunk(values: Array) -> bytes:
    """Compress one chunk, bytes of equal weight together."""
    packed: bytes = blosc.compress(
        np.ascontiguousarray(values).view(np.uint8).reshape(-1).data,
        COMPRESSOR.encode(),
        LEVEL,
        blosc.SHUFFLE,
        0,
        typesize=values.dtype.itemsize,
    )
    return packed


def encode_shard(values: Array, layout: Layout) -> bytes | None:
    """One shard as bytes; None if there is nothing in it.

    Parameters
    ----------
    values : ndarray
        At most as large as a shard; what is missing at its far edges is fill.
    """
    parts: list[bytes] = []
    index = np.full((math.prod(layout.per_shard), 2), ABSENT, dtype="<u8")
    offset = 0
    for place, chunk in enumerate(_chunks(values, layout)):
        if chunk is None:
            continue
        packed = encode_chunk(chunk)
        index[place] = offset, len(packed)
        parts.append(packed)
        offset += len(packed)
    if not parts:
        return None
    table = index.tobytes()
    parts += [table, struct.pack("<I", google_crc32c.value(table))]
    return b"".join(parts)


def _chunks(values: Array, layout: Layout) -> Iterator[Array | None]:
    """Chunks of a shard in C order; None for one that is all fill."""
    nan = isinstance(layout.fill, float) and math.isnan(layout.fill)
    for place in product(*(range(n) for n in layout.per_shard)):
        window = tuple(slice(n * c, (n + 1) * c) for n, c in zip(place, layout.chunk, strict=True))
        part = values[window]
        if part.size == 0 or _is_fill(part, layout.fill, nan=nan):
            yield None
        elif part.shape == layout.chunk:
            yield part
        else:
            full = np.full(layout.chunk, layout.fill, dtype=layout.dtype)
            full[tuple(slice(n) for n in part.shape)] = part
            yield full


def _is_fill(part: Array, fill: float, *, nan: bool) -> bool:
    first = part[(0,) * part.ndim]
    if not (np.isnan(first) if nan else first == fill):
        return False  # most have a value at their corner, and need not be looked at
    return bool((np.isnan(part) if nan else part == fill).all())


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put bytes in place so that a reader finds all of them or what was there before; after a power cut, if durable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)


def flush(folder: Path) -> None:
    """Have everything that was written to a folder's disk survive a power cut: one call for thousands of files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)


def write_shard(array: Path, shard: tuple[int | str, ...], values: Array, layout: Layout) -> int:
    """Write one shard, or take it away if it is all fill; the bytes written."""
    data, path = encode_shard(values, layout), shard_path(array, shard)
    if data is None:
        path.unlink(missing_ok=True)
        return 0
    write_whole(path, data)
    return len(data)


class ShardReader:
    """Reads chunks of one array from its shards.

    Parameters
    ----------
    array : path
        Folder of the array.
    layout : Layout
        How it is cut.

    Notes
    -----
    Nothing of a file is kept: an index is read with each shard, so that a shard that was replaced is never read by the
    index of the old one. Both come from the page cache.
    """

    def __init__(self, array: Path, layout: Layout) -> None:
        self._prefix = f"{array}/c/"
        self.layout = layout

    def mark(self, step: int) -> tuple[int, int] | None:
        """What differs when another version of a time has taken its place: that has a folder of its own. None if there is none."""
        try:
            found = os.stat(f"{self._prefix}{step}")  # noqa: PTH116 - for each tile
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def read(self, chunks: Sequence[tuple[int, ...]]) -> list[Array | None]:
        """Chunks in the order asked for, shape `Layout.chunk`; None for one that is absent.

        Raises
        ------
        DamagedError
            A file is not what it should be.
        """
        found: list[Array | None] = [None] * len(chunks)
        wanted: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for number, chunk in enumerate(chunks):
            shard, place = self.layout.locate(chunk)
            wanted.setdefault(shard, []).append((number, place))
        for shard, places in wanted.items():
            self._read_shard(self._prefix + "/".join(map(str, shard)), places, found)
        return found

    def _read_shard(self, path: str, places: list[tuple[int, int]], found: list[Array | None]) -> None:
        try:
            file, size = open_plain(path)
        except FileNotFoundError:
            return
        try:
            length = self.layout.index_bytes
            index = os.pread(file, length, size - length) if size > length else b""
            if len(index) != length:
                raise damaged(path)
            for number, place in places:
                offset, count = struct.unpack_from("<QQ", index, 16 * place)
                if offset == ABSENT:
                    continue
                if count > MAX_CHUNK_BYTES or offset + count > size - length:
                    raise damaged(path)
                found[number] = decode_chunk(os.pread(file, count, offset), self.layout, path)
        finally:
            os.close(file)


def open_plain(path: str | Path) -> tuple[int, int]:
    """A file's descriptor and size.

    Raises
    ------
    FileNotFoundError
        There is none.
    DamagedError
        It cannot be opened, or is no plain file: a link leads anywhere, and a pipe never begins.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise DamagedError(message, "check the disk, or build the cube anew") from error
    facts = os.fstat(file)
    if not stat.S_ISREG(facts.st_mode):
        os.close(file)
        raise damaged(str(path))
    return file, facts.st_size


def read_whole(path: Path, most: int) -> bytes:
    """All of a file of at most so many bytes.

    Raises
    ------
    FileNotFoundError
        There is none.
    DamagedError
        It is larger, no plain file, or cannot be read.
    """
    file, size = open_plain(path)
    try:
        if size > most:
            raise damaged(str(path))
        return os.pread(file, size, 0)
    finally:
        os.close(file)


def damaged(path: str) -> DamagedError:
    """The error for a file whose bytes make no sense."""
    return DamagedError(f"{path} is damaged", "build the cube anew")


def decode_chunk(packed: bytes, layout: Layout, path: str) -> Array:
    """Values of a chunk.

    Raises
    ------
    DamagedError
        The bytes are no such chunk.
    """
    # Blosc 1: the whole frame's and the content's length stand in its header, bytes 4 to 16
    if len(packed) < 16:
        raise damaged(path)
    content, _, frame = struct.unpack_from("<III", packed, 4)
    if content != layout.chunk_bytes or frame != len(packed):
        raise damaged(path)
    out = np.empty(layout.chunk, dtype=layout.dtype)
    try:
        blosc.decompress(packed, out)
    except (RuntimeError, ValueError) as error:
        raise damaged(path) from error
    return out
