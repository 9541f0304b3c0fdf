"""Make binder/data/ from the project's shared data: python scripts/make_samples.py SHARED_DATA OUTPUT.

Run by hand when the samples change; the product itself never needs it.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import xarray as xr
from numcodecs import Blosc
from scene_crops import scenes

CROP = (704, 960)
"""Rows and columns of the OLCI crop."""
FLAGS = ("c2rcc_flags", "quality_flags")
CODEC = Blosc(cname="zstd", clevel=9, shuffle=Blosc.BITSHUFFLE)


def best_window(valid: np.ndarray, shape: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the window of ``shape`` that holds the most valid pixels; ``valid`` is (time, y, x)."""
    sums = np.pad(valid.sum(axis=0), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    h, w = shape
    totals = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    row, column = np.unravel_index(totals.argmax(), totals.shape)
    return int(row), int(column)


def as_flags(values: np.ndarray) -> np.ndarray:
    """Float64 flag words as uint32: NaN (no pixel) becomes 0, bit 31 survives."""
    return np.where(np.isnan(values), 0, values).astype("int64").astype("uint32")


def olci(source: Path, target: Path) -> None:
    """Crop the OLCI cube; one chunk per variable, so that the repository gains few files."""
    cube = xr.open_zarr(source / "cube-1-250-250.zarr")
    row, column = best_window(np.isfinite(cube.conc_chl.values), CROP)
    crop = cube.isel(lat=slice(row, row + CROP[0]), lon=slice(column, column + CROP[1])).load()
    crop = crop.drop_vars([name for name in crop.variables if name.endswith("_bnds")])
    encoding = {}
    for name in crop.data_vars:
        variable = crop[name]
        if name in FLAGS:
            crop[name] = (variable.dims, as_flags(variable.values), variable.attrs)
            crop[name].attrs["flag_masks"] = [int(m) & 0xFFFFFFFF for m in variable.attrs["flag_masks"]]
        else:
            crop[name] = variable.astype("float32")
        crop[name].encoding.clear()
        encoding[name] = {"chunks": variable.shape, "compressors": [CODEC]}
        if name not in FLAGS:
            encoding[name]["_FillValue"] = np.float32("nan")
    for name in crop.coords:
        crop[name].encoding = {
            k: v for k, v in crop[name].encoding.items() if k in ("units", "calendar", "dtype")
        }
        crop[name].attrs.pop("bounds", None)
    crop.attrs["history"] = (
        f"cropped to rows {row}:{row + CROP[0]}, columns {column}:{column + CROP[1]}; float32"
    )
    write(crop, target / "cube.zarr", encoding)
    shutil.copy(source / "LICENSE", target / "LICENSE")


def ndvi(source: Path, target: Path) -> None:
    """Recompress the NDVI series without loss."""
    cube = xr.open_zarr(source / "ndvi_utm33.zarr").load()
    encoding = {}
    for name in ("ndvi", "clp"):
        cube[name].encoding.clear()
        encoding[name] = {"chunks": cube[name].shape, "compressors": [CODEC], "_FillValue": np.float32("nan")}
    for name in ("time", "x", "y", "crs"):
        cube[name].encoding = {
            k: v for k, v in cube[name].encoding.items() if k in ("units", "calendar", "dtype")
        }
    write(cube, target / "ndvi_utm33.zarr", encoding)
    shutil.copy(source / "LICENSE", target / "LICENSE")


def write(cube: xr.Dataset, path: Path, encoding: dict[str, dict[str, object]]) -> None:
    """Write Zarr 2 with consolidated metadata, replacing what was there."""
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    cube.to_zarr(path, zarr_format=2, consolidated=True, encoding=encoding)


def main() -> None:
    """Make all samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    olci(args.source / "olci-north-sea", args.target / "olci-north-sea")
    ndvi(args.source / "s2-ndvi-slovenia", args.target / "s2-ndvi-slovenia")
    scenes(args.source / "s2-l2a-33t", args.target / "s2-l2a-33t-crop")


if __name__ == "__main__":
    main()
