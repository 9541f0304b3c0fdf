"""What the cube server asks the realm: its keys, and what it says now of who holds a token. No server is imported."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from xcube_cubehub.errors import IssuerUnreachableError

Fetch = Callable[[str, str | None], Awaitable[tuple[int, bytes]]]
"""GET of an address, with a bearer token or without: status and body. Raises, whatever it likes, without an answer."""
Clock = Callable[[], float]
FRESH_S = 30.0
"""So long an answer of the realm is taken without asking again."""
KEPT_S = 60.0
"""So long it is taken where the realm cannot be asked again. This is the bound on how long a revoked key, a suspended
person or a left group still opens anything. Counted from when the asking began, since an answer may be as old."""
PATIENCE_S = 3.0
AGAIN_S = 5.0
"""After a failure the next attempt waits so long, so that not every request waits in vain."""
_YES, _NO = 200, (401, 403)


class Issuer:
    """Keycloak's realm, found by its discovery document.

    Parameters
    ----------
    url : str
        The realm's address, equal to the ``iss`` claim of its tokens.
    fetch : callable
        How an address is fetched; any exception counts as "cannot be reached".
    """

    def __init__(self, url: str, fetch: Fetch) -> None:
        self.url = url.rstrip("/")
        self._fetch = fetch
        self._about: dict[str, Any] | None = None

    async def keys(self) -> list[dict[str, Any]]:
        """Keys with which the realm signs now.

        Raises
        ------
        IssuerUnreachableError
            They could not be had.
        """
        status, body = await self._ask("jwks_uri", None)
        try:
            if status != _YES:
                raise ValueError(status)  # noqa: TRY301 - one way out for all that is no answer
            return [key for key in json.loads(body)["keys"] if isinstance(key, dict)]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            self._about = None
            raise _unreachable() from error

    async def userinfo(self, token: str) -> dict[str, Any] | None:
        """Claims of who holds this token, as of now; None if the realm does not let it hold (any more).

        Raises
        ------
        IssuerUnreachableError
            The realm did not answer, or with neither yes nor no.
        """
        status, body = await self._ask("userinfo_endpoint", token)
        if status in _NO:
            return None
        try:
            if status != _YES:
                raise ValueError(status)  # noqa: TRY301
            claims = json.loads(body)
            if not isinstance(claims, dict):
                raise TypeError(claims)  # noqa: TRY301
        except (ValueError, TypeError, RecursionError) as error:
            self._about = None
            raise _unreachable() from error
        return claims

    async def _ask(self, endpoint: str, token: str | None) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._about is None:
                    self._about = await self._discover()
                return await self._fetch(str(self._about[endpoint]), token)
        except Exception as error:  # whatever a fetch raises
            self._about = None
            raise _unreachable() from error

    async def _discover(self) -> dict[str, Any]:
        status, body = await self._fetch(f"{self.url}/.well-known/openid-configuration", None)
        about: dict[str, Any] = json.loads(body)
        # tokens are sent to the address that it names
        if status != _YES or str(about["issuer"]).rstrip("/") != self.url:
            raise ValueError(status)
        return about


class Once:
    """At most one call in flight for each key; who comes meanwhile waits for the same one."""

    def __init__(self) -> None:
        self._flights: dict[bytes, asyncio.Task[None]] = {}

    async def run(self, key: bytes, call: Callable[[], Awaitable[None]]) -> None:
        """Wait for the call that is in flight, else make it. It keeps its result itself, and must not raise."""

        async def fly() -> None:
            try:
                await call()
            finally:
                self._flights.pop(key, None)

        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(fly())
        # who leaves does not end it for the others
        await asyncio.shield(flight)


monotonic: Clock = time.monotonic


def _unreachable() -> IssuerUnreachableError:
    return IssuerUnreachableError("the sign-in service cannot be reached", "try again in a minute")
