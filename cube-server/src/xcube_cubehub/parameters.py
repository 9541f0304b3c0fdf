"""What each parameter of each route may be: one table, in words for people and as a test, read before xcube runs.

xcube answers 500 to most values that it does not expect. A value that passes here cannot fail for what it is, so a 500
that remains is the server's own fault. Which variables there are and what a body holds is seen by `checks` and `geojson`.
"""

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import pyproj
from matplotlib.colors import is_color_like
from rfc3339_validator import validate_rfc3339
from xcube.core.tilingscheme import GEOGRAPHIC_CRS_ALIASES, WEB_MERCATOR_CRS_ALIASES

from xcube_cubehub.errors import NotThereError, RequestError
from xcube_cubehub.routes import OGC

MAX_ZOOM = 30
MAX_LEGEND_PIXELS = 2000
MAX_COLOURS, MAX_COLOUR_VALUE = 1000, 1e15
MAX_SCALE = 1e30
"""Ends of colour scales beyond it leave no room for what is computed with them."""
YEARS = range(1820, 2111)
"""Climate models from 1850 to 2100, with room. Looking for the nearest time takes differences, in 64 bits of nanoseconds:
they hold 292 years, so that the first and the last of these may be no further apart."""
MAX_KEY, MAX_FILE_NAME = 1024, 255
_SHOWN = 60
_LAT, _LON = ("y", "n", "nor", "lat"), ("x", "e", "eas", "lon")
"""Names by whose beginning xcube takes an axis for north or east."""


@dataclass(frozen=True)
class Kind:
    """Values that a parameter may have."""

    allowed: str
    """As it reads after "must be"."""
    holds: Callable[[str], bool]
    """Whether a value is one; may raise `ValueError` for one that is not."""
    missing: bool = False
    """Whether any other value names something that is not there: 404 instead of 400."""

    def check(self, name: str, value: str) -> None:
        """Refuse a value that is not of this kind.

        Raises
        ------
        RequestError
            Naming the parameter, the value and what is allowed.
        """
        try:
            good = self.holds(value)
        except (ValueError, OverflowError, RecursionError):
            good = False
        if not good:
            error = NotThereError if self.missing else RequestError
            raise error(f"{name} must be {self.allowed}, not {shown(value)}")


def shown(value: str) -> str:
    """A value as a message quotes it: short, control characters escaped."""
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _numbers(text: str, count: int) -> bool:
    return len([_number(part) for part in text.split(",")]) == count


def whole(low: int, high: int) -> Kind:
    """Whole numbers between two, both included."""
    return Kind(f"a whole number from {low} to {high}", lambda text: low <= int(text) <= high)


def number(low: float, high: float) -> Kind:
    """Numbers between two, both included."""
    return Kind(f"a number from {low:g} to {high:g}", lambda text: low <= _number(text) <= high)


def one_of(*values: str, missing: bool = False) -> Kind:
    """A choice of words."""
    return Kind(
        ", ".join(values[:-1]) + " or " * (len(values) > 1) + values[-1], lambda t: t in values, missing
    )


def _is_time(text: str) -> bool:
    if not re.fullmatch(
        r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?)?)?", text, re.ASCII
    ):
        return False
    moment = pd.Timestamp(text)
    return moment is not pd.NaT and moment.year in YEARS


def _is_label(text: str) -> bool:
    return text.lower() in {"first", "last", "current"} or all(_is_time(part) for part in text.split("/"))


def _is_interval(text: str) -> bool:
    parts = text.split("/")
    if len(parts) > 2 or (len(parts) == 1 and parts[0] == ".."):
        return False
    return all(part == ".." or (validate_rfc3339(part) and _is_time(part)) for part in parts)


def _is_crs(text: str) -> bool:
    name = re.sub(r"^\[(.*)\]$", r"\1", text)
    # Other texts that PROJ takes can name files.
    known = r"EPSG:\d{4,6}|(OGC:)?CRS84|https?://www\.opengis\.net/def/crs/(EPSG|OGC)/[\d.]+/\w{1,9}"
    if not re.fullmatch(known, name, re.ASCII):
        return False
    try:
        crs = pyproj.CRS(name)
    except pyproj.exceptions.CRSError:
        return False
    return len(crs.axis_info) == 2 and (crs.is_geographic or crs.is_projected)


