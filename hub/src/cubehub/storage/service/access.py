"""Who asks, and what they may: a token of the Hub, or a browser that logged in through it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub_spawner.errors import SpawnerError
from cubehub_spawner.names import home_name
from jupyterhub._xsrf_utils import get_xsrf_token
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError, RequestHandler

from cubehub.entitlements.rules import WRITE_SCOPE
from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from cubehub.storage.service.office import Office
    from cubehub.storage.settings import StorageSettings

log = logging.getLogger("cubehub.storage")
SERVICE = "storage"
SCOPES = {"access:services", f"access:services!service={SERVICE}"}
_REMEMBERED_S = 10
"""How long the Hub's word about a token counts; a suspension arrives that much later."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATUS = {
    "busy": 409,
    "paused": 409,
    "people_unknown": 503,
    "too_much": 409,
    "forbidden": 403,
    "not_found": 404,
}


class ForbiddenError(CubeHubError):
    """Whoever asks may not."""

    code = "forbidden"


@dataclass(frozen=True)
class Visitor:
    """Whoever asks.

    Attributes
    ----------
    name : str
        Of the person or service.
    home : bytes or None
        Name of the person's home; None for a service.
    administrator : bool
        Whether they may do something about everybody's homes.
    """

    name: str
    home: bytes | None
    administrator: bool


def hub_auth(settings: StorageSettings) -> HubOAuth:
    """How this service asks the Hub about people, and where browsers log in."""
    return HubOAuth(
        api_url=settings.hub_api_url,
        api_token=settings.hub_api_token.get_secret_value(),
        hub_host="",
        hub_prefix="/hub/",
        base_url=f"{settings.prefix}/",
        oauth_client_id=f"service-{SERVICE}",
        oauth_redirect_uri=f"{settings.prefix}/oauth_callback",
        access_scopes=SCOPES,
        cache_max_age=_REMEMBERED_S,
    )


def visitor(model: dict[str, Any]) -> Visitor | None:
    """Read what the Hub says about a token; None for whoever has no business here. Pure."""
    scopes = set(model.get("scopes") or ())
    name, kind = str(model.get("name") or ""), model.get("kind", "user")
    administrator = WRITE_SCOPE in scopes
    if not name or not (administrator or scopes & SCOPES):
        return None
    return Visitor(name, home_name(name).encode() if kind == "user" else None, administrator)


class Handler(RequestHandler):
    """What all addresses have in common."""

    page = False
    """Whether it is a page: then people are sent to log in, and are told errors in words."""
    open_to_all = False
    """Whether nobody is asked who they are; a link in a mail says enough."""
    secret_address = False
    """Whether knowing the address is all that one needs."""
    me: Visitor

    def initialize(self, office: Office) -> None:
        """Take what all share."""
        self.office = office
        self.hub_auth: HubOAuth = office.hub_auth

    def set_default_headers(self) -> None:
        """Nothing comes from anywhere else, nobody frames it, and nothing is kept on the way."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    @property
    def _xsrf_token_id(self) -> bytes:
        found: bytes = self.hub_auth._get_xsrf_token_id(self)  # noqa: SLF001 - as JupyterHub's own mixin has it
        return found

    @property
    def xsrf_token(self) -> bytes:
        """What a page of ours sends back, and a page of others does not know."""
        found: bytes = get_xsrf_token(self, cookie_path=self.hub_auth.base_url)
        return found

    def give_xsrf(self) -> None:
        """Give a page the cookie that its script reads and sends back."""
        assert self.xsrf_token  # noqa: S101 - asking for it sets the cookie

    async def prepare(self) -> None:
        """Look who asks."""
        if self.open_to_all:
            return
        token = self._token_of_header()
        from_browser = token is None
        if from_browser:
            token = self.hub_auth._get_token_cookie(self)  # noqa: SLF001 - as above
        model = None
        if token:
            model = await self.hub_auth.user_for_token(
                token, session_id=self.hub_auth.get_session_id(self), sync=False
            )
        found = visitor(model) if model else None
        if found is None:
            if self.page and self.request.method == "GET" and not model:
                self._send_to_login()
                return
            raise ForbiddenError(
                "You are not logged in." if not model else "Your account may not use this.",
                "Log in again, or send a token of the Hub: `Authorization: token …`.",
            )
        if from_browser and self.request.method not in {"GET", "HEAD"}:
            self.hub_auth.check_xsrf_cookie(self)
        self.me = found

    def _token_of_header(self) -> str | None:
        """The token that a program sent; never one in an address, where logs would keep it."""
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() if kind.lower() in {"token", "bearer"} and token.strip() else None

    def _send_to_login(self) -> None:
        state = self.hub_auth.set_state_cookie(self, next_url=self.request.uri)
        url = self.hub_auth.login_url
        self.redirect(f"{url}{'&' if '?' in url else '?'}state={state}")

    def administrator(self) -> Visitor:
        """Whoever asks, if they may do something about everybody's homes."""
        if not self.me.administrator:
            raise ForbiddenError("This is for administrators.", "Ask one of them.")
        return self.me

    def own_home(self) -> bytes:
        """The home of whoever asks."""
        if self.me.home is None:
            raise ForbiddenError("A service has no home.", "Send the token of a person.")
        return self.me.home

    def body(self) -> dict[str, Any]:
        """The JSON that was sent."""
        try:
            content = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise BadInputError(
                "What was sent is no JSON.", 'Send an object such as {"path": ""}.'
            ) from error
        if not isinstance(content, dict):
            raise BadInputError("What was sent is no object.", 'Send one such as {"path": ""}.')
        return content

    def answer(self, content: Any) -> None:
        """Write JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(content))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log what was expected in a line, and the rest as it is."""
        if isinstance(value, CubeHubError | SpawnerError):
            log.info("%s: %s", self._request_summary(), value.message)
        elif isinstance(value, HTTPError):
            super().log_exception(kind, value, trace)
        else:
            # not as Tornado does, which writes the whole address down
            log.error("%s failed", self._request_summary(), exc_info=(kind, value, trace))

    def _request_summary(self) -> str:
        """What was asked, for logs: without what lets somebody do something, such as a link in a mail."""
        path = self.request.path
        if self.secret_address:
            path = f"{path.rpartition('/')[0]}/..."
        return f"{self.request.method} {path}"

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell code, message and hint; of an error of ours nothing but that there was one."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        if isinstance(error, CubeHubError):
            self.set_status(_STATUS.get(error.code, 400 if isinstance(error, BadInputError) else 500))
            told = (error.code, error.message, self.office.runnable(error.hint))
        elif isinstance(error, SpawnerError):
            self.set_status(503)
            told = (error.code, error.message, error.hint)
        elif isinstance(error, HTTPError) and status_code >= 500:
            # of whom asks the Hub about tokens; its own words have addresses inside of the platform
            told = ("hub_down", "The Hub does not answer.", "Try again in a minute.")
        elif isinstance(error, HTTPError):
            told = (
                {403: "forbidden", 404: "not_found", 405: "bad_method"}.get(status_code, "bad_input"),
                error.log_message or self._reason,
                "Load the page anew." if status_code == 403 else "",
            )
        else:
            told = (
                "failure",
                "Something went wrong here.",
                self.office.runnable("`cubehub logs storage` says what."),
            )
        if self.page:
            self.office.show(self, "said.html", title="This could not be shown", text=told[1], hint=told[2])
            return
        self.answer(dict(zip(("code", "message", "hint"), told, strict=True)))
