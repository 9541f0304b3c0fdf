"""Time series of a place: from the time store, and from the pyramid what it does not hold yet."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import orjson
import pyproj
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry
from shapely.ops import transform

from xcube_cubehub.errors import RequestError
from xcube_cubehub.fast import kernels
from xcube_cubehub.fast.tiles import TRIES, Cube, changing
from xcube_cubehub.fast.warp import is_geographic
from xcube_cubehub.grid import TILE
from xcube_cubehub.index import SERIES_EDGE, SERIES_STEPS
from xcube_cubehub.shards import Array

METHODS = ("mean", "std", "min", "max", "median", "count")
MAX_PIXELS = 1_000_000
"""Of an area: some minutes of one core over two thousand times, and 64 MiB for its mask and what is read at once."""
MAX_MEDIAN_PIXELS = 100_000
"""All values of a time are held for its median."""
TAIL_STEPS = 16
"""Times that are read of the pyramid at once."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Area:
    """Pixels of a cube within a geometry.

    Attributes
    ----------
    mask : ndarray of bool, shape (y, x)
        Which pixels of the box count.
    top, left : int
        Row and column of the cube at which the box begins.
    """

    mask: npt.NDArray[np.bool_]
    top: int
    left: int


@dataclass(frozen=True)
class Span:
    """Positions of times: from the first to before the last."""

    first: int
    last: int


def span_of(cube: Cube, start: float | None, end: float | None) -> Span:
    """Times from ``start`` to ``end``, both included, in seconds since 1970; None for no bound."""
    first = 0 if start is None else int(np.searchsorted(cube.times, math.ceil(start)))
    last = len(cube.times) if end is None else int(np.searchsorted(cube.times, math.floor(end), "right"))
    return Span(first, max(first, last))


def project(cube: Cube, geometry: BaseGeometry) -> BaseGeometry:
    """A geometry in degrees on the cube's projection."""
    if is_geographic(cube.index.crs):
        return geometry
    return transform(_from_degrees(cube.index.crs).transform, geometry)


@lru_cache(maxsize=64)
def _from_degrees(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True)


def project_point(cube: Cube, lon: float, lat: float) -> tuple[float, float]:
    """A point in degrees on the cube's projection."""
    if is_geographic(cube.index.crs):
        return lon, lat
    x, y = _from_degrees(cube.index.crs).transform(lon, lat)
    return float(x), float(y)


def pixel_of(cube: Cube, x: float, y: float) -> tuple[int, int] | None:
    """Row and column of the pixel whose centre is nearest to a point; None outside of the cube.

    Notes
    -----
    Half-way between two centres the one with the larger coordinate counts, as pandas decides for xarray.
    """
    index = cube.index
    rows, columns = index.shape
    row, column = (y - index.north) / index.dy, (x - index.west) / index.dx
    if not (0 < row < rows and 0 < column < columns):
        return None
    return _nearest(y, index.north, index.dy, rows), _nearest(x, index.west, index.dx, columns)


def _nearest(value: float, edge: float, step: float, size: int) -> int:
    here = int((value - edge) / step)
    near = [n for n in (here - 1, here, here + 1) if 0 <= n < size]
    # Of two that are equally near the one with the larger coordinate
    ordered = near if step < 0 else near[::-1]
    return min(ordered, key=lambda n: abs(edge + (n + 0.5) * step - value))


def area_of(cube: Cube, geometry: BaseGeometry, most: int = MAX_PIXELS) -> Area | None:
    """Pixels that xcube counts to an area; None where it does not meet the cube.

    Raises
    ------
    RequestError
        Its box has more than ``most`` pixels.

    Notes
    -----
    xcube's rule exactly, so that nobody's numbers change: the cube is cut to the rows and columns that the geometry
    spans, by floor and ceiling and without the last of each, and GDAL then marks the pixels whose centres are inside,
    or that a line touches by Bresenham's algorithm.
    """
    index = cube.index
    rows, columns = index.shape
    west, east = index.west, index.west + columns * index.dx
    south, north = sorted((index.north, index.north + rows * index.dy))
    box = shapely.box(west, south, east, north)
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    inside = box.intersection(geometry)
    if inside.is_empty or not inside.is_valid:
        return None
    left, low, right, high = inside.bounds
    x1, x2 = (_clamp(f((v - west) / index.dx), columns) for f, v in ((math.floor, left), (math.ceil, right)))
    step = abs(index.dy)
    y1, y2 = (_clamp(f((v - south) / step), rows) for f, v in ((math.floor, low), (math.ceil, high)))
    if index.dy < 0:
        y1, y2 = rows - y2 - 1, rows - y1 - 1
    if x2 <= x1 or y2 <= y1:
        return Area(np.zeros((0, 0), np.bool_), y1, x1)
    if (x2 - x1) * (y2 - y1) > most:
        message = f"the area spans more than {most} pixels of the cube"
        raise RequestError(message, "draw a smaller area")
    upper = index.north + index.dy * (y1 if index.dy < 0 else y2)
    grid = Affine(index.dx, 0.0, west + x1 * index.dx, 0.0, -step, upper)
    mask = rasterio.features.geometry_mask([inside], (y2 - y1, x2 - x1), grid, invert=True)
    return Area(mask if index.dy < 0 else mask[::-1], y1, x1)


