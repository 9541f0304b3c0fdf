"""Free text, looked for here where a catalogue can't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_catalogue.query import Item

_FIELDS = ("title", "description", "keywords", "platform", "constellation", "instruments")


def mentions(item: Item, text: str) -> bool:
    """Tell whether an item has every word of a text in its id, collection, title, description or keywords."""
    said = " ".join(_texts(item)).casefold()
    return all(word in said for word in text.casefold().split())


def _texts(item: Item) -> Iterator[str]:
    yield str(item.get("id") or "")
    yield str(item.get("collection") or "")
    properties: dict[str, Any] = item.get("properties") or {}
    for name in _FIELDS:
        value = properties.get(name)
        yield from map(str, value) if isinstance(value, list) else [str(value or "")]
