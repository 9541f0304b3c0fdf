"""Regular grids and their pyramids, without any file."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TILE = 256
"""Edge of a chunk and of a map tile, in pixels."""


@dataclass(frozen=True)
class Grid:
    """A north-up grid of square pixels, given by its outer edges.

    Attributes
    ----------
    west, north : float
        Outer edges in units of the CRS (degrees or metres).
    resolution : float
        Edge of a pixel in the same unit.
    shape : tuple of int
        Rows and columns, ``(y, x)``.
    """

    west: float
    north: float
    resolution: float
    shape: tuple[int, int]

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """Pixel centres from west to east."""
        return np.asarray(self.west + (np.arange(self.shape[1]) + 0.5) * self.resolution, dtype=np.float64)

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """Pixel centres from north to south."""
        return np.asarray(self.north - (np.arange(self.shape[0]) + 0.5) * self.resolution, dtype=np.float64)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges: west, south, east, north."""
        south = self.north - self.shape[0] * self.resolution
        return self.west, south, self.west + self.shape[1] * self.resolution, self.north


def grid_of(x: npt.ArrayLike, y: npt.ArrayLike) -> Grid:
    """Grid whose pixel centres are ``x`` and ``y``.

    Raises
    ------
    ValueError
        Centres that are not evenly spaced, pixels that are not square, or rows that do not run from north to south.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    step_x, step_y = float(np.diff(xs).mean()), float(np.diff(ys).mean())
    if step_x <= 0 or step_y >= 0:
        msg = "columns must run east and rows south"
        raise ValueError(msg)
    even = np.allclose(np.diff(xs), step_x, rtol=1e-3) and np.allclose(np.diff(ys), step_y, rtol=1e-3)
    if not even or not np.isclose(step_x, -step_y, rtol=1e-3):
        msg = "pixels must be square and evenly spaced"
        raise ValueError(msg)
    return Grid(float(xs[0] - step_x / 2), float(ys[0] + step_x / 2), step_x, (len(ys), len(xs)))