def _is_colour_map(text: str) -> bool:
    if not text.startswith("{"):
        return True
    value = json.loads(text)
    stops, kind = value.get("colors"), value.get("type", "continuous")
    if not isinstance(value.get("name"), str) or not isinstance(stops, list) or len(stops) > MAX_COLOURS:
        return False
    if kind not in {"continuous", "stepwise", "categorical"} or len(stops) < (
        1 if kind == "categorical" else 2
    ):
        return False
    if not all(isinstance(stop, list) and len(stop) >= 2 and is_color_like(stop[1]) for stop in stops):
        return False
    if not all(isinstance(stop[0], int | float) and abs(stop[0]) <= MAX_COLOUR_VALUE for stop in stops):
        return False
    values = [int(stop[0]) if kind == "categorical" else stop[0] for stop in stops]
    # Two at one value are a hard step. Of the other kinds xcube draws none with such a pair.
    follows = operator.le if kind == "continuous" else operator.lt
    rising = all(follows(low, high) for low, high in pairwise(values))
    return rising and (len(values) == 1 or values[0] < values[-1])


def _axis(name: str) -> str:
    """Which axis xcube takes a name for: ``x``, ``y``, ``time``; empty if none of them."""
    start = name.lower()[:3]
    return "x" if start in _LON else "y" if start in _LAT else "time" if name == "time" else ""


def _is_subset(text: str) -> bool:
    axes = []
    for part in text.split(","):
        found = re.fullmatch(r'(\w+)\((?:"([^"]*)"(?::"([^"]*)")?|([^:")]*)(?::([^":)]*))?)\)', part)
        if found is None:
            return False
        axis, low, high = (
            _axis(found[1]),
            *((found[2], found[3]) if found[2] is not None else (found[4], found[5])),
        )
        axes.append(axis or found[1])
        if axis == "time":
            good = _is_time(low) if high is None else all(end == "*" or _is_time(end) for end in (low, high))
        elif axis:
            good = high is not None and math.isfinite(_number(low) + _number(high))
        else:
            good = high is None and math.isfinite(_number(low))
        if not good:
            return False
    return len(set(axes)) == len(axes)


def beside_the_map(names: Iterable[str]) -> list[str]:
    """Those names of dimensions that xcube takes for neither of the two of the map, sorted."""
    return sorted(name for name in names if _axis(name) not in {"x", "y"})


def _is_scale(text: str, low: float, high: float) -> bool:
    axes = []
    for part in text.split(","):
        found = re.fullmatch(r"(\w+)\(([0-9.]+)\)", part, re.ASCII)
        if found is None or not low <= _number(found[2]) <= high:
            return False
        axes.append(_axis(found[1]))
    return sorted(axes) == ["x", "y"]


def _is_accept(text: str) -> bool:
    return all(math.isfinite(float(q)) for q in re.findall(r";q=([^,]*)", text))


def is_key(text: str) -> bool:
    """Whether a key of the object store stays inside its cube: no step upwards, no second root."""
    steps = text.split("/")
    short = len(text) <= MAX_KEY and all(len(step.encode()) <= MAX_FILE_NAME for step in steps)
    return short and "\0" not in text and "\\" not in text and not {"", ".", ".."} & set(steps)


