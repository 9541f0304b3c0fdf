"""What can be registered as an item: checked before anything is kept, and put right as items of files are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from dateutil.parser import isoparse

from cubehub_stac.repair import RefusedError, repaired_item

MAX_BYTES = 1_000_000
"""Of one item."""
_MAX_DEPTH = 40
_LARGEST = 10**300
_MAX_NAME = 200


def parse(body: bytes) -> Any:
    """Read JSON that somebody sent.

    Raises
    ------
    RefusedError
        It is none, or holds what no database keeps: NaN, numbers without end, half characters, NUL.
    """

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        value = json.loads(body, parse_constant=constant)
    except RecursionError as error:
        raise RefusedError("it is nested too deeply") from error
    except ValueError as error:
        raise RefusedError(f"it is no JSON: {error}") from error
    _look_through(value)
    return value


def _look_through(value: Any) -> None:
    left: list[tuple[Any, int]] = [(value, 0)]
    while left:
        inner, depth = left.pop()
        if depth > _MAX_DEPTH:
            raise RefusedError(f"it is nested deeper than {_MAX_DEPTH}")
        if isinstance(inner, dict):
            left.extend((part, depth + 1) for pair in inner.items() for part in pair)
        elif isinstance(inner, list):
            left.extend((part, depth + 1) for part in inner)
        elif isinstance(inner, str):
            if "\0" in inner:
                raise RefusedError("a text in it holds a NUL character")
            try:
                inner.encode()
            except UnicodeEncodeError as error:
                raise RefusedError("a text in it holds half a character") from error
        elif isinstance(inner, int | float) and not abs(inner) < _LARGEST:
            raise RefusedError("a number in it is too large")


def prepared(item: Any, collection: str) -> dict[str, Any]:
    """Make an item fit for a collection, as items of files are.

    Raises
    ------
    RefusedError
        Says what is wrong with it.
    """
    check(item)
    done = repaired_item({**item, "collection": collection})
    west, south, east, north = done["bbox"]
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise RefusedError("its geometry lies outside of -180 to 180 and -90 to 90 degrees")
    # shapely gives tuples, which are written as lists
    return dict(json.loads(json.dumps(done, allow_nan=False)))


def check(item: Any) -> None:
    """Look at everything but the geometry.

    Raises
    ------
    RefusedError
        Says what is wrong with it.
    """
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise RefusedError('it is no STAC item: its type is not "Feature"')
    _check_name(item.get("id"))
    _check_parts(item)
    _check_times(item.get("properties"))


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or len(name.encode()) > _MAX_NAME or not name.isprintable():
        raise RefusedError(
            f"its 'id' is missing or no plain name of at most {_MAX_NAME} bytes that can be printed"
        )
    if name in {".", ".."} or name != name.strip() or set(name) & set("/\\?#%"):
        raise RefusedError("its 'id' can't stand in an address: take letters, digits, - _ and .")


def _check_parts(item: dict[str, Any]) -> None:
    version = item.get("stac_version", "1.0.0")
    if not isinstance(version, str) or not version.startswith("1."):
        raise RefusedError(f"its stac_version {str(version)[:20]!r} is none of 1.0.0 and later")
    for key, kind in (("links", list), ("stac_extensions", list), ("assets", dict)):
        if item.get(key) is not None and not isinstance(item[key], kind):
            raise RefusedError(f"its {key!r} is no {'list' if kind is list else 'object'}")
    for name, asset in (item.get("assets") or {}).items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            raise RefusedError(f"its asset {name!r} has no href")
    for link in item.get("links") or []:
        if not isinstance(link, dict) or not all(isinstance(link.get(key), str) for key in ("rel", "href")):
            raise RefusedError("one of its links has no rel or href")
    if not all(isinstance(extension, str) for extension in item.get("stac_extensions") or []):
        raise RefusedError("its 'stac_extensions' are no texts")


def _check_times(properties: Any) -> None:
    if not isinstance(properties, dict):
        raise RefusedError("it has no properties")
    times = {
        key: moment_of(key, properties[key])
        for key in ("datetime", "start_datetime", "end_datetime")
        if properties.get(key) is not None
    }
    start, end = times.get("start_datetime"), times.get("end_datetime")
    if (start is None) != (end is None):
        raise RefusedError("it has one of start_datetime and end_datetime without the other")
    if start is not None and end is not None and start > end:
        raise RefusedError("its end_datetime is before its start_datetime")


def moment_of(key: str, text: Any) -> datetime:
    """Read a time.

    Raises
    ------
    RefusedError
        It is none.
    """
    try:
        moment = isoparse(text)
        if text[10:11] in {"T", "t", " "} and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise RefusedError(f"its {key!r} is no time like 2024-05-01T10:00:00Z")
