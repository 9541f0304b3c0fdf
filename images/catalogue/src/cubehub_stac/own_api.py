"""`<prefix>/own`: what people register, see and take away of their own items."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from cubehub_stac.guard import PERSON, missing
from cubehub_stac.own import OwnError
from cubehub_stac.own_checks import MAX_BYTES, parse
from cubehub_stac.own_export import write_zip
from cubehub_stac.own_items import text_of
from cubehub_stac.repair import RefusedError
from cubehub_stac.visibility import collections_of, own_collection, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from starlette.requests import Request

    from cubehub_stac.config import Config
    from cubehub_stac.own import Registry
    from cubehub_stac.own_items import Entry
    from cubehub_stac.visibility import Person

_CHUNK = 1 << 16


def create_own(config: Config, registry: Registry) -> Starlette:
    """Build the application that serves everything below `<prefix>/own`."""

    async def overview(request: Request) -> JSONResponse:
        person = _person(request)
        items, size = registry.used(person)
        counts = {name: len(registry.within(name)) for name in collections_of(person)}
        return JSONResponse(
            {
                "name": person.name,
                "collections": [
                    {"id": name, "items": count} for name, count in sorted(counts.items()) if count
                ],
                "own_collection": own_collection(person.id) if person.id else None,
                "groups": sorted(person.groups),
                "items": items,
                "bytes": size,
                "limit": {"items": config.own_items, "bytes": config.own_bytes, "item_bytes": MAX_BYTES},
            }
        )

    async def listed(request: Request) -> JSONResponse:
        person = _person(request)
        return JSONResponse({"items": [_told(config, entry) for entry in registry.of(person)]})

    async def register(request: Request) -> JSONResponse:
        person = _person(request)
        given = parse(await _body(request))
        if (
            not isinstance(given, dict)
            or "item" not in given
            or not isinstance(given.get("group"), str | None)
        ):
            raise OwnError(
                400, "bad_request", "The body is no registration.",
                'It is {"item": ITEM} or {"item": ITEM, "group": "/GROUP"}.',
            )  # fmt: skip
        change = await registry.register(person, given["item"], given.get("group"))
        return JSONResponse(_told(config, change.entry), 201 if change.anew else 200)

    async def unregister(request: Request) -> JSONResponse:
        person = _person(request)
        where = request.path_params
        await registry.unregister(person, where["collection"], where["item"])
        return JSONResponse({"removed": where["item"], "collection": where["collection"]})

    async def export(request: Request) -> Any:
        person = _person(request)
        asked = request.query_params.getlist("collection")
        if not all(name in collections_of(person) and readable(name, person) for name in asked):
            return missing()
        chosen = asked or sorted(collections_of(person))
        file = await run_in_threadpool(_zipped, config, registry, person, chosen)
        return StreamingResponse(
            _pieces(file),
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="catalogue.zip"'},
        )

    base = f"{config.prefix}/own"
    routes = [
        Route(base, overview, methods=["GET"]),
        Route(f"{base}/items", listed, methods=["GET"]),
        Route(f"{base}/items", register, methods=["POST"]),
        Route(f"{base}/items/{{collection}}/{{item}}", unregister, methods=["DELETE"]),
        Route(f"{base}/export", export, methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    app.add_exception_handler(OwnError, _refused)
    app.add_exception_handler(RefusedError, _not_valid)
    app.add_exception_handler(404, _no_route)
    app.add_exception_handler(405, _no_route)
    return app


def _person(request: Request) -> Person:
    person: Person | None = getattr(request.state, PERSON, None)
    if person is None:
        raise OwnError(
            401, "no_token", "Own items need a token of the Hub.",
            "In a server on the platform it is there by itself (JUPYTERHUB_API_TOKEN).",
        )  # fmt: skip
    return person


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise OwnError(
                413,
                "too_large",
                f"An item may have {MAX_BYTES} bytes.",
                "Leave out what the search needs not.",
            )
    return bytes(body)


def _told(config: Config, entry: Entry) -> dict[str, Any]:
    where = f"{config.root_url}collections/{entry.collection}/items/{quote(entry.item_id, safe='')}"
    return {
        "id": entry.item_id,
        "collection": entry.collection,
        "group": entry.group,
        "owner": entry.owner_name,
        "registered": entry.registered,
        "datetime": text_of(entry.first),
        "title": entry.title,
        "href": where,
    }


def _zipped(config: Config, registry: Registry, person: Person, names: list[str]) -> IO[bytes]:
    file = tempfile.TemporaryFile(dir=config.state_dir)  # noqa: SIM115 -- closed when it is sent
    try:
        write_zip(file, person.name, registry, names, config.public_url)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_CHUNK):
            yield piece


async def _refused(_request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"code": error.code, "description": str(error), "hint": error.hint}, error.status)


async def _not_valid(_request: Request, error: Exception) -> JSONResponse:
    hint = "Put it right and register it again."
    return JSONResponse(
        {"code": "invalid_item", "description": f"The item can't be used: {error}.", "hint": hint}, 422
    )


async def _no_route(_request: Request, error: Any) -> JSONResponse:
    body = {
        "code": "NotFoundError",
        "description": str(error.detail),
        "hint": "own, own/items and own/export are served.",
    }
    return JSONResponse(body, error.status_code, headers=error.headers)
