"""Free text, looked for here where a catalogue can't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cubehub_catalogue.query import Item

_MOST_NAMED = 3
_FIELDS = ("title", "description", "keywords", "platform", "constellation", "instruments")


def left_out(count: int, of: str, names: Sequence[str] = ()) -> str:
    """Say that records can't be used, and which, where that is known."""
    what = "1 record" if count == 1 else f"{count} records"
    listed = ", ".join(names[:_MOST_NAMED]) + (", …" if count > _MOST_NAMED else "")
    which = f" ({listed})" if names else ""
    return f"{what} of {of} can't be used and {'was' if count == 1 else 'were'} left out{which}."


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
