"""What all handlers have in common: who asks, how errors are told, what is remembered of a sign-in."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import tornado.web
from tornado.iostream import StreamClosedError

from xcube_cubehub import aside
from xcube_cubehub.access import Policy
from xcube_cubehub.callers import Callers, Claim
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.errors import CubeError, TokenError
from xcube_cubehub.permalinks import Permalinks
from xcube_cubehub.showing import Showing
from xcube_cubehub.tokens import ImageCookie

log = logging.getLogger(__name__)


@dataclass
class Services:
    """What the handlers share; ``policy`` changes when cubes are published."""

    settings: ServerSettings
    callers: Callers
    cookie: ImageCookie
    policy: Policy
    ready: bool = False
    lines: aside.Lines = field(default_factory=aside.Lines)
    showing: Showing = field(default_factory=Showing)
    links: Permalinks = field(init=False)

    def __post_init__(self) -> None:
        """Open the store of shared views."""
        folder = self.settings.permalinks_dir
        self.links = Permalinks(folder or self.settings.state_dir / "permalinks")


class PlainHandler(tornado.web.RequestHandler):
    """Our own handlers: errors as one JSON line, never a traceback."""

    services: Services

    def initialize(self, services: Services) -> None:
        """Take what all share."""
        self.services = services

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors without a traceback."""
        told_error(self, status_code, kwargs)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Tornado's own would log the query."""
        logged_failure(self, typ, value, tb)

    def identify_origin(self) -> str:
        """Scheme and host by which the visitor came."""
        return f"{self.request.protocol}://{self.request.host}"


def told_error(handler: tornado.web.RequestHandler, status: int, details: dict[str, Any]) -> None:
    """Answer with what went wrong, as one JSON object."""
    error = (details.get("exc_info") or (None, None, None))[1]
    message = handler._reason  # noqa: SLF001
    told = status < 500 or isinstance(error, ToldError)
    if isinstance(error, tornado.web.HTTPError) and error.log_message and told:
        # Tornado keeps the message as a format, with every % doubled
        message = str(error.log_message) % error.args
    body = {"status_code": status, "code": f"http_{status}", "message": message, "reason": handler._reason}  # noqa: SLF001
    body["hint"] = getattr(error, "hint", "") or _HINTS.get(status, "")
    handler.finish({"error": body})


def logged_failure(handler: tornado.web.RequestHandler, typ: Any, value: Any, tb: Any) -> None:
    """Log a failure of the server's own, without the query of the request."""
    # A visitor who moves the map on closes connections half-way; that is no failure.
    if not isinstance(value, (tornado.web.HTTPError, StreamClosedError)):
        log.error("%s %s failed", handler.request.method, handler.request.path, exc_info=(typ, value, tb))


_HINTS = {
    401: "sign in again",
    404: "check the address; if the cube is protected, sign in with an account that may read it",
    500: "try again; if it stays, tell the operator the time of this answer",
    503: "try again in a minute",
}


async def identify(handler: tornado.web.RequestHandler, services: Services, *, images: bool) -> Claim:
    """Read who sends the request, by header or, for images, by cookie.

    Raises
    ------
    tornado.web.HTTPError
        401 for a token that does not hold.
    """
    cookie = handler.get_cookie(ImageCookie.NAME) if images else None
    try:
        return await services.callers.read(handler.request.headers.get("Authorization"), cookie)
    except TokenError as error:
        raise ToldError(error.status, error) from error


class ToldError(tornado.web.HTTPError):
    """The HTTP error that says to a person what one of ours says."""

    def __init__(self, status: int, error: CubeError) -> None:
        super().__init__(status, error.message)
        self.hint = error.hint


def remember(handler: tornado.web.RequestHandler, services: Services, claim: Claim) -> None:
    """Let images follow the sign-in: set the cookie for a person, take it away from a visitor."""
    path = f"{services.settings.prefix}/"
    value = services.cookie.seal(claim.token) if claim.identity is not None else None
    if claim.identity is not None and value is not None:
        handler.set_cookie(
            ImageCookie.NAME,
            value,
            path=path,
            expires=datetime.fromtimestamp(claim.identity.expires, UTC),
            httponly=True,
            samesite="Strict",
            secure=handler.request.protocol == "https",
        )
        return
    if claim.identity is not None:
        log.warning("a token is too long for a cookie: its holder sees no images of protected cubes")
    if claim.problem is None and handler.get_cookie(ImageCookie.NAME):
        handler.clear_cookie(ImageCookie.NAME, path=path)