ANYTHING = Kind("anything", lambda _: True)
"""Looked up by name, or read as text; xcube answers by itself what it does not know."""
NOTHING = Kind("left out (it is not supported)", lambda _: False)
NUMBER = Kind("a finite number", lambda text: math.isfinite(float(text)))
SCALE_END = number(-MAX_SCALE, MAX_SCALE)
TIME = Kind(
    f"a time from {YEARS.start} to {YEARS.stop - 1} such as 2020-07-01 or 2020-07-01T10:30:00Z", _is_time
)
LABEL = Kind(f"first, last, or {TIME.allowed}", _is_label)
INTERVAL = Kind(
    "a time such as 2020-07-01T00:00:00Z or two of them with a slash between, each perhaps ..", _is_interval
)
BOX = Kind(
    "four finite numbers with commas between, such as 27,58.5,27.2,58.7", lambda text: _numbers(text, 4)
)
MAP_CRS = Kind(
    "EPSG:3857 or CRS84 (or a name that means the same)",
    lambda text: text in WEB_MERCATOR_CRS_ALIASES + GEOGRAPHIC_CRS_ALIASES,
)
CRS = Kind("OGC:CRS84, or EPSG: with the number of a map projection or of longitude and latitude", _is_crs)
COLOURS = Kind(
    f'the name of a colour map, or one as JSON: {{"name": …, "colors": [[0, "red"], [1, "blue"]]}} with rising values (where the type is continuous, neighbours may be equal) and at most {MAX_COLOURS} colours',
    _is_colour_map,
)
SUBSET = Kind(
    'ranges such as lat(58.5:58.7),lon(27:27.2),time("2020-07-01":"2020-08-01"); time may be a single one, '
    "any other dimension such as depth(5) is a single number",
    _is_subset,
)
SCALE_FACTORS = Kind(
    "two numbers such as lat(2),lon(2), each from 1 to 1000", lambda t: _is_scale(t, 1, 1000)
)
SCALE_SIZE = Kind("two sizes in pixels such as lat(200),lon(300)", lambda t: _is_scale(t, 2, 16_000))
ACCEPT = Kind("a list of media types, with numbers as their weights (;q=0.5)", _is_accept)
KEY = Kind("the path of a file inside a cube", is_key, missing=True)
AGGREGATION = ("mean", "median", "std", "min", "max", "count")
METHODS = Kind(
    f"one or more of {', '.join(AGGREGATION)} with commas between",
    lambda text: set(text.split(",")) <= set(AGGREGATION),
)

Kinds = Mapping[str, Kind]

_CUBE: Kinds = {"datasetId": ANYTHING}
_VARIABLE: Kinds = {**_CUBE, "varName": ANYTHING}  # looked up by `checks`
_COLOURS: Kinds = {
    "vmin": SCALE_END,
    "vmax": SCALE_END,
    "cmap": COLOURS,
    "cbar": COLOURS,
    "norm": one_of("lin", "log", "cat"),
}
_LEGEND: Kinds = {
    **_VARIABLE,
    **_COLOURS,
    "width": whole(1, MAX_LEGEND_PIXELS),
    "height": whole(1, MAX_LEGEND_PIXELS),
}
_PLACE = whole(-(2**31), 2**31 - 1)
_TILE: Kinds = {
    **_VARIABLE,
    **_COLOURS,
    "z": whole(0, MAX_ZOOM),
    "y": _PLACE,
    "x": _PLACE,
    "crs": MAP_CRS,
    "time": LABEL,
    "format": one_of("png", "image/png"),
    "retina": ANYTHING,
    **{f"{colour}{end}": SCALE_END for colour in "rgb" for end in ("vmin", "vmax")},
}
_MATRIX_SET = one_of("WorldCRS84Quad", "WorldWebMercatorQuad")
_COLLECTION: Kinds = {"collectionId": ANYTHING}

