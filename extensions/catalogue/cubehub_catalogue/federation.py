"""One search over many catalogues at once, told as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.errors import CatalogueError, InputError, UpstreamError
from cubehub_catalogue.folding import Folding, copy_of
from cubehub_catalogue.no_answer import other_letters, unknown_properties
from cubehub_catalogue.rows import Order, order_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Sequence

    from cubehub_catalogue.folding import Entry
    from cubehub_catalogue.query import Item, Page, Query
    from cubehub_catalogue.sources.base import Source

Event = dict[str, Any]
MOST_ROWS = 20_000
"""Then a search gets no more pages: nobody looks through them, and they take memory."""
_MOST_OF_PAGE = 2_000
"""Four times what a page is asked for at most: some catalogues don't heed it, and one that gives a million is cut."""
_AT_ONCE_S = 0.02
"""How long items are put into rows before others in the person's server have their turn."""
_WHY_S = 5.0
"""So long a search that found nothing waits for the properties that it could have asked for."""
_MOST_IN_VAIN = 20
"""Pages in a row of which nothing is new; then it is a circle, or as good as one."""
_LOG = logging.getLogger(__name__)


@dataclass
class Asked:
    """One catalogue in a search, and how far it is read."""

    id: str
    title: str
    source: Source
    timeout: float
    """Seconds that a page may take."""
    collections: tuple[str, ...] = ()
    """Asked where the query names none for it."""
    following: Any = None
    last: Order | None = None
    """Where its last row stands; None where it has given none."""
    state: str = "new"
    """new, more, done or failed."""
    sorted: bool = True
    """Whether its items come in the order that was asked for."""
    platform: bool = False
    """Whether it is the platform's own, whose people and groups have collections of their own."""
    count: int = 0
    in_vain: int = 0
    """Pages that brought nothing new since the last that did."""


