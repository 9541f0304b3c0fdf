"""Scenes whose pixels lie on a grid of their own: Sentinel-2 tiles, and times of a cube."""

import json
import math
import posixpath
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import xarray as xr
from affine import Affine
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject
from rasterio.windows import Window

from xcube_cubehub.cubegrid import CubeGrid, parsed_crs
from xcube_cubehub.errors import CubeError, SceneBrokenError
from xcube_cubehub.making.native import Native, Placing, Values, part
from xcube_cubehub.making.spec import Band, RecipeFile
from xcube_cubehub.sources.cubes import axes_of, open_cube, opening_of
from xcube_cubehub.sources.files import REMOTE
from xcube_cubehub.sources.model import Asset, SceneHandle

DRIVERS = ("GTiff", "JP2OpenJPEG")
"""What a scene may be, whatever its name: other formats of GDAL can point at further files and hosts."""

GDAL = {
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_CACHEMAX": 128,
}
GDAL_REMOTE = {**GDAL, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""A remote folder is not listed. On a disk it is: what lies beside a JPEG 2000 may tell where it is (``.aux.xml``)."""

BLOCK = 1024
"""Edge of a piece that is held in memory at once, in the scene's pixels."""

PAD = 4
"""Pixels around a piece, for interpolation at its edge."""

Box = tuple[float, float, float, float]
ReadBand = Callable[[str, Window, Affine], npt.NDArray[Any]]


@dataclass(frozen=True)
class Raster:
    """Where a scene's pixels are, and how a window of a band is read."""

    crs: str
    transform: Affine
    shape: tuple[int, int]
    read: ReadBand
    names: tuple[str, ...]
    flags: dict[str, dict[str, int]]

    @property
    def box(self) -> Box:
        """Outer edges: west, south, east, north."""
        rows, columns = self.shape
        west, north = self.transform.c, self.transform.f
        return west, north + rows * self.transform.e, west + columns * self.transform.a, north


def read_raster(handle: SceneHandle, recipe: RecipeFile, grid: CubeGrid) -> Iterator[Native]:
    """A scene over a grid, in pieces that fit into memory.

    Raises
    ------
    SceneBrokenError
        A needed band is missing or unreadable.
    """
    opener = _cube if handle.kind == "cube" else _tiles
    try:
        with opener(handle, recipe, grid) as raster:
            for window, source in _pieces(raster, grid):
                transform = raster.transform * Affine.translation(source.col_off, source.row_off)
                bands = {name: raster.read(name, source, transform) for name in raster.names}
                place = _placing(raster.crs, transform, part(grid, window))
                yield Native(bands, place, window, raster.flags)
    except (
        RasterioError,
        ProjError,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        MemoryError,
    ) as error:
        # GDAL's own words are in the cause, if there is one
        raise SceneBrokenError(f"it cannot be read: {error.__cause__ or error}") from error


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(parsed_crs(source), parsed_crs(target), always_xy=True)


def box_in(box: Box, source: str, target: str, middle: float | None = None) -> Box | None:
    """A box in another CRS: around points along its edges and inside; longitudes within half a turn of ``middle``.

    None if no point has a place there.
    """
    across, down = np.linspace(box[0], box[2], 11), np.linspace(box[1], box[3], 11)
    x, y = (values.ravel() for values in np.meshgrid(across, down))
    x, y = _transformer(source, target).transform(x, y)
    there = np.isfinite(x) & np.isfinite(y)
    if not there.any():
        return None
    x, y = x[there], y[there]
    if middle is not None:
        x = (x - middle + 180) % 360 - 180 + middle
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _pieces(raster: Raster, grid: CubeGrid) -> Iterator[tuple[tuple[slice, slice], Window]]:
    """Windows of the grid, each with the window of the scene that fills it."""
    west, _, east, north = grid.bounds
    middle = (west + east) / 2 if grid.is_geographic else None
    box = box_in(raster.box, raster.crs, grid.crs, middle)
    if box is None:
        return
    rows = _span((north - box[3]) / grid.resolution, (north - box[1]) / grid.resolution, 1, grid.shape[0])
    columns = _span((box[0] - west) / grid.resolution, (box[2] - west) / grid.resolution, 1, grid.shape[1])
    pixels = (box[2] - box[0]) / grid.resolution
    side = max(16, min(BLOCK, round(BLOCK * pixels / max(raster.shape[1], 1))))
    source_middle = (raster.box[0] + raster.box[2]) / 2 if parsed_crs(raster.crs).is_geographic else None
    for top in range(rows.start, rows.stop, side):
        for left in range(columns.start, columns.stop, side):
            window = slice(top, min(top + side, rows.stop)), slice(left, min(left + side, columns.stop))
            there = box_in(part(grid, window).bounds, grid.crs, raster.crs, source_middle)
            if there is None:
                continue
            at = raster.transform
            down = _span((at.f - there[3]) / -at.e, (at.f - there[1]) / -at.e, PAD, raster.shape[0])
            along = _span((there[0] - at.c) / at.a, (there[2] - at.c) / at.a, PAD, raster.shape[1])
            if down.start < down.stop and along.start < along.stop:
                yield (
                    window,
                    Window(along.start, down.start, along.stop - along.start, down.stop - down.start),
                )


def _span(first: float, last: float, margin: int, size: int) -> slice:
    start = max(math.floor(first + 1e-6) - margin, 0)
    return slice(start, max(min(math.ceil(last - 1e-6) + margin, size), start))


def _placing(crs: str, transform: Affine, target: CubeGrid) -> Placing:
    """Values of a piece onto a part of the grid.

    Notes
    -----
    The same pixels are copied. Otherwise values are interpolated between the four around, or averaged where the grid
    is coarser, and kept only where the nearest pixel has a value: a mask neither grows nor shrinks.
    """
    goal = Affine(*target.transform)
    shift_x, shift_y = (goal.c - transform.c) / transform.a, (transform.f - goal.f) / -transform.e
    same = (
        parsed_crs(crs) == parsed_crs(target.crs)
        and math.isclose(transform.a, goal.a, rel_tol=1e-6)
        and math.isclose(transform.e, goal.e, rel_tol=1e-6)
        and abs(shift_x - round(shift_x)) < 1e-3
        and abs(shift_y - round(shift_y)) < 1e-3
    )
    step = 1.0 if same else _step(crs, transform, target)

    def warp(values: npt.NDArray[np.float32], resampling: Resampling) -> npt.NDArray[np.float32]:
        found = np.full(target.shape, np.nan, np.float32)
        reproject(
            values,
            found,
            src_transform=transform,
            src_crs=crs,
            dst_transform=goal,
            dst_crs=target.crs,
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=resampling,
            num_threads=1,
        )
        return found

    def place(values: Values, agg: str, log_space: bool) -> npt.NDArray[np.float32]:
        if same:
            return _copied(values, round(shift_y), round(shift_x), target.shape)
        plain = (np.log(values) if log_space else values).astype(np.float32)
        near = warp(plain, Resampling.nearest)
        if agg != "mean":
            return near if step > 0.67 else warp(plain, Resampling.mode)
        if step <= 0.67:
            found = warp(plain, Resampling.average)
        else:
            found = np.where(np.isfinite(near), warp(plain, Resampling.bilinear), np.nan).astype(np.float32)
        return np.exp(found) if log_space else found

    return place


def _step(crs: str, transform: Affine, target: CubeGrid) -> float:
    """Edge of a scene's pixel in grid pixels, where the grid is."""
    west, south, east, north = target.bounds
    x, y = (west + east) / 2, (south + north) / 2
    xs, ys = _transformer(target.crs, crs).transform(
        [x, x + target.resolution, x], [y, y, y + target.resolution]
    )
    edges = [math.hypot(xs[n] - xs[0], ys[n] - ys[0]) for n in (1, 2)]
    edge = math.sqrt(edges[0] * edges[1])
    return transform.a / edge if math.isfinite(edge) and edge > 0 else 1.0


def _copied(values: Values, down: int, along: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    found = np.full(shape, np.nan, np.float32)
    top, left = max(-down, 0), max(-along, 0)
    block = values[max(down, 0) : max(down + shape[0], 0), max(along, 0) : max(along + shape[1], 0)]
    block = block[: shape[0] - top, : shape[1] - left]
    found[top : top + block.shape[0], left : left + block.shape[1]] = block
    return found


@contextmanager
def _tiles(handle: SceneHandle, recipe: RecipeFile, _grid: CubeGrid) -> Iterator[Raster]:
    with ExitStack() as stack:
        used = [handle.assets.get(band.asset or name) for name, band in recipe.bands.items()]
        remote = any(asset is not None and REMOTE.match(asset.href) for asset in used)
        stack.enter_context(rasterio.Env(**(GDAL_REMOTE | _store(handle) if remote else GDAL)))
        opened: dict[str, Any] = {}
        for name, band in recipe.bands.items():
            asset = handle.assets.get(band.asset or name)
            if asset is None or asset.problem:
                if band.optional:
                    continue
                raise SceneBrokenError(
                    asset.problem if asset else f"it has no {band.asset or name} that can be read"
                )
            opened[name] = stack.enter_context(_opened(asset.href))
        values = [name for name in opened if recipe.bands[name].kind == "value"]
        if not opened:
            raise SceneBrokenError("it has none of the bands")
        base = min((opened[name] for name in values or opened), key=lambda dataset: abs(dataset.transform.a))
        transform = base.transform
        if (
            base.crs is None
            or transform.b
            or transform.d
            or transform.a <= 0
            or not math.isclose(transform.a, -transform.e)
        ):
            raise SceneBrokenError("its pixels are not square, not north-up or nowhere")

        def read(name: str, window: Window, there: Affine) -> npt.NDArray[Any]:
            band = recipe.bands[name]
            return _tile_band(opened[name], band, handle.assets[band.asset or name], base, window, there)

        yield Raster(base.crs.to_wkt(), transform, base.shape, read, tuple(opened), {})


def _store(handle: SceneHandle) -> dict[str, Any]:
    """Options of an S3 store, as fsspec takes them, for GDAL; keys come from the environment (``AWS_...``)."""
    options = json.loads(handle.options.get("files", "{}"))
    found: dict[str, Any] = {"AWS_NO_SIGN_REQUEST": "YES"} if options.get("anon") else {}
    endpoint = options.get("endpoint_url") or options.get("client_kwargs", {}).get("endpoint_url")
    if endpoint:
        protocol, _, host = str(endpoint).rstrip("/").rpartition("://")
        secure = "NO" if protocol == "http" else "YES"
        found |= {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": secure, "AWS_VIRTUAL_HOSTING": "FALSE"}
    return found


def _opened(href: str) -> Any:
    """A raster in one of the allowed formats, whatever its name says."""
    for driver in DRIVERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # it becomes a line of the report
                return rasterio.open(href, driver=driver)
        except RasterioError as error:
            failed = error
    name = posixpath.basename(href.partition("?")[0])
    raise SceneBrokenError(f"{name} is no GeoTIFF and no JPEG 2000: {failed}") from failed


def _tile_band(
    dataset: Any, band: Band, asset: Asset, base: Any, window: Window, there: Affine
) -> npt.NDArray[Any]:
    if dataset.transform == base.transform and dataset.shape == base.shape:
        stored = dataset.read(1, window=window)
    else:
        resampling = Resampling.bilinear if band.kind == "value" else Resampling.nearest
        size = {"width": int(window.width), "height": int(window.height)}
        nodata = asset.nodata if asset.nodata is not None else dataset.nodata
        with WarpedVRT(
            dataset, crs=base.crs, transform=there, nodata=nodata, resampling=resampling, **size
        ) as view:
            stored = view.read(1)
    if band.kind == "flags":
        return np.asarray(stored.astype(np.uint64))
    values: Values = stored.astype(np.float64)
    for nodata in (asset.nodata, dataset.nodata):
        if nodata is not None:
            values[stored == nodata] = np.nan
    values *= asset.scale
    values += asset.offset
    return values


@contextmanager
def _cube(handle: SceneHandle, recipe: RecipeFile, grid: CubeGrid) -> Iterator[Raster]:
    try:
        with open_cube(opening_of(handle)) as dataset:
            t_name, y_name, x_name = axes_of(dataset)
            now = dataset.isel({t_name: int(handle.options["index"])})
            _require_same(now[t_name].values, handle)
            now = now.sortby(y_name, ascending=False)
            x = now[x_name].values.astype(np.float64)
            if parsed_crs(handle.crs).is_geographic:
                middle = (grid.bounds[0] + grid.bounds[2]) / 2 if grid.is_geographic else 0.0
                x = (x - middle + 180) % 360 - 180 + middle
            now = now.assign_coords({x_name: x}).sortby(x_name)
            bands = {
                name: _layer(now, band.variables or (name,), band) for name, band in recipe.bands.items()
            }
            there = {
                name: layer.transpose(y_name, x_name).load()
                for name, layer in bands.items()
                if layer is not None
            }
            x, y = now[x_name].values, now[y_name].values
    except SceneBrokenError:
        raise
    except CubeError as error:
        raise SceneBrokenError(error.message) from error
    arrays: dict[str, npt.NDArray[Any]] = {
        name: words(layer.values) if recipe.bands[name].kind == "flags" else layer.values.astype(np.float64)
        for name, layer in there.items()
    }
    flags = {name: _table(layer.attrs) for name, layer in there.items()}
    edge, height = float(x[-1] - x[0]) / (len(x) - 1), float(y[0] - y[-1]) / (len(y) - 1)
    if not math.isclose(edge, height, rel_tol=0.01):
        raise SceneBrokenError("its pixels are not square")
    transform = Affine(edge, 0, float(x[0]) - edge / 2, 0, -height, float(y[0]) + height / 2)

    def read(name: str, window: Window, _there: Affine) -> npt.NDArray[Any]:
        rows, columns = window.toslices()
        part_of: npt.NDArray[Any] = arrays[name][rows, columns]
        return part_of

    yield Raster(handle.crs, transform, (len(y), len(x)), read, tuple(arrays), flags)


def _require_same(moment: Any, handle: SceneHandle) -> None:
    if moment.astype("datetime64[s]") != handle.ref.sensing:
        raise SceneBrokenError("the cube has changed since it was looked at")


def _layer(dataset: xr.Dataset, names: tuple[str, ...], band: Band) -> xr.DataArray | None:
    found = next((name for name in names if name in dataset.data_vars), None)
    if found is None and not band.optional:
        raise SceneBrokenError(f"it has no variable {' or '.join(names)}")
    return None if found is None else dataset[found]


def words(stored: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Flag words as uint64, from whatever a cube keeps them in; NaN is 0, a sign is bit 31."""
    whole = np.where(np.isfinite(stored), stored, 0).astype(np.int64)
    found: npt.NDArray[np.uint64] = np.where(whole < 0, whole + (1 << 32), whole).astype(np.uint64)
    return found


def _table(attrs: dict[str, Any]) -> dict[str, int]:
    names, masks = str(attrs.get("flag_meanings", "")).split(), np.atleast_1d(attrs.get("flag_masks", []))
    return {name: int(mask) & 0xFFFFFFFF for name, mask in zip(names, masks, strict=False)}
