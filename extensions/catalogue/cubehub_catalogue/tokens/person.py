"""The person's own access token for one catalogue, from the Hub, which keeps the log-in itself."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.auth import Hub
from cubehub_catalogue.errors import SignInError, UpstreamError
from cubehub_catalogue.http.answered import AnsweredError
from cubehub_catalogue.http.client import Client
from cubehub_catalogue.http.credentials import Credentials, Given, hidden
from cubehub_catalogue.http.limits import MIB, Limits
from cubehub_catalogue.tokens.bearer import TOO_MANY
from cubehub_catalogue.tokens.oauth2 import read_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub_catalogue.auth import Person
    from cubehub_catalogue.settings import Catalogue
    from cubehub_catalogue.tokens.bearer import Token

API_VARIABLE, TOKEN_VARIABLE = "JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN"
_PATH = "cubehub/access-token"
_NOT_FOR_YOU = 403
_TOO_OFTEN, _MOST_WAITS, _LONGEST_WAIT_S, _USUAL_WAIT_S = 429, 2, 12.0, 2.0
"""The Hub bounds how often it is asked; a wait longer than this a person is told of instead."""


class ServerToken(Credentials):
    """The server's own token of the Hub, which says whose server asks.

    Parameters
    ----------
    below
        Path of a service of the platform, for it alone: other people's servers stand at the same host.
    """

    def __init__(self, below: str = "") -> None:
        self._below = below and below.rstrip("/") + "/"

    async def given(self) -> Given:
        """Give the token; nothing where there is none, as outside of a platform."""
        token = os.environ.get(TOKEN_VARIABLE)
        return Given(headers={"Authorization": f"token {token}"} if token else {}, below=self._below)

    def hide(self, text: str) -> str:
        """Take the token out."""
        return hidden(text, (os.environ.get(TOKEN_VARIABLE, ""),))


class PersonTokens:
    """Asks the Hub.

    Parameters
    ----------
    catalogue, settings
        Whom the tokens are for.
    pause
        Waits until the Hub wants to be asked again.
    """

    def __init__(
        self, catalogue: Catalogue, settings: Person, pause: Callable[[float], Any] = asyncio.sleep
    ) -> None:
        self._catalogue, self._audience, self._pause = catalogue, settings.audience, pause
        self._client: Client | None = None

    async def issue(self, *, instead_of: str | None) -> Token:
        """Get a token for the catalogue's audience.

        Notes
        -----
        The Hub gives the one that it gave before while most of its life is left, unless told that it was refused.

        Raises
        ------
        SignInError
            There is no Hub, or the person has to log in again.
        UpstreamError
            The Hub does not answer, or was asked too often.
        """
        hub = os.environ.get(API_VARIABLE)
        if not hub or not os.environ.get(TOKEN_VARIABLE):
            raise SignInError(
                "no_platform",
                f"{self._catalogue.title} is asked as you, and this is not a server of a platform that knows you.",
                "Use JupyterLab on the platform.",
            )
        if self._client is None:
            self._client = _hub_client(self._catalogue, hub)
        body: dict[str, Any] = {"audience": self._audience}
        if instead_of is not None:
            body["fresh"] = True
        for waits_left in reversed(range(_MOST_WAITS + 1)):
            try:
                answer = await self._client.json(_PATH, method="POST", body=body)
                break
            except UpstreamError as error:
                if error.upstream_status in (401, 403, 404):
                    raise self._sign_in(error) from None
                if error.upstream_status != _TOO_OFTEN:
                    raise
                # after a refusal the catalogue's own word is worth more than a wait
                await self._wait(error, waits_left if instead_of is None else 0)
        return read_token(answer.value, self._catalogue.title, time.time())

    async def _wait(self, error: UpstreamError, waits_left: int) -> None:
        """Wait until the Hub wants to be asked again, where that is soon; else tell the person."""
        told = error.retry_after_s if isinstance(error, AnsweredError) else None
        wait = _USUAL_WAIT_S if told is None else told
        # without a status: the catalogue itself was not asked, and its client is not to try again by itself
        if not waits_left or wait > _LONGEST_WAIT_S:
            raise UpstreamError(
                TOO_MANY,
                f"{self._catalogue.title} is asked as you, and the Hub was asked for your log-in too often: {error.message}",
                f"Try again in {max(1, round(wait))} s; the other catalogues are not affected.",
            ) from None
        await self._pause(wait)

    def _sign_in(self, error: UpstreamError) -> SignInError:
        link = self._catalogue.sign_in or f"{os.environ.get('CUBEHUB_URL', '')}/hub/login"
        # where it is not for this person, no log-in would help, and the Hub says what does
        refused = error.upstream_status == _NOT_FOR_YOU
        return SignInError(
            "sign_in",
            f"{self._catalogue.title} is asked as you, and the platform has no log-in of yours for it: {error.message}",
            error.hint if refused else f"Sign in again at {link}, then try again.",
            upstream_status=error.upstream_status,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()


def _hub_client(catalogue: Catalogue, hub: str) -> Client:
    """Make a client of the Hub's API: its address comes from the Hub itself, and is on an inner network."""
    where = catalogue.model_copy(
        update={
            "title": "The Hub",
            "url": hub.rstrip("/") + "/",
            "also": (),
            "private": True,
            "sign_in": None,
            # a part of the platform, whose hints are worth telling
            "auth": Hub(type="hub"),
        }
    )
    limits = Limits(total_s=15, redirects=0, repeats=0, packed_bytes=MIB, bytes=MIB, cache_bytes=0)
    return Client(where, ServerToken(), limits=limits)


def person_tokens(catalogue: Catalogue, settings: Person) -> PersonTokens:
    """Give where the person's tokens for a catalogue are had."""
    return PersonTokens(catalogue, settings)
