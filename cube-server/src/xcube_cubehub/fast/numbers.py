"""Series and statistics as they are answered: at once where that takes a moment, else one after another aside."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import orjson
from shapely.errors import ShapelyError
from shapely.geometry import shape

from xcube_cubehub import geojson
from xcube_cubehub.errors import BusyError, CubeError, RequestError
from xcube_cubehub.fast import series, statistics, tiles
from xcube_cubehub.fast.afar import NotHereError
from xcube_cubehub.fast.asked import Series, Statistics
from xcube_cubehub.fast.http import Connection, Request
from xcube_cubehub.routes import SERIES_ROUTE

MAX_WAITING_AREAS = 100
MAX_POINT_BYTES = 1024


@dataclass
class Opened:
    """A cube as it was when its index was last read."""

    stamp: tuple[int, int]
    cube: tiles.Cube
    labels: list[bytes] = field(default_factory=list)


class Numbers:
    """Computes them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="areas")
        self._areas = 0

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(cancel_futures=True)

    async def of(
        self, connection: Connection, request: Request, opened: Opened, asked: Series | Statistics
    ) -> bytes | None:
        """The JSON of a series or of statistics; of a cube that was exchanged meanwhile it is anything."""
        try:
            if isinstance(asked, Series):
                return await self._series(connection, request, opened, asked)
            return await self._statistics(connection, request, opened, asked)
        except CubeError:
            if not opened.cube.is_moved():
                raise
            return None

    async def _series(
        self, connection: Connection, request: Request, opened: Opened, asked: Series
    ) -> bytes | None:
        """The JSON of a series; None for what the server behind is to answer."""
        if not opened.labels:
            opened.labels = series.labels_of(opened.cube)
        point = _point(request.body)
        if point is not None:
            result = await self._soon(opened.cube, point_json, opened, asked, *point)
            return None if result is None else b'{"result":' + result + b"}"
        gone = lambda: connection.gone  # noqa: E731
        return await self._in_line(opened.cube, areas_json, opened, asked, request.body, gone)

    async def _statistics(
        self, connection: Connection, request: Request, opened: Opened, asked: Statistics
    ) -> bytes | None:
        """The JSON of statistics; None for what the server behind is to answer."""
        cube = opened.cube
        if not cube.index.times:
            return None
        if asked.point is not None:
            return await self._soon(cube, statistics.point_json, cube, asked, *asked.point)
        gone = lambda: connection.gone  # noqa: E731
        return await self._in_line(cube, statistics.body_json, cube, asked, request.body, gone)

    async def _soon(
        self, cube: tiles.Cube, compute: Callable[..., bytes | None], *arguments: Any
    ) -> bytes | None:
        """What takes a moment, at once; if parts have to be fetched first, by a thread that waits for them."""
        try:
            return compute(*arguments)
        except NotHereError:
            if cube.afar is None:
                raise
            return await asyncio.get_running_loop().run_in_executor(cube.afar.waiters, compute, *arguments)

    async def _in_line(
        self, cube: tiles.Cube, compute: Callable[..., bytes | None], *arguments: Any
    ) -> bytes | None:
        """What takes long, one after another beside the loop."""
        if self._areas >= MAX_WAITING_AREAS:
            message = "too many series are being computed already"
            raise BusyError(message, "try again in a minute")
        self._areas += 1
        try:
            threads = self._threads if cube.afar is None else cube.afar.waiters
            return await asyncio.get_running_loop().run_in_executor(threads, compute, *arguments)
        finally:
            self._areas -= 1


def _point(body: bytes) -> tuple[float, float] | None:
    """Longitude and latitude of a body that is one point, or a feature of one; None for anything else."""
    try:
        value: Any = orjson.loads(body) if len(body) <= MAX_POINT_BYTES else None
    except ValueError:
        return None
    if isinstance(value, dict) and value.get("type") == "Feature":
        value = value.get("geometry")
    if not isinstance(value, dict) or value.get("type") != "Point":
        return None
    given = value.get("coordinates")
    if not isinstance(given, list) or [type(v) in {int, float} for v in given] != [True, True]:
        return None
    lon, lat = float(given[0]), float(given[1])
    if not (math.isfinite(lon) and abs(lon) <= geojson.MAX_LONGITUDE and abs(lat) <= 90):
        return None
    return lon, lat


def point_json(opened: Opened, asked: Series, lon: float, lat: float) -> bytes | None:
    """The series of a point; None where xcube is to say that no method fits."""
    # xcube gives a point's value under the first of these names; "max" is told as "min"
    named = {"max": "min"}
    key = next((named.get(m, m) for m in ("mean", "median", "min", "max") if m in asked.methods), None)
    if key is None:
        return None
    cube = opened.cube
    x, y = series.project_point(cube, lon, lat)
    pixel = series.pixel_of(cube, x, y)
    if pixel is None:
        return b"[]"
    span = series.span_of(cube, asked.start, asked.end)
    values = series.point_values(cube, asked.variable, *pixel, span)
    return series.to_json(opened.labels, span, {key: values}, total=None, max_valids=asked.max_valids)


def areas_json(opened: Opened, asked: Series, body: bytes, gone: Callable[[], bool]) -> bytes | None:
    """The series of whatever else was posted; None if nobody waits for it any more, or it is for the server behind.

    Raises
    ------
    RequestError
        It is no GeoJSON, or too much.
    """
    geojson.check(body, geojson.most(SERIES_ROUTE))
    value = orjson.loads(body)
    kind = value["type"]
    if kind == "FeatureCollection":
        geometries = [feature["geometry"] for feature in value["features"]]
    elif kind == "GeometryCollection":
        geometries = value["geometries"]
    else:
        geometries = [value["geometry"] if kind == "Feature" else value]
    if any(not isinstance(g, dict) or g["type"] == "GeometryCollection" for g in geometries):
        return None
    made = []
    for geometry in geometries:
        if gone():
            return None
        if geometry["type"] == "Point":
            found = point_json(opened, asked, *geometry["coordinates"][:2])
            if found is None:
                return None
            made.append(found)
        else:
            made.append(_area_json(opened, asked, geometry))
    if kind in {"FeatureCollection", "GeometryCollection"}:
        return b'{"result":[' + b",".join(made) + b"]}"
    return b'{"result":' + made[0] + b"}"


def _area_json(opened: Opened, asked: Series, geometry: dict[str, Any]) -> bytes:
    cube = opened.cube
    try:
        area = series.area_of(cube, series.project(cube, shape(geometry)))
    except (ShapelyError, ValueError) as failure:
        message = f"the body has a {geometry['type']} that cannot be computed with"
        raise RequestError(message, geojson.HINT) from failure
    if area is None:
        return b"[]"
    span = series.span_of(cube, asked.start, asked.end)
    values = series.area_values(cube, asked.variable, area, span, asked.methods)
    total = int(area.mask.sum()) if "count" in asked.methods else None
    return series.to_json(opened.labels, span, values, total=total, max_valids=asked.max_valids)
