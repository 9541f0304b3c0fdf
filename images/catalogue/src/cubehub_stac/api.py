"""The STAC API over pgstac: stac-fastapi's, read-only, with the searches it gets wrong put right."""

from __future__ import annotations

import logging
import re
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import asyncpg
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import ValidationError
from stac_fastapi.pgstac.app import instantiate_api
from stac_fastapi.pgstac.config import PostgresSettings, Settings
from stac_fastapi.pgstac.core import CoreCrudClient
from stac_fastapi.pgstac.db import close_db_connection, connect_to_db
from stac_fastapi.pgstac.models.extensions import Extensions
from stac_fastapi.types.errors import InvalidQueryParameter
from starlette.exceptions import HTTPException as StarletteHTTPException

from cubehub_stac.asked import BadRequestError, check_body, check_query, describe
from cubehub_stac.boxes import boxes_geometry, split_box
from cubehub_stac.guard import PERSON
from cubehub_stac.postgres import DATABASE, READER
from cubehub_stac.visibility import NOTHING, readable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stac_fastapi.pgstac.types.search import PgstacSearch

    from cubehub_stac.config import Config

log = logging.getLogger("cubehub_stac")

MAX_DEPTH = 64
MAX_QUERY_BYTES = 4 * 1024 * 1024

_HINT = "See the API's description (api.html) and, for filter, query and sortby, the queryables."
_DESCRIPTION = "Cubes and scenes of this platform, searchable by place, time and properties."


class SocketSettings(PostgresSettings):
    """Connects over the private socket, as the role that may only read."""

    pguser: str = READER
    pgpassword: str = ""
    pghost: str = ""
    pgport: int = 5432
    pgdatabase: str = DATABASE
    db_min_conn_size: int = 1
    db_max_conn_size: int = 4

    @property
    def connection_string(self) -> str:
        """Address of the socket's folder; `postgresql://` puts it into the query."""
        return f"postgresql://{self.pguser}@/{self.pgdatabase}?host={self.pghost}&port={self.pgport}"


_listed: ContextVar[list[str] | None] = ContextVar("_listed", default=None)
"""While collections are listed, the ids of those that may be."""


class Client(CoreCrudClient):  # type: ignore[misc]
    """stac-fastapi-pgstac's client, with boxes made plain before they reach pgstac, and collections only for whom they are.

    pgstac takes a box over the antimeridian for its complement and fails on one with heights.
    """

    async def all_collections(self, request: Request, **kwargs: Any) -> Any:
        """Answer `GET /collections`, and give the landing page its children."""
        token = _listed.set(await _visible(request))
        try:
            return await super().all_collections(request=request, **kwargs)
        finally:
            _listed.reset(token)

    async def _search_base(self, search_request: PgstacSearch, request: Request) -> Any:
        asked = search_request.collections
        visible = await _visible(request)
        chosen = visible if not asked else [name for name in visible if name in asked]
        # never without: a search over all would be one over private ones too
        search_request.collections = chosen or [NOTHING]
        if search_request.token and not _token_readable(search_request.token, request):
            raise HTTPException(400, "The search can't be run: there is no such page.")
        return await super()._search_base(search_request, request=request)

    def _clean_search_args(self, base_args: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        clean: dict[str, Any] = super()._clean_search_args(base_args, *args, **kwargs)
        if (listed := _listed.get()) is not None:
            clean["ids"] = listed or [NOTHING]
        if bbox := clean.pop("bbox", None):
            clean.update(_plain(bbox, clean.get("intersects")))
        return clean

    async def post_search(self, search_request: PgstacSearch, request: Request, **kwargs: Any) -> Any:
        """Answer `POST /search`."""
        if search_request.bbox:
            plain = _plain(search_request.bbox, search_request.intersects)
            given = search_request.model_dump(exclude_unset=True, by_alias=True)
            search_request = type(search_request).model_validate({**given, "bbox": None, **plain})
        return await super().post_search(search_request, request=request, **kwargs)


async def _visible(request: Request) -> list[str]:
    async with request.app.state.get_connection(request, "r") as connection:
        rows = await connection.fetch("SELECT id FROM collections ORDER BY id")
    person = getattr(request.state, PERSON, None)
    return [row["id"] for row in rows if readable(row["id"], person)]


def _token_readable(token: str, request: Request) -> bool:
    """Whether the item at which a page begins is one the person may see: pgstac starts from it whatever else is asked."""
    try:
        collection = bytes.fromhex(token.split(":")[-2]).decode()
    except (IndexError, ValueError):
        return True  # names none, and is refused by pgstac
    return readable(collection, getattr(request.state, PERSON, None))


def _plain(bbox: Any, intersects: Any) -> dict[str, Any]:
    if intersects:
        raise HTTPException(400, "Give bbox or intersects, not both.")
    try:
        boxes = split_box(bbox)
    except (TypeError, ValueError) as error:
        raise HTTPException(400, f"Invalid bbox: {error}") from error
    if len(boxes) == 1:
        return {"bbox": list(boxes[0])}
    return {"intersects": boxes_geometry(boxes)}


def create_app(config: Config, host: str) -> FastAPI:
    """Build the application that serves the database behind the socket in `host`."""
    settings = Settings(
        stac_fastapi_title=config.title,
        stac_fastapi_description=_DESCRIPTION,
        stac_fastapi_landing_id="cubehub",
        stac_fastapi_version="1.0",
        prefix_path=config.prefix,
        openapi_url=f"{config.prefix}/api",
        docs_url="",
        use_api_hydrate=True,
        exclude_hydrate_markers=True,
        enable_transactions_extensions=False,
        root_path="",
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await connect_to_db(app, postgres_settings=SocketSettings(pghost=host))
        yield
        await close_db_connection(app)

    app = instantiate_api(
        # Not from the settings: stac-fastapi reads these once, from the environment, when it is imported.
        client=partial(Client, landing_page_id="cubehub", title=config.title, description=_DESCRIPTION),
        extensions=Extensions(settings=settings),
        lifespan=lifespan,
        settings=settings,
    ).app
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(InvalidQueryParameter, _invalid)
    app.add_exception_handler(asyncpg.PostgresError, _database_error)
    app.add_exception_handler(asyncpg.InterfaceError, _unavailable)
    app.add_exception_handler(OSError, _unavailable)
    app.add_exception_handler(Exception, _unexpected)
    # The landing page links the route of this name; FastAPI's own would load scripts from an outside host.
    app.add_api_route(
        f"{config.prefix}/api.html", _documentation, name="swagger_ui_html", include_in_schema=False
    )
    app.middleware("http")(_see_through(config.prefix))
    return app


async def _documentation(request: Request) -> HTMLResponse:
    """List what can be called, from the same description that programs read."""
    paths = request.app.openapi()["paths"]
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(call.get('summary', ''))}</td></tr>"
        for path, calls in sorted(paths.items())
        for method, call in calls.items()
    ]
    title = escape(request.app.title)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        f'<p>A STAC API. For programs: <a href="{escape(request.app.openapi_url)}">OpenAPI description</a>.</p>'
        f"<table>{''.join(rows)}</table></html>"
    )


