"""Map tiles: read what lies under one, look its colours up, compress."""

import os
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xcube_cubehub.errors import BusyError, CubeError
from xcube_cubehub.fast import kernels, png, warp
from xcube_cubehub.fast.afar import Afar, AfarPacks, AfarShards, level_shards, series_shards
from xcube_cubehub.fast.colours import Scale, scale_of
from xcube_cubehub.fast.packs import NOT_PREPARED, PackReader
from xcube_cubehub.fast.warp import Footprint, Place
from xcube_cubehub.grid import TILE
from xcube_cubehub.index import Index, Style, level_array, read_index, series_array
from xcube_cubehub.shards import Array, ShardReader

CACHED_CHUNKS = 128
"""Decoded chunks that a process keeps, a quarter of a MiB each for float32: neighbouring tiles share some."""
PREPARED_COLOURS = 256
"""Of the colour maps for which tiles are made beforehand; another number of colours has other thresholds."""
TRIES = 8
"""How often a time is read anew that is replaced meanwhile."""
CLEAR = 255
"""The number that says "no value" unless a pixel has this colour; then another, which no pixel has."""


@dataclass(frozen=True)
class Painted:
    """A tile without its colours.

    Attributes
    ----------
    idat : bytes
        PNG's compressed chunk; empty where no pixel has a value.
    clear : int
        The number that says "no value"; -1 if every pixel has one.
    """

    idat: bytes
    clear: int


__all__ = ["NOT_PREPARED", "Cube", "Painted", "image", "paint"]
EMPTY = Painted(b"", -1)
Mark = tuple[int, int] | None
_chunks: OrderedDict[tuple[int, str, int, int, Mark, int, int], Array | None] = OrderedDict()
_numbers_of_cubes = count()


class MovedError(CubeError):
    """A cube was exchanged for another one while it was read."""

    code = "moved"


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = os.stat(folder)  # noqa: PTH116 - for each tile
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def changing(folder: Path) -> BusyError:
    """The error where a time is replaced again and again while it is read."""
    return BusyError(f"{folder} changes while it is read", "try again in a moment")


