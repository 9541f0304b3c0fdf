"""xcube's Tornado framework with the guard in front of every route, and our own before them."""

import asyncio
import contextvars
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.web
from xcube.core.tile import TileNotFoundException, TileRequestException
from xcube.core.varexpr import VarExprError
from xcube.server.api import ApiError, ApiRoute, ApiStaticRoute, Context
from xcube.server.webservers.tornado import TornadoFramework, TornadoRequestHandler
from xcube.webapi.timeseries.controllers import get_time_series

from xcube_cubehub import aside, geojson
from xcube_cubehub.access import current_identity
from xcube_cubehub.callers import Caller, Claim
from xcube_cubehub.checks import (
    Request,
    check_dimensions,
    check_parameters,
    check_variables,
    complete_range,
    message_of,
)
from xcube_cubehub.errors import BusyError, RequestError
from xcube_cubehub.fast.published import SOCKET
from xcube_cubehub.pages import (
    BasemapHandler,
    EmptyTileHandler,
    HealthHandler,
    NoExtensionsHandler,
    SessionHandler,
    ViewerConfigHandler,
    ViewerIndexHandler,
)
from xcube_cubehub.routes import (
    BASEMAP,
    CARDS,
    COMMON_COLLECTION_ROUTES,
    COMMON_COLLECTIONS,
    EMBED,
    EMBED_STYLE,
    IMAGE_ROUTES,
    NO_OVERLAY,
    PERMALINKS,
    PLACE_ROUTES,
    QUICKLOOK,
    VIEWER_CONFIG_FILES,
    VIEWER_DOCS,
    Guard,
    guard_of,
)
from xcube_cubehub.shared_pages import CardsHandler, EmbedHandler, PermalinkHandler, QuicklookHandler
from xcube_cubehub.web import Services, ToldError, identify, logged_failure, remember, told_error

log = logging.getLogger(__name__)
VIEWER_FILES = Path(str(resources.files("xcube_cubehub") / "viewer_files"))


class GuardedHandler(TornadoRequestHandler):
    """Runs before each of xcube's handlers: who is it, and is the route for them."""

    def __init__(self, application: Any, request: Any, *, services: Services, **kwargs: Any) -> None:
        self.services = services
        self.route_path: str = kwargs["api_route"].path
        self.caller = Caller()
        self._personal = False
        super().__init__(application, request, **kwargs)

    async def prepare(self) -> None:
        """Verify the token, set the identity of this request, refuse what is closed or not for this person."""
        current_identity.set(None)
        connection: Any = self.request.connection
        aside.client_gone.set(connection.stream.closed)
        guard = guard_of(self.route_path)
        if guard is Guard.CLOSED:
            raise tornado.web.HTTPError(404, "not served here")
        if self.route_path == "/" and "text/html" in self.request.headers.get("Accept", ""):
            self.redirect(f"{self.services.settings.prefix}/viewer/")
            return
        # xcube's negotiation fails without one
        self.request.headers.setdefault("Accept", "*/*")
        arguments = {name: value or "" for name, value in self.path_kwargs.items()}
        request = Request.read(self.route_path, arguments, parse_qs(self.request.query))
        claim = await identify(self, self.services, images=self.route_path in IMAGE_ROUTES)
        if self.route_path == "/datasets" and self.request.method == "GET":
            remember(self, self.services, claim)
        self._personal = bool(claim.token)
        if guard is not Guard.OPEN:
            await self._admit(request, claim)
        if self.request.method in {"GET", "HEAD", "POST"}:
            await self._check(request)

    async def _admit(self, request: Request, claim: Claim) -> None:
        """Set the identity of this request; refuse what it names and its sender may not read."""
        named = request.cubes
        # What everybody may read is read without asking the realm about anybody. Whatever else is named is treated
        # alike, there or not: the time that the asking takes would tell.
        if named and all(self.services.policy.is_public(ds_id) for ds_id in named):
            return
        self.caller = await self.services.callers.confirm(claim)
        current_identity.set(self.caller.identity)
        for ds_id in named:
            common = ds_id in COMMON_COLLECTIONS and self.route_path in COMMON_COLLECTION_ROUTES
            if not common and not self.services.policy.allows(ds_id):
                if self.caller.problem is not None or guard_of(self.route_path) is Guard.DATASET:
                    raise self._refusal(404, f'Dataset "{ds_id}" not found')
                return  # the object store and WMTS say that in their own words

    def _refusal(self, status: int, message: str) -> tornado.web.HTTPError:
        """Give the error for a request that failed; what is not there may only be hidden by a sign-in that is over."""
        problem = self.caller.problem
        if status == 404 and problem is not None:
            return ToldError(problem.status, problem)
        return tornado.web.HTTPError(status, message)

    def finish(self, chunk: Any = None) -> Any:
        """Say to caches whose answer it is, last: errors lose their headers, and volumes of xcube bring their own."""
        self.set_header("Vary", "Authorization, Cookie")
        if self._personal:
            self.set_header("Cache-Control", "private, no-store")
        return super().finish(chunk)

    async def _check(self, request: Request) -> None:
        """Refuse what cannot be answered, so that what fails in xcube is the server's own fault."""
        datasets = self.server_ctx.get_api_ctx("datasets")
        try:
            check_parameters(request, self.request.headers["Accept"])
            check_variables(request, datasets)
            check_dimensions(request, datasets)
            added = complete_range(request, datasets)
            if self.request.method == "POST" and self.route_path in PLACE_ROUTES:
                await self.server_ctx.run_in_executor(
                    None, geojson.check, self.request.body, geojson.most(self.route_path)
                )
        except RequestError as error:
            raise ToldError(error.status, error) from error
        except ApiError as error:
            raise self._refusal(error.status_code, error.message) from error
        extra = [f"{name}={value}" for name, value in added.items()]
        self.request.query = "&".join(filter(None, [self.request.query, *extra]))

    async def _call_method(self, method_name: str, *args: Any, **kwargs: Any) -> None:
        """Answer by xcube; what it raises about a request by name, and then lets pass as a failure, is a 400."""
        method = getattr(self._api_handler, method_name)
        line = self.services.lines.of(self.route_path)
        try:
            if line is not None and asyncio.iscoroutinefunction(method):
                await aside.answer(line, self._api_handler, method, *args, **kwargs)
            else:
                await super()._call_method(method_name, *args, **kwargs)
        except BusyError as error:
            raise ToldError(error.status, error) from error
        except ApiError as error:
            raise self._refusal(error.status_code, error.message) from error
        except VarExprError as error:
            raise tornado.web.HTTPError(400, f"the expression cannot be used: {message_of(error)}") from error
        except TileRequestException as error:
            raise tornado.web.HTTPError(400, message_of(error)) from error
        except TileNotFoundException as error:
            raise tornado.web.HTTPError(404, message_of(error)) from error

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors without the traceback that stock xcube sends."""
        told_error(self, status_code, kwargs)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado's own would log the query, and with it the code of a sign-in."""
        logged_failure(self, typ, value, tb)


