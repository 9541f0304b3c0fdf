"""The sample scenes against the scenes they were cut from, and against what their items say of them."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform_bounds

from support import SAMPLES, TEST_DATA

CROPS = SAMPLES / "s2-l2a-33t-crop"
ITEMS = sorted((CROPS / "items").glob("*_crop.json"))
SCENES = TEST_DATA / "s2-l2a-33t" / "sentinel-2-l2a"
BANDS = ("blue", "green", "red", "nir", "scl")


def files(item):
    return {name: CROPS / "items" / item["assets"][name]["href"] for name in BANDS}


@pytest.mark.parametrize("path", ITEMS, ids=lambda path: path.stem)
def test_items_say_of_their_files_what_the_files_are(path):
    item = json.loads(path.read_text())
    for name, file in files(item).items():
        asset = item["assets"][name]
        with rasterio.open(file) as made:
            assert made.driver == "GTiff"
            assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert list(made.shape) == asset["proj:shape"] == item["properties"]["proj:shape"]
            assert list(made.transform)[:6] == asset["proj:transform"]
            assert made.crs.to_epsg() == item["properties"]["proj:epsg"]
            values = asset["raster:bands"][0]
            assert (made.dtypes[0], made.nodata) == (values["data_type"], values["nodata"])
            assert made.res[0] == asset["gsd"] == values["spatial_resolution"]
            assert transform_bounds(made.crs, "EPSG:4326", *made.bounds) == pytest.approx(
                item["bbox"], abs=1e-5
            )


@pytest.mark.parametrize("path", ITEMS, ids=lambda path: path.stem)
def test_vegetation_is_green_with_the_scale_and_offset_of_the_items(path):
    item = json.loads(path.read_text())
    reflectance = {}
    for name, file in files(item).items():
        values = item["assets"][name]["raster:bands"][0]
        with rasterio.open(file) as made:
            reflectance[name] = made.read(1) * values.get("scale", 1) + values.get("offset", 0)
    land = reflectance["scl"] == 4
    red, nir = reflectance["red"][land], reflectance["nir"][land]
    assert 0.7 < np.median((nir - red) / (nir + red)) < 0.9
    assert red.min() > 0


@pytest.mark.needs("scenes")
@pytest.mark.parametrize("path", ITEMS, ids=lambda path: path.stem)
def test_pixels_are_those_of_the_scene(path):
    item = json.loads(path.read_text())
    for file in files(item).values():
        scene = SCENES / item["id"].removesuffix("_crop") / file.name
        with rasterio.open(file) as made, rasterio.open(scene) as whole:
            window = whole.window(*made.bounds)
            np.testing.assert_array_equal(made.read(1), whole.read(1, window=window))
            assert made.crs == whole.crs