class Cube:
    """A cube, opened for tiles; made anew when its index changes.

    Parameters
    ----------
    folder : path
        Of the cube.
    index : Index, optional
        What it holds; default: as its folder says.
    afar : Afar, optional
        By which it is read if its arrays lie in a bucket.

    Raises
    ------
    CubeError
        It cannot be read.
    """

    def __init__(self, folder: Path, index: Index | None = None, afar: Afar | None = None) -> None:
        self.folder = folder
        # before the index: of a cube that is exchanged in between too much is noticed rather than too little
        self._identity = _identity(folder)
        self.index = read_index(folder) if index is None else index
        self.times = np.array(self.index.times, dtype=np.int64)
        self.afar = afar if self.index.place else None
        self.packs = PackReader(folder) if self.afar is None else AfarPacks(self.afar, self.index)
        self._readers: dict[tuple[str, int], ShardReader | AfarShards] = {}
        self._number = next(_numbers_of_cubes)

    def is_moved(self) -> bool:
        """Whether another cube has taken this one's place: then what was read since may be of either."""
        return self.afar is None and self._identity != _identity(self.folder)

    def stay(self) -> None:
        """Make sure that all that was read is of this cube.

        Raises
        ------
        MovedError
            Another one has taken its place.
        """
        if self.is_moved():
            message = f"{self.folder} was exchanged while it was read"
            raise MovedError(message, "ask again")

    def forget(self) -> None:
        """Let go of what was kept of its chunks: nobody will ask for them again."""
        for key in [key for key in _chunks if key[0] == self._number]:
            del _chunks[key]

    def nearest(self, seconds: int) -> int:
        """Position of the time nearest to one; the earlier of two."""
        times = self.index.times
        after = bisect_left(times, seconds)
        if after == 0 or (after < len(times) and times[after] == seconds):
            return after
        if after == len(times) or seconds - times[after - 1] <= times[after] - seconds:
            return after - 1
        return after

    def level_reader(self, name: str, level: int) -> ShardReader | AfarShards:
        """Reads a variable's chunks in a level."""
        if self.afar is not None:
            return level_shards(self.afar, self.index, name, level)
        return ShardReader(level_array(self.folder, level, name), self.index.layout(name, level))

    def series_reader(self, name: str) -> ShardReader | AfarShards:
        """Reads a variable's chunks in the time store."""
        if self.afar is not None:
            return series_shards(self.afar, self.index, name)
        return ShardReader(series_array(self.folder, name), self.index.series_layout(name))

    def footprint(self, place: Place) -> tuple[int, Footprint | None]:
        """Level for a tile, and its pixels under it."""
        index = self.index
        level = warp.level_for(index, place)
        factor = 2.0**level
        grid = (index.crs, index.west, index.north, index.dx * factor, index.dy * factor)
        return level, warp.footprint(*grid, index.level_shape(level), place)

    def _chunks_of(
        self, name: str, level: int, step: int, places: Sequence[tuple[int, int]]
    ) -> list[Array | None]:
        """Chunks by row and column, all of one version of the time: it may be replaced meanwhile."""
        reader = self._readers.get((name, level))
        if reader is None:
            reader = self._readers[name, level] = self.level_reader(name, level)
        cache = _chunks
        for _ in range(TRIES):
            mark = reader.mark(step)
            keys = [(self._number, name, level, step, mark, j, i) for j, i in places]
            missing = [key for key in keys if key not in cache]
            if missing:
                found = reader.read([(step, *key[5:]) for key in missing])
                if reader.mark(step) != mark:
                    continue
                for key, chunk in zip(missing, found, strict=True):
                    cache[key] = None if chunk is None else chunk[0]
            chunks = [cache[key] for key in keys]
            while len(cache) > CACHED_CHUNKS:
                cache.popitem(last=False)
            return chunks
        raise changing(self.folder)

    def window(
        self, name: str, level: int, step: int, box: tuple[int, int, int, int]
    ) -> tuple[Array, int, int] | None:
        """Stored values around a box, with the row and the column at which they begin; None if all are absent."""
        top, bottom, left, right = box
        across, down = (
            range(left // TILE, (right - 1) // TILE + 1),
            range(top // TILE, (bottom - 1) // TILE + 1),
        )
        places = [(j, i) for j in down for i in across]
        chunks = self._chunks_of(name, level, step, places)
        if len(chunks) == 1:
            return None if chunks[0] is None else (chunks[0], top // TILE * TILE, left // TILE * TILE)
        if all(chunk is None for chunk in chunks):
            return None
        layout = self.index.variables[name]
        out = np.empty((bottom - top, right - left), np.dtype(layout.dtype))
        for (j, i), chunk in zip(places, chunks, strict=True):
            y, x = j * TILE, i * TILE
            rows = slice(max(y, top), min(y + TILE, bottom))
            columns = slice(max(x, left), min(x + TILE, right))
            target = out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            if chunk is None:
                target[...] = layout.fill_value
            else:
                target[...] = chunk[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        return out, top, left


def _numbers(
    cube: Cube, name: str, step: int, place: Place, scale: Scale, clear: int
) -> tuple[npt.NDArray[np.uint8], int, bool] | None:
    level, footprint = cube.footprint(place)
    if footprint is None:
        return None
    window = cube.window(name, level, step, footprint.box)
    if window is None:
        return None
    values, top, left = window
    variable = cube.index.variables[name]
    out = np.empty((place.size, place.size + 1), np.uint8)
    out[:, 0] = 0
    there, clash = kernels.paint(
        values, footprint.rows, footprint.columns, 0.0 if variable.fill is None else variable.fill,
        variable.fill is not None, variable.scale_factor, variable.add_offset, top, left,
        scale.thresholds, scale.first, scale.factor, scale.table, clear, out,
    )  # fmt: skip
    return out, there, clash


def paint(cube: Cube, name: str, step: int, place: Place, style: Style, colours: int) -> Painted | bytes:
    """A tile by colour numbers.

    Parameters
    ----------
    cube : Cube
        Where from.
    name, step : str, int
        Variable, and position of the time.
    style : Style
        Ends and scale; the colours themselves do not matter.
    colours : int
        How many there are, at most 256.

    Returns
    -------
    Painted or bytes
        Bytes where a tile has all of 256 colours and pixels without a value: one byte for each pixel and one for
        whether it has a value, for `png.true_colour`.
    """
    scale = scale_of(style, colours)
    clear = min(colours, CLEAR)
    found = _numbers(cube, name, step, place, scale, clear)
    if found is None:
        return EMPTY
    numbers, there, clash = found
    if there == 0:
        return EMPTY
    if there == place.size**2:
        return Painted(png.body(numbers), -1)
    if clash:
        seen = np.zeros(256, np.bool_)
        kernels.used(numbers, seen)
        free = np.flatnonzero(~seen)
        if not free.size:
            other = _numbers(cube, name, step, place, scale, 0) or found
            # Where the two differ, or both say what the other would call "no value", tells which pixels have one
            has = (numbers[:, 1:] != clear) | (other[0][:, 1:] == clear)
            return b"".join((numbers[:, 1:].tobytes(), has.tobytes()))
        clear = int(free[0])
        numbers, _, _ = _numbers(cube, name, step, place, scale, clear) or found
    return Painted(png.body(numbers), clear)


def image(painted: Painted | bytes, palette: png.Palette, size: int) -> bytes:
    """The PNG of a painted tile."""
    if isinstance(painted, bytes):
        both = np.frombuffer(painted, np.uint8).reshape(2, size, size)
        rgba = palette.rgba[both[0]].copy()
        rgba[both[1] == 0] = 0
        return png.true_colour(rgba)
    if not painted.idat:
        return png.transparent(size)
    return png.assemble(size, palette, painted.clear, painted.idat)
