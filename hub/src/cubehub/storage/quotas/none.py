"""No limits: homes share the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub.storage.quotas.base import QuotaBackend, QuotaError, Support, Usage

if TYPE_CHECKING:
    from pathlib import Path


class NoQuota(QuotaBackend):
    """What is left where no other back end works."""

    name = "none"

    def probe(self, root: Path) -> Support:
        """Work everywhere."""
        del root
        return Support(works=True)

    def limit(self, home: Path, limit_bytes: int) -> None:
        """Leave the home as it is: who asks for limits looks at `Found.limits` first."""
        del home, limit_bytes

    def usage(self, home: Path) -> Usage:
        """Tell that nobody counts."""
        raise QuotaError(f"Nobody counts what {home.name} uses.", "`cubehub storage scan` does.")

    def remove(self, home: Path) -> None:
        """Leave it as it is."""
        del home
