"""What has to be done so that everything that runs is what Keycloak says: a pure comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from cubehub.accounts.membership import Snapshot
    from cubehub.accounts.people import Person


@dataclass(frozen=True)
class Running:
    """Somebody who has a server that runs or starts."""

    name: str
    """The Hub's name for them."""
    account_id: str | None
    """Keycloak's id of the account whose servers these are, as far as the Hub knows it."""
    seen: tuple[bool, frozenset[str]] | None
    """Enabled and groups, as the last decision about these servers saw the account; None where they differ."""
    pending: bool
    """Whether a server has not yet what it should have."""


@dataclass(frozen=True)
class Todo:
    """What one comparison found."""

    follow: frozenset[str] = frozenset()
    """People whose servers are to be compared by the Hub, because the account is another than it was."""
    pending: frozenset[str] = frozenset()
    """People whose servers wait for room or for the end of a grace period."""
    ended: frozenset[str] = frozenset()
    """People, of these two or with Dask clusters, who may have nothing any more."""
    off: frozenset[str] = frozenset()
    """People whose account is switched off, so that log-ins have to end."""
    due: tuple[Person, ...] = ()
    """People whose time in a profile is over."""


def read_running(answer: Any) -> list[Running]:
    """Read the Hub's list of people with servers.

    Raises
    ------
    KeyError, TypeError
        It is no such list.
    """
    return [
        Running(
            name=str(one["name"]),
            account_id=one["account_id"],
            seen=(one["seen"]["enabled"], frozenset(one["seen"]["groups"])) if one["seen"] else None,
            pending=any(server["pending"] for server in one["servers"]),
        )
        for one in answer["people"]
    ]


def compare(
    running: Iterable[Running],
    clusters: Mapping[str, int],
    snapshot: Snapshot,
    granting: frozenset[str],
    now: datetime,
) -> Todo:
    """Compare what runs with the accounts.

    Parameters
    ----------
    running
        People with servers, from the Hub.
    clusters
        Number of Dask clusters by name, from the gateway.
    snapshot
        Keycloak's members of all groups in `granting`, and the accounts that are switched off.
    granting
        Paths of the groups that grant a profile; of others, a change means nothing for what runs.
    now
        With its zone.

    Notes
    -----
    It finds out who has to be looked at, not what they get: that the Hub decides, and asks Keycloak once more.
    """
    people = list(running)
    follow = {one.name for one in people if _differs(one, snapshot, granting)}
    ended = {name for name in (*follow, *clusters) if not has_access(name, snapshot)}
    return Todo(
        follow=frozenset(follow),
        pending=frozenset(one.name for one in people if one.pending and one.name not in follow),
        ended=frozenset(ended),
        off=frozenset(snapshot.disabled),
        due=tuple(one for one in snapshot.members.values() if one.until is not None and one.until <= now),
    )


def has_access(name: str, snapshot: Snapshot) -> bool:
    """Whether a person may have servers and clusters at all."""
    found = snapshot.members.get(name.lower())
    return found is not None and found.enabled and name.lower() not in snapshot.disabled


def _differs(one: Running, snapshot: Snapshot, granting: frozenset[str]) -> bool:
    if one.seen is None or not has_access(one.name, snapshot):
        # whatever was seen: while somebody without access has a server, it is not done
        return True
    enabled, groups = one.seen
    found = snapshot.members[one.name.lower()]
    if one.account_id is not None and one.account_id != found.id:
        return True
    return (found.enabled, found.groups) != (enabled, groups & granting)
