"""The routes of code for a cell."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any

from tornado.web import authenticated

from cubehub_catalogue.asking import ids, parse_query
from cubehub_catalogue.code import Found, Options, Place, Task, write
from cubehub_catalogue.code.templates import templates
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.handling import Handler
from cubehub_catalogue.sizes import Room

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cubehub_catalogue.context import Context
    from cubehub_catalogue.folding import Entry, Row
    from cubehub_catalogue.handling import Route
    from cubehub_catalogue.query import Query

MOST_ITEMS = 1000
"""Of a search that are looked at for what its items are like; the cell itself searches again."""


class CodeHandler(Handler):
    """A cell."""

    most_bytes = 8 * 2**20

    @authenticated
    async def post(self) -> None:
        """Write code for ``{search, keys, query, catalogues, options}``; of these what there is."""
        task = await self._task(self.body())
        told = (await asyncio.to_thread(write, task)).to_dict()
        self.answer({**told, "missing": [name for name in told["needs"] if not _is_here(name)]})

    async def _task(self, sent: dict[str, Any]) -> Task:
        options = Options.from_json(sent.get("options"))
        query = parse_query(sent["query"]) if sent.get("query") is not None else None
        chosen_keys = ids(sent.get("keys") or (), "keys")
        asked = list(ids(sent.get("catalogues") or (), "catalogues"))
        found: list[Found] = []
        more = False
        if sent.get("search") is not None:
            if not isinstance(sent["search"], str):
                raise InputError("bad_input", "search is no id.", "Search again.")
            search = self.context.searches.get(sent["search"])
            query = query or search.federation.query
            if chosen_keys:
                entries = [search.entry(key) for key in chosen_keys]
            else:
                rows = list(search.federation.folding.rows.values())
                entries = loaded_of(rows)
                more = search.federation.more or len(entries) > MOST_ITEMS
                entries = entries[:MOST_ITEMS]
                asked = asked or [one.id for one in search.federation.asked]
            found = [Found(entry.catalogue, entry.item) for entry in entries]
        elif chosen_keys:
            raise InputError("bad_input", "keys are of a search, and none is named.", "Search again.")
        platform = os.environ.get("CUBEHUB_URL", "")
        # whose items were found; of a search that found none yet those that are asked
        whose = dict.fromkeys(one.catalogue for one in found) or dict.fromkeys(asked)
        return Task(
            places=await self._places(whose, None if chosen_keys else query, platform),
            found=tuple(found),
            query=query,
            chosen=bool(chosen_keys),
            more=more,
            options=options,
            room=Room.here(),
            platform_url=platform,
            gateway=bool(os.environ.get("DASK_GATEWAY__ADDRESS")),
        )

    async def _places(self, wanted: Iterable[str], query: Query | None, platform: str) -> dict[str, Place]:
        made = {}
        for id_ in wanted:
            place = Place.of(self.context.catalogue(id_), platform)
            if place.direct and query is not None and not await self._can(id_, query):
                # what it can't do is done on this side by our own search
                place = replace(place, direct=False)
            made[id_] = place
        return made

    async def _can(self, id_: str, query: Query) -> bool:
        if not query.filter and not query.text:
            return True
        try:
            able = await self.context.source(id_).capabilities()
        except CatalogueError:
            return True
        return (able.filter or not query.filter) and (able.text or not query.text)


def loaded_of(rows: Sequence[Row]) -> list[Entry]:
    """Give what a cell loads that searches again: what rows show, and what was folded into them of the same collections.

    The cell asks for these collections, and each has all its own: nothing is folded there.
    """
    shown = [row.entries[0] for row in rows]
    asked = {(entry.catalogue, entry.shown["collection"]) for entry in shown}
    folded = (entry for row in rows for entry in row.entries[1:])
    return shown + [entry for entry in folded if (entry.catalogue, entry.shown["collection"]) in asked]


def _is_here(package: str) -> bool:
    """Tell whether a package is in the environment of the server, which is that of its own kernels."""
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


class TemplatesHandler(Handler):
    """Templates of an administrator."""

    @authenticated
    async def get(self) -> None:
        """List ``[{id, title, description}]``."""
        listed = await asyncio.to_thread(templates)
        self.answer([one.to_dict() for one in listed])


def handlers(context: Context) -> list[Route]:
    """Give the routes of code."""
    shared = {"context": context}
    return [("code", CodeHandler, shared), ("code/templates", TemplatesHandler, shared)]
