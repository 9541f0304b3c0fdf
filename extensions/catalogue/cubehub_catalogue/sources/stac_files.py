"""Items and collections out of files that nobody checked, made fit for use."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from cubehub_catalogue.sources.records import BadRecordError, bounds, instant, stamp, text, to_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub_catalogue.query import Item

_DEEPEST = 32
_MOST = 2000
"""Members of one object or list."""
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_WRITTEN = frozenset({"type", "title", "description"})
_SCHEMES = frozenset({"http", "https", "s3", "gs", "az", "abfs", "ftp"})


def fit_item(value: object, base: str | None, collection: str | None = None) -> Item:
    """Give an item with whole links, finite numbers and a footprint that is one.

    Parameters
    ----------
    value
        What was read.
    base
        What its links are relative to; None where only whole ones can be used.
    collection
        Where it was found, for one that does not say it.

    Raises
    ------
    BadRecordError
        It has no id, no time or no properties, or its geometry can't be one.
    """
    if not isinstance(value, dict) or not isinstance(value.get("properties"), dict):
        raise BadRecordError("record")
    item = clean(value)
    name = text(item.get("id")) if isinstance(item.get("id"), str) else None
    if name is None:
        raise BadRecordError("id")
    made = to_shape(value.get("geometry"))
    properties = item["properties"]
    _in_time(properties)
    fit: Item = {
        **item,
        "type": "Feature",
        "stac_version": _version(item.get("stac_version")),
        "stac_extensions": _texts(item.get("stac_extensions")),
        "id": name,
        "geometry": item.get("geometry") or None,
        "links": _links(item.get("links"), base),
        "assets": _assets(item.get("assets"), base),
    }
    if made is None:
        fit.pop("bbox", None)
    elif not _is_box(item.get("bbox")):
        fit["bbox"] = bounds(made)
    owner = text(item.get("collection")) or collection
    if owner:
        fit["collection"] = owner
    else:
        fit.pop("collection", None)
    return fit


def fit_collection(value: dict[str, Any], base: str) -> dict[str, Any] | None:
    """Give a collection with whole links; None for one without an id."""
    found: dict[str, Any] = clean(value)
    name = text(found.get("id")) if isinstance(found.get("id"), str) else None
    if name is None:
        return None
    found |= {
        "id": name,
        "title": text(found.get("title")) or name,
        "description": str(found.get("description") or name),
        "stac_version": _version(found.get("stac_version")),
        "stac_extensions": _texts(found.get("stac_extensions")),
        "links": _links(found.get("links"), base),
    }
    return found


def clean(value: Any, depth: int = 0) -> Any:
    """Copy without numbers that are none, characters that are never shown, and what is too deep or too long."""
    if isinstance(value, dict):
        pairs = list(value.items())[:_MOST] if depth < _DEEPEST else []
        return {_UNSEEN.sub("", str(key)): clean(inner, depth + 1) for key, inner in pairs}
    if isinstance(value, list | tuple):
        return [clean(inner, depth + 1) for inner in value[:_MOST]] if depth < _DEEPEST else []
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _UNSEEN.sub("", value) if isinstance(value, str) else value


def schema_of(properties: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Give the queryables of items, from the properties they have."""
    kinds: dict[str, set[str]] = {}
    for one in properties:
        for key, value in one.items():
            kind = _kind(value)
            if kind and len(kinds) < _MOST:
                kinds.setdefault(key, set()).add(kind)
    found: dict[str, Any] = {
        "id": {"type": "string"},
        "geometry": {"$ref": "https://geojson.org/schema/Geometry.json"},
    }
    for key, seen in sorted(kinds.items()):
        kind = "number" if seen == {"integer", "number"} else next(iter(seen)) if len(seen) == 1 else None
        if kind == "time":
            found[key] = {"type": "string", "format": "date-time"}
        elif kind:
            found[key] = {"type": kind}
    for key in ("eo:cloud_cover", "eo:snow_cover"):
        if key in found:
            found[key] = {"type": "number", "minimum": 0, "maximum": 100}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": found,
        "additionalProperties": True,
    }


def _kind(value: object) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "time" if re.match(r"\d{4}-\d\d-\d\dT", value) and instant(value) else "string"
    return {int: "integer", float: "number", list: "array"}.get(type(value))


def _in_time(properties: dict[str, Any]) -> None:
    """Have `datetime` be there: null with a beginning and an end is right, nothing at all is not."""
    moment = instant(properties.get("datetime"))
    start, end = instant(properties.get("start_datetime")), instant(properties.get("end_datetime"))
    if moment is None and (start is None or end is None):
        raise BadRecordError("time")
    properties["datetime"] = stamp(moment) if moment else None
    for key, value in (("start_datetime", start), ("end_datetime", end)):
        if value:
            properties[key] = stamp(value)
        else:
            properties.pop(key, None)


def _version(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"\d\.\d\.\d(-[a-z0-9.]+)?", value) else "1.0.0"


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _told(part: dict[str, Any]) -> dict[str, Any]:
    """Leave out what should be text, or a list of texts, and is not."""
    made = {key: value for key, value in part.items() if key not in _WRITTEN or isinstance(value, str)}
    if "roles" in made:
        made["roles"] = _texts(made["roles"])
    return made


def _is_box(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) in {4, 6}
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    )


def _whole(href: object, base: str | None) -> str | None:
    if not isinstance(href, str) or not 0 < len(href) <= 8000:
        return None
    try:
        found = urljoin(base, href.strip()) if base else href.strip()
        return found if urlsplit(found).scheme in _SCHEMES else None
    except ValueError:
        return None


def _links(listed: object, base: str | None) -> list[dict[str, Any]]:
    found = []
    for one in listed if isinstance(listed, list) else ():
        href = _whole(one.get("href"), base) if isinstance(one, dict) else None
        if href and isinstance(one.get("rel"), str) and one["rel"] not in {"child", "item", "items"}:
            found.append({**_told(one), "href": href})
    return found


def _assets(named: object, base: str | None) -> dict[str, dict[str, Any]]:
    found = {}
    for key, one in named.items() if isinstance(named, dict) else ():
        href = _whole(one.get("href"), base) if isinstance(one, dict) else None
        if href:
            found[key] = {**_told(one), "href": href}
    return found
