"""Keys and passwords, read anew for each request from where the settings say."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote

from cubehub_catalogue.http.credentials import Credentials, Given, hidden

if TYPE_CHECKING:
    from cubehub_catalogue.auth import ApiKey, Basic


class ApiKeyCredentials(Credentials):
    """A key in a header or parameter."""

    def __init__(self, settings: ApiKey) -> None:
        self._settings = settings
        self._last = ""

    async def given(self) -> Given:
        """Read the key."""
        self._last = self._settings.secret()
        if self._settings.header is not None:
            return Given(headers={self._settings.header: self._last})
        return Given(params={self._settings.query or "": self._last})

    def hide(self, text: str) -> str:
        """Take the key out."""
        return hidden(text, (self._last, quote(self._last, safe="")))


class BasicCredentials(Credentials):
    """User name and password."""

    def __init__(self, settings: Basic) -> None:
        self._settings = settings
        self._last: tuple[str, str] = ("", "")

    async def given(self) -> Given:
        """Read the password."""
        password = self._settings.secret()
        coded = base64.b64encode(f"{self._settings.username}:{password}".encode()).decode()
        self._last = password, coded
        return Given(headers={"Authorization": f"Basic {coded}"})

    def hide(self, text: str) -> str:
        """Take the password out."""
        return hidden(text, self._last)
