"""From values to colour numbers: thresholds between colours, and the palette."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xcube_cubehub.fast.kernels import BUCKET_BITS
from xcube_cubehub.fast.png import Palette
from xcube_cubehub.index import Style


@dataclass(frozen=True)
class Scale:
    """Where colours begin.

    Attributes
    ----------
    thresholds : ndarray of float64, ascending, one less than there are colours
        At ``thresholds[n]`` begins colour ``n + 1``; below the first is colour 0.
    first, factor : float
        ``(value - first) * factor`` guesses the colour of a linear scale.
    table : ndarray of uint8
        Guesses it on a logarithmic one, by the upper bits of a float32; empty on a linear one.
    """

    thresholds: npt.NDArray[np.float64]
    first: float
    factor: float
    table: npt.NDArray[np.uint8]


@lru_cache(maxsize=64)
def scale_of(style: Style, colours: int) -> Scale:
    """A linear or logarithmic scale; what lies beyond its ends has the colour of the end.

    Notes
    -----
    As matplotlib does with ``Normalize(clip=True)`` and ``LogNorm(clip=True)`` and a colour map: ends in the wrong order
    are exchanged, and one that is the same as the other is moved by 1, as xcube does.
    """
    low, high = sorted((style.low, style.high))
    if math.isclose(low, high):
        high = low + 1
    steps = np.arange(1, max(colours, 2)) / max(colours, 2)
    if style.scale == "log":
        thresholds = np.exp(math.log(low) + steps * (math.log(high) - math.log(low)))
        # Above 2**31 - 2**23 are what is not a number; nobody looks these up
        buckets = (np.arange(2**31 >> BUCKET_BITS, dtype=np.int32) << BUCKET_BITS).view(np.float32)
        with np.errstate(invalid="ignore"):
            guesses = np.searchsorted(thresholds, buckets, "right").astype(np.uint8)
        return Scale(thresholds, low, 0.0, guesses)
    return Scale(low + steps * (high - low), low, colours / (high - low), np.empty(0, np.uint8))


class Palettes:
    """Colour maps by name, as the server wrote them into a file.

    Parameters
    ----------
    path : path
        Written by `write`.
    """

    def __init__(self, path: Path) -> None:
        self._stamp = _stamp(path)
        with np.load(path, allow_pickle=False) as found:
            self._rgba = {name: found[name] for name in found.files}
        self._made: dict[str, Palette] = {}

    def is_of(self, path: Path) -> bool:
        """Whether they are those of a file as it is now."""
        return self._stamp == _stamp(path)

    def get(self, name: str) -> Palette | None:
        """The palette of a colour map; None if there is none of that name."""
        made = self._made.get(name)
        if made is None and name in self._rgba:
            made = self._made[name] = Palette(self._rgba[name])
        return made

    @staticmethod
    def write(path: Path, palettes: dict[str, npt.NDArray[np.uint8]]) -> None:
        """Keep colour maps, each shape (n, 4), n at most 256."""
        new = path.with_name(f".{path.name}.new")
        with new.open("wb") as file:
            np.savez(file, **palettes)  # type: ignore[arg-type]
        new.replace(path)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino
