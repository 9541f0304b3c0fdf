"""What the pages of a server ask it: cheap to answer, and nothing that is anybody else's."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from cubehub_account.state import state

_MOST_KEYS, _LONGEST_KEY = 200, 200
_ERRORS = {
    400: (
        "bad_input",
        "Load the page anew. A program that asks finds the form in the README of cubehub-account.",
    ),
    403: ("forbidden", "Log in again, then load the page anew."),
    405: ("method_not_allowed", "Load the page anew."),
}
"""Code and hint by status."""


class Handler(APIHandler):
    """Answers errors as all of CubeHub does."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write ``{code, message, hint}``; of an error of ours nothing but that there was one."""
        code, hint = _ERRORS.get(
            status_code, ("internal_error", "Try again; the server's log has the cause.")
        )
        error = kwargs.get("exc_info", (None, None))[1]
        said = (error.log_message or error.reason) if isinstance(error, HTTPError) else None
        message = said or HTTPStatus(status_code).phrase
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"code": code, "message": message, "hint": hint}))


class StatusHandler(Handler):
    """Use, limit, profile, home and notices of this server."""

    @authenticated
    def get(self) -> None:
        """Answer from what is known; nothing is waited for."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(state().status()))


class SeenHandler(Handler):
    """Which notices were shown to the person."""

    @authenticated
    def post(self) -> None:
        """Note the keys of the body; no page shows those notices again."""
        try:
            keys = json.loads(self.request.body)["keys"]
        except (ValueError, KeyError, TypeError):
            keys = None
        if not isinstance(keys, list) or len(keys) > _MOST_KEYS or not all(map(_is_key, keys)):
            raise HTTPError(400, "These are no keys of notices.")
        state().note_seen(keys)
        self.set_status(204)
        self.finish()


def _is_key(key: object) -> bool:
    return isinstance(key, str) and len(key) <= _LONGEST_KEY


def add_routes(serverapp: Any) -> None:
    """Put the routes into the server, below its own base address."""
    from cubehub_account.storage_routes import ROUTES  # noqa: PLC0415 - which build on the handler above

    base = serverapp.web_app.settings["base_url"]
    routes = [("status", StatusHandler), ("seen", SeenHandler), *ROUTES]
    serverapp.web_app.add_handlers(
        ".*$", [(url_path_join(base, "cubehub/account", name), handler) for name, handler in routes]
    )
