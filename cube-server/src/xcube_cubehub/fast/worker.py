"""One process in front: its loop, who is who, and the end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from xcube_cubehub.beats import BEAT_S, FIRST_WORKER, SUPERVISOR, UNATTENDED_S, Beats
from xcube_cubehub.callers import Callers
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.fast import kernels
from xcube_cubehub.fast.afar import Afar
from xcube_cubehub.fast.colours import scale_of
from xcube_cubehub.fast.disk import Disk
from xcube_cubehub.fast.front import Front, Places
from xcube_cubehub.fast.http import Connection, Held
from xcube_cubehub.fast.metrics import Metrics, Shared
from xcube_cubehub.fast.published import PALETTES, PUBLISHED, PUBLISHING_SOCKET, SOCKET
from xcube_cubehub.index import Style
from xcube_cubehub.issuer import PATIENCE_S, Issuer
from xcube_cubehub.liveness import Liveness
from xcube_cubehub.tokens import ImageCookie, TokenVerifier

log = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 2**20
SWEEP_S = 5.0
STOP_S = 3.0
YIELD_S = 0.002
"""So long a connection is left to a process that has fewer."""
PAUSE_S = 0.5
"""Before connections are taken again after there was no descriptor for one, or too many were open."""
MAX_CONNECTIONS = 2000
"""Of one process; who comes then waits until another one goes."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes where discovery says, and nowhere else."""

    def redirect_request(self, *_args: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
_DTYPES = ("float32", "int16", "uint8")


def warm_up() -> None:
    """Compile what is called for each tile, or load it from an earlier time, before anybody waits for it."""
    rows = np.zeros((2, 2), np.int32)
    out = np.zeros((2, 3), np.uint8)
    scale = scale_of(Style("", 0.0, 1.0), 256)
    numbers = (0.0, False, 1.0, 0.0, 0, 0, scale.thresholds, scale.first, scale.factor, scale.table, 255, out)
    flat = np.broadcast_to(rows[0], (2, 2))
    for dtype in _DTYPES:
        window = np.zeros((2, 2), dtype)
        kernels.paint(window, rows, rows, *numbers)
        kernels.paint(window, np.broadcast_to(rows[:, :1], (2, 2)), flat, *numbers)


async def fetch(url: str, token: str | None) -> tuple[int, bytes]:
    """GET, with a bearer token or without: status and body."""

    def get() -> tuple[int, bytes]:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310 - the issuer's
        try:
            with _OPENER.open(request, timeout=PATIENCE_S) as answer:
                return int(answer.status), bytes(answer.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(MAX_ANSWER_BYTES)

    return await asyncio.to_thread(get)


def run(
    settings: ServerSettings, listening: socket.socket, key: bytes, shared: Shared, beats: Beats, number: int
) -> None:
    """Answer until SIGTERM."""
    # Where xcube listens is named without its folder, for such a path may have 107 bytes only
    os.chdir(settings.state_dir)
    uvloop.run(_serve(settings, listening, key, Metrics(shared, number), Sign(beats, FIRST_WORKER + number)))


@dataclass(frozen=True)
class Sign:
    """Where a process gives its signs of life, and sees those of the others.

    Attributes
    ----------
    beats : Beats
        Of all.
    place : int
        The one of this process.
    """

    beats: Beats
    place: int

    def give(self, connections: int) -> None:
        """Say that this process works, and how many connections it has."""
        self.beats.beat(self.place, connections)

    def fewest(self) -> int | None:
        """The fewest connections that another one has; None where there is no other."""
        return self.beats.fewest(self.place)

    def attended(self) -> bool:
        """Whether there is somebody who starts again what ends."""
        return self.beats.silent_s(SUPERVISOR) < UNATTENDED_S


class Accepting:
    """Takes connections one at a time from a socket that other processes take them from, too.

    A process that is busy takes none meanwhile, so that they go to those that are not. A server of the loop's would
    take all that wait at once. Clients keep their connections, though, and most come while nobody is busy: so one that
    has more than another leaves a new one to that for a moment.

    Parameters
    ----------
    loop : AbstractEventLoop
        That runs.
    listening : socket
        Not blocking.
    protocol : callable
        Makes what serves a connection.
    open_connections : set
        Those that are open; while there are `most`, no more are taken.
    sign : Sign
        By which the processes tell one another how many they have.
    most : int
        See there.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        open_connections: Collection[asyncio.Protocol],
        sign: Sign,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        self._loop, self._listening, self._protocol = loop, listening, protocol
        self._open, self._sign, self._most = open_connections, sign, most
        self._tasks: set[asyncio.Task[Any]] = set()
        self._paused: asyncio.TimerHandle | None = None
        loop.add_reader(listening, self._take)

    def _take(self) -> None:
        own = len(self._open) + len(self._tasks)
        if own >= self._most:
            self._pause(PAUSE_S, self._go_on)
            return
        fewest = self._sign.fewest()
        if fewest is not None and own > fewest:
            self._pause(YIELD_S, self._take_after_all)
            return
        self._accept()

    def _take_after_all(self) -> None:
        """Take what the others have left."""
        self._go_on()
        self._accept()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process had it, or the client has gone
        except OSError as error:
            # No descriptors left: it waits in the queue until there are some again
            log.error("cannot accept: %s", error.strerror)  # noqa: TRY400
            self._pause(PAUSE_S, self._go_on)
            return
        accepted.setblocking(False)
        if accepted.family in (socket.AF_INET, socket.AF_INET6):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._connect(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._sign.give(len(self._open) + len(self._tasks))

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        """Leave who comes to other processes, or in the queue, for a moment."""
        self._loop.remove_reader(self._listening)
        self._paused = self._loop.call_later(seconds, then)

    def _go_on(self) -> None:
        self._paused = None
        self._loop.add_reader(self._listening, self._take)

    async def _connect(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(self._protocol, accepted)

    def stop(self) -> None:
        """Take no more."""
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._listening)


async def _serve(
    settings: ServerSettings, listening: socket.socket, key: bytes, metrics: Metrics, sign: Sign
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    issuer = Issuer(settings.issuer, fetch)
    callers = Callers(TokenVerifier(issuer, settings.audience), Liveness(issuer), ImageCookie(key))
    publishing = None if settings.published is None else Path(PUBLISHING_SOCKET)
    places = Places(Path(SOCKET), Path(PUBLISHED), Path(PALETTES), settings.prefix, publishing)
    afar = None if settings.bucket is None else Afar(Disk(settings.blocks))
    front = Front(places, callers, metrics, afar, sign.attended)
    connections: set[Connection] = set()
    held = Held()
    accepting = Accepting(
        loop, listening, lambda: Connection(front.answer, connections, held), connections, sign
    )
    sweep = asyncio.create_task(_sweep(connections, sign))
    await stop.wait()
    sweep.cancel()
    accepting.stop()
    for connection in list(connections):
        connection.end()
    until = loop.time() + STOP_S
    while connections and loop.time() < until:  # noqa: ASYNC110 - for a moment, at the end
        await asyncio.sleep(0.02)
    for connection in list(connections):
        connection.close()


async def _sweep(connections: set[Connection], sign: Sign) -> None:
    swept = time.monotonic()
    while True:
        sign.give(len(connections))
        await asyncio.sleep(BEAT_S)
        now = time.monotonic()
        if now - swept < SWEEP_S:
            continue
        swept = now
        for connection in list(connections):
            connection.end_if_idle(now)
