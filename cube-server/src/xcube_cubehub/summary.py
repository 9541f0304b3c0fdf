"""What the values of a variable amount to over all its times: kept step by step, so that an append adds one.

For each time a small file says how many values there are, their least, greatest, mean and squared deviations, and how
many fall into each bucket: floats that share their upper 18 bits, one part in 512 of a value. These add up and can be
taken away again. A file that is missing or damaged is made anew from the pyramid, so they are never needed, only fast.
"""

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xcube_cubehub.index import STATISTICS, Statistics
from xcube_cubehub.shards import write_whole

Field = npt.NDArray[np.float32]
SHIFT = 14
"""Of a float32's bits those that a bucket leaves out."""
BUCKETS = 1 << (32 - SHIFT)
_NEGATIVE = BUCKETS // 2
LOW, HIGH = 0.02, 0.98
"""Shares of the values below the two ends of the default range."""
BINS = 64
_MAGIC = b"CHS1"
_HEAD = struct.Struct("<4sQddddI")
_NO_SPAN = 1e-30
_LEAST_OF_LOG = 1e-3
"""Of the upper end, where the lower one of a logarithmic range would not be above 0."""


@dataclass(frozen=True)
class Summary:
    """One time of one variable.

    Attributes
    ----------
    count : int
        Values that are finite.
    low, high, mean, squares : float
        Least, greatest, mean, and sum of squared deviations from it; 0 where there is no value.
    keys, counts : ndarray of uint32, shape (n,)
        Buckets with a value, ascending, and how many values each has.
    """

    count: int
    low: float
    high: float
    mean: float
    squares: float
    keys: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint32]


def summarise(values: Field) -> Summary:
    """The summary of a field of float32, NaN (or infinite) where there is no value."""
    # 0 is added so that there is one zero only
    found = values[np.isfinite(values)].astype(np.float32) + np.float32(0)
    if not found.size:
        return Summary(0, 0.0, 0.0, 0.0, 0.0, np.empty(0, np.uint32), np.empty(0, np.uint32))
    counts = np.bincount(found.view(np.uint32) >> SHIFT)
    keys = np.flatnonzero(counts)
    mean = float(found.mean(dtype=np.float64))
    rest = found.astype(np.float64) - mean
    return Summary(
        found.size, float(found.min()), float(found.max()), mean, float((rest * rest).sum()),
        keys.astype(np.uint32), counts[keys].astype(np.uint32),
    )  # fmt: skip


def summary_path(cube: Path, name: str, seconds: int) -> Path:
    """The file for a variable and a time."""
    return cube / STATISTICS / name / f"{seconds}.summary"


def write_summary(path: Path, summary: Summary) -> None:
    """Put one in place, whole."""
    steps = np.diff(summary.keys.astype("<u4"), prepend=np.uint32(0))
    packed = zlib.compress(steps.astype("<u4").tobytes() + summary.counts.astype("<u4").tobytes(), 1)
    head = _HEAD.pack(
        _MAGIC, summary.count, summary.low, summary.high, summary.mean, summary.squares, len(summary.keys)
    )
    data = head + packed
    write_whole(path, data + struct.pack("<I", zlib.crc32(data)))


def read_summary(path: Path) -> Summary | None:
    """One that was written; None if there is none, or it is not whole."""
    try:
        data = path.read_bytes()
        (told,) = struct.unpack("<I", data[-4:])
        magic, count, low, high, mean, squares, size = _HEAD.unpack_from(data)
        if magic != _MAGIC or told != zlib.crc32(data[:-4]) or size > BUCKETS:
            return None
        both = np.frombuffer(zlib.decompress(data[_HEAD.size : -4]), "<u4").reshape(2, size)
    except (OSError, ValueError, struct.error, zlib.error):
        return None
    return Summary(count, low, high, mean, squares, np.cumsum(both[0], dtype=np.uint32), both[1])


