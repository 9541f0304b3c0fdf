"""What every type of catalogue offers to the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubehub_catalogue.query import Capabilities, Page, Query


class Source(Protocol):
    """One catalogue.

    All may raise `cubehub_catalogue.errors.CatalogueError` and nothing else but `asyncio.CancelledError`.
    """

    async def capabilities(self) -> Capabilities:
        """What it can do; remembered for some minutes."""

    async def collections(self) -> list[dict[str, Any]]:
        """Give all of its collections as STAC collections, every page of them; remembered for some minutes."""

    async def queryables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of what may be filtered by in all of these collections; {} where it has none."""

    async def search(self, query: Query, following: Any = None) -> Page:
        """Give one page.

        Parameters
        ----------
        query
            What is asked for.
        following
            `Page.next` of the page before, for the one after it.
        """
