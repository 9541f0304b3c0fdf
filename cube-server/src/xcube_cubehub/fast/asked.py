"""What a request asks for, if it is one that the fast path answers; everything else is for the server behind.

Nothing is refused here: what is not understood to the letter is handed on, and the server behind says what is wrong.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from xcube_cubehub.fast.series import METHODS
from xcube_cubehub.fast.warp import GEOGRAPHIC, MERCATOR, Place
from xcube_cubehub.grid import TILE

_NUMBER = r"(0|[1-9]\d{0,7})"
_TILE = re.compile(rf"/tiles/([a-z0-9-]+)/(\w+)/{_NUMBER}/{_NUMBER}/{_NUMBER}", re.ASCII)
_WMTS = re.compile(
    rf"/wmts/1\.0\.0/tile/([a-z0-9-]+)/(\w+)/(?:(WorldCRS84Quad|WorldWebMercatorQuad)/)?{_NUMBER}/{_NUMBER}/{_NUMBER}\.png",
    re.ASCII,
)
_SERIES = re.compile(r"/timeseries/([a-z0-9-]+)/(\w+)", re.ASCII)
_LEGEND = re.compile(
    r"/(?:tiles/([a-z0-9-]+)/(\w+)/legend|datasets/([a-z0-9-]+)/vars/(\w+)/legend\.png)", re.ASCII
)
_STATISTICS = re.compile(r"/statistics/([a-z0-9-]+)/(\w+)", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_CRS = {
    "EPSG:3857": MERCATOR, "CRS84": GEOGRAPHIC, "EPSG:4326": GEOGRAPHIC, "OGC:CRS84": GEOGRAPHIC,
    "WorldCRS84Quad": GEOGRAPHIC, "WorldWebMercatorQuad": MERCATOR,
}  # fmt: skip
MAX_ZOOM = 24
_TOLERANCE_S = 1.0
"""xcube widens a span of time by this unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A map tile of a variable.

    Attributes
    ----------
    seconds : int or None
        The time wanted, since 1970; None for the last one.
    colours, low, high, scale
        What differs from the style of the cube; None where nothing was said.
    """

    cube: str
    variable: str
    place: Place
    seconds: int | None = None
    colours: str | None = None
    low: float | None = None
    high: float | None = None
    scale: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A time series of a variable; ``start`` and ``end`` in seconds since 1970, widened as xcube does."""

    cube: str
    variable: str
    methods: tuple[str, ...] = ("mean",)
    start: float | None = None
    end: float | None = None
    max_valids: int | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of a variable at one time.

    Attributes
    ----------
    seconds : float or None
        The time wanted, since 1970; None for the first one, infinite for the last.
    point : tuple of float or None
        Longitude and latitude; None where a place is posted.
    """

    cube: str
    variable: str
    seconds: float | None = None
    point: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """The legend of a variable, with what was asked of it by name."""

    cube: str
    variable: str
    parameters: tuple[tuple[str, str], ...] = ()


@lru_cache(maxsize=4096)
def seconds_of(label: str) -> float | None:
    """Seconds since 1970 of a time as clients write it, UTC unless it says otherwise; None if it is no such time."""
    if not _TIME.fullmatch(label):
        return None
    try:
        found = datetime.fromisoformat(label)
    except ValueError:
        return None
    if not 1820 <= found.year <= 2110:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _pairs(query: str) -> list[tuple[str, str]]:
    """Names and values, blank ones too: what `urllib.parse.parse_qsl` says, in a third of its time."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            if "%" in part or "+" in part:
                name, value = unquote(name.replace("+", " ")), unquote(value.replace("+", " "))
            pairs.append((name, value))
    return pairs


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= 1e30 else None


def tile_of(path: str, query: str) -> Tile | None:
    """The tile that an address asks for; ``path`` without the server's prefix."""
    found, wmts = _TILE.fullmatch(path), False
    if found is not None:
        cube, variable, z, y, x = found.groups()
        crs = MERCATOR
    else:
        found, wmts = _WMTS.fullmatch(path), True
        if found is None:
            return None
        cube, variable, scheme, z, y, x = found.groups()
        crs = _CRS[scheme or "WorldCRS84Quad"]
    asked = _look_of(query, wmts)
    zoom = int(z)
    if asked is None or zoom > MAX_ZOOM or (wmts and "crs" in asked):
        return None
    place = Place(asked.get("crs", crs), zoom, int(x), int(y), asked.get("size", TILE))
    return Tile(
        cube, variable, place, asked.get("seconds"), asked.get("colours"), asked.get("low"), asked.get("high"),
        asked.get("scale"),
    )  # fmt: skip


