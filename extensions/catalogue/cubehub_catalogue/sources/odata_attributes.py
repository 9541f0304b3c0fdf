"""How the attributes of the Copernicus dialect of OData and the properties of STAC belong together.

References
----------
Copernicus Data Space Ecosystem, "OData": attributes by collection at ``/odata/v1/Attributes``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["String", "Integer", "Double", "Boolean", "DateTimeOffset"]
OWN = "csc:"
"""Prefix of attributes that STAC has no property for: ``csc:tileId``."""
SUFFIXES = (".SAFE", ".SEN3")
"""Of names; ids are without."""


@dataclass(frozen=True)
class Attribute:
    """A property and the attribute it is read from."""

    name: str
    """The attribute."""
    kind: Kind
    lower: bool = False
    """STAC writes it in small letters, the attribute has capitals."""
    prefix: str = ""
    """What STAC puts before it."""


PROPERTIES: dict[str, Attribute] = {
    "eo:cloud_cover": Attribute("cloudCover", "Double"),
    "eo:snow_cover": Attribute("snowCover", "Double"),
    "sat:absolute_orbit": Attribute("orbitNumber", "Integer"),
    "sat:relative_orbit": Attribute("relativeOrbitNumber", "Integer"),
    "sat:orbit_state": Attribute("orbitDirection", "String", lower=True),
    "sat:orbit_cycle": Attribute("cycleNumber", "Integer"),
    "constellation": Attribute("platformShortName", "String", lower=True),
    "product:type": Attribute("productType", "String"),
    "product:timeliness_category": Attribute("timeliness", "String"),
    "processing:version": Attribute("processorVersion", "String"),
    "processing:facility": Attribute("processingCenter", "String"),
    "processing:datetime": Attribute("processingDate", "DateTimeOffset"),
    "sar:instrument_mode": Attribute("operationalMode", "String"),
    "grid:code": Attribute("tileId", "String", prefix="MGRS-"),
}
FIELDS: dict[str, str] = {
    "datetime": "ContentDate/Start",
    "start_datetime": "ContentDate/Start",
    "end_datetime": "ContentDate/End",
    "created": "OriginDate",
    "published": "PublicationDate",
    "updated": "ModificationDate",
}
"""Times that a product has outside its attributes."""
SORTABLE = {name: path for name, path in FIELDS.items() if name != "created"}
PLATFORM = re.compile(r"(sentinel-\d)([a-z])")
"""A platform is two attributes: the constellation and a letter."""
_BY_NAME = {one.name: (name, one) for name, one in PROPERTIES.items()}
_JSON_TYPES: dict[str, dict[str, Any]] = {
    "String": {"type": "string"},
    "Integer": {"type": "integer"},
    "Double": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "DateTimeOffset": {"type": "string", "format": "date-time"},
}


def property_of(attribute: str) -> tuple[str, Attribute | None]:
    """Give the property for an attribute, and how it is written there."""
    return _BY_NAME.get(attribute) or (f"{OWN}{attribute}", None)


def queryables(listed: list[dict[str, str]]) -> dict[str, Any]:
    """Give the schemas of what may be filtered by, from a catalogue's list of attributes."""
    found: dict[str, Any] = {
        "id": {"type": "string", "title": "Name"},
        "datetime": {"type": "string", "format": "date-time"},
        "published": {"type": "string", "format": "date-time"},
        "updated": {"type": "string", "format": "date-time"},
        "geometry": {"$ref": "https://geojson.org/schema/Geometry.json"},
    }
    for one in listed:
        name, kind = one.get("Name"), one.get("ValueType")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name):
            continue
        if kind not in _JSON_TYPES:
            continue
        key, _ = property_of(name)
        found[key] = dict(_JSON_TYPES[kind])
        if key == "eo:cloud_cover":
            found[key] |= {"minimum": 0, "maximum": 100}
        elif key == "sat:orbit_state":
            found[key] |= {"enum": ["ascending", "descending"]}
        elif name == "platformSerialIdentifier":
            found["platform"] = {"type": "string"}
    return found
