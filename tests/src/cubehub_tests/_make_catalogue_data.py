"""Run by the lab's interpreter: writes files of each media type from real crops, and says what is in them.

Arguments: folder to write into, folder of the samples. Prints JSON: items with links below ``{ROOT}``, and what is
expected, read from the same crops by other means than those that the cells use.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WEST, NORTH, STEP = 465_180, 5_080_260, 10
"""Of the rasters: the sample's grid, moved by some metres to whole tens."""
SCENES = (0, 3, 4)
"""Times of the sample without a cloud."""
PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
"""Without it, odc-stac does not look at where pixels are."""
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def main() -> None:
    """Write all."""
    np: Any = importlib.import_module("numpy")
    rasterio: Any = importlib.import_module("rasterio")
    xr: Any = importlib.import_module("xarray")
    zarr: Any = importlib.import_module("zarr")
    folder, samples = map(Path, sys.argv[1:])
    ndvi = zarr.open_group(samples / "s2-ndvi-slovenia/ndvi_utm33.zarr", mode="r")
    values, clouds = np.asarray(ndvi["ndvi"][:]), np.asarray(ndvi["clp"][:])
    times = xr.open_zarr(samples / "s2-ndvi-slovenia/ndvi_utm33.zarr")["time"].values
    transform = rasterio.Affine(STEP, 0, WEST, 0, -STEP, NORTH)
    items: list[dict[str, Any]] = []
    expected: dict[str, Any] = {}

    def scene(identity: str, collection: str, when: str, assets: dict[str, Any], **properties: Any) -> None:
        ring = [[14.55, 45.86], [14.57, 45.86], [14.57, 45.88], [14.55, 45.88], [14.55, 45.86]]
        item = {
            "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [PROJECTION], "id": identity, "collection": collection,
            "bbox": [14.55, 45.86, 14.57, 45.88], "links": [], "assets": assets,
            "properties": {"datetime": when, **properties}, "geometry": {"type": "Polygon", "coordinates": [ring]},
        }  # fmt: skip
        items.append(item)

    for number in SCENES:
        assets = {}
        for name, layer in (("ndvi", values[number]), ("clp", (clouds[number] * 100).astype("uint8"))):
            path = folder / f"{name}-{number}.tif"
            with rasterio.open(
                path, "w", driver="COG", height=101, width=100, count=1, dtype=layer.dtype, crs="EPSG:32633",
                transform=transform, nodata=None if name == "clp" else float("nan"),
            ) as made:  # fmt: skip
                made.write(layer, 1)
            assets[name] = {
                "href": f"{{ROOT}}/{path.name}", "type": COG, "roles": ["data"], "proj:epsg": 32633,
                "proj:shape": [101, 100], "proj:transform": [STEP, 0, WEST, 0, -STEP, NORTH],
                "raster:bands": [{"data_type": str(layer.dtype)}],
            }  # fmt: skip
        scene(
            f"scene-{number}",
            "scenes",
            f"{str(times[number])[:19]}Z",
            assets,
            **{"eo:cloud_cover": 10 * number},
        )
    _grids(folder, values, scene, rasterio)
    layer = (clouds[SCENES[1]] * 100).astype("uint8")
    expected["jp2"] = _jpeg_2000(folder, layer, assets["clp"], scene, rasterio)
    expected["ndvi"] = {str(number): values[number, 40:44, 50:54].tolist() for number in SCENES}

    sea = zarr.open_group(samples / "olci-north-sea/cube.zarr", mode="r")
    lat, lon = np.asarray(sea["lat"][200:240]), np.asarray(sea["lon"][300:360])
    chl = np.asarray(sea["conc_chl"][:, 200:240, 300:360])
    axes: dict[str, Any] = {
        "lat": {"type": "spatial", "axis": "y", "extent": [float(lat.min()), float(lat.max())]},
        "lon": {"type": "spatial", "axis": "x", "extent": [float(lon.min()), float(lon.max())]},
    }
    maps: dict[str, Any] = {"depth": (("lat", "lon"), np.full(chl.shape[1:], 31, "int16")), "grid": ((), 1)}
    for day, form in ((0, "NETCDF4"), (1, "NETCDF4"), (2, "NETCDF3_CLASSIC")):
        path = folder / f"chl-{day}.nc"
        one = xr.Dataset(
            {"conc_chl": (("time", "lat", "lon"), chl[day : day + 1]), **(maps if form == "NETCDF4" else {})},
            {"time": [np.datetime64(f"2017-01-1{6 + day}", "ns")], "lat": lat, "lon": lon},
        )
        one.to_netcdf(path, format=form, engine="netcdf4")
        asset = {"href": f"{{ROOT}}/{path.name}", "type": "application/netcdf", "roles": ["data"]}
        size = {"file:size": path.stat().st_size} if form == "NETCDF3_CLASSIC" else {}
        dimensions = axes | {
            "time": {"type": "temporal", "extent": ["2017-01-16T00:00:00Z", "2017-01-19T00:00:00Z"]}
        }
        scene(
            f"chl-{day}",
            "netcdf3" if size else "netcdf",
            f"2017-01-1{6 + day}T00:00:00Z",
            {"data": asset | size},
            **{"cube:dimensions": dimensions},
        )
    expected["chl"] = {
        "lat": lat.tolist(),
        "lon": lon.tolist(),
        "sums": [float(np.nansum(day)) for day in chl[:3]],
    }

    x, y = np.asarray(ndvi["x"][:]), np.asarray(ndvi["y"][:])
    extents: dict[str, Any] = {
        "time": {"type": "temporal", "extent": [f"{str(times[0])[:19]}Z", f"{str(times[-1])[:19]}Z"], "values": [f"{str(t)[:19]}Z" for t in times]},
        "y": {"type": "spatial", "axis": "y", "extent": [float(y.min()), float(y.max())], "reference_system": 32633},
        "x": {"type": "spatial", "axis": "x", "extent": [float(x.min()), float(x.max())], "reference_system": 32633},
    }  # fmt: skip
    cube = {"href": "{ROOT}/ndvi.zarr", "type": "application/vnd+zarr", "roles": ["data"]}
    scene("cube", "zarr", f"{str(times[0])[:19]}Z", {"zarr": cube}, **{"cube:dimensions": extents})
    own = {
        "href": "/services/cubes/s3/datasets/msi-ndvi.zarr",
        "type": "application/vnd+zarr",
        "roles": ["data"],
    }
    scene("msi-ndvi", "cubes", f"{str(times[0])[:19]}Z", {"zarr": own}, **{"cube:dimensions": extents})
    expected["cube"] = {
        "x": x.tolist(),
        "y": y.tolist(),
        "times": [str(t)[:19] for t in times],
        "corner": values[3, 0, :3].tolist(),
    }

    grib = {"href": "{ROOT}/era5-t2m.grib", "type": "application/wmo-GRIB2", "roles": ["data"]}
    scene("t2m", "grib", "2017-01-01T12:00:00Z", {"data": grib})
    expected["grib"] = _field(folder / "era5-t2m.grib")
    json.dump({"items": items, "expected": expected}, sys.stdout)


