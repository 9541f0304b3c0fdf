"""The addresses of the storage service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado.web import Application, HTTPError, StaticFileHandler

from cubehub.storage.service import admin, person
from cubehub.storage.service.access import HEADERS, Handler

if TYPE_CHECKING:
    from cubehub.storage.service.office import Office

_LONGEST_BODY = 2**20
LIMITS = {"max_body_size": _LONGEST_BODY, "max_buffer_size": 2 * _LONGEST_BODY}
"""What anybody may send, logged in or not; only a plan may be longer, see `admin.ApplyHandler`."""


class HealthHandler(Handler):
    """Whether the service works."""

    open_to_all = True

    def get(self) -> None:
        """Tell."""
        self.answer({"status": "ok"})


class _Callback(HubOAuthCallbackHandler):
    """Where browsers come back to from the Hub's log-in."""

    def initialize(self, office: Office) -> None:
        self.hub_auth = office.hub_auth


class _Static(StaticFileHandler):
    def set_extra_headers(self, _path: str) -> None:
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)


class _NotFound(Handler):
    open_to_all = True

    async def prepare(self) -> None:
        raise HTTPError(404, "There is no such address here.")


def make_app(office: Office) -> Application:
    """Build the application; every address is below the service's prefix, as the proxy leaves it in place."""
    prefix, made = office.settings.prefix, {"office": office}
    mine, everybody = rf"{prefix}/api/mine", rf"{prefix}/api/admin"
    return Application(
        [
            (rf"{prefix}/health", HealthHandler, made),
            (rf"{prefix}/oauth_callback", _Callback, made),
            (rf"{prefix}/static/(.*)", _Static, {"path": str(Path(__file__).with_name("static"))}),
            (rf"{prefix}/?", person.HomePage, made),
            (mine, person.MineHandler, made),
            (rf"{mine}/keep", person.KeepHandler, made),
            (rf"{mine}/let-go", person.LetGoHandler, made),
            (rf"{mine}/restore", person.RestoreHandler, made),
            (rf"{mine}/inside", person.InsideHandler, made),
            (rf"{prefix}/keep/([^/]+)", person.KeepLink, made),
            (rf"{prefix}/unsubscribe/([^/]+)", person.UnsubscribeLink, made),
            (rf"{prefix}/admin/?", admin.AdminPage, made),
            (everybody, admin.SummaryHandler, made),
            (rf"{everybody}/plan", admin.PlanHandler, made),
            (rf"{everybody}/apply", admin.ApplyHandler, made),
            (rf"{everybody}/undo", admin.UndoHandler, made),
            (rf"{everybody}/back", admin.BackHandler, made),
            (rf"{everybody}/hold", admin.HoldHandler, made),
            (rf"{everybody}/rounds/(begin|pause|resume)", admin.RoundHandler, made),
            (r".*", _NotFound, made),
        ],
        cookie_secret=office.settings.links_secret.get_secret_value(),
    )
