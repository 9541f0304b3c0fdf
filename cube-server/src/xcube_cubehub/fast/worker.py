"""One process in front: its loop, who is who, and the end."""

import asyncio
import hashlib
import logging
import os
import signal
import socket
import time
import urllib.request
from collections import OrderedDict
from pathlib import Path

import numpy as np
import uvloop

from xcube_cubehub.access import Identity
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.fast import kernels
from xcube_cubehub.fast.colours import scale_of
from xcube_cubehub.fast.front import Front, Places
from xcube_cubehub.fast.http import Connection
from xcube_cubehub.fast.metrics import Metrics, Shared
from xcube_cubehub.fast.published import PALETTES, PUBLISHED, SOCKET
from xcube_cubehub.index import Style
from xcube_cubehub.tokens import ImageCookie, TokenVerifier

log = logging.getLogger(__name__)
KNOWN_TOKENS = 4096
KNOWN_S = 15.0
"""How long it is taken for granted that a token that held still does."""
SWEEP_S = 5.0
STOP_S = 3.0
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


async def fetch(url: str) -> bytes:
    """GET with a short patience."""

    def get() -> bytes:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the issuer's, from the configuration
            return bytes(answer.read(2**20))

    return await asyncio.to_thread(get)


class Known:
    """Remembers for a moment who holds a token.

    Parameters
    ----------
    verifier : TokenVerifier
        Tells it.
    """

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    async def identify(self, token: str) -> Identity:
        """As `TokenVerifier.identify`."""
        key = hashlib.sha256(token.encode()).digest()
        found = self._known.get(key)
        now = time.time()
        if found is not None and now < min(found[1], found[0].expires):
            return found[0]
        identity = await self._verifier.identify(token)
        self._known[key] = identity, now + KNOWN_S
        while len(self._known) > KNOWN_TOKENS:
            self._known.popitem(last=False)
        return identity


def run(settings: ServerSettings, listening: socket.socket, key: bytes, shared: Shared, number: int) -> None:
    """Answer until SIGTERM."""
    # Where xcube listens is named without its folder, for such a path may have 107 bytes only
    os.chdir(settings.state_dir)
    uvloop.run(_serve(settings, listening, key, Metrics(shared, number)))


async def _serve(settings: ServerSettings, listening: socket.socket, key: bytes, metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    known = Known(TokenVerifier(settings.issuer, settings.audience, fetch))
    places = Places(Path(SOCKET), Path(PUBLISHED), Path(PALETTES), settings.prefix)
    front = Front(places, known.identify, ImageCookie(key), metrics)
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(front.answer, connections), sock=listening)
    sweep = asyncio.create_task(_sweep(connections))
    await stop.wait()
    sweep.cancel()
    server.close()
    for connection in list(connections):
        connection.end()
    until = loop.time() + STOP_S
    while connections and loop.time() < until:  # noqa: ASYNC110 - for a moment, at the end
        await asyncio.sleep(0.02)
    for connection in list(connections):
        connection.close()


async def _sweep(connections: set[Connection]) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        now = time.monotonic()
        for connection in list(connections):
            connection.abort_if_idle(now)
