"""Datasets that are cubes already: each of their times is a scene."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from pyproj import CRS
from pyproj.exceptions import CRSError

from xcube_cubehub.errors import BadInputError, SceneBrokenError, SourceMissingError, SourceUnreachableError
from xcube_cubehub.sources.model import Asset, Bounds, Found, SceneHandle, skipped, unwrapped_bounds
from xcube_cubehub.steps import Area, SceneRef, TimeRange, digest

MAX_TIMES = 100_000
AXES = (("time", "t"), ("y", "lat", "latitude"), ("x", "lon", "longitude"))


@dataclass(frozen=True)
class Opening:
    """How a dataset is opened, in any process: ``zarr``, ``netcdf`` or ``store``, and what that takes."""

    how: str
    place: str
    options: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""

    def as_text(self) -> dict[str, str]:
        """For a handle."""
        return {"how": self.how, "place": self.place, "options": json.dumps(self.options, sort_keys=True)}


@contextmanager
def open_cube(opening: Opening) -> Iterator[xr.Dataset]:
    """The dataset, lazily.

    Raises
    ------
    SourceUnreachableError
        It cannot be opened.
    """
    try:
        if opening.how == "zarr":
            dataset = xr.open_zarr(opening.place, chunks=None, storage_options=dict(opening.options) or None)
        elif opening.how == "netcdf":
            dataset = xr.open_dataset(opening.place, engine="netcdf4")
        else:
            dataset = _from_store(opening)
    except (BadInputError, SourceMissingError):
        raise
    except Exception as error:
        message = f"{opening.place} cannot be opened as a cube: {type(error).__name__}: {error}"
        raise SourceUnreachableError(
            message[:400], "check its name, the network and the credentials"
        ) from error
    with dataset:
        yield dataset


def _from_store(opening: Opening) -> xr.Dataset:
    from xcube.core.store import DataStoreError, new_data_store  # noqa: PLC0415 - imports half of xcube

    identity, _, data_id = opening.place.partition("/")
    try:
        store = new_data_store(identity, **opening.options)
        dataset: xr.Dataset = store.open_data(data_id)
    except DataStoreError as error:
        raise SourceMissingError(
            f"store {identity}: {error}", "see `xcube io store list` and `... data list`"
        ) from error
    return dataset


def axes_of(dataset: xr.Dataset) -> tuple[str, str, str]:
    """Names of the dimensions of time, y and x.

    Raises
    ------
    SceneBrokenError
        One is missing, has no numbers, or is not monotonic.
    """
    found = []
    for names in AXES:
        name = next(
            (name for name in names if name in dataset.coords and dataset[name].dims == (name,)), None
        )
        if name is None:
            raise SceneBrokenError(f"it has no dimension {' or '.join(names)} with coordinates")
        found.append(name)
    for name in found[1:]:
        values = np.asarray(dataset[name].values, np.float64)
        steps = np.diff(values)
        if (
            len(values) < 2
            or not np.isfinite(values).all()
            or not np.allclose(steps, steps.mean(), rtol=0.02)
        ):
            raise SceneBrokenError(f"its {name} is not evenly spaced")
    if dataset[found[0]].dtype.kind != "M":
        raise SceneBrokenError(f"its {found[0]} holds no times")
    return found[0], found[1], found[2]


def crs_of(dataset: xr.Dataset, x_name: str) -> str:
    """The CRS as its grid mapping tells it; degrees where x is a longitude.

    Raises
    ------
    SceneBrokenError
        Nothing tells it.
    """
    for name in dataset.variables:
        attrs = dataset[name].attrs
        for key in ("crs_wkt", "spatial_ref"):
            if attrs.get(key):
                return _code(str(attrs[key]))
    if dataset.attrs.get("crs"):
        return _code(str(dataset.attrs["crs"]))
    if x_name in {"lon", "longitude"}:
        return "EPSG:4326"
    raise SceneBrokenError("nothing in it tells its coordinate reference system")


def _code(text: str) -> str:
    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        raise SceneBrokenError(f"its coordinate reference system {text[:60]!r} is unknown") from error
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else text


def _bounds(dataset: xr.Dataset, y_name: str, x_name: str, crs: str) -> Bounds | None:
    from rasterio.warp import transform_bounds  # noqa: PLC0415

    x, y = (np.asarray(dataset[name].values, np.float64) for name in (x_name, y_name))
    half_x, half_y = abs(x[1] - x[0]) / 2, abs(y[1] - y[0]) / 2
    box = (x.min() - half_x, y.min() - half_y, x.max() + half_x, y.max() + half_y)
    if CRS.from_user_input(crs).is_geographic:
        return float(box[0]), max(float(box[1]), -90), float(box[2]), min(float(box[3]), 90)
    west, south, east, north = transform_bounds(crs, "EPSG:4326", *box)
    return unwrapped_bounds([west, east + 360 if east < west else east], [south, north])


def scenes_of_cube(dataset: xr.Dataset, opening: Opening, name: str) -> tuple[SceneHandle, ...]:
    """A handle for each time.

    Raises
    ------
    SceneBrokenError
        It is no cube.
    """
    t_name, y_name, x_name = axes_of(dataset)
    crs = crs_of(dataset, x_name)
    bounds = _bounds(dataset, y_name, x_name, crs)
    times = dataset[t_name].values.astype("datetime64[s]")
    if len(times) > MAX_TIMES:
        raise SceneBrokenError(f"it has more than {MAX_TIMES:,} times")
    bands = {
        str(band): Asset(name)
        for band, values in dataset.data_vars.items()
        if {t_name, y_name, x_name} <= set(values.dims)
    }
    changed = [dataset.attrs.get(key) for key in ("date_modified", "date_created", "history", "input_sha256")]
    platform = str(dataset.attrs.get("platform", ""))
    scenes = []
    for position, time in enumerate(times):
        if np.isnat(time):
            continue
        identity = f"{name} {time}"
        mark = digest(
            identity, opening.mark, changed, sorted(bands), [len(dataset[y_name]), len(dataset[x_name])]
        )
        options = {**opening.as_text(), "index": str(position)}
        ref = SceneRef(identity, "", platform, time)
        scenes.append(
            SceneHandle(
                ref,
                mark,
                "cube",
                identity,
                f"cube {identity} {position}",
                (),
                bands,
                bounds,
                crs=crs,
                options=options,
            )
        )
    return tuple(scenes)


def opening_of(handle: SceneHandle) -> Opening:
    """How the dataset behind a handle is opened."""
    options = handle.options
    return Opening(options["how"], options["place"], json.loads(options["options"]))


@dataclass(frozen=True)
class CubeSource:
    """A cube in a data store of xcube, or at an address.

    Attributes
    ----------
    opening : Opening
        For a store, the place is ``STORE/DATASET`` and the options are the store's own.
    """

    opening: Opening

    @property
    def title(self) -> str:
        """Where it lies."""
        prefix = "store:" if self.opening.how == "store" else ""
        return f"{prefix}{re.sub('//[^/@]*@', '//', self.opening.place)}"

    def find(self, area: Area, time: TimeRange) -> Found:  # noqa: ARG002 - the planner selects
        """All times of the cube."""
        with open_cube(self.opening) as dataset:
            try:
                return Found(scenes_of_cube(dataset, self.opening, self.title))
            except SceneBrokenError as error:
                return Found(report=(skipped(self.title, error.message),))


def cube_in_netcdf(href: str, mark: str, name: str) -> tuple[SceneHandle, ...]:
    """The times of a cube in one NetCDF file.

    Raises
    ------
    SceneBrokenError
        It is none.
    """
    opening = Opening("netcdf", href, mark=mark)
    try:
        with open_cube(opening) as dataset:
            return scenes_of_cube(dataset, opening, name)
    except SourceUnreachableError as error:
        raise SceneBrokenError(error.message) from error
