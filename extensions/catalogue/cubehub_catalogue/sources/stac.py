"""STAC APIs."""

from __future__ import annotations

import itertools
import json
import marshal
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from shapely.geometry import shape

from cubehub_catalogue import aoi, cql2, cql2_here, items
from cubehub_catalogue.errors import CatalogueError, UpstreamError
from cubehub_catalogue.query import Capabilities, Item, Page, Query, Sort
from cubehub_catalogue.sources.queryables import intersected, named
from cubehub_catalogue.sources.stac_links import Request, following, joined, link
from cubehub_catalogue.text import mentions
from cubehub_catalogue.times import interval_text, item_times

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from shapely.geometry.base import BaseGeometry

_REMEMBERED_S = 600.0
_MOST_PAGES, _MOST_COLLECTIONS, _PAGES_TO_FILL = 200, 20_000, 5
_COLLECTIONS_PER_PAGE = 200
_MOST_OF_COLLECTIONS = 64 * 2**20
"""Bytes of all of them; the largest catalogues have a tenth of it."""
_QUERYABLES = ("http://www.opengis.net/def/rel/ogc/1.0/queryables", "queryables")
_SORTABLES = ("http://www.opengis.net/def/rel/ogc/1.0/sortables", "sortables")


class _Catalogue(Protocol):
    id: str
    title: str
    url: str


