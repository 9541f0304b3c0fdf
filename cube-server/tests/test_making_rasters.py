"""Tiles and cubes to steps: pixels worked out by hand, and files that are not what they say."""

import logging
import pickle

import numpy as np
import pytest
import rasterio
import xarray as xr
import yaml
from affine import Affine

from scenes import catalogue, make_s2, make_safe
from support import SAMPLES
from test_recipe_files import changed
from xcube_cubehub.making import FileRecipe, load_recipe
from xcube_cubehub.making.rasters import words
from xcube_cubehub.making.spec import parse_recipe
from xcube_cubehub.sources import open_source
from xcube_cubehub.steps import Area, TimeRange

NOW = np.datetime64("2023-12-01T00:00:00")
AREA = Area(15.0, 46.0435, 15.001, 46.0439)
"""Five or six pixels of 20 m from 500000, 5099000 on: east of the central meridian of zone 33."""

RECIPE = FileRecipe(
    parse_recipe(
        changed(grid={"crs": "EPSG:32633", "resolution": 20}, mask=[{"band": "SCL", "keep": [4, 5, 6]}]), "x"
    )
)
TOP = Affine(20, 0, 499900, 0, -20, 5099200)
SHAPE = (20, 20)


def full(value, dtype=np.uint16):
    return np.full(SHAPE, value, dtype)


def steps(folder, recipe=RECIPE, area=AREA, options=None):
    plan = recipe.plan(open_source(str(folder), options), area, TimeRange(), NOW)
    recipe, plan = pickle.loads(pickle.dumps((recipe, plan)))  # noqa: S301 - our own
    return plan, [recipe.make(plan, step) for step in plan.steps]


def scene(folder, red=300, nir=2700, scl=4, **changes):
    changes = {"transform": TOP, "properties": {"earthsearch:boa_offset_applied": True}} | changes
    layers = [
        value if isinstance(value, np.ndarray) else full(value, kind)
        for value, kind in ((red, np.uint16), (nir, np.uint16), (scl, np.uint8))
    ]
    return make_s2(folder, *layers, **changes)


@pytest.mark.parametrize(
    ("red", "nir", "baseline", "properties", "offset"),
    [
        (300, 2700, "05.09", {"earthsearch:boa_offset_applied": True}, -0.1),  # the trap: taken already
        (1300, 3700, "05.09", {}, -0.1),
        (1300, 3700, "05.09", {"earthsearch:boa_offset_applied": False}, 0),
        (300, 2700, "02.14", {"earthsearch:boa_offset_applied": False}, 0),
    ],
)
def test_ndvi_is_the_same_however_the_offset_is_stored(tmp_path, red, nir, baseline, properties, offset):
    """Reflectances 0.03 and 0.27: 0.24 / 0.30 = 0.8."""
    path = scene(tmp_path, red, nir, baseline=baseline, properties=properties, offset=offset)
    _, (made,) = steps(catalogue(tmp_path, [path]))
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)


def test_each_class_of_the_scene_classification(tmp_path):
    scl = (np.arange(400).reshape(SHAPE) % 12).astype(np.uint8)
    _, (made,) = steps(catalogue(tmp_path, [scene(tmp_path, scl=scl)]))
    plan, _ = steps(tmp_path)
    rows = np.round((5099200 - plan.grid.y) / 20 - 0.5).astype(int)
    columns = np.round((plan.grid.x - 499900) / 20 - 0.5).astype(int)
    expected = np.isin(scl[np.ix_(rows, columns)], [4, 5, 6])
    np.testing.assert_array_equal(np.isfinite(made.values["ndvi"]), expected)
    assert 0 < expected.mean() < 1


def test_no_data_is_no_value(tmp_path):
    red = full(300)
    red[14, :] = 0  # the grid begins at row 13
    _, (made,) = steps(catalogue(tmp_path, [scene(tmp_path, red=red)]))
    assert np.isnan(made.values["ndvi"]).any()
    np.testing.assert_allclose(made.values["ndvi"][np.isfinite(made.values["ndvi"])], 0.8, rtol=1e-6)


