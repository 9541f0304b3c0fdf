"""The profiles file, with the order of each profile's groups, which decides where a move leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub_spawner.entitlement import Account, granted_profiles
from cubehub_spawner.profiles import load_profiles

from cubehub.accounts.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub_spawner.profiles import Profiles

    from cubehub.accounts.people import Person

NOTHING = "none"
"""What a move names to take every profile away; a profile of that name comes first."""


@dataclass(frozen=True)
class Rules:
    """Who gets what by which group."""

    profiles: Profiles
    groups: dict[str, tuple[str, ...]]
    """Group paths of each profile, in the order of the file."""

    @property
    def granting(self) -> frozenset[str]:
        """Paths of all groups that grant a profile."""
        return frozenset(path for paths in self.groups.values() for path in paths)

    def named(self, text: str) -> str | None:
        """Give the name of the profile that is meant, by name or title in any case; None for none of them.

        Raises
        ------
        RefusedError
            There is no such profile.
        """
        if text in self.groups:
            return text
        meant = text.strip().lower()
        for name, profile in self.profiles.profiles.items():
            if meant in (name.lower(), profile.title.lower()):
                return name
        if meant == NOTHING:
            return None
        raise RefusedError(
            f"There is no profile {text!r}.",
            f"Profiles: {', '.join(self.groups)}; {NOTHING!r} takes them all away.",
            code="unknown_profile",
        )

    def target(self, name: str) -> str:
        """Path of the group that a move to a profile leads into: its first."""
        return self.groups[name][0]

    def granted(self, person: Person) -> list[str]:
        """Names of the profiles that a person's groups grant, best first, also while they are suspended."""
        account = Account(person.username, person.id, enabled=True, groups=person.groups)
        return [profile.name for profile in granted_profiles(account, self.profiles)]


def read_rules(path: Path) -> Rules:
    """Read the profiles file.

    Raises
    ------
    ProfileFileError
        It can't be used.
    """
    profiles = load_profiles(path)
    return Rules(profiles, {name: one.groups_in_order for name, one in profiles.profiles.items()})
