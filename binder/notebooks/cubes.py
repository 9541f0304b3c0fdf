# ruff: noqa: INP001, T201 - it lies beside notebooks, and says what it opens to the person who reads them
"""Open a cube by its name, wherever the notebook runs.

On a CubeHub the cube server holds the cubes and ``CUBEHUB_CUBES_URL`` says where it is. Anywhere else the small
samples that travel with these notebooks stand in: the same variables and units, a crop of the same files.
"""

import os
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

SAMPLES = {
    "olci-water-quality": "olci-north-sea/cube.zarr",
    "msi-ndvi": "s2-ndvi-slovenia/ndvi_utm33.zarr",
}
"""Sample of each cube, below the folder of samples. Source and licence lie beside each."""


def on_a_hub() -> bool:
    """Whether a cube server is there to be asked."""
    return bool(os.environ.get("CUBEHUB_CUBES_URL"))


def samples_folder() -> Path:
    """Folder of the samples: ``CUBEHUB_SAMPLES`` on a hub, else ``data`` beside the notebooks' folder."""
    return Path(os.environ.get("CUBEHUB_SAMPLES") or Path(__file__).resolve().parent.parent / "data")


def address(name: str, level: int = 0) -> str:
    """Where a cube's Zarr is: a URL of the cube server, or the path of the sample.

    Parameters
    ----------
    name : str
        The cube's name, as in the viewer's address, e.g. ``olci-water-quality``.
    level : int
        Level of the pyramid: 0 is full resolution, each next one has half the pixels along x and y.
        Samples have no pyramid.
    """
    if on_a_hub():
        base = os.environ["CUBEHUB_CUBES_URL"].rstrip("/")
        return f"{base}/s3/pyramids/{name}.levels/{level}.zarr"
    return str(samples_folder() / SAMPLES[name])


def open_cube(name: str, level: int = 0, chunks: dict[str, int] | None = None) -> xr.Dataset:
    """Open a cube lazily: pixels are read when they are needed, chunk by chunk.

    Parameters
    ----------
    name, level
        See `address`.
    chunks : dict, optional
        How many pixels along each axis one block of work holds; multiples of the stored chunks, which are the default.

    Raises
    ------
    OSError
        The cube is not there, or the cube server does not answer. The message says where it was looked for.
    """
    return _open(name, address(name, level), chunks)


def open_sample(name: str) -> xr.Dataset:
    """Open the sample of a cube, on a hub too: it is the input the cube was built from, flags and all.

    Raises
    ------
    OSError
        There is no such sample; the message says where it was looked for.
    """
    return _open(name, str(samples_folder() / SAMPLES[name]))


def _open(name: str, where: str, chunks: dict[str, int] | None = None) -> xr.Dataset:
    try:
        cube = xr.open_zarr(where, consolidated=True, chunks=chunks or {})
    except Exception as error:  # noqa: BLE001 - of half a dozen libraries; the short message is for a person
        raise OSError(f"could not open {name!r} at {where}: {error}") from None
    # of a sample the end of its path: the folders above it are the machine's business
    print(
        f"{name}: "
        + (
            f"cube server, {where}"
            if where.startswith("http")
            else f"sample, {'/'.join(Path(where).parts[-2:])}"
        )
    )
    return cube


def ten_years() -> xr.Dataset:
    """Ten years of **synthetic** chlorophyll over coastal water: a demonstration, not a measurement.

    On a hub this is the published cube ``olci-water-quality-demo``;
    elsewhere a smaller one is made up on the spot, by the Dask workers, with the same variable and unit:
    a spring bloom, a weaker one in late summer, and clouds that hide two pixels of three.
    """
    if on_a_hub():
        return open_cube("olci-water-quality-demo", chunks={"time": 68})
    times = pd.date_range("2015-01-01", "2024-12-31", freq="4D")
    latitudes = np.linspace(59.6, 58.0, 160)
    longitudes = np.linspace(22.0, 24.4, 240)
    day = da.from_array(times.dayofyear.to_numpy(np.float32), chunks=61)[:, None, None]
    coast = da.from_array(np.linspace(1.4, 0.7, latitudes.size, dtype=np.float32), chunks=80)[None, :, None]
    east = da.from_array(np.linspace(0.8, 1.2, longitudes.size, dtype=np.float32), chunks=120)[None, None, :]
    bloom = 6 * da.exp(-(((day - 120) / 22) ** 2)) + 4 * da.exp(-(((day - 225) / 35) ** 2))
    draw = da.random.default_rng(2015)
    shape, chunks = (times.size, latitudes.size, longitudes.size), (61, 80, 120)
    noise = draw.lognormal(0, 0.25, size=shape, chunks=chunks)
    clear = draw.random(size=shape, chunks=chunks) < 1 / 3
    chlorophyll = da.where(clear, (1.5 + bloom) * coast * east * noise, np.nan).astype("float32")
    print("olci-water-quality-demo: made up here (synthetic demonstration, not a measurement)")
    return xr.Dataset(
        {
            "conc_chl": (
                ("time", "lat", "lon"),
                chlorophyll,
                {"long_name": "Chlorophyll concentration (synthetic)", "units": "mg m^-3"},
            )
        },
        coords={"time": times, "lat": latitudes, "lon": longitudes},
        attrs={"title": "Synthetic demonstration, not a measurement"},
    )
