"""What other dialects write, made into parts of STAC items; what can't be made into one is refused here."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import antimeridian
import shapely
from shapely.errors import ShapelyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cubehub_catalogue.query import Item

MOST_RECORDS = 1000
"""Of one answer; one that holds more did not do what it was asked."""
_LONGEST_TEXT = 10_000
_MOST_POINTS = 100_000
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_KINDS = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"})
_SHAPE_FAULTS = (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
_EXTENSIONS = {
    "eo": "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "sat": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "sar": "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "grid": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "order": "https://stac-extensions.github.io/order/v1.1.0/schema.json",
    "product": "https://stac-extensions.github.io/product/v1.0.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
}
_MULTIHASH = {
    "SHA256": "1220",
    "SHA-256": "1220",
    "SHA2-256": "1220",
    "SHA512": "1340",
    "SHA-512": "1340",
    "SHA3-256": "1620",
    "MD5": "d50110",
    "BLAKE3": "1e20",
}


class BadRecordError(Exception):
    """A record that no item can be made of; it is skipped and counted."""


def text(value: object) -> str | None:
    """Give one line of text without control or direction characters; None where there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _UNSEEN.sub(" ", str(value)[:_LONGEST_TEXT]).strip() or None


def number(value: object) -> int | float | None:
    """Give a finite number, also where it is written as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value[:64]) if not value.strip().lstrip("+-").isdecimal() else int(value[:64])
        except ValueError:
            return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def instant(value: object, *, end: bool = False) -> datetime | None:
    """Give a time in UTC; a day alone is its beginning, or its end where `end` is set."""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and len(value) <= 64:
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        if end and re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", value.strip()):
            found = datetime.combine(found.date(), time.max)
    else:
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        return None


def stamp(moment: datetime) -> str:
    """Write a time as STAC has it."""
    written = moment.astimezone(UTC).replace(tzinfo=None)
    return written.isoformat(timespec="microseconds" if written.microsecond else "seconds") + "Z"


def to_shape(value: object) -> shapely.Geometry | None:
    """Make a geometry of GeoJSON, with longitudes in [-180, 180]; None where there is none.

    Raises
    ------
    BadRecordError
        It is no geometry, or one without finite longitudes and latitudes.
    """
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or str(value.get("type")) not in _KINDS:
        raise BadRecordError("geometry")
    try:
        made = shapely.geometry.shape(value)
        return on_earth(made)
    except (*_SHAPE_FAULTS, RecursionError) as error:
        raise BadRecordError("geometry") from error


def from_wkt(written: str) -> shapely.Geometry:
    """Make a geometry of WKT.

    Raises
    ------
    BadRecordError
        It is none.
    """
    try:
        return on_earth(shapely.from_wkt(written[: 50 * _MOST_POINTS]))
    except _SHAPE_FAULTS as error:
        raise BadRecordError("geometry") from error


def on_earth(made: shapely.Geometry | None) -> shapely.Geometry:
    """Give a geometry with longitudes in [-180, 180], cut at ±180° where it goes over.

    Raises
    ------
    BadRecordError
        It is none, or has places that are not on Earth.
    """
    if made is None or made.is_empty or shapely.get_num_coordinates(made) > _MOST_POINTS:
        raise BadRecordError("geometry")
    made = shapely.force_2d(made)
    west, south, east, north = made.bounds
    if not all(map(math.isfinite, shapely.get_coordinates(made).ravel())):
        raise BadRecordError("geometry")
    if south < -90 or north > 90 or west < -540 or east > 540:
        raise BadRecordError("geometry")
    if west < -180 or east > 180:
        made = _cut(made)
    return made


def _cut(made: shapely.Geometry) -> shapely.Geometry:
    if made.geom_type not in {"Polygon", "MultiPolygon"}:
        raise BadRecordError("geometry")
    # wound the other way it would be taken for everything else on Earth
    parts = [shapely.geometry.polygon.orient(part) for part in getattr(made, "geoms", [made])]
    try:
        return shapely.geometry.shape(antimeridian.fix_shape(shapely.MultiPolygon(parts), great_circle=False))
    except _SHAPE_FAULTS as error:
        raise BadRecordError("geometry") from error


def bounds(made: shapely.Geometry) -> list[float]:
    """Give the box; west is greater than east where the parts meet at ±180°."""
    west, _, east, _ = made.bounds
    if west == -180 and east == 180 and made.geom_type == "MultiPolygon":
        return [float(value) for value in antimeridian.bbox(made)]
    return [float(value) for value in made.bounds]


def link(href: object, base: str) -> str | None:
    """Give a link to the web, whole; None where it is none."""
    if not isinstance(href, str) or not 0 < len(href) <= 4000 or text(href) != href.strip():
        return None
    try:
        found = urljoin(base, href.strip())
        return found if urlsplit(found).scheme in {"http", "https", "s3"} else None
    except ValueError:
        return None


def checksum(listed: Iterable[tuple[object, object]]) -> str | None:
    """Give the multihash of what can be checked best, out of algorithms and hexadecimal digests.

    Notes
    -----
    BLAKE3 stands last: Python's library has none, so that a download could not be checked by it.
    """
    known = {}
    for algorithm, digest in listed:
        prefix = _MULTIHASH.get(str(algorithm).upper())
        if prefix and isinstance(digest, str) and len(digest) == 2 * int(prefix[-2:], 16):
            written = digest.lower()
            if re.fullmatch(r"[0-9a-f]+", written):
                known[prefix] = prefix + written
    return next((known[prefix] for prefix in dict.fromkeys(_MULTIHASH.values()) if prefix in known), None)


def make_item(
    id_: object,
    made: shapely.Geometry | None,
    start: datetime | None,
    end: datetime | None,
    properties: Mapping[str, Any],
    assets: Mapping[str, Mapping[str, Any]],
    links: Iterable[Mapping[str, Any]] = (),
    collection: str | None = None,
) -> Item:
    """Put an item together.

    Raises
    ------
    BadRecordError
        There is no id or no time.
    """
    name = text(id_)
    if name is None:
        raise BadRecordError("id")
    start, end = start or end, end or start
    if start is None or end is None:
        raise BadRecordError("time")
    if end < start:
        start, end = end, start
    kept = {key: value for key, value in properties.items() if value is not None}
    kept |= {"datetime": stamp(start), "start_datetime": stamp(start), "end_datetime": stamp(end)}
    named = {key.partition(":")[0] for key in kept}
    named |= {key.partition(":")[0] for asset in assets.values() for key in asset}
    item: Item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [_EXTENSIONS[prefix] for prefix in sorted(named & set(_EXTENSIONS))],
        "id": name,
        "geometry": None if made is None else json.loads(shapely.to_geojson(made)),
        "properties": kept,
        "links": [dict(link) for link in links],
        "assets": {key: dict(asset) for key, asset in assets.items()},
    }
    if made is not None:
        item["bbox"] = bounds(made)
    if collection:
        item["collection"] = collection
    return item
