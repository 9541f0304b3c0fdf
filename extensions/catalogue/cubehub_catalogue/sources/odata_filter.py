"""A search as OData's ``$filter``, in the dialect of the Copernicus Data Space and of GSS.

References
----------
OASIS OData 4.01, URL conventions, section 5.1.1: operators, and literals with their quotes doubled.
Copernicus Data Space Ecosystem, "OData": ``OData.CSC.Intersects``, ``Attributes/…/any(…)``; it takes no MULTIPOLYGON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import shapely

from cubehub_catalogue.cql2 import check
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.sources.odata_attributes import FIELDS, OWN, PLATFORM, PROPERTIES, SUFFIXES, Attribute
from cubehub_catalogue.sources.records import BadRecordError, instant, number, to_shape
from cubehub_catalogue.sources.sieve import properties_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_COMPARISONS = {"=": "eq", "<>": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_OPPOSITE = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
LONGEST_AREA = 3000
"""Characters of WKT; many servers refuse addresses of 8,000, and commas and spaces take three in one."""
_DEEPEST = 50
_MOST_TERMS = 60
_PLACES = 9


class _HereError(Exception):
    """A term that this dialect can't express; it is looked at here, on what comes."""


def quoted(value: str) -> str:
    """Write a string literal.

    Raises
    ------
    InputError
        It has control characters, which no name and no attribute has.
    """
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise InputError(
            "bad_text", "What is searched for has a control character in it.", "Type it again by hand."
        )
    return "'" + value.replace("'", "''") + "'"


