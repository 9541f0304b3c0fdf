"""Crop one Sentinel-2 tile to small cloud-optimised GeoTIFFs, with STAC items that say truly what the crops are."""

import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.warp import transform_geom
from rasterio.windows import Window

TILE = "33TWL"
EDGE = 256
"""Pixels of the crop, along x and y."""
BLOCK = 128
"""Pixels of a block within a file, so that even these small files are read in parts."""
COLLECTION = "sentinel-2-l2a"
FILES = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "scl": "SCL"}
CLEAR = (4, 5, 6)
"""Classes of SCL: vegetation, bare soil, water."""
SOURCE = "https://earth-search.aws.element84.com/v1/collections/sentinel-2-l2a/items/"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
EXTENSIONS = {
    "eo": "eo/v1.1.0",
    "file": "file/v2.1.0",
    "grid": "grid/v1.0.0",
    "processing": "processing/v1.1.0",
    "projection": "projection/v1.1.0",
    "raster": "raster/v1.1.0",
    "view": "view/v1.0.0",
}
KEPT = (
    "datetime",
    "platform",
    "constellation",
    "instruments",
    "eo:cloud_cover",
    "grid:code",
    "view:sun_azimuth",
    "view:sun_elevation",
    "s2:processing_baseline",
    "s2:product_type",
    "earthsearch:boa_offset_applied",
)
"""Properties that stay true of a crop. The cloud cover is the whole tile's; the collection says so."""


def scenes(source: Path, target: Path) -> None:
    """Crop all dates of the tile to the window with the most clear pixels."""
    paths = sorted((source / "sentinel-2-l2a").glob(f"*_{TILE}_*/*.json"))
    window = clearest([path.with_name("SCL.tif") for path in paths])
    for old in (target / "items", target / "pixels"):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    items = [crop(path, window, target) for path in paths]
    write_json(target / "items" / "collection.json", collection(items))
    shutil.copy(source / "LICENSE", target / "LICENSE")


def clearest(paths: list[Path]) -> Window:
    """Give the window with the most clear pixels over all dates."""
    clear = []
    for path in paths:
        with rasterio.open(path) as scl:
            clear.append(np.isin(scl.read(1), CLEAR))
    sums = np.pad(np.sum(clear, axis=0), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    totals = sums[EDGE:, EDGE:] - sums[:-EDGE, EDGE:] - sums[EDGE:, :-EDGE] + sums[:-EDGE, :-EDGE]
    row, column = np.unravel_index(totals.argmax(), totals.shape)
    return Window(int(column), int(row), EDGE, EDGE)


def crop(path: Path, window: Window, target: Path) -> dict[str, Any]:
    """Write the crops of one scene and their item; give the item."""
    scene = json.loads(path.read_text())
    identity = f"{scene['id']}_crop"
    folder = target / "pixels" / identity
    folder.mkdir()
    assets, colours, area = {}, {}, {}
    for key, name in FILES.items():
        assets[key], pixels, area = band(path, key, name, window, folder, scene["assets"][key])
        colours[key] = pixels
    picture(np.dstack([colours[key] for key in ("red", "green", "blue")]), folder / "thumbnail.jpg")
    assets["thumbnail"] = {
        "href": f"../pixels/{identity}/thumbnail.jpg",
        "type": "image/jpeg",
        "title": "True colour",
        "roles": ["thumbnail"],
        "file:size": (folder / "thumbnail.jpg").stat().st_size,
    }
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{version}/schema.json" for version in EXTENSIONS.values()
        ],
        "id": identity,
        "collection": COLLECTION,
        "geometry": area["geometry"],
        "bbox": area["bbox"],
        "properties": {
            **{name: scene["properties"][name] for name in KEPT},
            "gsd": area["proj"]["proj:transform"][0],
            **area["proj"],
            "processing:lineage": (
                f"pixels {window.row_off}:{window.row_off + EDGE} (y), "
                f"{window.col_off}:{window.col_off + EDGE} (x) of the tile at 120 m; values unchanged"
            ),
        },
        "links": [{"rel": "derived_from", "href": SOURCE + scene["id"], "type": "application/geo+json"}],
        "assets": assets,
    }
    write_json(target / "items" / f"{identity}.json", item)
    return item


