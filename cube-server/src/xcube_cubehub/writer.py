"""Write a cube time by time: each is there for readers as a whole or not at all."""

import math
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj

from xcube_cubehub.exchange import put_in_place
from xcube_cubehub.fast import kernels, tiles, warp
from xcube_cubehub.fast.packs import pack_path, write_pack
from xcube_cubehub.fast.warp import Place
from xcube_cubehub.grid import TILE
from xcube_cubehub.index import (
    SEEN,
    SERIES_STEPS,
    Index,
    Variable,
    level_array,
    series_array,
    write_index,
)
from xcube_cubehub.metadata import Groups
from xcube_cubehub.shards import Layout, ShardReader, flush, write_shard, write_whole
from xcube_cubehub.summary import (
    Summary,
    Totals,
    read_summary,
    summarise,
    summary_path,
    write_summary,
)

Field = npt.NDArray[np.float32]
NEAR_EMPTY = 0.04
"""Below this share of the pixels that ever have a value, a time shows next to nothing on a map."""
MAX_PREPARED_ZOOM = 18


def levels_for(shape: tuple[int, int]) -> int:
    """How many levels a pyramid has: at least two, the last no larger than a tile."""
    return max(2, 1 + math.ceil(math.log2(max(*shape, TILE) / TILE)))


def pack(values: Field, variable: Variable) -> npt.NDArray[np.generic]:
    """Values as they are stored; what does not fit into the type is stored as missing."""
    dtype = np.dtype(variable.dtype)
    if variable.fill is None and (variable.scale_factor, variable.add_offset) == (1.0, 0.0):
        return np.asarray(values, dtype=dtype)
    stored = (np.asarray(values, np.float64) - variable.add_offset) / variable.scale_factor
    if dtype.kind == "f":
        return stored.astype(dtype)
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        whole = np.rint(stored)
        fits = (whole >= limits.min) & (whole <= limits.max) & (whole != variable.fill)
        return np.where(fits, whole, variable.fill_value).astype(dtype)


def unpack(stored: npt.NDArray[np.generic], variable: Variable) -> Field:
    """Values of what is stored, NaN where there is none."""
    values = stored.astype(np.float64) * variable.scale_factor + variable.add_offset
    if variable.fill is not None:
        values[stored == variable.fill] = np.nan
    return values.astype(np.float32)