def _see_through(prefix: str) -> Any:
    """Refuse what stac-fastapi fails on, and what it passes over: an answer that pretends to have searched is worse than none."""

    async def middleware(request: Request, call_next: Any) -> Any:
        body = await request.body() if request.method == "POST" else b""
        if too_deep(request.url.query) or too_deep(body.decode("latin-1")):
            return _answer(
                400, "InvalidFilter", "The filter is nested too deeply, or too long.", "Write a simpler one."
            )
        path = request.url.path.removeprefix(prefix)
        try:
            check_query(path, request.query_params.multi_items())
            if request.method == "POST" and path == "/search":
                check_body(body)
        except BadRequestError as error:
            return _answer(400, "InvalidQueryParameter", str(error), _HINT)
        return await call_next(request)

    return middleware


def too_deep(text: str) -> bool:
    """Tell whether a query or body nests deeper than any filter a person means.

    Notes
    -----
    The parsers below recurse without a bound of their own: some thousand brackets end the whole process.
    """
    if len(text) > MAX_QUERY_BYTES:
        return True
    depth = 0
    for sign in unquote_plus(text):
        if sign in "([{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif sign in ")]}":
            depth -= 1
    return len(re.findall(r"\bnot\b", text, re.IGNORECASE)) > MAX_DEPTH


def _answer(status: int, code: str, description: str, hint: str) -> JSONResponse:
    return JSONResponse({"code": code, "description": description, "hint": hint}, status)


async def _not_valid(_request: Request, error: Any) -> JSONResponse:
    return _answer(400, "InvalidQueryParameter", describe(error.errors()), _HINT)


async def _refused(_request: Request, error: Any) -> JSONResponse:
    description = str(error.detail)
    if isinstance(error.__cause__, ValidationError):
        # its own text is long, and sends people to pydantic's pages
        description = describe(error.__cause__.errors())
    code = {400: "InvalidQueryParameter", 404: "NotFoundError"}.get(error.status_code, "HTTPException")
    answer = _answer(error.status_code, code, description, _HINT if error.status_code == 400 else "")
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    # stac-fastapi names the parameter datetime whichever held the time that the database couldn't read
    return _not_run(error.__cause__ or error)


def _not_run(error: BaseException) -> JSONResponse:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return _answer(400, "InvalidQueryParameter", f"The search can't be run: {first}", _HINT)


async def _database_error(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError):
        return await _unavailable(_request, error)
    state = getattr(error, "sqlstate", "") or ""
    # Class 22 is data that doesn't fit, 42 names or types that don't exist, P0 what pgstac itself raises.
    if state[:2] in {"22", "42", "P0"}:
        return _not_run(error)
    log.error("a search failed in the database: %s %s", state, error)
    return _answer(500, "DatabaseError", "The search failed in the database.", "The service's log says more.")


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    log.warning("the database is not reachable: %s", error)
    return _answer(
        503, "Unavailable", "The catalogue's database is just starting.", "Try again in some seconds."
    )


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", exc_info=error)
    return _answer(500, "InternalError", "The catalogue made a mistake.", "The service's log says more.")
