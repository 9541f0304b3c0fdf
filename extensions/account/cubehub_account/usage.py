"""What the whole server uses and may use now, read where the machine keeps it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_account.memory import EVENTS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_A_POD = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory"))
"""Where a container finds its own group: v2, v1."""
_NO_LIMIT = 2**60
"""v1 writes "none" as the largest number of pages."""


@dataclass(frozen=True)
class Usage:
    """Bytes of RAM; None where nobody knows."""

    used_bytes: int | None
    """What all processes of the server use, without files that the kernel drops before it ends anything."""
    memory_bytes: int | None
    """The limit of all of them together."""


def read_usage(environ: Mapping[str, str] = os.environ) -> Usage:
    """Read use and limit; the limit may have changed since the server was started.

    Notes
    -----
    The folder is that of ``CUBEHUB_MEMORY_EVENTS`` (a cgroup of either version, or the watchdog's), else a container's
    own cgroup. What can't be read there is taken from ``MEM_LIMIT``, and from the processes that can be seen.
    """
    folder = _folder(environ)
    used = _used_in(folder) if folder else None
    return Usage(_of_processes() if used is None else used, read_limit(environ))


def read_limit(environ: Mapping[str, str] = os.environ) -> int | None:
    """Read the limit alone, which costs next to nothing."""
    folder = _folder(environ)
    told = environ.get("MEM_LIMIT", "")
    return (_limit_of(folder) if folder else None) or (int(told) if told.isdigit() else None)


def _folder(environ: Mapping[str, str]) -> Path | None:
    """Find where the machine keeps what the server uses; None where it does not say."""
    events = environ.get(EVENTS_VARIABLE)
    for folder in [Path(events).parent] if events else _IN_A_POD:
        if (folder / "memory.stat").is_file() or _limit_of(folder) is not None:
            return folder
    return None


def _limit_of(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes", "limit"):
        number = _number(folder / name)
        if number is not None and number < _NO_LIMIT:
            return number
    return None


def _used_in(folder: Path) -> int | None:
    for name, inactive in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        used = _number(folder / name)
        if used is not None:
            return max(0, used - _stat(folder / "memory.stat", inactive))
    return None


def _of_processes() -> int | None:
    """Add up the proportional memory of the processes that can be seen; in a sandbox, those are the server's."""
    sizes = [
        size
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (size := _proportional(entry / "smaps_rollup")) is not None
    ]
    return sum(sizes) if sizes else None


def _proportional(file: Path) -> int | None:
    try:
        lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # it has ended, or is another's
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("Pss:")]
    return int(sizes[0]) * 1024 if sizes else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _stat(file: Path, name: str) -> int:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
