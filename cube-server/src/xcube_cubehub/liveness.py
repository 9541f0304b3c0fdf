"""Whether the realm still stands by a token that holds by itself: suspensions and changed groups arrive in time."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from xcube_cubehub.access import Identity, refreshed
from xcube_cubehub.errors import IssuerUnreachableError, SessionOverError
from xcube_cubehub.issuer import AGAIN_S, FRESH_S, KEPT_S, Clock, Issuer, Once, monotonic

REFUSED_S = 10.0
"""So long a "no" is taken without asking again; a resumed person waits no longer than this."""
MOST = 20_000
"""Tokens that are remembered. Only such as are signed by the realm get here; the one used longest ago is forgotten."""


@dataclass
class _Known:
    """What is known of one token. Times are when the asking began; minus infinity is never."""

    who: Identity | None = None
    confirmed: float = -math.inf
    refused: float = -math.inf
    failed: float = -math.inf

    def is_due(self, now: float) -> bool:
        if self.refused > self.confirmed:
            return now - self.refused >= REFUSED_S
        return now - self.confirmed >= FRESH_S and now - self.failed >= AGAIN_S


class Liveness:
    """Asks Keycloak's userinfo about tokens, each at most every `FRESH_S` seconds.

    Parameters
    ----------
    issuer : Issuer
        Whom it asks.
    clock : callable
        Seconds that only grow.

    Notes
    -----
    A signature says who signed in, and goes on saying so for the life of the token. Userinfo says 401 as soon as the
    account is disabled, the session is over or the token revoked, and tells the groups of this moment. A token is
    remembered by its hash, so that nothing here could be used to sign in. One asking per token is in flight.
    """

    def __init__(self, issuer: Issuer, clock: Clock = monotonic, most: int = MOST) -> None:
        self._issuer = issuer
        self._clock = clock
        self._most = most
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._once = Once()

    async def confirm(self, token: str, claimed: Identity) -> Identity:
        """Give the person as the realm knows them now.

        Parameters
        ----------
        token : str
            A token that has been verified.
        claimed : Identity
            What it says.

        Raises
        ------
        SessionOverError
            The realm no longer stands by it.
        IssuerUnreachableError
            The realm has not confirmed it within the last `KEPT_S` seconds, and cannot be asked.
        """
        key = sha256(token.encode()).digest()
        known = self._known.setdefault(key, _Known())
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        if known.is_due(self._clock()):
            await self._once.run(key, partial(self._ask, known, token, claimed))
        if known.refused > known.confirmed:
            raise SessionOverError("the sign-in is over", "sign in again")
        if known.who is None or self._clock() - known.confirmed >= KEPT_S:
            raise IssuerUnreachableError("the sign-in service cannot be reached", "try again in a minute")
        return known.who

    async def _ask(self, known: _Known, token: str, claimed: Identity) -> None:
        began = self._clock()
        try:
            claims = await self._issuer.userinfo(token)
        except IssuerUnreachableError:
            known.failed = self._clock()
            return
        known.who = None if claims is None else refreshed(claimed, claims)
        if known.who is None:
            known.refused = began
        else:
            known.confirmed = began
