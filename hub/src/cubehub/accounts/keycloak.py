"""Keycloak's admin API as the accounts service's own account sees it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx

from cubehub.accounts.errors import KeycloakError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TIMEOUT_S = 5.0
_RENEW_BEFORE_S = 30.0
_PAUSE_S = 0.2
"""Before the one repetition; a Keycloak that restarts drops pooled connections."""
PAGE = 100
_WAIT = "Nothing was changed unless the answer says so. Keycloak may be restarting: try again in a minute."
_LOOK = "Look at the client {client} in Keycloak; `cubehub up` gives it its permissions at each start."


class KeycloakAdmin:
    """Asks and tells Keycloak things below one realm, signed in as a client of that realm.

    Parameters
    ----------
    keycloak_url
        Address of Keycloak for machines, without the realm.
    realm, client_id, client_secret
        The realm, and the client whose service account this is; see `cubehub.keycloak.permissions`.
    transport
        Another way to Keycloak than the network, for tests.

    Notes
    -----
    Only the account's own token is kept. Use one instance in one event loop.
    """

    def __init__(
        self,
        keycloak_url: str,
        realm: str,
        client_id: str,
        client_secret: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # trust_env would send the secret through a proxy that the machine has set
        self._http = httpx.AsyncClient(
            base_url=keycloak_url.rstrip("/"), timeout=_TIMEOUT_S, trust_env=False, transport=transport
        )
        self._client_id = client_id
        self._token_path = f"/realms/{realm}/protocol/openid-connect/token"
        self._admin_path = f"/admin/realms/{realm}/"
        self._login = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._token: str | None = None
        self._token_ends = 0.0
        self._signing_in = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def get(self, path: str, **query: str | int) -> Any:
        """Read something below the realm; None where it is not there.

        Raises
        ------
        KeycloakError
            It could not be asked; ``code`` is as `cubehub.directory` has them.
        """
        answer = await self._request("GET", path, params=query)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _content(answer)

    async def entries(self, path: str, **query: str | int) -> list[dict[str, Any]] | None:
        """Read a list below the realm; None where what it belongs to is not there."""
        found = await self.get(path, **query)
        if found is None or (isinstance(found, list) and all(isinstance(one, dict) for one in found)):
            return found
        raise KeycloakError("Keycloak's answer is not a list.", _WAIT)

    async def pages(self, path: str, **query: str | int) -> AsyncIterator[dict[str, Any]]:
        """Read a long list page by page; a list that is gone midway is an error, never a short list."""
        first = 0
        while True:
            page = await self.entries(path, first=first, max=PAGE, **query)
            if page is None:
                raise KeycloakError(f"Keycloak has no {path} any more.", _WAIT)
            for one in page:
                yield one
            if len(page) < PAGE:
                return
            first += PAGE

    async def change(self, method: str, path: str, json: Any = None) -> bool:
        """Change something below the realm; False where it is not there.

        Raises
        ------
        KeycloakError
            It was not done, or nobody knows whether.
        """
        answer = await self._request(method, path, json=json)
        return answer.status_code != httpx.codes.NOT_FOUND

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        path = self._admin_path + path
        answer = await self._send(method, path, headers=await self._authorization(), **more)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # Keycloak lost its sessions or keys, as after a restore; one new token settles whether that was all
            self._token = None
            answer = await self._send(method, path, headers=await self._authorization(), **more)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise KeycloakError(
                f"Keycloak does not let the accounts service do this ({method} {path}: {answer.status_code}).",
                _LOOK.format(client=self._client_id),
                code="directory_denied",
            )
        if answer.is_error and answer.status_code != httpx.codes.NOT_FOUND:
            raise KeycloakError(f"Keycloak answered with {answer.status_code}: {_reason(answer)}", _WAIT)
        return answer

    async def _authorization(self) -> dict[str, str]:
        async with self._signing_in:
            if self._token is None or time.monotonic() > self._token_ends - _RENEW_BEFORE_S:
                self._token = None
                asked = time.monotonic()
                answer = await self._send("POST", self._token_path, data=self._login)
                if answer.status_code in (400, 401, 403):
                    raise KeycloakError(
                        f"Keycloak does not accept the accounts service's login ({_reason(answer)}).",
                        _LOOK.format(client=self._client_id),
                        code="directory_denied",
                    )
                if answer.is_error:
                    raise KeycloakError(f"Keycloak answered with {answer.status_code} at a login.", _WAIT)
                content = _content(answer)
                try:
                    self._token, ends = str(content["access_token"]), float(content["expires_in"])
                except (KeyError, TypeError, ValueError) as error:
                    raise KeycloakError(f"Keycloak's token answer lacks {error}.", _WAIT) from error
                self._token_ends = asked + ends
            return {"Authorization": f"Bearer {self._token}"}

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        for last in (False, True):
            try:
                return await self._http.request(method, path, **more)
            except httpx.TimeoutException as error:
                raise KeycloakError(
                    f"Keycloak did not answer within {_TIMEOUT_S:g} s.", _WAIT, code="directory_timeout"
                ) from error
            except httpx.HTTPError as error:
                # everything sent here may be sent twice
                if last:
                    raise KeycloakError(
                        f"Keycloak can't be reached: {error}", _WAIT, code="directory_unreachable"
                    ) from error
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError  # the second time round returns or raises


def _content(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise KeycloakError("Keycloak's answer is not JSON.", _WAIT) from error


def _reason(answer: httpx.Response) -> str:
    """Give Keycloak's own words for a refusal; they hold nothing that was sent."""
    try:
        said = answer.json()
    except ValueError:
        return answer.reason_phrase
    for key in ("errorMessage", "error_description", "error"):
        if isinstance(said, dict) and said.get(key):
            return str(said[key])[:200]
    return answer.reason_phrase
