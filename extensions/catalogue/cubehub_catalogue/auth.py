"""How a catalogue is logged in to, as the settings say it; secrets stand in files or in the environment, never here."""

from __future__ import annotations

import os
import re
from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cubehub_catalogue.errors import SignInError

_LONGEST_SECRET = 64 * 1024
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NOT_FOR_KEYS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "cookie",
        "te",
        "upgrade",
        "expect",
        "range",
    }
)


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def check(self, *, private: bool) -> None:
        """Look for what depends on the catalogue.

        Raises
        ------
        ValueError
            Says what does not fit.
        """


class NoAuth(_Auth):
    """Asked without a log-in."""

    type: Literal["none"] = "none"
    """none"""


class ApiKey(_Auth):
    """A key in a header or in the address."""

    type: Literal["api_key"]
    """api_key"""
    header: str | None = None
    """Name of the header it is sent in."""
    query: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._~-]{1,100}$")
    """Name of the parameter it is sent in; a header is better, for addresses get into logs."""
    value_file: Path | None = None
    """File with the key on its first line."""
    value_env: str | None = None
    """Environment variable with the key."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        _exactly_one(header=self.header, query=self.query)
        _exactly_one(value_file=self.value_file, value_env=self.value_env)
        if self.header is not None and (
            not _HEADER.fullmatch(self.header) or self.header.lower() in _NOT_FOR_KEYS
        ):
            raise ValueError(f"header: {self.header!r} is no header for a key")
        return self

    def secret(self) -> str:
        """Read the key."""
        return read_secret(self.value_file, self.value_env)


class Basic(_Auth):
    """User name and password."""

    type: Literal["basic"]
    """basic"""
    username: str = Field(min_length=1, pattern=r"^[^:\x00-\x1f\x7f]+$")
    """User name, without a colon."""
    password_file: Path | None = None
    """File with the password on its first line."""
    password_env: str | None = None
    """Environment variable with the password."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        _exactly_one(password_file=self.password_file, password_env=self.password_env)
        return self

    def secret(self) -> str:
        """Read the password."""
        return read_secret(self.password_file, self.password_env)


class OAuth2Client(_Auth):
    """A token that the platform gets for itself (OAuth 2 client credentials)."""

    type: Literal["oauth2_client"]
    """oauth2_client"""
    token_url: str
    """Where tokens are had."""
    client_id: str = Field(min_length=1)
    """The client's name."""
    client_secret_file: Path | None = None
    """File with the client's secret on its first line."""
    client_secret_env: str | None = None
    """Environment variable with the client's secret."""
    scope: str | None = None
    """What is asked for, words with spaces between."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        _exactly_one(client_secret_file=self.client_secret_file, client_secret_env=self.client_secret_env)
        return self

    def check(self, *, private: bool) -> None:
        """Refuse an address that would show the secret on the way."""
        parts = urlsplit(self.token_url)
        allowed = ("https", "http") if private else ("https",)
        if parts.scheme not in allowed or not parts.hostname or "@" in parts.netloc:
            shown = re.sub(r"(?<=//)[^/@]*@", "…@", self.token_url).partition("?")[0]
            raise ValueError(f"token_url: {shown!r} is not an https address")

    def secret(self) -> str:
        """Read the client's secret."""
        return read_secret(self.client_secret_file, self.client_secret_env)


class Person(_Auth):
    """The person's own log-in at the platform; the Hub hands out an access token for the audience."""

    type: Literal["person"]
    """person"""
    audience: str = Field(pattern=r"^[A-Za-z0-9._:/-]{1,200}$")
    """Whom the token is for: the catalogue's client in Keycloak."""


class Hub(_Auth):
    """The server's own token of the Hub, for catalogues on the platform: each person finds their own items too."""

    type: Literal["hub"]
    """hub"""


Auth = Annotated[NoAuth | ApiKey | Basic | OAuth2Client | Person | Hub, Field(discriminator="type")]


def read_secret(file: Path | None, variable: str | None) -> str:
    """Read a secret from where the settings say; at each use, so that a new one needs no restart.

    Raises
    ------
    SignInError
        It is not there, or can't be one.
    """
    if file is not None:
        try:
            with file.open("rb") as opened:
                text = opened.read(_LONGEST_SECRET).decode().partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _no_secret(f"the file {file.name} cannot be read") from error
        where = f"the file {file.name}"
    else:
        text, where = os.environ.get(variable or "", "").strip(), f"the variable {variable}"
    if not text:
        raise _no_secret(f"{where} is empty or missing")
    if not text.isprintable() or not text.isascii():
        raise _no_secret(f"{where} holds what no header can carry")
    return text


def _no_secret(why: str) -> SignInError:
    return SignInError(
        "no_credentials",
        f"The log-in for this catalogue is not set up: {why}.",
        "Tell your administrator: it is named in catalogues.yaml.",
    )


def _exactly_one(**given: object) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise ValueError(f"exactly one of {' and '.join(given)} is needed")
