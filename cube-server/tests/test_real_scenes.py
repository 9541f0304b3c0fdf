"""Real scenes, against values worked out with xarray, SciPy and rasterio alone."""

import dataclasses
import json

import numpy as np
import pytest
import rasterio
import xarray as xr
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import map_coordinates

from support import TEST_DATA
from test_recipe_files import MINIMAL
from xcube_cubehub.making import FileRecipe, load_recipe
from xcube_cubehub.making.planning import without_duplicates
from xcube_cubehub.making.spec import parse_recipe
from xcube_cubehub.sources import open_source
from xcube_cubehub.sources.stac import scene_of_item
from xcube_cubehub.steps import Area, CubeGrid, TimeRange

pytestmark = pytest.mark.needs("scenes")
NOW = np.datetime64("2026-11-01T00:00:00")
SLOVENIA = Area(15.0, 45.8, 15.6, 46.2)


def plan_of(recipe, folder, area, now=NOW):
    return recipe.plan(open_source(str(TEST_DATA / folder)), area, TimeRange(), now)


def test_c2rcc_swaths_agree_with_triangulation():
    recipe = load_recipe("olci-water-quality-c2rcc").with_grid("EPSG:4326", 0.004)
    plan = plan_of(recipe, "olci-c2rcc-swaths", Area(3.1, 51.9, 3.7, 52.3))
    assert sorted(line.outcome for line in plan.report) == ["skipped", "skipped", "used"]
    made = recipe.make(plan, plan.steps[0])
    with xr.open_dataset(
        TEST_DATA / "olci-c2rcc-swaths" / "O_L2_0001_SNS_2017105095839_v1.0.nc", decode_cf=False
    ) as opened:
        swath = opened.load()
    c2rcc, quality = (
        swath[name].values.astype(np.int64) & 0xFFFFFFFF for name in ("c2rcc_flags", "quality_flags")
    )
    kept = (
        (c2rcc >> 31 & 1 == 1)
        & (c2rcc & 0b1000000000010001 == 0)
        & (quality >> 31 & 1 == 0)
        & (quality >> 25 & 1 == 0)
    )
    kept &= swath["pixel_classif_flags"].values & (1 | 8 | 32 | 64 | 1024) == 0
    places = np.column_stack([swath["lon"].values.ravel(), swath["lat"].values.ravel()])
    x, y = np.meshgrid(plan.grid.x, plan.grid.y)
    # row and column of the swath are nearly linear in degrees, so that triangulation gives them almost exactly
    position = np.array(
        [LinearNDInterpolator(places, index.ravel())(x, y) for index in np.indices(kept.shape)]
    )
    inside = np.isfinite(position[0])
    near = NearestNDInterpolator(places, kept.ravel())(x, y)
    for name in ("conc_chl", "conc_tsm"):
        values = np.where(kept, np.log(swath[name].values), np.nan)
        expected = map_coordinates(values, position, order=1, mode="constant", cval=np.nan)
        found = np.log(made.values[name])
        both = np.isfinite(found) & np.isfinite(expected)
        assert both.sum() > 0.95 * np.isfinite(expected).sum() > 3000
        assert np.abs(found - expected)[both].max() < 0.02
        assert np.abs(found - expected)[both].mean() < 5e-4
        assert (np.isfinite(found) == near)[inside].mean() > 0.99


def test_water_products_without_pixels_are_reported_and_skipped():
    recipe = load_recipe("olci-water-quality").with_grid("EPSG:4326", 0.1)
    plan = plan_of(recipe, "s3-wfr-safe", Area(-180, -80, 180, 89))
    assert plan.steps == ()
    assert len(plan.report) == 2
    assert all(line.outcome == "skipped" and "no pixels" in line.reason for line in plan.report)


def test_a_manifest_that_says_nothing_of_sizes_leaves_it_to_the_making(tmp_path):
    import shutil

    found = next((TEST_DATA / "s3-wfr-safe").glob("S3B*"))
    copied = tmp_path / found.name
    shutil.copytree(found, copied)
    manifest = copied / "xfdumanifest.xml"
    manifest.write_text(manifest.read_text().replace("<byteStream ", "<x ").replace("</byteStream>", "</x>"))
    recipe = load_recipe("olci-water-quality").with_grid("EPSG:4326", 0.1)
    plan = recipe.plan(open_source(str(tmp_path)), Area(150, 20, 160, 30), TimeRange(), NOW)
    made = recipe.make(plan, plan.steps[0])
    assert [line.scene for line in made.report] == [found.name]
    assert "no pixels" in made.report[0].reason


def test_ndvi_on_the_scenes_own_grid_is_what_rasterio_and_numpy_say():
    recipe = load_recipe("msi-ndvi").with_grid("EPSG:32633", 120)
    plan = plan_of(recipe, "s2-l2a-33t", SLOVENIA)
    assert len(plan.steps) == 3
    step = next(step for step in plan.steps if str(step.time).startswith("2023-08-20"))
    with rasterio.open(TEST_DATA / "s2-l2a-33t/sentinel-2-l2a/S2B_33TWM_20230820_0_L2A/B04.tif") as tile:
        west, north, shape = tile.transform.c, tile.transform.f, tile.shape
    plan = dataclasses.replace(plan, grid=CubeGrid("EPSG:32633", west, north, 120, shape))
    step = dataclasses.replace(step, scenes=tuple(scene for scene in step.scenes if "33TWM" in scene.name))
    made = recipe.make(plan, step)
    bands = {}
    for name in ("B04", "B08", "SCL"):
        with rasterio.open(
            TEST_DATA / f"s2-l2a-33t/sentinel-2-l2a/S2B_33TWM_20230820_0_L2A/{name}.tif"
        ) as tile:
            bands[name] = tile.read(1).astype(float)
    red, nir = bands["B04"], bands["B08"]
    clear = np.isin(bands["SCL"], [4, 5, 6]) & (red > 0) & (nir > 0)
    expected = np.where(clear, (nir - red) / np.where(clear, nir + red, 1), np.nan)
    np.testing.assert_allclose(made.values["ndvi"], expected, atol=1e-6)
    assert np.isfinite(expected).mean() > 0.2
    assert 0.7 < np.nanmedian(np.where(np.isin(bands["SCL"], [4]), made.values["ndvi"], np.nan)) < 0.9


