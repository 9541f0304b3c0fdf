"""Every link in an answer starts with the platform's public address, whatever the proxy's headers say."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_FORWARDING = frozenset(
    {
        b"host",
        b"forwarded",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
    }
)


class FixedOrigin:
    """Outermost ASGI layer: gives each request the scheme and host of `public_url`.

    Links are made from these, so neither a Host header sent by a visitor nor a proxy that adds or forgets
    X-Forwarded-* can lead people elsewhere.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        parts = urlsplit(public_url)
        self.scheme, self.host = parts.scheme, parts.netloc.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the public scheme and host."""
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name not in _FORWARDING]
            scope = {**scope, "scheme": self.scheme, "headers": [(b"host", self.host), *headers]}
        await self.app(scope, receive, send)
