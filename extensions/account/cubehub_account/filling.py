"""Says when a home is getting full: at 80 % and at 95 % of the profile's storage, once each as long as the server runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HIGH, FULL = 0.80, 0.95


@dataclass
class Filling:
    """Remembers what was said."""

    _said: set[float] = field(default_factory=set)

    def notice(self, used_bytes: int, limit_bytes: int, time: str) -> dict[str, Any] | None:
        """Give the notice that is due, if one is.

        Notes
        -----
        A home that is at once almost full is told that alone: the lesser warning has nothing to add.
        """
        if limit_bytes <= 0:
            return None
        share = used_bytes / limit_bytes
        reached = FULL if share >= FULL else HIGH if share >= HIGH else None
        if reached is None or reached in self._said:
            return None
        self._said |= {one for one in (HIGH, FULL) if one <= reached}
        full = reached == FULL
        return {
            "id": f"home-{round(reached * 100)}",
            "time": time,
            "level": "warning",
            "code": "home_full" if full else "home_filling",
            "message": (
                f"Your home is {'almost full' if full else 'filling up'}: "
                f"{_size(used_bytes)} of {_size(limit_bytes)}, {int(share * 100)} %."
            ),
            "hint": (
                "Remove what you do not need; in a full home nothing can be saved."
                if full
                else "Look at what fills it."
            ),
        }


def _size(count: int) -> str:
    """Write a size as the pages do."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.{0 if count >= 100 * size else 1}f} {unit}".replace(".0 ", " ")
    return f"{count / 2**10:.0f} KiB"
