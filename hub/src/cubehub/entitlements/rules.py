"""What the Hub's entitlement API works with, and who may use it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cubehub_spawner.profiles import load_profiles

if TYPE_CHECKING:
    from datetime import timedelta

    from cubehub_spawner.profiles import Profiles

READ_SCOPE = "custom:cubehub:read:users"
WRITE_SCOPE = "custom:cubehub:users"
SCOPES: dict[str, dict[str, Any]] = {
    WRITE_SCOPE: {
        "description": "Move people between profiles, suspend and resume them.",
        "subscopes": [READ_SCOPE],
    },
    READ_SCOPE: {"description": "See people's profiles, limits and running servers."},
}
"""For `JupyterHub.custom_scopes`; filters such as ``!user=ana`` and ``!group=/cubehub/class`` narrow them."""


@dataclass
class Rules:
    """One for a Hub, in its tornado settings."""

    directory: Any
    """Who is who: an object with `async lookup(username) -> Account`."""
    profiles_file: str
    """Read at each question, so an edit needs no restart."""
    grace: timedelta
    """How long a running server keeps what is more than its person may have now."""
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """By user name: two changes of one person's servers go one after the other."""

    def profiles(self) -> Profiles:
        """Read the profiles.

        Raises
        ------
        ProfileFileError
            The file can't be used.
        """
        return load_profiles(self.profiles_file)
