"""The grid that rasters are loaded onto, worked out as odc-stac does it, so that the size can be said beforehand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyproj
import shapely

from cubehub_catalogue.aoi import whole_box
from cubehub_catalogue.assets import Asset, Grid, Kind
from cubehub_catalogue.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Bounds = tuple[float, float, float, float]
_DEGREE = 111_319.49
"""Metres of a degree on the equator of WGS 84: 2 pi 6378137 / 360."""
_TOLERANCE = 0.01
"""Of a pixel that odc-geo leaves out at an edge (`odc.geo.geobox.GeoBox.from_bbox`, ``tol``)."""
_SAME = 1e-9
"""Share by which lengths of pixels differ that are the same, as decimals in a catalogue."""
SEGMENT = 0.02
"""Degrees between corners on the edges of an area: between them an edge is bent by less than 0.1 m."""
_MOST_CORNERS = 100_000
"""That are put on the edges of one area; they lie farther apart where there would be more."""


@dataclass(frozen=True)
class Target:
    """What `odc.stac.load` is told of the grid."""

    crs: str
    steps: tuple[float, float]
    """Width and height of a pixel."""
    shape: tuple[int, int] | None = None
    """Rows, columns; None where it can't be said."""
    offset: tuple[float, float] = (0.0, 0.0)
    """How far beside whole multiples of a pixel its edges are, along x and y, in parts of it."""

    @property
    def resolution(self) -> float:
        """Length of a pixel's longer side."""
        return max(self.steps)

    def holds(self, grid: Grid | None) -> bool:
        """Tell whether a raster's pixels are pixels of this grid, so that its values come over as they are."""
        return (
            grid is not None
            and not grid.turned
            and grid.crs == self.crs
            and all(
                # over the whole raster the pixels don't drift apart
                abs(own - step) * count < _TOLERANCE * step
                for own, step, count in zip(grid.steps, self.steps, reversed(grid.shape), strict=True)
            )
            and all(
                _apart(own, part) < _TOLERANCE for own, part in zip(grid.offset, self.offset, strict=True)
            )
        )


def target_of(
    assets: Sequence[Asset], aoi: Mapping[str, Any] | None, crs: str | None, resolution: float | None
) -> Target | None:
    """Choose the grid: the CRS that most have, of these the finest pixels; None where nothing says it.

    Parameters
    ----------
    assets : sequence of Asset
        The chosen rasters of all items.
    aoi : GeoJSON, optional
        Area that is loaded; without one it is all of the items.
    crs, resolution
        As the person wants them, else as the data are.

    Raises
    ------
    InputError
        The CRS that the person named does not exist.
    """
    grids = [asset.grid for asset in assets if asset.grid is not None]
    wanted = _named(crs, aoi, grids)
    if grids:
        common = Counter(grid.crs for grid in grids).most_common(1)[0][0]
        finest = _finest([grid for grid in grids if grid.crs == common])
        chosen = wanted or common
        if wanted is None and aoi is not None and _is_geographic(common) and _wraps(aoi):
            chosen = _utm(aoi, grids)  # in degrees it would be once round the globe
        if chosen == common and not finest.turned and resolution in (None, *_square(finest)):
            # the files' own pixels
            steps, offset = finest.steps, finest.offset
        else:
            step = resolution or _converted(finest.resolution, common, chosen)
            steps, offset = (step, step), (0.0, 0.0)
        return Target(chosen, steps, _shape(chosen, steps, offset, aoi, grids), offset)
    coarse = [
        asset.gsd for asset in assets if asset.gsd and asset.kind is Kind.RASTER and not _has_gcps(asset)
    ]
    if not coarse and resolution is None:
        return None
    chosen = wanted or _utm(aoi, ())
    step = resolution or (min(coarse) / _DEGREE if _is_geographic(chosen) else min(coarse))
    steps = (step, step)
    return Target(chosen, steps, _shape(chosen, steps, (0.0, 0.0), aoi, ()))


def segment(aoi: Mapping[str, Any]) -> float:
    """Give the degrees between corners on the edges of an area."""
    return max(SEGMENT, float(f"{shapely.geometry.shape(aoi).length / _MOST_CORNERS:.3g}"))


def outline(aoi: Mapping[str, Any]) -> Any:
    """Give an area as shapely has it, with corners on its edges as the cell makes them.

    Notes
    -----
    An edge is straight in degrees (RFC 7946, section 3.1.1), so on a map of another projection it is bent: one of a
    degree by about a hundred metres.
    """
    return shapely.segmentize(shapely.geometry.shape(aoi), segment(aoi))


def is_bent(crs: str, steps: tuple[float, float], aoi: Mapping[str, Any]) -> bool:
    """Tell whether an area is a box whose corners don't say where it is on a map: its edges run beyond them.

    Notes
    -----
    odc-stac moves the four corners of a ``bbox``, and of a half ring around a pole these are two points.
    """
    if crs == "utm" or whole_box(aoi) is None or _is_geographic(crs):
        return False
    edges, corners = bounds_in(crs, aoi), _bounds_of(shapely.geometry.shape(aoi), crs)
    return (
        edges is not None
        and corners is not None
        and any(abs(a - b) > step / 2 for a, b, step in zip(edges, corners, (*steps, *steps), strict=True))
    )


def bounds_in(crs: str, aoi: Mapping[str, Any]) -> Bounds | None:
    """Give the box around an area in another CRS, by its edges; None where they are not on its map."""
    return _bounds_of(outline(aoi), crs)


def _bounds_of(geometry: Any, crs: str) -> Bounds | None:
    try:
        corners = shapely.get_coordinates(geometry)
        xs, ys = _transformer(crs).transform(corners[:, 0], corners[:, 1])
    except (ValueError, TypeError, KeyError, pyproj.exceptions.ProjError, shapely.errors.ShapelyError):
        return None
    if not len(xs):
        return None
    edges = (float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys)))
    return edges if all(map(math.isfinite, edges)) else None


