"""`cubehub-stac --config FILE`: choose how to serve the catalogue, serve it, end cleanly."""

from __future__ import annotations

import argparse
import asyncio
import errno
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import uvicorn

from cubehub_stac.config import Config, ConfigError, read_config
from cubehub_stac.files import AssetFiles
from cubehub_stac.guard import Guard
from cubehub_stac.origin import FixedOrigin
from cubehub_stac.own import Registry
from cubehub_stac.own_api import create_own
from cubehub_stac.page import BrowserPage
from cubehub_stac.people import People
from cubehub_stac.postgres import HINT, Cluster, PostgresError, find_installation
from cubehub_stac.process import die_with_parent
from cubehub_stac.watch import keep_loaded, keep_running, load_command, serve_with, state_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from cubehub_stac.watch import State

log = logging.getLogger("cubehub_stac")


def main(argv: list[str] | None = None) -> int:
    """Run the service; returns its exit code: 0 after SIGTERM, 1 after a failure, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="cubehub-stac", description="CubeHub's STAC catalogue.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see README.md")
    arguments = parser.parse_args(argv)
    die_with_parent(signal.SIGTERM)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    logging.getLogger("stac_fastapi").setLevel(logging.ERROR)
    try:
        config = read_config(arguments.config)
        listener = _prepare(config)
    except ConfigError as error:
        return _fail(str(error), error.hint)
    # A SIGTERM that arrives before or after uvicorn handles signals must still run the `finally` below.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    cluster: Cluster | None = None
    try:
        known = state_of(config)
        cluster, reason = _database(config)
        app, tasks = _application(config, known, cluster, reason)
        return _serve(app, listener, tasks, config)
    finally:
        if cluster is not None:
            cluster.stop()


def _leave(_signal: int, _frame: Any) -> NoReturn:
    raise SystemExit(0)


def _fail(message: str, hint: str) -> int:
    sys.stderr.write(f"error: {message}\nhint: {hint}\n")
    return 2


def _prepare(config: Config) -> socket.socket:
    """Take the folder and the port before anything is started."""
    try:
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Relative names and a stray .env are looked up here, not where the service happened to be started.
        os.chdir(config.state_dir)
        lock = os.open(config.state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"{config.state_dir} is in use by another catalogue", "end that one first"
        ) from error
    except OSError as error:
        hint = (
            "free some space"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else "check the folder's owner and permissions"
        )
        raise ConfigError(f"{config.state_dir} can't be used: {error.strerror}", hint) from error
    try:
        return socket.create_server((config.address, config.port), backlog=128)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {config.address}:{config.port}: {error.strerror}",
            "give another port, or end what uses it",
        ) from error


def _database(config: Config) -> tuple[Cluster | None, str]:
    """Start and fill the database; without one, the reason why."""
    if config.static_only:
        return None, "the configuration asks for the static catalogue (static_only)"
    if find_installation() is None:
        return None, f"PostgreSQL with PostGIS is not installed; to get search: {HINT}"
    cluster = Cluster(config.state_dir / "pg")
    reason = ""
    for attempt in (1, 2):
        try:
            cluster.prepare()
            cluster.start()
            cluster.wait()
            subprocess.run(load_command(cluster, config), pass_fds=(cluster.fd,), check=True, timeout=300)
        except (PostgresError, OSError, subprocess.SubprocessError) as error:
            cluster.stop()
            reason = str(error) if isinstance(error, PostgresError | OSError) else "loading the items failed"
            log.error("the database can't be used: %s", reason)  # noqa: TRY400 -- one line for the operator
            if _disk_is_full(config):
                return (
                    None,
                    f"the disk that holds {config.state_dir} is full; free some space and start again",
                )
            if attempt == 1:
                log.warning("the database is made anew from the files")
                cluster.discard()
        else:
            return cluster, ""
    return None, f"the database can't be used ({reason}); the service's log says more"


def _disk_is_full(config: Config) -> bool:
    status = os.statvfs(config.state_dir)
    return status.f_bavail * status.f_frsize < 64 * 2**20


def _application(
    config: Config, known: State, cluster: Cluster | None, reason: str
) -> tuple[ASGIApp, list[Any]]:
    # Imported late: each mode loads its own half, so that neither pays for the other's memory.
    if cluster is None:
        log.warning("serving a static catalogue: %s", reason)
        from cubehub_stac import static  # noqa: PLC0415

        catalogue = static.StaticCatalogue(config, reason)
        catalogue.reload()
        app: Starlette = static.create_app(config, catalogue)
        registry = Registry(config, catalogue)
        tasks = [keep_loaded(config, known, catalogue.reload, registry.look_again)]
        health: dict[str, Any] = {"mode": "static", "hint": reason}
    else:
        from cubehub_stac import api  # noqa: PLC0415
        from cubehub_stac.own_database import OwnDatabase  # noqa: PLC0415

        running = cluster
        app = api.create_app(config, running.host)
        registry = Registry(config, OwnDatabase(running.host))
        tasks = [
            keep_loaded(
                config,
                known,
                lambda: subprocess.run(
                    load_command(running, config), pass_fds=(running.fd,), check=True, timeout=600
                ),
                registry.look_again,
            ),
            keep_running(running),
        ]
        health = {"mode": "pgstac", "hint": None}
    serve_with(app, config, health)
    own = create_own(config, registry)
    return Guard(app, own, People(config.hub_api_url, config.hub_api_token), config.prefix), tasks


def _serve(app: ASGIApp, listener: socket.socket, tasks: list[Any], config: Config) -> int:
    page = BrowserPage(app, f"{config.prefix}/", config.root_url)
    settings = uvicorn.Config(
        FixedOrigin(AssetFiles(page, config.files_path, config.files), config.public_url),
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        loop="asyncio",
    )
    server = uvicorn.Server(settings)
    failed = False

    async def run() -> None:
        nonlocal failed

        async def guard(task: Any) -> None:
            nonlocal failed
            try:
                await task
            except PostgresError as error:
                log.error("%s; ending, so that the Hub starts the catalogue again", error)  # noqa: TRY400
                failed = True
                server.should_exit = True

        guards = [asyncio.create_task(guard(task)) for task in tasks]
        log.info("catalogue at %s", config.root_url)
        await server.serve(sockets=[listener])
        for task in guards:
            task.cancel()
        await asyncio.gather(*guards, return_exceptions=True)

    with suppress(SystemExit, KeyboardInterrupt):
        asyncio.run(run())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