PARAMETERS: Mapping[str, Kinds] = {
    "/datasets": {
        "details": ANYTHING,
        "point": Kind(
            "longitude and latitude with a comma between, such as 27.4,58.8", lambda t: _numbers(t, 2)
        ),
    },
    "/datasets/{datasetId}": _CUBE,
    "/datasets/{datasetId}/coords/{dimName}": {**_CUBE, "dimName": ANYTHING},
    "/datasets/{datasetId}/places/{placeGroupId}": {**_CUBE, "placeGroupId": ANYTHING},
    "/places/{placeGroupId}": {"placeGroupId": ANYTHING, "bbox": BOX, "geom": ANYTHING},
    "/places/{placeGroupId}/{datasetId}": {
        **_CUBE,
        "placeGroupId": ANYTHING,
        "comb": one_of("and"),
        "query": NOTHING,
    },
    "/datasets/{datasetId}/vars/{varName}/legend.png": _LEGEND,
    "/tiles/{datasetId}/{varName}/legend": _LEGEND,
    "/tiles/{datasetId}/{varName}/{z}/{y}/{x}": _TILE,
    "/wmts/1.0.0/{tmsId}/WMTSCapabilities.xml": {"tmsId": _MATRIX_SET},
    "/wmts/1.0.0/tile/{datasetId}/{varName}/{z}/{y}/{x}.png": {**_TILE, "tilematrixset": _MATRIX_SET},
    "/wmts/1.0.0/tile/{datasetId}/{varName}/{tmsId}/{z}/{y}/{x}.png": {**_TILE, "tmsId": _MATRIX_SET},
    "/wmts/kvp": {
        **_TILE,
        "tilematrixset": _MATRIX_SET,
        "tilematrix": _TILE["z"],
        "tilerow": _PLACE,
        "tilecol": _PLACE,
        "layer": Kind(
            "a cube and a variable with a dot between", lambda t: all(t.partition(".")) and t.count(".") == 1
        ),
        "format": Kind("image/png", lambda t: t.lower() in {"png", "image/png"}),
    },
    "/timeseries/{datasetId}/{varName}": {
        **_VARIABLE,
        "aggMethods": METHODS,
        "startDate": TIME,
        "endDate": TIME,
        "tolerance": number(0, 366 * 24 * 3600),
        "maxValids": Kind("-1 or a whole number from 1", lambda t: int(t) == -1 or 1 <= int(t) < 2**31),
    },
    "/statistics/{datasetId}/{varName}": {**_VARIABLE, "lon": NUMBER, "lat": NUMBER, "time": LABEL},
    "/volumes/{datasetId}/{varName}": {
        **_VARIABLE,
        "bbox": BOX,
        "startDate": TIME,
        "endDate": TIME,
        "encoding": one_of("gz", "raw"),
    },
    "/expressions/validate/{datasetId}/{varExpr}": {**_CUBE, "varExpr": ANYTHING},
    f"{OGC}/collections/{{collectionId}}/items": {
        **_COLLECTION,
        "limit": whole(1, 10_000),
        "cursor": whole(0, 10**6),
    },
    f"{OGC}/collections/{{collectionId}}/coverage": {
        **_COLLECTION,
        "bbox": BOX,
        "datetime": INTERVAL,
        "properties": ANYTHING,
        "subset": SUBSET,
        "scale-factor": number(1, 1000),
        "scale-axes": SCALE_FACTORS,
        "scale-size": SCALE_SIZE,
        "crs": CRS,
        "bbox-crs": CRS,
        "subset-crs": CRS,
        "Accept": ACCEPT,
    },
    "/s3/{bucket}": {
        "bucket": one_of("datasets", "pyramids", missing=True),
        "list-type": one_of("1", "2"),
        "max-keys": whole(1, 100_000),
        "prefix": ANYTHING,
        "delimiter": ANYTHING,
        "start-after": ANYTHING,
        "continuation-token": ANYTHING,
        "marker": ANYTHING,
    },
    "/s3/{bucket}/{*key}": {"bucket": one_of("datasets", "pyramids", missing=True), "key": KEY},
}
"""By route, the arguments in its path and the parameters in its query; routes that take none are left out."""


def check(route: str, arguments: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> None:
    """Refuse a request whose parameters could not be what they say.

    Parameters
    ----------
    route : str
        Path template.
    arguments : mapping of str to str
        What the path holds, and the headers that the route reads.
    query : mapping of str to sequence of str
        As `urllib.parse.parse_qs` gives it, with names as the route reads them.

    Raises
    ------
    RequestError
        Status 400, or 404 where a path names something that is not there.
    """
    kinds = PARAMETERS.get(route, {})
    given: Iterable[tuple[str, str]] = [
        *arguments.items(),
        *((n, v) for n, values in query.items() for v in values),
    ]
    for name, value in given:
        if name in kinds:
            kinds[name].check(name, value)


def check_range(low: float, high: float, norm: str) -> None:
    """Refuse a range of values that no colour scale has.

    Raises
    ------
    RequestError
        A logarithmic scale that does not begin above 0.
    """
    if norm == "log" and min(low, high) <= 0:
        message = f"vmin and vmax must be above 0 where the scale is logarithmic (norm=log), not {low:g} and {high:g}"
        raise RequestError(message)
