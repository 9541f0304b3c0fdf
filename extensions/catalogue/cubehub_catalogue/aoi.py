"""Where to search: whatever a person drew, typed or pasted, as one valid outline cut at ±180°."""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import TYPE_CHECKING, Any

import shapely
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape
from shapely.geometry.polygon import orient

from cubehub_catalogue.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Box = tuple[float, float, float, float]
"""west, south, east, north in degrees; west <= east."""

_MOST_POINTS, _MOST_BOXES, _DEEPEST = 50_000, 10, 6
_MOST_PAIRED, _MOST_ROUNDS = 20 * _MOST_BOXES, 10
"""Boxes that are compared each with each, and rounds in which they are joined before: so many islands end as one box."""
_WIDEST = 179.0
"""Degrees of an edge that nobody takes to go the other way round the globe."""
_WORLD = box(-180.0, -90.0, 180.0, 90.0)
_FARTHEST = 900.0
"""Twice round beyond the map's edge: maps that wrap give such longitudes, projected coordinates are far larger."""
_LONLAT = re.compile(r"(crs84|epsg:+(\d*:)?4326|epsg/0/4326)$", re.IGNORECASE)
_HINT = "Give a box (west, south, east, north), a polygon, WKT or GeoJSON in degrees, longitude first."
_A, _E2 = 6378.137, 0.00669437999014
"""Semi-major axis in km and squared eccentricity of WGS 84."""


def _wrong(message: str, hint: str = _HINT) -> InputError:
    return InputError("bad_aoi", message, hint)


def box_aoi(numbers: Sequence[Any]) -> dict[str, Any]:
    """Outline of a box.

    Parameters
    ----------
    numbers
        West, south, east, north in degrees, or six with the heights. West > east crosses the antimeridian, and so
        do longitudes beyond ±180.

    Raises
    ------
    InputError
        When they are no box.
    """
    try:
        values = [float(number) for number in numbers]
    except (TypeError, ValueError) as error:
        raise _wrong("A box has four numbers: west, south, east, north.") from error
    if len(values) == 6:
        values = [*values[:2], *values[3:5]]
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise _wrong(f"A box has four numbers (west, south, east, north), not {len(values)}.")
    west, south, east, north = values
    _check_place(west, south)
    _check_place(east, north)
    if south > north:
        raise _wrong(f"The box's south ({south:g}) lies north of its north ({north:g}).", "Swap the two.")
    if west > east:
        east += 360.0
    if south == north or west == east:
        raise _wrong("The box has no area.", "Make it wider and higher than nothing.")
    if east - west >= 360.0:
        west, east = -180.0, 180.0
    return _outline([box(west, south, east, north)])


