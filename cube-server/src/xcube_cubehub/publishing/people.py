"""Who sends a request: the Hub knows the token, and asks Keycloak about its holder."""

import hashlib
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

import aiohttp

from xcube_cubehub.publishing.model import PublishError
from xcube_cubehub.publishing.rules import Person

SCOPES = frozenset({"access:services", "access:services!service=cubes"})
"""Any of these a token must have."""
OPERATOR_SCOPE = "custom:cubehub:users"
REMEMBERED_S = 30.0
"""An answer counts so long: half of the minute within which a suspension has to hold."""
MAX_REMEMBERED = 5000
_TIMEOUT = aiohttp.ClientTimeout(total=12)
_AWAY = (
    "hub_unavailable",
    "JupyterHub cannot be asked who you are and whether you may publish",
    "try again in a minute",
)


class People:
    """Asks the Hub; without an answer nobody may do anything.

    Parameters
    ----------
    session : ClientSession
        For its API.
    url : str
        Of its API, without a slash at the end.
    token : str
        This service's.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session, self._url, self._token = session, url.rstrip("/"), token
        self._known: OrderedDict[bytes, tuple[float, Person]] = OrderedDict()

    async def identify(self, authorization: str | None) -> Person:
        """Find out who sends a request.

        Raises
        ------
        PublishError
            401 for no token, or one that the Hub does not know; 403 for one that may not come here; 503 where the Hub
            cannot be asked.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() not in {"token", "bearer"} or not token:
            raise PublishError(
                401, "no_token", "publishing needs a token of the Hub",
                "in a server on the platform it is there by itself (JUPYTERHUB_API_TOKEN)",
            )  # fmt: skip
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < REMEMBERED_S:
            return known[1]
        asked = time.monotonic()
        person = await self._ask(token)
        self._known[key] = (asked, person)
        self._known.move_to_end(key)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return person

    async def _ask(self, token: str) -> Person:
        if not self._url or not self._token:
            raise PublishError(
                503, "no_hub", "this server knows no Hub, so nobody can publish", "tell the operator"
            )
        status, user = await self._get("/user", token)
        if status in {401, 403, 404}:
            raise PublishError(
                401, "bad_token", "the Hub does not know this token, or it has expired", "restart your server"
            )
        if status != 200 or not isinstance(user, dict):
            raise PublishError(503, *_AWAY)
        scopes = {s for s in user.get("scopes") or () if isinstance(s, str)}
        name = user.get("name")
        if user.get("kind") == "service" and OPERATOR_SCOPE in scopes:
            return Person(str(name), "", operator=True)
        if user.get("kind") != "user" or not isinstance(name, str) or not scopes & SCOPES:
            raise PublishError(
                403, "no_scope", "this token may not be used for publishing",
                "it needs the scope access:services!service=cubes",
            )  # fmt: skip
        return await self._person(name)

    async def _person(self, name: str) -> Person:
        status, found = await self._get(f"/cubehub/users/{quote(name, safe='')}/entitlement", self._token)
        if status == 404:
            raise PublishError(
                403, "unknown_account", f"there is no account {name} any more", "sign in again"
            )
        account = found.get("account") if isinstance(found, dict) else None
        if status != 200 or not isinstance(account, dict) or not isinstance(account.get("id"), str):
            raise PublishError(503, *_AWAY)
        groups = account.get("groups")
        refusal = found.get("refusal") or {}
        enabled = account.get("enabled") is True
        if not enabled:
            raise PublishError(
                403, str(refusal.get("code") or "account_disabled"),
                str(refusal.get("message") or "your account is suspended"), "ask your administrator",
            )  # fmt: skip
        return Person(
            name,
            account["id"],
            frozenset(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else frozenset(),
            may_publish=bool(account["id"]) and bool(found.get("profile")) and not refusal,
            refusal=str(refusal.get("message") or ""),
        )

    async def _get(self, path: str, token: str) -> tuple[int, Any]:
        headers = {"Authorization": f"token {token}"}
        for last in (False, True):
            try:
                async with self._session.get(
                    self._url + path, headers=headers, timeout=_TIMEOUT, allow_redirects=False
                ) as answer:
                    try:
                        return answer.status, await answer.json(content_type=None)
                    except ValueError:
                        return answer.status, None
            except aiohttp.ClientConnectionError as error:
                # once more: a Hub that was restarted dropped the connection that was kept
                if last:
                    raise PublishError(503, *_AWAY) from error
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise PublishError(503, *_AWAY) from error
        raise AssertionError  # the second time round returns or raises
