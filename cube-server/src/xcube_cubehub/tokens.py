"""Verify Keycloak's access tokens locally, and remember image requests by a short-lived cookie."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from xcube_cubehub.access import Identity, identity_of
from xcube_cubehub.errors import IssuerUnreachableError, TokenError

Fetch = Callable[[str], Awaitable[bytes]]
ALGORITHMS = ("RS256",)
LEEWAY_S = 5.0
ACCESS_TOKEN = "Bearer"  # noqa: S105 - a kind of token, as Keycloak's claim ``typ`` names it


class TokenVerifier:
    """Tells who holds a bearer token.

    Parameters
    ----------
    issuer : str
        The realm's address, equal to the ``iss`` claim.
    audience : str
        Must be among the ``aud`` claim.
    fetch : callable
        Fetches an address; any exception counts as "cannot be reached".
    """

    KEYS_LIVE_S = 600.0
    ASK_AGAIN_S = 10.0
    """A token with an unknown key makes us ask for the keys again, but not more often than this."""

    def __init__(self, issuer: str, audience: str, fetch: Fetch) -> None:
        self._issuer = issuer.rstrip("/")
        self._audience = audience
        self._fetch = fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")

    async def identify(self, token: str) -> Identity:
        """Identity behind a token.

        Raises
        ------
        TokenError
            Not an access token, expired, of another issuer, for another audience, or badly signed.
        IssuerUnreachableError
            The keys could not be fetched, so nothing can be said.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError) as error:
            message = "the bearer token is not a signed token"
            raise TokenError(message, "sign in again") from error
        if header.get("alg") not in ALGORITHMS:
            message = "the bearer token is not signed the way the platform signs"
            raise TokenError(message, "sign in again")
        key = await self._key(str(header.get("kid", "")))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            message = "the sign-in has expired"
            raise TokenError(message, "sign in again") from error
        except jwt.PyJWTError as error:
            message = "the bearer token does not hold for this server"
            raise TokenError(message, "sign in again") from error
        # An ID token is signed by the same key for the same client, but it tells the client who signed in; it was
        # never meant to open anything, and lies in more places than an access token.
        if claims.get("typ") != ACCESS_TOKEN:
            message = "the bearer token is not an access token"
            raise TokenError(message, "send the access token of the sign-in, not its ID token")
        return identity_of(claims)

    async def _key(self, kid: str) -> jwt.PyJWK:
        age = time.monotonic() - self._fetched
        if age > self.KEYS_LIVE_S or (kid not in self._keys and age > self.ASK_AGAIN_S):
            try:
                await self._fetch_keys()
            except Exception as error:
                if (
                    kid not in self._keys
                ):  # a key that was good ten minutes ago is better than turning everybody away
                    message = "the sign-in service cannot be reached"
                    raise IssuerUnreachableError(message, "try again in a minute") from error
        if kid not in self._keys:
            message = "the bearer token is signed with a key that the issuer does not have"
            raise TokenError(message, "sign in again")
        return self._keys[kid]

    async def _fetch_keys(self) -> None:
        about = json.loads(await self._fetch(f"{self._issuer}/.well-known/openid-configuration"))
        keys = json.loads(await self._fetch(about["jwks_uri"]))["keys"]
        usable = [k for k in keys if k.get("kty") == "RSA" and k.get("use", "sig") == "sig"]
        self._keys = {k["kid"]: jwt.PyJWK(k, algorithm=ALGORITHMS[0]) for k in usable}
        self._fetched = time.monotonic()


class ImageCookie:
    """Seals an identity into a cookie value for images, which a browser fetches without an Authorization header.

    Parameters
    ----------
    key : bytes
        Made anew at each start; a restart only makes the viewer ask again.
    """

    NAME = "cubehub-cubes-images"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, identity: Identity) -> str:
        """Cookie value that says the same as the token did, and ends when it does."""
        data = [identity.subject, sorted(identity.permissions), sorted(identity.groups), identity.expires]
        body = urlsafe_b64encode(json.dumps(data, separators=(",", ":")).encode()).decode()
        return f"{body}.{self._sign(body)}"

    def open(self, value: str, now: float) -> Identity | None:
        """Identity in a cookie value; None if it is forged, damaged or over."""
        body, _, signature = value.rpartition(".")
        if not body or not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        subject, permissions, groups, expires = json.loads(urlsafe_b64decode(body))
        if now >= expires:
            return None
        return Identity(subject, frozenset(permissions), frozenset(groups), expires)

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()
