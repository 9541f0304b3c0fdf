"""What installing the package switches on in a Jupyter server."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.utils import url_path_join

from cubehub_catalogue import settings
from cubehub_catalogue.context import Context
from cubehub_catalogue.errors import CatalogueError

if TYPE_CHECKING:
    from cubehub_catalogue.handling import Route

PREFIX = "cubehub/catalogue"
_PARTS = ("routes", "picture_routes", "download_routes", "code_routes", "saved_routes")
"""Modules that each have a function `handlers(context)`."""


def load(serverapp: Any) -> None:
    """Give the panel what it asks.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server, with its web application made.

    Notes
    -----
    Settings that can't be read do not keep the server from starting: the panel shows what is wrong with them.
    """
    found: settings.Settings | CatalogueError
    try:
        found = settings.here()
    except CatalogueError as error:
        serverapp.log.warning("cubehub_catalogue: %s %s", error.message, error.hint)
        found = error
    context = Context(
        found, Path(serverapp.root_dir or Path.home()), Path(jupyter_data_dir()) / "cubehub-catalogue"
    )
    add_routes(serverapp.web_app, context)
    serverapp.log.info("cubehub_catalogue: catalogues are searched from the panel and from Python")


def routes(context: Context) -> list[Route]:
    """Give all routes, their patterns below the prefix."""
    return [route for part in _PARTS for route in _handlers(part, context)]


def add_routes(web_app: Any, context: Context) -> None:
    """Put the routes into a web application, below its own base address."""
    base = web_app.settings["base_url"]
    web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, PREFIX, pattern), handler, shared)
            for pattern, handler, shared in routes(context)
        ],
    )


def _handlers(part: str, context: Context) -> list[Route]:
    name = f"cubehub_catalogue.{part}"
    if importlib.util.find_spec(name) is None:
        return []
    found: list[Route] = import_module(name).handlers(context)
    return found
