"""Keeps the parts running: ordered start, health checks, restart with back-off, clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from cubehub.errors import CubeHubError
from cubehub.local.data_folder import write_json
from cubehub.local.logfiles import LIMIT, keep_trimmed
from cubehub.local.processes import die_with_parent, this_process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

log = logging.getLogger("cubehub.up")

ATTEMPTS = 3
"""A part that ended so often without ever having been healthy is given up."""


@dataclass(frozen=True)
class Bounds:
    """How patient the supervisor is; in seconds."""

    first_pause_s: float = 0.5
    """Before the first restart; doubled with each one that follows."""
    longest_pause_s: float = 30
    steady_s: float = 60
    """A part that ran this long starts again after the first pause only: its last crash was another story."""
    check_every_s: float = 5
    """Between two health checks of a healthy part, and how long it may take to answer one."""
    starting_every_s: float = 0.25
    """Between two health checks of a part that is not healthy yet."""
    setting_up_s: float = 30
    """At the first start, what follows a part's health (`Part.on_healthy`) may fail for so long; then all is given up."""
    hung_after_s: float = 90
    """A part whose health check fails for so long is ended and started again."""
    stop_s: float = 20
    """A part that has not stopped by then is killed."""
    trim_every_s: float = 30
    """Between two looks at the size of the log files."""
    log_limit: int = LIMIT
    """What a log file may grow to; bytes."""


