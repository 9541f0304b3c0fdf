"""Swaths, whose pixels carry their own longitude and latitude, brought onto a regular grid.

The centres of the swath's pixels form a mesh of quadrilaterals. For each centre of a grid pixel the quadrilateral that
holds it is found and the bilinear map of the unit square onto that quadrilateral is inverted, which gives fractional
row and column within the swath. Values are then interpolated there.

References
----------
.. [1] Wolberg (1990), "Digital Image Warping", IEEE Computer Society Press, chapter 3 (bilinear mapping and its inverse):
   the quadratic equation for the second coordinate, the linear one for the first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from xcube_cubehub.cubegrid import CubeGrid, parsed_crs

Floats = npt.NDArray[np.float64]
Four = tuple[float, float, float, float]

TOLERANCE = 1e-9
"""Of a quadrilateral's side: a centre on the edge of two belongs to one of them, whatever rounding says."""

WORK_PER_PIXEL = 64
"""How many quadrilaterals may claim a grid pixel on average before the geolocation is held for scrambled."""


Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    """Compiled by numba; kept on disk where there is a place to keep it."""
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither the package's folder nor a home can be written
        compiled = numba.njit(nogil=True)(function)
    return cast("Function", compiled)


class ScrambledError(ValueError):
    """Longitudes and latitudes that form no mesh."""


@dataclass(frozen=True)
class SwathIndex:
    """Where each grid pixel lies within a swath.

    Attributes
    ----------
    row, column : ndarray of float64, shape (y, x)
        Fractional position among the centres of the swath's pixels; NaN where the swath does not cover the grid.
        Half a pixel along the outer edge of a swath is not covered: there is no mesh.
    spacing : float
        Median distance of neighbouring swath pixels, in grid pixels.
    """

    row: Floats
    column: Floats
    spacing: float

    @property
    def covered(self) -> bool:
        """Whether any grid pixel lies in the swath."""
        return bool(np.isfinite(self.row).any())


def index_swath(lon: npt.ArrayLike, lat: npt.ArrayLike, grid: CubeGrid) -> SwathIndex:
    """Find each grid pixel in a swath.

    Parameters
    ----------
    lon, lat : array_like, shape (rows, columns)
        Centres of the swath's pixels in degrees, rows and columns in any direction; NaN where unknown. Longitudes may
        jump by 360 anywhere.
    grid : CubeGrid
        Target; a grid in degrees may run past 180.

    Raises
    ------
    ScrambledError
        The arrays differ in shape, have fewer than 2 x 2 pixels, or form no mesh.
    """
    u, v, period = positions(lon, lat, grid)
    row, column, fine = _invert(u, v, grid.shape[0], grid.shape[1], period)
    if not fine:
        raise ScrambledError("longitudes and latitudes do not form a mesh")
    return SwathIndex(row, column, spacing(u, v, period))


def positions(lon: npt.ArrayLike, lat: npt.ArrayLike, grid: CubeGrid) -> tuple[Floats, Floats, float]:
    """Columns and rows of points on a grid, as fractions, and after how many columns the globe repeats (0: never).

    Raises
    ------
    ScrambledError
        The arrays differ in shape or have fewer than 2 x 2 pixels.
    """
    lons, lats = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if lons.ndim != 2 or lons.shape != lats.shape or min(lons.shape) < 2:
        raise ScrambledError(
            f"longitudes of shape {lons.shape} and latitudes of shape {lats.shape} are no swath"
        )
    with np.errstate(invalid="ignore"):
        known = (np.abs(lats) <= 90) & (np.abs(lons) <= 540)
    x, y = np.where(known, lons, np.nan), np.where(known, lats, np.nan)
    if not grid.is_geographic:
        x, y = Transformer.from_crs("EPSG:4326", parsed_crs(grid.crs), always_xy=True).transform(x, y)
        x, y = (np.where(np.isfinite(values), values, np.nan) for values in (x, y))
    u = (x - grid.west) / grid.resolution - 0.5
    v = (grid.north - y) / grid.resolution - 0.5
    return u, v, 360.0 / grid.resolution if grid.is_geographic else 0.0


def bilinear(values: npt.ArrayLike, index: SwathIndex) -> npt.NDArray[np.float32]:
    """Values on the grid, interpolated between the four swath pixels around each grid pixel.

    Parameters
    ----------
    values : array_like, shape (rows, columns)
        NaN where there is none.
    index : SwathIndex
        Of a swath of that shape.

    Returns
    -------
    ndarray of float32, shape (y, x)
        NaN where the nearest swath pixel has no value, so that a mask neither grows nor shrinks; otherwise the mean of
        those of the four that have one, by their bilinear weights.
    """
    found: npt.NDArray[np.float32] = _interpolate(np.asarray(values, np.float64), index.row, index.column)
    return found


def nearest(
    values: npt.NDArray[np.generic], index: SwathIndex, outside: float = 0
) -> npt.NDArray[np.generic]:
    """Values of the nearest swath pixel, unchanged and in their own type: for flags and classes.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
        Anything.
    index : SwathIndex
        Of a swath of that shape.
    outside : float
        What a grid pixel outside the swath gets.
    """
    there = np.isfinite(index.row)
    found = np.full(index.row.shape, outside, values.dtype)
    rows = np.floor(index.row[there] + 0.5).astype(np.intp)
    found[there] = values[rows, np.floor(index.column[there] + 0.5).astype(np.intp)]
    return found


