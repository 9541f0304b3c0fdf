"""Items as catalogues really send them, made fit for use."""

from __future__ import annotations

import marshal
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon, mapping, shape

from cubehub_catalogue import aoi

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from cubehub_catalogue.query import Item

MARKER = "\U0001235f\u203b"
"""pgstac's internal sign for "this key is absent", which leaks from some servers into assets and properties."""
_DEEPEST, _SHORT, _SCENE = 40, 40, 40.0
_HOLDERS = (dict, list)
_NO_OUTLINE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    OverflowError,
    shapely.errors.ShapelyError,
)
_MOST_CROSSING, _MOST_SIMPLIFIED = 80, 20_000
"""Corners of an outline that is mended, and of one that is looked at at all."""
_FARTHEST = 1000.0
"""Degrees. What lies beyond is no place, and GEOS never ends to simplify what lies at 1e308."""


def readable(features: list[Any]) -> list[Item]:
    """Give the items of a page that can be used, without the markers of a database."""
    found = (_usable(without_markers(one) if marked(one) else one) for one in features)
    return [item for item in found if item is not None]


def marked(value: Any) -> bool:
    """Tell whether a marker is anywhere in what JSON said."""
    # marshal goes through it all in a fiftieth of the time that a walk in Python takes
    return MARKER.encode() in marshal.dumps(value)


def _usable(value: Any) -> Item | None:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not value["id"]:
        return None
    if not isinstance(value.get("properties"), dict):
        return None
    found: Item = value
    if not isinstance(found.get("assets"), dict):
        found["assets"] = {}
    elif not all(isinstance(asset, dict) for asset in found["assets"].values()):
        found["assets"] = {name: asset for name, asset in found["assets"].items() if isinstance(asset, dict)}
    if not isinstance(found.get("links"), list):
        found["links"] = []
    elif not all(isinstance(link, dict) for link in found["links"]):
        found["links"] = [link for link in found["links"] if isinstance(link, dict)]
    if not isinstance(found.get("geometry"), dict):
        found["geometry"] = None
    return found


