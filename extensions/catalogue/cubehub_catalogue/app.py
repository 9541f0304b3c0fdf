"""What installing the package switches on in a Jupyter server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.utils import url_path_join
from tornado.routing import PathMatches, Router, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cubehub_catalogue.handling import Route

PREFIX = "cubehub/catalogue"


class LazyRoutes(Router):
    """Routes that are made when the first of them is asked for.

    Every person's server loads the extension, and not everybody searches: what the routes need takes half a second
    and 50 MiB.

    Parameters
    ----------
    web_app
        The server's.
    base
        Address that all of them stand below.
    make
        Gives them.
    """

    SUPPORTED_METHODS = ()
    """Jupyter Server looks for methods without a log-in among these; the handlers' own are tried in the tests."""

    def __init__(self, web_app: Any, base: str, make: Callable[[], Sequence[Route]]) -> None:
        self._web_app, self._base, self._make = web_app, base, make
        self._rules: list[tuple[PathMatches, Any, dict[str, Any]]] | None = None

    def find_handler(self, request: Any, **_: Any) -> Any:
        """Give what answers a request; None where no route does."""
        if self._rules is None:
            self._rules = [
                (PathMatches(url_path_join(self._base, pattern)), handler, shared)
                for pattern, handler, shared in self._make()
            ]
        for matcher, handler, shared in self._rules:
            found = matcher.match(request)
            if found is not None:
                return self._web_app.get_handler_delegate(request, handler, shared, **found)
        return None


def load(serverapp: Any) -> None:
    """Give the panel what it asks.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server, with its web application made.
    """
    base = url_path_join(serverapp.web_app.settings["base_url"], PREFIX)
    routes = LazyRoutes(serverapp.web_app, base, lambda: _routes(serverapp))
    serverapp.web_app.add_handlers(".*$", [Rule(PathMatches(f"{base}/.*"), routes)])
    serverapp.log.info("cubehub_catalogue: catalogues are searched from the panel and from Python")


def _routes(serverapp: Any) -> list[Route]:
    """Make all routes.

    Notes
    -----
    Settings that can't be read do not keep the server from working: the panel shows what is wrong with them.
    """
    from cubehub_catalogue import settings  # noqa: PLC0415 - see LazyRoutes
    from cubehub_catalogue.context import Context  # noqa: PLC0415
    from cubehub_catalogue.errors import CatalogueError  # noqa: PLC0415
    from cubehub_catalogue.table import all_routes  # noqa: PLC0415

    found: settings.Settings | CatalogueError
    try:
        found = settings.here()
    except CatalogueError as error:
        serverapp.log.warning("cubehub_catalogue: %s %s", error.message, error.hint)
        found = error
    home = Path(serverapp.root_dir or Path.home())
    return all_routes(Context(found, home, Path(jupyter_data_dir()) / "cubehub-catalogue"))