def test_ndvi_of_overlapping_tiles_and_orbits_is_possible_and_whole():
    recipe = load_recipe("msi-ndvi").with_grid("utm", 120)
    plan = plan_of(recipe, "s2-l2a-33t", SLOVENIA)
    made = [recipe.make(plan, step) for step in plan.steps]
    assert all(line.outcome == "used" for line in plan.report)
    for one in made:
        values = one.values["ndvi"]
        assert np.isfinite(values).mean() > 0.9
        assert 0.75 < np.nanmedian(values) < 0.88
        assert np.nanmax(values) <= 1
        assert one.report == ()


def test_a_scene_of_tomorrow_is_left_out():
    recipe = load_recipe("msi-ndvi").with_grid("utm", 120)
    plan = plan_of(recipe, "s2-l2a-33t", SLOVENIA, np.datetime64("2023-08-19T00:00:00"))
    assert {line.scene[:13] for line in plan.report if "future" in line.reason} == {
        "S2B_33TWL_202",
        "S2B_33TWM_202",
    }


def test_a_field_in_spain_through_a_year():
    """NDVI of the file itself, and the curve that its provenance tells: 0.27, 0.78, 0.16."""
    recipe = FileRecipe(
        parse_recipe(
            MINIMAL.replace("s2-l2a", "cube")
            .replace("EPSG:32633", "EPSG:32630")
            .replace("resolution: 20", "resolution: 10")
            .replace("keep: [4]", "drop: [0, 1, 3, 8, 9, 10, 11]"),
            "x",
        )
    )
    plan = plan_of(recipe, "s2-phenology-spain", Area(-4.876, 41.77, -4.868, 41.777))
    made = {str(step.time)[:7]: recipe.make(plan, step) for step in plan.steps}
    medians = {
        month: float(np.nanmedian(one.values["ndvi"]))
        for month, one in made.items()
        if np.isfinite(one.values["ndvi"]).any()
    }
    assert medians["2019-01"] == pytest.approx(0.27, abs=0.05)
    assert max(medians["2019-04"], medians["2019-05"]) == pytest.approx(0.78, abs=0.06)
    assert medians["2019-08"] == pytest.approx(0.16, abs=0.05)
    with xr.open_dataset(TEST_DATA / "s2-phenology-spain" / "raw_s2_ndvi_field.nc") as field:
        for step in plan.steps[::6]:
            own = (
                field["NDVI"]
                .sel(t=step.scenes[0].ref.sensing)
                .reindex(x=plan.grid.x, y=plan.grid.y, method="nearest", tolerance=1)
            )
            found = recipe.make(plan, step).values["ndvi"]
            both = np.isfinite(found) & np.isfinite(own.values)
            assert both.sum() == np.isfinite(found).sum()
            np.testing.assert_allclose(found[both], own.values[both], atol=5e-3)


def items(group):
    for folder in sorted((TEST_DATA / "stac").rglob(group)):
        for path in sorted(folder.glob("*.json")):
            yield {"assets": {}, **json.loads(path.read_text())}


@pytest.mark.parametrize(
    ("group", "scenes", "left"),
    [
        ("dup_earthsearch_reprocessed_32T", 16, 8),
        ("same_day_two_granules_13TDE", 2, 2),
        ("dup_pc_vs_cdse", 5, 4),
        ("timeseries_pc_35MNM_2020", 13, 13),
    ],
)
def test_duplicates_in_real_catalogues(group, scenes, left):
    """Two baselines in one collection, one datatake at two providers; but two granules of one pass are two scenes."""
    handles = [scene_of_item(item, "https://host/item.json", None) for item in items(group)]
    assert len(handles) == scenes
    chosen = without_duplicates(handles)
    assert len(chosen) == left
    for best, others in chosen:
        assert all(best.ref.version > other.ref.version for other in others)


def test_offsets_in_real_catalogues():
    """Earth Search took the offset from the pixels, CDSE states it, Planetary Computer's 02.12 never had one."""
    for item in items("dup_pc_vs_cdse"):
        handle = scene_of_item(item, "https://host/item.json", None, {"eodata"})
        assert handle.assets["B04"].offset == pytest.approx(-0.1 if handle.ref.version >= "04.00" else 0)
    for item in items("dup_earthsearch_reprocessed_32T"):
        assert scene_of_item(item, "https://host/item.json", None).assets["B04"].offset == 0


def test_scenes_over_the_antimeridian_touch_both_sides_and_nothing_between():
    found = 0
    for item in items("antimeridian"):
        if "L2A" in item["id"] or "2APS" in item["id"] or "2BPS" in item["id"]:
            handle = scene_of_item({**item, "collection": "sentinel-2-l2a"}, "https://host/item.json", None)
            assert handle.bounds is not None
            assert handle.bounds[2] - handle.bounds[0] < 20, item["id"]
            assert not Area(0, -89, 90, 89).touches(*handle.bounds)
            found += 1
    assert found >= 5
