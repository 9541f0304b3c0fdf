"""What one server process knows for its pages: use, limit, profile, home and news."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cubehub_account.filling import Filling
from cubehub_account.home import HomeCounter
from cubehub_account.hub_link import News
from cubehub_account.memory import Limits
from cubehub_account.storage import StorageLink
from cubehub_account.usage import read_limit, read_usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub_account.home import HomeSize


@dataclass
class State:
    """The one of a server."""

    news: News = field(default_factory=News)
    home: HomeCounter = field(default_factory=lambda: HomeCounter(os.path.expanduser("~")))  # noqa: PTH111 - a text
    storage: StorageLink = field(default_factory=StorageLink)
    _filling: Filling = field(default_factory=Filling)
    _seen: set[str] = field(default_factory=set)
    _own_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def limits(self) -> Limits:
        """Give limit and profile as they are now: both can change while the server runs."""
        return Limits(read_limit(), self._title())

    def status(self) -> dict[str, Any]:
        """Write down what the status bar shows."""
        usage, home, server = read_usage(), self.home.size(), self.news.server
        self._warn_of_filling(home)
        return {
            "used_bytes": usage.used_bytes,
            "memory_bytes": usage.memory_bytes,
            "profile": server.get("profile") or os.environ.get("CUBEHUB_PROFILE", ""),
            "title": self._title(),
            "home_bytes": home.bytes if home else None,
            "home_complete": home.complete if home else True,
            "storage_bytes": server.get("storage_bytes"),
            "coming": server.get("coming"),
            "until": server.get("until"),
            "hub_url": _hub_home(),
            "notices": [{**notice, "seen": _key(notice) in self._seen} for notice in self.news.notices],
            "ended": self.news.ended,
        }

    def counted(self) -> dict[str, Any] | None:
        """Tell what this server counted in the home itself; None before the first count is done."""
        home = self.home.size()
        if home is None:
            return None
        return {
            "counted": home.counted,
            "bytes": home.bytes,
            "complete": home.complete,
            "places": [vars(folder) for folder in home.folders],
        }

    def _warn_of_filling(self, home: HomeSize | None) -> None:
        limit = self.news.server.get("storage_bytes")
        if home and isinstance(limit, int):
            notice = self._filling.notice(home.bytes, limit, datetime.now(UTC).isoformat(timespec="seconds"))
            if notice:
                self.news.add(notice)

    def note_seen(self, keys: Iterable[str]) -> None:
        """Note which notices a page has shown, so that no page of this server shows them again.

        Parameters
        ----------
        keys : iterable of str
            Each ``ID@TIME`` of a notice; any other is ignored.
        """
        known = {_key(notice) for notice in self.news.notices}
        self._seen = (self._seen | set(keys)) & known

    def _title(self) -> str:
        told = Limits.from_environment(os.environ).profile
        return str(self.news.server.get("title") or told)

    def say_stopped(self, message: str, hint: str, kernel_id: str) -> None:
        """Note that a kernel was stopped for memory, for the page to say instead of its own guess."""
        self.news.add(
            {
                "id": f"kernel-{next(self._own_ids)}",
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "level": "warning",
                "code": "kernel_stopped",
                "message": message,
                "hint": hint,
                "kernel": kernel_id,
            }
        )

    def say_full(self) -> None:
        """Note that the home is full, where the Hub could not know it before the server started."""
        self.news.add(
            {
                "id": f"rescue-{next(self._own_ids)}",
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "level": "warning",
                "code": "home_full",
                "message": "Your home is full, so this server is for making room; it can't save.",
                "hint": "Delete what you do not need (right-click, Delete): it is gone at once, without trash. "
                "Then stop this server and start it again (File, Hub Control Panel).",
            }
        )


def _key(notice: dict[str, Any]) -> str:
    """Tell one saying from another: the Hub's ids begin anew when its database was lost."""
    return f"{notice.get('id')}@{notice.get('time')}"


def _hub_home() -> str:
    """Address of the Hub's own pages, as browsers reach it."""
    base = os.environ.get("JUPYTERHUB_BASE_URL", "/")
    return f"{os.environ.get('JUPYTERHUB_HOST', '')}{base}hub/home"


_state: State | None = None


def state() -> State:
    """Give the one state of this server process."""
    global _state  # noqa: PLW0603 - one server process has one
    if _state is None:
        _state = State()
    return _state
