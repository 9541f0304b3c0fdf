"""Where a cube lies: an area in degrees, and the regular grid in a projection that covers it."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from xcube_cubehub.errors import BadInputError
from xcube_cubehub.grid import Grid

MAX_PIXELS = 400_000_000
"""Pixels of one step; more is a slip in a number (a resolution in the wrong unit), not a cube."""

EDGE_POINTS = 21
"""Points along each edge of an area when it is projected: edges bend."""

SNAP_TOLERANCE = 1e-6
"""Of a pixel: an edge this close to a grid line lies on it, however the numbers were rounded."""


@dataclass(frozen=True)
class Area:
    """A box in degrees; ``west > east`` crosses the antimeridian.

    Raises
    ------
    BadInputError
        Not a box on the globe.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        numbers = (self.west, self.south, self.east, self.north)
        fits = (
            all(math.isfinite(number) for number in numbers)
            and -90 <= self.south < self.north <= 90
            and max(abs(self.west), abs(self.east)) <= 180
            and self.west != self.east
        )
        if not fits:
            message = f"{list(numbers)} is not an area"
            hint = "give west, south, east, north in degrees; west above east crosses the antimeridian"
            raise BadInputError(message, hint)

    @property
    def unwrapped(self) -> tuple[float, float, float, float]:
        """West, south, east, north with ``east`` above ``west``, so up to 540."""
        return self.west, self.south, self.east + (360 if self.west > self.east else 0), self.north

    @property
    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """As one box, or as the two on both sides of the antimeridian; none of them has a width of zero."""
        if self.west < self.east:
            return ((self.west, self.south, self.east, self.north),)
        halves = ((self.west, self.south, 180.0, self.north), (-180.0, self.south, self.east, self.north))
        return tuple(box for box in halves if box[0] < box[2])

    def touches(self, west: float, south: float, east: float, north: float) -> bool:
        """Whether a box, in degrees in any turn of the globe (``east`` above ``west``), shares a part with the area."""
        if not (south < self.north and north > self.south):
            return False
        left, _, right, _ = self.unwrapped
        if east - west >= 360:
            return True
        return any(west + turn < right and east + turn > left for turn in (-720, -360, 0, 360, 720))


@dataclass(frozen=True)
class CubeGrid:
    """A north-up grid of square pixels in a coordinate reference system.

    Attributes
    ----------
    crs : str
        ``EPSG:n`` or WKT.
    west, north : float
        Outer edges in units of the CRS. In degrees the grid runs on past 180 where it crosses the antimeridian.
    resolution : float
        Edge of a pixel in the same unit.
    shape : tuple of int
        Rows and columns, ``(y, x)``.
    """

    crs: str
    west: float
    north: float
    resolution: float
    shape: tuple[int, int]

    @classmethod
    def covering(cls, area: Area, crs: str, resolution: float) -> "CubeGrid":
        """The smallest grid over an area whose edges are multiples of the resolution.

        Parameters
        ----------
        area : Area
            In degrees.
        crs : str
            ``EPSG:n`` or WKT; axes are taken as east and north, in degrees or metres.
        resolution : float
            In units of the CRS.

        Raises
        ------
        BadInputError
            An unknown CRS, an area that it cannot show, a resolution that is not positive, or too many pixels.
        """
        if not (math.isfinite(resolution) and resolution > 0):
            raise BadInputError(
                f"a resolution of {resolution} is not positive", "give it in units of the CRS"
            )
        west, south, east, north = _bounds_in(area, crs)
        first, last = _floor(west / resolution), _ceil(east / resolution)
        top, bottom = _ceil(north / resolution), _floor(south / resolution)
        shape = (max(top - bottom, 1), max(last - first, 1))
        if shape[0] * shape[1] > MAX_PIXELS:
            message = (
                f"{shape[0]} x {shape[1]} pixels of {resolution} over this area are more than {MAX_PIXELS:,}"
            )
            raise BadInputError(
                message, "take a smaller area or a coarser resolution; is its unit that of the CRS?"
            )
        return cls(crs, first * resolution, top * resolution, resolution, shape)

    @property
    def plain(self) -> Grid:
        """The same grid without its CRS, for pyramids."""
        return Grid(self.west, self.north, self.resolution, self.shape)

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """Pixel centres from west to east."""
        return self.plain.x

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """Pixel centres from north to south."""
        return self.plain.y

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges: west, south, east, north, in units of the CRS."""
        return self.plain.bounds

    @cached_property
    def is_geographic(self) -> bool:
        """Whether the units are degrees."""
        return bool(parsed_crs(self.crs).is_geographic)

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients a, b, c, d, e, f from (column, row) to (x, y)."""
        return self.resolution, 0.0, self.west, 0.0, -self.resolution, self.north


def parsed_crs(text: str) -> CRS:
    """A CRS from its text.

    Raises
    ------
    BadInputError
        It is not one.
    """
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise BadInputError(
            f"{text[:80]!r} is no coordinate reference system", "use EPSG:n or WKT"
        ) from error


def _bounds_in(area: Area, crs: str) -> tuple[float, float, float, float]:
    parsed = parsed_crs(crs)
    west, south, east, north = area.unwrapped
    if parsed.is_geographic:
        return west, south, east, north
    along_x, along_y = np.linspace(west, east, EDGE_POINTS), np.linspace(south, north, EDGE_POINTS)
    lon, lat = (values.ravel() for values in np.meshgrid(along_x, along_y))
    try:
        x, y = Transformer.from_crs("EPSG:4326", parsed, always_xy=True).transform(lon, lat)
    except ProjError as error:
        raise BadInputError(f"the area has no place in {crs[:80]}", "take another CRS") from error
    bounds = (float(np.min(x)), float(np.min(y)), float(np.max(x)), float(np.max(y)))
    if not all(math.isfinite(number) for number in bounds):
        raise BadInputError(f"the area does not lie within {crs[:80]}", "take another CRS or a smaller area")
    return bounds


def _floor(value: float) -> int:
    return math.floor(value + SNAP_TOLERANCE)


def _ceil(value: float) -> int:
    return math.ceil(value - SNAP_TOLERANCE)
