"""One pass over all homes by several processes: how much is where, and when it was last used."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import beneath, standing
from cubehub.storage.tally import HomeTally, linked_bytes
from cubehub.storage.walking import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from multiprocessing.connection import Connection
    from pathlib import Path

    from cubehub.storage.standing import Before, Row

_LOOK_EACH_S = 0.1


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
        Those that were walked through, by the name of the folder.
    linked : dict of bytes to int
        Bytes of files with several names, to be counted to the home beside its own.
    marks : dict of bytes to str
        By name, what tells at the next scan whether a home stood still since; only of homes that can tell it.
    before : Before or None
        The earlier scan whose rows of the homes in ``unchanged`` hold for this one as well.
    """

    root: Path
    started: float
    ended: float
    homes: dict[bytes, HomeTally] = field(default_factory=dict)
    linked: dict[bytes, int] = field(default_factory=dict)
    marks: dict[bytes, str] = field(default_factory=dict)
    before: Before | None = None
    unchanged: dict[bytes, Row] = field(default_factory=dict)

    def bytes_of(self, home: bytes) -> int:
        """All bytes of a home on the disk."""
        if home in self.unchanged:
            return self.unchanged[home].bytes
        return self.homes[home].own.bytes + self.linked[home]

    @property
    def count(self) -> int:
        """Homes."""
        return len(self.homes) + len(self.unchanged)

    @property
    def files(self) -> int:
        """Files in all homes."""
        walked = sum(tally.own.files for tally in self.homes.values())
        return walked + sum(row.files for row in self.unchanged.values())

    @property
    def bytes(self) -> int:
        """Bytes of all homes on the disk."""
        return sum(self.bytes_of(home) for home in (*self.homes, *self.unchanged))


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
    before: Before | None = None,
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
    before : Before or None
        An earlier scan of this folder: homes that stood still since are not walked through.
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
    judged_by = standing.rules(scratch)
    stands = standing.stands(root, names, judged_by)
    earlier = before.homes if before else {}
    unchanged = {
        n: earlier[n] for n in names if n in stands and n in earlier and earlier[n].mark == stands[n].mark
    }
    names = [name for name in names if name not in unchanged]
    tallies = [HomeTally() for _ in names]
    progress(Progress(0, len(unchanged)))
    if names:
        found = _walked(
            root, names, processes, iops, scratch, lambda at: progress(Progress(at.names, at.homes + len(unchanged)))
        )  # fmt: skip
        for part in found:
            for number, tally in part.items():
                tallies[number].add(tally)
    linked = linked_bytes(tallies)
    walked = dict(zip(names, tallies, strict=True))
    after = standing.stands(root, [name for name in names if name in stands], judged_by)
    marks = {
        name: standing.settled(stands.get(name), after.get(name), tally) for name, tally in walked.items()
    }
    return Scan(
        root, started, time.time(), walked, dict(zip(names, linked, strict=True)), marks, before, unchanged
    )  # fmt: skip


def _walked(
    root: Path,
    names: list[bytes],
    processes: int,
    iops: float,
    scratch: Collection[bytes],
    progress: Callable[[Progress], None],
) -> list[dict[int, HomeTally]]:
    """What each process found, by the number of the home."""
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
        return _gathered(pipes, workers, shared, queue, progress)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


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
    pause = _LOOK_EACH_S / 20  # a few homes are done at once
    while shared.left.value:
        _watch(workers)
        progress(Progress(sum(shared.names), shared.begun.value))
        time.sleep(pause)
        pause = min(1.5 * pause, _LOOK_EACH_S)
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
