"""Access tokens that end: held in memory until shortly before, and had by one question at a time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cubehub_catalogue.errors import SignInError, UpstreamError
from cubehub_catalogue.http.credentials import Credentials, Given, hidden

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVE_S = 30.0
"""A token with less life left is not sent any more."""

TOO_MANY = "too_many"
"""Code of an error: tokens were asked for too often."""


@dataclass(frozen=True)
class Token:
    """An access token."""

    value: str = field(repr=False)
    ends: float
    """On the clock of the machine, seconds since 1970."""

    def holds(self, now: float) -> bool:
        """Whether it may still be sent; a token that lives less than twice the reserve, for half its life."""
        return now < self.ends


def token_of(value: str, life_s: float, now: float) -> Token:
    """Make a token that is let go before it ends."""
    return Token(value, now + max(life_s - RESERVE_S, life_s / 2))


class Issuer(Protocol):
    """Where tokens are had."""

    async def issue(self, *, instead_of: str | None) -> Token:
        """Get one.

        Parameters
        ----------
        instead_of
            A token that was refused, so that another must come.
        """

    async def close(self) -> None:
        """Close its connections."""


class BearerCredentials(Credentials):
    """Sends a token, and gets the next one before it ends or when it is refused.

    Notes
    -----
    However many requests wait for a token, one question is under way: where refresh tokens are used once,
    two at a time would end the log-in. Whoever waits and gives up does not take it from the others.
    """

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.time) -> None:
        self._issuer, self._clock = issuer, clock
        self._token: Token | None = None
        self._asking: asyncio.Task[Token] | None = None

    async def given(self) -> Given:
        """Give the token."""
        token = self._token
        if token is None or not token.holds(self._clock()):
            token = await self._ask(None)
        return Given(headers={"Authorization": f"Bearer {token.value}"})

    async def renew(self, refused: Given) -> bool:
        """Get another token, unless another request has just done so."""
        value = refused.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._token is not None and self._token.value != value:
            return True
        try:
            token = await self._ask(value)
        except SignInError:
            return False
        except UpstreamError as error:
            if error.code == TOO_MANY:
                return False
            raise
        return token.value != value

    async def _ask(self, instead_of: str | None) -> Token:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._issuer.issue(instead_of=instead_of))
            self._asking.add_done_callback(_seen)
        token = await asyncio.shield(self._asking)
        self._token = token
        return token

    def hide(self, text: str) -> str:
        """Take the token out."""
        return hidden(text, (self._token.value,) if self._token else ())

    async def close(self) -> None:
        """Forget the token."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
        self._token = None
        await self._issuer.close()


def _seen(task: asyncio.Task[Token]) -> None:
    """Look at an error that nobody waits for any more, so that the loop does not log it with its traceback."""
    if not task.cancelled():
        task.exception()
