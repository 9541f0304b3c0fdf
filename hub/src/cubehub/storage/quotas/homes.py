"""Limits of all homes of a folder: at the start of a server, and by the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub_spawner._homes import owner
from cubehub_spawner.names import home_name

from cubehub.storage.quotas import BACKENDS, find
from cubehub.storage.quotas.base import QuotaBackend, QuotaError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cubehub_spawner.profiles import Profiles


class HomeLimits:
    """For `ProfileLocalSpawner.home_limits`.

    Notes
    -----
    The back ends are asked at each start, which takes some system calls: an administrator may switch quotas on meanwhile.
    """

    def __init__(self, backends: tuple[QuotaBackend, ...] = BACKENDS) -> None:
        self._backends = backends

    def make(self, home: Path) -> None:
        """Make a new home so that it can be limited."""
        find(home.parent, self._backends).backend.make(home)

    def limit(self, home: Path, limit_bytes: int) -> None:
        """Set its limit, where a back end works."""
        find(home.parent, self._backends).backend.limit(home, limit_bytes)


@dataclass(frozen=True)
class Line:
    """One home, as it is and as it should be."""

    home: str
    user: str | None
    """Whose it is; None where nobody has it now."""
    profile: str | None
    should_have: int | None
    """``storage`` of the profile, in bytes."""
    limit: int | None
    used: int | None
    why: str = ""
    """Why it has no limit, or not the right one."""
    hint: str = ""


@dataclass(frozen=True)
class Owner:
    """Whose a home may be."""

    user: str
    id: str
    """The directory's own, which is never given again."""
    profile: str | None


def lines(
    root: Path, people: Iterable[Owner] | None, profiles: Profiles, backend: QuotaBackend
) -> list[Line]:
    """List all homes with what they use and may use.

    Parameters
    ----------
    root : Path
        Folder of the homes.
    people : iterable of Owner or None
        Everybody; None where nobody could be asked.
    profiles : Profiles
        What a profile has.
    backend : QuotaBackend
        The one that works.
    """
    # the Hub writes names small
    by_home = {home_name(person.user.lower()): person for person in people or ()}
    found = []
    for home in sorted(_homes_in(root)):
        person = by_home.get(home.name)
        if person is not None and owner(home) not in {None, person.id}:
            person = None  # an earlier account's of that name; it is moved aside when the new one starts
        user, profile = (person.user, person.profile) if person else (None, None)
        storage = profiles.profiles[profile].storage if profile in profiles.profiles else None
        used = limit = None
        why = hint = ""
        try:
            usage = backend.usage(home)
            used, limit = usage.bytes, usage.limit
        except QuotaError as error:
            why, hint = error.message, error.hint
        if people is not None and user is None:
            why = "nobody has it now"
        elif people is not None and storage is None:
            why = f"{user} has no profile"
        found.append(Line(home.name, user, profile, storage, limit, used, why, hint))
    return found


def apply(root: Path, wanted: list[Line], backend: QuotaBackend) -> list[Line]:
    """Give each home the limit that it should have; tell how it is then.

    Notes
    -----
    One that can't be limited does not keep the others from it. Homes of nobody, and of those without a profile, keep
    what they have.
    """
    done = []
    for line in wanted:
        if line.should_have is None:
            done.append(line)
            continue
        home = root / line.home
        why = hint = ""
        used, limit = line.used, line.limit
        try:
            backend.limit(home, line.should_have)
            usage = backend.usage(home)
            used, limit = usage.bytes, usage.limit
        except QuotaError as error:
            why, hint = error.message, error.hint
        done.append(Line(line.home, line.user, line.profile, line.should_have, limit, used, why, hint))
    return done


def _homes_in(root: Path) -> list[Path]:
    return [
        entry
        for entry in root.iterdir()
        if not entry.name.startswith(".") and entry.is_dir() and not entry.is_symlink()
    ]
