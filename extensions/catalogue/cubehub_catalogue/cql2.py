"""Filters in CQL2-JSON: checked before they are sent, written as text, and made from simple rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.errors import InputError
from cubehub_catalogue.times import parse_time, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOGIC = {"and": (2, None), "or": (2, None), "not": (1, 1)}
COMPARISON = {"=", "<>", "<", "<=", ">", ">="}
PREDICATE = {"like": (2, 2), "between": (3, 3), "in": (2, 2), "isNull": (1, 1)}
SPATIAL = {
    "s_intersects", "s_contains", "s_within", "s_disjoint", "s_equals", "s_touches", "s_overlaps", "s_crosses",
}  # fmt: skip
TEMPORAL = {
    "t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals", "t_finishedBy", "t_finishes",
    "t_intersects", "t_meets", "t_metBy", "t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts",
}  # fmt: skip
ARRAY = {"a_contains", "a_containedBy", "a_equals", "a_overlaps"}
ARITHMETIC = {"+", "-", "*", "/", "^", "%", "div"}
TEXT = {"casei": (1, 1), "accenti": (1, 1)}
_DEEPEST, _MOST_NODES, _LONGEST = 20, 5_000, 1_000
_HINT = 'See the filter in CQL2-JSON, such as {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}.'
_HINT_TEXT = (
    "Write it as eo:cloud_cover < 20 AND platform = 'sentinel-2a'; texts stand between single quotes."
)
_ARITY: dict[str, tuple[int, int | None]] = {
    **LOGIC, **PREDICATE, **TEXT, **dict.fromkeys(COMPARISON | SPATIAL | TEMPORAL | ARRAY | ARITHMETIC, (2, 2)),
}  # fmt: skip
_GEOMETRIES = {
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
}


def _wrong(message: str) -> InputError:
    said = message if "filter" in message else f"In the filter: {message}"
    return InputError("bad_filter", said, _HINT)


def check(value: Any) -> dict[str, Any]:
    """Give a filter back when it is CQL2-JSON that can be true or false.

    Raises
    ------
    InputError
        When it is not, naming the part that is wrong.
    """
    if not isinstance(value, dict):
        raise _wrong("A filter is a JSON object with op and args.")
    op = value.get("op")
    if op in ARITHMETIC or op in TEXT:
        raise _wrong(f"The filter is neither true nor false: it only computes with {op!r}.")
    _Checker().check(value, "the filter", 0)
    return value


class _Checker:
    """Goes once through a filter and counts its parts."""

    def __init__(self) -> None:
        self.nodes = 0

    def check(self, value: Any, where: str, depth: int) -> None:
        self.nodes += 1
        if depth > _DEEPEST or self.nodes > _MOST_NODES:
            raise _wrong("The filter is too large or nested too deeply.")
        if isinstance(value, dict):
            self._check_object(value, where, depth)
        elif isinstance(value, list):
            for number, member in enumerate(value, 1):
                self.check(member, f"{where}, {number}", depth + 1)
        elif isinstance(value, str):
            if len(value) > _LONGEST or "\0" in value:
                raise _wrong(f"A text in {where} is too long or holds a NUL character.")
        elif value is None:
            raise _wrong(f"{where} holds null; to ask for what is not there, use isNull.")
        elif isinstance(value, float) and not math.isfinite(value):
            raise _wrong(f"{where} holds no finite number.")

    def _check_object(self, value: dict[str, Any], where: str, depth: int) -> None:  # noqa: C901 - one form of CQL2 after the other
        if "op" in value:
            self._check_operation(value, where, depth)
        elif "property" in value:
            name = value["property"]
            if not isinstance(name, str) or not name or len(name) > 200 or "\0" in name:
                raise _wrong(f"A property in {where} has no name.")
        elif "timestamp" in value or "date" in value:
            _time_of(value, where)
        elif "interval" in value:
            ends = value["interval"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise _wrong(f"An interval in {where} needs two ends.")
            for end in ends:
                if isinstance(end, str):
                    _interval_end(end, where)
                else:
                    self.check(end, where, depth + 1)
        elif value.get("type") in _GEOMETRIES or "bbox" in value:
            if not isinstance(value.get("coordinates") or value.get("geometries") or value.get("bbox"), list):
                raise _wrong(f"A geometry in {where} has no coordinates.")
        else:
            raise _wrong(
                f"{where} holds an object that is none of CQL2's: {', '.join(map(str, list(value)[:3]))}."
            )

    def _check_operation(self, value: dict[str, Any], where: str, depth: int) -> None:  # noqa: C901 - as above
        op, args = value["op"], value.get("args")
        if not isinstance(op, str):
            raise _wrong(f"The op of {where} is no text.")
        if not isinstance(args, list):
            raise _wrong(f"{op!r} needs a list of args.")
        fewest, most = _ARITY.get(op, (0, None))
        if op not in _ARITY and not op.isidentifier():
            raise _wrong(f"{op[:40]!r} is no operator of CQL2.")
        if len(args) < fewest or (most is not None and len(args) > most):
            raise _wrong(
                f"{op!r} takes {fewest}{'' if most == fewest else ' or more'} args, not {len(args)}."
            )
        if op in LOGIC:
            for arg in args:
                if not isinstance(arg, bool) and not (isinstance(arg, dict) and "op" in arg):
                    raise _wrong(f"{op!r} joins conditions, and one of its args is none.")
        if op == "in" and not isinstance(args[1], list):
            raise _wrong("'in' needs a list as its second arg.")
        if op == "like" and not isinstance(args[1], str | dict):
            raise _wrong("'like' needs a pattern as its second arg.")
        for arg in args:
            self.check(arg, f"the args of {op!r}", depth + 1)


def _time_of(value: Mapping[str, Any], where: str) -> None:
    text = value.get("timestamp", value.get("date"))
    if not isinstance(text, str):
        raise _wrong(f"A time in {where} is no text.")
    parse_time(text)


def _interval_end(text: str, where: str) -> None:
    if text != "..":
        _time_of({"timestamp": text}, where)


@dataclass(frozen=True)
class Row:
    """One line of a form: a property, an operator and what is compared with."""

    property: str
    op: str
    """One of ``= <> < <= > >= between in like isNull``."""
    value: Any = None
    """Two values for ``between``, a list for ``in``, nothing for ``isNull``."""


def from_rows(rows: Sequence[Row], queryables: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Filter of a form's rows, all of which must hold; None of no rows.

    Parameters
    ----------
    rows
        The lines.
    queryables
        JSON Schema of the properties; a text is then written as the type that the property has.

    Raises
    ------
    InputError
        When a value is not what the property or the operator needs.
    """
    schema = (queryables or {}).get("properties") or {}
    terms = [_term(row, schema.get(row.property) or {}) for row in rows]
    if not terms:
        return None
    return check(terms[0] if len(terms) == 1 else {"op": "and", "args": terms})


