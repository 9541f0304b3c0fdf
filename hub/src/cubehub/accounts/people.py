"""People as Keycloak keeps them, as far as the accounts service is concerned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cubehub_spawner.entitlement import format_moment

from cubehub.keycloak.attributes import SUSPENDED, UNTIL, UNTIL_PROFILE, first_value, read_moment
from cubehub.keycloak.permissions import ADMIN_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Person:
    """One account."""

    id: str
    """Keycloak's own key."""
    username: str
    """The name the Hub knows the person by."""
    enabled: bool
    groups: frozenset[str]
    """Full paths. Of groups that grant a profile, only the real ones: see `cubehub.accounts.groups`."""
    email: str | None = None
    full_name: str = ""
    suspended: str | None = None
    """Why the account was suspended through CubeHub."""
    until: datetime | None = None
    """When the person's profile ends; None for never, or where what is noted is no moment."""
    lookalikes: frozenset[str] = frozenset()
    """Paths of groups that are named as if they were one that counts, and grant nothing."""
    until_profile: str | None = None
    """Name of the profile to go back to then; None for none."""
    language: str = ""
    """That the person chose in Keycloak, such as ``et``; empty for none."""

    @property
    def administrator(self) -> bool:
        """Whether the person administers the platform, and is therefore left alone."""
        return ADMIN_GROUP in self.groups

    @property
    def key(self) -> str:
        """The name as the Hub compares it; Keycloak finds names in any case."""
        return self.username.lower()


def person(representation: Mapping[str, Any], groups: frozenset[str]) -> Person:
    """Read Keycloak's description of a user.

    Raises
    ------
    KeyError
        It lacks id or name.
    """
    names = (representation.get("firstName"), representation.get("lastName"))
    return Person(
        id=str(representation["id"]),
        username=str(representation["username"]),
        enabled=representation.get("enabled") is True,
        groups=groups,
        email=representation.get("email"),
        full_name=" ".join(name for name in names if name),
        suspended=first_value(representation, SUSPENDED),
        until=read_moment(first_value(representation, UNTIL)),
        until_profile=first_value(representation, UNTIL_PROFILE),
        language=first_value(representation, "locale") or "",
    )


def written(text: str | None) -> str:
    """Write a moment that came in ISO form as people read it; what is none stays as it is."""
    found = read_moment(text)
    return format_moment(found) if found else str(text)


def write_moment(moment: datetime) -> str:
    """Write a moment as Keycloak keeps it, in UTC to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
