"""Folders in which somebody could do as they liked."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; nothing happens when it is missing.

    Notes
    -----
    `shutil.rmtree` calls itself for each level, so a folder deep enough (1000 levels) makes it fail; ``rm`` doesn't,
    and follows no link either.

    Raises
    ------
    OSError
        Some of it is still there.
    """
    ended = subprocess.run(
        ["rm", "-rf", "--", folder], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").splitlines()
        raise OSError(said[0][:300] if said else f"{folder} can't be removed")
