"""Walking through one home, or a part of it: what is in each folder, by descriptors and through no link."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from cubehub.storage import beneath
from cubehub.storage.kinds import KEEP, SCRATCH, begins, kind_of
from cubehub.storage.tally import FOLDER_DEPTH, LARGE_BYTES, LATEST, MOST_KEPT, HomeTally, Share

_BATCH = 64
"""Names after which the budget is looked at and work is offered to processes that have none."""
_MOST_OPEN = 512
"""Folders that one process holds open: of one more, what is in it is left to be opened by its path."""
_LONGEST_PATH = 3000
"""Bytes of a path that is told and may be handed on; the kernel opens 4,096 at once."""
_NAMES = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
"""How Python makes text of names: any bytes, and back."""
_WHY = {
    errno.EACCES: "not allowed", errno.EPERM: "not allowed", errno.EXDEV: "another file system is mounted there",
    errno.ELOOP: "replaced by a link meanwhile", errno.ENOTDIR: "replaced by a file meanwhile", errno.EIO: "the disk cannot read it",
    errno.EMFILE: "nested too deep and too wide",
}  # fmt: skip


@dataclass(frozen=True)
class _Where:
    """What a folder belongs to: the kind and the unit (`kinds.begins`), None for what people made."""

    kind: str | None = None
    unit: bytes | None = None

    def below(self, path: bytes, scratch: frozenset[bytes]) -> _Where:
        """The same of a folder in it, whose path from the home that is."""
        kind = kind_of(path, path.rpartition(b"/")[2], self.kind, scratch)
        return _Where(kind, path if begins(path, kind, self.kind, scratch) else self.unit if kind else None)


@dataclass
class _Frame:
    """A folder that is open, and those in it that are still to be looked at."""

    folder: int
    path: bytes
    where: _Where
    below: list[bytes]


class Worker:
    """Looks at homes, or parts of them.

    Parameters
    ----------
    root : int
        Descriptor of the folder of the homes.
    """

    def __init__(
        self,
        root: int,
        names: list[bytes],
        number: int,
        rate: float,
        queue: Any,
        shared: Any,
        scratch: frozenset[bytes] = frozenset(),
    ) -> None:
        self._scratch = scratch
        self._root, self._names, self._number = root, names, number
        self._queue, self._shared = queue, shared
        self._idle = shared.idle.get_obj()  # read for each folder: without its lock
        self._rate, self._began, self._done = rate, time.monotonic(), 0
        self.tallies: dict[int, HomeTally] = {}

    def do(self, home: int, path: bytes) -> None:
        """Count a home, or a folder in it with all that is below."""
        tally = self.tallies.setdefault(home, HomeTally())
        if not path:
            with self._shared.begun.get_lock():
                self._shared.begun.value += 1
        frames: list[_Frame] = []
        try:
            # Not by the way that is closed to mounts: a home may be one itself
            top = os.open(self._names[home], beneath.FOLDER, dir_fd=self._root)
        except OSError as error:
            tally.count_unread(b"", _why(error.errno))
            return
        device = os.fstat(top).st_dev
        tally.mixed |= 0 < tally.device != device
        tally.device = device
        try:
            self._enter(tally, frames, top, path, _on_the_way(path, self._scratch))
            while frames:
                frame = frames[-1]
                if not frame.below:
                    os.close(frames.pop().folder)
                    continue
                self._share(home, frames)
                name = frame.below.pop()
                way = frame.path + b"/" + name if frame.path else name
                where = frame.where.below(way, self._scratch)
                if len(way) > _LONGEST_PATH:
                    # what is deeper is told as there: somebody can nest folders until their paths fill the memory
                    way, where = way[: _LONGEST_PATH + 1], frame.where
                if not frame.below:
                    # Its last one: a chain of folders, however long, takes one descriptor
                    frames.pop()
                    self._enter(tally, frames, frame.folder, way, where, name)
                    os.close(frame.folder)
                elif len(frames) >= _MOST_OPEN:
                    tally.count_unread(way, _WHY[errno.EMFILE])
                else:
                    self._enter(tally, frames, frame.folder, way, where, name)
        finally:
            for frame in frames:
                os.close(frame.folder)
            os.close(top)

    def _enter(
        self, tally: HomeTally, frames: list[_Frame], at: int, path: bytes, where: _Where, name: bytes | None = None
    ) -> None:  # fmt: skip
        """Open a folder, count what is in it, and leave the folders in it to be looked at."""
        try:
            folder = beneath.open_folder(at, name or path or b".")
        except OSError as error:
            if error.errno != errno.ENOENT:  # one that was deleted meanwhile is not missed
                tally.count_unread(path, _why(error.errno))
            return
        try:
            below = self._count(tally, folder, path, where)
        except OSError as error:
            tally.count_unread(path, _why(error.errno))
            below = []
        if below:
            frames.append(_Frame(folder, path, where, below))
        else:
            os.close(folder)

    def _count(  # noqa: C901 - for each file, and a call costs more
        self, tally: HomeTally, folder: int, path: bytes, where: _Where
    ) -> list[bytes]:
        """Count what is in a folder itself; the folders in it."""
        answer = ctypes.create_string_buffer(beneath.STATX_BYTES)
        at, flags, mask = ctypes.c_int(folder), beneath.STATX_FLAGS, beneath.STATX_MASK
        statx, unpack = beneath.statx, beneath.STATX_FIELDS.unpack_from
        below: list[bytes] = []
        linked = tally.linked
        (encoding, errors), keep, large, batch = _NAMES, KEEP, LARGE_BYTES // 512, _BATCH
        # in a folder for scratch, each file is a unit of its own
        singly = where.kind == SCRATCH and path in self._scratch
        blocks_in = files = newest = seen = linked_here = 0
        # By the descriptor itself: opened anew by /proc, it would be read without O_NOATIME, and the home be changed by it
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.encode(encoding, errors)
                seen += 1
                if not seen % batch:
                    self._pace(batch)
                if statx(at, name, flags, mask, answer):
                    _missed(tally, path, name)
                    continue
                links, mode, inode, _, blocks, read, written = unpack(answer)
                if mode >> 12 == 4:
                    below.append(name)
                    continue
                files += 1
                if name == keep and len(tally.kept) < MOST_KEPT:
                    tally.kept.append(path)
                if links > 1:
                    linked.extend((inode, blocks * 512, links))
                    linked_here += blocks * 512
                else:
                    blocks_in += blocks
                if mode >> 12 != 8:
                    continue
                used = read if read > written else written  # noqa: FURB136 - for each file, and a call costs more
                if used > newest:  # noqa: PLR1730 - as above
                    newest = used
                if singly or blocks >= large:
                    way = path + b"/" + name if path else name
                    _tell_alone(tally, way, answer, singly=singly)
        self._pace(seen % _BATCH + 2)
        own = beneath.look(folder, b".")
        if not path:
            tally.inode = own.inode
        tally.mixed |= own.device != tally.device
        place = b"/".join(path.split(b"/", FOLDER_DEPTH)[:FOLDER_DEPTH]) if path else b""
        # people set the times of their files to anything
        share = Share((blocks_in + own.blocks) * 512, files, min(newest, LATEST))
        tally.count(place, where.kind, share)
        if where.unit is not None and where.kind is not None:
            share = Share(share.bytes + linked_here, files, share.newest)
            tally.count_unit(where.unit, where.kind, own.inode if where.unit == path else 0, share)
        return below

    def _pace(self, names: int) -> None:
        """Tell how far this process is, and wait where it is ahead of its budget."""
        self._done += names
        self._shared.names[self._number] = self._done
        if self._rate:
            ahead = self._done / self._rate - (time.monotonic() - self._began)
            if ahead > 0.01:
                time.sleep(ahead)

    def _share(self, home: int, frames: list[_Frame]) -> None:
        """Hand a folder on to a process that has nothing to do: the one nearest to the home, which has the most below it."""
        if not self._idle.value or not self._shared.complete.is_set() or not self._queue.empty():
            return
        for frame in frames:
            if len(frame.below) > 1 or (frame.below and frame is not frames[-1]):
                way = frame.path + b"/" + frame.below[0] if frame.path else frame.below[0]
                if len(way) > _LONGEST_PATH:
                    return
                del frame.below[0]
                with self._shared.left.get_lock():
                    self._shared.left.value += 1
                self._queue.put((home, way))
                return


def _missed(tally: HomeTally, path: bytes, name: bytes) -> None:
    """Remember what could not be looked at; one that was deleted meanwhile is not missed."""
    if (number := ctypes.get_errno()) != errno.ENOENT:
        tally.count_unread(path + b"/" + name if path else name, _why(number))


def _tell_alone(tally: HomeTally, path: bytes, answer: Any, *, singly: bool) -> None:
    """Remember a file by name: a large one, or one that is a unit of its own."""
    links, _, inode, size, blocks, read, written = beneath.STATX_FIELDS.unpack_from(answer)
    used = min(max(read, written), LATEST)
    if blocks * 512 >= LARGE_BYTES and size:
        tally.count_large(blocks * 512, used, path, inode)
    if singly and links == 1:
        tally.count_unit(path, SCRATCH, inode, Share(blocks * 512, 1, used))


def _on_the_way(path: bytes, scratch: frozenset[bytes]) -> _Where:
    """What a folder belongs to, by all that it is in."""
    where, way = _Where(), b""
    for name in path.split(b"/") if path else ():
        way = way + b"/" + name if way else name
        where = where.below(way, scratch)
    return where


def _why(number: int | None) -> str:
    return _WHY.get(number or 0) or os.strerror(number or 0)