class StacSource:
    """One STAC API.

    Parameters
    ----------
    catalogue
        From the settings.
    client
        Its HTTP client.
    """

    def __init__(self, catalogue: Any, client: Any) -> None:
        self.catalogue: _Catalogue = catalogue
        self.client = client
        self._kept: dict[str, tuple[float, Any]] = {}

    async def capabilities(self) -> Capabilities:
        """What it can do, from its `conformsTo`."""
        can: Capabilities = await self._remembered("capabilities", self._capabilities)
        return can

    async def collections(self) -> list[dict[str, Any]]:
        """Give all collections, every page of them."""
        found: list[dict[str, Any]] = await self._remembered("collections", self._collections)
        return found

    async def queryables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of what may be filtered by in all of these collections; {} where it has none."""
        return await self._schemas("queryables", collections, _QUERYABLES)

    async def sortables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of what may be sorted by in all of these collections; {} where it does not say."""
        return await self._schemas("sortables", collections, _SORTABLES)

    async def search(self, query: Query, following: Any = None) -> Page:
        """Give one page, in the catalogue's order."""
        can = await self.capabilities()
        ignored, here = _done_here(query, can)
        place = None if query.aoi is None else shape(query.aoi)
        request: Request | None = following or await self._first(query, can)
        found: list[Item] = []
        matched, unread = None, 0
        for _ in range(_PAGES_TO_FILL):
            if request is None:
                break
            features, request, matched = await self._page(request)
            cleaned = items.readable(features)
            unread += len(features) - len(cleaned)
            if features and not cleaned:
                raise self._rubbish("none of its items has an id and properties")
            cleaned = [item for item in cleaned if _is_there(item, place)]
            found.extend(item for item in cleaned if all(test(item) for test in here))
            if (
                found or not here
            ):  # what is left of a page may be nothing, and nobody wants to press for the next
                break
        if unread:
            ignored.append("items")
        if query.sort and not can.sort and not _is_default_order(query, found):
            ignored.append("sort")
        return Page(tuple(found), request, None if here else matched, tuple(ignored))

    async def _capabilities(self) -> Capabilities:
        root = await self._root()
        classes = [name for name in root.get("conformsTo") or () if isinstance(name, str)]

        def has(*ends: str) -> bool:
            return any(name.rstrip("/").endswith(end) for name in classes for end in ends)

        return Capabilities(
            filter=has("item-search#filter") and has("/cql2-json", "#filter:cql2-json", "/cql2-text"),
            sort=has("item-search#sort"),
            text=has("item-search#free-text", "item-search#advanced-free-text"),
            collections=link(root, "data", "child") is not None or has("/collections"),
            post=link(root, "search", method="POST") is not None,
        )

    async def _root(self) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            answer = await self.client.json(self.catalogue.url, cached=True)
            if not isinstance(answer.value, dict) or not isinstance(answer.value.get("links"), list):
                raise self._rubbish("its first page is no STAC landing page")
            return {**answer.value, "_base": answer.url}

        root: dict[str, Any] = await self._remembered("root", ask)
        return root

    async def _address(self, rels: Sequence[str], fallback: str, method: str | None = None) -> str:
        root = await self._root()
        found = link(root, *rels, method=method) or link(root, *rels)
        base = root["_base"]
        return joined(base, found["href"]) if found else f"{base.partition('?')[0].rstrip('/')}/{fallback}"

    async def _first(self, query: Query, can: Capabilities) -> Request:
        root = await self._root()
        if link(root, "search") is None and not root.get("conformsTo"):
            raise UpstreamError(
                "no_search",
                f"{self.catalogue.title} has no item search; it seems to be a static catalogue.",
                "Give it the type static in the settings of the catalogues.",
            )
        body = _body(query, can, self.catalogue.id)
        if can.post:
            return Request(await self._address(["search"], "search", "POST"), "POST", body)
        return Request(await self._address(["search"], "search", "GET"), params=_params(body))

    async def _page(self, request: Request) -> tuple[list[Any], Request | None, int | None]:
        answer = await self.client.json(
            request.url,
            method=request.method,
            params=request.params,
            body=request.body,
            headers=request.headers or None,
        )
        value = answer.value
        if not isinstance(value, dict) or not isinstance(value.get("features"), list):
            raise self._rubbish("its answer to the search has no list of features")
        features = value["features"]
        context = value.get("context")
        counted = value.get("numberMatched", context.get("matched") if isinstance(context, dict) else None)
        matched = counted if isinstance(counted, int) and counted >= len(features) else None
        return features, following(value, request, answer.url), matched

    async def _collections(self) -> list[dict[str, Any]]:
        address = await self._address(["data"], "collections")
        request: Request | None = Request(address, params={"limit": str(_COLLECTIONS_PER_PAGE)})
        found: dict[str, dict[str, Any]] = {}
        size = 0
        for _ in range(_MOST_PAGES):
            if request is None or len(found) >= _MOST_COLLECTIONS or size > _MOST_OF_COLLECTIONS:
                break
            answer = await self._collections_page(request)
            listed = answer.value.get("collections") if isinstance(answer.value, dict) else None
            if not isinstance(listed, list):
                raise self._rubbish("its list of collections is none")
            before, size = len(found), size + len(marshal.dumps(listed))
            for collection in listed:
                if isinstance(collection, dict) and isinstance(collection.get("id"), str):
                    found.setdefault(collection["id"], items.without_markers(collection))
            # a server that sends the same page again and again has said all
            request = following(answer.value, request, answer.url) if len(found) > before else None
        return list(found.values())

    async def _collections_page(self, request: Request) -> Any:
        try:
            return await self.client.json(
                request.url, method=request.method, params=request.params, body=request.body, cached=True
            )
        except CatalogueError as error:
            if error.upstream_status not in (400, 422) or not request.params:
                raise
        return await self.client.json(request.url, cached=True)  # one that takes no limit, or not this one

    async def _schemas(self, name: str, collections: Sequence[str], rels: Sequence[str]) -> dict[str, Any]:
        if not collections:
            address = await self._address(rels, name)
            return intersected([await self._schema(address)])
        base = await self._address(["data"], "collections")
        addresses = [
            f"{base.partition('?')[0].rstrip('/')}/{quote(one, safe='')}/{name}" for one in collections
        ]
        return intersected([await self._schema(address) for address in addresses])

    async def _schema(self, address: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            try:
                answer = await self.client.json(address, cached=True)
            except CatalogueError as error:
                if error.upstream_status in (404, 405, 501):
                    return {}
                raise
            return named(answer.value) if isinstance(answer.value, dict) else {}

        found: dict[str, Any] = await self._remembered(address, ask)
        return found

    async def _remembered(self, key: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        kept = self._kept.get(key)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        value = await ask()
        if len(self._kept) > 1_000:
            self._kept.clear()
        self._kept[key] = (time.monotonic() + _REMEMBERED_S, value)
        return value

    def _rubbish(self, why: str) -> UpstreamError:
        return UpstreamError(
            "bad_answer",
            f"{self.catalogue.title} answered what can't be used: {why}.",
            "Look at its address and type in the settings of the catalogues, or try again later.",
        )


def _done_here(query: Query, can: Capabilities) -> tuple[list[str], list[Callable[[Item], bool]]]:
    """What nobody can do, and what is done here on each item since the catalogue can't."""
    ignored: list[str] = []
    here: list[Callable[[Item], bool]] = []
    condition, text = query.filter, query.text
    if condition is not None and not can.filter:
        if cql2_here.can_be_applied(condition):
            here.append(lambda item: cql2_here.matches(condition, item))
        else:
            ignored.append("filter")
    if text and not can.text:
        here.append(lambda item: mentions(item, text))
    return ignored, here


def _body(query: Query, can: Capabilities, catalogue: str) -> dict[str, Any]:
    """Write a search as the body of a POST."""
    body: dict[str, Any] = {"limit": query.limit}
    if chosen := query.collections.get(catalogue):
        body["collections"] = list(chosen)
    if query.aoi is not None:
        # Boxes that cross the antimeridian come as two parts: servers read west > east in different ways.
        if (box := aoi.whole_box(query.aoi)) is not None:
            body["bbox"] = list(box)
        else:
            body["intersects"] = dict(query.aoi)
    if (span := interval_text(query.start, query.end)) is not None:
        body["datetime"] = span
    if query.ids:
        body["ids"] = list(query.ids)
    if query.filter is not None and can.filter:
        body["filter-lang"] = "cql2-json"
        body["filter"] = dict(query.filter)
    if query.text and can.text:
        body["q"] = [query.text.replace(",", " ")]  # a comma would mean "or"
    if query.sort and can.sort:
        body["sortby"] = [
            {"field": sort.field, "direction": "desc" if sort.descending else "asc"} for sort in query.sort
        ]
    return body


def _params(body: dict[str, Any]) -> dict[str, str]:
    """Write the body of a POST as parameters of a GET."""
    params = {"limit": str(body["limit"])}
    for name in ("collections", "ids", "q"):
        if name in body:
            params[name] = ",".join(body[name])
    if "bbox" in body:
        params["bbox"] = ",".join(f"{number!r}" for number in body["bbox"])
    if "intersects" in body:
        params["intersects"] = json.dumps(body["intersects"], separators=(",", ":"))
    if "datetime" in body:
        params["datetime"] = body["datetime"]
    if "filter" in body:
        params |= {"filter-lang": "cql2-text", "filter": cql2.to_text(body["filter"])}
    if "sortby" in body:
        params["sortby"] = ",".join(
            f"{'-' if sort['direction'] == 'desc' else '+'}{sort['field']}" for sort in body["sortby"]
        )
    return params


def _is_there(item: Item, place: BaseGeometry | None) -> bool:
    """Tell whether an item is where it was found.

    One that was written as if it went round the globe is found everywhere at its latitude, whichever way a server
    looks; put together at ±180 it is only where it is.
    """
    west_east = items.written_span(item) if place is not None else 0.0
    if place is None or west_east <= 180.0:
        return True
    outline = items.outline(item)
    return outline is None or bool(outline.intersects(place))


def _is_default_order(query: Query, found: Sequence[Item]) -> bool:
    """Whether a page came newest first, as almost all catalogues give it, and that was what is asked for."""
    if query.sort != (Sort("properties.datetime"),):
        return False
    times = [moment for moment, _ in map(item_times, found) if moment is not None]
    return all(one >= other for one, other in itertools.pairwise(times))