class Federation:
    """A search over catalogues, page after page.

    Parameters
    ----------
    asked
        The catalogues, the preferred ones first.
    query
        What is asked for.

    Notes
    -----
    Each catalogue gives its items in the order that was asked for, so its next page stands after its last row. The
    *horizon* is the nearest of these last rows: nothing that is still to come stands before it.
    """

    def __init__(self, asked: Sequence[Asked], query: Query) -> None:
        if not asked:
            raise InputError("no_catalogue", "No catalogue was chosen.", "Choose at least one.")
        self.asked = list(asked)
        self.query = query
        self.folding = Folding([one.id for one in asked], [one.id for one in asked if one.platform])
        self._running = False

    @property
    def more(self) -> bool:
        """Whether a catalogue has more to give."""
        return not self._full and any(one.state in ("new", "more") for one in self.asked)

    @property
    def _full(self) -> bool:
        """Whether there are as many rows, or copies of them, as are kept."""
        return self.folding.kept >= MOST_ROWS

    async def page(self, retry: Collection[str] = ()) -> AsyncGenerator[Event, None]:
        """Ask those catalogues whose rows come next, all at once, and give what happens as it happens.

        Parameters
        ----------
        retry
            Ids of catalogues that failed and are asked again.

        Raises
        ------
        InputError
            When the page before is still being read.
        """
        if self._running:
            raise InputError(
                "busy", "This search is still being answered.", "Wait for its end, then ask again."
            )
        self._running = True
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        tasks = [asyncio.create_task(self._ask(one, events)) for one in self._next(retry)]
        try:
            for _ in tasks:
                while (event := await events.get()) is not None:
                    yield event
            full = {"full": True} if self._full else {}
            yield {"event": "end", "more": self.more, "final": self._final(), **full}
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
            self._running = False
            self.folding.pack()

    def item(self, key: str) -> tuple[Entry, list[dict[str, Any]]] | None:
        """Give an item by the key of its row or its own, and what is said of its copies."""
        found = self.folding.entry(key)
        return None if found is None else (found[0], [copy_of(entry, found[0]) for entry in found[1]])

    def _next(self, retry: Collection[str]) -> list[Asked]:
        """Those that were not asked yet, and those with fewer than half a page of rows beyond the horizon."""
        again = [one for one in self.asked if one.state == "failed" and one.id in retry]
        if again:
            return again
        fresh = [one for one in self.asked if one.state == "new"]
        if fresh or not self.more:
            return fresh
        horizon = self._horizon()
        able = [one for one in self.asked if one.state == "more"]
        beyond = dict.fromkeys((one.id for one in able), 0)
        for row in self.folding.rows.values():
            catalogue = row.entries[0].catalogue
            if catalogue in beyond and horizon is not None and row.order > horizon:
                beyond[catalogue] += 1
        return [one for one in able if beyond[one.id] < max(1, self.query.limit // 2)]

    async def _ask(self, one: Asked, events: asyncio.Queue[Event | None]) -> None:
        began = time.monotonic()
        events.put_nowait({"event": "asking", "catalogue": one.id})
        try:
            chosen = self.query.collections.get(one.id) or one.collections
            query = replace(self.query, collections={one.id: chosen} if chosen else {})
            async with asyncio.timeout(one.timeout):
                page = await one.source.search(query, one.following)
            why = [] if page.items or page.next is not None else await _why_nothing(one, query)
            rows = await self._take(one, page)
            if rows:
                events.put_nowait({"event": "rows", "rows": rows})
            _refuse_circle(one)
            cut = ["items"] if len(page.items) > _MOST_OF_PAGE and "items" not in page.ignored else []
            events.put_nowait(
                {
                    "event": "answered",
                    "catalogue": one.id,
                    "count": len(page.items),
                    "matched": page.matched,
                    "more": page.next is not None,
                    "ignored": [*page.ignored, *cut],
                    "warnings": [*page.warnings, *why],
                    "took_ms": round((time.monotonic() - began) * 1000),
                }
            )
        except CatalogueError as error:
            self._failed(one, events, error)
        except TimeoutError:
            self._failed(one, events, _late(one))
        except Exception:  # noqa: BLE001 - what one catalogue does to its source must not end the others
            _LOG.exception("cubehub_catalogue: the search of %s ended", one.id)
            message = f"What {one.title} answered could not be read."
            hint = "Try again; the server's log has the cause."
            self._failed(one, events, UpstreamError("bad_answer", message, hint))
        finally:
            events.put_nowait(None)

    async def _take(self, one: Asked, page: Page) -> list[dict[str, Any]]:
        """Put a page's items into rows; gives those that are new or have changed."""
        one.following = page.next
        one.sorted = one.sorted and "sort" not in page.ignored
        changed: dict[str, Any] = {}
        turn = time.monotonic()
        for item in page.items[:_MOST_OF_PAGE]:
            if time.monotonic() - turn > _AT_ONCE_S:
                await asyncio.sleep(0)
                turn = time.monotonic()
            order = self._order(one, item)
            row = self.folding.add(one.id, item, order)
            one.count += 1
            if row is not None:
                changed[row.key] = row
        one.in_vain = 0 if changed else one.in_vain + 1
        one.state = "done" if page.next is None else "more"
        return [row.to_dict() for row in changed.values()]

    def _order(self, one: Asked, item: Item) -> Order:
        """Where an item stands: never before the one that its catalogue gave before it, whatever that sorts by."""
        tail = (self.asked.index(one), one.count)
        if len(self.asked) == 1:
            return tail
        head = order_of(item, self.query.sort)
        if one.sorted and one.last is not None:
            head = max(head, one.last[:-2])
        order = (*head, *tail)
        one.last = order
        return order

    def _horizon(self) -> Order | None:
        """The nearest last row of those that have more; None where nothing is sure."""
        if len(self.asked) == 1:
            return (0, self.asked[0].count)
        waiting = [one for one in self.asked if one.state == "more"]
        last = [one.last for one in waiting if one.sorted and one.last is not None]
        return min(last) if last and len(last) == len(waiting) else None

    def _final(self) -> int:
        """Number of rows, in their order, that nothing to come can stand before."""
        rows: Iterable[Order] = (row.order for row in self.folding.rows.values())
        if not any(one.state == "more" for one in self.asked):
            return len(self.folding.rows)
        horizon = self._horizon()
        return 0 if horizon is None else sum(order <= horizon for order in rows)

    def _failed(self, one: Asked, events: asyncio.Queue[Event | None], error: CatalogueError) -> None:
        one.state = "failed"
        events.put_nowait({"event": "failed", "catalogue": one.id, "error": error.to_dict()})


def _refuse_circle(one: Asked) -> None:
    if one.in_vain < _MOST_IN_VAIN or one.following is None:
        return
    one.in_vain = 0
    raise UpstreamError(
        "endless",
        f"{one.title} gave {_MOST_IN_VAIN} pages in a row with nothing new in them.",
        "Ask for less, or press Try again to go on; the other catalogues are not affected.",
    )


async def _why_nothing(one: Asked, query: Query) -> list[str]:
    """Tell what in a filter may have found nothing; what can't be known is no fault."""
    if query.filter is None or one.count:
        return []
    try:
        async with asyncio.timeout(_WHY_S):
            schema = await one.source.queryables(query.collections.get(one.id, ()))
        return [*unknown_properties(query.filter, schema), *other_letters(query.filter, schema)]
    except (CatalogueError, TimeoutError):
        return []


def _late(one: Asked) -> UpstreamError:
    return UpstreamError(
        "timeout",
        f"{one.title} did not answer within {one.timeout:g} s.",
        "Try again, or ask for less; the other catalogues are not affected.",
    )
