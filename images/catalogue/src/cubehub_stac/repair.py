"""Make real-world items fit for a search database, or refuse them with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape

from cubehub_stac.boxes import crosses_unsplit

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

MARKER = "𒍟※"
"""pgstac's internal sign for "this key is absent". Items collected from other pgstac servers sometimes hold it."""

_WORLD = box(-180.0, -90.0, 180.0, 90.0)
_SERVER_LINKS = frozenset({"self", "root", "parent", "collection", "items", "item", "child"})


class RefusedError(Exception):
    """An item or collection that can't be offered; the text says why."""


def repaired_item(item: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a STAC item that the database takes and finds again.

    Invalid outlines are made valid, outlines over the antimeridian are cut there, a missing box is derived,
    links that only made sense where the file came from are dropped.

    Raises
    ------
    RefusedError
        When id, collection, geometry or time is missing.
    """
    for key in ("id", "collection"):
        if not isinstance(item.get(key), str) or not item[key] or "/" in item[key]:
            raise RefusedError(f"its {key!r} is missing or no plain name")
    properties = item.get("properties")
    if not isinstance(properties, dict):
        raise RefusedError("it has no properties")
    if not properties.get("datetime") and not (
        properties.get("start_datetime") and properties.get("end_datetime")
    ):
        raise RefusedError("it has neither datetime nor start_datetime and end_datetime")
    if not isinstance(item.get("geometry"), dict):
        raise RefusedError("its geometry is null, so no search could find it")
    item = without_markers(item)
    geometry = repaired_geometry(item["geometry"])
    return {
        **item,
        "stac_version": item.get("stac_version", "1.0.0"),
        "stac_extensions": item.get("stac_extensions") or [],
        "geometry": mapping(geometry),
        "bbox": _bbox(geometry),
        "links": kept_links(item),
        "assets": item.get("assets") or {},
    }


def without_markers(value: Any) -> Any:
    """Return a copy without the keys and entries that a leaked marker says are absent."""
    if isinstance(value, dict):
        return {key: without_markers(inner) for key, inner in value.items() if inner != MARKER}
    if isinstance(value, list):
        return [without_markers(inner) for inner in value if inner != MARKER]
    return value


def repaired_geometry(geometry: dict[str, Any]) -> BaseGeometry:
    """Return a valid shapely geometry within ±180, ±90.

    Raises
    ------
    RefusedError
        When nothing can be made of it.
    """
    try:
        if geometry.get("type") == "MultiPolygon":
            # Seen in real items: a part without a ring.
            geometry = {**geometry, "coordinates": [part for part in geometry["coordinates"] if part]}
        outline = shapely.force_2d(shape(geometry))
        if isinstance(outline, Polygon | MultiPolygon):
            parts = outline.geoms if isinstance(outline, MultiPolygon) else [outline]
            outline = shapely.union_all([_polygons(_wrapped(part)) for part in parts])
        elif not outline.is_valid:
            outline = shapely.make_valid(outline)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        shapely.errors.ShapelyError,
    ) as error:
        raise RefusedError(f"its geometry can't be read: {error}") from error
    if outline.is_empty:
        raise RefusedError("its geometry is empty")
    return outline


def _wrapped(polygon: Polygon) -> BaseGeometry:
    """Cut what crosses the antimeridian there and bring both halves back into ±180."""
    longitudes = [point[0] for point in polygon.exterior.coords]
    if crosses_unsplit(longitudes):
        polygon = shapely.transform(polygon, _eastward)
    elif max(longitudes) <= 180.0 and min(longitudes) >= -180.0:
        return polygon
    polygon = _polygons(polygon)
    copies = [affinity.translate(polygon, shift) for shift in (-360.0, 0.0, 360.0)]
    return shapely.union_all([_polygons(copy.intersection(_WORLD)) for copy in copies])


def _eastward(points: Any) -> Any:
    points = points.copy()
    points[points[:, 0] < 0, 0] += 360.0
    return points


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Keep the areas of a geometry after making it valid: lines and points left by a repair are crumbs."""
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    areas = [part for part in shapely.get_parts(shapely.get_parts(geometry)) if isinstance(part, Polygon)]
    if isinstance(geometry, Polygon | MultiPolygon) or not areas:
        return geometry
    return shapely.union_all(areas)


def _bbox(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; west > east where the outline touches both sides of the antimeridian (RFC 7946)."""
    west, south, east, north = geometry.bounds
    if west == -180.0 and east == 180.0 and isinstance(geometry, MultiPolygon):
        bounds = [part.bounds for part in geometry.geoms]
        if all(b[2] - b[0] < 180.0 for b in bounds):
            eastern = [b for b in bounds if b[0] >= 0.0]
            western = [b for b in bounds if b[2] <= 0.0]
            if len(eastern) + len(western) == len(bounds):
                west, east = min(b[0] for b in eastern), max(b[2] for b in western)
    return [west, south, east, north]


def kept_links(thing: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the links that stay true here: absolute ones that the server doesn't make itself."""
    return [
        link
        for link in thing.get("links") or []
        if isinstance(link, dict)
        and link.get("rel") not in _SERVER_LINKS
        and "://" in str(link.get("href", ""))
    ]
