"""Counts of all processes, in memory that they share."""

import mmap
import struct
from dataclasses import dataclass

NAMES = (
    "requests",
    "passed_on",
    "tiles",
    "prepared",
    "unchanged",
    "series",
    "statistics",
    "legends",
    "objects",
)
HELP = {
    "requests": "Requests received",
    "passed_on": "Requests handed on to xcube",
    "tiles": "Map tiles sent",
    "prepared": "Map tiles sent that had been made beforehand",
    "unchanged": "Requests for images answered with 304",
    "series": "Time series sent",
    "statistics": "Statistics of a point or an area sent",
    "legends": "Legends sent that xcube had drawn before, or drew for it",
    "objects": "Files of cubes sent, whole or in part",
}
_PLACES = {name: place for place, name in enumerate(NAMES)}
_COUNT = struct.Struct("=Q")


@dataclass(frozen=True)
class Shared:
    """Memory for the counts of some processes; made before they are forked."""

    memory: mmap.mmap
    processes: int

    @classmethod
    def create(cls, processes: int) -> "Shared":
        """Room for so many."""
        return cls(mmap.mmap(-1, processes * len(NAMES) * _COUNT.size), processes)


class Metrics:
    """The counts of one process: an attribute for each of `NAMES`.

    Parameters
    ----------
    shared : Shared
        Memory of all.
    number : int
        Which one this is. One that is started in place of another goes on counting where that stopped.
    """

    _shared: Shared
    _own: "memoryview[int]"

    def __init__(self, shared: Shared, number: int) -> None:
        begin = number * len(NAMES) * _COUNT.size
        own = memoryview(shared.memory)[begin : begin + len(NAMES) * _COUNT.size].cast("Q")
        self.__dict__.update(_shared=shared, _own=own)

    def __getattr__(self, name: str) -> int:
        return self._own[_PLACES[name]]

    def __setattr__(self, name: str, value: int) -> None:
        self._own[_PLACES[name]] = value

    def text(self) -> bytes:
        """Sums of all processes, as Prometheus reads them."""
        lines = []
        for place, name in enumerate(NAMES):
            total = sum(
                _COUNT.unpack_from(self._shared.memory, (n * len(NAMES) + place) * _COUNT.size)[0]
                for n in range(self._shared.processes)
            )
            full = f"cubehub_cubes_{name}_total"
            lines += [f"# HELP {full} {HELP[name]}.", f"# TYPE {full} counter", f"{full} {total}"]
        return ("\n".join(lines) + "\n").encode()