def test_classes_at_twice_the_edge_are_not_interpolated(tmp_path):
    scl = np.full((10, 10), 4, np.uint8)
    scl[:, 3:] = 8  # from x = 500020 on
    _, (made,) = steps(
        catalogue(tmp_path, [scene(tmp_path, scl=scl)]), area=Area(14.9989, 46.0435, 15.001, 46.0439)
    )
    kept = np.isfinite(made.values["ndvi"])
    assert kept.any(axis=0).tolist() == sorted(kept.any(axis=0).tolist(), reverse=True)
    assert 0 < kept.mean() < 1


def test_the_clearest_scene_first_and_the_next_where_it_has_nothing(tmp_path):
    cloud = full(4, np.uint8)
    cloud[:, 8:] = 9
    recipe = FileRecipe(
        RECIPE.spec.model_copy(
            update={"combine": parse_recipe(changed(combine={"rule": "first"}), "x").combine}
        )
    )
    paths = [
        scene(tmp_path, red=300, scl=cloud, cloud=5.0, identity="S2A_33TWM_20230815_0_L2A"),
        scene(tmp_path, red=900, cloud=60.0, identity="S2B_33TWM_20230815_0_L2A", take="20230815T100031"),
    ]
    plan, (made,) = steps(catalogue(tmp_path, paths), recipe)
    column = np.floor((plan.grid.x - 499900) / 20).astype(int)
    np.testing.assert_allclose(made.values["ndvi"][0], np.where(column < 8, 0.8, 0.5), rtol=1e-6)
    assert next(ref.id for ref in made.sources).startswith("S2A")


@pytest.mark.parametrize(("rule", "expected"), [("mean", 0.65), ("maximum", 0.8), ("first", 0.5)])
def test_the_rules(tmp_path, rule, expected):
    recipe = FileRecipe(
        RECIPE.spec.model_copy(update={"combine": parse_recipe(changed(combine={"rule": rule}), "x").combine})
    )
    paths = [
        scene(tmp_path, red=300, cloud=60.0),
        scene(tmp_path, red=900, cloud=5.0, identity="S2B_33TWM_20230815_0_L2A", take="20230815T100031"),
    ]
    _, (made,) = steps(catalogue(tmp_path, paths), recipe)
    np.testing.assert_allclose(made.values["ndvi"], expected, rtol=1e-6)


def test_of_two_baselines_the_newest_is_read(tmp_path):
    paths = [
        scene(tmp_path, red=900, baseline="02.14", identity="S2A_33TWM_20230815_0_L2A"),
        scene(tmp_path, red=300, baseline="05.00", identity="S2A_33TWM_20230815_1_L2A"),
    ]
    plan, (made,) = steps(catalogue(tmp_path, paths))
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)
    assert [line.scene for line in plan.report if line.outcome == "replaced"] == ["S2A_33TWM_20230815_0_L2A"]


def test_a_jpeg_2000_that_is_called_tif(tmp_path):
    path = scene(tmp_path)
    for name in ("B04.tif", "B08.tif"):
        target = path.parent / name
        with rasterio.open(target) as tif:
            profile, data = tif.profile, np.tile(tif.read(1), (4, 4))
        target.unlink()
        with rasterio.open(
            path.parent / "x.jp2", "w", driver="JP2OpenJPEG", width=80, height=80, count=1, dtype="uint16",
            crs=profile["crs"], transform=profile["transform"], REVERSIBLE="YES", QUALITY="100",
        ) as made:  # fmt: skip
            made.write(data, 1)
        (path.parent / "x.jp2").rename(target)
        for beside in path.parent.glob("x.*"):
            beside.unlink()
    _, (made,) = steps(catalogue(tmp_path, [path]))
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)


def test_a_product_in_its_folder(tmp_path):
    red, nir, scl = (np.full((80, 80), value, np.uint16) for value in (1300, 3700, 4))
    make_safe(tmp_path, red, nir, scl.astype(np.uint8), transform=TOP)
    _, (made,) = steps(tmp_path)
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)


VRT = '<VRTDataset rasterXSize="20" rasterYSize="20"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'


