"""Who may change what: one keeper has its turn at a time, and beside it somebody may work on a single move for long.

Notes
-----
Archives of large things take hours. Whoever writes or unpacks one claims the move while it is their turn, lets others have
theirs meanwhile, and waits for a turn again before it is written down what came of it. Claims are only ever taken by
whoever has the turn, and nobody does anything to a home of which something is claimed: so whoever has the turn and finds no
claim can rely on it until the turn is over. Both are locks, which end with the process.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK, CLAIMS = "keeper.lock", "claims.lock"
_LAST = 2**62
_FLOCK = "hhqqi0q"
"""`struct flock` of Linux on 64 bits: type, whence, start, length, and no process."""
_LOOK_EACH_S = 0.1


class Turn:
    """The right to change what the record says, and claims on moves.

    Parameters
    ----------
    folder : path
        The keeper's.

    Raises
    ------
    CubeHubError
        Another keeper has its turn.
    OSError
        The locks cannot be opened.

    Notes
    -----
    A claim is the lock of one byte of a file: that at the move's number. Such locks belong to the open file and not to the
    process (`F_OFD_SETLK`), so that threads of one process see each other's.
    """

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock = os.open(folder / LOCK, flags, 0o600)
        try:
            self._claims = os.open(folder / CLAIMS, flags, 0o600)
        except OSError:
            os.close(self._lock)
            raise
        self.is_ours = False
        try:
            self._take(wait=False)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the turn and all claims."""
        self.is_ours = False
        os.close(self._lock)
        os.close(self._claims)

    def _take(self, *, wait: bool) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise CubeHubError(
                "Another command is cleaning up just now.",
                "Wait until it is done, then try again.",
                code="busy",
            ) from error
        self.is_ours = True

    def _leave(self) -> None:
        self.is_ours = False
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextmanager
    def beside(self, move: int) -> Iterator[None]:
        """Work on a move alone while others have their turns; afterwards it is one's own turn again.

        Notes
        -----
        What ends the process, such as Ctrl+C, does not wait: then the turn is over, and what was under way is brought in
        order by the next keeper.
        """
        self._set(fcntl.F_WRLCK, move)
        try:
            self._leave()
            try:
                yield
            except Exception:
                self._take(wait=True)
                raise
            self._take(wait=True)
        finally:
            self._set(fcntl.F_UNLCK, move)

    def wait(self, until: Callable[[], bool], patience_s: float) -> bool:
        """Let others have their turns until something is so; whether it was in time. It is one's own turn again after it.

        Raises
        ------
        CubeHubError
            Somebody else's turn takes too long.
        """
        end = time.monotonic() + patience_s
        self._leave()
        while not (done := until()) and time.monotonic() < end:
            time.sleep(_LOOK_EACH_S)
        while True:
            try:
                self._take(wait=False)
            except CubeHubError:
                if time.monotonic() > end:
                    raise
                time.sleep(_LOOK_EACH_S)
            else:
                return done

    def _set(self, kind: int, move: int) -> None:
        fcntl.fcntl(self._claims, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, move, 1, 0))

    def claimed(self) -> set[int]:
        """Moves that others work on beside."""
        found: set[int] = set()
        ranges = [(0, _LAST)]
        while ranges:
            begin, end = ranges.pop()
            if begin >= end:
                continue
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, begin, end - begin, 0)
            told = fcntl.fcntl(self._claims, fcntl.F_OFD_GETLK, asked)
            kind, _, move, _, _ = struct.unpack(_FLOCK, told)
            if kind != fcntl.F_UNLCK:
                found.add(move)
                ranges += [(begin, move), (move + 1, end)]
        return found
