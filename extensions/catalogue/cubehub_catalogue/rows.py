"""What a list shows of an item, and where it stands in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_catalogue import items
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.picture_links import has_picture
from cubehub_catalogue.reserved import reserved_title
from cubehub_catalogue.times import item_times, parse_time, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubehub_catalogue.query import Item, Sort

Order = tuple[Any, ...]
"""Sorts rows when compared part by part, in Python and in the browser alike."""

_NUMBER, _TEXT, _MISSING = 0, 1, 2
_TIMES = {"datetime", "start_datetime", "end_datetime", "created", "updated", "published", "expires"}


def row_of(item: Item) -> dict[str, Any]:
    """Give what a list and a map show of an item."""
    properties = item["properties"]
    start, end = item_times(item)
    title = properties.get("title")
    collection = item.get("collection") if isinstance(item.get("collection"), str) else None
    return {
        "collection": collection,
        "collection_title": None if collection is None else reserved_title(collection),
        "id": item["id"],
        "title": title if isinstance(title, str) and title.strip() else item["id"],
        "start": time_text(start) if start else None,
        "end": time_text(end) if end else None,
        "cloud_cover": items.number(properties.get("eo:cloud_cover")),
        "platform": properties.get("platform") if isinstance(properties.get("platform"), str) else None,
        "bbox": items.bbox(item),
        "footprint": items.footprint(item),
        "picture": has_picture(item),
        "bytes": size(item),
    }


def size(item: Item) -> int | None:
    """Bytes of an item's data as far as its assets say; None where none does."""
    found = None
    for asset in item["assets"].values():
        roles = asset.get("roles")
        said = asset.get("file:size")
        is_data = not isinstance(roles, list) or "data" in roles or not roles
        if is_data and isinstance(said, int) and not isinstance(said, bool) and said >= 0:
            found = (found or 0) + said
    return found


def order_of(item: Item, sorts: Sequence[Sort]) -> Order:
    """Give where an item stands by what was sorted by; what it does not have stands last."""
    found: list[Any] = []
    for sort in sorts:
        found += _comparable(_field(item, sort.field), descending=sort.descending)
    return tuple(found)


def _field(item: Item, field: str) -> Any:
    name = field.removeprefix("properties.")
    if name in ("id", "collection"):
        return item.get(name)
    if name == "datetime":
        return item_times(item)[0]
    value = item["properties"].get(name)
    if name in _TIMES and isinstance(value, str):
        try:
            return parse_time(value)
        except InputError:
            return None
    return value


def _comparable(value: Any, *, descending: bool) -> tuple[int, Any]:
    if hasattr(value, "timestamp"):
        value = value.timestamp()
    if isinstance(value, bool) or items.number(value) is not None:
        return _NUMBER, -value if descending else value
    if isinstance(value, str):
        return _TEXT, _turned(value) if descending else value
    return _MISSING, 0


def _turned(text: str) -> str:
    """Text that sorts the other way round: its turned units in hexadecimal, and an end that is after all of them."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"{255 - unit:02x}" for unit in units) + "~"
