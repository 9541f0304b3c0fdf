"""Says in Lab what the mails say: that something of the person's own is going to be moved away, and from when on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cubehub_account.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub_account.hub_link import News
    from cubehub_account.storage import StorageLink

FIRST_S, EVERY_S = 15.0, 1800.0
"""When the storage service is asked for the first time after a start, and how often then."""
_LONGEST_NAME = 40


class Coming:
    """Remembers what was said, so that the first and the second notice of a thing are said once each."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str, int]] = set()

    def notice(self, noticed: list[dict[str, Any]], time: str) -> dict[str, Any] | None:
        """Give one notice for all that is new among what the service tells, if anything is.

        Parameters
        ----------
        noticed : list of dict
            As `read_mine` gives it.
        """
        new = [one for one in noticed if (one["path"], one["when"], one["notice"]) not in self._said]
        if not new:
            return None
        self._said |= {(one["path"], one["when"], one["notice"]) for one in new}
        first = min(new, key=lambda one: str(one["when"]))
        name = f"~/{first['path']}" if first["path"] else "your whole home"
        if len(name) > _LONGEST_NAME:
            name = f"{name[: _LONGEST_NAME - 1]}…"
        more = f" and {len(new) - 1} more" if len(new) > 1 else ""
        last = "Last notice: " if any(one["notice"] == 2 for one in new) else ""
        return {
            "id": f"coming-{len(self._said)}",
            "time": time,
            "level": "warning",
            "code": "cleanup_coming",
            "message": f"{last}{name}{more} will be moved away from {str(first['when'])[:10]} on.",
            "hint": "Keep what you need.",
        }


async def watch(
    link: StorageLink, news: News, *, first_s: float = FIRST_S, wait: Callable[[float], Any] = asyncio.sleep
) -> None:
    """Ask the storage service again and again, until cancelled; while it is away, nothing is said."""
    coming = Coming()
    await wait(first_s)
    while True:
        try:
            told = await link.mine()
        except StorageError:
            told = None
        if told is not None:
            notice = coming.notice(told["noticed"], datetime.now(UTC).isoformat(timespec="seconds"))
            if notice:
                news.add(notice)
        await wait(EVERY_S)