def _finest(grids: Sequence[Grid]) -> Grid:
    """Give the one of the finest pixels; where they lie beside one another, as most do."""
    resolution = min(grid.resolution for grid in grids)
    finest = [grid for grid in grids if grid.resolution <= resolution * (1 + _SAME)]
    common = Counter(_alike(grid) for grid in finest).most_common(1)[0][0]
    return next(grid for grid in finest if _alike(grid) == common)


def _square(grid: Grid) -> tuple[float, ...]:
    """Give the length of a pixel's sides, where there is one."""
    width, height = grid.steps
    return (width,) if width == height else ()


def _alike(grid: Grid) -> tuple[Any, ...]:
    return (
        grid.turned,
        *(round(part / _TOLERANCE) for part in grid.offset),
        *(f"{step:.9g}" for step in grid.steps),
    )


def _apart(one: float, other: float) -> float:
    """Give the distance of two parts of a pixel: 0.999 and 0 are beside one another."""
    distance = abs(one - other) % 1
    return min(distance, 1 - distance)


def _named(crs: str | None, aoi: Mapping[str, Any] | None, grids: Iterable[Grid]) -> str | None:
    if crs is None or crs == "utm":
        return None if crs is None else _utm(aoi, grids)
    try:
        _transformer(crs)
    except pyproj.exceptions.ProjError as error:
        raise InputError(
            "unknown_crs", f"There is no CRS {crs}.", "Write one such as EPSG:32635, or utm."
        ) from error
    return crs


def _utm(aoi: Mapping[str, Any] | None, grids: Iterable[Grid]) -> str:
    """Give the zone of the middle of an area; ``utm``, which odc-stac works out itself, where there is no area."""
    middle = None
    if aoi is not None:
        parts = list(getattr(shapely.geometry.shape(aoi), "geoms", [shapely.geometry.shape(aoi)]))
        # of an area that is cut at ±180 the larger piece; the middle of both would lie at Greenwich
        middle = (
            max(parts, key=lambda part: part.area).centroid
            if _wraps(aoi)
            else shapely.geometry.shape(aoi).centroid
        )
    if middle is None:
        crs = next((grid.crs for grid in grids), "")
        return crs if crs.startswith(("EPSG:326", "EPSG:327")) else "utm"
    zone = min(60, int((middle.x + 180) // 6) + 1)
    return f"EPSG:{(32600 if middle.y >= 0 else 32700) + zone}"


def _shape(
    crs: str,
    steps: tuple[float, float],
    offset: tuple[float, float],
    aoi: Mapping[str, Any] | None,
    grids: Sequence[Grid],
) -> tuple[int, int] | None:
    if crs == "utm":
        return None
    box = _loaded(crs, steps, aoi) if aoi is not None else _around(crs, grids)
    if box is None:
        return None
    left, bottom, right, top = box
    try:
        return _count(bottom, top, steps[1], offset[1]), _count(left, right, steps[0], offset[0])
    except (OverflowError, ValueError):  # edges at 1e308, and pixels of nothing
        return None


def _loaded(crs: str, steps: tuple[float, float], aoi: Mapping[str, Any]) -> Bounds | None:
    """Give the edges of what is loaded of an area: of a box by its corners, where the cell gives these alone."""
    by_corners = whole_box(aoi) is not None and not is_bent(crs, steps, aoi)
    return _bounds_of(shapely.geometry.shape(aoi), crs) if by_corners else bounds_in(crs, aoi)


def _count(low: float, high: float, step: float, offset: float) -> int:
    """Count pixels whose edges are multiples of a step and the offset, as odc-geo snaps them."""
    first = math.floor(low / step - offset + _TOLERANCE)
    last = math.ceil(high / step - offset - _TOLERANCE)
    return max(1, last - first)


def _around(crs: str, grids: Sequence[Grid]) -> Bounds | None:
    boxes = []
    for grid in grids:
        box = _moved(grid.crs, crs, grid.bounds)
        if box is None:
            return None
        boxes.append(box)
    if not boxes:
        return None
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


@lru_cache(maxsize=512)
def _moved(source: str, crs: str, bounds: Bounds) -> Bounds | None:
    if source == crs:
        return bounds
    try:
        made = pyproj.Transformer.from_crs(source, crs, always_xy=True).transform_bounds(*bounds)
    except pyproj.exceptions.ProjError:
        return None
    left, bottom, right, top = (float(edge) for edge in made)
    return (left, bottom, right, top) if all(map(math.isfinite, made)) else None


@lru_cache(maxsize=64)
def _transformer(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _converted(step: float, source: str, crs: str) -> float:
    if crs == "utm" or _is_geographic(source) == _is_geographic(crs):
        return step if not (crs == "utm" and _is_geographic(source)) else _rounded(step * _DEGREE)
    return _rounded(step * _DEGREE) if _is_geographic(source) else _rounded(step / _DEGREE)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


@lru_cache(maxsize=64)
def _is_geographic(crs: str) -> bool:
    try:
        return crs != "utm" and pyproj.CRS(crs).is_geographic
    except pyproj.exceptions.ProjError:
        return False


def _wraps(aoi: Mapping[str, Any]) -> bool:
    west, _, east, _ = shapely.geometry.shape(aoi).bounds
    return bool(aoi.get("type") == "MultiPolygon" and west <= -180 and east >= 180)


def _has_gcps(asset: Asset) -> bool:
    """Tell whether a raster lies crooked in its file (Sentinel-1 GRD): it has a shape, but no grid."""
    return "proj:shape" in asset.extra and asset.grid is None