def spacing(u: Floats, v: Floats, period: float) -> float:
    """Median distance of neighbouring pixels, in grid pixels; NaN if no two neighbours are known."""
    steps = []
    thin = max(1, u.size // 100_000)  # of some hundred thousand neighbours the median is known well enough
    for first, second in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        along = u[second].ravel()[::thin] - u[first].ravel()[::thin]
        down = v[second].ravel()[::thin] - v[first].ravel()[::thin]
        if period:
            along = (along + period / 2) % period - period / 2
        steps.append(np.hypot(along, down))
    lengths = np.concatenate(steps)
    lengths = lengths[np.isfinite(lengths)]
    return float(np.median(lengths)) if lengths.size else float("nan")


@_compiled
def _along(number: float, first: tuple[float, float], second: tuple[float, float]) -> float:
    """P from q: the larger of the two components divides."""
    ex, ey = first
    hx, hy = second
    if abs(ex) < abs(ey):
        ex, hx = ey, hy
    return hx / ex if ex != 0 else number


@_compiled
def _position(
    e: tuple[float, float], f: tuple[float, float], g: tuple[float, float], h: tuple[float, float]
) -> tuple[float, float]:
    """P and q in [0, 1] with h = p e + q f + p q g; NaN if there are none."""
    k2 = g[0] * f[1] - g[1] * f[0]
    k1 = e[0] * f[1] - e[1] * f[0] + h[0] * g[1] - h[1] * g[0]
    k0 = h[0] * e[1] - h[1] * e[0]
    root = k1 * k1 - 4 * k0 * k2
    if root >= 0:
        # the stable form of both roots: no difference of nearly equal numbers
        half = -0.5 * (k1 + np.sqrt(root)) if k1 >= 0 else -0.5 * (k1 - np.sqrt(root))
        for above, below in ((k0, half), (half, k2)):
            q = above / below if below != 0 else np.nan
            if -TOLERANCE <= q <= 1 + TOLERANCE:
                p = _along(np.nan, (e[0] + g[0] * q, e[1] + g[1] * q), (h[0] - f[0] * q, h[1] - f[1] * q))
                if -TOLERANCE <= p <= 1 + TOLERANCE:
                    return min(max(p, 0.0), 1.0), min(max(q, 0.0), 1.0)
    return np.nan, np.nan


@_compiled
def _fill(u: Four, v: Four, origin: tuple[int, int], row: Floats, column: Floats) -> int:
    """Write one quadrilateral, corners in order around it, into the grid; how many pixels were looked at."""
    top, bottom = max(int(np.ceil(min(v))), 0), min(int(np.floor(max(v))), row.shape[0] - 1)
    left, right = max(int(np.ceil(min(u))), 0), min(int(np.floor(max(u))), row.shape[1] - 1)
    if top > bottom or left > right:
        return 0
    e, f = (u[1] - u[0], v[1] - v[0]), (u[3] - u[0], v[3] - v[0])
    g = (u[0] - u[1] + u[2] - u[3], v[0] - v[1] + v[2] - v[3])
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            if np.isnan(row[y, x]):
                p, q = _position(e, f, g, (x - u[0], y - v[0]))
                row[y, x], column[y, x] = origin[0] + q, origin[1] + p
    looked: int = (bottom - top + 1) * (right - left + 1)
    return looked


@_compiled
def _turned(u: Four, period: float) -> Four:
    """Corners brought within half a turn of the first."""
    a, b, c, d = u
    return (
        a,
        b + period * np.round((a - b) / period),
        c + period * np.round((a - c) / period),
        d + period * np.round((a - d) / period),
    )


@_compiled
def _invert(u: Floats, v: Floats, rows: int, columns: int, period: float) -> tuple[Floats, Floats, bool]:
    """Fractional swath rows and columns on the grid; False if the quadrilaterals overlap too much to be a mesh."""
    row, column = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    budget = WORK_PER_PIXEL * rows * columns
    for i in range(u.shape[0] - 1):
        for j in range(u.shape[1] - 1):
            y = (v[i, j], v[i, j + 1], v[i + 1, j + 1], v[i + 1, j])
            x = (u[i, j], u[i, j + 1], u[i + 1, j + 1], u[i + 1, j])
            if not np.isfinite(sum(x) + sum(y)) or max(y) < 0 or min(y) > rows - 1:
                continue
            first, last = 0, 0
            if period > 0:  # the quadrilateral in every turn of the globe
                x = _turned(x, period)
                if max(x) - min(x) >= period / 2:  # around a pole: not a quadrilateral in degrees
                    continue
                first = int(np.ceil((-0.5 - max(x)) / period))
                last = int(np.floor((columns - 0.5 - min(x)) / period))
            for turn in range(first, last + 1):
                shift = turn * period
                shifted = (x[0] + shift, x[1] + shift, x[2] + shift, x[3] + shift)
                budget -= _fill(shifted, y, (i, j), row, column)
            if budget < 0:
                return row, column, False
    return row, column, True


@_compiled
def _interpolate(values: Floats, row: Floats, column: Floats) -> npt.NDArray[np.float32]:
    out = np.full(row.shape, np.nan, np.float32)
    rows, columns = values.shape
    for y in range(row.shape[0]):
        for x in range(row.shape[1]):
            at, along = row[y, x], column[y, x]
            if not np.isfinite(at):
                continue
            if not np.isfinite(values[int(np.floor(at + 0.5)), int(np.floor(along + 0.5))]):
                continue
            i, j = min(int(at), rows - 2), min(int(along), columns - 2)
            q, p = at - i, along - j
            total, weights = 0.0, 0.0
            for down in range(2):
                for right in range(2):
                    value = values[i + down, j + right]
                    weight = (q if down else 1 - q) * (p if right else 1 - p)
                    if np.isfinite(value) and weight > 0:
                        total += weight * value
                        weights += weight
            if weights > 0:
                out[y, x] = total / weights
    return out
