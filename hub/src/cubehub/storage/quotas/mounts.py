"""What file system a folder lies on, and what this kernel was built with."""

from __future__ import annotations

import gzip
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub.storage.quotas.base import QuotaError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of ``/proc/self/mountinfo``."""

    kind: str
    """``ext4``, ``xfs``, ``btrfs``, …"""
    source: str
    """Usually the device; some overlays and images name none."""
    at: str
    """Where it is mounted."""


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder's descriptor, never that of a link's target.

    Raises
    ------
    QuotaError
        It is missing or no folder.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise QuotaError(f"{folder} can't be opened: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def mount_of(descriptor: int) -> Mount:
    """Tell what an open folder lies on.

    Notes
    -----
    By the mount's number: device numbers are of no use with btrfs, where each subvolume has one of its own.

    Raises
    ------
    QuotaError
        The kernel does not tell.
    """
    try:
        said = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
        number = next(line.split()[1] for line in said.splitlines() if line.startswith("mnt_id:"))
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, StopIteration) as error:
        raise QuotaError("/proc does not tell what the homes lie on.") from error
    for line in lines.splitlines():
        if line.split(" ", 1)[0] == number:
            return read_mount(line)
    raise QuotaError("/proc does not tell what the homes lie on.")


def read_mount(line: str) -> Mount:
    """Read a line of ``/proc/self/mountinfo``, in which blanks and the like stand as octal numbers."""
    before, _, after = line.partition(" - ")
    kind, source = after.split(" ")[:2]
    return Mount(kind, _plain(source), _plain(before.split(" ")[4]))


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


@cache
def kernel_has(option: str, places: tuple[Path, ...] | None = None) -> bool | None:
    """Tell whether this kernel was built with an option such as ``CONFIG_QFMT_V2``; None where it does not say."""
    for place in places or (Path("/proc/config.gz"), Path(f"/boot/config-{os.uname().release}")):
        try:
            content = place.read_bytes()
            text = gzip.decompress(content) if place.suffix == ".gz" else content
        except (OSError, EOFError):
            continue
        return any(line.startswith(f"{option}=".encode()) for line in text.splitlines())
    return None
