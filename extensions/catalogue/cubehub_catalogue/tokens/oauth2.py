"""Tokens that the platform gets for itself with a client's secret (OAuth 2, RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cubehub_catalogue.errors import SignInError, UpstreamError
from cubehub_catalogue.http.client import Client
from cubehub_catalogue.http.credentials import Credentials, Given, hidden
from cubehub_catalogue.http.limits import MIB, Limits
from cubehub_catalogue.tokens.bearer import Token, token_of

if TYPE_CHECKING:
    from cubehub_catalogue.auth import OAuth2Client
    from cubehub_catalogue.settings import Catalogue

_USUAL_LIFE_S = 300.0
_SMALL = {"packed_bytes": MIB, "bytes": MIB, "redirects": 0, "repeats": 0, "cache_bytes": 0}


class _ClientSecret(Credentials):
    def __init__(self, settings: OAuth2Client) -> None:
        self._settings = settings
        self._last: tuple[str, ...] = ()

    async def given(self) -> Given:
        secret = self._settings.secret()
        quoted = quote(secret, safe="")
        pair = f"{quote(self._settings.client_id, safe='')}:{quoted}"
        coded = base64.b64encode(pair.encode()).decode()
        self._last = secret, quoted, coded
        return Given(headers={"Authorization": f"Basic {coded}"})

    def hide(self, text: str) -> str:
        return hidden(text, self._last)


class ClientTokens:
    """Asks the token address."""

    def __init__(self, catalogue: Catalogue, settings: OAuth2Client) -> None:
        self._title, self._settings = catalogue.title, settings
        where = catalogue.model_copy(update={"url": settings.token_url, "also": (), "sign_in": None})
        self._client = Client(
            where, _ClientSecret(settings), limits=Limits(total_s=min(15, catalogue.timeout), **_SMALL)
        )

    async def issue(self, *, instead_of: str | None) -> Token:
        """Get a token."""
        del instead_of  # each question gives a new one
        form = {"grant_type": "client_credentials"}
        if self._settings.scope:
            form["scope"] = self._settings.scope
        try:
            answer = await self._client.json(self._settings.token_url, method="POST", form=form)
        except UpstreamError as error:
            if error.upstream_status in (400, 401, 403):
                raise SignInError(
                    "client_refused",
                    f"The platform's own log-in at {self._title} is refused: {error.message}",
                    "Tell your administrator: client_id and its secret are named in catalogues.yaml.",
                    upstream_status=error.upstream_status,
                ) from None
            raise
        return read_token(answer.value, self._title, time.time())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def read_token(content: Any, title: str, now: float) -> Token:
    """Read a token answer (RFC 6749, section 5.1).

    Raises
    ------
    UpstreamError
        It holds no token that could be sent.
    """
    value = content.get("access_token") if isinstance(content, dict) else None
    kind = content.get("token_type", "Bearer") if isinstance(content, dict) else ""
    life = content.get("expires_in", _USUAL_LIFE_S) if isinstance(content, dict) else 0
    sendable = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if not sendable or not value or str(kind).lower() != "bearer":
        raise UpstreamError(
            "no_token", f"The log-in of {title} gave no token that can be used.", "Tell your administrator."
        )
    try:
        seconds = float(life)
    except (TypeError, ValueError):
        seconds = _USUAL_LIFE_S
    return token_of(str(value), min(max(seconds, 0.0), 86400.0), now)


def client_tokens(catalogue: Catalogue, settings: OAuth2Client) -> ClientTokens:
    """Give where the tokens of a catalogue with a client of its own are had."""
    return ClientTokens(catalogue, settings)
