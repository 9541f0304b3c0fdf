"""``cubehub-cube-server``: xcube's server behind, and in front of it processes that answer tiles and series."""

import argparse
import fcntl
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from xcube_cubehub.beats import FIRST_WORKER, HUNG_S, PUBLISHING, SUPERVISOR, Beats
from xcube_cubehub.behind import CubeServer
from xcube_cubehub.bucket import read_environment
from xcube_cubehub.config import ServerSettings, read_cubes, read_settings
from xcube_cubehub.errors import BadInputError, CubeError
from xcube_cubehub.fast.published import PALETTES, PUBLISHED, PUBLISHING_SOCKET, SOCKET
from xcube_cubehub.following import LOOKED, follow
from xcube_cubehub.memory import save_memory
from xcube_cubehub.processes import die_with_parent

log = logging.getLogger(__name__)
RESTART_S = 1.0
"""How long it takes at least until something that ended is started again."""
STOP_S = 8.0
FIRST_LOOK_S = 8.0
"""How long the start waits for a bucket; what comes later is published when it comes."""
BAD_INPUT = 2
LOCK = ".lock"


class Supervisor:
    """Starts xcube's server and the processes in front of it, and starts again what ends.

    Parameters
    ----------
    settings : ServerSettings
        From the Hub.
    config : path
        The file that they are in.
    """

    def __init__(self, settings: ServerSettings, config: Path) -> None:
        self._settings, self._config = settings, config
        self._key = secrets.token_bytes(32)
        self._stopping = False
        self._behind: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._follower: subprocess.Popen[bytes] | None = None
        self._followed = 0.0
        self._publishing: subprocess.Popen[bytes] | None = None
        self._publishing_begun = 0.0
        self._workers: dict[int, tuple[int, float]] = {}
        self._beats = Beats.create(settings.workers)
        self._looked = time.monotonic()
        self._watching_since = self._looked
        self._listening: socket.socket

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self._listening = listening(self._settings)
        self._start_follower()
        self._start_behind()
        self._start_publishing()
        # After xcube was started, which takes longer, and before the fork, so that all share what is imported
        from xcube_cubehub.fast import worker  # noqa: PLC0415
        from xcube_cubehub.fast.metrics import Shared  # noqa: PLC0415

        worker.warm_up()
        shared = Shared.create(self._settings.workers)
        for number in range(self._settings.workers):
            self._start_worker(number, shared)
        log.info(
            "cubes at http://%s:%d%s/", self._settings.address, self._settings.port, self._settings.prefix
        )
        status = self._watch(shared)
        self._end()
        log.info("stopped")
        return status

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _start_behind(self) -> None:
        process = subprocess.Popen(self._command("--behind"), stdin=subprocess.PIPE)
        if process.stdin is not None:
            process.stdin.write(self._key.hex().encode())
            process.stdin.close()
        self._behind, self._begun = process, time.monotonic()

    def _start_follower(self) -> None:
        """Start who follows the bucket, if there is one, and wait a little for the first look: xcube reads what it tells."""
        if self._settings.bucket is None:
            return
        looked = self._settings.folder / LOOKED
        looked.unlink(missing_ok=True)
        self._follower, self._followed = subprocess.Popen(self._command("--follow")), time.monotonic()
        while time.monotonic() < self._followed + FIRST_LOOK_S and not (looked.exists() or self._stopping):
            time.sleep(0.05)

    def _start_publishing(self) -> None:
        if self._settings.published is None:
            return
        file = self._beats.file
        command = [*self._command("--publishing"), "--beats", str(file)]
        self._beats.beat(PUBLISHING)
        self._publishing = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(file,))
        self._publishing_begun = time.monotonic()

    def _command(self, part: str) -> list[str]:
        return [sys.executable, "-m", "xcube_cubehub.launcher", "--config", str(self._config), part]

    def _start_worker(self, number: int, shared: object) -> None:
        from xcube_cubehub.fast import worker  # noqa: PLC0415

        self._beats.beat(FIRST_WORKER + number)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                die_with_parent()
                worker.run(self._settings, self._listening, self._key, shared, self._beats, number)  # type: ignore[arg-type]
                status = 0
            except Exception:
                log.exception("a process in front failed")
            finally:
                os._exit(status)
        self._workers[pid] = number, time.monotonic()

    def _watch(self, shared: object) -> int:
        """Start again what ends; xcube's exit status where it cannot be started for what it was told."""
        while not self._stopping:
            time.sleep(0.1)
            self._end_what_hangs()
            behind = self._behind
            if behind is not None and behind.poll() is not None:
                if behind.returncode == BAD_INPUT and not (self._settings.state_dir / PUBLISHED).exists():
                    return BAD_INPUT
                log.error("xcube's server ended with status %d and is started again", behind.returncode)
                self._wait_since(self._begun)
                self._start_behind()
            if self._follower is not None and self._follower.poll() is not None:
                log.error("who follows the bucket ended and is started again")
                self._wait_since(self._followed)
                self._start_follower()
            publishing = self._publishing
            if publishing is not None and publishing.poll() is not None:
                log.error(
                    "what takes cubes in ended with status %d and is started again", publishing.returncode
                )
                self._wait_since(self._publishing_begun)
                self._start_publishing()
            for pid, (number, begun) in list(self._workers.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del self._workers[pid]
                    if self._stopping:
                        return 0
                    log.error("a process in front ended with status %d and is started again", status)
                    self._wait_since(begun)
                    self._start_worker(number, shared)
        return 0

    def _end_what_hangs(self) -> None:
        """End what has given no sign of life for long; that it ended is seen afterwards, as if it had by itself.

        xcube's server is not among it: it answers the health check, by which whoever started all of this judges.
        """
        now = time.monotonic()
        if now - self._looked > HUNG_S / 4:
            # Everything was stopped, us included: what the others did meanwhile is not known yet
            self._watching_since = now
        self._looked = now
        self._beats.beat(SUPERVISOR)
        publishing = self._publishing
        if publishing is not None and self._hangs(PUBLISHING):
            log.error("what takes cubes in has hung for %d s and is ended", HUNG_S)
            self._beats.beat(PUBLISHING)
            publishing.kill()
        for pid, (number, _) in self._workers.items():
            if self._hangs(FIRST_WORKER + number):
                log.error("a process in front has hung for %d s and is ended", HUNG_S)
                self._beats.beat(FIRST_WORKER + number)
                os.kill(pid, signal.SIGKILL)

    def _hangs(self, place: int) -> bool:
        return self._beats.silent_s(place, self._watching_since) > HUNG_S

    def _wait_since(self, begun: float) -> None:
        left = begun + RESTART_S - time.monotonic()
        if left > 0 and not self._stopping:
            time.sleep(left)

    def _end(self) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        if self._follower is not None:
            self._follower.terminate()
            self._follower.wait()
        started = [p for p in (self._behind, self._publishing) if p is not None]
        for process in started:
            process.terminate()
        until = time.monotonic() + STOP_S
        while self._workers and time.monotonic() < until:
            for pid in list(self._workers):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._workers[pid]
            time.sleep(0.02)
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for process in started:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listening(settings: ServerSettings) -> socket.socket:
    """The socket at the server's address, which all processes in front accept from.

    Notes
    -----
    One for all, and not one for each with SO_REUSEPORT: by that any program of the same user, a person's notebook too
    where there is one user only, could listen at the port as well and be dealt a part of the requests.

    Raises
    ------
    OSError
        Another program has the port.
    """
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((settings.address, settings.port))
    made.listen(1024)
    made.setblocking(False)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``cubehub-cube-server``; 0 stopped as asked, 1 failed, 2 bad configuration."""
    parser = argparse.ArgumentParser(prog="cubehub-cube-server", description="Serve the published cubes.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file written by the Hub")
    parser.add_argument("--behind", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--publishing", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--beats", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    die_with_parent()
    save_memory()
    os.environ.setdefault("MPLBACKEND", "agg")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("xcube").setLevel(logging.WARNING)
    # xcube first asks each store for a pyramid and says so when a plain Zarr has none.
    warnings.filterwarnings("ignore", message="No data opener found", category=UserWarning)
    try:
        settings = read_settings(args.config)
        if settings.bucket_env is not None:
            read_environment(settings.bucket_env)
        if args.follow and settings.bucket is not None:
            follow(settings.bucket, settings.folder, settings.blocks, settings.bucket_cache)
            return 0
        if args.behind:
            key = bytes.fromhex(sys.stdin.read())
            CubeServer(settings, key).run()
            return 0
        if args.publishing:
            from xcube_cubehub.publishing import process  # noqa: PLC0415 - the others do without it

            process.run(settings, None if args.beats is None else Beats(args.beats))
            return 0
        read_cubes(settings.cubes_yaml)
        with only_server_in(settings.state_dir):
            prepare_state(settings)
            return Supervisor(settings, args.config.resolve()).run()
    except CubeError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror or error}\nhint: is the port taken by another process?\n")
        return 1


def only_server_in(folder: Path) -> TextIO:
    """Hold the state folder for this server until the file that is given is closed.

    Notes
    -----
    A second one would take away the socket and the tables of the first, which goes on without xcube behind it. The
    lock is one that children do not inherit, and that the kernel takes back when its owner is killed.

    Raises
    ------
    BadInputError
        Another server has it, or it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        message = f"cannot write to {folder}: {error.strerror}"
        raise BadInputError(message, "check state_dir in the configuration") from error
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        message = f"another cube server runs with the state folder {folder}"
        raise BadInputError(message, "stop it first, or give this one another state_dir") from error
    return lock


def prepare_state(settings: ServerSettings) -> None:
    """Make the folder for what the processes tell one another, and take away what earlier ones told.

    Raises
    ------
    BadInputError
        It cannot be made.
    """
    folder = settings.state_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (SOCKET, PUBLISHED, PALETTES, PUBLISHING_SOCKET):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot make {folder}: {error.strerror}"
        raise BadInputError(message, "check state_dir in the configuration") from error
    # What is compiled is kept, whoever owns the installed files
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")


if __name__ == "__main__":
    sys.exit(main())