def _clamp(value: float, size: int) -> int:
    return max(0, min(int(value), size - 1))


def point_values(cube: Cube, name: str, row: int, column: int, span: Span) -> Floats:
    """Values of a pixel, float64, NaN where there is none."""
    index = cube.index
    stored = min(index.series_steps, span.last)
    out = np.full(span.last - span.first, np.nan)
    if span.first < stored:
        reader = cube.series_reader(name)
        blocks = range(span.first // SERIES_STEPS, (stored - 1) // SERIES_STEPS + 1)
        keys = [(block, row // SERIES_EDGE, column // SERIES_EDGE) for block in blocks]
        for block, chunk in zip(blocks, reader.read(keys), strict=True):
            if chunk is not None:
                begin, end = max(block * SERIES_STEPS, span.first), min((block + 1) * SERIES_STEPS, stored)
                line = chunk[:, row % SERIES_EDGE, column % SERIES_EDGE]
                base = block * SERIES_STEPS
                out[begin - span.first : end - span.first] = _values(
                    cube, name, line[begin - base : end - base]
                )
    tail = range(max(span.first, stored), span.last)
    if tail:
        reader = cube.level_reader(name, 0)
        # Some at once, for from a bucket each would be waited for
        for begin in range(tail.start, tail.stop, TAIL_STEPS):
            steps = range(begin, min(begin + TAIL_STEPS, tail.stop))
            chunks = reader.read([(step, row // TILE, column // TILE) for step in steps])
            for step, chunk in zip(steps, chunks, strict=True):
                if chunk is not None:
                    at = step - span.first
                    out[at : at + 1] = _values(
                        cube, name, chunk[0, row % TILE, column % TILE : column % TILE + 1]
                    )
    return out


def _values(cube: Cube, name: str, stored: Array) -> Floats:
    variable = cube.index.variables[name]
    values = stored.astype(np.float64)
    if (variable.scale_factor, variable.add_offset) != (1.0, 0.0):
        values = values * variable.scale_factor + variable.add_offset
    if variable.fill is not None:
        values[stored == variable.fill] = np.nan
    return values


def _blocks(
    cube: Cube, name: str, area: Area, span: Span
) -> Iterator[tuple[int, Array, npt.NDArray[np.bool_]]]:
    """Parts of the area at some times: position of the first of them in the span, stored values, and their mask."""
    index, (height, width) = cube.index, area.mask.shape
    stored = min(index.series_steps, span.last)
    if span.first < stored:
        reader = cube.series_reader(name)
        for block in range(span.first // SERIES_STEPS, (stored - 1) // SERIES_STEPS + 1):
            base = block * SERIES_STEPS
            begin, end = max(base, span.first), min(base + SERIES_STEPS, stored)
            for places in rows_of_chunks(area, height, width, SERIES_EDGE):
                keys = [(block, j, i) for j, i, _ in places]
                for (_, _, part), chunk in zip(places, reader.read(keys), strict=True):
                    if chunk is not None:
                        rows, columns, mask = part
                        yield begin - span.first, chunk[begin - base : end - base, rows, columns], mask
    for step in range(max(span.first, stored), span.last):
        for block_of_step, inside in _of_one_version(cube, name, area, step):
            yield step - span.first, block_of_step, inside


def _of_one_version(
    cube: Cube, name: str, area: Area, step: int
) -> list[tuple[Array, npt.NDArray[np.bool_]]]:
    """Parts of the area at one time and their masks, all of one version: a time may be replaced meanwhile."""
    reader, (height, width) = cube.level_reader(name, 0), area.mask.shape
    for _ in range(TRIES):
        mark = reader.mark(step)
        found: list[tuple[Array, npt.NDArray[np.bool_]]] = []
        for places in rows_of_chunks(area, height, width, TILE):
            for (_, _, part), chunk in zip(
                places, reader.read([(step, j, i) for j, i, _ in places]), strict=True
            ):
                if chunk is not None:
                    rows, columns, mask = part
                    # a copy: of a chunk that little is needed of the rest is let go
                    found.append((chunk[:, rows, columns].copy(), mask))
        if reader.mark(step) == mark:
            return found
    raise changing(cube.folder)


Part = tuple[slice, slice, npt.NDArray[np.bool_]]


def rows_of_chunks(area: Area, height: int, width: int, edge: int) -> Iterator[list[tuple[int, int, Part]]]:
    """Chunks that hold a pixel of the area, a row of them at a time, so that few are in memory."""
    bottom, right = area.top + height, area.left + width
    for j in range(area.top // edge, (bottom - 1) // edge + 1):
        found = []
        y = j * edge
        for i in range(area.left // edge, (right - 1) // edge + 1):
            x = i * edge
            rows = slice(max(y, area.top), min(y + edge, bottom))
            columns = slice(max(x, area.left), min(x + edge, right))
            mask = area.mask[
                rows.start - area.top : rows.stop - area.top,
                columns.start - area.left : columns.stop - area.left,
            ]
            if mask.any():
                inside = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
                found.append((j, i, (*inside, mask)))
        if found:
            yield found


def area_values(
    cube: Cube, name: str, area: Area, span: Span, methods: Sequence[str]
) -> dict[str, Floats | npt.NDArray[np.int64]]:
    """What the pixels of an area amount to, time by time.

    Parameters
    ----------
    methods : sequence of str
        Of `METHODS`.

    Returns
    -------
    dict of str to ndarray, shape (t,)
        ``count`` int64, the others float64 and NaN where no pixel has a value; ``std`` is that of the pixels themselves.

    Raises
    ------
    RequestError
        More pixels than a median is made of.
    """
    if "median" in methods and int(area.mask.sum()) > MAX_MEDIAN_PIXELS:
        message = (
            f"a median is made of {MAX_MEDIAN_PIXELS} pixels at most, and the area has {int(area.mask.sum())}"
        )
        raise RequestError(message, "draw a smaller area, or ask for the mean")
    size = span.last - span.first
    variable = cube.index.variables[name]
    packing = (
        0.0 if variable.fill is None else variable.fill,
        variable.fill is not None, variable.scale_factor, variable.add_offset,
    )  # fmt: skip
    sums, squares, shift = np.zeros(size), np.zeros(size), np.zeros(size)
    lows, highs, counts = np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size, np.int64)
    held: dict[int, list[Array]] = {}
    medians = np.full(size, np.nan)
    for at, block, mask in _blocks(cube, name, area, span):
        part = slice(at, at + block.shape[0])
        kernels.gather_moments(
            block,
            mask,
            *packing,
            sums[part],
            squares[part],
            lows[part],
            highs[part],
            counts[part],
            shift[part],
        )
        if "median" in methods:
            for other in [o for o in held if o != at]:
                _settle_medians(cube, name, other, held.pop(other), medians)
            held.setdefault(at, []).append(block[:, mask])
    for at, parts in held.items():
        _settle_medians(cube, name, at, parts, medians)
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = sums / counts
        spread = np.sqrt(np.maximum(squares / counts - rest**2, 0))
    none = counts == 0
    found = {
        "mean": shift + rest, "std": spread, "min": lows, "max": highs, "median": medians,
    }  # fmt: skip
    made: dict[str, Floats | npt.NDArray[np.int64]] = {}
    for method in methods:
        made[method] = counts if method == "count" else np.where(none, np.nan, found[method])
    return made


def _settle_medians(cube: Cube, name: str, at: int, parts: list[Array], out: Floats) -> None:
    values = _values(cube, name, np.concatenate(parts, axis=1))
    some = np.isfinite(values).any(axis=1)
    out[at : at + len(values)][some] = np.nanmedian(values[some], axis=1)


def to_json(
    labels: Sequence[bytes], span: Span, columns: dict[str, Floats | npt.NDArray[np.int64]], *,
    total: int | None, max_valids: int | None,
) -> bytes:  # fmt: skip
    """A series as xcube's JSON: a list of objects with a value for each key, and the time.

    Parameters
    ----------
    labels : sequence of bytes
        Of all times of the cube.
    total : int or None
        How many pixels there are at most, where they are counted.
    max_valids : int or None
        None for all times; -1 for those with a value; else the last so many of these.
    """
    size = span.last - span.first
    chosen = np.arange(size)
    if max_valids is not None:
        floats = [v for v in columns.values() if v.dtype.kind == "f"]
        has = np.logical_or.reduce([np.isfinite(v) for v in floats]) if floats else np.ones(size, np.bool_)
        if "count" in columns:
            has &= columns["count"] > 0
        chosen = np.flatnonzero(has)
        if max_valids > 0:
            chosen = chosen[-max_valids:]
    names = [b'"' + key.encode() + b'":' for key in columns]
    texts = [_texts(values[chosen]) for values in columns.values()]
    middle, end = b',"time":"', b'"}' if total is None else b'","count_tot":%d}' % total
    times = [labels[span.first + n] for n in chosen.tolist()]
    if len(texts) == 1:
        begin = b"{" + names[0]
        made = [begin + n + middle + t + end for n, t in zip(texts[0], times, strict=True)]
    else:
        made = [
            b"{" + b",".join([k + v for k, v in zip(names, row, strict=True)]) + middle + t + end
            for row, t in zip(zip(*texts, strict=True), times, strict=True)
        ]
    return b"[" + b",".join(made) + b"]"


def _texts(values: npt.NDArray[np.generic]) -> list[bytes]:
    """Numbers as JSON has them, ``null`` for what is not a number."""
    if not values.size:
        return []
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def labels_of(cube: Cube) -> list[bytes]:
    """Times as xcube writes them, ``2017-01-16T10:09:22Z``."""
    return [f"{t}Z".encode() for t in np.datetime_as_string(cube.times.astype("datetime64[s]"))]
