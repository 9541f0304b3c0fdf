"""Bytes kept on a disk under names, by several processes, within a limit."""

import os
import time
from pathlib import Path

from xcube_cubehub.shards import write_whole

TOUCH_S = 600
"""How old the note of a last use may be before it is made anew."""
ROOM = 0.9
"""How full the folder is after what was used least has been taken away."""


class Disk:
    """A folder of parts.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name[:2]}/{name}"

    def read(self, name: str) -> bytes | None:
        """What is kept under a name; None if nothing is."""
        try:
            file = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            facts = os.fstat(file)
            if time.time() - facts.st_mtime > TOUCH_S:
                os.utime(file)
            return os.pread(file, facts.st_size, 0)
        except OSError:
            return None
        finally:
            os.close(file)

    def write(self, name: str, data: bytes) -> None:
        """Keep bytes; a disk that is full or cannot be written keeps none, and nothing else comes of that."""
        try:
            write_whole(Path(self._path(name)), data)
        except OSError:
            return

    def remove(self, name: str) -> None:
        """Keep it no longer."""
        try:
            os.unlink(self._path(name))  # noqa: PTH108 - a name, not a Path
        except OSError:
            return

    def shrink(self, limit: int) -> int:
        """Take away what was used least until less than ``limit`` bytes are left; how many bytes are left."""
        found = []
        for folder in os.scandir(self._folder) if self._folder.is_dir() else ():
            if not folder.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(folder.path):
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                found.append((facts.st_mtime, facts.st_blocks * 512, entry.path))
        total = sum(size for _, size, _ in found)
        if total <= limit:
            return total
        for _, size, path in sorted(found):
            if total <= ROOM * limit:
                break
            Path(path).unlink(missing_ok=True)
            total -= size
        return total
