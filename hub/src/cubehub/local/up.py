"""`cubehub up`: from a bare machine, or an interrupted start, to a running platform."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cubehub_spawner import SpawnerError, load_profiles
from cubehub_spawner.isolation import Isolation, probe_isolation, uid_reaches
from cubehub_spawner.uids import FIRST, let_pass

from cubehub import __version__
from cubehub.catalogue_list import FILE, check_catalogues, check_folders
from cubehub.cube_list import check_cubes
from cubehub.errors import BadInputError, CubeHubError
from cubehub.keycloak.fetch import VERSION
from cubehub.keycloak.provision import provision
from cubehub.keycloak.server import KeycloakServer
from cubehub.local.data_folder import DataFolder, full_path, read_json, typed, write_json
from cubehub.local.parts import build_parts, write_run_files
from cubehub.local.platform import (
    FIRST_PORT,
    Platform,
    check_host,
    check_port,
    choose_platform,
    is_loopback,
    last_port,
)
from cubehub.local.preflight import check_room, check_system
from cubehub.local.prepare import prepare
from cubehub.local.processes import PART_MARK, SERVER_MARK, end, marked, same_process, this_process
from cubehub.local.supervisor import Supervisor
from cubehub.secrets import Secrets
from cubehub.settings import ConfigFolder
from cubehub.storage.settings import policy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.local.progress import Progress, Report

log = logging.getLogger("cubehub.up")
LOCK_VARIABLE = "CUBEHUB_LOCK_DESCRIPTOR"


@dataclass(frozen=True)
class Request:
    """What the person asked for on the command line."""

    data: Path
    host: str
    port: int | None
    """None for that of the last start."""
    config: Path | None
    trust_everyone: bool = False


@dataclass(frozen=True)
class Ready:
    """Everything is on the disk and the lock is held; the parts can start."""

    data: DataFolder
    platform: Platform
    config: ConfigFolder
    lock: int
    trust_everyone: bool = False


def config_folder(data: DataFolder, asked: Path | None) -> ConfigFolder:
    """The operator's folder: the one asked for, else DATA/config where there is one."""
    own = asked or data.root / "config"
    # a folder that may not be looked into raises nothing here; taking it says why
    return ConfigFolder(own.resolve() if os.path.isdir(own) else None)  # noqa: PTH112


def make_keycloak(data: DataFolder, platform: Platform) -> KeycloakServer:
    """Describe this folder's Keycloak."""
    return KeycloakServer(
        home=data.keycloak / f"keycloak-{VERSION}",
        data=data.keycloak / "data",
        host=platform.host,
        port=platform.keycloak_port,
        management_port=platform.inner["keycloak_health"],
        public_url=platform.keycloak_url,
        log=data.logs / "keycloak.log",
        secrets=Secrets(data.secrets),
    )


def get_ready(request: Request, progress: Progress) -> Ready:
    """Check the machine, take the folder, end what a killed start left, fetch and build.

    Raises
    ------
    CubeHubError
        With what is wrong and what to do; what had been done stays and is used by the next start.
    """
    check_system()
    check_host(request.host)
    _refuse_open(probe_isolation(), request.host)
    data = DataFolder(full_path(request.data))
    config = config_folder(data, request.config)
    check_config(config)
    policy_of(config)
    port = request.port or port_of_last_start(data) or FIRST_PORT
    if not data.is_made():
        # later, a platform of this folder may have the port; then that is what must be said
        check_port(request.host, port)
    # a folder that cannot be taken is said before how much room there is in it
    data.check()
    if _is_first(data):
        check_room(data.root, first=True)
    data.prepare()
    lock = data.lock()
    try:
        # `cubehub down` and `status` know of us from here on
        write_json(data.state_file, {"phase": "preparing", "up": this_process(), "data": str(data.root)})
        check_database(data.hub / "jupyterhub.sqlite")
        leftovers = end(marked(PART_MARK, data.run_id))
        if leftovers:
            log.warning("ended %d processes that a start before left behind", len(leftovers))
        check_room(data.root, first=_is_first(data))
        platform = choose_platform(data.run / "ports.json", request.host, port)
        prepare(data, make_keycloak(data, platform), progress)
        check_cubes(data.envs / "cubes" / "bin" / "python", config.path("cubes.yaml"))
        check_catalogues(data.envs / "lab" / "bin" / "python", config.path(FILE))
        check_folders(data, config)
        _refuse_open(isolation_of(data), request.host)
        # that may have taken minutes, in which another program took a port
        platform = choose_platform(data.run / "ports.json", request.host, port)
    except BaseException as error:
        os.close(lock)
        if isinstance(error, OSError):
            raise CubeHubError(
                f"The data folder could not be prepared: {error}",
                "Look for free disk space and write permission there, then run the command again to go on.",
                code="prepare_failed",
            ) from error
        raise
    return Ready(data, platform, config, lock, request.trust_everyone)


