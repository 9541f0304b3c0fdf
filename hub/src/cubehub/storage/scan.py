"""One pass over all homes by several processes: how much is where, and when it was last used."""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import beneath
from cubehub.storage.kinds import KEEP, SCRATCH, begins, kind_of
from cubehub.storage.tally import FOLDER_DEPTH, LARGE_BYTES, LATEST, MOST_KEPT, HomeTally, Share, linked_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from multiprocessing.connection import Connection
    from pathlib import Path

_LOOK_EACH_S = 0.1
_BATCH = 64
"""Names after which the budget is looked at and work is offered to processes that have none."""
_MOST_OPEN = 512
"""Folders that one process holds open: of one more, what is in it is left to be opened by its path."""
_LONGEST_PATH = 3000
"""Bytes of a path that is told and may be handed on; the kernel opens 4,096 at once."""
_WHY = {
    errno.EACCES: "not allowed", errno.EPERM: "not allowed", errno.EXDEV: "another file system is mounted there",
    errno.ELOOP: "replaced by a link meanwhile", errno.ENOTDIR: "replaced by a file meanwhile", errno.EIO: "the disk cannot read it",
    errno.EMFILE: "nested too deep and too wide",
}  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """How far a scan is: names that were looked at, and homes that were begun."""

    names: int
    homes: int


@dataclass
class Scan:
    """What a scan found.

    Attributes
    ----------
    homes : dict of bytes to HomeTally
        By the name of the folder.
    linked : dict of bytes to int
        Bytes of files with several names, to be counted to the home beside its own.
    """

    root: Path
    started: float
    ended: float
    homes: dict[bytes, HomeTally] = field(default_factory=dict)
    linked: dict[bytes, int] = field(default_factory=dict)

    def bytes_of(self, home: bytes) -> int:
        """All bytes of a home on the disk."""
        return self.homes[home].own.bytes + self.linked[home]


def homes_in(root: Path) -> list[bytes]:
    """Names of the homes in their folder; what begins with a point is the platform's own.

    Raises
    ------
    BadInputError
        It cannot be read.
    """
    try:
        with os.scandir(os.fsencode(root)) as entries:
            return sorted(
                e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(b".")
            )
    except OSError as error:
        message = f"The homes in {root} cannot be listed: {error.strerror}."
        raise BadInputError(
            message, "Name their folder with --homes, and run this as who may read it."
        ) from error


def scan(
    root: Path,
    *,
    processes: int = 2,
    iops: float = 0,
    scratch: Collection[bytes] = (),
    progress: Callable[[Progress], None] = lambda _: None,
) -> Scan:
    """Look at all homes once.

    Parameters
    ----------
    root : path
        Folder of the homes.
    processes : int
        That share the work; of one large home, too.
    iops : float
        Names and folders that may be looked at in a second by all of them; 0 for no bound.
    scratch : collection of bytes
        Paths from a home of the folders that are for scratch; what is in them is told one by one.
    progress : callable
        Told now and then how far it is.

    Raises
    ------
    BadInputError
        The folder cannot be read.
    CubeHubError
        A process ended before it was done; nothing is known then.
    """
    names, started = homes_in(root), time.time()
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    shared = _Shared(context, processes, len(names))
    pipes: list[Connection[Any, Any]] = []
    workers = []
    try:
        for number in range(processes):
            receiving, sending = context.Pipe(duplex=False)
            worker = context.Process(
                target=_work, args=(os.fspath(root), names, number, iops / processes, frozenset(scratch), queue, shared, sending), daemon=True,
            )  # fmt: skip
            worker.start()
            sending.close()
            pipes.append(receiving)
            workers.append(worker)
        for number in range(len(names)):
            queue.put((number, b""))
            _watch(workers)
        shared.complete.set()
        found = _gathered(pipes, workers, shared, queue, progress)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    tallies = [HomeTally() for _ in names]
    for part in found:
        for number, tally in part.items():
            tallies[number].add(tally)
    linked = linked_bytes(tallies)
    return Scan(
        root,
        started,
        time.time(),
        dict(zip(names, tallies, strict=True)),
        dict(zip(names, linked, strict=True)),
    )


