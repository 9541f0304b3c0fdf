"""Verify Keycloak's access tokens locally, and let map images come with one in a cookie. No server is imported."""

import math
import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from xcube_cubehub.access import Identity, identity_of
from xcube_cubehub.errors import IssuerUnreachableError, TokenError
from xcube_cubehub.issuer import AGAIN_S, FRESH_S, KEPT_S, Clock, Issuer, Once, monotonic

ALGORITHMS = ("RS256",)
LEEWAY_S = 5.0
UNKNOWN_KEY_S = 10.0
"""A token with an unknown key makes us ask for the keys again, but not more often than this."""
ACCESS_TOKEN = "Bearer"  # noqa: S105 - a kind of token, as Keycloak's claim ``typ`` names it


class TokenVerifier:
    """Tells who holds a bearer token.

    Parameters
    ----------
    issuer : Issuer
        The realm; its address must be the ``iss`` claim.
    audience : str
        Must be among the ``aud`` claim.
    clock : callable
        Seconds that only grow.

    Notes
    -----
    The realm's keys are asked for again every `FRESH_S` seconds, so that a key that was taken back stops counting.
    Where the realm cannot be asked they are kept for `KEPT_S` seconds in all; after that no token can be judged.
    """

    def __init__(self, issuer: Issuer, audience: str, clock: Clock = monotonic) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = -math.inf
        self._failed = -math.inf
        self._once = Once()

    async def identify(self, token: str) -> Identity:
        """Identity behind a token.

        Raises
        ------
        TokenError
            Not an access token, expired, of another issuer, for another audience, or badly signed.
        IssuerUnreachableError
            The realm's keys were not to be had for a minute, so nothing can be said.
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
                issuer=self._issuer.url,
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
        if self._is_due(kid, self._clock()):
            await self._once.run(b"keys", self._fetch_keys)
        asked_in_vain = kid not in self._keys and self._failed > self._fetched
        if asked_in_vain or self._clock() - self._fetched >= KEPT_S:
            raise IssuerUnreachableError("the sign-in service cannot be reached", "try again in a minute")
        if kid not in self._keys:
            message = "the bearer token is signed with a key that the issuer does not have"
            raise TokenError(message, "sign in again")
        return self._keys[kid]

    def _is_due(self, kid: str, now: float) -> bool:
        if now - self._failed < AGAIN_S:
            return False
        age = now - self._fetched
        return age >= FRESH_S or (kid not in self._keys and age >= UNKNOWN_KEY_S)

    async def _fetch_keys(self) -> None:
        began = self._clock()
        try:
            keys = {}
            for key in await self._issuer.keys():
                if key.get("kty") == "RSA" and key.get("use", "sig") == "sig":
                    keys[str(key["kid"])] = jwt.PyJWK(key, algorithm=ALGORITHMS[0])
        except (IssuerUnreachableError, jwt.PyJWTError, LookupError):
            self._failed = self._clock()
            return
        self._keys, self._fetched = keys, began


class ImageCookie:
    """Seals the access token into a cookie value for images, which a browser fetches without an Authorization header.

    Parameters
    ----------
    key : bytes
        32 bytes, made anew at each start; a restart only makes the viewer ask again.

    Notes
    -----
    What comes out is judged like any token, each time: the cookie grants nothing by itself and ends with its sign-in,
    whatever ends that. It is encrypted, so that whoever finds one has no token.
    """

    NAME = "cubehub-cubes-images"
    MOST = 4096 - len(NAME)
    """Browsers drop a cookie whose name and value are longer."""

    def __init__(self, key: bytes) -> None:
        self._box = AESGCM(key)

    def seal(self, token: str) -> str | None:
        """Cookie value for a token; None if a browser would not keep it."""
        nonce = secrets.token_bytes(12)
        sealed = self._box.encrypt(nonce, zlib.compress(token.encode()), self.NAME.encode())
        value = urlsafe_b64encode(nonce + sealed).decode()
        return value if len(value) <= self.MOST else None

    def open(self, value: str) -> str | None:
        """Token in a cookie value; None if it is forged or damaged."""
        try:
            sealed = urlsafe_b64decode(value.encode("ascii"))
            return zlib.decompress(self._box.decrypt(sealed[:12], sealed[12:], self.NAME.encode())).decode()
        except (ValueError, InvalidTag):
            return None
