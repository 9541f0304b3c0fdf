"""Signs of life of the server's processes, in memory that all of them share: one that hangs is told from one that works."""

import mmap
import os
import struct
import time
from typing import Self

SUPERVISOR, PUBLISHING, FIRST_WORKER = 0, 1, 2
"""Places; those of the processes in front follow one another."""
BEAT_S = 1.0
"""How often a process gives a sign."""
HUNG_S = 60.0
"""A process that has given none for so long is ended and started again."""
UNATTENDED_S = 15.0
"""A supervisor that has given none for so long does not start anything again: the server is not healthy."""
_ROW = struct.Struct("=QQ")
"""When the last sign came, in nanoseconds of the monotonic clock, and how many connections are open."""


class Beats:
    """Signs of life, and how many connections each process in front has.

    Parameters
    ----------
    file : int
        Descriptor of the memory, which programs that are started inherit.
    """

    def __init__(self, file: int) -> None:
        self.file = file
        self._memory = mmap.mmap(file, os.fstat(file).st_size)
        self._workers = len(self._memory) // _ROW.size - FIRST_WORKER

    @classmethod
    def create(cls, workers: int) -> Self:
        """Memory for so many processes in front; all count as alive now."""
        file = os.memfd_create("cubehub-beats")
        os.ftruncate(file, (FIRST_WORKER + workers) * _ROW.size)
        made = cls(file)
        for place in range(FIRST_WORKER + workers):
            made.beat(place)
        return made

    def beat(self, place: int, connections: int = 0) -> None:
        """Give a sign; it says how many connections are open, too."""
        _ROW.pack_into(self._memory, place * _ROW.size, time.monotonic_ns(), connections)

    def silent_s(self, place: int, since: float = 0.0) -> float:
        """Seconds without a sign; not counted is what was before ``since``, in seconds of the monotonic clock."""
        last, _ = _ROW.unpack_from(self._memory, place * _ROW.size)
        return time.monotonic() - max(float(last) / 1e9, since)

    def fewest(self, but: int) -> int | None:
        """The fewest connections that another process in front has; None where there is no other that works."""
        found = None
        for place in range(FIRST_WORKER, FIRST_WORKER + self._workers):
            last, connections = _ROW.unpack_from(self._memory, place * _ROW.size)
            works = time.monotonic_ns() - last < 3e9 * BEAT_S
            if place != but and works and (found is None or connections < found):
                found = int(connections)
        return found
