"""What `cubehub doctor` finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that explains how it is."""

    level: str
    """``ok``, ``note`` or ``problem``."""
    code: str
    """Stable snake_case name."""
    message: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """Write it as JSON."""
        return asdict(self)
