"""Which coordinates of a dataset are rows, columns and times, and the grid that they span. Pure."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.exceptions import CRSError

from xcube_cubehub.publishing.model import MAX_AXIS, Coordinate, Problem, Structure

MAX_WKT = 20_000
"""Characters; the longest of the EPSG registry has some 5,000."""
_CRS = re.compile(r"EPSG:\d{1,6}$|[A-Z_]{5,20}\s*\[", re.IGNORECASE)

EVEN = 0.01
"""Of a pixel: how far a coordinate may be from its place on an even grid. float32 degrees are off by less."""
SMALLEST, FARTHEST = 1e-8, 1e9
"""Of a pixel, and of a place, in degrees or the unit of the CRS: a millimetre on the ground, and far beyond any map."""
FIRST_TIME, LAST_TIME = np.datetime64("1820-01-01", "s"), np.datetime64("2110-01-01", "s")
NAMES = {
    "y": frozenset({"lat", "latitude", "y", "northing", "projection_y_coordinate"}),
    "x": frozenset({"lon", "longitude", "long", "x", "easting", "projection_x_coordinate"}),
    "time": frozenset({"time", "t", "date"}),
}
STANDARD = {
    "latitude": "y", "projection_y_coordinate": "y", "longitude": "x", "projection_x_coordinate": "x", "time": "time",
}  # fmt: skip
WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Grid:
    """A regular grid, as `xcube_cubehub.index.Index` has it, and the names of its axes in the dataset."""

    crs: str
    west: float
    north: float
    dx: float
    dy: float
    shape: tuple[int, int]
    dims: tuple[str, str]


@dataclass(frozen=True)
class Times:
    """Seconds since 1970, ascending, and the name of the axis in the dataset."""

    seconds: tuple[int, ...]
    dim: str


def find(structure: Structure, problems: list[Problem]) -> tuple[Grid | None, Times | None]:
    """The grid and the times of a dataset; what is wrong with them is added to ``problems``."""
    roles = _roles(structure, problems)
    times = _times(roles["time"], structure, problems) if "time" in roles else None
    if "time" not in roles:
        problems.append(
            Problem(
                "time", "there is no coordinate of times", 'give one: ds.expand_dims(time=[np.datetime64("2024-06-01")])'
            )
        )  # fmt: skip
    if not {"x", "y"} <= roles.keys():
        missing = " and ".join(sorted({"x", "y"} - roles.keys()))
        hint = "name them lat and lon, or x and y with a CRS; each must have one dimension, its own"
        if any(len(c.dims) == 2 for n, c in structure.coords.items() if n.lower() in NAMES["x"]):
            hint = "latitude and longitude have two dimensions: resample to a regular grid first"
        problems.append(Problem(missing, f"there is no coordinate for {missing}", hint))
        return None, times
    crs = _crs(structure, roles, problems)
    rows = _axis(roles["y"], structure.coords[roles["y"]], problems)
    columns = _axis(roles["x"], structure.coords[roles["x"]], problems)
    if crs is None or rows is None or columns is None:
        return None, times
    if columns[1] < 0:
        hint = f'turn it: ds.sortby("{roles["x"]}")'
        problems.append(Problem(roles["x"], "runs from east to west", hint))
        return None, times
    grid = Grid(
        crs, columns[0] - columns[1] / 2, rows[0] - rows[1] / 2, columns[1], rows[1], (rows[2], columns[2]),
        (roles["y"], roles["x"]),
    )  # fmt: skip
    return (grid if _on_earth(grid, problems) else None), times


def _roles(structure: Structure, problems: list[Problem]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, coordinate in structure.coords.items():
        if coordinate.dims != [name]:
            continue
        role = _role(name, coordinate)
        if role is None:
            continue
        if role in found:
            problems.append(
                Problem(
                    name, f"{found[role]} and {name} both are the {role} axis", f'leave one out: ds.drop_vars("{name}")'
                )
            )  # fmt: skip
            continue
        found[role] = name
    return found


def _role(name: str, coordinate: Coordinate) -> str | None:
    if coordinate.dtype.startswith("datetime64"):
        return "time"
    standard = STANDARD.get(str(coordinate.attrs.get("standard_name", "")))
    if standard in {"x", "y"}:
        return standard
    return next((role for role in ("x", "y", "time") if name.lower() in NAMES[role]), None)


def _numbers(name: str, coordinate: Coordinate, problems: list[Problem]) -> npt.NDArray[np.float64] | None:
    values = coordinate.values
    if values is None or any(v is None for v in values):
        problems.append(
            Problem(name, "has no values, or some that are not finite", "give each row and column a place")
        )
        return None
    if len(values) > MAX_AXIS:
        problems.append(
            Problem(
                name, f"has {len(values):,} places, {MAX_AXIS:,} are allowed", "publish a part, or a coarser one"
            )
        )  # fmt: skip
        return None
    try:
        made = np.array(values, np.float64)
    except (OverflowError, ValueError, TypeError):
        made = np.array([np.nan])
    if not np.isfinite(made).all():
        problems.append(
            Problem(name, "has places that are not finite numbers", "give each row and column a place")
        )
        return None
    return made


def _axis(name: str, coordinate: Coordinate, problems: list[Problem]) -> tuple[float, float, int] | None:
    """First centre, step and number of places of an even axis."""
    values = _numbers(name, coordinate, problems)
    if values is None:
        return None
    if len(values) < 2:
        problems.append(
            Problem(
                name,
                "has a single place: its pixels have no size",
                "publish an area of at least 2 x 2 pixels",
            )
        )
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        at = int(np.argmax(np.sign(steps) != np.sign(steps[0]))) + 1
        problems.append(
            Problem(
                name, f"neither ascends nor descends all the way (see place {at})", f'ds.sortby("{name}")'
            )
        )
        return None
    step = float((values[-1] / (len(values) - 1)) - (values[0] / (len(values) - 1)))
    if not (SMALLEST <= abs(step) <= FARTHEST) or float(np.abs(values).max()) > FARTHEST:
        problems.append(
            Problem(
                name, f"has places {abs(step):.3g} apart between {values[0]:g} and {values[-1]:g}, of which no map can be made",
                "give it in degrees, or in the unit of the CRS",
            )
        )  # fmt: skip
        return None
    off = np.abs(values - (values[0] + step * np.arange(len(values)))) / abs(step)
    if float(off.max()) > EVEN:
        at = int(off.argmax())
        problems.append(
            Problem(
                name, f"is not evenly spaced: place {at} is off by {float(off.max()):.2g} of a pixel",
                f"resample to an even grid, such as ds.interp({name}=np.linspace(…))",
            )
        )  # fmt: skip
        return None
    return float(values[0]), step, len(values)


def _on_earth(grid: Grid, problems: list[Problem]) -> bool:
    west, east = grid.west, grid.west + grid.shape[1] * grid.dx
    south, north = sorted((grid.north, grid.north + grid.shape[0] * grid.dy))
    y, x = grid.dims
    before = len(problems)
    if pyproj.CRS.from_user_input(grid.crs).is_geographic:
        if south < -90 - EVEN * abs(grid.dy) or north > 90 + EVEN * abs(grid.dy):
            problems.append(
                Problem(y, f"reaches from {south:g} to {north:g} degrees", "latitudes are within ±90; is it the CRS?")
            )  # fmt: skip
        if west < -180 - 360 * EVEN or east > 540 or east - west > 360 * (1 + EVEN):
            problems.append(
                Problem(
                    x, f"reaches from {west:g} to {east:g} degrees", "longitudes lie within -180 and 360, once around"
                )
            )  # fmt: skip
    else:
        bounds = pyproj.Transformer.from_crs(grid.crs, WGS84, always_xy=True).transform_bounds(
            west, south, east, north
        )
        if not all(math.isfinite(b) for b in bounds):
            problems.append(
                Problem(f"{y}, {x}", f"do not lie within {grid.crs}", "are they in metres? is the CRS right?")
            )
    return len(problems) == before


def _crs(structure: Structure, roles: dict[str, str], problems: list[Problem]) -> str | None:
    where, said = _said_crs(structure)
    if said is None:
        degrees = [
            str(structure.coords[roles[r]].attrs.get("units", "")).startswith("degree") for r in ("y", "x")
        ]
        named = roles["y"].lower() in {"lat", "latitude"} and roles["x"].lower() in {
            "lon",
            "longitude",
            "long",
        }
        if all(degrees) or named:
            return WGS84
        problems.append(
            Problem(
                "CRS", f"it is not said in which projection {roles['x']} and {roles['y']} are",
                'say it: ds.rio.write_crs("EPSG:32633"), or ds.attrs["crs"] = "EPSG:32633"',
            )
        )  # fmt: skip
        return None
    return _code(where, said, problems)


def _code(where: str, said: Any, problems: list[Problem]) -> str | None:
    """``EPSG:n`` of a CRS."""
    texts = [said.get(key) for key in ("crs_wkt", "spatial_ref")] if isinstance(said, dict) else [said]
    if not all(_is_plain(text) for text in texts if text is not None):
        problems.append(
            Problem(
                where, "the CRS is neither EPSG:NUMBER nor WKT", 'say it so: ds.rio.write_crs("EPSG:32633")'
            )
        )
        return None
    try:
        crs = pyproj.CRS.from_cf(said) if isinstance(said, dict) else pyproj.CRS.from_user_input(said)
        code = crs.to_epsg(min_confidence=70)
    except (CRSError, KeyError, ValueError, TypeError, AttributeError):
        problems.append(
            Problem(where, "the CRS cannot be read", 'write it anew: ds.rio.write_crs("EPSG:32633")')
        )
        return None
    if not (crs.is_geographic or crs.is_projected):
        problems.append(
            Problem(where, f"{crs.name} is no map projection", "reproject to a geographic or projected CRS")
        )
        return None
    if code is None:
        if crs.is_geographic:
            return WGS84
        problems.append(
            Problem(
                where, f"the CRS {crs.name} has no EPSG number, by which maps and catalogues find it",
                'reproject: ds.rio.reproject("EPSG:3857"), or another one that has',
            )
        )  # fmt: skip
        return None
    return f"EPSG:{code}"


def _is_plain(said: Any) -> bool:
    """Whether a text can be given to PROJ: of others it takes some for names of files, which it opens."""
    return isinstance(said, int) or (
        isinstance(said, str)
        and len(said) <= MAX_WKT
        and "init=" not in said
        and _CRS.match(said.strip()) is not None
    )


def _said_crs(structure: Structure) -> tuple[str, Any]:
    """Where a CRS is said, and its WKT or its CF attributes."""
    named = [
        v.encoding.get("grid_mapping") or v.attrs.get("grid_mapping") for v in structure.variables.values()
    ]
    for name in [*[str(n) for n in named if n], "spatial_ref", "crs"]:
        holder = structure.coords.get(name) or structure.variables.get(name)
        if holder is None:
            continue
        for key in ("crs_wkt", "spatial_ref"):
            if isinstance(holder.attrs.get(key), str):
                return name, holder.attrs[key]
        if "grid_mapping_name" in holder.attrs:
            return name, dict(holder.attrs)
    for key in ("crs", "proj:epsg"):
        value = structure.attrs.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return f"attribute {key}", value
    return "CRS", None


def _times(name: str, structure: Structure, problems: list[Problem]) -> Times | None:
    coordinate = structure.coords[name]
    if not coordinate.dtype.startswith("datetime64"):
        problems.append(
            Problem(
                name, f"is {coordinate.dtype}, not datetime64",
                "decode it: xr.decode_cf(ds); a calendar without leap days has no place in a viewer",
            )
        )  # fmt: skip
        return None
    values = coordinate.values or []
    if not values:
        problems.append(Problem(name, "has no times", "publish at least one"))
        return None
    if any(not isinstance(v, int) or not -(2**63) < v < 2**63 for v in values):
        problems.append(Problem(name, "has times that are none (NaT)", f'ds.dropna("{name}")'))
        return None
    nanoseconds = np.array(values, np.int64)
    seconds = nanoseconds // 10**9
    before = len(problems)
    if (np.diff(seconds) < 0).any():
        problems.append(Problem(name, "does not ascend", f'ds.sortby("{name}")'))
    elif (np.diff(seconds) == 0).any():
        at = np.datetime64(int(seconds[int(np.argmax(np.diff(seconds) == 0))]), "s")
        problems.append(
            Problem(
                name, f"has {at} more than once (times count in whole seconds)",
                f'keep one: ds.drop_duplicates("{name}"), or average: ds.groupby("{name}").mean()',
            )
        )  # fmt: skip
    first, last = int(FIRST_TIME.astype(np.int64)), int(LAST_TIME.astype(np.int64))
    if seconds.min() < first or seconds.max() > last:
        problems.append(
            Problem(name, "has times before 1820 or after 2110", "leave them out; is the unit right?")
        )
    if (nanoseconds % 10**9).any() and len(problems) == before:
        problems.append(Problem(name, "parts of seconds are left out", "", "warning"))
    return (
        Times(tuple(seconds.tolist()), name)
        if len(problems) == before or problems[-1].level == "warning"
        else None
    )