def without_markers(value: Any, depth: int = 0) -> Any:
    """Copy without the keys and entries that a marker says are absent."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {
            key: without_markers(inner, depth + 1) if inner.__class__ in _HOLDERS else inner
            for key, inner in value.items()
            if inner != MARKER
        }
    if isinstance(value, list):
        return [
            without_markers(inner, depth + 1) if inner.__class__ in _HOLDERS else inner
            for inner in value
            if inner != MARKER
        ]
    return value


def outline(item: Item) -> BaseGeometry | None:
    """Outline of an item as a valid geometry within ±180 and ±90, else None.

    A scene that was written as if it went round the globe is put together and cut at ±180.
    """
    geometry = item.get("geometry")
    if not isinstance(geometry, dict):
        return None
    try:
        with np.errstate(all="ignore"):
            found = shapely.force_2d(shape(geometry))
        if found.is_empty or not (abs(shapely.get_coordinates(found)) <= _FARTHEST).all():
            return None
        wide = (
            found.bounds[2] - found.bounds[0] > 180.0 or found.bounds[2] > 180.0 or found.bounds[0] < -180.0
        )
        found = _with_few_corners(found, wide=wide)
        if wide and not found.is_empty:
            found = _over_the_edge(found)
        elif not found.is_valid:
            found = shapely.make_valid(found)
    except _NO_OUTLINE:
        return None
    return None if found.is_empty else found


def _with_few_corners(geometry: BaseGeometry, *, wide: bool) -> BaseGeometry:
    """Leave out corners that nobody sees of an outline with very many.

    To mend or cut a ring that crosses itself takes as long as it has crossings: of 300 corners at random ten seconds, of 3000 minutes. Of
    what is too much even so only its hull is shown, or nothing where that would be the whole globe.
    """
    corners = shapely.get_num_coordinates(geometry)
    if corners <= _MOST_CROSSING:
        return geometry
    west, south, east, north = geometry.bounds
    if corners <= _MOST_SIMPLIFIED:
        # of what is cut at the edge already, no part is moved: it stays as valid as it is
        if (not wide or _is_cut(geometry)) and shapely.is_valid(geometry):
            return geometry
        if isinstance(geometry, Polygon):
            step = min(max(east - west, north - south) / 1000.0, 0.05)
            # as a line: of a polygon GEOS would mend what comes out
            ring = shapely.simplify(LineString(geometry.exterior.coords), step, preserve_topology=False)
            if 4 <= shapely.get_num_coordinates(ring) <= _MOST_CROSSING:
                return Polygon(ring.coords)
    return Polygon() if wide else geometry.convex_hull


def _is_cut(geometry: BaseGeometry) -> bool:
    """Whether each part lies on one side of ±180° by itself."""
    bounds = shapely.bounds(shapely.get_parts(geometry))
    west, east = bounds[:, 0], bounds[:, 2]
    return bool(((west >= -180.0) & (east <= 180.0) & (east - west <= 180.0)).all())


def written_span(item: Item) -> float:
    """Degrees of longitude from the westernmost to the easternmost corner of an item, as it was written."""
    geometry = item.get("geometry")
    if not isinstance(geometry, dict) or _is_plain(geometry):
        return 0.0
    try:
        with np.errstate(all="ignore"):
            west, _, east, _ = shape(geometry).bounds
    except _NO_OUTLINE:
        return 0.0
    return float(east - west)


def footprint(item: Item) -> dict[str, Any] | None:
    """Outline of an item as GeoJSON, simplified for drawing: a thousandth of its size is left out."""
    geometry = item.get("geometry")
    if isinstance(geometry, dict) and _is_plain(geometry):
        return {"type": "Polygon", "coordinates": geometry["coordinates"]}
    found = outline(item)
    if found is None:
        return None
    west, south, east, north = found.bounds
    size = max(min(east - west, 360.0), north - south)
    simple = shapely.simplify(found, min(size / 1000.0, 0.05), preserve_topology=True)
    rounded = shapely.set_precision(simple, 1e-5, mode="pointwise")
    plain: dict[str, Any] = mapping(simple if rounded.is_empty else rounded)
    return plain


def bbox(item: Item) -> list[float] | None:
    """Four numbers around an item, west > east where it crosses the antimeridian; of its outline if it has none."""
    value = item.get("bbox")
    if isinstance(value, list) and len(value) in (4, 6):
        numbers = [*value[:2], *value[3:5]] if len(value) == 6 else value
        if all(_is_number(n) for n in numbers) and not (
            numbers[2] - numbers[0] > 180.0 and item.get("geometry")
        ):
            return [float(n) for n in numbers]
    found = outline(item)
    if found is None:
        return None
    parts = [part.bounds for part in getattr(found, "geoms", [found])]
    if len(parts) > 1 and min(p[0] for p in parts) <= -180.0 and max(p[2] for p in parts) >= 180.0:
        east = [p for p in parts if p[0] >= 0]
        west = [p for p in parts if p[2] <= 0]
        if east and west and len(east) + len(west) == len(parts):
            south, north = min(p[1] for p in parts), max(p[3] for p in parts)
            return [min(p[0] for p in east), south, max(p[2] for p in west), north]
    return [float(n) for n in found.bounds]


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def number(value: Any) -> float | None:
    """Give the value when it is a finite number."""
    return value if _is_number(value) else None


def _is_plain(geometry: dict[str, Any]) -> bool:
    """Tell whether it is one short ring, far from the antimeridian, as most scenes are: nothing to be done then."""
    rings = geometry.get("coordinates")
    if geometry.get("type") != "Polygon" or not isinstance(rings, list) or len(rings) != 1:
        return False
    ring = rings[0]
    if not isinstance(ring, list) or not 4 <= len(ring) <= _SHORT:
        return False
    try:
        longitudes = [lon for lon, _ in ring]
        return (
            all(-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0 for lon, lat in ring)
            and max(longitudes) - min(longitudes) <= 180.0
        )
    except (TypeError, ValueError):
        return False


def _over_the_edge(geometry: BaseGeometry) -> BaseGeometry:
    if not isinstance(geometry, Polygon | MultiPolygon):
        return shapely.make_valid(geometry)
    parts = geometry.geoms if isinstance(geometry, MultiPolygon) else [geometry]
    return shapely.union_all([piece for part in parts for piece in aoi.cut(part, wide=not _is_scene(part))])


def _is_scene(part: Polygon) -> bool:
    """Tell whether a ring round the globe can only be a scene over the antimeridian.

    Put together it is as small as a scene then. A grid of the whole world from -180 to 179.75 looks alike, but goes
    from pole to pole.
    """
    longitudes = [lon + 360.0 if lon < 0 else lon for lon, *_ in part.exterior.coords]
    _, south, _, north = part.bounds
    return bool(0.0 < max(longitudes) - min(longitudes) <= _SCENE and north - south <= _SCENE)
