"""msi-ndvi: a real Sentinel-2 NDVI series in UTM, masked by cloud probability."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from xcube_cubehub.errors import SourceMissingError
from xcube_cubehub.index import Style
from xcube_cubehub.recipes.model import SENTINEL, Made, Recipe

CLOUD_LIMIT = 0.4
"""Cloud probability from which a pixel counts as cloud: the threshold that s2cloudless, which made it, recommends.

References
----------
Zupanc (2017), "Improving Cloud Detection with Machine Learning" (s2cloudless); default ``threshold=0.4``.
"""


def mask_clouds(
    ndvi: npt.NDArray[np.floating], probability: npt.NDArray[np.floating], limit: float = CLOUD_LIMIT
) -> npt.NDArray[np.float32]:
    """NDVI with NaN under cloud, outside [-1, 1] and where the cloud probability is unknown.

    Parameters
    ----------
    ndvi, probability : ndarray, same shape
        NDVI and cloud probability in [0, 1].
    limit : float
        From this probability on a pixel is cloud.
    """
    with np.errstate(invalid="ignore"):
        clear = (probability < limit) & (np.abs(ndvi) <= 1)
    return np.where(clear, ndvi, np.nan).astype(np.float32)


def make(path: Path | None) -> Made:
    """The whole series, finest level, in the projection of the scenes."""
    if path is None:
        message = "msi-ndvi has no input"
        raise SourceMissingError(message)
    with xr.open_zarr(path, chunks=None) as opened:
        cube = opened.load()
    out = xr.Dataset(coords={"time": cube["time"], "y": cube["y"], "x": cube["x"]})
    out["y"].attrs.update(standard_name="projection_y_coordinate", units="m")
    out["x"].attrs.update(standard_name="projection_x_coordinate", units="m")
    out["ndvi"] = (
        ("time", "y", "x"),
        mask_clouds(cube["ndvi"].values, cube["clp"].values),
        {
            "long_name": "NDVI",
            "standard_name": "normalized_difference_vegetation_index",
            "units": "1",
            "grid_mapping": "crs",
            "comment": f"Top of atmosphere (Sentinel-2 L1C); pixels with a cloud probability of {CLOUD_LIMIT} or more left out",
        },
    )
    out["crs"] = ((), np.int32(0), cube["crs"].attrs)
    return Made(out, "EPSG:32633", styles={"ndvi": Style("YlGn", 0, 0.9)})


RECIPE = Recipe(
    name="msi-ndvi",
    version=1,
    title="NDVI 2015-2017, a Slovenian valley (Sentinel-2 MSI)",
    description="68 Sentinel-2 acquisitions of one square kilometre in UTM 33N at 10 m, clouds left out.",
    attribution=f"{SENTINEL} [2015-2017], processed by Sinergise (eo-learn)",
    license="MIT",
    make=make,
    inputs=("s2-ndvi-slovenia/ndvi_utm33.zarr",),
)