def port_of_last_start(data: DataFolder) -> int | None:
    """Tell the port for people that this folder's platform had; bookmarks, links and tokens name it."""
    # before it was kept with the others, only the supervisor noted it
    noted = data.state().get("port")
    return last_port(data.run / "ports.json") or (noted if isinstance(noted, int) else None)


def _is_first(data: DataFolder) -> bool:
    """Whether the large things have yet to be fetched; Lab's environment comes last and is the largest."""
    return not (data.envs / "lab" / "cubehub-stamp").is_file()


def check_config(config: ConfigFolder) -> None:
    """Read what the parts will read, so that a mistake is said before anything is fetched or started.

    Raises
    ------
    BadInputError
        Names file, key and value.
    """
    config.operator_settings()
    try:
        load_profiles(config.path("profiles.yaml"))
    except SpawnerError as error:
        raise BadInputError(error.message, error.hint, code=error.code) from error
    config.check_syntax()


def check_database(file: Path) -> None:
    """Refuse to start on a damaged database of the Hub, which would only say that it ended.

    Raises
    ------
    CubeHubError
        It is damaged; it is left as it is.
    """
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as database:
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise CubeHubError(
            f"The Hub's database {file} is damaged: {said}.",
            "Restore it from a backup, or move it away: the next start makes a new one; people log in again, and tokens they made are gone.",
            code="database_damaged",
        )


def isolation_of(data: DataFolder) -> Isolation:
    """Tell what keeps this folder's servers apart: by user ids only if these get at what they need."""
    found = probe_isolation()
    if found.kind != "uid":
        return found
    let_pass(data.envs, data.homes, data.servers)
    return uid_reaches(found, FIRST, data.envs / "lab", (str(data.homes), str(data.servers)))


def _refuse_open(isolation: Isolation, host: str) -> None:
    if isolation.kind == "none" and not is_loopback(host):
        raise BadInputError(
            f"Servers cannot be shut into their homes here ({isolation.reason}), so CubeHub stays on loopback.",
            "Install bubblewrap (Debian, Ubuntu: sudo apt install bubblewrap), or leave out --host.",
            code="no_isolation",
        )


async def supervise(ready: Ready, when_ready: Callable[[], None] | None = None) -> None:
    """Run the parts until told to stop.

    Raises
    ------
    CubeHubError
        A part did not come up.
    """
    data, platform = ready.data, ready.platform
    secrets = Secrets(data.secrets)
    files = write_run_files(data, platform, ready.config, secrets, trust_everyone=ready.trust_everyone)
    keycloak = make_keycloak(data, platform)

    async def on_keycloak() -> None:
        await asyncio.to_thread(
            provision,
            platform.keycloak_url,
            platform.public_url,
            secrets,
            log=log.info,
            demo_accounts=ready.config.operator_settings().demo_accounts,
            accounts_file=data.accounts_file,
            source=ready.config.path("realm.json"),
        )

    parts = build_parts(data, platform, keycloak, ready.config, files, secrets, on_keycloak)
    facts: dict[str, object] = {
        "version": __version__,
        "public_url": platform.public_url,
        "keycloak_url": platform.keycloak_url,
        "data": str(data.root),
        "host": platform.host,
        "port": platform.port,
    }
    await Supervisor(parts, data.state_file, facts).run(when_ready)


