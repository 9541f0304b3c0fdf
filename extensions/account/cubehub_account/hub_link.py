"""News from the Hub about this server: a question that waits until there is an answer."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

_WAIT_S = 50
_ANSWERS_WITHIN_S = 70
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_KEPT = 100
_LEAST_S = 1.0
"""Between two questions that brought no notice: a Hub that answers at once, for whatever reason, is not asked at once again."""


@dataclass
class News:
    """What is known of this server beside its use."""

    notices: list[dict[str, Any]] = field(default_factory=list)
    """What was said, oldest first; ids of the Hub's grow, ours are texts."""
    server: dict[str, Any] = field(default_factory=dict)
    """Profile, title and sizes as the Hub tells them; empty until it did."""
    ended: dict[str, Any] | None = None
    """The notice that ended the person's access."""
    last_id: int = 0

    def take(self, answer: Any) -> bool:
        """Add an answer of the Hub's; False where it is not of its form, of which the rest is ignored."""
        if not isinstance(answer, dict):
            return False
        server, notices = answer.get("server"), answer.get("notices")
        if isinstance(server, dict) and server:
            self.server = server
        for notice in notices if isinstance(notices, list) else ():
            if isinstance(notice, dict) and isinstance(notice.get("id"), int):
                self.last_id = max(self.last_id, notice["id"])
                self.add(notice)
                # whoever is told of a limit again has a server again
                self.ended = notice if notice.get("level") == "error" else None
        return bool(isinstance(server, dict) and server and isinstance(notices, list))

    def add(self, notice: dict[str, Any]) -> None:
        """Add one notice; only the newest are kept."""
        self.notices = [*self.notices, notice][-_KEPT:]


class HubLink:
    """Asks the Hub again and again while the server runs.

    Parameters
    ----------
    news : News
        Where the answers go.
    log : logging.Logger
        Told once when the Hub can't be asked, and once when it can again.
    environ : mapping
        Holds the Hub's address and the server's token, which stay in this process.
    """

    def __init__(self, news: News, log: logging.Logger, environ: Mapping[str, str] = os.environ) -> None:
        self.news = news
        self._log = log
        self._url = environ.get("JUPYTERHUB_API_URL", "").rstrip("/")
        self._token = environ.get("JUPYTERHUB_API_TOKEN", "")
        self._client = AsyncHTTPClient(force_instance=True)
        self._silent = False

    @property
    def possible(self) -> bool:
        """Whether there is a Hub to ask."""
        return bool(self._url and self._token)

    async def run(self) -> None:
        """Ask until cancelled; a Hub without such news is left alone."""
        pause_s = _FIRST_PAUSE_S
        while True:
            began, last_id = time.monotonic(), self.news.last_id
            try:
                answered = self.news.take(await self._ask())
            except (OSError, ValueError, HTTPClientError) as error:
                if isinstance(error, HTTPClientError) and error.code == 404 and not self.news.server:
                    self._log.info("cubehub_account: this Hub has no news for its servers")
                    return
                answered = False
            self._tell(silent=not answered)
            if not answered:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                pause_s = _FIRST_PAUSE_S
                if self.news.last_id == last_id:
                    await asyncio.sleep(max(0.0, _LEAST_S - (time.monotonic() - began)))

    async def _ask(self) -> Any:
        """Ask once what is new; waits for it unless nothing is known yet."""
        wait_s = _WAIT_S if self.news.server else 0  # profile and sizes are wanted at once
        answer = await self._client.fetch(
            f"{self._url}/cubehub/notices?after={self.news.last_id}&wait={wait_s}",
            headers={"Authorization": f"token {self._token}"},
            request_timeout=_ANSWERS_WITHIN_S,
            connect_timeout=10,
        )
        return json.loads(answer.body)

    def _tell(self, *, silent: bool) -> None:
        if silent and not self._silent:
            self._log.warning("cubehub_account: the Hub can't be asked for news at the moment")
        elif self._silent and not silent:
            self._log.info("cubehub_account: the Hub can be asked for news again")
        self._silent = silent
