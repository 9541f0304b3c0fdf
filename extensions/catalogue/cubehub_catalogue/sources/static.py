"""Static STAC catalogues: files that link to each other, searched here.

Notes
-----
Nothing answers a search there, so the catalogue is walked through and remembered. When that takes longer than a page
may, what was found so far comes in the catalogue's own order, which can go on; a sorted page needs the whole walk.
The extents of collections are not looked at: in files that nobody updates they leave out what is there.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.query import Capabilities, Page
from cubehub_catalogue.sources.sieve import Sieve, asked_for, in_order
from cubehub_catalogue.sources.stac_files import schema_of
from cubehub_catalogue.sources.static_walk import Kept, Limits, Node, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Item, Query
    from cubehub_catalogue.settings import Catalogue

PAGE_S = 8.0
"""How long a page may take."""
REMEMBERED_S = 600.0
_FOR_QUERYABLES = 50


@dataclass(frozen=True)
class _Sorted:
    """The rest of a search whose order is known."""

    rest: tuple[Kept, ...]
    walk: Walk
    matched: int


@dataclass(frozen=True)
class _OnTheWay:
    """A search that goes on with the walk."""

    after: tuple[int, ...] | None
    walk: Walk


class StaticSource:
    """One static catalogue.

    Parameters
    ----------
    catalogue
        Its settings; `url` is the one of its ``catalog.json``.
    client
        How documents are had.
    page_s
        How long a page may take.
    limits
        How far a walk goes.
    clock
        Gives seconds.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        client: Client,
        *,
        page_s: float = PAGE_S,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue, self._client = catalogue, client
        # a page has to be there before whoever searches gives it up
        self._page_s, self._clock = min(page_s, catalogue.timeout / 4), clock
        self._limits = limits or Limits(document_s=min(Limits.document_s, catalogue.timeout / 3))
        self._walk: Walk | None = None

    async def capabilities(self) -> Capabilities:
        """Give what is done here."""
        return Capabilities(filter=True, sort=True, text=True)

    async def collections(self) -> list[dict[str, Any]]:
        """Give the collections, without reading items."""
        walk = self._current()
        await walk.go(lambda node: node.kind == "catalog", self._clock() + 2 * self._page_s, lambda: False)
        return list(walk.collections.values())

    async def queryables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of the properties that the first items have."""
        walk, wanted = self._current(), _wanted(collections)

        def found() -> list[Kept]:
            return list(islice(_of(walk.items, collections), _FOR_QUERYABLES))

        await walk.go(wanted, self._clock() + self._page_s, lambda: len(found()) >= _FOR_QUERYABLES)
        kept = found()
        return schema_of(one.item()["properties"] for one in kept) if kept else {}

    async def search(self, query: Query, following: Any = None) -> Page:
        """Give one page; sorted where the catalogue could be walked through in time."""
        names = asked_for(self._catalogue, query.collections)
        if isinstance(following, _Sorted):
            return _page(following.rest, query.limit, following.walk, following.matched)
        place = following if isinstance(following, _OnTheWay) else None
        walk = place.walk if place else self._current()
        sieve, wanted = Sieve(query, collections=names, filter_=query.filter), _wanted(names)
        until = self._clock() + self._page_s
        if place is None:
            await walk.go(wanted, until, lambda: False)
            if walk.horizon(wanted) is None:
                ordered = await asyncio.to_thread(_ordered, tuple(_of(walk.items, names)), sieve, query)
                return _page(ordered, query.limit, walk, len(ordered))
            place = _OnTheWay(None, walk)
        return await self._as_they_come(query, place, sieve, wanted, names, until)

    async def _as_they_come(
        self,
        query: Query,
        place: _OnTheWay,
        sieve: Sieve,
        wanted: Callable[[Node], bool],
        names: Sequence[str],
        until: float,
    ) -> Page:
        walk, after = place.walk, place.after
        found: list[Item] = []
        first = True
        while True:
            horizon = walk.horizon(wanted)
            ready = [
                one for one in _between(walk.items, after, horizon) if not names or one.collection in names
            ]
            found_here, after = await asyncio.to_thread(
                _passing, ready, sieve, query.limit - len(found), after
            )
            found += found_here
            if len(found) >= query.limit or horizon is None or (self._clock() >= until and not first):
                break
            first = False
            target = len(walk.items) + query.limit
            await walk.go(wanted, until, partial(_holds, walk, target))
        last = horizon is None and len(found) < query.limit
        following = None if last else _OnTheWay(after, walk)
        ignored = ("sort",) if query.sort else ()
        return Page(tuple(found), following, None, ignored, walk.warnings())

    def _current(self) -> Walk:
        """Give the walk, a new one when the last began long ago."""
        if self._walk is None or self._clock() - self._walk.started > REMEMBERED_S:
            self._walk = Walk(self._client, self._catalogue.url, self._clock, self._limits)
        return self._walk


def _wanted(names: Sequence[str]) -> Callable[[Node], bool]:
    """Say which documents matter: items of other collections do not, but collections may stand in collections."""
    return lambda node: (
        not names or node.kind == "catalog" or node.collection is None or node.collection in names
    )


def _of(kept: Sequence[Kept], names: Sequence[str]) -> Any:
    return (one for one in kept if not names or one.collection in names)


def _ordered(kept: Sequence[Kept], sieve: Sieve, query: Query) -> tuple[Kept, ...]:
    passing = [(one, item) for one in kept if sieve.passes(item := one.item())]
    if not query.sort:
        return tuple(one for one, _ in passing)
    # the parts that an order may need, so that the items themselves are not all unpacked at once
    fields = {one.field.removeprefix("properties.") for one in query.sort}
    slim = [
        {
            "at": place,
            "id": item["id"],
            "collection": item.get("collection"),
            "properties": {key: value for key, value in item["properties"].items() if key in fields},
        }
        for place, (_, item) in enumerate(passing)
    ]
    return tuple(passing[item["at"]][0] for item in in_order(slim, query.sort))


def _page(ordered: Sequence[Kept], limit: int, walk: Walk, matched: int) -> Page:
    items = tuple(one.item() for one in ordered[:limit])
    rest = tuple(ordered[limit:])
    following = _Sorted(rest, walk, matched) if rest else None
    return Page(items, following, None if walk.stopped else matched, (), walk.warnings())


def _holds(walk: Walk, count: int) -> bool:
    return len(walk.items) >= count


def _between(kept: list[Kept], after: tuple[int, ...] | None, horizon: tuple[int, ...] | None) -> list[Kept]:
    first = 0 if after is None else bisect_right(kept, after, key=lambda one: one.key)
    last = len(kept) if horizon is None else bisect_right(kept, horizon, key=lambda one: one.key)
    return kept[first:last]


def _passing(
    ready: list[Kept],
    sieve: Sieve,
    most: int,
    after: tuple[int, ...] | None,
) -> tuple[list[Item], tuple[int, ...] | None]:
    found: list[Item] = []
    for one in ready:
        if len(found) >= most:
            break
        item = one.item()
        after = one.key
        if sieve.passes(item):
            found.append(item)
    return found, after