@pytest.mark.parametrize("how", ["vrt", "text", "empty", "missing", "half", "no place", "bent"])
def test_files_that_are_not_what_they_say_are_lines(tmp_path, how, caplog):
    good = scene(tmp_path, cloud=60.0)
    bad = scene(tmp_path, red=900, identity="S2B_33TWM_20230815_0_L2A", take="20230815T100031")
    target = bad.parent / "B04.tif"
    data = target.read_bytes()
    if how in {"vrt", "text", "empty", "half"}:
        target.write_bytes(
            {
                "vrt": VRT.format(good.parent / "B04.tif").encode(),
                "text": b"hello",
                "empty": b"",
                "half": data[: len(data) // 2],
            }[how]
        )
    elif how == "missing":
        target.unlink()
    else:
        transform = {"no place": TOP, "bent": TOP * Affine.rotation(10)}[how]
        target.unlink()
        with rasterio.open(
            target,
            "w",
            driver="GTiff",
            width=20,
            height=20,
            count=1,
            dtype="uint16",
            crs=None if how == "no place" else "EPSG:32633",
            transform=transform,
        ) as made:
            made.write(full(300), 1)
    plan, (made,) = steps(catalogue(tmp_path, [good, bad]))
    lines = [line for line in (*plan.report, *made.report) if line.outcome == "skipped"]
    assert [line.scene for line in lines] == ["S2B_33TWM_20230815_0_L2A"], lines
    assert len(lines[0].reason) > 10
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)
    assert not [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("xcube_cubehub")
    ]


def test_two_zones_on_one_grid(tmp_path):
    """Zone 32 has 15 E at 962 km east; the same fields seen from both zones agree."""
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(15.0005, 46.0437)
    west = Affine(20, 0, np.floor(x / 20) * 20 - 400, 0, -20, np.floor(y / 20) * 20 + 400)
    path = scene(
        tmp_path,
        *(
            np.full((40, 40), value, kind)
            for value, kind in ((300, np.uint16), (2700, np.uint16), (4, np.uint8))
        ),
        transform=west,
        tile="32TQS",
        identity="S2A_32TQS_20230815_0_L2A",
    )
    _, (made,) = steps(catalogue(tmp_path, [path]))
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)


def test_a_tile_over_the_antimeridian_in_degrees(tmp_path):
    """Zone 1 begins at 180; a grid from 179.99 to 180.01 runs past it."""
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32601", always_xy=True).transform(-180, 10)
    transform = Affine(100, 0, x - 3000, 0, -100, y + 3000)
    layers = [
        np.full((60, 60), value, kind) for value, kind in ((300, np.uint16), (2700, np.uint16), (4, np.uint8))
    ]
    path = scene(
        tmp_path,
        *layers,
        transform=transform,
        tile="01PAM",
        identity="S2A_01PAM_20230815_0_L2A",
        bbox=(-179.99, 9.9, 179.99, 10.1),
    )
    recipe = RECIPE.with_grid("EPSG:4326", 0.001)
    plan, (made,) = steps(catalogue(tmp_path, [path]), recipe, Area(179.99, 9.99, -179.99, 10.01))
    assert plan.grid.bounds[2] == pytest.approx(180.01)
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)


def test_a_coarser_grid_takes_the_mean(tmp_path):
    """Rows of NDVI 0.8 and 0.5 in turn; their mean is 0.65."""
    red = full(300)
    red[::2] = 900
    recipe = RECIPE.with_grid("EPSG:32633", 40)
    _, (made,) = steps(catalogue(tmp_path, [scene(tmp_path, red=red)]), recipe)
    np.testing.assert_allclose(made.values["ndvi"], 0.65, rtol=1e-5)


def test_a_large_grid_is_read_in_pieces_without_seams(tmp_path, monkeypatch):
    monkeypatch.setattr("xcube_cubehub.making.rasters.BLOCK", 32)
    rng = np.random.default_rng(3)
    red = rng.integers(200, 900, (200, 200)).astype(np.uint16)
    path = scene(
        tmp_path,
        red,
        np.full((200, 200), 2700, np.uint16),
        np.full((200, 200), 4, np.uint8),
        transform=Affine(20, 0, 500010, 0, -20, 5101010),
    )
    area = Area(15.005, 46.035, 15.04, 46.055)
    _, (pieces,) = steps(catalogue(tmp_path, [path]), area=area)
    monkeypatch.undo()
    _, (whole,) = steps(catalogue(tmp_path, [path]), area=area)
    assert np.isfinite(whole.values["ndvi"]).mean() > 0.5
    np.testing.assert_allclose(pieces.values["ndvi"], whole.values["ndvi"], atol=2e-3)


