"""What the gateway asks the Hub: what a person may have now, and who a token belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

from cubehub_gateway.budget import Budget, NoBudgetError, budget_of

_TIMEOUT = aiohttp.ClientTimeout(total=12)
"""The Hub asks Keycloak, which may take a few seconds to be found silent."""
READ_SCOPE = "custom:cubehub:read:users"
WRITE_SCOPE = "custom:cubehub:users"


class NotAllowedError(Exception):
    """A token is not one that may do this; ``status`` is 401 for one that nobody has, 403 for another's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class HubApi:
    """The Hub's API, asked with the gateway's own token."""

    session: aiohttp.ClientSession
    url: str
    """Address of the API, without a slash at the end."""
    token: str

    async def budget(self, username: str) -> Budget:
        """Ask what a person may have of Dask now: the Hub asks Keycloak.

        Raises
        ------
        NoBudgetError
            Nothing, or it can't be found out: without an answer nobody gets a cluster.
        """
        path = f"{self.url}/cubehub/users/{quote(username, safe='')}/entitlement"
        try:
            status, answer = await self._get(path, self.token)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoBudgetError(
                "JupyterHub can't be reached to check what your account may have; try again in a minute"
            ) from error
        if status == 200:
            try:
                return budget_of(answer)
            except ValueError as error:
                raise NoBudgetError(
                    "JupyterHub's answer about your account can't be read; tell the operator"
                ) from error
        said = answer if isinstance(answer, dict) else {}
        message = said.get("message") if status in (404, 503) else None
        hint = said.get("hint") or ""
        raise NoBudgetError(
            f"{message} {hint}".strip()
            if isinstance(message, str)
            else "JupyterHub can't tell what your account may have; tell the operator"
        )

    async def check_service(self, header: str | None, scopes: set[str]) -> None:
        """Let a service of the platform pass that has one of the scopes.

        Parameters
        ----------
        header
            The request's ``Authorization``, ``token …``.
        scopes
            Any of them will do.

        Raises
        ------
        NotAllowedError
            It is another's token, or nobody's.
        """
        token = (header or "").partition(" ")[2].strip()
        if not token:
            raise NotAllowedError(401, "This is for services of the platform; send a service's token.")
        try:
            status, answer = await self._get(f"{self.url}/user", token)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotAllowedError(503, "JupyterHub can't be reached to check the token.") from error
        if status != 200 or not isinstance(answer, dict):
            raise NotAllowedError(401, "JupyterHub does not know this token.")
        # a filter such as `!user=ana` is not the whole scope
        if answer.get("kind") != "service" or not scopes & set(answer.get("scopes") or ()):
            raise NotAllowedError(403, f"This needs a service's token with the scope {min(scopes)}.")

    async def _get(self, url: str, token: str) -> tuple[int, Any]:
        headers = {"Authorization": f"token {token}"}
        for last in (False, True):
            try:
                async with self.session.get(url, headers=headers, timeout=_TIMEOUT) as answer:
                    try:
                        return answer.status, await answer.json(content_type=None)
                    except ValueError:
                        return answer.status, None
            except aiohttp.ClientConnectionError:
                if last:  # once more: a Hub that was restarted dropped the connection that was kept
                    raise
        raise AssertionError  # the second time round returns or raises


def refused(error: NotAllowedError) -> web.Response:
    """Write the refusal of a service's request."""
    code = {401: "unauthenticated", 403: "forbidden"}.get(error.status, "hub_unavailable")
    body = {"code": code, "message": str(error), "hint": ""}
    return web.json_response(body, status=error.status)
