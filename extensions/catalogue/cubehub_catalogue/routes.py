"""Catalogues, what they have, and searches: the routes that the panel asks."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from cubehub_catalogue import aoi, cql2
from cubehub_catalogue.asking import ids, parse_query
from cubehub_catalogue.auth import Hub
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.handling import ID, Handler, Route
from cubehub_catalogue.no_answer import unknown_properties
from cubehub_catalogue.reserved import reserved_title

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cubehub_catalogue.context import Context
    from cubehub_catalogue.federation import Event
    from cubehub_catalogue.searches import Search
    from cubehub_catalogue.settings import Catalogue

_SHOWN = ("type", "stac_version", "id", "title", "description", "keywords", "license", "extent", "providers")
"""What the panel shows of a collection; some are a megabyte with all their summaries and assets."""


class CataloguesHandler(Handler):
    """All catalogues of the person."""

    @authenticated
    async def get(self) -> None:
        """List them, with what else the panel needs to begin."""
        settings = self.context.settings
        listed = await asyncio.to_thread(self.context.catalogues)
        self.answer(
            {
                "catalogues": [_told(one) for one in listed],
                "tiles": settings.tiles,
                "user_catalogues": settings.user_catalogues,
            }
        )

    @authenticated
    async def post(self) -> None:
        """Add one of the person's own: `{title, url, type}`; it is asked at once, and stays where it does not answer."""
        sent = self.body()
        title, url, kind = (sent.get(key, "") for key in ("title", "url", "type"))
        if not all(isinstance(part, str) for part in (title, url, kind)):
            raise InputError("bad_catalogue", "title, url and type are texts.", "Fill in all three.")
        added = await self.context.add_own(title, url, kind or "stac")
        self.answer({**_told(added), "tried": await self.context.tried(added.id)}, 201)


class CatalogueHandler(Handler):
    """One catalogue."""

    @authenticated
    async def delete(self, id_: str) -> None:
        """Remove one of the person's own."""
        await self.context.remove_own(id_)
        self.set_status(204)
        self.finish()


class CapabilitiesHandler(Handler):
    """What a catalogue can do."""

    @authenticated
    async def get(self, id_: str) -> None:
        """Answer with its capabilities."""
        self.answer(vars(await self.context.source(id_).capabilities()))


class CollectionsHandler(Handler):
    """The collections of a catalogue."""

    @authenticated
    async def get(self, id_: str) -> None:
        """List all of them."""
        found = await self.context.source(id_).collections()
        shown = [{key: one[key] for key in _SHOWN if key in one} for one in found]
        if isinstance(self.context.catalogue(id_).auth, Hub):
            shown = list(map(_named, shown))
        self.answer({"collections": shown})


class QueryablesHandler(Handler):
    """What items may be filtered by."""

    @authenticated
    async def get(self, id_: str) -> None:
        """Answer with the JSON Schema of what all the collections asked for have."""
        chosen = ids(self.get_query_arguments("collection"), "collection")
        self.answer(await self.context.source(id_).queryables(chosen))


class SortablesHandler(Handler):
    """What items may be sorted by."""

    @authenticated
    async def get(self, id_: str) -> None:
        """Answer with the JSON Schema, which is empty for catalogues that do not say."""
        chosen = ids(self.get_query_arguments("collection"), "collection")
        source: Any = self.context.source(id_)
        self.answer(await source.sortables(chosen) if hasattr(source, "sortables") else {})


class AoiHandler(Handler):
    """An outline as it will be searched."""

    most_bytes = 8 * 2**20

    @authenticated
    async def post(self) -> None:
        """Read `{text}` or `{box}`."""
        self.answer(await asyncio.to_thread(self._read, self.body()))

    def _read(self, sent: dict[str, Any]) -> dict[str, Any]:
        if isinstance(sent.get("box"), list):
            found = aoi.box_aoi(sent["box"])
        elif isinstance(sent.get("text"), str):
            found = aoi.parse_aoi(sent["text"])
        else:
            raise InputError("bad_aoi", "text or box is needed.", "Draw, type or paste where to search.")
        return {"aoi": found, "boxes": aoi.boxes(found), "area_km2": round(aoi.area_km2(found), 3)}


class FilterHandler(Handler):
    """A filter made of a form's rows."""

    @authenticated
    async def post(self) -> None:
        """Give CQL2-JSON of `{rows: [{property, op, value}], queryables}`."""
        sent = self.body()
        rows = sent.get("rows")
        if not isinstance(rows, list) or len(rows) > 100 or not all(map(_is_row, rows)):
            raise InputError(
                "bad_filter", "rows is a list of property, op and value.", "Look at the form again."
            )
        schema = sent.get("queryables")
        made = [cql2.Row(row["property"], row["op"], row.get("value")) for row in rows]
        known = schema if isinstance(schema, dict) else {}
        found = cql2.from_rows(made, known)
        self.answer({"filter": found, "warnings": unknown_properties(found, known) if found else []})


