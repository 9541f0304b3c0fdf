"""Tokens that were handed out, and are handed out again while most of their life is left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cubehub.token_life import session_of

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_SHARE = 1 / 3
"""With less of its life left, a token is not handed out again."""
_TIDIED_FROM = 1000


@dataclass(frozen=True)
class Issued:
    """A token for one audience."""

    value: str = field(repr=False)
    life_s: float
    """What was left of it when it was handed out."""


@dataclass(frozen=True)
class _Kept:
    value: str = field(repr=False)
    log_in: str
    ends: float
    until: float


class IssuedTokens:
    """Keeps one token for each person and audience, in memory.

    Parameters
    ----------
    clock
        Seconds since 1970.

    Notes
    -----
    Each belongs to the log-in by which it was had: after another one, or by another person of that name, it is not found.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._tidy_at = _TIDIED_FROM

    def find(self, person: str, audience: str, log_in_token: str) -> Issued | None:
        """Give the token that was had by a log-in, if enough of it is left."""
        kept, now = self._kept.get((person, audience)), self._clock()
        if kept is None or now >= kept.until or kept.log_in != _mark(log_in_token):
            return None
        return Issued(kept.value, kept.ends - now)

    def keep(self, person: str, audience: str, log_in_token: str, issued: Issued) -> None:
        """Keep a token in place of the one before."""
        now = self._clock()
        until = now + issued.life_s * (1 - _LEAST_SHARE)
        self._kept[person, audience] = _Kept(issued.value, _mark(log_in_token), now + issued.life_s, until)
        if len(self._kept) >= self._tidy_at:
            self._kept = {key: one for key, one in self._kept.items() if one.until > now}
            self._tidy_at = max(_TIDIED_FROM, 2 * len(self._kept))


def _mark(log_in_token: str) -> str:
    """Name a log-in: its session, which outlives the tokens that are renewed in it."""
    text = session_of(log_in_token) or log_in_token
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
