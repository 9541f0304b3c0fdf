"""The parts of a search that are done here, where a catalogue has no server that does them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely

from cubehub_catalogue.cql2 import check
from cubehub_catalogue.cql2_here import can_be_applied, matches
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.items import outline
from cubehub_catalogue.sources.records import BadRecordError, instant, to_shape
from cubehub_catalogue.text import mentions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from cubehub_catalogue.query import Item, Query, Sort
    from cubehub_catalogue.settings import Catalogue

_TIMES = frozenset(
    {"datetime", "start_datetime", "end_datetime", "created", "updated", "published", "expires"}
)
_DEEPEST = 50


class Filter:
    """A CQL2 filter that is evaluated over items.

    Raises
    ------
    InputError
        It is no CQL2-JSON, or has what can't be done here.
    """

    def __init__(self, written: Mapping[str, Any]) -> None:
        self._expression = check(dict(written))
        if not can_be_applied(self._expression):
            raise InputError(
                "bad_filter",
                "The filter has an operator or a function that can't be done for this catalogue.",
                "Write it with comparisons, like, in, between, isNull, and what is spatial or in time.",
            )

    def passes(self, item: Item) -> bool:
        """Say whether the item passes; one of which that can't be known, for it lacks a property, does not."""
        return matches(self._expression, item)


class Sieve:
    """A query, or some of its parts, over items.

    Parameters
    ----------
    query
        The search.
    collections
        Collections that pass; empty, all do.
    parts
        Which parts are looked at: ``aoi``, ``time``, ``ids``, ``text``.
    filter_
        The filter that is evaluated; by default the query's.
    """

    def __init__(
        self,
        query: Query,
        *,
        collections: Collection[str] = (),
        parts: Collection[str] = ("aoi", "time", "ids", "text"),
        filter_: Mapping[str, Any] | None = None,
    ) -> None:
        self.collections = frozenset(collections)
        self.ids = frozenset(query.ids) if "ids" in parts else frozenset()
        self.start = query.start if "time" in parts else None
        self.end = query.end if "time" in parts else None
        self.words = (query.text or "").casefold().split() if "text" in parts else []
        self.filter = Filter(filter_) if filter_ else None
        self.area = area_of(query) if "aoi" in parts else None
        if self.area is not None:
            shapely.prepare(self.area)

    def passes(self, item: Item) -> bool:
        """Say whether the item passes."""
        if self.collections and item.get("collection") not in self.collections:
            return False
        if self.ids and item.get("id") not in self.ids:
            return False
        if not self.in_time(*times_of(item)) or not self.says(item):
            return False
        if self.area is not None and not self._touches(item):
            return False
        return self.filter is None or self.filter.passes(item)

    def in_time(self, start: datetime | None, end: datetime | None) -> bool:
        """Say whether an interval meets the one asked for."""
        if self.start is None and self.end is None:
            return True
        if start is None or end is None:
            return False
        return (self.end is None or start <= self.end) and (self.start is None or end >= self.start)

    def says(self, item: Item) -> bool:
        """Say whether every word of the text is in the item."""
        return not self.words or mentions(item, " ".join(self.words))

    def _touches(self, item: Item) -> bool:
        """Look at the footprint as it is meant: one that was written round the globe is cut at ±180° first."""
        made = outline(item)
        return made is not None and self.area is not None and bool(self.area.intersects(made))


def asked_for(catalogue: Catalogue, collections: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Give the collections to search: those of the query, or the catalogue's default ones."""
    return tuple(collections.get(catalogue.id, catalogue.collections))


def area_of(query: Query) -> shapely.Geometry | None:
    """Make the query's area into a geometry.

    Raises
    ------
    InputError
        It is none.
    """
    if query.aoi is None:
        return None
    try:
        made = to_shape(dict(query.aoi))
    except (BadRecordError, TypeError, ValueError) as error:
        raise InputError(
            "bad_aoi", "The area is no GeoJSON polygon with longitudes and latitudes.", "Draw it again."
        ) from error
    if made is None or made.is_valid:
        return made
    # a figure of eight leaves lines beside its polygons, which no catalogue is asked for
    parts = [part for part in getattr(shapely.make_valid(made), "geoms", [made]) if part.area > 0]
    return shapely.union_all(parts) if parts else made


def times_of(item: Item) -> tuple[datetime | None, datetime | None]:
    """Give the beginning and the end of an item."""
    properties = item["properties"]
    moment = instant(properties.get("datetime"))
    return (
        instant(properties.get("start_datetime")) or moment,
        instant(properties.get("end_datetime")) or moment,
    )


def properties_in(written: Any, depth: int = 0) -> list[str]:
    """Give the properties that a filter names.

    Raises
    ------
    InputError
        It is nested deeper than any that a person wrote.
    """
    if depth > _DEEPEST:
        raise InputError("bad_filter", "The filter is nested too deep.", "Write it with fewer brackets.")
    if isinstance(written, dict):
        name = written.get("property")
        if isinstance(name, str):
            return [name]
        return [found for value in written.values() for found in properties_in(value, depth + 1)]
    return (
        [found for one in written for found in properties_in(one, depth + 1)]
        if isinstance(written, list)
        else []
    )


def field(item: Mapping[str, Any], name: str) -> Any:
    """Give a field as sortables and queryables name it."""
    plain = name.removeprefix("properties.")
    value = item["properties"].get(plain)
    if value is None and plain in {"id", "collection"}:
        value = item.get(plain)
    return instant(value) if plain in _TIMES else value


def in_order(items: Iterable[Item], sort: Sequence[Sort]) -> list[Item]:
    """Sort items; those without a field come last, and equal ones stay as they are."""
    ordered = list(items)
    for one in reversed(sort):
        having = [(item, field(item, one.field)) for item in ordered]
        with_value = [(item, value) for item, value in having if _comparable(value)]
        without = [item for item, value in having if not _comparable(value)]
        with_value.sort(key=lambda pair: _rank(pair[1]), reverse=one.descending)
        ordered = [item for item, _ in with_value] + without
    return ordered


def _comparable(value: object) -> bool:
    return value is not None and not isinstance(value, list | dict)


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return (0, value)
    return (2, value) if isinstance(value, str) else (1, value)
