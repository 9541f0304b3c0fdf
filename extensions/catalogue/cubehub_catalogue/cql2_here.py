"""A filter applied here, on the items of a catalogue that has no filters of its own."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import box, shape

from cubehub_catalogue.cql2 import ARITHMETIC, ARRAY, COMPARISON, LOGIC, PREDICATE, SPATIAL, TEXT
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.times import item_times, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TEMPORAL = {"t_after", "t_before", "t_during", "t_equals", "t_intersects", "t_disjoint"}
_KNOWN = {*LOGIC, *COMPARISON, *PREDICATE, *SPATIAL, *TEXT, *ARITHMETIC, *ARRAY, *_TEMPORAL}
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def can_be_applied(expression: Any) -> bool:
    """Tell whether `matches` knows every operator of a checked filter."""
    if isinstance(expression, list):
        return all(map(can_be_applied, expression))
    if isinstance(expression, dict):
        if "op" in expression and expression["op"] not in _KNOWN:
            return False
        return all(can_be_applied(expression.get(name, [])) for name in ("args", "interval"))
    return True


def matches(expression: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Tell whether a checked filter holds for an item.

    As in SQL, a comparison with what the item does not have is neither true nor false, and then the item is out.
    """
    return _value(expression, item) is True


def _value(node: Any, item: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one form of CQL2 after the other
    if isinstance(node, list):
        return [_value(member, item) for member in node]
    if not isinstance(node, dict):
        return node
    if "op" in node:
        return _operation(node["op"], node["args"], item)
    if "property" in node:
        return _property(node["property"], item)
    if "timestamp" in node:
        return parse_time(node["timestamp"])
    if "date" in node:
        return parse_time(node["date"])
    if "interval" in node:
        return [end if end == ".." else _time(_value(end, item)) for end in node["interval"]]
    return box(*node["bbox"][:4]) if "bbox" in node else shape(node)


def _property(name: str, item: Mapping[str, Any]) -> Any:
    if name in ("id", "collection"):
        return item.get(name)
    if name in ("geometry", "footprint"):
        geometry = item.get("geometry")
        return shape(geometry) if isinstance(geometry, dict) else None
    properties = item.get("properties") or {}
    name = name.removeprefix("properties.")
    found: Any = properties.get(name)
    if name == "datetime":
        return item_times(item)[0]
    if found is None and "." in name:
        found = properties
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    return found


def _operation(op: str, args: Sequence[Any], item: Mapping[str, Any]) -> Any:
    if op in ("and", "or"):
        found = [_value(arg, item) for arg in args]
        decisive = op == "or"
        if any(value is decisive for value in found):
            return decisive
        return None if any(value is None for value in found) else not decisive
    if op == "isNull":
        return _value(args[0], item) is None
    values = [_value(arg, item) for arg in args]
    if any(value is None for value in values):
        return None
    try:
        return _computed(op, values)
    except (TypeError, ValueError, AttributeError, ArithmeticError, InputError, shapely.errors.ShapelyError):
        return None  # not comparable: as what is not there


def _computed(op: str, values: list[Any]) -> Any:  # noqa: PLR0911 - as above
    if op == "not":
        return not values[0]
    if op in COMPARISON:
        return _compare(op, *_alike(values[0], values[1]))
    if op == "between":
        low = _compare("<=", *_alike(values[1], values[0]))
        return low and _compare("<=", *_alike(values[0], values[2]))
    if op == "in":
        return any(_compare("=", *_alike(values[0], member)) for member in values[1] if member is not None)
    if op == "like":
        return _like(values[1]).fullmatch(values[0]) is not None
    if op in TEXT:
        return _folded(op, values[0])
    if op in SPATIAL:
        return bool(getattr(shapely, op.removeprefix("s_"))(values[0], values[1]))
    if op in ARRAY:
        return _arrays(op, values[0], values[1])
    if op in _TEMPORAL:
        return _temporal(op, _span(values[0]), _span(values[1]))
    return _ARITHMETIC[op](values[0], values[1])


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "div": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "^": lambda a, b: float(a) ** float(b),
}


def _alike(one: Any, other: Any) -> tuple[Any, Any]:
    """Bring both sides to one kind: a text beside a time is a time, beside a number a number."""
    if isinstance(one, datetime) != isinstance(other, datetime):
        return _time(one), _time(other)
    if isinstance(one, str) and isinstance(other, int | float) and not isinstance(other, bool):
        return float(one), other
    if isinstance(other, str) and isinstance(one, int | float) and not isinstance(one, bool):
        return one, float(other)
    return one, other


def _compare(op: str, one: Any, other: Any) -> bool:
    found = {
        "=": lambda: one == other,
        "<>": lambda: one != other,
        "<": lambda: one < other,
        "<=": lambda: one <= other,
        ">": lambda: one > other,
        ">=": lambda: one >= other,
    }[op]()
    return bool(found)


def _like(pattern: str) -> re.Pattern[str]:
    """``%`` is any text, ``_`` any character, a backslash takes the next one as it is."""
    parts, escaped = [], False
    for character in pattern:
        if escaped or character not in "%_\\":
            parts.append(re.escape(character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            parts.append(".*" if character == "%" else ".")
    return re.compile("".join(parts), re.DOTALL)


def _folded(op: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_folded(op, member) for member in value]
    if op == "casei":
        return value.casefold()
    return "".join(c for c in unicodedata.normalize("NFD", value) if not unicodedata.combining(c))


def _arrays(op: str, one: Any, other: Any) -> bool:
    if op == "a_equals":
        return bool(one == other)
    if op == "a_contains":
        return all(member in one for member in other)
    if op == "a_containedBy":
        return all(member in other for member in one)
    return any(member in other for member in one)


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else parse_time(value)


def _span(value: Any) -> tuple[datetime, datetime]:
    if isinstance(value, list):
        start, end = value
        return (_EARLIEST if start == ".." else _time(start)), (_LATEST if end == ".." else _time(end))
    return _time(value), _time(value)


def _temporal(op: str, one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> bool:
    if op == "t_after":
        return one[0] > other[1]
    if op == "t_before":
        return one[1] < other[0]
    if op == "t_during":
        return one[0] > other[0] and one[1] < other[1]
    if op == "t_equals":
        return one == other
    overlap = one[0] <= other[1] and one[1] >= other[0]
    return overlap if op == "t_intersects" else not overlap
