"""What one time of a variable amounts to, at a point or within an area: xcube's ``/statistics`` from the pyramid."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from shapely.errors import ShapelyError
from shapely.geometry import shape

from xcube_cubehub import geojson
from xcube_cubehub.errors import RequestError
from xcube_cubehub.fast.asked import Statistics
from xcube_cubehub.fast.series import Area, area_of, pixel_of, project, project_point, rows_of_chunks
from xcube_cubehub.fast.tiles import TRIES, Cube, changing
from xcube_cubehub.grid import TILE
from xcube_cubehub.index import Variable
from xcube_cubehub.routes import STATISTICS_ROUTE
from xcube_cubehub.shards import Array

BINS = 100
MAX_PIXELS = 16_000_000
"""Of an area's box: its mask takes 16 MB, and a coverage gives out no more values either."""
Values = npt.NDArray[np.floating]


def decoded_dtype(variable: Variable) -> np.dtype[np.floating]:
    """The type in which xarray has a variable's values, so that numbers are the same to the last digit.

    References
    ----------
    xarray, ``xarray/coding/variables.py``, ``_choose_float_dtype``: float64 where both a scale and an offset are given
    as such, as they are in every packed cube; else by the size of what is stored.
    """
    dtype = np.dtype(variable.dtype)
    if (variable.scale_factor, variable.add_offset) != (1.0, 0.0):
        return np.dtype(np.float64)
    small = dtype.itemsize <= 4 if dtype.kind == "f" else dtype.itemsize <= 2
    return np.dtype(np.float32 if small else np.float64)


def decode(stored: Array, variable: Variable) -> Values:
    """Values of what is stored, NaN where there is none."""
    values: Values = stored.astype(decoded_dtype(variable))
    if variable.fill is not None:
        values[stored == variable.fill] = np.nan
    if (variable.scale_factor, variable.add_offset) != (1.0, 0.0):
        values *= variable.scale_factor
        values += variable.add_offset
    return values


def step_of(cube: Cube, asked: Statistics) -> int:
    """Position of the time asked for; the first where none was named, as in xcube, and the later of two equally near."""
    if asked.seconds is None:
        return 0
    after = int(np.searchsorted(cube.times, asked.seconds))
    if after == 0 or after == len(cube.times):
        return min(after, len(cube.times) - 1)
    before = asked.seconds - cube.times[after - 1] < cube.times[after] - asked.seconds
    return after - 1 if before else after


