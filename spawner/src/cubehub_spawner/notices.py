"""What a person is told in their running server: said once, kept as long as the server runs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

_KEPT = 50

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Notice:
    """One sentence for a person, with what they can do."""

    id: int
    """Grows by one with each notice of a server."""
    time: str
    """When it was said, ISO 8601 with zone."""
    level: Level
    code: str
    """Stable name of the cause."""
    message: str
    hint: str

    def as_json(self) -> dict[str, Any]:
        """Write it as JSON."""
        return asdict(self)


@dataclass
class Board:
    """The notices of one server, for whoever waits for the next.

    Notes
    -----
    A waiter takes `changed` before it looks and waits for it after: nothing that comes in between is missed.
    """

    notices: list[Notice] = field(default_factory=list)
    last_id: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, once, at the next change; then another takes its place."""

    def say(self, when: datetime, level: Level, code: str, message: str, hint: str) -> Notice:
        """Add a notice and wake those who wait; of many the oldest go."""
        self.last_id += 1
        notice = Notice(self.last_id, when.isoformat(timespec="seconds"), level, code, message, hint)
        self.notices = [*self.notices, notice][-_KEPT:]
        self.wake()
        return notice

    def wake(self) -> None:
        """Let those who wait look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, last_seen: int) -> list[Notice]:
        """List what was said after the notice of that id."""
        return [notice for notice in self.notices if notice.id > last_seen]

    def as_state(self) -> dict[str, Any]:
        """Write it for the Hub's database."""
        return {"last_id": self.last_id, "notices": [notice.as_json() for notice in self.notices]}

    @classmethod
    def from_state(cls, state: object) -> Board:
        """Read it back; what can't be read is dropped, a server does not end for it."""
        try:
            assert isinstance(state, dict)  # noqa: S101 - caught below
            board = cls([Notice(**entry) for entry in state["notices"]], int(state["last_id"]))
        except (AssertionError, KeyError, TypeError, ValueError):
            return cls()
        return board
