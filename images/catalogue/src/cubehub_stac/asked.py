"""What people ask the search API, seen through before stac-fastapi answers 500 to it or passes over it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from fastapi import HTTPException
from shapely.errors import ShapelyError
from shapely.geometry import shape
from stac_fastapi.types.rfc3339 import str_to_interval

from cubehub_stac.boxes import split_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_SHOWN = 60


class BadRequestError(Exception):
    """A request that can't be answered; the text names the part of it, and what is allowed."""


def check_query(path: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse parameters of an address that can't be what they say.

    Parameters
    ----------
    path
        Without the service's prefix: `/search`.
    pairs
        Names and values.

    Raises
    ------
    BadRequestError
        For the first that is wrong.
    """
    if "\0" in path:
        raise BadRequestError("The address holds a NUL character.")
    of_items = path == "/search" or path.endswith("/items")
    for name, value in pairs:
        if "\0" in value:
            raise BadRequestError(f"{name} holds a NUL character.")
        if name == "q" and of_items:
            raise BadRequestError("Items can't be searched by free text (q). Use filter.")
        if name == "fields" and path == "/collections" and "-id" in value.split(","):
            raise BadRequestError("fields can't leave out the id of a collection.")
        if name == "query" or (name == "intersects" and value):
            # stac-fastapi decodes these twice
            _check(name, _json(name, unquote_plus(value)))
        elif name == "bbox" and value:
            _check(name, value.split(","))
        elif name == "datetime":
            _check(name, value)


def check_body(body: bytes) -> None:
    """Refuse a search in a body that is no JSON object, or whose members can't be what they say.

    Raises
    ------
    BadRequestError
        For the first that is wrong.
    """
    value = _json("The body", body)
    if not isinstance(value, dict):
        raise BadRequestError(f'The body must be a JSON object such as {{"limit": 10}}, not {_kind(value)}.')
    for name in ("q", "conf"):
        if name in value:
            hint = "Use filter." if name == "q" else "How the service searches is not for a request to say."
            raise BadRequestError(f"{name} is not taken here. {hint}")
    for name in _CHECKS:
        if value.get(name) is not None:
            _check(name, value[name])


def describe(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found wrong, for people: where and what, the first three."""
    found = [
        f"{'.'.join(str(part) for part in error['loc'] if part not in {'query', 'body'}) or 'The body'}: {error['msg']}"
        for error in errors
    ]
    return "; ".join(found[:3]) + (" …" if len(found) > 3 else "")


def _json(name: str, text: str | bytes) -> Any:
    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no number")

    def finite(digits: str) -> float:
        number = float(digits)
        return number if math.isfinite(number) else refuse(digits[:_SHOWN])

    try:
        value = json.loads(text, parse_constant=refuse, parse_float=finite)
        # halves of characters, which JSON can write, are no text for a database or an answer
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{name} is no JSON that can be used: {str(error)[:100]}.") from error
    return value


def _check(name: str, value: Any) -> None:
    try:
        _CHECKS[name](value)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequestError(f"{name}: {error}") from error


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


def _check_bbox(value: Any) -> None:
    if not isinstance(value, list) or any(isinstance(number, bool) for number in value):
        raise ValueError("it must be four numbers (west, south, east, north) or six with heights")
    try:
        boxes = split_box(value)
    except TypeError as error:
        raise ValueError("its values must be numbers") from error
    for west, south, east, north in boxes:
        if not (-180 <= west <= 180 and -180 <= east <= 180 and south >= -90 and north <= 90):
            raise ValueError("longitudes go from -180 to 180, latitudes from -90 to 90")


def _check_datetime(value: Any) -> None:
    allowed = "write 2020-07-01T00:00:00Z, or two such with a slash between, of which one may be .."
    if not isinstance(value, str):
        raise ValueError(f"it must be a text; {allowed}")  # noqa: TRY004 -- all refusals of a value are one kind
    try:
        str_to_interval(value)
    except HTTPException as error:
        raise ValueError(f"{value[:_SHOWN]!r} is no time ({error.detail}); {allowed}") from error


def _check_intersects(value: Any) -> None:
    allowed = 'it must be a GeoJSON geometry such as {"type": "Point", "coordinates": [15, 46]}'
    if not isinstance(value, dict) or "type" not in value:
        raise ValueError(allowed)
    if value["type"] in ("Feature", "FeatureCollection"):
        raise ValueError(f"{allowed}; of a feature, give the geometry")
    try:
        shape(value)
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        ShapelyError,
    ) as error:
        # shapely meets what isn't GeoJSON in any of these ways
        raise ValueError(allowed) from error


def _check_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"it must be a JSON object, not {_kind(value)}")  # noqa: TRY004


_CHECKS: dict[str, Callable[[Any], None]] = {
    "bbox": _check_bbox,
    "datetime": _check_datetime,
    "intersects": _check_intersects,
    "query": _check_object,
    "filter": _check_object,
}
