"""What is checked before anything is fetched or started."""

from __future__ import annotations

import os
import platform as system
import shutil
import sys
from typing import TYPE_CHECKING

import psutil

from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3
MEMORY_NEEDED = int(2.5 * GIB)
"""What the whole platform takes when idle, with nobody's server; see docs/reference/benchmarks.md."""
DISK_NEEDED_FIRST = 7 * GIB
"""Packages (cache and environments), Keycloak, cubes; the first start needs it once."""
DISK_NEEDED_LATER = GIB // 2


def check_system() -> None:
    """Refuse a system CubeHub does not run on.

    Raises
    ------
    BadInputError
        Not Linux, or a Python older than 3.11.
    """
    if system.system() != "Linux":
        raise BadInputError(
            f"CubeHub runs on Linux; this is {system.system()}.",
            "Use a Linux machine or virtual machine (on Windows: WSL 2).",
            code="unsupported_system",
        )
    if sys.version_info < (3, 11):  # noqa: UP036 - a wheel can be forced onto an older Python
        raise BadInputError("CubeHub needs Python 3.11 or newer.", "uv can fetch one: uv run --python 3.12 …")


def check_room(data: Path, *, first: bool) -> None:
    """Refuse to begin where memory or disk would run out half way.

    Raises
    ------
    CubeHubError
        Names what is there, what is needed and where.
    BadInputError
        The folder cannot be looked at.
    """
    memory = psutil.virtual_memory().available
    if memory < MEMORY_NEEDED:
        raise CubeHubError(
            f"{memory / GIB:.1f} GiB of memory is free; CubeHub needs {MEMORY_NEEDED / GIB:.1f} GiB before the first server starts.",
            "Close other programs, or use a larger machine.",
            code="too_little_memory",
        )
    folder = data
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        disk = shutil.disk_usage(folder).free
    except OSError as error:
        raise BadInputError(
            f"Cannot use {data} as data folder: {folder}: {error.strerror}.",
            "Name a folder you can write to with --data.",
            code="data_folder_unusable",
        ) from error
    needed = DISK_NEEDED_FIRST if first else DISK_NEEDED_LATER
    if disk < needed:
        raise CubeHubError(
            f"{disk / GIB:.1f} GiB of disk is free at {folder}; {'the first start' if first else 'CubeHub'} needs {needed / GIB:.1f} GiB.",
            "Free some, or name a folder on a larger disk with --data.",
            code="too_little_disk",
        )
