"""olci-water-quality: real Sentinel-3 OLCI C2RCC water quality with the quality flags applied."""

from pathlib import Path

import numpy as np
import xarray as xr

from xcube_cubehub.errors import SourceMissingError
from xcube_cubehub.flags import C2RCC_REJECT, QUALITY_REJECT, kd489_mask, water_mask
from xcube_cubehub.index import Style
from xcube_cubehub.recipes.model import SENTINEL, Made, Recipe

STYLES = {
    "conc_chl": Style("viridis", 0.1, 30, "log"), "conc_tsm": Style("turbid", 0.5, 150, "log"),
    "kd489": Style("dense", 0.03, 5, "log"),
}  # fmt: skip
VARIABLES = {
    "conc_chl": ("Chlorophyll-a concentration", "mg m-3", "mass_concentration_of_chlorophyll_a_in_sea_water"),
    "conc_tsm": ("Total suspended matter, dry weight", "g m-3", None),
    "kd489": ("Diffuse attenuation coefficient of downwelling light at 489 nm", "m-1", None),
}


def clean(cube: xr.Dataset) -> xr.Dataset:
    """Apply the flags.

    Parameters
    ----------
    cube : Dataset, dims (time, lat, lon)
        ``conc_chl``, ``conc_tsm``, ``kd489``, ``c2rcc_flags`` and ``quality_flags`` as the C2RCC processor writes them.

    Returns
    -------
    Dataset
        The three variables as float32 with NaN where a flag rejects the pixel; the flags are dropped.

    Notes
    -----
    Which bits reject and why is said in `xcube_cubehub.flags`.
    """
    flags = cube["c2rcc_flags"].values, cube["quality_flags"].values
    water, light = water_mask(*flags), kd489_mask(*flags)
    out = xr.Dataset(coords={name: cube[name] for name in ("time", "lat", "lon")})
    for name, (title, unit, standard) in VARIABLES.items():
        kept = light if name == "kd489" else water
        values = np.where(kept, cube[name].values, np.nan).astype(np.float32)
        attrs = {"long_name": title, "units": unit}
        if standard:
            attrs["standard_name"] = standard
        rejected = [*C2RCC_REJECT, *(["Kd489_OOR"] if name == "kd489" else [])]
        attrs["flags_applied"] = (
            f"c2rcc_flags: Valid_PE set, {', '.join(rejected)} not set; quality_flags: {', '.join(QUALITY_REJECT)} not set"
        )
        out[name] = (("time", "lat", "lon"), values, attrs)
    return out


def make(path: Path | None) -> Made:
    """The whole series of the source, finest level."""
    if path is None:
        message = "olci-water-quality has no input"
        raise SourceMissingError(message)
    with xr.open_zarr(path, chunks=None) as cube:
        return Made(clean(cube.load()), "EPSG:4326", styles=STYLES)


RECIPE = Recipe(
    name="olci-water-quality",
    version=1,
    title="Water quality, southern North Sea (Sentinel-3 OLCI)",
    description="Chlorophyll, suspended matter and light attenuation from Sentinel-3 OLCI by C2RCC, January 2017, "
    "quality flags applied. Most of it is cloud: that is January on the North Sea.",
    attribution=f"{SENTINEL} [2017], processed by ESA and Brockmann Consult with C2RCC",
    license="MIT",
    make=make,
    inputs=("olci-north-sea/cube-1-250-250.zarr", "olci-north-sea/cube.zarr"),
)