def log_request(handler: tornado.web.RequestHandler) -> None:
    """One line per failed request, without the query: a sign-in comes back with its code in the query."""
    status = handler.get_status()
    level = logging.ERROR if status >= 500 else logging.INFO if status >= 400 else logging.DEBUG
    request = handler.request
    log.log(level, "%d %s %s %.0f ms", status, request.method, request.path, 1000 * request.request_time())


class GuardedFramework(TornadoFramework):
    """Tornado with the guard; give it `Services` before the server is made."""

    def __init__(self, services: Services) -> None:
        # What is text goes packed to those who unpack: the viewer's scripts are a third of their size
        super().__init__(
            application=tornado.web.Application(log_function=log_request, compress_response=True)
        )
        self._services = services

    def add_routes(self, api_routes: Sequence[ApiRoute], url_prefix: str) -> None:
        """Our own routes first (the first match wins), then xcube's, each behind the guard."""
        shared = {"services": self._services}
        files = {"path": str(VIEWER_FILES)}
        handlers: list[Any] = [
            (f"{url_prefix}/health", HealthHandler, shared),
            (f"{url_prefix}/session", SessionHandler, shared),
            (url_prefix + NO_OVERLAY, EmptyTileHandler, shared),
            (url_prefix + BASEMAP, BasemapHandler, shared),
            (url_prefix, tornado.web.RedirectHandler, {"url": f"{url_prefix}/viewer/", "permanent": False}),
            (url_prefix + CARDS, CardsHandler, shared),
            (url_prefix + QUICKLOOK, QuicklookHandler, shared),
            (url_prefix + EMBED, EmbedHandler, shared),
            (url_prefix + EMBED_STYLE, tornado.web.StaticFileHandler, files),
            (url_prefix + PERMALINKS, PermalinkHandler, shared),
            (f"{url_prefix}/viewer/(?:index.html)?", ViewerIndexHandler, shared),
            (f"{url_prefix}/viewer/ext/contributions", NoExtensionsHandler, shared),
            (f"{url_prefix}/viewer/config/config.json", ViewerConfigHandler, shared),
            (url_prefix + VIEWER_CONFIG_FILES, tornado.web.StaticFileHandler, files),
            (url_prefix + VIEWER_DOCS, tornado.web.StaticFileHandler, files),
        ]
        for route in api_routes:
            pattern = url_prefix + self.path_to_pattern(route.path) + ("/?" if route.slash else "")
            handlers.append((pattern, GuardedHandler, {"api_route": route, **shared}))
        self.application.add_handlers(".*$", handlers)

    def add_static_routes(self, api_routes: Sequence[ApiStaticRoute], url_prefix: str) -> None:
        """Only the viewer's files: nothing else of this machine is handed out as a file."""
        super().add_static_routes([route for route in api_routes if route.path == "/viewer"], url_prefix)

    def start(self, ctx: Context) -> None:
        """Listen where only the processes in front can come from; they are who the address tells."""
        server = tornado.httpserver.HTTPServer(self.application, **ctx.config.get("tornado", {}))
        path = self._services.settings.state_dir / SOCKET
        # by its name alone: such a path may have 107 bytes, and folders are deep
        os.chdir(path.parent)
        server.add_socket(tornado.netutil.bind_unix_socket(SOCKET, mode=0o600))
        self.io_loop.start()

    def stop(self, ctx: Context) -> None:
        """Stop; what waits for a thread is not begun any more."""
        self._services.lines.stop()
        super().stop(ctx)

    def run_in_executor(
        self, executor: Executor | None, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Awaitable[Any]:
        """Run in a thread with the identity of the request: stock xcube's threads would see nobody."""
        context = contextvars.copy_context()
        call = functools.partial(context.run, function, *args, **kwargs)
        if function is get_time_series:
            return self._services.lines.series.run(call)
        result: Awaitable[Any] = tornado.ioloop.IOLoop.current().run_in_executor(executor, call)
        return result