def moment(value: datetime) -> str:
    """Write a time literal."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value.microsecond % 1000 else _to_milliseconds(value)


def _to_milliseconds(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def area(made: shapely.Geometry) -> tuple[str, bool]:
    """Give the clause for an area, and whether it is exact.

    An area of so many corners that no address would hold it is asked for by the hull of its parts, or by one hull.
    """
    for exact, candidate in (
        (True, made),
        (False, _hulls(made)),
        (False, made.convex_hull),
        (False, made.envelope),
    ):
        parts = list(getattr(candidate, "geoms", [candidate]))
        written = [shapely.to_wkt(part, rounding_precision=_PLACES) for part in parts]
        if sum(map(len, written)) <= LONGEST_AREA:
            clauses = [f"OData.CSC.Intersects(area=geography'SRID=4326;{one}')" for one in written]
            return _any(clauses), exact
    raise AssertionError("a box is short")


def _hulls(made: shapely.Geometry) -> shapely.Geometry:
    return shapely.GeometryCollection([part.convex_hull for part in getattr(made, "geoms", [made])])


def dates(start: datetime | None, end: datetime | None) -> list[str]:
    """Give the clauses for products that meet an interval."""
    clauses = []
    if end is not None:
        clauses.append(f"ContentDate/Start le {moment(end)}")
    if start is not None:
        clauses.append(f"ContentDate/End ge {moment(start)}")
    return clauses


def words(text: str | None) -> list[str]:
    """Give the clauses for free text: each word has to be in the name, as it is typed or in capitals."""
    forms = [dict.fromkeys((word, word.upper())) for word in (text or "").split()]
    return [_any([f"contains(Name,{quoted(form)})" for form in either]) for either in forms]


def named(ids: Iterable[str]) -> str:
    """Give the clause for ids, which are names without what they end in."""
    return _any([f"Name eq {quoted(one + suffix)}" for one in ids for suffix in ("", *SUFFIXES)])


def in_collections(names: Iterable[str]) -> str:
    """Give the clause for collections."""
    return _any([f"Collection/Name eq {quoted(name)}" for name in names])


def _any(clauses: Sequence[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"({' or '.join(clauses)})"


def _all(clauses: Sequence[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"({' and '.join(clauses)})"


def split(written: Mapping[str, Any] | None) -> tuple[list[str], dict[str, Any] | None, tuple[str, ...]]:
    """Part a CQL2 filter in what the catalogue does and what is done here.

    Returns
    -------
    list of str
        Clauses for the catalogue.
    dict or None
        CQL2-JSON that has to be evaluated on the items that come.
    tuple of str
        Properties no item of this dialect has; terms with them are in neither, and told to the person.
    """
    if not written:
        return [], None, ()
    there: list[str] = []
    here: list[dict[str, Any]] = []
    unknown: list[str] = []
    for term in _terms(check(dict(written))):
        strange = [name for name in properties_in(term) if not _known(name)]
        if strange:
            unknown += strange
            continue
        try:
            there.append(_clause(term, negated=False, depth=0))
        except _HereError:
            here.append(term)
    rest = None if not here else here[0] if len(here) == 1 else {"op": "and", "args": here}
    return there, rest, tuple(dict.fromkeys(unknown))


def _terms(written: Mapping[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    arguments = written.get("args")
    if written.get("op") == "and" and isinstance(arguments, list) and arguments and depth < _DEEPEST:
        return [term for one in arguments if isinstance(one, dict) for term in _terms(one, depth + 1)]
    return [dict(written)]


def _known(name: str) -> bool:
    plain = name.removeprefix("properties.")
    return (
        plain in PROPERTIES
        or plain in FIELDS
        or plain in {"id", "collection", "geometry", "platform", "instruments", "sar:polarizations"}
        or re.fullmatch(OWN + r"[A-Za-z][A-Za-z0-9_]{0,63}", plain) is not None
    )


def _clause(term: Any, *, negated: bool, depth: int) -> str:
    """Write a term; *not* goes down to the leaves, for ``not any(…)`` would also take what lacks the attribute."""
    if depth > _DEEPEST or not isinstance(term, dict):
        raise _HereError
    operator, arguments = term.get("op"), term.get("args")
    if not isinstance(operator, str) or not isinstance(arguments, list) or len(arguments) > _MOST_TERMS:
        raise _HereError
    if operator in {"and", "or"} and arguments:
        parts = [_clause(one, negated=negated, depth=depth + 1) for one in arguments]
        return _all(parts) if (operator == "and") != negated else _any(parts)
    if operator == "not" and len(arguments) == 1:
        return _clause(arguments[0], negated=not negated, depth=depth + 1)
    if operator == "s_intersects" and not negated:
        return _meets(arguments)
    return _leaf(operator, arguments, negated=negated)


def _leaf(operator: str, arguments: list[Any], *, negated: bool) -> str:
    if operator in _MIRRORED and len(arguments) == 2 and _name(arguments[0]) is None:
        operator, arguments = _MIRRORED[operator], arguments[::-1]
    name = _name(arguments[0]) if arguments else None
    if name is None:
        raise _HereError
    match operator, arguments[1:]:
        case _, [value] if operator in _COMPARISONS:
            return _compared(name, _OPPOSITE[operator] if negated else operator, value)
        case "in", [[_, *_] as values] if len(values) <= _MOST_TERMS:
            parts = [_compared(name, "<>" if negated else "=", value) for value in values]
            return _all(parts) if negated else _any(parts)
        case "between", [low, high]:
            low, high = (
                _compared(name, "<" if negated else ">=", low),
                _compared(name, ">" if negated else "<=", high),
            )
            return _any([low, high]) if negated else _all([low, high])
        case "isNull", []:
            return _absent(name, negated=negated)
        case "like", [str(pattern)] if not negated:
            return _like(name, pattern)
    raise _HereError


def _name(argument: Any) -> str | None:
    name = argument.get("property") if isinstance(argument, dict) else None
    return name if isinstance(name, str) else None


def _compared(name: str, operator: str, value: Any) -> str:
    plain = name.removeprefix("properties.")
    if plain in FIELDS:
        return f"{FIELDS[plain]} {_COMPARISONS[operator]} {_time_literal(value)}"
    if plain == "id" and operator == "=" and isinstance(value, str):
        return named([value])
    if plain == "collection" and operator in {"=", "<>"} and isinstance(value, str):
        return f"Collection/Name {_COMPARISONS[operator]} {quoted(value)}"
    if plain == "platform" and isinstance(value, str):
        return _platform(operator, value)
    one = PROPERTIES.get(plain)
    if one is None:
        # of an attribute whose type is not known the value says it; text compared with text is exact
        if not plain.startswith(OWN) or not isinstance(value, str) or instant(value) is not None:
            raise _HereError
        one = Attribute(plain.removeprefix(OWN), "String")
    return _attribute(one.name, one.kind, f"{_COMPARISONS[operator]} {_literal(one, operator, value)}")


def _attribute(name: str, kind: str, comparison: str) -> str:
    typed = f"OData.CSC.{kind}Attribute"
    return f"Attributes/{typed}/any(att:att/Name eq {quoted(name)} and att/{typed}/Value {comparison})"


def _literal(one: Attribute, operator: str, value: Any) -> str:
    if one.kind == "DateTimeOffset":
        return _time_literal(value)
    if one.kind in {"Integer", "Double"}:
        found = number(value) if not isinstance(value, str) else None
        if found is None:
            raise _HereError
        return str(found) if isinstance(found, int) else f"{found:.12f}".rstrip("0").rstrip(".")
    if not isinstance(value, str):
        raise _HereError
    if one.prefix or one.lower:
        ordered = operator not in {"=", "<>"}
        if ordered or not value.startswith(one.prefix) or (one.lower and value != value.lower()):
            raise _HereError
        value = value.removeprefix(one.prefix)
        value = value.upper() if one.lower else value
    return quoted(value)


def _time_literal(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("timestamp", value.get("date"))
    found = instant(value)
    if found is None and isinstance(value, str):
        raise InputError(
            "bad_filter", f"{value[:60]!r} in the filter is no time.", "Write it as 2026-05-01T00:00:00Z."
        )
    if found is None:
        raise _HereError
    return moment(found)


def _platform(operator: str, value: str) -> str:
    parts = PLATFORM.fullmatch(value)
    if parts is None or operator != "=":
        raise _HereError
    return _all(
        [
            _attribute("platformShortName", "String", f"eq {quoted(parts[1].upper())}"),
            _attribute("platformSerialIdentifier", "String", f"eq {quoted(parts[2].upper())}"),
        ]
    )


def _absent(name: str, *, negated: bool) -> str:
    plain = name.removeprefix("properties.")
    one = PROPERTIES.get(plain)
    if one is None or one.prefix:
        raise _HereError
    there = f"Attributes/OData.CSC.{one.kind}Attribute/any(att:att/Name eq {quoted(one.name)})"
    return there if negated else f"not {there}"


def _like(name: str, pattern: str) -> str:
    """Write patterns over the name whose signs for "anything" stand at the ends."""
    inner = pattern.removesuffix("%")
    open_end = inner != pattern
    plain = inner.removeprefix("%")
    if name.removeprefix("properties.") != "id" or not open_end or not plain or re.search(r"[%_\\]", plain):
        raise _HereError
    return f"{'contains' if plain != inner else 'startswith'}(Name,{quoted(plain)})"


def _meets(arguments: list[Any]) -> str:
    if len(arguments) != 2 or _name(arguments[0]) != "geometry" or not isinstance(arguments[1], dict):
        raise _HereError
    try:
        made = to_shape(arguments[1])
    except BadRecordError as error:
        raise InputError(
            "bad_filter", "The geometry in the filter is none.", "Look at its coordinates."
        ) from error
    if made is None or made.geom_type not in {"Point", "Polygon", "MultiPolygon"}:
        raise _HereError
    clause, exact = area(made)
    if not exact:
        raise _HereError
    return clause
