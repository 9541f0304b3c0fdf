"""All routes of the extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.web import authenticated

from cubehub_catalogue import code_routes, download_routes, picture_routes, routes, saved_routes
from cubehub_catalogue.errors import UnknownError
from cubehub_catalogue.handling import Handler

if TYPE_CHECKING:
    from cubehub_catalogue.context import Context
    from cubehub_catalogue.handling import Route


class NothingHandler(Handler):
    """What is asked of no route."""

    @authenticated
    def get(self) -> None:
        """Say so in JSON, as all errors are said."""
        raise UnknownError(
            "not_found", f"There is nothing at {self.request.path[-80:]}.", "Load the page anew."
        )

    post = put = patch = delete = get


def all_routes(context: Context) -> list[Route]:
    """Give all routes, their patterns below ``cubehub/catalogue/``."""
    shared = {"context": context}
    parts = (routes, picture_routes, download_routes, code_routes, saved_routes)
    return [*(route for part in parts for route in part.handlers(context)), (".*", NothingHandler, shared)]
