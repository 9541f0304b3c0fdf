"""A small STAC API on a loopback port that pages, fails and hangs in every way there is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web
from cubehub_catalogue import cql2_here
from cubehub_catalogue.times import item_times, parse_interval
from shapely.geometry import box, shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

CORE = "https://api.stacspec.org/v1.0.0"
CONFORMS = (
    f"{CORE}/core", f"{CORE}/item-search", f"{CORE}/item-search#sort", f"{CORE}/item-search#filter",
    f"{CORE}/collections", "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
)  # fmt: skip
STYLES = ("get", "post-body", "post-merge", "post-token", "post-headers")
"""How the stand-in says where its next page is."""


@dataclass
class StacStandIn:
    """What it has, and how it behaves."""

    items: Sequence[dict[str, Any]] = ()
    style: str = "post-body"
    conforms: Sequence[str] = CONFORMS
    relative: bool = False
    """Whether its links are relative."""
    collections_per_page: int = 2
    counts: bool = False
    queryables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By collection; "" of the whole API."""
    before_search: Callable[[int], Awaitable[web.StreamResponse | None]] | None = None
    """Asked with the number of the search, from 1: may wait, or answer instead."""
    root: dict[str, Any] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Searches that came: method, body or parameters, headers."""
    requests: list[str] = field(default_factory=list)
    """Paths that were asked."""
    url: str = ""

    def made(self, id_: str, moment: str, *, collection: str = "c", **properties: Any) -> dict[str, Any]:
        """Make an item in a collection, on one degree of the Gulf of Guinea."""
        return {
            "type": "Feature", "stac_version": "1.0.0", "id": id_, "collection": collection, "links": [], "assets": {},
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]},
            "bbox": [0, 0, 1, 1], "properties": {"datetime": moment, **properties},
        }  # fmt: skip

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a port of loopback; gives the address."""
        app = web.Application()
        app.router.add_route("*", "/stac{rest:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/stac"
        try:
            yield self.url
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/stac").rstrip("/")
        self.requests.append(path)
        if not path:
            return web.json_response(self.root if self.root is not None else self._root())
        if path == "/search":
            return await self._search(request)
        parts = path.split("/")[1:]
        if parts == ["collections"]:
            return self._collections(request)
        name = (
            parts[1]
            if len(parts) == 3 and parts[2] == "queryables"
            else ""
            if parts == ["queryables"]
            else None
        )
        if name is None or name not in self.queryables:
            return web.json_response({"code": "NotFound"}, status=404)
        return web.json_response(self.queryables[name])

    def _link(self, path: str) -> str:
        return f"/stac{path}" if self.relative else f"{self.url}{path}"

    def _root(self) -> dict[str, Any]:
        links = [
            {"rel": "self", "href": self._link("/")},
            {"rel": "data", "href": self._link("/collections")},
            {"rel": "search", "href": self._link("/search"), "method": "GET"},
        ]
        if self.style != "get":
            links.append({"rel": "search", "href": self._link("/search"), "method": "POST"})
        head = {"type": "Catalog", "stac_version": "1.0.0", "id": "x", "description": "A stand-in."}
        return {**head, "conformsTo": list(self.conforms), "links": links}

    def _collections(self, request: web.Request) -> web.Response:
        names = sorted({item["collection"] for item in self.items})
        start = int(request.query.get("offset", 0))
        page = names[start : start + self.collections_per_page]
        links = []
        if start + len(page) < len(names):
            links = [{"rel": "next", "href": self._link(f"/collections?offset={start + len(page)}")}]
        return web.json_response(
            {"collections": [{"type": "Collection", "id": n} for n in page], "links": links}
        )

    async def _search(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read()) if request.method == "POST" else _from_params(request)
        self.asked.append({"method": request.method, "body": body, "headers": dict(request.headers)})
        if self.before_search is not None:
            instead = await self.before_search(len(self.asked))
            if instead is not None:
                return instead
        start = int(body.get("token") or request.query.get("token") or request.headers.get("X-Token") or 0)
        found = [item for item in self.items if _fits(item, body)]
        for sort in reversed(body.get("sortby") or []):
            found.sort(key=partial(_sortable, sort["field"]), reverse=sort["direction"] == "desc")
        limit = int(body.get("limit", 10))
        page = found[start : start + limit]
        answer: dict[str, Any] = {"type": "FeatureCollection", "features": page, "links": []}
        if self.counts:
            answer["numberMatched"] = len(found)
        if start + limit < len(found):
            answer["links"] = [
                {"rel": "self", "href": self._link("/search")},
                self._next(request, body, start + limit),
            ]
        return web.json_response(answer)

    def _next(self, request: web.Request, body: dict[str, Any], start: int) -> dict[str, Any]:
        token, href = str(start), self._link("/search")
        if request.method == "GET":
            return {"rel": "next", "href": self._link(str(request.rel_url.update_query(token=token))[5:])}
        if self.style == "post-merge":
            return {"rel": "next", "href": href, "method": "POST", "merge": True, "body": {"token": token}}
        if self.style == "post-token":
            return {"rel": "next", "href": f"{href}?token={token}", "method": "POST"}
        if self.style == "post-headers":
            headers = {"X-Token": token, "Authorization": "Bearer stolen"}
            return {"rel": "next", "href": href, "method": "POST", "headers": headers, "body": body}
        return {"rel": "next", "href": href, "method": "POST", "body": {**body, "token": token}}


def _from_params(request: web.Request) -> dict[str, Any]:
    params = dict(parse_qsl(request.query_string))
    body: dict[str, Any] = dict(params)
    for name in ("collections", "ids", "q"):
        if name in params:
            body[name] = params[name].split(",")
    if "bbox" in params:
        body["bbox"] = [float(number) for number in params["bbox"].split(",")]
    if "intersects" in params:
        body["intersects"] = json.loads(params["intersects"])
    if "sortby" in params:
        body["sortby"] = [
            {"field": f.lstrip("+- "), "direction": "desc" if f.startswith("-") else "asc"}
            for f in params["sortby"].split(",")
        ]
    body.pop("filter", None)  # text, which is looked at as it came
    return body


def _fits(item: dict[str, Any], body: dict[str, Any]) -> bool:
    if body.get("ids") and item.get("id") not in body["ids"]:
        return False
    if body.get("collections") and item.get("collection") not in body["collections"]:
        return False
    if body.get("datetime"):
        start, end = parse_interval(body["datetime"])
        first, last = item_times(item)
        if first is None or last is None or (start and last < start) or (end and first > end):
            return False
    if isinstance(body.get("filter"), dict) and not cql2_here.matches(body["filter"], item):
        return False
    area = (
        box(*body["bbox"]) if "bbox" in body else shape(body["intersects"]) if "intersects" in body else None
    )
    return area is None or bool(shape(item["geometry"]).intersects(area))


def _sortable(name: str, item: dict[str, Any]) -> Any:
    value = item.get("id") if name == "id" else item["properties"].get(name.removeprefix("properties."))
    return (value is not None, value if value is not None else 0)


def run(awaitable: Awaitable[Any]) -> Any:
    """Run to its end, which no test waits for longer than half a minute."""

    async def within() -> Any:
        async with asyncio.timeout(30):
            return await awaitable

    return asyncio.run(within())
