"""The same items as a static STAC catalogue, for machines without PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from cubehub_stac.guard import PERSON
from cubehub_stac.reading import Source
from cubehub_stac.sources import Contents
from cubehub_stac.visibility import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cubehub_stac.config import Config
    from cubehub_stac.visibility import Person

_GEOJSON = "application/geo+json"
_CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
_PAGE, _LARGEST_PAGE = 100, 1000


class StaticCatalogue:
    """Documents of a catalogue that can be walked from its root, with absolute links throughout."""

    def __init__(self, config: Config, hint: str) -> None:
        self.config = config
        self.hint = hint
        self.contents = Contents()
        self._reading = threading.Lock()

    def reload(self) -> None:
        """Read the files again."""
        with self._reading:  # what was written before is in what is read, whoever else reads
            self.contents = Source.of(self.config).read()

    async def put(self, collection: dict[str, Any], item: dict[str, Any]) -> None:  # noqa: ARG002 -- read from files
        """Show an item that was written."""
        await asyncio.to_thread(self.reload)

    async def remove(self, collection: str, item_id: str, left: dict[str, Any] | None) -> None:  # noqa: ARG002
        """Show an item no longer whose file is gone."""
        await asyncio.to_thread(self.reload)

    def _url(self, *parts: str) -> str:
        return self.config.root_url + "/".join(quote(part, safe="") for part in parts)

    def _links(self, own: str, parent: str, **more: str) -> list[dict[str, str]]:
        root = self.config.root_url
        links = [
            {"rel": rel, "href": href}
            for rel, href in {"self": own, "root": root, "parent": parent, **more}.items()
        ]
        return [
            {**link, "type": _GEOJSON if link["rel"] == "items" else "application/json"} for link in links
        ]

    def root(self, person: Person | None = None) -> dict[str, Any]:
        """Build the catalogue's root as a person sees it, whose description says that search is missing and how to get it."""
        own = self.config.root_url
        links = self._links(own, own, data=self._url("collections"), conformance=self._url("conformance"))
        links = [link for link in links if link["rel"] != "parent"]
        for name, collection in sorted(self.contents.collections.items()):
            if not readable(name, person):
                continue
            title = collection.get("title", name)
            links.append(
                {
                    "rel": "child",
                    "href": self._url("collections", name),
                    "type": "application/json",
                    "title": title,
                }
            )
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "cubehub",
            "title": self.config.title,
            "description": f"Cubes and scenes of this platform. Search is not available here: {self.hint}",
            "conformsTo": _CONFORMS,
            "links": links,
        }

    def names(self, person: Person | None) -> list[str]:
        """Give the collections that a person may see."""
        return [name for name in sorted(self.contents.collections) if readable(name, person)]

    def collection(self, name: str) -> dict[str, Any] | None:
        """Build one collection with links to its items, or None."""
        found = self.contents.collections.get(name)
        if found is None:
            return None
        own = self._url("collections", name)
        links = self._links(own, self.config.root_url, items=self._url("collections", name, "items"))
        for owner, item_id in sorted(self.contents.items):
            if owner == name:
                href = self._url("collections", name, "items", item_id)
                links.append({"rel": "item", "href": href, "type": _GEOJSON})
        return {**found, "links": [*links, *found["links"]]}

    def item(self, collection: str, item_id: str) -> dict[str, Any] | None:
        """Build one item, or None."""
        found = self.contents.items.get((collection, item_id))
        if found is None:
            return None
        owner = self._url("collections", collection)
        own = self._url("collections", collection, "items", item_id)
        return {**found, "links": [*self._links(own, owner, collection=owner), *found["links"]]}

    def page(self, collection: str, limit: int, offset: int) -> dict[str, Any] | None:
        """Build one page of a collection's items, or None."""
        if collection not in self.contents.collections:
            return None
        ids = sorted(item_id for owner, item_id in self.contents.items if owner == collection)
        own = self._url("collections", collection, "items")
        links = self._links(own, self._url("collections", collection))
        if offset + limit < len(ids):
            query = urlencode({"limit": limit, "offset": offset + limit})
            links.append({"rel": "next", "href": f"{own}?{query}", "type": _GEOJSON})
        shown = ids[offset : offset + limit]
        return {
            "type": "FeatureCollection",
            "features": [self.item(collection, item_id) for item_id in shown],
            "numberMatched": len(ids),
            "numberReturned": len(shown),
            "links": links,
        }


def create_app(config: Config, catalogue: StaticCatalogue) -> Starlette:
    """Build the application that serves `catalogue` at the addresses of a STAC API."""

    def document(make: Callable[[Request], dict[str, Any] | None]) -> Callable[[Request], JSONResponse]:
        def endpoint(request: Request) -> JSONResponse:
            found = make(request)
            return _missing() if found is None else JSONResponse(found)

        return endpoint

    def collections(request: Request) -> dict[str, Any]:
        own = f"{config.root_url}collections"
        names = catalogue.names(_person(request))
        links = [{"rel": "self", "href": own}, {"rel": "root", "href": config.root_url}]
        return {
            "collections": [found for name in names if (found := catalogue.collection(name))],
            "links": links,
        }

    def items(request: Request) -> JSONResponse:
        try:
            limit = min(int(request.query_params.get("limit", _PAGE)), _LARGEST_PAGE)
            offset = int(request.query_params.get("offset", 0))
        except ValueError:
            limit = offset = -1
        if limit < 1 or offset < 0:
            description = "limit must be a positive whole number, offset one from 0"
            return JSONResponse({"code": "InvalidQueryParameter", "description": description}, 400)
        ignored = set(request.query_params) - {"limit", "offset"}
        if ignored:
            return _no_search(request, catalogue.hint)
        page = catalogue.page(request.path_params["collection"], limit, offset)
        return _missing() if page is None else JSONResponse(page, media_type=_GEOJSON)

    def search(request: Request) -> JSONResponse:
        return _no_search(request, catalogue.hint)

    path = request_path = config.prefix
    routes = [
        Route(f"{path}/", document(lambda r: catalogue.root(_person(r)))),
        Route(f"{path}/conformance", document(lambda _: {"conformsTo": _CONFORMS})),
        Route(f"{path}/collections", document(collections)),
        Route(
            f"{path}/collections/{{collection}}",
            document(lambda r: catalogue.collection(r.path_params["collection"])),
        ),
        Route(f"{path}/collections/{{collection}}/items", items),
        Route(
            f"{path}/collections/{{collection}}/items/{{item}}",
            document(lambda r: catalogue.item(r.path_params["collection"], r.path_params["item"])),
        ),
        Route(f"{request_path}/search", search, methods=["GET", "POST"]),
    ]
    cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET"])
    return Starlette(routes=routes, middleware=[cors])


def _person(request: Request) -> Person | None:
    person: Person | None = getattr(request.state, PERSON, None)
    return person


def _missing() -> JSONResponse:
    return JSONResponse({"code": "NotFoundError", "description": "The catalogue has no such thing."}, 404)


def _no_search(_request: Request, hint: str) -> JSONResponse:
    """Say that search is missing; an unfiltered answer would look like a result."""
    return JSONResponse(
        {"code": "NotImplemented", "description": "Search is not available.", "hint": hint}, 501
    )
