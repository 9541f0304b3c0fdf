"""Functions of xcube 1.14.1 that a visitor would stumble over, wrapped or replaced."""

import io
import math
import os
import stat
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any

import matplotlib.colorbar
import matplotlib.figure
import numpy as np
import pyproj
import shapely
import xarray as xr
from fsspec.implementations.local import LocalFileSystem
from matplotlib.colors import BoundaryNorm, LogNorm, Normalize
from xcube.core import geom, timeseries
from xcube.server.api import ApiError
from xcube.webapi.datasets import controllers as datasets_controllers
from xcube.webapi.datasets import routes as datasets_routes
from xcube.webapi.datasets.context import DatasetsContext
from xcube.webapi.ows.coverages import controllers as coverages_controllers
from xcube.webapi.ows.stac import controllers as stac_controllers
from xcube.webapi.s3.objectstorage import ObjectStorage
from xcube.webapi.statistics import routes as statistics_routes
from xcube.webapi.timeseries import controllers as series_controllers
from xcube.webapi.timeseries import routes as series_routes
from xcube.webapi.volumes import routes as volumes_routes

from xcube_cubehub.parameters import is_key

NearEmpty = Callable[[str], Collection[int]]
"""Gives, by dataset id, the positions of the times that show next to nothing."""
MAX_COVERAGE_VALUES = 4000 * 4000
"""xcube bounds columns times rows by this, however many times and variables there are."""
MAX_PNG_BANDS = 4
MESH = 33
"""Points either way at which a projection is tried."""
PIXELS_PER_INCH = 100
LEGEND_WIDTH, LEGEND_HEIGHT = 256, 64
_SCALES = {"lin": Normalize, "log": LogNorm}


def install(near_empty: NearEmpty) -> None:
    """Wrap them. Like xcube's API objects these are module globals, so this holds for the process; once is enough."""
    wrapped: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (datasets_controllers, "get_dataset_coordinates", lambda f: listing_of_times(f, near_empty)),
        (series_controllers, "collect_timeseries_result", counting),
        (series_routes, "get_non_spatial_dimensions", of_expressions),
        (statistics_routes, "get_non_spatial_dimensions", of_expressions),
        (ObjectStorage, "_parse_key", inside),
        (volumes_routes, "select_subset", not_empty),
        (timeseries, "mask_dataset_by_geometry", without_times),
        (geom, "intersect_geometries", repaired),
        (coverages_controllers, "_apply_bbox", not_empty),
        (coverages_controllers, "_apply_subsetting", lambda f: not_empty(of_what_is_left(f))),
        (coverages_controllers, "resample_in_space", with_coordinates),
        (coverages_controllers, "CoverageScaling", bounded),
        (coverages_controllers, "dataset_to_image", of_images),
        (datasets_routes, "get_legend", legend),
        (stac_controllers, "_get_bboxes", of_nothing),
    ]
    # xcube describes 16 pixels, in which there is no room for numbers below the colours.
    described = {parameter["name"]: parameter["schema"] for parameter in datasets_routes.LEGEND_PARAMETERS}
    described["height"]["default"] = LEGEND_HEIGHT
    for owner, name, wrap in wrapped:
        function = getattr(owner, name)
        if not hasattr(function, "__wrapped__"):
            setattr(owner, name, wrap(function))


def listing_of_times(
    function: Callable[..., dict[str, Any]], near_empty: NearEmpty
) -> Callable[..., dict[str, Any]]:
    """Leave times without a picture out of the description of a dataset.

    Notes
    -----
    The viewer opens a cube at the last time of that list and steps through it, so a clouded last day would be an empty
    map as the first impression. The times stay in the data: series, ``/coords/time`` and the object store have them all.
    """

    @wraps(function)
    def coordinates(ctx: Any, ds_id: str, dim_name: str) -> dict[str, Any]:
        found = function(ctx, ds_id, dim_name)
        if dim_name == "time":
            hidden = near_empty(ds_id)
            kept = [value for number, value in enumerate(found["coordinates"]) if number not in hidden]
            found.update(coordinates=kept, size=len(kept))
        return found

    return coordinates


