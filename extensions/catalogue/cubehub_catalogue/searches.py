"""Searches that are open in this server: found by an id that nobody can guess, and forgotten in time."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub_catalogue.errors import UnknownError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from cubehub_catalogue.federation import Federation
    from cubehub_catalogue.folding import Entry

MOST, KEPT_S = 20, 1800.0


@dataclass
class Search:
    """One search of a person."""

    id: str
    federation: Federation
    used: float
    running: asyncio.Task[None] | None = None
    """What sends its events while a page is read."""

    def entry(self, key: str) -> Entry:
        """Give an item that was found.

        Parameters
        ----------
        key
            Of a row, which gives what it shows, or of a copy.

        Raises
        ------
        UnknownError
            When the search has no such row.
        """
        found = self.federation.item(key)
        if found is None:
            raise UnknownError("unknown_item", "This search has no such item.", "Search again.")
        return found[0]

    def give_up(self) -> None:
        """End what is being asked."""
        if self.running is not None:
            self.running.cancel()


class Searches:
    """All that are open.

    Parameters
    ----------
    clock
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Search] = {}

    def __len__(self) -> int:
        self._forget()
        return len(self._open)

    def open(self, federation: Federation) -> Search:
        """Keep a new search; the one that was unused for longest goes where there are too many."""
        self._forget()
        while len(self._open) >= MOST:
            self.close(min(self._open.values(), key=lambda search: search.used).id)
        search = Search(secrets.token_urlsafe(16), federation, self._clock())
        self._open[search.id] = search
        return search

    def get(self, id_: str) -> Search:
        """Give an open search.

        Raises
        ------
        UnknownError
            When there is none of this id, or not any more.
        """
        self._forget()
        search = self._open.get(id_)
        if search is None:
            raise UnknownError("unknown_search", "This search is not open any more.", "Search again.")
        search.used = self._clock()
        return search

    def close(self, id_: str) -> None:
        """Give a search up and forget it; nothing happens where it is gone already."""
        if (search := self._open.pop(id_, None)) is not None:
            search.give_up()

    def close_all(self) -> None:
        """Give all up."""
        for id_ in list(self._open):
            self.close(id_)

    def _forget(self) -> None:
        late = self._clock() - KEPT_S
        for search in list(self._open.values()):
            if search.used < late and search.running is None:
                self.close(search.id)
