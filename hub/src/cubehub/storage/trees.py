"""Whole folders: looked through, removed and renamed, by descriptors."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.storage import beneath
from cubehub.storage.kinds import KEEP

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOREPLACE = 1
_DEEPEST = 200
"""Folders in one another of which the keeper holds all open while it removes them; deeper ones are brought up first."""

MOST_LOOKED_AT, MOST_REMOVED = 20_000_000, 5_000_000
"""Names after which the keeper stops: somebody may put new ones in as fast as it goes, and others wait for it."""

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = _libc.renameat2


def move(at: int, name: bytes, to: int, new: bytes) -> None:
    """Rename, and never over something that is there.

    Raises
    ------
    FileExistsError
        There is something.
    OSError
        It cannot be done; nothing was changed.
    """
    if _renameat2(at, name, to, new, _NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def settle(folder: int) -> None:
    """Bring all that was done on the file system of an open folder to its disk.

    Raises
    ------
    OSError
        The disk fails.
    """
    if _libc.syncfs(folder):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def folder_in(at: int, path: bytes) -> Iterator[int]:
    """A folder below an open one, for as long as it is needed; the open one itself if the path is empty."""
    opened = beneath.open_folder(at, path or b".")
    try:
        yield opened
    finally:
        os.close(opened)


@dataclass
class Inside:
    """What is in a folder and below."""

    bytes: int = 0
    files: int = 0
    newest: int = 0
    unread: int = 0
    names: int = 0
    kept: bool = False
    """Whether a file in it says that something of it is to stay."""

    def __post_init__(self) -> None:
        self.inodes: set[tuple[int, int]] = set()
        """Device and inode of all of it."""
        self.owners: set[int] = set()
        """User ids of all of it."""


def look_through(folder: int) -> Inside:
    """Look at all that is below an open folder, as a scan does; one that is nested too deep and wide counts as unread."""
    found = Inside()
    frames = [(top := os.dup(folder), _look_in(found, top))]
    try:
        while frames:
            at, below = frames[-1]
            if not below:
                os.close(frames.pop()[0])
                continue
            name = below.pop()
            if found.names > MOST_LOOKED_AT:
                found.unread += 1
                break
            if len(frames) >= 2 * _DEEPEST:
                found.unread += 1
                continue
            try:
                inner = beneath.open_folder(at, name)
            except FileNotFoundError:
                continue
            except OSError:
                found.unread += 1
                continue
            if not below:
                # its last one: a chain of folders takes one descriptor, however long
                os.close(frames.pop()[0])
            frames.append((inner, _look_in(found, inner)))
    finally:
        for at, _ in frames:
            os.close(at)
    return found


def _look_in(found: Inside, at: int) -> list[bytes]:
    """Count what is in one folder; the folders in it."""
    below = []
    own = beneath.look(at, b".")
    found.bytes += own.blocks * 512
    found.inodes.add((own.device, own.inode))
    found.owners.add(own.owner)
    with os.scandir(b"/proc/self/fd/%d" % at) as entries:
        for entry in entries:
            found.names += 1
            if found.names > MOST_LOOKED_AT:
                found.unread += 1
                break
            try:
                facts = beneath.look(at, entry.name)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(facts.mode):
                below.append(entry.name)
                continue
            found.files += 1
            found.kept = found.kept or entry.name == KEEP
            found.bytes += facts.blocks * 512
            # each with its own device: a volume of btrfs or a layer below an overlay has another one
            found.inodes.add((facts.device, facts.inode))
            found.owners.add(facts.owner)
            if stat.S_ISREG(facts.mode):
                found.newest = max(found.newest, facts.read, facts.written)
    return below


def remove(at: int, name: bytes, most: int | None = None) -> None:
    """Remove a file, or a folder with all that is in it; through no link, into no other mount.

    Parameters
    ----------
    at : int
        Folder of the keeper's own: what is nested very deep is brought up into it first.
    most : int, optional
        Names to be removed; the rest is left. For what somebody may have open, who could put in more as fast as it goes.

    Raises
    ------
    OSError
        Some of it cannot be removed; what could is gone. EBUSY: there is more than is to be removed at once.
    """
    tops, left = [name], _Left(most)
    while tops:
        # not taken off the list before it is gone: what is brought up comes after it
        _remove(at, tops[-1], tops, left)


class _Left:
    """How many names may still be removed."""

    def __init__(self, most: int | None) -> None:
        self._most = most

    def take(self, name: bytes) -> None:
        """Count one."""
        if self._most is not None:
            if not self._most:
                raise OSError(errno.EBUSY, "there is more in it than is removed at once", name)
            self._most -= 1


def _remove(at: int, name: bytes, tops: list[bytes], left: _Left) -> None:
    """Remove the last of some names; or bring up what is deep below it, as another name to be removed first."""
    if not stat.S_ISDIR(beneath.look(at, name).mode):
        os.unlink(name, dir_fd=at)
        tops.pop()
        return
    # Each folder is opened by the one above it, whose descriptor is kept to take its name away afterwards
    chain: list[tuple[int, bytes]] = [(os.dup(at), name)]
    try:
        while chain:
            parent, current = chain[-1]
            with folder_in(parent, current) as folder:
                inner = _unlinked(folder, left)
                if inner is not None and len(chain) >= _DEEPEST:
                    left.take(inner)
                    up = b"deep-" + secrets.token_hex(8).encode()
                    move(folder, inner, at, up)
                    tops.append(up)
                    return
                if inner is not None:
                    chain.append((os.dup(folder), inner))
                    continue
            left.take(current)
            os.rmdir(current, dir_fd=parent)
            os.close(chain.pop()[0])
    finally:
        for parent, _ in chain:
            os.close(parent)
    tops.pop()


def _unlinked(folder: int, left: _Left) -> bytes | None:
    """Remove the files of a folder until there is a folder among them; its name, or None if there is none."""
    with os.scandir(b"/proc/self/fd/%d" % folder) as entries:
        for entry in entries:
            if stat.S_ISDIR(beneath.look(folder, entry.name).mode):
                return entry.name
            left.take(entry.name)
            os.unlink(entry.name, dir_fd=folder)
    return None
