"""A transient scope of systemd, for an ordinary user with a session on a cgroup v2 machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import which
from typing import ClassVar

from typing_extensions import override

from cubehub_spawner.enforcers._cgroup import hold_back, inactive_files, limit_in, limits_around
from cubehub_spawner.enforcers.base import CannotHoldError, Enforcer

_ROOT = Path("/sys/fs/cgroup")


class SystemdScope(Enforcer):
    """Limits by ``MemoryMax`` and ``MemorySwapMax=0`` of a scope; the unit's name is the handle.

    Parameters
    ----------
    slice_path : Path
        Folder of the slice in which the scopes are made.
    user : bool
        The user's own manager, rather than the system's.
    """

    name: ClassVar[str] = "systemd_scope"
    inside: ClassVar[Path] = _ROOT
    events_file: ClassVar[str] = "memory.events"

    def __init__(self, slice_path: Path, *, user: bool = True) -> None:
        self.slice_path = slice_path
        self.user = user
        self._limits: dict[str, list[str]] = {}
        self._holds = {"memory"}

    @classmethod
    def probe(cls, state_dir: Path) -> SystemdScope:
        """Start a scope that does nothing."""
        del state_dir
        if which("systemd-run") is None:
            raise CannotHoldError("systemd-run is not installed")
        user = os.geteuid() != 0
        slice_name = "app.slice" if user else "system.slice"
        manager = ["--user"] if user else []
        # The manager's own place is asked for: that of a slice without a running unit is empty.
        asked = _run(["systemctl", *manager, "show", "--property=ControlGroup", "--value"])
        if asked.returncode:
            said = (asked.stderr.strip().splitlines() or [""])[0]
            raise CannotHoldError(f"systemd does not answer: {said[:200]}")
        enforcer = cls(_ROOT / asked.stdout.strip().strip("/") / slice_name, user=user)
        handle = enforcer.create(f"cubehub-probe-{os.getpid()}", 64 * 2**20)
        limit_file = enforcer.folder(handle) / "memory.max"
        # what the manager was not given to hand on it takes as a setting and does not hold
        look = 'cat "$0"; cd "${0%/*}"; ls cpu.max pids.max 2>/dev/null; true'
        tried = _run(enforcer.command(handle, ["/bin/sh", "-c", look, str(limit_file)]))
        limit, *more = tried.stdout.split() or [""]
        enforcer._holds |= {{"cpu.max": "cpu", "pids.max": "processes"}[name] for name in more}
        if tried.returncode or limit != str(64 * 2**20):
            raise CannotHoldError(
                f"a scope does not get its limit: {(tried.stderr or tried.stdout).strip()[:200]}"
            )
        return enforcer

    @property
    def _manager(self) -> list[str]:
        return ["--user"] if self.user else []

    @property
    def slice_name(self) -> str:
        """The slice, as systemd calls it."""
        return self.slice_path.name

    @property
    @override
    def holds(self) -> frozenset[str]:
        return frozenset(self._holds)

    @override
    def create(
        self, group: str, memory_bytes: int, *, cpu: float | None = None, pids: int | None = None
    ) -> str:
        handle = f"{group}.scope"
        if not self.remove(handle):
            raise OSError(f"{handle} is left from an earlier server and can't be ended")
        settings = [f"MemoryMax={memory_bytes}", "MemorySwapMax=0"]
        settings += [] if cpu is None else [_quota(cpu)]
        settings += [] if pids is None else [f"TasksMax={pids}"]
        self._limits[handle] = settings
        return handle

    @override
    def command(self, handle: str, argv: list[str]) -> list[str]:
        """Let systemd-run put itself into the scope and then become `argv`.

        The variables that reach the user's manager are given to systemd-run alone, not to the server.
        """
        wanted = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS") if self.user else ()
        names = [name for name in wanted if name in os.environ]
        given = [f"{name}={os.environ[name]}" for name in names]
        hidden = [part for name in names for part in ("-u", name)]
        return [
            "/usr/bin/env",
            *given,
            "systemd-run",
            *self._manager,
            "--scope",
            "--quiet",
            "--collect",
            f"--unit={handle.removesuffix('.scope')}",
            f"--slice={self.slice_name}",
            *(f"--property={setting}" for setting in self._limits[handle]),
            "--",
            "/usr/bin/env",
            *hidden,
            *argv,
        ]

    @override
    def limit(self, handle: str, memory_bytes: int) -> None:
        self._set(handle, f"MemoryMax={memory_bytes}")

    @override
    def limit_cpu(self, handle: str, cpu: float) -> None:
        if "cpu" in self._holds:
            self._set(handle, _quota(cpu))

    def _set(self, handle: str, setting: str) -> None:
        asked = _run(["systemctl", *self._manager, "set-property", "--runtime", handle, setting])
        if asked.returncode:
            raise OSError(f"{handle}: {asked.stderr.strip()[:200]}")

    @override
    def limit_now(self, handle: str) -> int:
        return limit_in(self.folder(handle) / "memory.max")

    @override
    def hold_back(self, handle: str, memory_bytes: int | None) -> None:
        def write(text: str) -> None:
            self._set(handle, f"MemoryHigh={'infinity' if text == 'max' else text}")

        hold_back(self.folder(handle), write, memory_bytes)

    @override
    def usage(self, handle: str) -> int:
        return int((self.folder(handle) / "memory.current").read_text(encoding="ascii"))

    @override
    def droppable(self, handle: str) -> int:
        return inactive_files(self.folder(handle))

    @override
    def around(self, handle: str) -> list[tuple[int, int]]:
        return limits_around(self.folder(handle), "memory.max", "memory.current")

    @override
    def folder(self, handle: str) -> Path:
        return self.slice_path / handle

    @override
    def processes(self, handle: str) -> list[int]:
        try:
            return [
                int(pid) for pid in (self.folder(handle) / "cgroup.procs").read_text(encoding="ascii").split()
            ]
        except OSError:
            return []

    @override
    def discard(self, handle: str) -> bool:
        """Let systemd collect the empty scope, and wait until it has."""
        self._limits.pop(handle, None)
        if not self.folder(handle).exists():
            return True
        _run(["systemctl", *self._manager, "stop", handle])
        return not self.folder(handle).exists()


def _quota(cpu: float) -> str:
    return f"CPUQuota={max(1, round(cpu * 100))}%"


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))
