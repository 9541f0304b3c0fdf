"""Whose the homes are: asked at the accounts service (Keycloak) and at the Hub."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from cubehub_spawner.names import home_name

from cubehub.errors import CubeHubError
from cubehub.storage.deciding import Owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PAGE = 100
_TIMEOUT_S = 30.0


class People:
    """Asks who has which home.

    Parameters
    ----------
    hub_api_url, accounts_url : str
        The Hub's API, and that of the accounts service.
    token : str
        A service's of the Hub, which may list people, their activity and servers.
    transport : httpx.BaseTransport or None
        Another way than the network, for tests.
    """

    def __init__(
        self, hub_api_url: str, accounts_url: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._hub, self._accounts = hub_api_url.rstrip("/"), accounts_url.rstrip("/")
        self._token, self._transport = token, transport

    def owners(self, storage: Mapping[str, int]) -> dict[str, Owner]:
        """Everybody, by the name of their home.

        Parameters
        ----------
        storage : mapping of str to int
            By the name of a profile, the bytes that it gives to a home.

        Raises
        ------
        CubeHubError
            One of the two does not answer, or not in its form: nothing is known then.
        """
        # trust_env would send the token through a proxy that the machine has set
        headers = {"Authorization": f"token {self._token}"}
        with httpx.Client(
            timeout=_TIMEOUT_S, trust_env=False, headers=headers, transport=self._transport
        ) as client:
            try:
                accounts = self._everybody(client)
                return merge(accounts, self._activity(client), storage)
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                message = (
                    "Nobody can tell whose the homes are: Keycloak or the Hub does not answer as it should."
                )
                raise CubeHubError(
                    message, "`cubehub status` shows what runs. Try again then.", code="people_unknown"
                ) from error

    def _everybody(self, client: httpx.Client) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        while True:
            answer = client.get(f"{self._accounts}/users", params={"first": len(found), "max": _PAGE})
            page = answer.raise_for_status().json()
            users, more = page["users"], page["more"]
            if not isinstance(users, list) or not isinstance(more, bool) or (more and not users):
                raise ValueError("the list of accounts is cut off")
            _add(found, users)
            if not more:
                break
        if not found:
            # there is an administrator at least: with nobody at all each home would be nobody's, and idle
            raise ValueError("the accounts service says that there is nobody")
        return found

    def _activity(self, client: httpx.Client) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        while True:
            answer = client.get(f"{self._hub}/users", params={"offset": len(found), "limit": _PAGE})
            page = answer.raise_for_status().json()
            if not page:  # not when one is shorter than asked for: a Hub may be set to give fewer at once
                return found
            _add(found, page)


def _add(found: list[Mapping[str, Any]], page: list[Mapping[str, Any]]) -> None:
    """Add a page to what is known of people.

    Raises
    ------
    ValueError
        Somebody is on it who was there before: the pages do not follow each other, and somebody else may be missing.
    """
    names = [str(one["name"]).lower() for one in [*found[-_PAGE:], *page]]
    if len(set(names)) != len(names):
        raise ValueError("pages of people do not follow each other")
    found += page


def merge(
    accounts: Iterable[Mapping[str, Any]], seen: Iterable[Mapping[str, Any]], storage: Mapping[str, int]
) -> dict[str, Owner]:
    """Bring together what the accounts service and the Hub say. Pure.

    Notes
    -----
    Whoever is known to the Hub and not to Keycloak has a home that nobody can be asked about; it is among them, so that
    a server that still runs keeps it.
    """
    activity = {str(one["name"]).lower(): one for one in seen}
    found = {}
    for account in accounts:
        name = str(account["name"])
        hub = activity.pop(name.lower(), {})
        profile = account.get("profile")
        found[home_name(name)] = Owner(
            username=name,
            email=account.get("email") or None,
            language=str(account.get("language") or ""),
            profile=profile,
            storage=storage.get(profile) if profile else None,
            last_seen=_seconds(hub.get("last_activity")),
            running=bool(hub.get("server") or hub.get("servers")),
            account=str(account.get("id") or ""),
        )
    for name, hub in activity.items():
        found[home_name(name)] = Owner(
            username=name,
            last_seen=_seconds(hub.get("last_activity")),
            running=bool(hub.get("server") or hub.get("servers")),
        )
    return found


def _seconds(moment: object) -> float:
    if not moment:
        return 0
    found = datetime.fromisoformat(str(moment))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
