"""Who may have how much: a pure decision, without a Hub, a directory or a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from cubehub_spawner.profiles import DaskBudget, Profile, Profiles


@dataclass(frozen=True)
class Account:
    """What the directory says about a person, at the moment it was asked."""

    username: str
    """The name the Hub knows the person by."""
    id: str
    """The directory's own key, which outlives a rename."""
    enabled: bool
    """False for a suspended person: nothing starts, data stays."""
    groups: frozenset[str]
    """Full group paths, e.g. ``/cubehub/standard``."""
    email: str | None = None
    until: datetime | None = None
    """When the profile that was lent to the person ends, with its zone; None where it is theirs for good."""
    until_profile: str | None = None
    """Name of the profile that comes then; None for none."""


@dataclass(frozen=True)
class Grant:
    """A server may start, with exactly these resources."""

    profile: str
    """Name of the profile in the profiles file."""
    title: str
    """The profile's name as people read it."""
    memory_bytes: int
    """RAM of this server, in bytes."""
    cpu: float
    """Cores."""
    storage_bytes: int
    """Home folder, in bytes."""
    dask: DaskBudget
    """What the person may have on Dask Gateway."""


@dataclass(frozen=True)
class Refusal:
    """No server starts, and this is why."""

    code: str
    """One of ``account_disabled``, ``no_profile``, ``profile_not_granted``, ``memory_in_use``."""
    message: str
    """What was wrong, for the person."""
    hint: str
    """What the person can do next."""


def grant_of(profile: Profile) -> Grant:
    """Write a profile out as what a server gets by it."""
    return Grant(
        profile=profile.name,
        title=profile.title,
        memory_bytes=profile.memory,
        cpu=profile.cpu,
        storage_bytes=profile.storage,
        dask=profile.dask,
    )


def granted_profiles(account: Account, profiles: Profiles) -> list[Profile]:
    """List the profiles that an account's groups grant, best first.

    Best is the one with the most memory; between equals, the one that comes first in the file.
    A disabled account has none.
    """
    if not account.enabled:
        return []
    mine = [profile for profile in profiles.profiles.values() if account.groups & profile.groups]
    return sorted(mine, key=lambda profile: -profile.memory)  # sorted is stable: file order between equals


def decide(
    account: Account, requested: str | None, running: Iterable[int], profiles: Profiles
) -> Grant | Refusal:
    """Decide whether a server may start, and with what.

    Parameters
    ----------
    account : Account
        The person, as the directory sees them now.
    requested : str or None
        Name of the profile asked for; None or empty for the best that is free.
    running : iterable of int
        Memory limits, in bytes, of the person's *other* servers that run or start.
    profiles : Profiles
        The profiles file.

    Returns
    -------
    Grant or Refusal

    Notes
    -----
    The memory of all of a person's servers together stays within their best profile. Someone with
    Premium (10G) and Standard (5G) can therefore run one Premium server or two Standard ones; with
    no profile asked for, the second server gets the best profile that still fits.
    """
    if not account.enabled:
        return Refusal(
            "account_disabled",
            "Your account is suspended, so no server can be started. Your files are kept.",
            "Ask your administrator why, and what it takes to have it resumed.",
        )
    mine = granted_profiles(account, profiles)
    if not mine:
        return Refusal(
            "no_profile",
            "Your account is in no group that grants a notebook server.",
            "Ask your administrator to add you to one of: "
            + ", ".join(profile.title for profile in profiles.profiles.values())
            + ". Public data cubes can be viewed without one.",
        )
    if requested:
        wanted = [profile for profile in mine if profile.name == requested]
        if not wanted:
            return Refusal(
                "profile_not_granted",
                f"The profile “{requested}” is not one that your groups grant.",
                "Start with "
                + " or ".join(profile.title for profile in mine)
                + ", or ask your administrator for another.",
            )
    else:
        wanted = mine
    ceiling = mine[0].memory
    used = sum(max(0, bytes_) for bytes_ in running)
    for profile in wanted:
        if used + profile.memory <= ceiling:
            return grant_of(profile)
    return Refusal(
        "memory_in_use",
        f"Your other servers already use {format_bytes(used)} of the {format_bytes(ceiling)} of memory "
        f"that {mine[0].title} gives you in all.",
        "Stop one of them in the Hub's control panel, then start this one.",
    )


def format_moment(moment: datetime) -> str:
    """Write a moment as people read it, wherever they are: ``28 Nov 2026 06:30 UTC``."""
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M} UTC"


def title_of(profile: str | None, profiles: Profiles) -> str:
    """Give a profile's name as people read it; one that no longer exists keeps the name it had."""
    if not profile:
        return "no profile"
    return profiles.profiles[profile].title if profile in profiles.profiles else profile


def format_bytes(count: int) -> str:
    """Write a number of bytes as people read it: ``5 GiB``, ``1.5 GiB``, ``300 MiB``."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{round(count / size, 1):g} {unit}"
    return f"{count} B"
