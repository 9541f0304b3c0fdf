"""What a change of entitlement means for servers that run: a pure decision, as `entitlement.decide` is for a start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub_spawner.entitlement import Account, Grant, Refusal, decide, grant_of, granted_profiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from cubehub_spawner.profiles import Profile, Profiles


@dataclass(frozen=True)
class Pending:
    """What a server should have and does not have yet."""

    profile: str
    """Name of the profile; empty where the server will have to stop."""
    memory_bytes: int
    """RAM it should have, in bytes; 0 where it will have to stop."""
    at: datetime | None
    """When less RAM comes whatever is in use; None for more RAM, which comes as soon as there is room."""

    def as_state(self) -> dict[str, Any]:
        """Write it as JSON."""
        return {
            "profile": self.profile,
            "memory_bytes": self.memory_bytes,
            "at": self.at.isoformat() if self.at else None,
        }


@dataclass(frozen=True)
class Running:
    """One of a person's servers, as it runs now."""

    server: str
    """Its name; empty for the default one."""
    profile: str
    """Name of the profile it runs with."""
    memory_bytes: int
    """Its limit, in bytes."""
    cpu: float
    """Its cores."""
    wish: str | None = None
    """The profile that was chosen for it by name, or that was all that fitted; None where it follows the best."""
    used_bytes: int | None = None
    """What it uses now, in bytes; None where nobody knows."""
    pending: Pending | None = None
    """What was announced earlier and is not done yet."""
    fixed: bool = False
    """Whether it keeps what it has while there is room for that: it was started small on purpose."""


@dataclass(frozen=True)
class Resize:
    """Give the server another limit now, its processes go on."""

    server: str
    grant: Grant


@dataclass(frozen=True)
class Announce:
    """Tell the person that the server will have less, and when; nothing changes yet."""

    server: str
    pending: Pending
    grant: Grant | None
    """What it will have; None where it will be stopped."""


@dataclass(frozen=True)
class Withdraw:
    """What was announced does not come: the person may have after all what the server has."""

    server: str


@dataclass(frozen=True)
class Stop:
    """End the server; files stay."""

    server: str
    refusal: Refusal


Action = Resize | Announce | Withdraw | Stop


def reconcile(
    account: Account,
    servers: Sequence[Running],
    profiles: Profiles,
    now: datetime,
    grace: timedelta,
) -> list[Action]:
    """Decide what is to be done so that running servers have what their person may have.

    Parameters
    ----------
    account : Account
        The person, as the directory sees them now.
    servers : sequence of Running
        All of the person's running servers, in the order in which they were started.
    profiles : Profiles
        The profiles file.
    now : datetime
        With its zone.
    grace : timedelta
        How long a server keeps what was more.

    Returns
    -------
    list of Action
        At most one for each server, those that take before those that give; empty where all is as it should be.

    Notes
    -----
    More comes at once. Less comes at once where the server uses less than that already (its person notices
    nothing), else it is announced, and comes at the end of the grace period at the latest: whatever then still
    uses more is stopped. Servers older than others go first when their RAM together would be too much.
    Repeating it after its actions were carried out gives nothing, whatever order the two happen in.
    """
    mine = granted_profiles(account, profiles)
    if not mine:
        refusal = decide(account, None, (), profiles)
        assert isinstance(refusal, Refusal)  # noqa: S101 - no profile, no grant
        return [Stop(one.server, refusal) for one in servers]
    actions: list[Action] = []
    left = mine[0].memory
    for index, one in enumerate(servers):
        younger = sum(other.memory_bytes for other in servers[index + 1 :])
        target = None if one.fixed else _target(one, mine, left, younger)
        kept = target is None and one.memory_bytes <= left
        left -= target.memory if target else one.memory_bytes if kept else 0
        action = _withdraw(one) if kept else _action(one, target, mine[0], now, grace)
        if action is not None:
            actions.append(action)
    # what shrinks makes room for what grows
    return sorted(actions, key=lambda action: isinstance(action, Resize) and _grows(action, servers))


def _target(one: Running, mine: Sequence[Profile], left: int, younger: int) -> Profile | None:
    """Choose the profile a server should run with; None where it should stay as it is, or end if there is no room.

    Notes
    -----
    A server never grows at the cost of one that runs already. It does not shrink either while its person's servers
    are within the best profile together: what it has is theirs, whichever group gave it at the start.
    """
    wished = [profile for profile in mine if profile.name == one.wish]
    for profile in (*wished, *mine):
        size = profile.memory
        if size > one.memory_bytes and size <= left - younger:
            return profile
        if size == one.memory_bytes and size <= left:
            return profile
        if size < one.memory_bytes and (profile.name == one.wish or one.memory_bytes > left) and size <= left:
            return profile
    return None


def _withdraw(one: Running) -> Withdraw | None:
    return Withdraw(one.server) if one.pending else None


def _action(
    one: Running, target: Profile | None, best: Profile, now: datetime, grace: timedelta
) -> Action | None:
    if target is not None:
        grant = grant_of(target)
        same = (one.profile, one.memory_bytes, one.cpu) == (grant.profile, grant.memory_bytes, grant.cpu)
        if same:
            return _withdraw(one)
        fits = one.used_bytes is not None and one.used_bytes <= grant.memory_bytes
        if grant.memory_bytes >= one.memory_bytes or fits:
            return Resize(one.server, grant)
    else:
        grant = None
    announced = one.pending is not None and one.pending.at is not None
    at = one.pending.at if one.pending and one.pending.at else now + grace
    if announced and at <= now:
        return Stop(one.server, _grace_over(grant, best))
    pending = Pending(grant.profile if grant else "", grant.memory_bytes if grant else 0, at)
    return None if pending == one.pending else Announce(one.server, pending, grant)


def _grace_over(grant: Grant | None, best: Profile) -> Refusal:
    title = grant.title if grant else best.title
    return Refusal(
        "grace_over",
        f"Your profile is now {title}, and the time in which your server could keep more memory is over.",
        f"Start it again with {title}; your files are kept.",
    )


def _grows(action: Resize, servers: Sequence[Running]) -> bool:
    return any(
        one.server == action.server and action.grant.memory_bytes > one.memory_bytes for one in servers
    )