def halve(values: Field, aggregation: str) -> Field:
    """The next level: `xcube_cubehub.index.AGGREGATIONS` of each 2 x 2 block."""
    out = np.empty(((values.shape[0] + 1) // 2, (values.shape[1] + 1) // 2), np.float32)
    if aggregation == "first":
        kernels.halve_first(values, out)
    elif aggregation == "mode":
        kernels.halve_mode(values, out)
    else:
        kernels.halve_mean(values, aggregation == "log-mean", out)
    return out


def prepared_zoom(index: Index) -> int:
    """The largest zoom at which map tiles are as fine as the cube, on the map that viewers use; -1 if none is useful."""
    crs = pyproj.CRS.from_user_input(index.crs)
    finest = (abs(index.dx) + abs(index.dy)) / 2
    metres = finest * (math.pi / 180 * warp.EARTH_RADIUS_M if crs.is_geographic else 1.0)
    return min(MAX_PREPARED_ZOOM, max(0, round(math.log2(2 * warp.HALF_WORLD_M / TILE / metres))))


class CubeWriter:
    """Appends to one cube, or replaces times in it. One at a time: hold the cube's lock.

    Parameters
    ----------
    cube : path
        Its folder.
    index : Index
        What it holds (`xcube_cubehub.index.read_index`), or what it is to be (`create`).
    attributes, variables : mapping
        Global CF attributes, and those of each variable.
    durable : bool
        Whether each time is to survive a power cut once it is there; not needed where nobody reads the cube yet.
    """

    def __init__(
        self,
        cube: Path,
        index: Index,
        attributes: Mapping[str, Any],
        variables: Mapping[str, Mapping[str, Any]],
        *,
        durable: bool = True,
    ) -> None:
        self.cube, self.index, self.durable = cube, index, durable
        self._groups = Groups(cube, attributes, variables)
        self._totals: dict[str, Totals] | None = None

    def create(self) -> None:
        """Begin a cube that has no times yet, in an empty folder."""
        zoom = prepared_zoom(self.index)
        prepared = {name: zoom for name, v in self.index.variables.items() if v.style is not None}
        self.index = self.index.following(prepared=prepared)
        self._groups.create(self.index)
        write_index(self.cube, self.index, durable=self.durable)

    def restore(self) -> None:
        """Write the documents of a cube anew, from its index and what is known of its variables."""
        self._groups.create(self.index)

    def append(self, seconds: int, values: Mapping[str, Field]) -> None:
        """Add a time after all that are there.

        Parameters
        ----------
        seconds : int
            Since 1970, after the last one.
        values : mapping of str to ndarray of float32, shape (y, x)
            Every variable; NaN where there is none.

        Raises
        ------
        ValueError
            The time is not after the last, or the shape is not the cube's.
        """
        if self.index.times and seconds <= self.index.times[-1]:
            message = f"{np.datetime64(seconds, 's')} is not after the last time of the cube"
            raise ValueError(message)
        self._commit(self._write(len(self.index.times), seconds, values))

    def replace(self, seconds: int, values: Mapping[str, Field]) -> None:
        """Exchange what is there at a time: of each variable and level at once, one after another.

        Raises
        ------
        ValueError
            There is no such time.
        """
        step = self.index.times.index(seconds)
        index = self._write(step, seconds, values)
        kept = min(index.series_steps, step // SERIES_STEPS * SERIES_STEPS)
        self._commit(index.following(series_steps=kept, counts=(), epoch=secrets.token_hex(4)))

    def adopt(self, other: "CubeWriter", times: Sequence[int]) -> None:
        """Take over times of another cube of the same layout, all of them after those that are here, by hard links.

        Parameters
        ----------
        other : CubeWriter
            Whose files are linked; they must be on the same disk.
        times : sequence of int
            Ascending, each one of the other's.
        """
        if not times:
            return
        for seconds in times:
            before, after = other.index.times.index(seconds), len(self.index.times)
            for name in self.index.variables:
                for level in range(self.index.levels):
                    source = level_array(other.cube, level, name) / "c" / str(before)
                    target = level_array(self.cube, level, name) / "c" / str(after)
                    for shard in sorted(source.glob("*/*")):
                        link = target / shard.relative_to(source)
                        link.parent.mkdir(parents=True, exist_ok=True)
                        link.hardlink_to(shard)
                pack, old = pack_path(self.cube, name, seconds), pack_path(other.cube, name, seconds)
                if old.exists():
                    pack.parent.mkdir(parents=True, exist_ok=True)
                    pack.hardlink_to(old)
                summary = other.summary(name, seconds, before)
                write_summary(summary_path(self.cube, name, seconds), summary)
                self._totals_of(name).put(seconds, summary)
            self.index = self.index.following(times=(*self.index.times, seconds))
        self._commit(self.index)

    def _write(self, step: int, seconds: int, values: Mapping[str, Field]) -> Index:
        index = self.index
        times = index.times if step < len(index.times) else (*index.times, seconds)
        grown = index.following(times=times)
        for name in index.variables:
            if np.shape(values[name]) != index.shape:
                message = f"{name} has shape {np.shape(values[name])}, the cube {index.shape}"
                raise ValueError(message)
        replaced: list[tuple[Path, Path]] = []
        for name, variable in index.variables.items():
            field = np.ascontiguousarray(values[name], np.float32)
            totals = self._totals_of(name)
            before = self.summary(name, seconds, step) if step < len(index.times) else None
            for level in range(index.levels):
                if level:
                    field = halve(field, variable.aggregation)
                array, stored = level_array(self.cube, level, name), pack(field, variable)
                place = str(step) if step == len(index.times) else _aside(array, step, replaced)
                _write_field(array, place, stored, grown.layout(name, level))
                if level == 0:
                    summary = summarise(unpack(stored, variable))
            write_summary(summary_path(self.cube, name, seconds), summary)
            totals.put(seconds, summary, before)
        if self.durable and replaced:
            flush(self.cube)
        for new, there in replaced:
            put_in_place(new, there)
        # Seen as readers will see it, but for the index: that comes last
        cube = tiles.Cube(self.cube, grown)
        for name in index.prepared:
            self._prepare(cube, name, step, seconds)
        cube.forget()
        return grown

    def _prepare(self, cube: tiles.Cube, name: str, step: int, seconds: int) -> None:
        style = cube.index.variables[name].style
        if style is None:
            return
        made = {}
        for place in places(cube.index, cube.index.prepared[name]):
            painted = tiles.paint(cube, name, step, place, style, tiles.PREPARED_COLOURS)
            if isinstance(painted, bytes):
                made[place.z, place.x, place.y] = (b"\0", tiles.NOT_PREPARED)
            elif painted.idat:
                made[place.z, place.x, place.y] = (painted.idat, painted.clear)
        write_pack(pack_path(self.cube, name, seconds), made)

    def summary(self, name: str, seconds: int, step: int) -> Summary:
        """What a time amounts to, as it was noted; worked out anew where it was not."""
        found = read_summary(summary_path(self.cube, name, seconds))
        if found is None:
            found = summarise(self._field(name, step))
            write_summary(summary_path(self.cube, name, seconds), found)
        return found

    def _field(self, name: str, step: int) -> Field:
        """The values of a time, read from the finest level."""
        index, (rows, columns) = self.index, self.index.shape
        out = np.full(index.shape, np.nan, np.float32)
        reader = ShardReader(level_array(self.cube, 0, name), index.layout(name, 0))
        places = product(range(math.ceil(rows / TILE)), range(math.ceil(columns / TILE)))
        for j, i in places:
            (chunk,) = reader.read([(step, j, i)])
            if chunk is not None:
                part = out[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE]
                part[...] = unpack(chunk[0], index.variables[name])[: part.shape[0], : part.shape[1]]
        return out

    def _totals_of(self, name: str) -> Totals:
        """What all times amount to that are there, or about to be."""
        if self._totals is None:
            self._totals = {n: Totals() for n in self.index.variables}
            for variable, totals in self._totals.items():
                for step, seconds in enumerate(self.index.times):
                    totals.put(seconds, self.summary(variable, seconds, step))
        return self._totals[name]

    def _commit(self, index: Index) -> None:
        found = {name: self._totals_of(name).statistics() for name in index.variables}
        index = replace(index, statistics={name: s for name, s in found.items() if s is not None})
        self._groups.update(index)
        if self.durable:
            flush(self.cube)
        write_index(self.cube, index, durable=self.durable)
        self.index = index

    def finish(self, report: Callable[[int, int], None] | None = None) -> None:
        """Bring the time store up to the pyramid, and note the times that show next to nothing.

        Parameters
        ----------
        report : callable
            Told how many parts are done, and of how many.
        """
        self.index = index = self._count()
        target = index.following(series_steps=len(index.times))
        parts = []
        for name in index.variables:
            layout = target.series_layout(name)
            first = index.series_steps // SERIES_STEPS
            counts = [math.ceil(n / s) for n, s in zip(layout.shape, layout.shard, strict=True)]
            parts += [
                (name, layout, part) for part in product(range(first, counts[0]), *map(range, counts[1:]))
            ]
        stale = index.series_steps % SERIES_STEPS
        if stale:
            # The last shards are about to be replaced one by one; meanwhile the pyramid has their times
            self._commit(index.following(series_steps=index.series_steps - stale))
        for done, (name, layout, part) in enumerate(parts):
            _write_series(self.cube, target, name, layout, part)
            if report is not None:
                report(done + 1, len(parts))
        self._commit(target)

    def _count(self) -> Index:
        """Count the pixels with a value of the times that are new, and find those that show next to nothing."""
        index = self.index
        name = next(iter(index.variables))
        reader = ShardReader(level_array(self.cube, 0, name), index.layout(name, 0))
        rows, columns = index.shape
        chunks = list(product(range(math.ceil(rows / TILE)), range(math.ceil(columns / TILE))))
        seen, counts = self._seen(), list(index.counts)
        for step in range(len(counts), len(index.times)):
            count = 0
            for (j, i), chunk in zip(chunks, reader.read([(step, j, i) for j, i in chunks]), strict=True):
                if chunk is not None:
                    part = seen[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE]
                    there = np.isfinite(unpack(chunk[0], index.variables[name]))[
                        : part.shape[0], : part.shape[1]
                    ]
                    part |= there
                    count += int(there.sum())
            counts.append(count)
        write_whole(self.cube / SEEN, np.packbits(seen).tobytes())
        least = NEAR_EMPTY * max(int(seen.sum()), 1)
        hidden = tuple(n for n, count in enumerate(counts) if count < least)
        hidden = hidden if len(hidden) < len(counts) else ()
        return index.following(counts=tuple(counts), hidden=hidden)

    def _seen(self) -> npt.NDArray[np.bool_]:
        """Which pixels had a value at any of the times that were counted."""
        size = math.prod(self.index.shape)
        if self.index.counts:
            packed = np.fromfile(self.cube / SEEN, np.uint8)
            return np.unpackbits(packed, count=size).astype(np.bool_).reshape(self.index.shape)
        return np.zeros(self.index.shape, np.bool_)


def places(index: Index, largest: int) -> list[Place]:
    """Tiles of the viewers' map that may show some of a cube, from zoom 0 to the largest."""
    rows, columns = index.shape
    west, east = index.west, index.west + columns * index.dx
    south, north = sorted((index.north, index.north + rows * index.dy))
    to_map = pyproj.Transformer.from_crs(index.crs, "EPSG:4326", always_xy=True)
    left, bottom, right, top = to_map.transform_bounds(west, south, east, north, densify_pts=51)
    found = []
    for z in range(largest + 1):
        across = 1 << z
        first, last = math.floor((left + 180) / 360 * across), math.ceil((right + 180) / 360 * across)
        if right < left or last - first >= across:
            first, last = (first, last + across) if right < left else (0, across)
        up, down = _row(top, across), _row(bottom, across)
        found += [
            Place(warp.MERCATOR, z, x % across, y, TILE)
            for x, y in product(range(first, last), range(up, down + 1))
        ]
    return list(dict.fromkeys(found))


def _row(latitude: float, across: int) -> int:
    """Row of tiles in which a latitude is."""
    at = math.radians(max(min(latitude, 85.051129), -85.051129))
    place = (1 - math.asinh(math.tan(at)) / math.pi) / 2 * across
    return min(max(int(place), 0), across - 1)


def _aside(array: Path, step: int, replaced: list[tuple[Path, Path]]) -> str:
    """An empty folder for another version of a time, which is exchanged for it later: readers may have what is there open."""
    name = f".{step}.new"
    shutil.rmtree(array / "c" / name, ignore_errors=True)
    (array / "c" / name).mkdir(parents=True)
    replaced.append((array / "c" / name, array / "c" / str(step)))
    return name


def _write_field(array: Path, place: str, stored: npt.NDArray[np.generic], layout: Layout) -> None:
    """Write a field into the folder of a time, or one that is to become it."""
    _, height, width = layout.shard
    counts = (math.ceil(n / s) for n, s in zip(stored.shape, (height, width), strict=True))
    for j, i in product(*map(range, counts)):
        part = stored[j * height : (j + 1) * height, i * width : (i + 1) * width]
        write_shard(array, (place, j, i), part[np.newaxis], layout)


def _write_series(cube: Path, index: Index, name: str, layout: Layout, part: tuple[int, ...]) -> None:
    """Turn a block of times around: from one file for each time to one file for all of them."""
    steps, height, width = layout.shard
    first = part[0] * steps
    last = min(first + steps, len(index.times))
    top, left = part[1] * height, part[2] * width
    bottom, right = min(top + height, layout.shape[1]), min(left + width, layout.shape[2])
    block = np.full((steps, bottom - top, right - left), layout.fill, layout.dtype)
    reader = ShardReader(level_array(cube, 0, name), index.layout(name, 0))
    down, across = range(top // TILE, (bottom - 1) // TILE + 1), range(left // TILE, (right - 1) // TILE + 1)
    for step in range(first, last):
        keys = [(step, j, i) for j in down for i in across]
        for (_, j, i), chunk in zip(keys, reader.read(keys), strict=True):
            if chunk is None:
                continue
            y, x = j * TILE, i * TILE
            rows, columns = (
                slice(max(y, top), min(y + TILE, bottom)),
                slice(max(x, left), min(x + TILE, right)),
            )
            block[
                step - first, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ] = chunk[0, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    write_shard(series_array(cube, name), part, block, layout)
