"""What runs beside the web server: reloading changed files, restarting a database that died, health."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import Route

from cubehub_stac.postgres import Cluster, PostgresError
from cubehub_stac.reading import Source
from cubehub_stac.sources import fingerprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.applications import Starlette
    from starlette.requests import Request

    from cubehub_stac.config import Config

log = logging.getLogger("cubehub_stac")

State = frozenset[tuple[str, int, int]]
RESCAN_S = 10.0
_RESTARTS, _WINDOW_S = 5, 60.0


def load_command(cluster: Cluster, config: Config) -> list[str]:
    """Command that brings the database to what the files say; needs `cluster.fd` passed on."""
    return [sys.executable, "-m", "cubehub_stac.load", cluster.host, Source.of(config).encode()]


def state_of(config: Config) -> State:
    """Give what tells whether a source file appeared, changed or went since."""
    return fingerprint(Source.of(config).files)


async def keep_loaded(
    config: Config,
    known: State,
    reload: Callable[[], Any],
    then: Callable[[], Awaitable[None]] | None = None,
    pause_s: float = RESCAN_S,
) -> None:
    """Call `reload` (in a thread), and then `then`, whenever a source file appeared, changed or went.

    Parameters
    ----------
    known
        The state before what is offered now was read: what was erased while it was read must go too.
    """
    failing = False
    while True:
        await asyncio.sleep(pause_s)
        found = await asyncio.to_thread(state_of, config)
        if found == known:
            continue
        try:
            await asyncio.to_thread(reload)
            if then is not None:
                await then()
        except Exception:
            # tried again until it works: what was erased must not go on being shown
            if not failing:
                log.exception("reloading the catalogue failed; it goes on with what it has, and tries again")
            failing = True
        else:
            known, failing = found, False


async def keep_running(cluster: Cluster) -> None:
    """Start the database again when it ends.

    Raises
    ------
    PostgresError
        When it ended five times within a minute.
    """
    ended: list[float] = []
    while True:
        await asyncio.sleep(0.5)
        if cluster.process is None or cluster.process.poll() is None:
            continue
        now = time.monotonic()
        ended = [moment for moment in ended if now - moment < _WINDOW_S] + [now]
        if len(ended) > _RESTARTS:
            raise PostgresError("PostgreSQL keeps ending")
        log.warning("PostgreSQL ended with code %s; starting it again", cluster.process.returncode)
        await asyncio.sleep(0.2 * len(ended))
        # In this thread on purpose: the kernel ties the server's life to the thread that started it.
        cluster.start()


def serve_with(app: Starlette, config: Config, health: dict[str, Any]) -> None:
    """Add `<prefix>/health` to an application."""

    async def endpoint(_request: Request) -> JSONResponse:
        return JSONResponse(health)

    app.router.routes.insert(0, Route(f"{config.prefix}/health", endpoint))