class _Streaming(Handler):
    """Answers line by line while things happen."""

    search: Search | None = None

    async def stream(
        self, search: Search, events: AsyncGenerator[Event, None], first: Event | None = None
    ) -> None:
        """Send events as they come; when the browser goes away, what is being asked is given up."""
        if search.running is not None:
            raise InputError(
                "busy", "This search is still being answered.", "Wait for its end, then ask again."
            )
        self.search = search
        search.running = asyncio.create_task(self._send(events, first))
        try:
            # the sending is a task of its own, since Tornado takes a handler that is cancelled for a fault
            await asyncio.wait([search.running])
            if not search.running.cancelled():
                search.running.result()
        finally:
            search.running.cancel()
            search.running = None

    def on_connection_close(self) -> None:
        """Give up what the browser does not wait for any more."""
        super().on_connection_close()
        if self.search is not None:
            self.search.give_up()

    async def _send(self, events: AsyncGenerator[Event, None], first: Event | None) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        connection: Any = self.request.connection
        # else the system keeps the end of what was written until the browser has confirmed what came before it
        connection.stream.set_nodelay(True)
        try:
            async with aclosing(events) as happening:
                if first is not None:
                    await self._line(first)
                async for event in happening:
                    await self._line(event)
            await self.finish(set_content_type="application/x-ndjson")
        except StreamClosedError:
            return

    async def _line(self, event: Event) -> None:
        self.write(json.dumps(event, separators=(",", ":")) + "\n")
        await self.flush()


class SearchesHandler(_Streaming):
    """New searches."""

    most_bytes = 8 * 2**20

    @authenticated
    async def post(self) -> None:
        """Search `{catalogues, query}` and send what happens."""
        sent = self.body()
        chosen = ids(sent.get("catalogues"), "catalogues")
        federation = self.context.federation(chosen, parse_query(sent.get("query") or {}))
        search = self.context.searches.open(federation)
        await self.stream(search, federation.page(), {"event": "search", "search": search.id})


class MoreHandler(_Streaming):
    """The next page of a search."""

    @authenticated
    async def post(self, id_: str) -> None:
        """Send what happens; `{retry: [catalogues]}` asks those again that failed."""
        search = self.context.searches.get(id_)
        retry = ids(self.body().get("retry") or (), "retry")
        await self.stream(search, search.federation.page(retry))


class SearchHandler(Handler):
    """One search."""

    @authenticated
    async def delete(self, id_: str) -> None:
        """Give it up."""
        self.context.searches.close(id_)
        self.set_status(204)
        self.finish()


class ItemHandler(Handler):
    """One item that was found."""

    @authenticated
    async def get(self, id_: str, key: str) -> None:
        """Answer with the whole item and its copies."""
        search = self.context.searches.get(id_)
        entry = search.entry(key)
        found = search.federation.item(key)
        copies = found[1] if found else []
        self.answer({"catalogue": entry.catalogue, "item": entry.item, "copies": copies})


def handlers(context: Context) -> list[Route]:
    """Give the routes of catalogues and searches."""
    shared = {"context": context}
    return [
        ("catalogues", CataloguesHandler, shared),
        (f"catalogues/{ID}", CatalogueHandler, shared),
        (f"catalogues/{ID}/capabilities", CapabilitiesHandler, shared),
        (f"catalogues/{ID}/collections", CollectionsHandler, shared),
        (f"catalogues/{ID}/queryables", QueryablesHandler, shared),
        (f"catalogues/{ID}/sortables", SortablesHandler, shared),
        ("aoi", AoiHandler, shared),
        ("filter", FilterHandler, shared),
        ("searches", SearchesHandler, shared),
        (f"searches/{ID}", SearchHandler, shared),
        (f"searches/{ID}/more", MoreHandler, shared),
        (f"searches/{ID}/items/{ID}", ItemHandler, shared),
    ]


def _told(one: Catalogue) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "type": one.type,
        "sign_in": one.sign_in,
        "collections": list(one.collections),
        "own": one.own,
    }


def _named(collection: dict[str, Any]) -> dict[str, Any]:
    title = reserved_title(str(collection.get("id")))
    return collection if title is None else {**collection, "title": title}


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("property"), str) and isinstance(row.get("op"), str)