def counting(function: Callable[..., list[dict[str, Any]]]) -> Callable[..., list[dict[str, Any]]]:
    """Make ``count`` of a polygon's series JSON: xcube puts a numpy integer there, and the answer is a 500."""

    @wraps(function)
    def collect(series: xr.Dataset, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        total = int(series.attrs.get("max_number_of_observations", 1))
        return function(series.assign_attrs(max_number_of_observations=total), *args, **kwargs)

    return collect


def inside(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have the object store know only keys inside its cubes.

    Notes
    -----
    xcube joins the key to the cube's folder, so one with ``..`` in it was any file of the machine, for everybody. The
    guard refuses such a key before (`xcube_cubehub.parameters`); here it does not exist whoever asks.
    """

    @wraps(function)
    def parse(self: ObjectStorage, key: str) -> Any:
        if not is_key(key):
            raise KeyError(key)
        store, name = function(self, key)
        root = getattr(store, "root", None)
        if isinstance(getattr(store, "fs", None), LocalFileSystem) and root and not lies_in(str(root), name):
            raise KeyError(key)
        return store, name

    return parse


def lies_in(root: str, name: str) -> bool:
    """Whether a name below a folder is a plain file, or nothing, with no link on the way that leads elsewhere."""
    there = f"{os.path.realpath(root)}/{name}"
    if os.path.realpath(there) != there:
        return False
    try:
        return stat.S_ISREG(os.lstat(there).st_mode)
    except OSError:
        return True


def of_expressions(function: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
    """Let series and statistics of ``name=expression`` be asked for as tiles are: xcube looks it up as a variable."""

    @wraps(function)
    def dimensions(ctx: Any, request: Any, ds_id: str, variable: str) -> dict[Any, Any]:
        if "=" in variable:
            dataset = ctx.datasets_ctx.get_dataset(ds_id)
            variable = next(str(n) for n, values in dataset.data_vars.items() if values.ndim >= 2)
        return function(ctx, request, ds_id, variable)

    return dimensions


def not_empty(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a selection holds nothing, where xcube goes on to divide by its size or take its first pixel."""

    @wraps(function)
    def select(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        dataset = found[1] if isinstance(found, tuple) else found
        if not all(dataset.sizes.values()):
            raise ApiError.NotFound("nothing of the cube lies within the area and the times asked for")
        return found

    return select


def without_times(function: Callable[..., xr.Dataset | None]) -> Callable[..., xr.Dataset | None]:
    """Give an empty series for an area and no times, as xcube does for a point."""

    @wraps(function)
    def mask(dataset: xr.Dataset, *args: Any, **kwargs: Any) -> xr.Dataset | None:
        return function(dataset, *args, **kwargs) if all(dataset.sizes.values()) else None

    return mask


def repaired(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make areas valid before they are cut by the bounds of a cube.

    Notes
    -----
    With one that crosses itself (a bow-tie) GEOS fails there, or gives nothing, or part of it. Repaired, all that its
    edges enclose counts. What is posted is bounded before (`xcube_cubehub.geojson`); some become invalid only by
    being projected.
    """

    @wraps(function)
    def intersect(first: Any, second: Any) -> Any:
        area = geom.normalize_geometry(second)
        if area is not None and not area.is_valid:
            area = shapely.make_valid(area, method="structure", keep_collapsed=False)
        return function(first, area)

    return intersect


def of_what_is_left(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pass over a selection by a dimension of size 1 that is gone: xcube drops these once a time is chosen."""

    @wraps(function)
    def subset(dataset: xr.Dataset, selection: Mapping[str, Any], crs: Any) -> Any:
        left = {axis: value for axis, value in selection.items() if getattr(dataset.get(axis), "ndim", 1)}
        return function(dataset, left, crs)

    return subset


def with_coordinates(function: Callable[..., xr.Dataset]) -> Callable[..., xr.Dataset]:
    """Put a reprojected coverage's coordinates on its dimensions, where xcube leaves them beside.

    xcube then cuts it by pixel numbers, or fails, and names those as its bounds. It also loses a time that is the only
    one on the way, and fails where it misses it; so that is left out before, as it is where one time is asked for.
    """

    @wraps(function)
    def resample(dataset: xr.Dataset, *, source_gm: Any, target_gm: Any, **kwargs: Any) -> xr.Dataset:
        if source_gm.crs != target_gm.crs:
            dataset = dataset.squeeze()
        found = function(dataset, source_gm=source_gm, target_gm=target_gm, **kwargs)
        bare = [dim for dim in found.dims if dim not in found.coords]
        beside = {dim: name for dim in bare for name, c in found.coords.items() if c.dims == (dim,)}
        moved = found.assign_coords({dim: found[name].values for dim, name in beside.items()})
        return moved.drop_vars(list(beside.values()))

    return resample


def bounded(scaling: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse coverages of nothing, of less than two pixels either way, or of more values than fit into memory.

    Also those that the projection asked for cannot show.

    Notes
    -----
    xcube asks for the scaling once the dataset is cut out, before anything is read.
    """

    @wraps(scaling)
    def scale(request: Any, crs: Any, dataset: xr.Dataset) -> Any:
        if not all(dataset.sizes.values()):
            raise ApiError.NotFound("nothing of the cube lies within the area and the times asked for")
        if not within(dataset, crs):
            raise ApiError.BadRequest(
                f"the area reaches beyond what {crs.to_string()} can show: take a smaller bbox, or another crs"
            )
        made = scaling(request, crs, dataset)
        columns, rows = made.size
        widest, highest = made._initial_size  # noqa: SLF001 - the size before scaling has no other name
        if columns > widest or rows > highest:
            raise ApiError.BadRequest(f"a coverage is not enlarged: here it has {widest} by {highest} pixels")
        if min(columns, rows) < 2:
            raise ApiError.BadRequest(
                "a coverage has at least 2 by 2 pixels: take a larger bbox or less scaling"
            )
        layers = sum(math.prod(v.shape[:-2]) for v in dataset.data_vars.values() if v.ndim >= 2)
        values = int(columns * rows * layers)
        if values > MAX_COVERAGE_VALUES:
            raise ApiError.ContentTooLarge(
                f"the coverage has {values} values, at most {MAX_COVERAGE_VALUES} are given out: "
                "take a smaller bbox, fewer times (datetime) or fewer variables (properties)"
            )
        return made

    return scale


def within(dataset: xr.Dataset, crs: pyproj.CRS) -> bool:
    """Whether a projection has a finite place for all of a dataset.

    Notes
    -----
    Seen at a mesh of points, its corners and edges among them. Where one is infinite xcube fails, on a large cube after
    having projected all of it. The area of use that a projection names is no measure: many a country lies across two
    zones of UTM.
    """
    native = coverages_controllers.get_crs_from_dataset(dataset)
    west, south, east, north = coverages_controllers.get_bbox_from_ds(dataset)
    mesh = np.meshgrid(np.linspace(west, east, MESH), np.linspace(south, north, MESH))
    to_crs = pyproj.Transformer.from_crs(native, crs, always_xy=True)
    return bool(np.isfinite(to_crs.transform(*mesh)).all())


def of_images(function: Callable[..., bytes]) -> Callable[..., bytes]:
    """Refuse images of more layers than the format holds."""

    @wraps(function)
    def image(dataset: xr.Dataset, image_format: str = "png", crs: Any = None) -> bytes:
        shown = [v.squeeze() for v in dataset.data_vars.values() if v.ndim >= 2]
        bands = sum(math.prod(v.shape[:-2]) for v in shown)
        if any(v.ndim > 2 for v in shown) and len(shown) > 1:
            raise ApiError.BadRequest("an image holds one time (datetime) or one variable (properties)")
        if image_format == "png" and bands > MAX_PNG_BANDS:
            raise ApiError.BadRequest(
                f"a PNG holds at most {MAX_PNG_BANDS} layers, not {bands}: choose one time (datetime), or f=geotiff"
            )
        return function(dataset, image_format, crs)

    return image


def legend(function: Callable[..., bytes]) -> Callable[..., bytes]:
    """Draw legends in the size that is asked for, which xcube describes as pixels and takes as inches.

    Notes
    -----
    A legend without a size was 25,600 by 1,600 pixels: a second, and 160 MB while it was drawn.
    """

    @wraps(function)
    def draw(ctx: DatasetsContext, ds_id: str, variable: str, params: Mapping[str, str]) -> bytes:
        colours, scale, (low, high) = ctx.get_color_mapping(ds_id, variable)
        cmap, _ = ctx.colormap_registry.get_cmap(params.get("cmap", params.get("cbar", colours)))
        width, height = int(params.get("width", LEGEND_WIDTH)), int(params.get("height", LEGEND_HEIGHT))
        ends = float(params.get("vmin", low)), float(params.get("vmax", high))
        scale = params.get("norm", scale)
        norm = (
            BoundaryNorm(range(cmap.N + 1), cmap.N)
            if scale == "cat"
            else _SCALES.get(scale, Normalize)(*ends)
        )
        figure = matplotlib.figure.Figure(
            figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH),
            dpi=PIXELS_PER_INCH,
            layout="constrained",
        )
        bar = matplotlib.colorbar.Colorbar(
            figure.add_subplot(),
            cmap=cmap,
            norm=norm,
            orientation="horizontal" if width > height else "vertical",
        )
        units = ctx.get_dataset(ds_id).get(variable, xr.DataArray()).attrs.get("units")
        bar.set_label(str(units or ""))
        figure.patch.set_alpha(0.0)
        out = io.BytesIO()
        figure.savefig(out, format="png")
        return out.getvalue()

    return draw


def of_nothing(function: Callable[..., list[list[float]]]) -> Callable[..., list[list[float]]]:
    """The extent of all datasets: the whole world where somebody may see none. xcube looks for the smallest of nothing."""

    @wraps(function)
    def boxes(ds_ctx: DatasetsContext) -> list[list[float]]:
        return function(ds_ctx) if ds_ctx.get_dataset_configs() else [[-180.0, -90.0, 180.0, 90.0]]

    return boxes
