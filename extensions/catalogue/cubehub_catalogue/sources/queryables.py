"""Properties that items may be filtered or sorted by, of one collection and of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_catalogue.items import without_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "id": {"type": "string", "title": "Item id"},
    "collection": {"type": "string", "title": "Collection"},
    "datetime": {"type": "string", "format": "date-time", "title": "Acquired"},
    "start_datetime": {"type": "string", "format": "date-time", "title": "Start"},
    "end_datetime": {"type": "string", "format": "date-time", "title": "End"},
    "created": {"type": "string", "format": "date-time", "title": "Created"},
    "updated": {"type": "string", "format": "date-time", "title": "Updated"},
    "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100, "title": "Cloud cover"},
    "eo:snow_cover": {"type": "number", "minimum": 0, "maximum": 100, "title": "Snow cover"},
    "gsd": {"type": "number", "minimum": 0, "title": "Ground sample distance"},
    "platform": {"type": "string", "title": "Platform"},
    "constellation": {"type": "string", "title": "Constellation"},
    "sat:orbit_state": {"type": "string", "enum": ["ascending", "descending", "geostationary"], "title": "Orbit state"},
    "sat:relative_orbit": {"type": "integer", "minimum": 1, "title": "Relative orbit"},
    "sat:absolute_orbit": {"type": "integer", "minimum": 1, "title": "Absolute orbit"},
    "view:off_nadir": {"type": "number", "minimum": 0, "maximum": 90, "title": "Off-nadir angle"},
    "view:sun_elevation": {"type": "number", "minimum": -90, "maximum": 90, "title": "Sun elevation"},
    "view:sun_azimuth": {"type": "number", "minimum": 0, "maximum": 360, "title": "Sun azimuth"},
    "proj:epsg": {"type": "integer", "title": "EPSG code"},
}  # fmt: skip
"""What the STAC specification and its extensions say: servers only point at it, and no outside host is asked."""
_GEOMETRIES = {"geometry", "footprint", "proj:geometry", "bbox", "proj:bbox"}


def named(schema: dict[str, Any]) -> dict[str, Any]:
    """Schema whose properties say their type themselves, without those that no form can offer."""
    properties = without_markers(schema.get("properties"))
    if not isinstance(properties, dict):
        return {}
    found = {}
    for name, given in properties.items():
        if name in _GEOMETRIES or not isinstance(given, dict):
            continue
        # A filter may name it with "properties.", which is the same; items have it without.
        known = _WELL_KNOWN.get(name.removeprefix("properties."), {})
        told = {key: value for key, value in given.items() if key != "$ref"}
        found[name] = {**known, **told} if "$ref" in given or "type" not in given else told
    kept = {key: schema[key] for key in ("$id", "$schema", "title") if isinstance(schema.get(key), str)}
    return {
        **kept,
        "type": "object",
        "properties": found,
        "additionalProperties": schema.get("additionalProperties", True) is not False,
    }


def intersected(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Schema of the properties that all have, with the values that any of them allows; {} where one has none."""
    if not schemas or not all(schema.get("properties") for schema in schemas):
        return {}
    first, *others = schemas
    if not others:
        return first
    properties: dict[str, Any] = {}
    for name, given in first["properties"].items():
        same = [given, *(other["properties"].get(name) for other in others)]
        if all(one is not None for one in same) and len({_kind(one) for one in same}) == 1:
            properties[name] = _widest(same)
    additional = all(schema.get("additionalProperties", True) for schema in schemas)
    return {"type": "object", "properties": properties, "additionalProperties": additional}


def _kind(schema: dict[str, Any]) -> str:
    kinds = schema.get("type")
    kind = next((k for k in kinds if k != "null"), None) if isinstance(kinds, list) else kinds
    return f"{'number' if kind == 'integer' else kind}"


def _widest(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = dict(schemas[0])
    for key, choose in (("minimum", min), ("maximum", max)):
        limits = [schema.get(key) for schema in schemas]
        found.pop(key, None)
        if all(isinstance(limit, int | float) for limit in limits):
            found[key] = choose(limits)  # type: ignore[type-var]
    lists = [schema.get("enum") for schema in schemas]
    found.pop("enum", None)
    if all(isinstance(values, list) for values in lists):
        found["enum"] = []
        for value in (value for values in lists for value in values or ()):
            if value not in found["enum"]:
                found["enum"].append(value)
    return found