class _Shared:
    """What the processes tell one another: work that is left, and how far each is."""

    def __init__(self, context: Any, processes: int, homes: int) -> None:
        self.left = context.Value("q", homes)
        """Tasks that are not done; a task that is handed on counts as well."""
        self.idle = context.Value("i", 0)
        self.names = context.Array("Q", processes, lock=False)
        self.begun = context.Value("q", 0)
        self.complete = context.Event()


def _watch(workers: list[Any]) -> None:
    for worker in workers:
        if worker.exitcode not in {None, 0}:
            message = f"A process that looked at homes ended with status {worker.exitcode}."
            raise CubeHubError(
                message, "Look for it in the system's log (was there too little memory?); then scan again."
            )


def _gathered(
    pipes: list[Connection[Any, Any]],
    workers: list[Any],
    shared: _Shared,
    queue: Any,
    progress: Callable[[Progress], None],
) -> list[dict[int, HomeTally]]:
    """What all processes found, once nothing is left to look at."""
    while shared.left.value:
        _watch(workers)
        progress(Progress(sum(shared.names), shared.begun.value))
        time.sleep(_LOOK_EACH_S)
    progress(Progress(sum(shared.names), shared.begun.value))
    for _ in workers:
        queue.put(None)
    found = []
    for pipe in pipes:
        try:
            found.append(pipe.recv())
        except EOFError as error:
            message = "A process that looked at homes ended before it told what it found."
            raise CubeHubError(message, "Look into the system's log; then scan again.") from error
    return found


def _work(
    root: str,
    names: list[bytes],
    number: int,
    rate: float,
    scratch: frozenset[bytes],
    queue: Any,
    shared: _Shared,
    sending: Connection[Any, Any],
) -> None:
    """Take tasks until there are none; then tell what was found."""
    worker = Worker(
        os.open(root, beneath.FOLDER & ~os.O_NOFOLLOW), names, number, rate, queue, shared, scratch
    )
    while True:
        with shared.idle.get_lock():
            shared.idle.value += 1
        task = queue.get()
        with shared.idle.get_lock():
            shared.idle.value -= 1
        if task is None:
            break
        worker.do(*task)
        with shared.left.get_lock():
            shared.left.value -= 1
    sending.send(worker.tallies)
    sending.close()


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
            tally.count_unread(b"", _reason(error))
            return
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
                tally.count_unread(path, _reason(error))
            return
        try:
            below = self._count(tally, folder, path, where)
        except OSError as error:
            tally.count_unread(path, _reason(error))
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
        # in a folder for scratch, each file is a unit of its own
        singly = where.kind == SCRATCH and path in self._scratch
        blocks_in = files = newest = seen = linked_here = 0
        # Listed by the descriptor: by /proc, for then names come as bytes
        with os.scandir(b"/proc/self/fd/%d" % folder) as entries:
            for entry in entries:
                name = entry.name
                seen += 1
                if not seen % _BATCH:
                    self._pace(_BATCH)
                if statx(at, name, flags, mask, answer):
                    continue  # deleted meanwhile
                links, mode, inode, _, blocks, read, written = unpack(answer)
                if mode >> 12 == 4:
                    below.append(name)
                    continue
                files += 1
                if name == KEEP and len(tally.kept) < MOST_KEPT:
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
                if singly or blocks >= LARGE_BYTES // 512:
                    way = path + b"/" + name if path else name
                    _tell_alone(tally, way, answer, singly=singly)
        self._pace(seen % _BATCH + 2)
        own = beneath.look(folder, b".")
        if not path:
            tally.inode = own.inode
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


def _reason(error: OSError) -> str:
    return _WHY.get(error.errno or 0) or str(error.strerror)