def run_here(ready: Ready, when_ready: Callable[[], None]) -> None:
    """Run in this process until Ctrl-C or `cubehub down`."""
    _log_to(ready.data.logs / "up.log")
    try:
        asyncio.run(supervise(ready, when_ready))
    finally:
        os.close(ready.lock)


def run_detached(ready: Ready, request: Request, progress: Progress) -> None:
    """Hand over to a process of its own and return once everything is healthy.

    Raises
    ------
    CubeHubError
        It did not come up; nothing is left running.
    """
    data = ready.data
    os.set_inheritable(ready.lock, True)
    with (data.logs / "up.log").open("a") as record:
        child = subprocess.Popen(
            [
                sys.executable, "-m", "cubehub.local.up", str(data.root), request.host, str(ready.platform.port),
                str(request.config or ""), "trust-everyone" if request.trust_everyone else "",
            ],
            env={**os.environ, LOCK_VARIABLE: str(ready.lock)},
            stdin=subprocess.DEVNULL,
            stdout=record,
            stderr=record,
            pass_fds=[ready.lock],
            start_new_session=True,
        )  # fmt: skip
    os.close(ready.lock)
    try:
        with progress.step("starting the parts", None) as report:
            wait_healthy(data, child, report)
    except BaseException:
        # interrupted, or failed: nothing stays that nobody was told about
        child.terminate()
        child.wait()
        raise


def wait_healthy(data: DataFolder, child: subprocess.Popen[bytes], report: Report) -> None:
    """Wait until the supervisor says that everything is healthy; report which parts are waited for.

    Raises
    ------
    CubeHubError
        It ended, or said that a part failed.
    """
    while True:
        state = read_json(data.state_file) or {}
        if state.get("phase") == "healthy":
            return
        parts = state.get("parts", {})
        report(0, about=", ".join(name for name in parts if parts[name]["health"] != "healthy"))
        if child.poll() is not None:
            raise CubeHubError(
                state.get("failure") or f"The supervisor ended with status {child.returncode}.",
                f"See `{typed('logs', data.root)}` and `{typed('logs PART', data.root)}`.",
                code="start_failed",
            )
        time.sleep(0.2)


def stop(data: DataFolder, *, patience_s: float = 90) -> bool:
    """Stop the platform of a data folder, its people's servers included; False if nothing ran.

    Raises
    ------
    CubeHubError
        Something could not be ended.
    """
    found = False
    up = data.state()["up"]
    supervisor = same_process(up["pid"], up["created"]) if up else None
    if supervisor is not None:
        found = True
        # one that hangs must go before its parts, or it would start them again when it wakes
        end([supervisor], patience_s=patience_s)
    for mark in (PART_MARK, SERVER_MARK):
        found = bool(end(marked(mark, data.run_id))) or found
    left = [process.pid for mark in (PART_MARK, SERVER_MARK) for process in marked(mark, data.run_id)]
    if up and same_process(up["pid"], up["created"]) is not None:
        left.append(up["pid"])
    if left:
        raise CubeHubError(
            f"Processes {left} could not be ended.", "They may belong to another user; try as root."
        )
    return found


def _log_to(file: Path) -> None:
    # a full disk must not put logging's own tracebacks on the person's screen
    logging.raiseExceptions = False
    handler = logging.FileHandler(file)
    file.chmod(0o600)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("cubehub")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _detached_main() -> int:
    root, host, port, config, trust = sys.argv[1:6]
    request = Request(Path(root), host, int(port), Path(config) if config else None, bool(trust))
    data = DataFolder(request.data)
    lock = int(os.environ.pop(LOCK_VARIABLE))
    data.hold(lock)
    _log_to(data.logs / "up.log")
    kept = read_json(data.run / "ports.json") or {}
    platform = Platform(host, kept.pop("port"), kept.pop("keycloak"), kept)
    ready = Ready(data, platform, config_folder(data, request.config), lock, request.trust_everyone)
    try:
        asyncio.run(supervise(ready))
    except CubeHubError as error:
        log.error("%s %s", error.message, error.hint)  # noqa: TRY400 - a message for people, not a fault of ours
        return error.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(_detached_main())
