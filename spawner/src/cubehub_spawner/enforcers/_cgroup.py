"""What cgroup v1 and v2 have in common: folders with files that one writes."""

from __future__ import annotations

import errno
import os
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from cubehub_spawner.enforcers.base import CannotHoldError, Enforcer

if TYPE_CHECKING:
    from collections.abc import Callable

_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 111; shift; done; shift; exec "$@"'
"""The shell joins the group and then becomes the server: there is no moment in which the server is outside."""
PERIOD_US = 100_000
"""The kernel's own: cores are held as a part of each tenth of a second."""


class CgroupEnforcer(Enforcer):
    """Groups as folders under one base folder."""

    def __init__(self, base: Path) -> None:
        self.base = base

    @abstractmethod
    def _write_limit(self, folder: Path, memory_bytes: int) -> None:
        """Write the files that limit RAM and forbid swap."""

    @abstractmethod
    def _write_more(self, handle: str, cpu: float | None, pids: int | None) -> None:
        """Write what limits cores and processes, where this machine can hold them."""

    def _folders(self, handle: str) -> list[Path]:
        """List the group's folders, the one of its memory last."""
        return [Path(handle)]

    @override
    def create(
        self, group: str, memory_bytes: int, *, cpu: float | None = None, pids: int | None = None
    ) -> str:
        folder = self.base / group
        if folder.exists() and not self.remove(str(folder)):
            raise OSError(f"{folder} is left from an earlier server and can't be removed")
        folder.mkdir()
        try:
            folder.chmod(
                0o755
            )  # the server reads limit and events, under whatever user id; whatever the Hub's umask
            self._write_limit(folder, memory_bytes)
            self._write_more(str(folder), cpu, pids)
        except OSError:
            self.discard(str(folder))
            raise
        return str(folder)

    usage_file: ClassVar[str]
    """The file with the bytes in use."""
    limit_file: ClassVar[str]
    """The file with the limit."""

    @override
    def command(self, handle: str, argv: list[str]) -> list[str]:
        joined = [f"{folder}/cgroup.procs" for folder in self._folders(handle)]
        return ["/bin/sh", "-c", _JOIN, "cubehub-join", *joined, "--", *argv]

    @override
    def limit(self, handle: str, memory_bytes: int) -> None:
        self._write_limit(Path(handle), memory_bytes)

    @override
    def limit_now(self, handle: str) -> int:
        return limit_in(Path(handle) / self.limit_file)

    @override
    def folder(self, handle: str) -> Path:
        return Path(handle)

    @override
    def processes(self, handle: str) -> list[int]:
        try:
            return [int(pid) for pid in (Path(handle) / "cgroup.procs").read_text(encoding="ascii").split()]
        except OSError:
            return []

    @override
    def discard(self, handle: str) -> bool:
        for folder in self._folders(handle):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True

    @override
    def limit_cpu(self, handle: str, cpu: float) -> None:
        if Path(handle).is_dir():
            self._write_more(handle, cpu, None)

    @override
    def usage(self, handle: str) -> int:
        return _number(Path(handle) / self.usage_file)

    @override
    def droppable(self, handle: str) -> int:
        return inactive_files(Path(handle))

    @override
    def around(self, handle: str) -> list[tuple[int, int]]:
        return limits_around(Path(handle), self.limit_file, self.usage_file)

    def try_out(self) -> None:
        """Make a group, limit it and remove it.

        Raises
        ------
        CannotHoldError
            When one of these fails.
        """
        size = 64 * 2**20
        try:
            handle = self.create(f"cubehub-probe-{os.getpid()}", size)
        except OSError as error:
            raise CannotHoldError(f"{self.base}: {error.strerror or error}") from error
        self.discard(handle)


def quota_us(cpu: float) -> int:
    """Give the part of each period that so many cores are; the kernel takes no less than a thousandth of a second."""
    return max(1000, int(cpu * PERIOD_US))


def own_cgroup(controller: str) -> str | None:
    """Tell the path of this process in a hierarchy: ``memory`` for v1's, empty for v2's; None without one."""
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") and (controller or controllers == ""):
            return path
    return None


def inactive_files(folder: Path) -> int:
    """Bytes of a cgroup that are unused file contents, its children's included."""
    values = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))


NO_LIMIT = 2**60
"""More than any machine has; v1 writes "none" as the largest number of pages, v2 as ``max``."""


def limit_in(file: Path) -> int:
    """Read a limit in bytes; `NO_LIMIT` where there is none."""
    text = file.read_text(encoding="ascii").strip()
    return NO_LIMIT if text == "max" else min(int(text), NO_LIMIT)


def hold_back(folder: Path, write: Callable[[str], object], memory_bytes: int | None) -> None:
    """Set cgroup v2's ``memory.high`` by `write`, and see that what is in use came down to it.

    Raises
    ------
    OSError
        It did not, so a limit of that size would end processes.
    """
    write("max" if memory_bytes is None else str(memory_bytes))
    if memory_bytes is not None and _number(folder / "memory.current") > memory_bytes:
        raise OSError(errno.EBUSY, "more than that is in use", str(folder))


def limits_around(folder: Path, limit_file: str, usage_file: str) -> list[tuple[int, int]]:
    """List limit and use, without what would be dropped, of each cgroup above `folder` that has a limit."""
    found = []
    for parent in folder.parents:
        try:
            if (limit := limit_in(parent / limit_file)) < NO_LIMIT:
                found.append((limit, _number(parent / usage_file) - inactive_files(parent)))
        except (OSError, ValueError):
            break
    return found


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
