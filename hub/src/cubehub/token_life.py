"""How long an access token of Keycloak still lives, and of which log-in it is."""

from __future__ import annotations

from typing import Any

import jwt


def _claims(access_token: str) -> dict[str, Any]:
    """Read a token that Keycloak gave the Hub directly; only its times and session are used, so no signature is checked."""
    try:
        claims: dict[str, Any] = jwt.decode(access_token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}
    return claims


def token_end(access_token: str) -> float:
    """When an access token ends, in seconds since 1970; 0 for what is no token."""
    return float(_claims(access_token).get("exp", 0))


def life_left(access_token: str, now: float) -> float:
    """Give the seconds that a token which was just issued still lives; never more than it lives as a whole.

    Notes
    -----
    A clock that is slow would find more.
    """
    claims = _claims(access_token)
    ends = token_end(access_token)
    return max(0.0, ends - max(now, float(claims.get("iat", now))))


def session_of(access_token: str) -> str:
    """Give the session at Keycloak that an access token belongs to; empty where it names none."""
    session = _claims(access_token).get("sid")
    return session if isinstance(session, str) else ""


def near_end(access_token: str, now: float, reserve_s: float) -> bool:
    """Whether a token has less life left than the reserve, or than half its life if that is less.

    Never for a token that does not say when it ends: renewing it would not help.
    """
    claims = _claims(access_token)
    if "exp" not in claims:
        return False
    ends = float(claims["exp"])
    life = ends - float(claims.get("iat", ends))
    return ends - now < min(reserve_s, life / 2)
