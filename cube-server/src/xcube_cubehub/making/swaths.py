"""OLCI swaths: read where they touch the grid, and placed by rectification.

References
----------
.. [1] "Product Data Format Specification - OLCI Level 2 Marine", S3IPF.PDS.004.3: CHL_OC4ME, CHL_NN, TSM_NN
   and KD490_M07 are stored as log10, with units ``lg(re mg.m-3)`` and alike; flags as ``WQSF``.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from xcube_cubehub import rectify
from xcube_cubehub.cubegrid import CubeGrid
from xcube_cubehub.errors import SceneBrokenError
from xcube_cubehub.making.native import Native, Placing, Values, part, rows_and_columns
from xcube_cubehub.making.spec import Band, RecipeFile
from xcube_cubehub.sources import netcdf
from xcube_cubehub.sources.model import Asset, SceneHandle

GEOLOCATION = {"s3-olci-wfr": "geo_coordinates", "olci-c2rcc": ""}
"""File of longitudes and latitudes, by kind of scene."""

LOGARITHM = re.compile(r"^\s*lg\s*\(\s*re\b.*\)\s*$", re.IGNORECASE)
"""Units of a variable that is stored as its decadal logarithm."""

MAX_OVERSAMPLING = 8
Window = tuple[slice, slice]


def read_swath(handle: SceneHandle, recipe: RecipeFile, grid: CubeGrid) -> Iterator[Native]:
    """The part of a swath over a grid, as one piece; nothing if it does not touch the grid.

    Raises
    ------
    SceneBrokenError
        A needed file or variable is missing or unreadable, shapes differ, or the geolocation is no mesh.
    """
    geolocation = _asset(handle, GEOLOCATION[handle.kind])
    with netcdf.opened(geolocation.href, handle.options) as dataset:
        lat, lon = netcdf.variable(dataset, "latitude", "lat"), netcdf.variable(dataset, "longitude", "lon")
        if lat is None or lon is None:
            raise SceneBrokenError("no pixels: it has no longitudes and latitudes")
        lats, lons = netcdf.decoded(lat), netcdf.decoded(lon)
    try:
        reached = _reached(lons, lats, grid)
        if reached is None:
            return
        swath, window = reached
        bands, flags = _bands(handle, recipe, swath, lats.shape)
        place = _placing(lons[swath], lats[swath], part(grid, window))
    except rectify.ScrambledError as error:
        raise SceneBrokenError(str(error)) from error
    if place is not None:
        yield Native(bands, place, window, flags)


def _asset(handle: SceneHandle, name: str) -> Asset:
    asset = handle.assets.get(name)
    if asset is None:
        raise SceneBrokenError(f"no pixels: {name}.nc is missing")
    if asset.problem:
        raise SceneBrokenError(asset.problem)
    return asset


def _reached(lons: Values, lats: Values, grid: CubeGrid) -> tuple[Window, Window] | None:
    """The part of the swath around the grid, and the part of the grid around the swath."""
    u, v, period = rectify.positions(lons, lats, grid)
    step = rectify.spacing(u, v, period)
    if not math.isfinite(step):
        raise SceneBrokenError("no pixels: its longitudes and latitudes are empty")
    margin = min(3 * step, 1000) + 2
    rows, columns = grid.shape
    if period:  # within half a turn of the grid's middle
        middle = columns / 2
        u = (u - middle + period / 2) % period - period / 2 + middle
    with np.errstate(invalid="ignore"):
        near = (u > -margin) & (u < columns + margin) & (v > -margin) & (v < rows + margin)
    swath = rows_and_columns(near, 2)
    if swath is None or min(side.stop - side.start for side in swath) < 2:
        return None
    ends = []
    for values, size in ((v[near], rows), (u[near], columns)):
        first, last = (
            max(math.floor(values.min() - margin), 0),
            min(math.ceil(values.max() + margin) + 1, size),
        )
        ends.append(slice(first, last))
    return swath, (ends[0], ends[1])


def _bands(
    handle: SceneHandle, recipe: RecipeFile, swath: Window, shape: tuple[int, ...]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, dict[str, int]]]:
    bands: dict[str, npt.NDArray[Any]] = {}
    flags: dict[str, dict[str, int]] = {}
    for name, band in recipe.bands.items():
        try:
            with netcdf.opened(_asset(handle, band.asset).href, handle.options) as dataset:
                found = _variable(dataset, band.variables or (name,), shape)
                if band.kind == "flags":
                    flags[name] = netcdf.flag_table(found)
                bands[name] = _values(found, band, swath)
        except SceneBrokenError:
            if not band.optional:
                raise
    return bands, flags


def _variable(dataset: Any, names: tuple[str, ...], shape: tuple[int, ...]) -> Any:
    found = netcdf.variable(dataset, *names)
    if found is None:
        raise SceneBrokenError(f"no pixels of {names[0]}")
    if tuple(found.shape) != tuple(shape):
        raise SceneBrokenError(f"{names[0]} has a shape of {found.shape}, its geolocation {shape}")
    return found


def _values(found: Any, band: Band, swath: Window) -> npt.NDArray[Any]:
    if band.kind == "flags":
        return netcdf.words(found, swath)
    values = netcdf.decoded(found, swath)
    if band.kind == "value" and LOGARITHM.match(str(getattr(found, "units", ""))):
        with np.errstate(over="ignore"):
            values = np.power(10.0, values)
        values[~np.isfinite(values)] = np.nan
    return values


def _placing(lons: Values, lats: Values, target: CubeGrid) -> Placing | None:
    """Values of a swath onto a grid; a grid much coarser than the swath takes the mean of finer pixels."""
    step = rectify.spacing(*rectify.positions(lons, lats, target))
    factor = max(1, min(MAX_OVERSAMPLING, round(1 / step))) if step > 0 else 1
    rows, columns = target.shape
    fine = CubeGrid(
        target.crs, target.west, target.north, target.resolution / factor, (rows * factor, columns * factor)
    )
    index = rectify.index_swath(lons, lats, fine)
    if not index.covered:
        return None

    def place(values: Values, agg: str, log_space: bool) -> npt.NDArray[np.float32]:
        if agg != "mean":
            near = rectify.nearest(values, index, np.nan).astype(np.float32)
            return near[factor // 2 :: factor, factor // 2 :: factor]
        found = rectify.bilinear(np.log(values) if log_space else values, index)
        if factor > 1:
            found = block_mean(found, factor)
        return np.exp(found) if log_space else found

    return place


def block_mean(values: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """Mean of each factor x factor block without NaN, where at least half of it has a value; otherwise NaN."""
    rows, columns = values.shape[0] // factor, values.shape[1] // factor
    blocks = values.reshape(rows, factor, columns, factor).astype(np.float64)
    there = np.isfinite(blocks)
    count = there.sum(axis=(1, 3))
    total = np.where(there, blocks, 0).sum(axis=(1, 3))
    mean = np.full(count.shape, np.nan)
    np.divide(total, count, out=mean, where=2 * count >= factor * factor)
    return mean.astype(np.float32)
