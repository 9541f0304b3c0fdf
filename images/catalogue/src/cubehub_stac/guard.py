"""The layer before the catalogue: who asks, and which collections are not there for them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from cubehub_stac.people import Asked, PeopleError
from cubehub_stac.visibility import readable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PERSON = "cubehub_person"
"""Under this name a request's state has who sends it; None for somebody unknown."""


class Guard:
    """Answers 404 for any address below a collection that the person may not see.

    It answers the same whether such a collection exists or not, so that nobody learns who has one.

    Parameters
    ----------
    app : ASGI application
        The catalogue; its lists and searches ask `PERSON` themselves.
    own : ASGI application
        What serves `<prefix>/own`.
    people
        Says who sends a request.
    prefix : str
        Of the service, without a slash at its end.
    """

    def __init__(self, app: ASGIApp, own: ASGIApp, people: Asked, prefix: str) -> None:
        self.app, self.own, self.people, self.prefix = app, own, people, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path == f"{self.prefix}/health":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization")
        somebody = given is not None

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"vary", b"Authorization")]
                if somebody:
                    headers.append((b"cache-control", b"private"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            person = await self.people.identify(given.decode("latin-1") if given is not None else None)
        except PeopleError as error:
            body = {"code": error.code, "description": str(error), "hint": error.hint}
            await JSONResponse(body, error.status)(scope, receive, marked)
            return
        scope = {**scope, "state": {**scope.get("state", {}), PERSON: person}}
        parts = [part for part in path.removeprefix(self.prefix).split("/") if part]
        if parts[:1] == ["own"]:
            await self.own(scope, receive, marked)
        elif any(before == "collections" and not readable(name, person) for before, name in pairwise(parts)):
            await missing()(scope, receive, marked)
        else:
            await self.app(scope, receive, marked)


def missing() -> JSONResponse:
    """Say that there is no such collection."""
    return JSONResponse(
        {"code": "NotFoundError", "description": "The catalogue has no such collection.", "hint": ""}, 404
    )