@dataclass(frozen=True)
class Part:
    """One program the supervisor keeps running."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    health_urls: Sequence[str]
    """Asked in this order; all must answer with success."""
    after: frozenset[str] = frozenset()
    """Parts that must be healthy before this one is first started."""
    folder: Path | None = None
    start_timeout_s: float = 180
    parent_death: signal.Signals = signal.SIGTERM
    """What the part gets when the supervisor itself is killed."""
    on_healthy: Callable[[], Awaitable[None]] | None = None
    """Called each time the part has become healthy, before those that wait for it start."""


def next_pause(pause_s: float, ran_s: float, bounds: Bounds) -> float:
    """How long to wait before the next start of a part that ran `ran_s` seconds and ended by itself."""
    if pause_s == 0 or ran_s >= bounds.steady_s:
        return bounds.first_pause_s
    return min(pause_s * 2, bounds.longest_pause_s)


@dataclass
class _Running:
    part: Part
    process: asyncio.subprocess.Process | None = None
    since: float = 0
    restarts: int = 0
    health: str = "waiting"
    healthy: asyncio.Event = field(default_factory=asyncio.Event)
    bad_since: float | None = None
    trouble: str = ""
    """Why it was not healthy the last time, where more is known than a status."""
    failing_since: float | None = None
    """Since when `Part.on_healthy` has failed, in this start of the part."""
    failures: int = 0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Runs parts until told to stop.

    Parameters
    ----------
    parts
        What to run; `Part.after` gives the order.
    state_file
        Where the state is written at each change, for `cubehub status`.
    facts
        What else stands in the state file (addresses, version).
    bounds
        How patient it is.
    """

    def __init__(
        self, parts: Sequence[Part], state_file: Path, facts: dict[str, object], bounds: Bounds | None = None
    ) -> None:
        self._bounds = bounds or Bounds()
        self._running = {part.name: _Running(part) for part in parts}
        self._state_file = state_file
        self._facts = facts
        self._stopping = asyncio.Event()
        self._ready = False
        self._failure: str | None = None

    async def run(self, when_ready: Callable[[], None] | None = None) -> None:
        """Start everything, call `when_ready` once all is healthy, watch until a signal, stop everything.

        Raises
        ------
        CubeHubError
            A part did not come up at the first start; the others have been stopped.

        Notes
        -----
        Whatever else is raised here, a fault of ours included, leaves no part running either.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        keepers = [asyncio.create_task(self._keep(running)) for running in self._running.values()]
        folders = {running.part.log.parent for running in self._running.values()}
        trimmer = asyncio.create_task(
            keep_trimmed(folders, self._bounds.log_limit, self._bounds.trim_every_s, self._stopping)
        )
        try:
            await self._wait_ready(keepers)
            if not self._stopping.is_set():
                self._ready = True
                self._write_state()
                log.info("everything is healthy")
                await self._announce(when_ready)
                await self._until_stopped(keepers)
        except CubeHubError as error:
            self._failure = error.message
            raise
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"
            log.exception("the supervisor met what it did not expect; it stops everything")
            raise
        finally:
            self._stopping.set()
            await self._stop_all(keepers)
            await trimmer

    @staticmethod
    async def _announce(when_ready: Callable[[], None] | None) -> None:
        if when_ready is None:
            return
        try:
            # it prints, asks services and may open a browser: the parts are watched meanwhile
            await asyncio.to_thread(when_ready)
        except Exception:
            log.exception("the banner could not be shown; everything goes on")

    async def _until_stopped(self, keepers: list[asyncio.Task[None]]) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stop, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
        finally:
            stop.cancel()

    async def _wait_ready(self, keepers: list[asyncio.Task[None]]) -> None:
        ready = asyncio.gather(*(running.healthy.wait() for running in self._running.values()))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            waited: set[asyncio.Future[Any]] = {ready, stop, *keepers}
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper in done:
                    keeper.result()
        finally:
            ready.cancel()
            stop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ready

    async def _keep(self, running: _Running) -> None:
        """Start one part, and start it again whenever it ends, until the supervisor stops."""
        part = running.part
        for name in part.after:
            await self._running[name].healthy.wait()
        pause = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                await self._start(running)
            except OSError as error:
                # the program is missing, or the machine is out of processes, memory or disk
                how = f"could not be started: {error}"
            else:
                await self._watch(running)
                how = f"ended with status {running.process.returncode if running.process else None}"
            if self._stopping.is_set():
                return
            if not running.healthy.is_set() and running.restarts >= ATTEMPTS - 1:
                why = f"; {running.trouble}" if running.trouble else ""
                raise CubeHubError(
                    f"{part.name} does not start: tried {ATTEMPTS} times, the last time it {how}{why}.",
                    f"Its last lines are shown by: cubehub logs {part.name}",
                    code="part_failed",
                )
            pause = next_pause(pause, time.monotonic() - started, self._bounds)
            running.restarts += 1
            running.health = "restarting"
            self._write_state()
            log.warning("%s %s; starting it again in %.1f s", part.name, how, pause)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _start(self, running: _Running) -> None:
        part = running.part
        running.process = None
        # O_APPEND: `logfiles.trim` empties the file while the part writes
        descriptor = os.open(part.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            running.process = await asyncio.create_subprocess_exec(
                *part.command,
                env=part.environment,
                cwd=part.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                # what parts write (databases, logs, homes) is nobody else's
                umask=0o077,
                preexec_fn=partial(die_with_parent, part.parent_death),
            )
        finally:
            os.close(descriptor)
        running.since = time.time()
        running.health = "starting"
        running.bad_since = None
        running.failing_since, running.failures = None, 0
        self._write_state()
        log.info("%s started (process %s)", part.name, running.process.pid)

    async def _watch(self, running: _Running) -> None:
        """Return when the part's process has ended, by itself or because it hung."""
        process = running.process
        if process is None:
            return
        bounds, part = self._bounds, running.part
        ended = asyncio.create_task(process.wait())
        started = time.monotonic()
        async with httpx.AsyncClient(timeout=bounds.check_every_s, trust_env=False) as client:
            while not ended.done():
                fine = await _answer(client, part.health_urls)
                if fine and running.health != "healthy":
                    await self._became_healthy(running, time.monotonic() - started)
                elif not fine and running.health in ("healthy", "unhealthy"):
                    self._is_unwell(running)
                if running.health == "starting" and time.monotonic() - started > part.start_timeout_s:
                    running.trouble = (
                        running.trouble or f"it was not healthy after {part.start_timeout_s:.0f} s"
                    )
                    log.error("%s did not become healthy in %.0f s", part.name, part.start_timeout_s)
                    process.kill()
                    await ended
                pause = bounds.check_every_s if running.health == "healthy" else bounds.starting_every_s
                await asyncio.wait({ended}, timeout=pause)

    async def _became_healthy(self, running: _Running, seconds: float) -> None:
        if running.health == "starting" and not await self._is_set_up(running):
            return
        running.trouble, running.failing_since, running.failures = "", None, 0
        log.info("%s is healthy after %.1f s", running.part.name, seconds)
        running.health = "healthy"
        running.bad_since = None
        running.healthy.set()
        self._write_state()

    async def _is_set_up(self, running: _Running) -> bool:
        """Call what follows the part's health; False if it failed, after a pause.

        Raises
        ------
        CubeHubError
            It went on failing at the first start: another start would help as little as another try.
        """
        if running.part.on_healthy is None:
            return True
        try:
            await running.part.on_healthy()
        except Exception as error:
            known = error if isinstance(error, CubeHubError) else None
            trouble = known.message if known else f"{type(error).__name__}: {error}"
            if trouble != running.trouble:
                log.error("%s is up, but: %s", running.part.name, trouble)  # noqa: TRY400
            now = time.monotonic()
            running.trouble, running.failing_since = trouble, running.failing_since or now
            running.failures += 1
            long = running.failures >= ATTEMPTS and now - running.failing_since > self._bounds.setting_up_s
            if long and not running.healthy.is_set():
                raise CubeHubError(
                    f"{running.part.name} runs, but could not be set up: {trouble}",
                    (known and known.hint)
                    or f"Its last lines are shown by: cubehub logs {running.part.name}",
                    code="part_failed",
                ) from error
            await self._pause(1)
            return False
        return True

    def _is_unwell(self, running: _Running) -> None:
        now = time.monotonic()
        if running.health == "healthy":
            running.health, running.bad_since = "unhealthy", now
            log.warning("%s does not answer its health check", running.part.name)
            self._write_state()
        elif running.bad_since is not None and now - running.bad_since > self._bounds.hung_after_s:
            log.error("%s has not answered for %.0f s; ending it", running.part.name, now - running.bad_since)
            if running.process is not None and running.alive:
                running.process.kill()
            running.bad_since = None

    async def _stop_all(self, keepers: list[asyncio.Task[None]]) -> None:
        """Stop in the reverse order of the start; the keepers see `_stopping` and start nothing again."""
        self._write_state()
        for running in reversed(list(self._running.values())):
            await self._stop(running)
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        # a part that was just being started when the stop came
        for running in reversed(list(self._running.values())):
            await self._stop(running)
        self._write_state()

    async def _stop(self, running: _Running) -> None:
        process = running.process
        if process is None or not running.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._bounds.stop_s)
        except TimeoutError:
            log.warning("%s did not stop in %.0f s; it is killed", running.part.name, self._bounds.stop_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        running.health = "stopped"
        log.info("%s stopped", running.part.name)

    def _write_state(self) -> None:
        phase = "healthy" if self._ready else "starting"
        if self._stopping.is_set():
            phase = "failed" if self._failure else "stopping"
        state = {
            **self._facts,
            "phase": phase,
            "failure": self._failure,
            "up": this_process(),
            "parts": {name: self._describe(running) for name, running in self._running.items()},
        }
        try:
            write_json(self._state_file, state)
        except OSError as error:
            # a full disk makes `status` stale; it is no reason to stop watching
            log.error("the state could not be written: %s", error)  # noqa: TRY400

    @staticmethod
    def _describe(running: _Running) -> dict[str, object]:
        return {
            "pid": running.process.pid if running.process and running.alive else None,
            "since": running.since,
            "restarts": running.restarts,
            "health": running.health,
            "log": str(running.part.log),
        }


async def _answer(client: httpx.AsyncClient, urls: Sequence[str]) -> bool:
    try:
        for url in urls:
            if not (await client.get(url)).is_success:
                return False
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True