NDVI_OF_CUBE = """
name: ndvi-cube
version: 1
title: NDVI
description: NDVI of a cube
attribution: nobody
license: MIT
kind: cube
bands: {ndvi: {}, clp: {}}
grid: {crs: "EPSG:32633", resolution: 10}
mask: [{band: clp, below: 0.4}]
variables: {ndvi: {expression: ndvi, long_name: NDVI, units: "1", valid_range: [-1, 1]}}
"""


@pytest.mark.parametrize("place", ["folder", "store"])
def test_a_cube_is_interpolated_as_xarray_does(place):
    """The shipped cube of Slovenia has pixels of 9.9948 m; its own rule for clouds, and xarray's linear interpolation."""
    folder = SAMPLES / "s2-ndvi-slovenia"
    text, options = (str(folder), None)
    if place == "store":
        text, options = "store:file/ndvi_utm33.zarr", {"root": str(folder)}
    recipe = FileRecipe(parse_recipe(NDVI_OF_CUBE, "x"))
    cube = xr.open_zarr(folder / "ndvi_utm33.zarr", chunks=None).load()
    clear = cube["ndvi"].where((cube["clp"] < 0.4) & (abs(cube["ndvi"]) <= 1)).sel(time="2017")
    best = clear.isel(time=int(np.isfinite(clear).sum(("x", "y")).argmax()))
    day = best["time"].values.astype("datetime64[D]").astype("datetime64[s]")
    plan = recipe.plan(
        open_source(text, options),
        Area(14.55, 45.865, 14.565, 45.876),
        TimeRange(day, day + np.timedelta64(1, "D")),
        NOW,
    )
    made = recipe.make(plan, plan.steps[0])
    expected = best.interp(x=plan.grid.x, y=plan.grid.y).values
    both = np.isfinite(expected) & np.isfinite(made.values["ndvi"])
    assert both.sum() > 0.95 * np.isfinite(expected).sum() > 5000
    np.testing.assert_allclose(made.values["ndvi"][both], expected[both], atol=1e-4)


def test_a_cube_is_copied_where_grids_agree():
    """The shipped cube of the North Sea through the C2RCC recipe gives what the shipped rule gives."""
    from xcube_cubehub.recipes.olci import clean

    folder = SAMPLES / "olci-north-sea"
    recipe = FileRecipe(load_recipe("olci-water-quality-c2rcc").spec.model_copy(update={"kind": "cube"}))
    with xr.open_zarr(folder / "cube.zarr", chunks=None) as cube:
        expected = clean(cube.load())
    plan = recipe.plan(open_source(str(folder)), Area(0, 50, 5, 52.5), TimeRange(), NOW)
    assert len(plan.steps) == expected.sizes["time"]
    valid = 0
    for step, time in zip(plan.steps, expected["time"].values, strict=True):
        made = recipe.make(plan, step)
        for name, values in made.values.items():
            wanted = (
                expected[name]
                .sel(time=time)
                .reindex(lon=plan.grid.x, lat=plan.grid.y, method="nearest", tolerance=1e-4)
            )
            np.testing.assert_allclose(values, wanted.values, rtol=1e-5)
            valid += np.isfinite(values).sum()
    assert valid > 10_000


def test_words_of_a_cube_keep_the_sign_bit():
    assert words(np.array([np.nan, -(2.0**31), 5, 2**31 + 1])).tolist() == [0, 1 << 31, 5, (1 << 31) + 1]


def test_the_shipped_recipe_for_ndvi(tmp_path):
    recipe = load_recipe("msi-ndvi").with_grid("utm", 20)
    paths = [
        scene(tmp_path, red=300, cloud=60.0),
        scene(
            tmp_path, red=900, scl=3, cloud=1.0, identity="S2A_33TWM_20230816_0_L2A", take="20230816T095031"
        ),
    ]
    plan, (made,) = steps(catalogue(tmp_path, paths), recipe)
    assert (plan.grid.crs, plan.variables[0].dtype) == ("EPSG:32633", "int16")
    assert str(made.time) == "2023-08-15T00:00:00"
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)
    assert made.report[0].reason.startswith("no pixels")
    assert yaml.safe_load(recipe.spec.model_dump_json())["grid"]["crs"] == "utm"
