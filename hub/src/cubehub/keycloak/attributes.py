"""What CubeHub remembers about people, in Keycloak and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cubehub.keycloak.admin import AdminApi

UNTIL = "cubehub_until"
"""When a move ends: a moment in UTC, as ``2026-12-01T00:00:00Z``."""
UNTIL_PROFILE = "cubehub_until_profile"
"""Profile to go back to then; missing for none."""
SUSPENDED = "cubehub_suspended"
"""Why the person was suspended."""
_TITLES = {
    UNTIL: "CubeHub: profile until",
    UNTIL_PROFILE: "CubeHub: profile afterwards",
    SUSPENDED: "CubeHub: suspended because",
}
LONGEST = 500
"""Characters of a value."""


def declare_attributes(api: AdminApi, log: Callable[[str], None]) -> None:
    """Add the attributes to the realm's user profile: administrators see and change them, people neither."""
    profile = api.get("users/profile")
    known = {entry["name"] for entry in profile.get("attributes", [])}
    missing = [name for name in _TITLES if name not in known]
    if not missing:
        return
    profile["attributes"] = profile.get("attributes", []) + [
        {
            "name": name,
            "displayName": _TITLES[name],
            "permissions": {"view": ["admin"], "edit": ["admin"]},
            "validations": {"length": {"max": LONGEST}},
            "multivalued": False,
        }
        for name in missing
    ]
    api.put("users/profile", profile)
    log(f"declared the attributes {', '.join(missing)}")


def first_value(representation: Mapping[str, Any], name: str) -> str | None:
    """Give the value of an attribute in Keycloak's description of a user; None for none or an empty one."""
    attributes = representation.get("attributes")
    values = attributes.get(name) if isinstance(attributes, dict) else None
    return str(values[0]) if isinstance(values, list) and values and values[0] else None


def read_moment(text: str | None) -> datetime | None:
    """Read a moment in ISO form; one without a zone is in UTC. None where it is no moment."""
    try:
        found = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
