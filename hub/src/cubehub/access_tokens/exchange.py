"""Trades a person's log-in for a token that holds for one audience, and for nothing else (RFC 8693)."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
from tornado.httpclient import HTTPClientError

from cubehub.access_tokens.audiences import person_audiences
from cubehub.access_tokens.bounds import Bound
from cubehub.access_tokens.issued import Issued, IssuedTokens
from cubehub.errors import CubeHubError
from cubehub.login import is_outage
from cubehub.token_life import life_left, token_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from pathlib import Path

LEAST_LIFE_S = 15.0
"""A log-in's token with less life left is renewed before it is traded."""
REQUESTS, REQUESTS_EVERY_S = 60, 1.0
"""What one person's servers may ask for at once, and then in so many seconds one, whatever they are answered."""
TRADES, TRADES_EVERY_S = 6, 10.0
"""The same for what Keycloak is asked: for each person and audience."""
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a kind, not a token
_FOR_OTHERS = frozenset({"invalid_target", "access_denied", "invalid_scope", "unauthorized_client"})


class NotHandedOutError(CubeHubError):
    """No token: `status` is what the Hub answers with, `retry_after_s` when asking again may help."""

    def __init__(
        self, status: int, code: str, message: str, hint: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint, code=code)
        self.status, self.retry_after_s = status, retry_after_s


class Exchange:
    """One for a Hub.

    Parameters
    ----------
    catalogues
        Gives the path of catalogues.yaml; found and read at each question, so an edit needs no restart.
    clock
        Seconds since 1970.
    steady
        Seconds that only ever go on.
    """

    def __init__(
        self,
        catalogues: Callable[[], Path],
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogues, self._clock = catalogues, clock
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._issued = IssuedTokens(clock)
        self._requests = Bound(REQUESTS, REQUESTS_EVERY_S, steady)
        self._trades = Bound(TRADES, TRADES_EVERY_S, steady)

    async def issue(
        self, user: Any, audience: str, refresh: Callable[[], Awaitable[object]], *, fresh: bool = False
    ) -> Issued:
        """Give a token: the one that was given before while more than a third of its life is left.

        Parameters
        ----------
        user
            The Hub's user, with the log-in in its ``auth_state``.
        audience
            Whom it is for.
        refresh
            Renews the log-in; called where its token is about to end, or has.
        fresh
            Whether it must be another one than before, which was refused.

        Raises
        ------
        NotHandedOutError
            The audience is none that is configured, the person is not logged in or asks too often, or Keycloak refuses or
            is away.

        Notes
        -----
        One at a time for each person: refresh tokens may be used once in some realms.
        """
        _in_turn(self._requests, user.name)
        if audience not in person_audiences(self._catalogues()):
            raise _refused(audience)
        async with self._locks[user.name]:
            token = await _login_token(user)
            before = None if fresh else self._issued.find(user.name, audience, token)
            if before is not None:
                return before
            _in_turn(self._trades, (user.name, audience))
            issued, token = await self._traded(user, token, audience, refresh)
            self._issued.keep(user.name, audience, token, issued)
            return issued

    async def _traded(
        self, user: Any, token: str, audience: str, refresh: Callable[[], Awaitable[object]]
    ) -> tuple[Issued, str]:
        """Trade a log-in's token, renewed where need be; gives the one that was traded, too."""
        renewed = False
        if token_end(token) - self._clock() < LEAST_LIFE_S:
            token, renewed = await self._renewed(user, refresh), True
        try:
            return await self._trade(user.authenticator, token, audience), token
        except _NotTakenError:
            if renewed:
                raise _refused(audience) from None
        # Keycloak has one word for a session that was ended elsewhere and for an audience it was not told of
        token = await self._renewed(user, refresh)
        try:
            return await self._trade(user.authenticator, token, audience), token
        except _NotTakenError:
            raise _refused(audience) from None

    async def _trade(self, authenticator: Any, token: str, audience: str) -> Issued:
        value = await _trade(authenticator, token, audience)
        return Issued(value, life_left(value, self._clock()))

    async def _renewed(self, user: Any, refresh: Callable[[], Awaitable[object]]) -> str:
        await refresh()
        token = await _login_token(user)
        if token_end(token) <= self._clock():
            raise _sign_in()
        return token


def _in_turn(bound: Bound, whose: Hashable) -> None:
    wait = bound.wait_s(whose)
    if wait:
        raise NotHandedOutError(
            429,
            "too_many",
            "Your servers asked for access tokens too often.",
            f"Try again in {math.ceil(wait)} s, and keep a token until it ends.",
            retry_after_s=wait,
        )


class _NotTakenError(Exception):
    """Keycloak does not trade the token."""


async def _login_token(user: Any) -> str:
    state = await user.get_auth_state()
    token = (state or {}).get("access_token")
    if not isinstance(token, str) or not token:
        raise _sign_in()
    return token


async def _trade(authenticator: Any, token: str, audience: str) -> str:
    form = {
        "grant_type": _GRANT,
        "client_id": authenticator.client_id,
        "client_secret": authenticator.client_secret,
        "subject_token": token,
        "subject_token_type": _ACCESS_TOKEN,
        "requested_token_type": _ACCESS_TOKEN,
        "audience": audience,
    }
    try:
        answer = await authenticator.httpfetch(
            authenticator.token_url, label="trading a token", method="POST", body=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        )  # fmt: skip
    except HTTPClientError as error:
        raise _told(error, audience) from None
    except (OSError, ValueError):
        # no answer, or one that is no JSON
        raise _away() from None
    return _only_for(answer, audience)


def _only_for(answer: Any, audience: str) -> str:
    """Look at what came: a token for more than the one audience is handed to nobody."""
    value = answer.get("access_token") if isinstance(answer, dict) else None
    try:
        # Keycloak gave it directly; it is only looked at, so no signature is checked
        claims = jwt.decode(str(value), options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise _away() from None
    holds_for = claims.get("aud")
    if holds_for not in (audience, [audience]):
        raise _refused(audience)
    return str(value)


def _told(error: HTTPClientError, audience: str) -> Exception:
    """Tell a refusal of the audience, where it is said to be one, from a log-in that may have ended."""
    if is_outage(error):
        return _away()
    try:
        said = json.loads(error.response.body) if error.response else {}
        code, text = said.get("error"), str(said.get("error_description", ""))
    except (ValueError, AttributeError):
        code, text = "", ""
    return _refused(audience) if code in _FOR_OTHERS or "audience" in text.lower() else _NotTakenError()


def _refused(audience: str) -> NotHandedOutError:
    return NotHandedOutError(
        403,
        "audience_refused",
        f"The platform hands out no tokens for {audience[:80]!r}.",
        "Tell your administrator: catalogues.yaml and the client of the Hub in Keycloak both have to name it.",
    )


def _sign_in() -> NotHandedOutError:
    return NotHandedOutError(
        401,
        "sign_in",
        "You are not logged in at the account service any more.",
        "Log in to the platform again.",
    )


def _away() -> NotHandedOutError:
    return NotHandedOutError(
        503, "account_service_away", "The account service does not answer.", "Try again in a minute."
    )
