"""Write a cube: a pyramid for maps and a copy chunked along time for series."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numcodecs import Blosc

from xcube_cubehub.grid import TILE, Grid, grid_of, halve, levels_of
from xcube_cubehub.recipes.model import Made

PYRAMID = "pyramid.levels"
SERIES = "series.zarr"
SERIES_EDGE = 16
"""Edge of a chunk of the time-chunked copy: one point reads one chunk of all times."""
INT16_FILL = -32768
_CODEC = Blosc(cname="zstd", clevel=5, shuffle=Blosc.SHUFFLE)
Report = Callable[[str, int, int], None]
"""Called with what is being written, the steps done and the steps in all."""


def spatial_dims(dataset: xr.Dataset) -> tuple[str, str]:
    """Names of the row and the column dimension."""
    return ("lat", "lon") if "lat" in dataset.dims else ("y", "x")


def cube_grid(dataset: xr.Dataset) -> Grid:
    """The grid of a cube with dims (lat, lon) or (y, x)."""
    y, x = spatial_dims(dataset)
    return grid_of(dataset[x].values, dataset[y].values)


def write_cube(made: Made, folder: Path, report: Report) -> None:
    """Write ``pyramid.levels`` and ``series.zarr`` into ``folder``.

    Parameters
    ----------
    made : Made
        The finest level with NaN where there is no value.
    folder : Path
        An existing folder; nobody reads it yet.
    report : callable
        Told about progress.

    Notes
    -----
    Zarr 2 with consolidated metadata: xcube 1.14's pyramids fail on Zarr 3, and everybody reads 2.
    """
    y, x = spatial_dims(made.dataset)
    levels = levels_of(cube_grid(made.dataset))
    steps = len(levels) + 1
    dataset = made.dataset
    write(made, dataset, folder / SERIES, {y: SERIES_EDGE, x: SERIES_EDGE})
    report("series", 1, steps)
    for number, grid in enumerate(levels):
        if number:
            dataset = coarsen(dataset, grid)
        write(made, dataset, folder / PYRAMID / f"{number}.zarr", {"time": 1, y: TILE, x: TILE})
        report(f"level {number}", number + 2, steps)
    meta = {
        "version": "1.0",
        "num_levels": len(levels),
        "agg_methods": dict.fromkeys(value_names(made.dataset), "mean"),
    }
    (folder / PYRAMID / ".zlevels").write_text(json.dumps(meta), encoding="utf-8")


def value_names(dataset: xr.Dataset) -> list[str]:
    """Variables with values (not the CRS)."""
    return [str(name) for name, variable in dataset.data_vars.items() if variable.ndim == 3]


def coarsen(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """The next level of ``dataset``, on ``grid``: mean of each 2 x 2 block without the missing ones."""
    y, x = spatial_dims(dataset)
    out = xr.Dataset(coords={"time": dataset["time"], y: grid.y, x: grid.x}, attrs=dataset.attrs)
    for axis in (y, x):
        out[axis].attrs.update(dataset[axis].attrs)
    for name, variable in dataset.data_vars.items():
        if variable.ndim == 3:
            # One time at a time: the padding and the means of a ten-year series would need several times its size.
            values = np.stack([halve(field) for field in variable.values])
            out[name] = (variable.dims, values, variable.attrs)
        else:
            out[name] = variable
    return out


def write(made: Made, dataset: xr.Dataset, path: Path, chunks: dict[str, int]) -> None:
    """Write one dataset as Zarr 2, packing the variables that ask for it."""
    encoding: dict[str, dict[str, Any]] = {
        "time": {"dtype": "int64", "units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
    }
    for name in value_names(dataset):
        variable = dataset[name]
        variable.encoding.clear()
        sizes = dict(zip(variable.dims, variable.shape, strict=True))
        shape = tuple(min(chunks.get(str(dim), size), size) for dim, size in sizes.items())
        encoding[name] = {"chunks": shape, "compressors": [_CODEC], "_FillValue": np.float32("nan")}
        if name in made.packing:
            encoding[name].update(dtype="int16", scale_factor=made.packing[name], _FillValue=INT16_FILL)
    dataset.to_zarr(path, zarr_format=2, consolidated=True, encoding=encoding, mode="w")
