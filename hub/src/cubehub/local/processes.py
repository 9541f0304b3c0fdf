"""Processes of one data folder: how they are marked, found and ended."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

PART_MARK = "CUBEHUB_RUN"
"""Environment variable that every part of a running CubeHub carries; its value is the data folder's id."""
SERVER_MARK = "CUBEHUB_SERVER_OF"
"""The same for people's servers, which outlive a part that crashed."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send a signal to this process when its parent ends (run between fork and exec).

    References
    ----------
    prctl(2), PR_SET_PDEATHSIG.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, number)


def marked(mark: str, run_id: str) -> list[psutil.Process]:
    """Processes whose environment carries the mark of this data folder."""
    found = []
    for process in psutil.process_iter():
        # a process may end, or be another user's, while it is looked at
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(mark) == run_id:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, patience_s: float = 10) -> list[int]:
    """Ask processes to stop, then make them; gives the process ids that were ended."""
    asked = []
    for process in processes:
        # one that has ended, or is another user's, is the caller's to find again
        with contextlib.suppress(psutil.Error):
            process.terminate()
            asked.append(process)
    _, stubborn = psutil.wait_procs(asked, timeout=patience_s)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)
    return [process.pid for process in asked]


def signal_marked(mark: str, run_id: str, number: signal.Signals, *, patience_s: float = 5) -> bool:
    """Signal all marked processes and wait until none is left; False if some stay.

    Notes
    -----
    Unlike `end` it never reaps: these may be our own children, and the thread that waits for one must
    learn that it was killed. With the status taken away, Python would tell it 0, that is, success.
    """
    for process in marked(mark, run_id):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    ends = time.monotonic() + patience_s
    while marked(mark, run_id):
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def this_process() -> dict[str, float]:
    """Name this process so that `same_process` finds it, and nothing that has its id later."""
    me = psutil.Process()
    return {"pid": me.pid, "created": me.create_time()}


def same_process(pid: int, created: float) -> psutil.Process | None:
    """Give the process with this id, unless it has ended or the id has been reused since."""
    try:
        process = psutil.Process(pid)
        # where nobody collects orphans, as in many containers, an ended process stays in the table
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if abs(process.create_time() - created) < 1 else None
    except psutil.Error:
        return None


def tree_memory(pid: int, *, without: frozenset[int] | set[int] = frozenset(), alone: bool = False) -> int:
    """Memory of a process and all below it; bytes, pages shared with others counted in parts (PSS).

    Parameters
    ----------
    without
        Process ids that do not count.
    alone
        Count the process itself only.
    """
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root] if alone else [root, *root.children(recursive=True)]
    except (psutil.Error, ValueError):
        return 0
    for process in family:
        if process.pid in without:
            continue
        # another user's process shows its resident memory at best
        with contextlib.suppress(psutil.Error, OSError):
            try:
                total += process.memory_full_info().pss
            except psutil.AccessDenied:
                total += process.memory_info().rss
    return total


def cluster_processes(gateway: int) -> set[int]:
    """Ids of the schedulers and workers that Dask Gateway runs, and of all below them."""
    found = set()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(gateway).children():
            with contextlib.suppress(psutil.Error):
                if not child.name().startswith(
                    "dask-gateway-pr"
                ):  # its own; names may be cut after 15 characters
                    found |= {child.pid, *(one.pid for one in child.children(recursive=True))}
    return found
