"""The terms of a filter that OpenSearch's extension for Earth observation has places for.

Notes
-----
Only what is written alike everywhere is asked for: numbers, orbit direction and product type. Platforms and
instruments are named differently by each service, and a name it does not know would find nothing; they are
looked at here, on what comes.

References
----------
OGC 13-026r8, table of search parameters: a range is ``[0,20]``, with the bracket turned where the end is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_catalogue.cql2 import check
from cubehub_catalogue.sources.records import number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_RANGES = {"eo:cloud_cover": ("eo:cloudCover", 0, 100), "eo:snow_cover": ("eo:snowCover", 0, 100)}
_EQUAL = {
    "sat:absolute_orbit": "eo:orbitNumber",
    "sat:orbit_state": "eo:orbitDirection",
    "product:type": "eo:productType",
}
_SCHEMAS: dict[str, tuple[str, dict[str, Any]]] = {
    "eo:cloudCover": ("eo:cloud_cover", {"type": "number", "minimum": 0, "maximum": 100}),
    "eo:snowCover": ("eo:snow_cover", {"type": "number", "minimum": 0, "maximum": 100}),
    "eo:orbitNumber": ("sat:absolute_orbit", {"type": "integer"}),
    "eo:orbitDirection": ("sat:orbit_state", {"type": "string", "enum": ["ascending", "descending"]}),
    "eo:productType": ("product:type", {"type": "string"}),
    "eo:platform": ("platform", {"type": "string"}),
    "eo:processingLevel": ("processing:level", {"type": "string"}),
    "eo:sensorMode": ("sar:instrument_mode", {"type": "string"}),
}


def seen_on(fields: Collection[str]) -> dict[str, Any]:
    """Give the queryables of a template's fields."""
    return {key: schema for field, (key, schema) in _SCHEMAS.items() if field in fields}


def asked_there(
    written: Mapping[str, Any] | None, fields: Collection[str]
) -> tuple[dict[str, str], dict[str, Any] | None]:
    """Part a filter in values for a template and what is done here.

    Returns
    -------
    dict of str
        Values by field.
    dict or None
        CQL2-JSON, an ``and`` of one term or more.
    """
    if not written:
        return {}, None
    check(dict(written))
    arguments = written.get("args")
    terms = arguments if written.get("op") == "and" and isinstance(arguments, list) else [dict(written)]
    values: dict[str, str] = {}
    rest = []
    for term in terms:
        found = _value(term)
        if found is None or found[0] not in fields or found[0] in values:
            rest.append(term)
        else:
            values[found[0]] = found[1]
    return values, {"op": "and", "args": rest} if rest else None


def _value(term: Any) -> tuple[str, str] | None:
    match term:
        case {"op": str(operator), "args": [{"property": str(name)}, *values]}:
            plain = name.removeprefix("properties.")
            if plain in _RANGES:
                return _range(*_RANGES[plain], operator, values)
            if plain in _EQUAL and operator == "=" and len(values) == 1:
                return _equal(plain, values[0])
    return None


def _range(field: str, least: int, most: int, operator: str, values: list[Any]) -> tuple[str, str] | None:
    numbers = [number(one) for one in values if not isinstance(one, str)]
    # services differ in whether they take decimals here
    whole = [int(one) for one in numbers if one is not None and one == int(one) and least <= one <= most]
    if len(whole) != len(values):
        return None
    forms = {
        "<=": "[{least},{0}]",
        "<": "[{least},{0}[",
        ">=": "[{0},{most}]",
        ">": "]{0},{most}]",
        "between": "[{0},{1}]",
    }
    if operator not in forms or len(whole) != 1 + (operator == "between"):
        return None
    return field, forms[operator].format(*whole, least=least, most=most)


def _equal(name: str, value: Any) -> tuple[str, str] | None:
    if name == "sat:absolute_orbit":
        found = number(value) if not isinstance(value, str) else None
        return (_EQUAL[name], str(found)) if isinstance(found, int) else None
    if not isinstance(value, str) or not value:
        return None
    return _EQUAL[name], value.upper() if name == "sat:orbit_state" else value