def band(
    path: Path, key: str, name: str, window: Window, folder: Path, given: dict[str, Any]
) -> tuple[dict[str, Any], np.ndarray, dict[str, Any]]:
    """Write one file; give its asset, its pixels and where it is."""
    with rasterio.open(path.with_name(f"{name}.tif")) as whole:
        pixels = whole.read(1, window=window)
        transform, crs = whole.window_transform(window), whole.crs
    file = folder / f"{name}.tif"
    profile = {
        "driver": "COG",
        "dtype": pixels.dtype,
        "count": 1,
        "width": EDGE,
        "height": EDGE,
        "crs": crs,
        "transform": transform,
        "nodata": 0,
        "compress": "DEFLATE",
        "level": 9,
        "predictor": "STANDARD",
        "blocksize": BLOCK,
        "overview_resampling": "NEAREST" if key == "scl" else "AVERAGE",
    }
    with rasterio.open(file, "w", **profile) as made:
        made.write(pixels, 1)
    values: dict[str, Any] = {"nodata": 0, "data_type": str(pixels.dtype), "spatial_resolution": transform.a}
    if key != "scl":
        values |= {"scale": 0.0001, "offset": 0}
    proj = {
        "proj:epsg": crs.to_epsg(),
        "proj:shape": [EDGE, EDGE],
        "proj:transform": list(transform)[:6],
    }
    title = given["title"].partition(" - ")[0]
    asset = {
        "href": f"../pixels/{folder.name}/{name}.tif",
        "type": COG,
        "title": f"{title} - {transform.a:.0f}m",
        "roles": ["data"] if key == "scl" else ["data", "reflectance"],
        "gsd": transform.a,
        "proj:shape": proj["proj:shape"],
        "proj:transform": proj["proj:transform"],
        "raster:bands": [values],
        "file:size": file.stat().st_size,
    }
    if "eo:bands" in given:
        asset["eo:bands"] = given["eo:bands"]
    left, top = transform.c, transform.f
    size = EDGE * transform.a
    ring = [
        [left, top - size],
        [left + size, top - size],
        [left + size, top],
        [left, top],
        [left, top - size],
    ]
    outline = transform_geom(crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, precision=6)
    geometry = {"type": "Polygon", "coordinates": [[list(point) for point in outline["coordinates"][0]]]}
    xs, ys = zip(*geometry["coordinates"][0], strict=True)
    return asset, pixels, {"proj": proj, "geometry": geometry, "bbox": [min(xs), min(ys), max(xs), max(ys)]}


def picture(bands: np.ndarray, file: Path) -> None:
    """Write a small picture: reflectances up to 0.25, brightened as eyes expect it."""
    shown = np.clip(bands / 2500.0, 0, 1) ** 0.7
    made = BytesIO()
    Image.fromarray((shown * 255).astype("uint8")).save(made, "JPEG", quality=80)
    file.write_bytes(made.getvalue())


def collection(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe what the items have in common."""
    west, south, east, north = zip(*(item["bbox"] for item in items), strict=True)
    times = sorted(item["properties"]["datetime"] for item in items)
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": COLLECTION,
        "title": "Sentinel-2 Level 2A (sample)",
        "description": (
            f"{len(items)} dates of tile {TILE} in August 2023, cropped to {EDGE} by {EDGE} pixels at 120 m: small "
            "enough to come with CubeHub, so that search and code can be tried without any other host. Stored values "
            "are reflectance times 10000, the offset of newer baselines is taken off already. eo:cloud_cover is that of "
            "the whole tile. Contains modified Copernicus Sentinel data 2023."
        ),
        "license": "proprietary",
        "keywords": ["sentinel", "earth observation", "sample"],
        "providers": [
            {"name": "ESA", "roles": ["producer"], "url": "https://earth.esa.int/web/guest/home"},
            {"name": "Element 84", "roles": ["processor"], "url": "https://element84.com"},
            {
                "name": "EOX IT Services",
                "roles": ["processor"],
                "url": "https://github.com/mapchete/mapchete-eo",
            },
        ],
        "extent": {
            "spatial": {"bbox": [[min(west), min(south), max(east), max(north)]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [
            {
                "rel": "license",
                "href": "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice",
                "title": "Legal notice on the use of Copernicus Sentinel data",
            }
        ],
    }


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document that people can read."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
