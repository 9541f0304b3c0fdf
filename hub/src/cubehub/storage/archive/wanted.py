"""Which members of an archive are to be unpacked."""

from __future__ import annotations

from typing import IO

from cubehub.errors import BadInputError
from cubehub.storage.archive import manifest
from cubehub.storage.archive.errors import DamagedError
from cubehub.storage.names import readable


def is_name(part: bytes) -> bool:
    """Whether it is the name of one file or folder, and leads nowhere else."""
    return part not in {b"", b".", b".."} and b"/" not in part and b"\0" not in part and len(part) <= 255


class Wanted:
    """Which members are to be unpacked: all, or those below a path with the content that their hard links need."""

    def __init__(self, listing: IO[bytes], only: bytes | None) -> None:
        top = next(manifest.members(listing), None)
        if top is None:
            raise DamagedError("The manifest is empty.")
        if not is_name(top.path):
            raise DamagedError(f"{readable(top.path)} is no name of a file.", "Do not use this archive.")
        self.owner = (top.uid, top.gid)
        self.path = top.path if not only else top.path + b"/" + only.strip(b"/")
        self._below = self.path + b"/"
        self.all = not only
        self.last = 0
        """Number of lines up to the last one that is needed."""
        self.contents: dict[bytes, bytes | None] = {}
        """Members outside whose content is needed for hard links inside; where they were put."""
        found = False
        if only and not all(map(is_name, only.strip(b"/").split(b"/"))):
            raise _not_in(only)
        for number, line in enumerate(manifest.members(listing), 1):
            if self.has(line.path):
                found = True
                self.last = number
                if line.type == manifest.HARD_LINK and not self.has(line.to):
                    self.contents[line.to] = None
        if not found:
            raise _not_in(only or b"")

    def has(self, path: bytes) -> bool:
        """Whether a member is wanted."""
        return self.all or path == self.path or path.startswith(self._below)

    def relative(self, path: bytes) -> bytes:
        """Path below the scratch folder: what is above of what is wanted is not made."""
        return path[len(self.path) - len(self.path.rpartition(b"/")[2]) :]


def _not_in(path: bytes) -> BadInputError:
    return BadInputError(
        f"There is no {readable(path)} in the archive.", "Look which paths its manifest has."
    )
