"""The Hub and Dask Gateway, as far as the accounts service asks them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from cubehub.accounts.compare import Running, read_running
from cubehub.accounts.errors import AccountsError, GatewayError, HubError, KeycloakError, UnknownUserError

_TIMEOUT_S = 10.0
_ENDING_S = 90.0
"""For what may stop servers or clusters, which ends their processes first."""


class _Neighbour:
    error: type[AccountsError]
    title: str

    def __init__(self, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # trust_env would send the token through a proxy that the machine has set
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, transport=transport)
        self._url = url.rstrip("/")
        self._token = token

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def _ask(self, method: str, path: str, *, token: str | None = None, **more: Any) -> httpx.Response:
        try:
            return await self._http.request(
                method, self._url + path, headers={"Authorization": f"token {token or self._token}"}, **more
            )
        except httpx.TimeoutException as error:
            raise self.error(f"{self.title} did not answer in time.", "Try again.") from error
        except httpx.HTTPError as error:
            hint = "It may be restarting: try again in a minute. `cubehub status` shows what runs."
            raise self.error(f"{self.title} can't be reached: {error}", hint) from error

    async def _json(self, method: str, path: str, **more: Any) -> Any:
        answer = await self._ask(method, path, **more)
        try:
            content = answer.json()
        except ValueError as error:
            raise self._odd(answer) from error
        if answer.is_success:
            return content
        said = content if isinstance(content, dict) else {}
        code, message = str(said.get("code", "")), str(said.get("message", ""))
        if not code or not message:
            raise self._odd(answer)
        kind = self.error
        if code == "unknown_account":
            kind = UnknownUserError
        elif code.startswith("directory_"):
            kind = KeycloakError
        raise kind(message, str(said.get("hint", "")), code=code)

    def _odd(self, answer: httpx.Response) -> AccountsError:
        where = f"{answer.request.method} {answer.request.url.path}"
        return self.error(
            f"{self.title} answered {answer.status_code} to {where}.", "Its log says more: `cubehub logs`."
        )


class Hub(_Neighbour):
    """The Hub's API: who runs what, and the order to let it follow.

    Parameters
    ----------
    url
        The Hub's API, as ``http://127.0.0.1:8081/hub/api``.
    token
        The service's own.
    """

    error = HubError
    title = "The Hub"

    async def running(self) -> list[Running]:
        """List everybody who has a server.

        Raises
        ------
        HubError
            It could not be asked.
        """
        answer = await self._json("GET", "/cubehub/servers")
        try:
            return read_running(answer)
        except (KeyError, TypeError) as error:
            raise HubError(f"The Hub's list of servers lacks {error}.", "See `cubehub logs hub`.") from error

    async def apply(self, name: str) -> dict[str, Any]:
        """Have the Hub bring a person's servers to what the person may have now; safe to repeat.

        Raises
        ------
        HubError, KeycloakError
            Not all was done.
        """
        found = await self._json("POST", f"/cubehub/users/{quote(name, safe='')}/apply", timeout=_ENDING_S)
        if not isinstance(found, dict) or found.get("access") not in ("granted", "ended"):
            raise HubError("The Hub's answer does not say what was done.", "See `cubehub logs hub`.")
        return found

    async def entitlement(self, name: str) -> dict[str, Any]:
        """Ask what a person may have and what runs.

        Raises
        ------
        HubError, KeycloakError, UnknownUserError
            It could not be told.
        """
        found: dict[str, Any] = await self._json("GET", f"/cubehub/users/{quote(name, safe='')}/entitlement")
        return found

    async def whose(self, token: str) -> dict[str, Any] | None:
        """Ask whose token this is; None for a token of nobody.

        Raises
        ------
        HubError
            It could not be asked.
        """
        answer = await self._ask("GET", "/user", token=token)
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
            return None
        if not answer.is_success:
            raise self._odd(answer)
        try:
            found: dict[str, Any] = answer.json()
        except ValueError as error:
            raise self._odd(answer) from error
        return found


class Gateway(_Neighbour):
    """Dask Gateway: who has clusters, and their end.

    Parameters
    ----------
    url
        The gateway with its prefix, as ``http://127.0.0.1:8000/services/dask-gateway``.
    token
        The service's own token of the Hub.
    """

    error = GatewayError
    title = "Dask Gateway"

    async def clusters(self) -> dict[str, int]:
        """Count everybody's clusters.

        Raises
        ------
        GatewayError
            It could not be asked.
        """
        answer = await self._json("GET", "/cubehub/clusters")
        people = answer.get("people") if isinstance(answer, dict) else None
        if not isinstance(people, dict):
            raise GatewayError("Dask Gateway's answer is no list of clusters.", "See `cubehub logs gateway`.")
        return {str(name): int(count) for name, count in people.items()}

    async def end_clusters(self, name: str) -> int:
        """End a person's clusters and give how many; safe to repeat.

        Raises
        ------
        GatewayError
            Not all were ended.
        """
        path = f"/cubehub/users/{quote(name, safe='')}/clusters"
        answer = await self._json("DELETE", path, timeout=_ENDING_S)
        return int(answer.get("stopped", 0)) if isinstance(answer, dict) else 0
