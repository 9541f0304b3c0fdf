"""The JSON of the entitlement API, from the Hub's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_spawner.entitlement import Grant, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub_spawner import Account
    from cubehub_spawner._mixin import EntitledSpawner


def server(spawner: EntitledSpawner) -> dict[str, Any]:
    """Describe a server that runs or starts."""
    pending = spawner.pending_grant
    return {
        "name": spawner.name,
        "profile": spawner.granted_profile,
        "title": spawner.granted_title,
        "memory_bytes": spawner.granted_bytes,
        "ready": bool(spawner.ready),
        "pending": pending.as_state() if pending else None,
    }


def facts(spawner: EntitledSpawner, title: Callable[[str | None], str]) -> dict[str, Any]:
    """Describe a server to itself: what it has, what it will have, and until when.

    Parameters
    ----------
    title
        Gives the name by which people know a profile.

    Notes
    -----
    ``coming`` is what it should have and has not yet: with ``at`` what it has less at that moment at the latest
    (``memory_bytes`` 0: it is stopped), without one more as soon as there is room. ``until`` is the end of a profile
    that was lent, with what comes then.
    """
    pending, account = spawner.pending_grant, spawner.account_seen
    lent = account.until if account and account.until_profile != spawner.granted_profile else None
    return {
        "profile": spawner.granted_profile,
        "title": spawner.granted_title,
        "memory_bytes": spawner.granted_bytes,
        "storage_bytes": spawner.granted_storage,
        "coming": {
            "at": pending.at.isoformat() if pending.at else None,
            "memory_bytes": pending.memory_bytes,
            "title": title(pending.profile) if pending.profile else "",
        }
        if pending
        else None,
        "until": {"at": lent.isoformat(), "title": title(account.until_profile)}
        if lent and account
        else None,
    }


def seen(spawners: list[EntitledSpawner]) -> dict[str, Any] | None:
    """What the last decision about these servers knew of the account; None where they differ in that.

    Notes
    -----
    Whoever compares it with the directory finds out whether anything is to be done: where nothing is known for all of
    them, the answer is yes.
    """
    accounts = [spawner.account_seen for spawner in spawners]
    first = accounts[0] if accounts else None
    if first is None or any(
        one is None or (one.enabled, one.groups) != (first.enabled, first.groups) for one in accounts
    ):
        return None
    return {"enabled": first.enabled, "groups": sorted(first.groups)}


def account(found: Account) -> dict[str, Any]:
    """Describe an account."""
    return {
        "id": found.id,
        "enabled": found.enabled,
        "groups": sorted(found.groups),
        "email": found.email,
    }


def decision(made: Grant | Refusal) -> dict[str, Any]:
    """Describe what an account may have."""
    if isinstance(made, Refusal):
        refusal = {"code": made.code, "message": made.message, "hint": made.hint}
        return {"profile": None, "refusal": refusal}
    profile = {
        "name": made.profile,
        "title": made.title,
        "memory_bytes": made.memory_bytes,
        "cpu": made.cpu,
        "storage_bytes": made.storage_bytes,
        "dask": {
            "clusters": made.dask.clusters,
            "cores": made.dask.cores,
            "memory": made.dask.memory,
        },
    }
    return {"profile": profile, "refusal": None}