GRIDS: dict[str, tuple[int, tuple[float, ...], list[tuple[int, int, int, int]]]] = {
    "half": (32633, (30, 0, WEST + 15, 0, -30, NORTH + 15), [(0, 60, 0, 60), (20, 101, 40, 100)]),
    "beside": (32633, (10, 0, WEST + 3, 0, -10, NORTH + 1), [(0, 50, 0, 50), (30, 90, 10, 70)]),
    "oblong": (32633, (10, 0, WEST + 5, 0, -20, NORTH), [(0, 101, 0, 100)]),
    "degrees": (4326, (1 / 1200, 0, 14 + 1 / 4800, 0, -1 / 1800, 46), [(0, 70, 0, 80)]),
}
"""Of pixels beside whole multiples of them: CRS, transform, and rows and columns of each item."""


def _grids(folder: Path, values: Any, scene: Callable[..., None], rasterio: Any) -> None:
    """Write rasters whose grids don't lie at whole multiples of a pixel."""
    for name, (epsg, numbers, parts) in GRIDS.items():
        for day, (top, bottom, left, right) in enumerate(parts):
            part = values[SCENES[day], top:bottom, left:right]
            move = rasterio.Affine(*numbers) * rasterio.Affine.translation(left, top)
            path = folder / f"{name}-{day}.tif"
            with rasterio.open(
                path, "w", driver="GTiff", height=part.shape[0], width=part.shape[1], count=1, dtype=part.dtype,
                crs=f"EPSG:{epsg}", transform=move, nodata=float("nan"),
            ) as made:  # fmt: skip
                made.write(part, 1)
            asset = {
                "href": f"{{ROOT}}/{path.name}", "type": COG, "roles": ["data"], "proj:epsg": epsg,
                "proj:shape": list(part.shape), "proj:transform": list(move)[:6],
                "raster:bands": [{"data_type": str(part.dtype)}],
            }  # fmt: skip
            scene(f"{name}-{day}", name, f"2020-01-0{day + 1}T10:00:00Z", {"ndvi": asset})


def _jpeg_2000(
    folder: Path, layer: Any, like: dict[str, Any], scene: Callable[..., None], rasterio: Any
) -> int:
    """Write a layer without loss; gives the sum of its values."""
    transform = rasterio.Affine(*like["proj:transform"])
    with rasterio.open(
        folder / "clp.jp2", "w", driver="JP2OpenJPEG", height=101, width=100, count=1, dtype="uint8", crs="EPSG:32633",
        transform=transform, quality=100, reversible=True,
    ) as made:  # fmt: skip
        made.write(layer, 1)
    asset = like | {"href": "{ROOT}/clp.jp2", "type": "image/jp2"}
    scene("jp2", "jp2", "2015-09-14T10:00:00Z", {"clp": asset})
    return int(layer.astype("int64").sum())


def _field(path: Path) -> dict[str, Any]:
    """Read 55 to 50 degrees north, 5 west to 2 east, by quarters of a degree."""
    eccodes: Any = importlib.import_module("eccodes")
    with path.open("rb") as file:
        message = eccodes.codes_grib_new_from_file(file)
        field = eccodes.codes_get_values(message).reshape(121, 201)
        eccodes.codes_release(message)
    return {"shape": [21, 29], "mean": float(field[20:41, 20:49].mean())}


if __name__ == "__main__":
    main()
