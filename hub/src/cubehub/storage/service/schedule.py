"""Rounds by themselves: each in a process of its own, so that what a scan takes ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.storage.keeping import Keeping
from cubehub.storage.rounds import History, paused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.settings import StorageSettings

log = logging.getLogger("cubehub.storage")
_LOOK_EACH_S = 20.0
_FIRST_S = 600.0
"""A platform that was just started is left alone for so long."""


class Schedule:
    """Begins rounds when it is time, or when somebody asks.

    Parameters
    ----------
    command : list of str
        Without who begins it.
    """

    def __init__(
        self,
        settings: StorageSettings,
        command: list[str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._now, self._up = settings, now, now()
        self._command = command or [
            sys.executable, "-c", "from cubehub.cli import main; main()", "storage", "run", "--data", str(settings.data),
            "--homes", str(settings.homes),
        ]  # fmt: skip
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether a round that was begun here goes on."""
        return self._running is not None and not self._running.done()

    def is_due(self) -> bool:
        """Whether it is time for a round.

        Notes
        -----
        The time counts from the beginning of the last round, so that it is at the same hour each day. One that failed
        counts as well: it would fail again at once.
        """
        if paused(self._settings.state) is not None:
            return False
        newest = History(self._settings.state).newest(1)
        every = self._settings.policy().every
        last = newest[0].started if newest else self._up - every + _FIRST_S
        # one from a time to come was made while the clock went wrong
        return not 0 <= self._now() - last < every

    def begin(self, by: str) -> None:
        """Begin a round now.

        Raises
        ------
        CubeHubError
            One runs.
        """
        if self.is_running:
            raise CubeHubError("A round is being made just now.", "Wait until it is done.", code="busy")
        self._running = asyncio.create_task(self._make(by))

    async def _make(self, by: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, "--by", by, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        _, said = await self._process.communicate()
        if self._process.returncode:
            log.warning(
                "a round by %s did not end well: %s", by, " ".join(said.decode(errors="replace").split())
            )

    def send(self) -> None:
        """Try mails again that did not go in a round: the mail server may be back long before the next one."""
        try:
            keeping = Keeping(self._settings, now=self._now)
            if keeping.has_mail():
                asyncio.run(keeping.send())
        except (CubeHubError, OSError) as error:
            log.warning("mails wait: %s", error)

    async def run(self) -> None:
        """Look again and again whether it is time, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_LOOK_EACH_S)
                try:
                    if not self.is_running and self.is_due():
                        self.begin("the schedule")
                except CubeHubError as error:
                    log.warning("no round: %s %s", error.message, error.hint)
                await asyncio.to_thread(self.send)
        finally:
            await self._end()

    async def _end(self) -> None:
        """End a round that runs: what it has done holds, and the next keeper brings the rest in order."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 5)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
