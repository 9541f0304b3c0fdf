"""What a policy would have moved at a date: from what a scan found and what is known of the people. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cubehub.storage.kinds import CACHES, MADE
from cubehub.storage.names import original
from cubehub.storage.planning import Entry
from cubehub.storage.policies import DAY_S, OVER_QUOTA_AGE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from cubehub.storage.policies import Policy
    from cubehub.storage.results import FoundFile, FoundUnit, Home


@dataclass(frozen=True)
class Owner:
    """Whose a home is, as Keycloak and the Hub tell.

    Attributes
    ----------
    email : str or None
        Where notices go.
    language : str
        Of Keycloak's account, such as ``et``; empty if none is set.
    profile : str or None
        Name of the profile that the person has now.
    storage : int or None
        Bytes that the profile gives to a home.
    last_seen : float
        When the person last logged in or used a server, seconds since 1970; 0 for never.
    running : bool
        Whether a server of theirs runs.
    account : str
        Directory's id; empty for whom only the Hub knows.
    """

    username: str
    email: str | None = None
    language: str = ""
    profile: str | None = None
    storage: int | None = None
    last_seen: float = 0
    running: bool = False
    account: str = ""


@dataclass(frozen=True)
class Kept:
    """A place that stays where it is; an empty path is the whole home.

    Attributes
    ----------
    until : float or None
        Seconds since 1970; None for as long as it is said.
    by : str
        ``you``, ``admin`` or ``file`` (a `.cubehub-keep` in it).
    """

    home: bytes
    path: bytes
    until: float | None
    by: str

    def covers(self, home: bytes, path: bytes, at: float) -> bool:
        """Whether a path must stay: it is in what is kept, or what is kept is in it."""
        if home != self.home or (self.until is not None and self.until < at):
            return False
        return _within(path, self.path) or _within(self.path, path)


class Keeps:
    """All that is kept at a moment, for many questions: somebody may keep very many places.

    Parameters
    ----------
    at : float
        The moment, seconds since 1970.
    """

    def __init__(self, kept: Iterable[Kept], at: float) -> None:
        found: dict[bytes, set[bytes]] = {}
        for one in kept:
            if one.until is None or one.until >= at:
                found.setdefault(one.home, set()).add(one.path)
        self._homes = {home: (paths, sorted(paths)) for home, paths in found.items()}

    def cover(self, home: bytes, path: bytes) -> bool:
        """Whether a path must stay, as `Kept.covers` says it of one."""
        if home not in self._homes:
            return False
        paths, in_order = self._homes[home]
        if not path or b"" in paths:
            return True
        above = path
        while above and above not in paths:
            above = above.rpartition(b"/")[0]
        if above:
            return True
        below = path + b"/"
        place = bisect_left(in_order, below)
        return place < len(in_order) and in_order[place].startswith(below)


def _within(path: bytes, above: bytes) -> bool:
    return not above or path == above or path.startswith(above + b"/")


@dataclass(frozen=True)
class Found:
    """What is known when something is decided.

    Attributes
    ----------
    scanned : float
        When the homes were looked at, seconds since 1970: what was used since is not known.
    over_since : mapping of str to float
        By home, since when each scan found it over the storage of its owner's profile.
    owners : mapping of str to Owner, or None
        By home. None if nobody could be asked: then nothing that people made is moved, nor anything by profile.
    apart : set of bytes
        Homes that lie on a device of their own: nothing can be moved out of them, so only they as a whole are.
    """

    scanned: float
    homes: Sequence[Home]
    units: Sequence[FoundUnit] = ()
    large: Sequence[FoundFile] = ()
    over_since: Mapping[str, float] = field(default_factory=dict)
    owners: Mapping[str, Owner] | None = None
    kept: Sequence[Kept] = ()
    apart: AbstractSet[bytes] = frozenset()


def decide(found: Found, policy: Policy, at: float, lead: float = 0) -> list[Entry]:
    """What a policy would have moved at a date.

    Parameters
    ----------
    at : float
        The date, seconds since 1970; in the future for what is to be expected if nobody uses any of it.
    lead : float
        Seconds by which to look further ahead, for notices; by half of an age at most, so that nobody is told of what
        was used just now.

    Returns
    -------
    list of Entry
        The largest first. No cutoff is later than the scan, nothing is in another entry, and nothing that is kept is
        in one.
    """
    if found.owners is None and policy.profiles:
        return []
    kept = Keeps(found.kept, at)
    free = [e for e in _homes(found, policy, at, lead) if not kept.cover(e.home, e.path)]
    gone = {e.home for e in free} | found.apart
    parts = [*_units(found, policy, at, lead), *_large(found, policy, at, lead)]
    below = _outermost([e for e in parts if e.home not in gone and not kept.cover(e.home, e.path)])
    return sorted([*free, *below], key=lambda e: (-e.bytes, e.home, e.path))


def _cutoff(found: Found, at: float, age: int, lead: float) -> int:
    return int(min(at + min(lead, age / 2) - age, found.scanned))


def _owner(found: Found, home: str) -> Owner | None:
    return found.owners.get(home) if found.owners is not None else None


def _units(found: Found, policy: Policy, at: float, lead: float) -> Iterable[Entry]:
    over = _over_quota(found, policy, at)
    for unit in _with_inner(found.units):
        made = unit.kind in MADE
        if made and found.owners is None:
            continue
        owner = _owner(found, unit.home)
        age = policy.age(unit.kind, owner.profile if owner else None)
        if unit.home in over and unit.kind in CACHES:
            age = OVER_QUOTA_AGE_S if age is None else min(age, OVER_QUOTA_AGE_S)
        if age is None:
            continue
        cutoff = _cutoff(found, at, age, lead)
        if unit.newest < cutoff and (unit.files or unit.bytes):
            yield Entry(
                original(unit.home), original(unit.path), unit.kind, unit.bytes, unit.files, unit.newest, cutoff, unit.inode
            )  # fmt: skip


def _with_inner(units: Sequence[FoundUnit]) -> Iterable[FoundUnit]:
    """Each with those that are in it, such as copies of notebooks in scratch: a scan counts them by themselves only."""
    places = {(unit.home, unit.path): number for number, unit in enumerate(units)}
    found = list(units)
    for number in sorted(range(len(units)), key=lambda n: -units[n].path.count("/")):
        inner = found[number]
        above = inner.path.rpartition("/")[0]
        while above and (inner.home, above) not in places:
            above = above.rpartition("/")[0]
        if above:
            outer = found[place := places[inner.home, above]]
            found[place] = replace(
                outer,
                bytes=outer.bytes + inner.bytes,
                files=outer.files + inner.files,
                newest=max(outer.newest, inner.newest),
            )
    return found


def _over_quota(found: Found, policy: Policy, at: float) -> set[str]:
    """Homes that have been over their storage for longer than they may."""
    over = set()
    for home in found.homes:
        owner = _owner(found, home.name)
        if owner is None or owner.storage is None or home.bytes <= owner.storage:
            continue
        age = policy.age("over_quota", owner.profile)
        if age is not None and found.over_since.get(home.name, found.scanned) <= at - age:
            over.add(home.name)
    return over


def _large(found: Found, policy: Policy, at: float, lead: float) -> Iterable[Entry]:
    if found.owners is None:
        return
    units: dict[str, set[str]] = {}
    for unit in found.units:
        units.setdefault(unit.home, set()).add(unit.path)
    for file in found.large:
        owner = found.owners.get(file.home)
        age = policy.age("large", owner.profile if owner else None)
        if age is None or file.bytes < policy.large_from or not file.inode:
            continue
        above, paths = file.path, units.get(file.home, set())
        # what is in a cache or in scratch goes by the rules for those
        while above and above not in paths:
            above = above.rpartition("/")[0]
        cutoff = _cutoff(found, at, age, lead)
        if not above and file.newest < cutoff:
            yield Entry(
                original(file.home), original(file.path), "large", file.bytes, 1, file.newest, cutoff, file.inode
            )  # fmt: skip


def _homes(found: Found, policy: Policy, at: float, lead: float) -> list[Entry]:
    """Homes that would be moved as a whole."""
    if found.owners is None:
        return []
    entries = []
    for home in found.homes:
        owner = found.owners.get(home.name)
        if not home.inode or (owner is not None and owner.running):
            continue
        kind, cutoff = "idle", None
        age = policy.age("idle", owner.profile if owner else None)
        if age is not None:
            cutoff = _cutoff(found, at, age, lead)
            if home.newest >= cutoff or (owner is not None and owner.last_seen >= cutoff):
                cutoff = None
        for workshop in policy.workshops:
            if workshop.has(home.name) and _after(workshop.ends) <= at + lead:
                kind, cutoff = "workshop", int(found.scanned)
        if cutoff is not None and home.newest < cutoff:
            entries.append(
                Entry(original(home.name), b"", kind, home.bytes, home.files, home.newest, cutoff, home.inode)
            )
    return entries


def _after(day: object) -> float:
    """When a day is over in UTC."""
    # added as seconds: there is no day after the last of the year 9999, which people write for ever
    return datetime.fromisoformat(str(day)).replace(tzinfo=UTC).timestamp() + DAY_S


def _outermost(entries: list[Entry]) -> list[Entry]:
    """Without those that are in another one."""
    paths = {(e.home, e.path) for e in entries}
    found = []
    for entry in entries:
        above = entry.path.rpartition(b"/")[0]
        while above and (entry.home, above) not in paths:
            above = above.rpartition(b"/")[0]
        if not above:
            found.append(entry)
    return found


def over_since(fill: Iterable[tuple[float, str, int]], owners: Mapping[str, Owner]) -> dict[str, float]:
    """Since when each home has been over its storage in all scans.

    Parameters
    ----------
    fill : iterable of tuple
        As `Results.fill` gives it: when a scan ended, home and bytes; the oldest first.
    """
    since: dict[str, float] = {}
    for ended, home, size in fill:
        owner = owners.get(home)
        if owner is None or owner.storage is None or size <= owner.storage:
            since.pop(home, None)
        else:
            since.setdefault(home, ended)
    return since