@lru_cache(maxsize=2048)
def _look_of(query: str, wmts: bool) -> dict[str, Any] | None:
    """What the parameters of a tile say, the same for all tiles of a view; None if not to the letter. Not to be changed."""
    asked: dict[str, Any] = {}
    for key, value in _pairs(query):
        meaning = _PARAMETERS.get(key.lower() if wmts else key)
        said = None if meaning is None else meaning[1](value)
        if meaning is None or said is None or meaning[0] in asked:
            return None
        asked[meaning[0]] = said
    if asked.get("seconds") is _LAST:
        del asked["seconds"]
    return asked


_LAST = "current"
_PARAMETERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "vmin": ("low", _number),
    "vmax": ("high", _number),
    "cmap": ("colours", str),
    "cbar": ("colours", str),
    "norm": ("scale", {"lin": "lin", "log": "log"}.get),
    "time": ("seconds", lambda text: _LAST if text == _LAST else _whole(seconds_of(text))),
    "crs": ("crs", _CRS.get),
    "retina": ("size", {"0": TILE, "1": 2 * TILE}.get),
    "format": ("format", {"png": True, "image/png": True}.get),
}
"""By name what a parameter is called here, and how it is read: None for what the server behind is to judge."""


@lru_cache(maxsize=1024)
def series_of(path: str, query: str) -> Series | None:
    """The series that an address asks for; ``path`` without the server's prefix."""
    found = _SERIES.fullmatch(path)
    if not found:
        return None
    methods: tuple[str, ...] = ("mean",)
    start = end = None
    max_valids, tolerance, seen = None, _TOLERANCE_S, set()
    for name, value in _pairs(query):
        if name in seen:
            return None
        seen.add(name)
        if name == "aggMethods":
            methods = tuple(m for m in METHODS if m in value.split(","))
            if not methods or set(value.split(",")) - set(METHODS):
                return None
        elif name in {"startDate", "endDate"}:
            seconds = seconds_of(value)
            if seconds is None:
                return None
            start, end = (seconds, end) if name == "startDate" else (start, seconds)
        elif name == "maxValids" and re.fullmatch(r"-1|[1-9]\d{0,8}", value, re.ASCII):
            max_valids = int(value)
        elif name == "tolerance" and (number := _number(value)) is not None and 0 <= number <= 3e7:
            tolerance = number
        else:
            return None
    cube, variable = found.groups()
    return Series(
        cube,
        variable,
        methods,
        None if start is None else start - tolerance,
        None if end is None else end + tolerance,
        max_valids,
    )


@lru_cache(maxsize=1024)
def statistics_of(path: str, query: str, *, posted: bool) -> Statistics | None:
    """The statistics that an address asks for; ``path`` without the server's prefix.

    Parameters
    ----------
    posted : bool
        Whether the place is in the body; else it is a point in the query.
    """
    found = _STATISTICS.fullmatch(path)
    if not found:
        return None
    seconds: float | None = None
    place: dict[str, float] = {}
    seen = set()
    for name, value in _pairs(query):
        if name in seen:
            return None
        seen.add(name)
        if name == "time":
            ends = {"first": -math.inf, "last": math.inf, "current": math.inf}
            seconds = ends.get(value.lower(), seconds_of(value))
            if seconds is None:
                return None
        elif name in {"lon", "lat"} and not posted and (number := _number(value)) is not None:
            place[name] = number
        else:
            return None
    if not posted and len(place) != 2:
        return None
    cube, variable = found.groups()
    return Statistics(cube, variable, seconds, None if posted else (place["lon"], place["lat"]))


_OF_LEGENDS = frozenset({"cmap", "cbar", "vmin", "vmax", "norm", "width", "height"})
_MAX_WORD = 64


@lru_cache(maxsize=1024)
def legend_of(path: str, query: str) -> Legend | None:
    """The legend that an address asks for; ``path`` without the server's prefix."""
    found = _LEGEND.fullmatch(path)
    if found is None:
        return None
    given = _pairs(query)
    names = [name for name, _ in given]
    if len(set(names)) != len(names) or set(names) - _OF_LEGENDS or any(len(v) > _MAX_WORD for _, v in given):
        return None
    cube, variable = (name for name in found.groups() if name is not None)
    return Legend(cube, variable, tuple(sorted(given)))
