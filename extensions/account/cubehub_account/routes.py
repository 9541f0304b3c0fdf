"""What the pages of a server ask it: cheap to answer, and nothing that is anybody else's."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from cubehub_account.state import state


class StatusHandler(APIHandler):
    """Use, limit, profile, home and notices of this server."""

    @authenticated
    def get(self) -> None:
        """Answer from what is known; nothing is waited for."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(state().status()))


def add_routes(serverapp: Any) -> None:
    """Put the routes into the server, below its own base address."""
    base = serverapp.web_app.settings["base_url"]
    serverapp.web_app.add_handlers(".*$", [(url_path_join(base, "cubehub/account/status"), StatusHandler)])