def value_at(cube: Cube, name: str, step: int, lon: float, lat: float) -> float:
    """The value of the pixel nearest to a point in degrees; NaN outside of the cube and where there is none."""
    pixel = pixel_of(cube, *project_point(cube, lon, lat))
    if pixel is None:
        return math.nan
    row, column = pixel
    reader = cube.level_reader(name, 0)
    (chunk,) = reader.read([(step, row // TILE, column // TILE)])
    if chunk is None:
        return float(decode(_absent(cube, name, 1), cube.index.variables[name])[0])
    at = column % TILE
    return float(decode(chunk[0, row % TILE, at : at + 1], cube.index.variables[name])[0])


def _absent(cube: Cube, name: str, count: int) -> Array:
    """What an absent chunk is full of."""
    variable = cube.index.variables[name]
    return np.full(count, variable.fill_value, np.dtype(variable.dtype))


def area_statistics(
    cube: Cube, name: str, step: int, area: Area, gone: Callable[[], bool] = lambda: False
) -> dict[str, object] | None:
    """What the pixels of an area amount to; ``{"count": 0}`` where none has a value.

    Parameters
    ----------
    gone : callable
        Whether nobody waits for it any more.

    Returns
    -------
    dict or None
        ``count``, ``minimum``, ``maximum``, ``mean``, ``deviation``, and ``histogram``: ``values``, the densities of
        `BINS` equal bins, and their ``edges``. None where a value is infinite, or nobody waits.

    Notes
    -----
    Read twice, for the bins are not known before the ends are, a row of chunks at a time: memory does not grow with
    the area.
    """
    reader = cube.level_reader(name, 0)
    for _ in range(TRIES):
        # a time may be replaced meanwhile
        mark = reader.mark(step)
        found = _area_statistics(cube, name, step, area, gone)
        if reader.mark(step) == mark:
            return found
    raise changing(cube.folder)


def _area_statistics(
    cube: Cube, name: str, step: int, area: Area, gone: Callable[[], bool]
) -> dict[str, object] | None:
    count, low, high, shift, total, squares = 0, math.inf, -math.inf, 0.0, 0.0, 0.0
    for values in _values(cube, name, step, area):
        if gone():
            return None
        if count == 0:
            shift = float(values[0])
        # Less the first value, so that squares keep their digits
        rest = values.astype(np.float64) - shift
        count += values.size
        total += float(rest.sum())
        squares += float((rest * rest).sum())
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if count == 0:
        return {"count": 0}
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    mean = total / count
    counts = np.zeros(BINS, np.int64)
    edges: npt.NDArray[np.floating[Any]] = np.empty(0)
    for values in _values(cube, name, step, area):
        if gone():
            return None
        found, edges = _histogram(values, low, high)
        counts += found
    densities = counts / np.diff(edges).astype(np.float64) / counts.sum()
    return {
        "count": count, "minimum": low, "maximum": high, "mean": shift + mean,
        "deviation": math.sqrt(max(squares / count - mean**2, 0.0)),
        "histogram": {"values": densities.tolist(), "edges": [float(v) for v in edges]},
    }  # fmt: skip


def _histogram(
    values: Values, low: float, high: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating[Any]]]:
    """Counts and edges; of values that lie closer together than their type can cut, by finer numbers or in one unit."""
    for given, ends in ((values, (low, high)), (values.astype(np.float64), (low, high))):
        with contextlib.suppress(ValueError):
            return np.histogram(given, BINS, range=ends)
    return np.histogram(values.astype(np.float64), BINS, range=(low - 0.5, high + 0.5))


def _values(cube: Cube, name: str, step: int, area: Area) -> Iterator[Values]:
    """The values of an area, those that there are, a row of chunks at a time."""
    variable = cube.index.variables[name]
    reader = cube.level_reader(name, 0)
    for places in rows_of_chunks(area, area.mask.shape[0], area.mask.shape[1], TILE):
        for (_, _, (rows, columns, mask)), chunk in zip(
            places, reader.read([(step, j, i) for j, i, _ in places]), strict=True
        ):
            found = chunk[0, rows, columns][mask] if chunk is not None else _absent(cube, name, mask.sum())
            values = decode(found, variable)
            values = values[~np.isnan(values)]
            if values.size:
                yield values


def point_json(
    cube: Cube, asked: Statistics, lon: float, lat: float, *, compact: bool = True
) -> bytes | None:
    """Xcube's answer for a point: its value alone if compact; None where JSON has no word for it."""
    value = value_at(cube, asked.variable, step_of(cube, asked), lon, lat)
    if math.isinf(value):
        return None
    result: dict[str, object]
    if compact:
        result = {} if math.isnan(value) else {"value": value}
    elif math.isnan(value):
        result = {"count": 0}
    else:
        result = {"count": 1, "minimum": value, "maximum": value, "mean": value, "deviation": 0.0}
    return orjson.dumps({"result": result})


def body_json(cube: Cube, asked: Statistics, body: bytes, gone: Callable[[], bool]) -> bytes | None:
    """Xcube's answer for a posted place; None if nobody waits for it any more, or it is for the server behind.

    Raises
    ------
    RequestError
        It is no GeoJSON, or too much.
    """
    geojson.check(body, geojson.most(STATISTICS_ROUTE))
    value = orjson.loads(body)
    geometry = value["geometry"] if value["type"] == "Feature" else value
    if geometry["type"] == "Point":
        return point_json(cube, asked, *geometry["coordinates"][:2], compact=False)
    if geometry["type"] not in {"Polygon", "MultiPolygon"}:
        return (
            None  # of lines xcube takes other pixels, chunk by chunk; of collections it knows its own rules
        )
    try:
        area = area_of(cube, project(cube, shape(geometry)), MAX_PIXELS)
    except (ShapelyError, ValueError) as failure:
        message = f"the body has a {geometry['type']} that cannot be computed with"
        raise RequestError(message, geojson.HINT) from failure
    if area is None:
        return b'{"result":{"count":0}}'
    found = area_statistics(cube, asked.variable, step_of(cube, asked), area, gone)
    return None if found is None else orjson.dumps({"result": found})
