"""Who sends a request: the Hub knows the token, and asks Keycloak about its holder."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from typing import Any, Protocol
from urllib.parse import quote

from cubehub_stac.visibility import Person

SCOPES = frozenset({"access:services", "access:services!service=catalogue"})
"""Any of these a token must have."""
_OF_A_SERVER = "access:servers!server="
"""Begins the scope that each server's own token has."""
OPERATOR_SCOPE = "custom:cubehub:users"
REMEMBERED_S = 30.0
"""An answer counts so long: half of the minute within which a suspension has to hold."""
MAX_REMEMBERED = 5000
_TIMEOUT_S = 12.0
_MAX_ANSWER = 1_000_000
_AT_ONCE = 8
_AWAY = ("hub_unavailable", "JupyterHub cannot be asked who you are.", "Try again in a minute.")


class PeopleError(Exception):
    """Somebody who is not let in, or who can't be known now."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status, self.code, self.hint = status, code, hint


class Asked(Protocol):
    """Whatever can say who sends a request."""

    async def identify(self, authorization: str | None) -> Person | None:
        """Find out who sends a request; None for somebody who says nothing."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The Hub's API never redirects; whoever does is not sent tokens."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow none."""


class People:
    """Asks the Hub; who sends a token and can't be known gets no answer, who sends none sees what is for everybody.

    Parameters
    ----------
    url : str
        Of the Hub's API, without a slash at the end; empty where there is no Hub.
    token : str
        This service's.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), token
        self._known: OrderedDict[bytes, tuple[float, Person]] = OrderedDict()
        self._places = asyncio.Semaphore(_AT_ONCE)
        # no proxy: the Hub is on this platform, and tokens go nowhere else
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    async def identify(self, authorization: str | None) -> Person | None:
        """Find out who sends a request; None for somebody who sends no token.

        Raises
        ------
        PeopleError
            401 for a token that the Hub does not know; 403 for one that may not come here; 503 where the Hub cannot be
            asked.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() not in {"token", "bearer"} or not token:
            return None
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < REMEMBERED_S:
            return known[1]
        if not (token.isascii() and token.isprintable()):
            raise _unknown()
        asked = time.monotonic()
        async with self._places:
            person = await asyncio.to_thread(self._ask, token)
        self._known[key] = (asked, person)
        self._known.move_to_end(key)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return person

    def _ask(self, token: str) -> Person:
        if not self._url or not self._token:
            raise PeopleError(
                503, "no_hub", "This catalogue knows no Hub, so nobody can log in.", "Tell the operator."
            )
        status, user = self._get("/user", token)
        if status in {401, 403, 404}:
            raise _unknown()
        if status != 200 or not isinstance(user, dict):
            raise PeopleError(503, *_AWAY)
        scopes = {s for s in user.get("scopes") or () if isinstance(s, str)}
        name = user.get("name")
        if user.get("kind") == "service" and OPERATOR_SCOPE in scopes:
            return Person(str(name), "", operator=True)
        if user.get("kind") != "user" or not isinstance(name, str) or not scopes & SCOPES:
            raise _no_scope(scopes)
        return self._person(name)

    def _person(self, name: str) -> Person:
        status, found = self._get(f"/cubehub/users/{quote(name, safe='')}/entitlement", self._token)
        if status == 404:
            raise PeopleError(
                403, "unknown_account", f"There is no account {name} any more.", "Sign in again."
            )
        account = found.get("account") if isinstance(found, dict) else None
        if status != 200 or not isinstance(account, dict) or not isinstance(account.get("id"), str):
            raise PeopleError(503, *_AWAY)
        if account.get("enabled") is not True:
            refusal = found.get("refusal")
            refusal = refusal if isinstance(refusal, dict) else {}
            raise PeopleError(
                403,
                str(refusal.get("code") or "account_disabled"),
                str(refusal.get("message") or "Your account is suspended."),
                "Ask your administrator.",
            )
        groups = account.get("groups")
        member = (
            frozenset(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else frozenset()
        )
        return Person(name, account["id"], member)

    def _get(self, path: str, token: str) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310 -- the address is the platform's own
            self._url + path, headers={"Authorization": f"token {token}", "Accept": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return answer.status, json.loads(answer.read(_MAX_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PeopleError(503, *_AWAY) from error


def _no_scope(scopes: set[str]) -> PeopleError:
    if any(scope.startswith(_OF_A_SERVER) for scope in scopes):
        return PeopleError(
            403,
            "no_scope",
            "Your server was started before the platform let servers use its catalogue.",
            "Stop your server and start it again: File, Hub Control Panel, Stop My Server.",
        )
    return PeopleError(
        403,
        "no_scope",
        "This token may not be used for the catalogue.",
        "Make one with the scope access:services!service=catalogue, or use that of a server.",
    )


def _unknown() -> PeopleError:
    return PeopleError(
        401,
        "bad_token",
        "The Hub does not know this token, or it has expired.",
        "Stop your server and start it again, or make a new token.",
    )
