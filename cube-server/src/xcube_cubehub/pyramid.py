"""From a cube in memory to a cube on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from xcube_cubehub.grid import Grid, grid_of
from xcube_cubehub.index import Index, Variable
from xcube_cubehub.recipes.model import Made
from xcube_cubehub.shards import flush
from xcube_cubehub.writer import CubeWriter, levels_for

INT16_FILL = -32768
Report = Callable[[str, int, int], None]
"""Called with what is being written, the steps done and the steps in all."""


def spatial_dims(dataset: xr.Dataset) -> tuple[str, str]:
    """Names of the row and the column dimension."""
    return ("lat", "lon") if "lat" in dataset.dims else ("y", "x")


def cube_grid(dataset: xr.Dataset) -> Grid:
    """The grid of a cube with dims (lat, lon) or (y, x)."""
    y, x = spatial_dims(dataset)
    return grid_of(dataset[x].values, dataset[y].values)


def value_names(dataset: xr.Dataset) -> list[str]:
    """Variables with values (not the CRS)."""
    return [str(name) for name, variable in dataset.data_vars.items() if variable.ndim == 3]


def empty_index(made: Made) -> Index:
    """How a cube is stored, before it has any time."""
    grid = cube_grid(made.dataset)
    variables = {}
    for name in value_names(made.dataset):
        style = made.styles.get(name)
        if name in made.packing:
            variables[name] = Variable("int16", INT16_FILL, made.packing[name], style=style)
        else:
            variables[name] = Variable(style=style)
    return Index(
        made.crs, grid.west, grid.north, grid.resolution, -grid.resolution, grid.shape, levels_for(grid.shape),
        spatial_dims(made.dataset), variables,
    )  # fmt: skip


def write_cube(made: Made, folder: Path, report: Report) -> None:
    """Write a cube into ``folder``.

    Parameters
    ----------
    made : Made
        The finest level with NaN where there is no value.
    folder : Path
        An existing folder; nobody reads it yet.
    report : callable
        Told about progress.
    """
    dataset = made.dataset
    names = value_names(dataset)
    attributes = {name: dict(dataset[name].attrs) for name in names}
    writer = CubeWriter(folder, empty_index(made), dict(dataset.attrs), attributes, durable=False)
    writer.create()
    seconds = dataset["time"].values.astype("datetime64[s]").astype(np.int64)
    order = np.argsort(seconds)
    for number, step in enumerate(order):
        writer.append(int(seconds[step]), {name: dataset[name].values[step] for name in names})
        report("maps", number + 1, len(order))
    writer.finish(lambda done, total: report("series", done, total))
    flush(folder)
