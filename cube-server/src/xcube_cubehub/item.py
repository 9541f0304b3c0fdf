"""The STAC item of a built cube: how the catalogue finds it."""

import math
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import numpy as np
import pyproj
import xarray as xr

from xcube_cubehub.index import Index

PREFIX = "/services/cubes"
DATACUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"


class Described(Protocol):
    """What a catalogue tells of a cube."""

    @property
    def name(self) -> str:
        """Its id."""

    @property
    def title(self) -> str:
        """One line."""

    @property
    def description(self) -> str:
        """Some lines."""

    @property
    def license(self) -> str:
        """SPDX name, or where the terms are."""

    @property
    def attribution(self) -> str:
        """Whom to name."""

    @property
    def synthetic(self) -> bool:
        """Whether it was made up."""


def lonlat_bounds(bounds: tuple[float, float, float, float], crs: str) -> list[float]:
    """Bounds in degrees: west, south, east, north."""
    if crs == "EPSG:4326":
        return [round(value, 6) for value in bounds]
    project = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return [round(value, 6) for value in project.transform_bounds(*bounds)]


def bands(index: Index, units: Mapping[str, str]) -> list[dict[str, Any]]:
    """The variables of a cube as bands of STAC's raster extension, with statistics and histogram over all times.

    Parameters
    ----------
    index : Index
        What the cube holds.
    units : mapping of str to str
        By variable.
    """
    made = []
    for name, variable in index.variables.items():
        band: dict[str, Any] = {"name": name, "data_type": variable.dtype, "unit": units[name]}
        if variable.fill is not None or np.dtype(variable.dtype).kind == "f":
            band["nodata"] = "nan" if variable.fill is None else variable.fill
        if (variable.scale_factor, variable.add_offset) != (1.0, 0.0):
            band.update(scale=variable.scale_factor, offset=variable.add_offset)
        found = index.statistics.get(name)
        if found is not None:
            everything = math.prod(index.shape) * len(index.times)
            band["statistics"] = {
                "minimum": found.minimum, "maximum": found.maximum, "mean": found.mean, "stddev": found.deviation,
                "valid_percent": 100 * found.count / everything,
            }  # fmt: skip
            band["histogram"] = {
                "count": len(found.histogram), "min": found.low, "max": found.high, "buckets": list(found.histogram),
            }  # fmt: skip
        made.append(band)
    return made


def stac_item(
    recipe: Described,
    dataset: xr.Dataset,
    bounds: tuple[float, float, float, float],
    crs: str,
    index: Index | None = None,
    prefix: str = PREFIX,
) -> dict[str, Any]:
    """Describe a cube as a STAC 1.0 item.

    Parameters
    ----------
    recipe : Recipe
        Names and licence.
    dataset : Dataset
        The finest level: its times and variables are listed.
    bounds : tuple of float
        Outer edges in ``crs``.
    index : Index, optional
        What the cube holds: its statistics are told as those of the raster extension.
    prefix : str
        Path under which the cube server answers.

    Returns
    -------
    dict
        GeoJSON feature with root-relative links, ready for JSON.
    """
    west, south, east, north = box = lonlat_bounds(bounds, crs)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    times = [f"{str(t)[:19]}Z" for t in np.sort(dataset["time"].values).astype("datetime64[s]")]
    names = [str(name) for name, variable in dataset.data_vars.items() if variable.ndim == 3]
    units = {name: str(dataset[name].attrs["units"]) for name in names}
    viewer = f"{prefix}/viewer/?{urlencode({'dataset': recipe.name, 'variable': names[0]})}"
    spatial = [str(d) for d in dataset[names[0]].dims[1:]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [DATACUBE, *([] if index is None else [RASTER])],
        "id": recipe.name,
        "collection": "cubes",
        "bbox": box,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "title": recipe.title,
            "description": recipe.description,
            "datetime": None,
            "start_datetime": times[0],
            "end_datetime": times[-1],
            "license": recipe.license,
            "attribution": recipe.attribution,
            "synthetic": recipe.synthetic,
            "cube:dimensions": {
                "time": {"type": "temporal", "extent": [times[0], times[-1]], "values": times},
                **{
                    name: {
                        "type": "spatial",
                        "axis": axis,
                        "extent": [bounds[low], bounds[low + 2]],
                        "step": (bounds[low + 2] - bounds[low]) / dataset.sizes[name],
                        "reference_system": int(crs.removeprefix("EPSG:")),
                    }
                    for name, axis, low in ((spatial[1], "x", 0), (spatial[0], "y", 1))
                },
            },
            "cube:variables": {
                name: {
                    "type": "data",
                    "dimensions": [str(d) for d in dataset[name].dims],
                    # beside the dimensions' extents, which are outer edges: how many pixels there are
                    "shape": list(dataset[name].shape),
                    "description": dataset[name].attrs["long_name"],
                    "unit": dataset[name].attrs["units"],
                }
                for name in names
            },
        },
        "assets": {
            "zarr": {
                "href": f"{prefix}/s3/datasets/{recipe.name}.zarr",
                "type": "application/vnd+zarr",
                "roles": ["data"],
                "title": "Zarr, finest level",
                **({} if index is None else {"raster:bands": bands(index, units)}),
            },
            "pyramid": {
                "href": f"{prefix}/s3/pyramids/{recipe.name}.levels",
                "type": "application/vnd+zarr",
                "roles": ["data", "overview"],
                "title": "Zarr, all levels",
            },
            "viewer": {
                "href": viewer,
                "type": "text/html",
                "roles": ["visual"],
                "title": "Open in the viewer",
            },
        },
        "links": [{"rel": "alternate", "href": viewer, "type": "text/html", "title": "Viewer"}],
    }