def _term(row: Row, schema: Mapping[str, Any]) -> dict[str, Any]:
    name = {"property": row.property}
    if row.op == "isNull":
        return {"op": "isNull", "args": [name]}
    if row.op in ("in", "between"):
        values = row.value
        if not isinstance(values, list | tuple) or not values or (row.op == "between" and len(values) != 2):
            raise _wrong(
                f"{row.property} {row.op} needs {'two values' if row.op == 'between' else 'a list'}."
            )
        typed = [_typed(value, schema, row.property) for value in values]
        return {"op": row.op, "args": [name, *typed] if row.op == "between" else [name, typed]}
    if row.op not in COMPARISON and row.op != "like":
        raise _wrong(f"{str(row.op)[:20]!r} is no operator of a row.")
    return {"op": row.op, "args": [name, _typed(row.value, schema, row.property)]}


def _typed(value: Any, schema: Mapping[str, Any], name: str) -> Any:
    kinds = schema.get("type")
    kind = next((k for k in kinds if k != "null"), None) if isinstance(kinds, list) else kinds
    if isinstance(value, str) and schema.get("format") in ("date-time", "date"):
        return {"timestamp": time_text(parse_time(value))}
    if isinstance(value, str) and kind in ("number", "integer"):
        try:
            number = float(value)
        except ValueError as error:
            raise _wrong(f"{name} is a number, and {value[:40]!r} is none.") from error
        return int(number) if number.is_integer() and math.isfinite(number) else number
    if isinstance(value, str) and kind == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def from_text(text: str) -> dict[str, Any]:
    """Filter written as people write it, such as ``eo:cloud_cover < 20 AND platform = 'sentinel-2a'`` (CQL2-Text).

    Raises
    ------
    InputError
        When it is none; the message shows where.
    """
    import cql2  # noqa: PLC0415 - only a filter that a person writes needs its grammar

    try:
        found = cql2.parse_text(text).to_json()
    except cql2.ParseError as error:
        raise InputError("bad_filter", f"The filter can't be read:\n{error}", _HINT_TEXT) from error
    return check(found)


def to_text(value: Any) -> str:  # noqa: C901, PLR0911 - one form of CQL2 after the other
    """Write a checked filter as CQL2-Text, for catalogues that are asked by GET."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return "(" + ", ".join(map(to_text, value)) + ")"
    if "op" in value:
        return _operation_text(value["op"], value["args"])
    if "property" in value:
        return _name(value["property"])
    if "timestamp" in value:
        return f"TIMESTAMP({to_text(value['timestamp'])})"
    if "date" in value:
        return f"DATE({to_text(value['date'])})"
    if "interval" in value:
        return f"INTERVAL({', '.join(map(to_text, value['interval']))})"
    if "bbox" in value:
        return f"BBOX({', '.join(map(repr, value['bbox']))})"
    from shapely.geometry import shape  # noqa: PLC0415 - only a filter with a geometry in it needs it

    return str(shape(value).wkt)


def _operation_text(op: str, args: Sequence[Any]) -> str:  # noqa: PLR0911 - as above
    if op in ("and", "or"):
        return "(" + f" {op.upper()} ".join(map(to_text, args)) + ")"
    if op == "not":
        return f"NOT ({to_text(args[0])})"
    if op in COMPARISON or op in ARITHMETIC:
        return f"({to_text(args[0])} {op} {to_text(args[1])})"
    if op == "like":
        return f"{to_text(args[0])} LIKE {to_text(args[1])}"
    if op == "between":
        return f"{to_text(args[0])} BETWEEN {to_text(args[1])} AND {to_text(args[2])}"
    if op == "in":
        return f"{to_text(args[0])} IN {to_text(args[1])}"
    if op == "isNull":
        return f"{to_text(args[0])} IS NULL"
    name = op.upper() if op in SPATIAL | TEMPORAL | ARRAY | set(TEXT) else op
    return f"{name}({', '.join(map(to_text, args))})"


def _name(text: str) -> str:
    plain = text.replace(":", "").replace(".", "").replace("_", "")
    return text if plain.isalnum() and not text[0].isdigit() else '"' + text.replace('"', '""') + '"'
