"""What people send as a place: GeoJSON, seen through before xcube computes with it."""

import json
from collections.abc import Iterator
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from xcube_cubehub.errors import RequestError
from xcube_cubehub.routes import SERIES_ROUTE

MAX_GEOMETRIES = 1000
MAX_SERIES = 20
"""Each geometry is a series of its own, and one of a polygon takes up to a second; the viewer sends one."""
MAX_REPAIRED_POINTS = 200
"""Repairing an area takes time by the crossings of its edges, and these grow with the square of its points: 0.5 s here,
20 s for a thousand."""
MAX_LONGITUDE = 540.0
"""Maps that are scrolled around the globe count on beyond 180."""
MAX_HEIGHT_M = 1e6
MAX_NESTING = 4
DEPTHS = {
    "Point": 1,
    "MultiPoint": 2,
    "LineString": 2,
    "MultiLineString": 3,
    "Polygon": 3,
    "MultiPolygon": 4,
}  # fmt: skip
"""How deep the lists of coordinates are."""
HINT = 'send for example {"type": "Point", "coordinates": [27.45, 58.8]}: longitude, latitude in degrees'


def most(route: str) -> int:
    """How many geometries may be posted to a route."""
    return MAX_SERIES if route == SERIES_ROUTE else MAX_GEOMETRIES


def check(body: bytes, allowed: int = MAX_GEOMETRIES) -> None:
    """Refuse a body that is no GeoJSON place.

    Parameters
    ----------
    body : bytes
        As it was posted.
    allowed : int
        How many geometries it may hold, members of collections counted one by one.

    Raises
    ------
    RequestError
        It is no JSON, no geometry or feature, or a geometry that no computation can use.
    """
    try:
        value = json.loads(body)
    except RecursionError:
        raise _refusal("is nested too deeply") from None
    except ValueError as error:
        raise _refusal(f"is not JSON: {str(error)[:80]}") from None
    to_repair = 0
    for found, geometry in enumerate(_geometries(value, MAX_NESTING), 1):
        if found > allowed:
            raise _refusal(f"holds more than {allowed} geometries")
        to_repair += _check_geometry(geometry, MAX_REPAIRED_POINTS - to_repair)


def _refusal(what: str) -> RequestError:
    return RequestError(f"the body {what}; it must be a GeoJSON geometry or feature", HINT)


def _geometries(value: Any, nesting: int) -> Iterator[dict[str, Any]]:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise _refusal("is no GeoJSON object")
    if nesting == 0:
        raise _refusal("is nested too deeply")
    if kind in DEPTHS:
        yield value
    elif kind == "Feature":
        yield from _geometries(value.get("geometry"), nesting - 1)
    elif kind in {"FeatureCollection", "GeometryCollection"}:
        members = value.get("features" if kind == "FeatureCollection" else "geometries")
        if not isinstance(members, list):
            raise _refusal(f"is a {kind} without a list of them")
        if not members:
            # Also inside another one, where any number of them would count as nothing.
            raise _refusal(f"has a {kind} that holds no geometry")
        for member in members:
            yield from _geometries(member, nesting - 1)
    else:
        raise _refusal(f"has the type {kind[:40]!r}, which GeoJSON does not know")


def _check_geometry(geometry: dict[str, Any], repairable: int) -> int:
    """How many of its points have to be repaired; refuses one of more than can be."""
    kind = geometry["type"]
    _check_positions(geometry.get("coordinates"), DEPTHS[kind], kind)
    try:
        made = shape(geometry)
    except (ValueError, ShapelyError):
        raise _refusal(f"has a {kind} with too few points") from None
    reason = "" if made.is_valid else shapely.is_valid_reason(made)
    # A ring that only touches itself in a point crosses nothing, and is repaired in no time.
    if not reason or reason.startswith("Ring Self-intersection"):
        return 0
    points = int(shapely.get_num_coordinates(made))
    if points > repairable:
        raise _refusal(
            f"has a {kind} that is not valid ({reason}), and is repaired up to {MAX_REPAIRED_POINTS} points only"
        )
    return points


def _check_positions(value: Any, depth: int, kind: str) -> None:
    if not isinstance(value, list) or not value:
        raise _refusal(f"has a {kind} whose coordinates are not lists of numbers")
    if depth > 1:
        for part in value:
            _check_positions(part, depth - 1, kind)
        return
    if len(value) < 2 or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in value):
        raise _refusal(f"has a {kind} whose coordinates are not lists of numbers")
    longitude, latitude, *heights = value
    # nan is never within; a whole number may be too long to become a float, and is compared as it is
    within = abs(longitude) <= MAX_LONGITUDE and abs(latitude) <= 90
    if not within or not all(abs(height) <= MAX_HEIGHT_M for height in heights):
        raise _refusal(f"has a {kind} with coordinates that are not on the globe")
