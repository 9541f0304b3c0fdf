"""Whether an archive is what was written, and what it was made from still what it was."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.storage import beneath
from cubehub.storage.archive import manifest
from cubehub.storage.archive.chain import Chain, open_deep
from cubehub.storage.archive.errors import ChangedError, DamagedError
from cubehub.storage.archive.reading import CHUNK, HINT, Archive
from cubehub.storage.names import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.archive.manifest import Member, Seal, Source

_TYPES = {
    manifest.FILE: stat.S_IFREG, manifest.HARD_LINK: stat.S_IFREG, manifest.FOLDER: stat.S_IFDIR,
    manifest.LINK: stat.S_IFLNK, manifest.FIFO: stat.S_IFIFO, manifest.CHARACTERS: stat.S_IFCHR,
    manifest.BLOCKS: stat.S_IFBLK, manifest.SOCKET: stat.S_IFSOCK,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read back."""

    members: int
    """Lines of the manifest, sockets included."""
    content: int
    """Bytes of all files, without holes."""


def verify(
    source: Source, listing: Source, seal: Seal, *, progress: Callable[[int, int], None] = lambda _members, _bytes: None
) -> Verified:  # fmt: skip
    """Read an archive from where it is kept, from its first to its last byte.

    Parameters
    ----------
    source, listing : Source
        The archive and its manifest, opened where they are kept.
    seal : Seal
        As `pack` gave it.
    progress : callable
        Told members and bytes so far.

    Raises
    ------
    DamagedError
        It names the first difference between the archive, its manifest and the seal.
    """
    members = content = 0
    with manifest.checked(listing, seal.manifest) as kept:
        archive = Archive(source, kept)
        for _, _, data in archive.members():
            members += 1
            if data is not None:
                data.begin()
                while read := data.read(CHUNK):
                    content += len(read)
                    progress(members, content)
                data.end()
        archive.seal(seal.archive)
    if not members:
        raise DamagedError("The manifest is empty.", HINT)
    return Verified(members, content)


def unchanged(slot: int, name: bytes, listing: Source, seal: Seal, *, unpacked: bool = False) -> None:
    """Look whether a file or folder is still what was archived; to be asked before it is removed.

    Parameters
    ----------
    slot : int
        Descriptor of the folder it is in.
    name : bytes
        As it was given to `pack`.
    listing : Source
        The manifest.
    seal : Seal
        As `pack` gave it.
    unpacked : bool
        Whether it came out of this archive: then its times of last change are younger than the archive, and say nothing.

    Raises
    ------
    ChangedError
        Something was added, removed or changed since. It names the first.
    DamagedError
        It is another manifest.

    Notes
    -----
    Nothing is read but folders: a file counts as unchanged while its size, time of last writing and time of last change
    are the same; the last one cannot be set by anybody.
    """
    lines = 0
    with manifest.checked(listing, seal.manifest) as kept:
        above, at = b"", os.dup(slot)
        try:
            for line in manifest.members(kept):
                lines += 1
                parent, _, last = line.path.rpartition(b"/")
                if parent != above:
                    os.close(at)
                    at = -1
                    at = open_deep(slot, parent)
                    above = parent
                _look(at, last, line, unpacked=unpacked)
        except OSError as error:
            raise _gone(readable(line.path)) from error
        finally:
            if at >= 0:
                os.close(at)
    if (count := _names_in(slot, name)) != lines:
        raise ChangedError(
            f"{readable(name)} has {count:,} names in it; when it was archived it had {lines:,}.", HINT
        )


def _gone(what: str) -> ChangedError:
    return ChangedError(f"{what} changed after it was archived.", "Archive it again before it is purged.")


def _look(at: int, name: bytes, line: Member, *, unpacked: bool) -> None:
    facts = os.stat(name, dir_fd=at, follow_symlinks=False)
    same = (
        stat.S_IFMT(facts.st_mode) == _TYPES.get(line.type)
        and facts.st_mtime_ns == line.mtime_ns
        # the top one's changes when it is renamed, into another quarantine or back
        and (unpacked or facts.st_ctime_ns == line.ctime_ns or b"/" not in line.path)
        and (line.type != manifest.FILE or facts.st_size == line.size)
    )
    if not same:
        raise _gone(readable(line.path))


def _names_in(slot: int, name: bytes) -> int:
    """How many names there are, with the first."""
    if not stat.S_ISDIR(beneath.look(slot, name).mode):
        return 1
    count = 1
    with Chain[list[bytes]]() as chain:
        fd: int | None = beneath.open_folder(slot, name)
        while fd is not None or chain:
            if fd is not None:
                below: list[bytes] = []
                chain.enter(fd, name, below)
                with os.scandir(b"/proc/self/fd/%d" % fd) as entries:
                    for entry in entries:
                        count += 1
                        if entry.is_dir(follow_symlinks=False):
                            below.append(entry.name)
            fd = beneath.open_folder(chain.fd, chain.last.about.pop()) if chain.last.about else None
            if fd is None:
                chain.leave()
    return count
