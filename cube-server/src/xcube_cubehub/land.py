"""Natural Earth land outlines, bundled: for the base map and for telling water from land."""

import itertools
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

MAX_LEVEL = 2
"""Finest level of detail; 0 is the coarsest."""


@dataclass(frozen=True)
class Outlines:
    """Rings of land polygons, cut into cells.

    Attributes
    ----------
    rings : list of ndarray, shape (n, 2)
        Longitude and latitude in degrees, not closed. A hole follows the ring it lies in.
    holes : ndarray of bool
        Whether a ring is water inside land.
    boxes : ndarray, shape (rings, 4)
        West, south, east, north of each ring.
    """

    rings: list[npt.NDArray[np.float64]]
    holes: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float64]

    def within(self, west: float, south: float, east: float, north: float) -> list[int]:
        """Numbers of the rings whose box touches the given one, in drawing order."""
        b = self.boxes
        hit = (b[:, 0] <= east) & (b[:, 2] >= west) & (b[:, 1] <= north) & (b[:, 3] >= south)
        return [int(i) for i in np.flatnonzero(hit)]


@lru_cache(maxsize=MAX_LEVEL + 1)
def outlines(level: int = MAX_LEVEL) -> Outlines:
    """Land outlines of a level of detail (0 coarse to 2, the full 1:10m data)."""
    with (
        resources.as_file(resources.files(__package__) / "basemap_data" / "land.npz") as path,
        np.load(path) as data,
    ):
        points = np.cumsum(data[f"points_{level}"], axis=0) / float(data["scale"])
        starts, holes = data[f"starts_{level}"], data[f"holes_{level}"]
    rings = [points[a:b] for a, b in itertools.pairwise(starts)]
    boxes = np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings])
    return Outlines(rings, holes, boxes)


def is_land(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether each node of the lattice ``x`` x ``y`` (degrees, ascending or descending) is land; shape (y, x)."""
    import shapely  # noqa: PLC0415 - only recipes need it, the server does not pay for it at start

    land = outlines(MAX_LEVEL)
    xs, ys = np.meshgrid(x, y)
    found = np.zeros(xs.shape, bool)
    for number in land.within(float(x.min()), float(y.min()), float(x.max()), float(y.max())):
        inside = shapely.contains_xy(shapely.Polygon(land.rings[number]), xs, ys)
        found = found & ~inside if land.holes[number] else found | inside
    return found
