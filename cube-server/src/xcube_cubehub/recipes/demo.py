"""Synthetic cubes over Estonian waters: to try ten years of time axis, never to learn about water."""

import json
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
import xarray as xr

from xcube_cubehub import land, synthetic
from xcube_cubehub.grid import Grid
from xcube_cubehub.index import Style
from xcube_cubehub.recipes.model import Made, Recipe

LABEL = "synthetic demonstration, not a measurement"
ESTONIA = Grid(west=21.6, north=59.96, resolution=0.02, shape=(134, 346))
PEIPSI = Grid(west=26.86, north=59.06, resolution=0.01, shape=(128, 136))
PACKING = {"conc_chl": 0.005, "conc_tsm": 0.002, "kd489": 0.0005}
STYLES = {
    "conc_chl": Style("viridis", 0.5, 60, "log"), "conc_tsm": Style("turbid", 0.5, 30, "log"),
    "kd489": Style("dense", 0.05, 3),
}  # fmt: skip
PEIPSI_STYLES = {
    "conc_chl": Style("viridis", 2, 60, "log"), "conc_tsm": Style("turbid", 1, 30, "log"),
    "kd489": Style("dense", 0.1, 3),
}  # fmt: skip
TITLES = {
    "conc_chl": ("Chlorophyll-a concentration", "mg m-3"),
    "conc_tsm": ("Total suspended matter, dry weight", "g m-3"),
    "kd489": ("Diffuse attenuation coefficient at 489 nm", "m-1"),
}
_KINDS = {"Lake Peipsi": synthetic.LAKE, "Võrtsjärv": synthetic.SHALLOW_LAKE}


def water(grid: Grid) -> synthetic.Water:
    """Sea from Natural Earth, the two lakes from our own outlines (Natural Earth's land has no lakes in it)."""
    kind = np.where(land.is_land(grid.x, grid.y), synthetic.LAND, synthetic.SEA)
    xs, ys = np.meshgrid(grid.x, grid.y)
    text = (resources.files("xcube_cubehub") / "places" / "estonian-lakes.geojson").read_text(
        encoding="utf-8"
    )
    for feature in json.loads(text)["features"]:
        lake = _KINDS.get(feature["properties"]["label"])
        if lake is not None:
            kind[shapely.contains_xy(shapely.geometry.shape(feature["geometry"]), xs, ys)] = lake
    return synthetic.Water(kind, share_of_land(kind == synthetic.LAND))


def share_of_land(is_land: npt.NDArray[np.bool_], radius: int = 2) -> npt.NDArray[np.float64]:
    """Mean of ``is_land`` over a square of ``2 * radius + 1`` pixels; beyond the edge the nearest pixel counts."""
    width = 2 * radius + 1
    full = np.pad(is_land.astype(float), radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(full, (width, width))
    mean: npt.NDArray[np.float64] = windows.mean(axis=(-2, -1))
    return mean


def make(
    _source: Path | None, *, grid: Grid, styles: dict[str, Style], first_year: int, last_year: int, step: int
) -> Made:
    """All days of the series."""
    place = water(grid)
    latitude = (grid.bounds[1] + grid.bounds[3]) / 2
    days = synthetic.days(first_year, last_year, step, latitude)
    values = {name: np.empty((len(days), *grid.shape), np.float32) for name in TITLES}
    for number, day in enumerate(days):
        for name, field in synthetic.scene(place, day).items():
            values[name][number] = field
    times = days.astype("datetime64[ns]") + np.timedelta64(10, "h")
    out = xr.Dataset(
        {
            name: (
                ("time", "lat", "lon"),
                values[name],
                {"long_name": f"{title} ({LABEL})", "units": unit, "comment": LABEL},
            )
            for name, (title, unit) in TITLES.items()
        },
        coords={"time": times, "lat": grid.y, "lon": grid.x},
    )
    return Made(out, "EPSG:4326", dict(PACKING), styles)


ESTONIAN_WATERS = Recipe(
    name="olci-water-quality-demo",
    version=1,
    title=f"Estonian waters 2015-2024: {LABEL}",
    description=f"{LABEL.capitalize()}. Made-up seasons, blooms and clouds over Lake Peipsi, Võrtsjärv, the Gulf of "
    "Riga and the Gulf of Finland, to try ten years of time axis.",
    attribution=f"{LABEL} (CubeHub); land outlines: Natural Earth",
    license="CC0-1.0",
    make=partial(make, grid=ESTONIA, styles=STYLES, first_year=2015, last_year=2024, step=4),
    synthetic=True,
)
LAKE_PEIPSI = Recipe(
    name="peipsi-demo-members",
    version=1,
    title=f"Lake Peipsi 2024: {LABEL}",
    description=f"{LABEL.capitalize()}. A small cube that only signed-in people see, so that protection can be tried.",
    attribution=f"{LABEL} (CubeHub); land outlines: Natural Earth",
    license="CC0-1.0",
    make=partial(make, grid=PEIPSI, styles=PEIPSI_STYLES, first_year=2024, last_year=2024, step=3),
    synthetic=True,
)
