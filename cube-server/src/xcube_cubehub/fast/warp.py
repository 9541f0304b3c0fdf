"""Which pixel of a cube lies under each pixel of a map tile."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyproj

from xcube_cubehub.fast import kernels
from xcube_cubehub.index import Index

MERCATOR, GEOGRAPHIC = "EPSG:3857", "EPSG:4326"
EARTH_RADIUS_M = 6378137.0
HALF_WORLD_M = math.pi * EARTH_RADIUS_M
MAX_ERROR_PIXELS = 1e-3
"""A grid of exact positions is made finer until what lies between is nearer than this; what is nearer than twice this to
the edge of a pixel is computed exactly."""
Indexes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Place:
    """A map tile: ``size`` pixels either way, in a scheme named by its CRS; column and row count from the north-west."""

    crs: str
    z: int
    x: int
    y: int
    size: int

    @property
    def exists(self) -> bool:
        """Whether the scheme has it: one tile at zoom 0, two side by side if it is geographic."""
        across = (2 if self.crs == GEOGRAPHIC else 1) << self.z
        return 0 <= self.x < across and 0 <= self.y < 1 << self.z

    @property
    def pixel(self) -> float:
        """Edge of a pixel in units of the CRS."""
        whole = 180.0 if self.crs == GEOGRAPHIC else 2 * HALF_WORLD_M
        return whole / (self.size << self.z)

    @property
    def corner(self) -> tuple[float, float]:
        """West and north."""
        west, north = (-180.0, 90.0) if self.crs == GEOGRAPHIC else (-HALF_WORLD_M, HALF_WORLD_M)
        edge = self.pixel * self.size
        return west + self.x * edge, north - self.y * edge


@dataclass(frozen=True)
class Footprint:
    """Pixels of a level under a tile.

    Attributes
    ----------
    rows, columns : ndarray of int32, shape (size, size)
        Of each pixel of the tile, -1 outside; views of one row and one column where these are independent.
    box : tuple of int
        First row, row after the last, first column, column after the last of those inside.
    """

    rows: Indexes
    columns: Indexes
    box: tuple[int, int, int, int]


@lru_cache(maxsize=64)
def is_geographic(crs: str) -> bool:
    """Whether a CRS counts in degrees."""
    return bool(pyproj.CRS.from_user_input(crs).is_geographic)


def level_for(index: Index, place: Place) -> int:
    """The level whose pixels are nearest in size to those of a tile, as xcube chooses it.

    Notes
    -----
    Sizes in degrees and metres are compared at the equator. Between two levels the arithmetic middle decides.
    """
    pixel = place.pixel
    per_degree = math.pi / 180 * EARTH_RADIUS_M
    if is_geographic(index.crs) and place.crs == MERCATOR:
        pixel /= per_degree
    elif not is_geographic(index.crs) and place.crs == GEOGRAPHIC:
        pixel *= per_degree
    finest = (abs(index.dx) + abs(index.dy)) / 2
    if pixel <= finest:
        return 0
    for level in range(index.levels - 1):
        here = finest * 2**level
        if pixel <= 2 * here:
            return level if (pixel - here) / here < 0.5 else level + 1
    return index.levels - 1


@lru_cache(maxsize=96)
def footprint(
    crs: str,
    west: float,
    north: float,
    dx: float,
    dy: float,
    shape: tuple[int, int],
    place: Place,
) -> Footprint | None:
    """Pixels of a grid under a tile; None where they do not meet.

    Parameters
    ----------
    crs : str
        Of the grid.
    west, north, dx, dy : float
        Its outer corner and the step from pixel to pixel.
    shape : tuple of int
        Its rows and columns.
    place : Place
        The tile.
    """
    same = crs == place.crs
    if same or (is_geographic(crs) and place.crs in {MERCATOR, GEOGRAPHIC}):
        rows, columns = _axes(west, north, dx, dy, shape, place, turns=is_geographic(crs), same=same)
    else:
        rows, columns = _mesh(crs, west, north, dx, dy, shape, place)
    inside_rows, inside_columns = rows[rows >= 0], columns[columns >= 0]
    if not inside_rows.size or not inside_columns.size:
        return None
    box = (
        int(inside_rows.min()),
        int(inside_rows.max()) + 1,
        int(inside_columns.min()),
        int(inside_columns.max()) + 1,
    )
    return Footprint(rows, columns, box)


def _axes(
    west: float,
    north: float,
    dx: float,
    dy: float,
    shape: tuple[int, int],
    place: Place,
    *,
    turns: bool,
    same: bool,
) -> tuple[Indexes, Indexes]:
    left, top = place.corner
    centres = (np.arange(place.size) + 0.5) * place.pixel
    x, y = left + centres, top - centres
    if place.crs == MERCATOR and not same:
        x = np.rad2deg(x / EARTH_RADIUS_M)
        y = np.rad2deg(2 * np.arctan(np.exp(y / EARTH_RADIUS_M)) - math.pi / 2)
    if turns:
        # A grid may begin anywhere, and run across 180 degrees or from 0 to 360
        x = west + np.mod(x - west, 360.0)
    whole = (place.size, place.size)
    rows, columns = _inside((y - north) / dy, shape[0]), _inside((x - west) / dx, shape[1])
    return np.broadcast_to(rows[:, np.newaxis], whole), np.broadcast_to(columns, whole)


def _inside(positions: npt.NDArray[np.floating], size: int) -> Indexes:
    whole = np.floor(positions)
    found: Indexes = np.where((whole >= 0) & (whole < size), whole, -1).astype(np.int32)
    return found


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def _mesh(
    crs: str, west: float, north: float, dx: float, dy: float, shape: tuple[int, int], place: Place
) -> tuple[Indexes, Indexes]:
    """Exact at the corners of equal parts, bilinear between them: as fine as it takes, at last exact everywhere."""
    rows = np.empty((place.size, place.size), np.int32)
    columns = np.empty_like(rows)
    left, top = place.corner
    edge = place.pixel * place.size
    to_grid = _transformer(place.crs, crs)

    def exact(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
        there_x, there_y = to_grid.transform(left + x * edge, top - y * edge)
        return (there_x - west) / dx, (there_y - north) / dy

    parts = 16
    while parts < place.size:
        halves = np.arange(2 * parts + 1) / (2 * parts)
        across, down = exact(*np.meshgrid(halves, halves))
        if _is_fine(across) and _is_fine(down):
            across, down = across[::2, ::2].copy(), down[::2, ::2].copy()
            doubtful = np.zeros(rows.shape, np.bool_)
            kernels.spread(
                across, down, place.size, shape[1], shape[0], 2 * MAX_ERROR_PIXELS, columns, rows, doubtful
            )
            y, x = np.nonzero(doubtful)
            across, down = exact((x + 0.5) / place.size, (y + 0.5) / place.size)
            rows[y, x], columns[y, x] = _both_inside(down, across, shape)
            return rows, columns
        parts *= 2
    centres = (np.arange(place.size) + 0.5) / place.size
    across, down = exact(*np.meshgrid(centres, centres))
    return _both_inside(down, across, shape)


def _both_inside(
    down: npt.NDArray[np.floating], across: npt.NDArray[np.floating], shape: tuple[int, int]
) -> tuple[Indexes, Indexes]:
    rows, columns = _inside(down, shape[0]), _inside(across, shape[1])
    outside = (rows < 0) | (columns < 0)
    rows[outside] = columns[outside] = -1
    return rows, columns


def _is_fine(exact: npt.NDArray[np.float64]) -> bool:
    """Whether what lies between every other position is where bilinear interpolation says; what is infinite never is.

    Seen along the edges of each part as well as in its middle: on a conformal projection the curvature along one axis is
    the opposite of that along the other, so that in the middle the errors cancel.
    """
    corners = exact[::2, ::2]
    with np.errstate(invalid="ignore"):
        across = np.abs((corners[:, :-1] + corners[:, 1:]) / 2 - exact[::2, 1::2])
        down = np.abs((corners[:-1] + corners[1:]) / 2 - exact[1::2, ::2])
        return bool((across < MAX_ERROR_PIXELS / 2).all() and (down < MAX_ERROR_PIXELS / 2).all())