class Totals:
    """The summaries of all times of a variable, added up."""

    def __init__(self) -> None:
        self._moments: dict[int, tuple[int, float, float, float, float]] = {}
        self._counts = np.zeros(BUCKETS, np.int64)

    def put(self, seconds: int, summary: Summary, before: Summary | None = None) -> None:
        """Add a time; or exchange one, if ``before`` is what was put for it."""
        if before is not None:
            self._counts[before.keys] -= before.counts
        self._counts[summary.keys] += summary.counts
        self._moments[seconds] = (summary.count, summary.low, summary.high, summary.mean, summary.squares)

    def statistics(self) -> Statistics | None:
        """What they amount to; None where there is no value at all."""
        moments = np.array([m for m in self._moments.values() if m[0]], np.float64).reshape(-1, 5)
        if not len(moments):
            return None
        counts, lows, highs, means, squares = moments.T
        count, low, high = int(counts.sum()), float(lows.min()), float(highs.max())
        mean = float((counts * means).sum() / count)
        spread = float((squares + counts * (means - mean) ** 2).sum())
        at, below = self._cumulated(low, high)
        ends = np.interp([LOW * count, HIGH * count], below, at)
        first, last = float(ends[0]), float(ends[1])
        edges = np.linspace(first, last, BINS + 1)
        bins = (
            np.diff(np.rint(np.interp(edges, at, below))).astype(int) if first < last else np.array([count])
        )
        return Statistics(
            count, low, high, mean, math.sqrt(spread / count), first, last, tuple(int(n) for n in bins)
        )

    def _cumulated(self, low: float, high: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Values, ascending, and how many lie below each, even within a bucket."""
        keys = np.flatnonzero(self._counts)
        ordered = np.concatenate([keys[keys >= _NEGATIVE][::-1], keys[keys < _NEGATIVE]])
        negative = ordered >= _NEGATIVE
        size = (ordered - np.where(negative, _NEGATIVE, 0)).astype(np.uint32)
        near, far = (_floats(size + np.uint32(n)) for n in (0, 1))
        begins, ends = np.where(negative, -far, near), np.where(negative, -near, far)
        begins, ends = np.clip(begins, low, high), np.clip(ends, low, high)
        totals = np.cumsum(self._counts[ordered])
        at = np.column_stack([begins, ends]).ravel()
        below = np.column_stack([totals - self._counts[ordered], totals]).ravel()
        return at, below.astype(np.float64)


def _floats(buckets: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Where positive buckets begin."""
    bits: npt.NDArray[np.uint32] = buckets << np.uint32(SHIFT)
    return bits.view(np.float32).astype(np.float64)


def default_range(statistics: Statistics | None, scale: str) -> tuple[float, float]:
    """Ends of a colour scale where nobody chose any: 96 of 100 values lie between them, in round numbers.

    Parameters
    ----------
    statistics : Statistics or None
        Of the variable; None where there is no value yet.
    scale : {'lin', 'log'}
        A logarithmic one begins above 0.
    """
    if statistics is None:
        return (0.01, 1.0) if scale == "log" else (0.0, 1.0)
    low, high = statistics.low, statistics.high
    if scale == "log":
        if high <= 0:
            return 0.01, 1.0
        low = low if low > 0 else high * _LEAST_OF_LOG
        low, high = _rounded(low, low, math.floor), _rounded(high, high, math.ceil)
    else:
        span = high - low
        low, high = _rounded(low, span, math.floor), _rounded(high, span, math.ceil)
    return (low, high) if low < high else (low, low + max(abs(low) / 10, 1e-6) if low else 1.0)


def _rounded(value: float, size: float, how: Callable[[float], int]) -> float:
    """A value as a multiple of a tenth of the decimal order of a size."""
    if size < _NO_SPAN:
        return value
    digits = 1 - math.floor(math.log10(size))
    unit = 10.0**-digits
    whole = how(value / unit + (1e-9 if how is math.floor else -1e-9))
    return round(float(whole) * unit, max(digits, 0))