def parse_aoi(text: str) -> dict[str, Any]:
    """Outline of what was pasted: GeoJSON, WKT, or the four numbers of a box.

    Raises
    ------
    InputError
        When it is none of these, with what was wrong in it.
    """
    found = text.strip().lstrip("\ufeff")
    if not found:
        raise _wrong("There is nothing to read.")
    if found[0] in "{[":
        try:
            value = json.loads(found, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise _wrong(f"It begins like GeoJSON but is no JSON: {str(error)[:120]}.") from error
        return box_aoi(value) if isinstance(value, list) else aoi_of(value)
    if re.fullmatch(r"[-+0-9.eE,;\s°]+", found):
        return box_aoi(re.split(r"[,;\s]+", found.replace("°", "").strip(",; \t\r\n")))
    srid = re.match(r"SRID=(\d+);", found, re.IGNORECASE)
    if srid:
        if srid[1] != "4326":
            raise _wrong(f"The WKT is in EPSG:{srid[1]}.", "Reproject it to EPSG:4326.")
        found = found[srid.end() :]
    try:
        geometry = shapely.from_wkt(found)
    except (shapely.errors.ShapelyError, ValueError) as error:
        raise _wrong(f"It is neither GeoJSON nor WKT nor four numbers: {str(error)[:120]}.") from error
    return _outline(list(_polygons_of(geometry)))


def aoi_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Outline of a GeoJSON object: a Polygon, MultiPolygon, GeometryCollection, Feature or FeatureCollection.

    Several polygons become one outline. A ring with an edge wider than 180° is taken to cross the antimeridian,
    except where it is a box that runs counter-clockwise as written, which is just a wide box.

    Raises
    ------
    InputError
        When it holds no polygon, something else than polygons, or coordinates that are not degrees.
    """
    if not hasattr(value, "get"):
        raise _wrong("GeoJSON is an object with a type.")
    crs = value.get("crs")
    if isinstance(crs, dict):
        name = (crs.get("properties") or {}).get("name") if isinstance(crs.get("properties"), dict) else None
        if not isinstance(name, str) or not _LONLAT.search(name):
            raise _wrong(f"The GeoJSON is in {str(name)[:60]}.", "Reproject it to EPSG:4326.")
    return _outline(list(_polygons_in(value, "", 0)))


def boxes(aoi: Mapping[str, Any]) -> list[Box]:
    """Boxes around an outline, none of which crosses the antimeridian and no two of which overlap."""
    found: list[Box] = [part.bounds for part in _parts(shape(aoi))]
    for _ in range(_MOST_ROUNDS):
        if len(found) <= _MOST_PAIRED:
            found = _joined(found)
            break
        # quick for thousands, but boxes that touch in a corner stay two
        before, found = (
            len(found),
            [part.bounds for part in _parts(shapely.union_all([box(*b) for b in found]))],
        )
        if len(found) == before:
            break
    if len(found) > _MOST_BOXES:
        # one on each side where it crosses the antimeridian, so that the box does not go round the globe
        west = [b for b in found if b[0] + b[2] < 0]
        east = [b for b in found if b[0] + b[2] >= 0]
        at_edge = any(b[0] <= -180.0 for b in found) and any(b[2] >= 180.0 for b in found)
        found = [_around(side) for side in (west, east) if side] if at_edge else [_around(found)]
    return sorted(found)


def area_km2(aoi: Mapping[str, Any]) -> float:
    """Area of an outline on WGS 84, exact for boxes."""
    return sum(
        abs(_ring_area(part.exterior.coords)) - sum(abs(_ring_area(hole.coords)) for hole in part.interiors)
        for part in _parts(shape(aoi))
    )


def whole_box(aoi: Mapping[str, Any]) -> Box | None:
    """Give the box when the outline is just one box that does not cross the antimeridian, else None."""
    outline = shape(aoi)
    if isinstance(outline, Polygon) and outline.equals(shapely.envelope(outline)):
        west, south, east, north = outline.bounds
        return west, south, east, north
    return None


def cut(polygon: Polygon, *, wide: bool = True) -> list[Polygon]:
    """Valid parts, within ±180 and ±90, of a polygon as it was written.

    Parameters
    ----------
    polygon
        With longitudes that may go beyond ±180 or jump from one side to the other.
    wide
        Whether a box that is wider than 180° may be just that.
    """
    exterior, turns = _unwrapped(list(polygon.exterior.coords), wide=wide)
    if (
        turns
    ):  # the ring goes once round the globe, so a pole is in it: the nearer one, since many wind them wrongly
        pole = math.copysign(90.0, sum(latitude for _, latitude in exterior))
        exterior += [(exterior[-1][0], pole), (exterior[0][0], pole), exterior[0]]
    holes = [
        _near(_unwrapped(list(ring.coords), wide=wide, hole=True)[0], exterior) for ring in polygon.interiors
    ]
    whole = shapely.make_valid(Polygon(exterior, holes))
    parts: list[Polygon] = []
    for turn in range(math.floor((whole.bounds[0] + 180) / 360), math.ceil((whole.bounds[2] + 180) / 360)):
        moved = affinity.translate(whole, -360.0 * turn)
        parts.extend(_parts(shapely.intersection(moved, _WORLD)))
    return parts


def _outline(polygons: list[Polygon]) -> dict[str, Any]:
    if not polygons:
        raise _wrong("There is no polygon in it.")
    if (points := sum(shapely.get_num_coordinates(polygon) for polygon in polygons)) > _MOST_POINTS:
        raise _wrong(
            f"The outline has {points} points; {_MOST_POINTS} are the most.",
            "Simplify it, or draw a rougher one.",
        )
    for polygon in polygons:
        for lon, lat in shapely.get_coordinates(polygon):
            _check_place(float(lon), float(lat))
    whole = shapely.union_all([part for polygon in polygons for part in cut(shapely.force_2d(polygon))])
    parts = _parts(shapely.normalize(whole))  # so that the same outline is always written the same
    if not parts:
        raise _wrong("The outline has no area.", "Draw a polygon of at least three corners.")
    # read again, as the panel sends it, a wide edge would go the other way round; only boxes are known to be wide
    parts = [
        part if part.equals(shapely.envelope(part)) else shapely.segmentize(part, _WIDEST)
        for part in map(orient, parts)
    ]
    found = mapping(parts[0] if len(parts) == 1 else MultiPolygon(parts))
    plain: dict[str, Any] = json.loads(json.dumps(found))  # lists as in GeoJSON, not tuples
    return plain


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_place(longitude: float, latitude: float) -> None:
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        raise _wrong("A coordinate is no finite number.")
    if abs(latitude) > 90.0 and abs(longitude) <= 90.0 and abs(latitude) <= 180.0:
        raise _wrong(
            f"The latitude {latitude:g} is beyond 90°.", "Swap the coordinates: longitude comes first."
        )
    if abs(latitude) > 90.0 or abs(longitude) > _FARTHEST:
        raise _wrong(
            f"The coordinates {longitude:g}, {latitude:g} are not degrees.",
            "Reproject them to EPSG:4326, longitude and latitude in degrees.",
        )


def _polygons_in(value: Any, where: str, depth: int) -> Iterator[Polygon]:
    kind = value.get("type") if hasattr(value, "get") else None
    at = f" of {where}" if where else ""
    if depth > _DEEPEST:
        raise _wrong("The GeoJSON is nested too deeply.")
    if kind in ("FeatureCollection", "GeometryCollection"):
        name = "features" if kind == "FeatureCollection" else "geometries"
        members = value.get(name)
        if not isinstance(members, list | tuple):
            raise _wrong(f"The {kind}{at} has no list of {name}.")
        for number, member in enumerate(members, 1):
            yield from _polygons_in(member, f"{name[:-1].removesuffix('ie')} {number}{at}", depth + 1)
    elif kind == "Feature":
        yield from _polygons_in(value.get("geometry"), where or "the feature", depth + 1)
    elif kind in ("Polygon", "MultiPolygon"):
        try:
            geometry = shape({"type": kind, "coordinates": value["coordinates"]})
        except (KeyError, TypeError, ValueError, IndexError, shapely.errors.ShapelyError) as error:
            raise _wrong(f"The coordinates{at} are no {kind}: {str(error)[:100]}.") from error
        yield from _polygons_of(geometry)
    elif isinstance(kind, str) and kind in {
        "Point",
        "MultiPoint",
        "LineString",
        "MultiLineString",
    }:
        raise _wrong(f"A {kind}{at} has no area.", "Draw a box or a polygon around it.")
    else:
        raise _wrong(f"The type{at} is {str(kind)[:40]!r}, which is no GeoJSON with an area.")


def _polygons_of(geometry: Any) -> Iterator[Polygon]:
    if isinstance(geometry, Polygon):
        if not geometry.is_empty:
            yield geometry
    elif hasattr(geometry, "geoms"):
        for part in geometry.geoms:
            yield from _polygons_of(part)
    else:
        raise _wrong(f"A {geometry.geom_type} has no area.", "Draw a box or a polygon around it.")


def _parts(geometry: Any) -> list[Polygon]:
    if isinstance(geometry, Polygon):
        return [] if geometry.is_empty or geometry.area == 0 else [geometry]
    return [part for member in getattr(geometry, "geoms", ()) for part in _parts(member)]


Ring = list[tuple[float, float]]


def _unwrapped(
    coordinates: Sequence[Sequence[float]], *, wide: bool, hole: bool = False
) -> tuple[Ring, bool]:
    """Ring without jumps across the antimeridian, and whether it goes round a pole."""
    ring = [(float(point[0]), float(point[1])) for point in coordinates]
    # 360 is the same meridian again, as in the box of the whole world
    jumps = [180.0 < abs(b[0] - a[0]) < 360.0 for a, b in itertools.pairwise(ring)]
    if not any(jumps) or (wide and _is_wide_box(ring, hole=hole)):
        return ring, False
    found, shift = [ring[0]], 0.0
    for before, (lon, lat) in itertools.pairwise(ring):
        step = lon - before[0]
        if abs(step) > 180.0:
            shift -= math.copysign(360.0, step)
        found.append((lon + shift, lat))
    return found, abs(found[-1][0] - found[0][0]) > 180.0


def _is_wide_box(ring: Ring, *, hole: bool) -> bool:
    outline = Polygon(ring)
    as_written = outline.exterior.is_ccw != hole
    return bool(outline.is_valid and as_written and outline.equals(shapely.envelope(outline)))


def _near(ring: Ring, exterior: Ring) -> Ring:
    """Put a hole on the same turn of the globe as the ring it is in."""
    middle = (min(x for x, _ in exterior) + max(x for x, _ in exterior)) / 2
    turn = round((middle - ring[0][0]) / 360.0) * 360.0
    return [(x + turn, y) for x, y in ring]


def _touch(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _joined(found: Sequence[Box]) -> list[Box]:
    """Join boxes that touch until none do."""
    apart: list[Box] = []
    for one in found:
        whole = one
        while touching := [other for other in apart if _touch(whole, other)]:
            apart = [other for other in apart if other not in touching]
            whole = _around([whole, *touching])
        apart.append(whole)
    return apart


def _around(found: Sequence[Box]) -> Box:
    return (
        min(b[0] for b in found),
        min(b[1] for b in found),
        max(b[2] for b in found),
        max(b[3] for b in found),
    )


def _ring_area(coordinates: Any) -> float:
    """Area in km² that a ring closes in, on the sphere that is as large as WGS 84."""
    e = math.sqrt(_E2)

    def q(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return (1 - _E2) * (s / (1 - _E2 * s * s) + math.atanh(e * s) / e)

    total = 0.0
    points = list(coordinates)
    for (x1, y1, *_), (x2, y2, *_) in itertools.pairwise(points):
        # the outline's edges are straight in degrees: Simpson's rule follows them
        middle = q((y1 + y2) / 2)
        total += math.radians(x2 - x1) * (q(y1) + 4 * middle + q(y2)) / 6
    return total * _A * _A / 2
