"""A private PostgreSQL cluster: own folder, own socket, no TCP port, gone when the service goes."""

from __future__ import annotations

import logging
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cubehub_stac.process import die_with_parent

log = logging.getLogger("cubehub_stac")

MIN_VERSION = 13
ADMIN, READER, DATABASE = "cubehub", "cubehub_read", "cubehub"
CHANGES = 6_231_973
"""Key of the lock under which the items are changed."""
HINT = "sudo apt install postgresql postgresql-postgis"
_EXTENSIONS = ("postgis", "btree_gist", "btree_gin")

# Small: hundreds to some ten thousand items, a handful of requests at a time.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "12",
    "shared_buffers": "16MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_worker_processes": "0",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "1",
    # each collection is a table with indexes, and loading locks them all: there may be one for each person
    "max_locks_per_transaction": "1024",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "synchronous_commit": "off",
    "huge_pages": "off",
    "jit": "off",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}


class PostgresError(Exception):
    """The cluster can't be made or started; the text says why."""


@dataclass(frozen=True)
class Installation:
    """Programs of one PostgreSQL version that comes with PostGIS."""

    programs: Path
    version: int


def find_installation(wanted: int | None = None) -> Installation | None:
    """Find PostgreSQL with PostGIS on this machine: version `wanted` if given, else the newest."""
    folders = [Path(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin")]
    folders += [Path(folder) for folder in Path("/").glob("usr/pgsql-*/bin")]
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    installations = [found for folder in folders if (found := _inspect(folder)) is not None]
    fitting = [found for found in installations if wanted in {None, found.version}]
    return max(fitting, key=lambda found: found.version, default=None)


def _inspect(programs: Path) -> Installation | None:
    postgres = programs / "postgres"
    if not postgres.exists() or not (programs / "initdb").exists():
        return None
    try:
        answer = subprocess.run(
            [postgres, "--version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\b(\d+)[.\d]*", answer.stdout)
    if match is None or int(match[1]) < MIN_VERSION:
        return None
    shares = [Path(f"/usr/share/postgresql/{match[1]}"), programs.parent / "share"]
    shares += [programs.parent / "share" / "postgresql", Path("/usr/share/pgsql")]
    for share in shares:
        if all((share / "extension" / f"{name}.control").exists() for name in _EXTENSIONS):
            return Installation(programs, int(match[1]))
    return None


class Cluster:
    """A cluster in `folder` and its server process.

    Notes
    -----
    PostgreSQL refuses to run as root, so root hands folder and process to an unprivileged user. That user can't
    walk down to the folder, because the platform's data is closed to everyone but its owner. It need not:
    it inherits the open folder and names it `/proc/self/fd/N`, which the kernel follows directly.
    Clients do the same, which also keeps the socket's path within the 107 bytes it may have.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self._fd: int | None = None
        self._user = _unprivileged()

    @property
    def fd(self) -> int:
        """Descriptor of the folder; a child that connects must inherit it."""
        if self._fd is None:
            self._fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        return self._fd

    @property
    def _inside(self) -> str:
        return f"/proc/self/fd/{self.fd}"

    @property
    def host(self) -> str:
        """What a client in this process, or a child with `fd`, gives as host."""
        return f"{self._inside}/run"

    # --- making ---

    def prepare(self) -> None:
        """Make the cluster if there is none or one of a version that is no longer installed.

        Raises
        ------
        PostgresError
            When PostgreSQL isn't there, or refuses.
        """
        existing = self._existing_version()
        installation = find_installation(existing) or find_installation()
        if installation is None:
            raise PostgresError("PostgreSQL with PostGIS is not installed")
        self._programs = installation.programs
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("", "run"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            self._own(self.folder / name)
        self._end_leftover()
        if existing == installation.version:
            return
        if existing is not None:
            log.warning(
                "the database is of PostgreSQL %s, which is gone; it is made anew from the files", existing
            )
        self.discard()
        self._initdb()

    def discard(self) -> None:
        """Remove the database; everything in it comes from files and is read again."""
        for name in ("data", "data.new"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _existing_version(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, *self._user)

    def _initdb(self) -> None:
        command = [
            str(self._programs / "initdb"), f"--pgdata={self._inside}/data.new", f"--username={ADMIN}",
            "--encoding=UTF8", "--locale=C", "--auth=reject", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd="/",
            pass_fds=(self.fd,),
            preexec_fn=self._drop,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PostgresError(f"initdb failed: {_last_line(done.stderr)}")
        new = self.folder / "data.new"
        me = pwd.getpwuid(os.geteuid()).pw_name
        # Whoever the service runs as is let in by the kernel's word (peer), nobody else; there is no password to keep.
        (new / "pg_hba.conf").write_text("local all all peer map=service\n", encoding="ascii")
        (new / "pg_ident.conf").write_text(f"service {me} {ADMIN}\nservice {me} {READER}\n", encoding="utf-8")
        new.rename(self.data)

    # --- running ---

    def start(self) -> None:
        """Start the server process; `wait` tells when it accepts connections."""
        command = [str(self._programs / "postgres"), "-D", f"{self._inside}/data"]
        command += ["-c", f"unix_socket_directories={self.host}"]
        command += [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            command,
            cwd="/",
            pass_fds=(self.fd,),
            # The hook only makes system calls, so threads of the parent can't have left it a held lock.
            preexec_fn=self._drop,  # noqa: PLW1509
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
        )

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until the server accepts connections.

        Raises
        ------
        PostgresError
            When it ends, or takes longer.
        """
        end = time.monotonic() + seconds
        probe = [str(self._programs / "pg_isready"), "-q", "-h", self.host, "-U", ADMIN, "-d", "postgres"]
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                raise PostgresError("PostgreSQL ended while starting; its message is in the log above")
            if subprocess.run(probe, check=False, pass_fds=(self.fd,)).returncode == 0:
                return
            time.sleep(0.05)
        raise PostgresError(f"PostgreSQL was not ready within {seconds:.0f} s")

    def stop(self) -> None:
        """Stop the server: politely, then firmly."""
        if self.process is None:
            return
        for sig, patience in ((signal.SIGINT, 5), (signal.SIGQUIT, 2), (signal.SIGKILL, 2)):
            if self.process.poll() is not None:
                return
            self.process.send_signal(sig)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)

    def _drop(self) -> None:
        if self._user is not None:
            uid, gid = self._user
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        die_with_parent(signal.SIGINT)

    def _end_leftover(self) -> None:
        """End a server that a killed service left in this folder, and remove a lock file that names no server.

        The caller holds the service's own lock, so a server found here has no master. A process id in the lock
        file may meanwhile belong to anything; only one that runs in this folder is touched.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text(encoding="ascii").splitlines()[0])
        except (OSError, ValueError, IndexError):
            lock.unlink(missing_ok=True)
            return
        for sig, patience in ((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)):
            if not self._is_server(pid):
                break
            log.warning("ending the PostgreSQL server %d that an earlier service left", pid)
            with suppress(ProcessLookupError):
                os.kill(pid, sig)
            end = time.monotonic() + patience
            while self._is_server(pid) and time.monotonic() < end:
                time.sleep(0.05)
        if not self._is_server(pid):
            lock.unlink(missing_ok=True)
            for left in (self.folder / "run").glob(".s.PGSQL.*"):
                left.unlink(missing_ok=True)

    def _is_server(self, pid: int) -> bool:
        try:
            return (
                Path(f"/proc/{pid}/cwd").samefile(self.data)
                and "postgres" in Path(f"/proc/{pid}/exe").readlink().name
            )
        except OSError:
            return False


def _unprivileged() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def _environment() -> dict[str, str]:
    """Nothing of the service's environment: it may hold the Hub's token, and PG* variables would mislead."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if not line.startswith("initdb: removing")]
    return lines[-1] if lines else "no message"
