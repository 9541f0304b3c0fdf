"""Water products to steps: pixels worked out by hand, and products that are broken in many ways."""

import dataclasses
import logging
import pickle

import netCDF4
import numpy as np
import pytest

from scenes import WQSF, make_wfr
from xcube_cubehub.making import FileRecipe, load_recipe
from xcube_cubehub.sources import open_source
from xcube_cubehub.steps import Area, CubeGrid, TimeRange

NOW = np.datetime64("2023-12-01T00:00:00")
AREA = Area(1.0, 52.0, 1.4, 52.3)
RECIPE = load_recipe("olci-water-quality").with_grid("EPSG:4326", 0.1)
LON, LAT = np.meshgrid(np.arange(0.95, 1.5, 0.1), np.arange(52.35, 51.9, -0.1))
"""Centres of the pixels of a 0.1 degree grid, and one more on each side."""

INSIDE = np.s_[1:4, 1:5]


def codes(value=100):
    return np.full(LON.shape, value, np.uint8)


def flags(*names, of=WQSF):
    return np.full(LON.shape, sum(of[name] for name in names), np.uint64)


def steps(folder, recipe=RECIPE, area=AREA, time=None):
    plan = recipe.plan(open_source(str(folder)), area, time or TimeRange(), NOW)
    recipe, plan = pickle.loads(pickle.dumps((recipe, plan)))  # noqa: S301 - our own
    return plan, [recipe.make(plan, step) for step in plan.steps]


def test_stored_logarithms_become_concentrations(tmp_path):
    """Code 150 is 0.02 * 150 - 2 = 1, and 10 ** 1 = 10; the fill code 255 is nothing."""
    stored = codes(150)
    stored[2, 2] = 255
    make_wfr(tmp_path, LON, LAT, stored, flags("WATER"))
    plan, (made,) = steps(tmp_path)
    assert plan.grid.shape == (3, 4)
    assert str(made.time) == "2023-06-10T00:00:00"
    for values in made.values.values():
        assert values.dtype == np.float32
        assert np.isnan(values[1, 1])
        values[1, 1] = 10
        np.testing.assert_allclose(values, 10, rtol=1e-5)
    assert [ref.platform for ref in made.sources] == ["sentinel-3a"]
    assert made.report == ()


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (("WATER",), {"chl_nn", "tsm_nn", "chl_oc4me", "kd490"}),
        (("INLAND_WATER", "TIDAL"), {"chl_nn", "tsm_nn", "chl_oc4me", "kd490"}),
        (("LAND",), set()),
        ((), set()),
        (("WATER", "CLOUD_MARGIN"), set()),
        (("WATER", "HISOLZEN"), set()),
        (("WATER", "MEGLINT"), {"chl_nn", "tsm_nn", "chl_oc4me", "kd490"}),
        (("WATER", "OCNN_FAIL"), {"chl_oc4me", "kd490"}),
        (("WATER", "OC4ME_FAIL"), {"chl_nn", "tsm_nn", "kd490"}),
        (("WATER", "KDM_FAIL"), {"chl_nn", "tsm_nn", "chl_oc4me"}),
        (("WATER", "AC_FAIL"), {"chl_nn", "tsm_nn"}),
        (("WATER", "RWNEG_O8"), {"chl_nn", "tsm_nn"}),
        (("WATER", "RWNEG_O9"), {"chl_nn", "tsm_nn", "chl_oc4me", "kd490"}),
    ],
)
def test_each_flag_rejects_what_the_table_says(tmp_path, names, kept):
    words = flags("WATER")
    words[2, 3] = sum(WQSF[name] for name in names)
    make_wfr(tmp_path, LON, LAT, codes(), words)
    _, (made,) = steps(tmp_path)
    assert {name for name, values in made.values.items() if np.isfinite(values[1, 2])} == kept
    assert all(
        np.isfinite(values).sum() == (12 if name in kept else 11) for name, values in made.values.items()
    )


def test_passes_of_a_day_are_averaged_as_logarithms(tmp_path):
    """1 and 100 give 10, where both have a value; where one has, it is that."""
    cloudy = flags("WATER")
    cloudy[2, 3] |= np.uint64(WQSF["CLOUD"])
    make_wfr(tmp_path, LON, LAT, codes(100), flags("WATER"))
    make_wfr(tmp_path, LON, LAT, codes(200), cloudy, unit="B", start="20230610T103000")
    make_wfr(tmp_path, LON, LAT, codes(120), flags("WATER"), start="20230611T095000", frame="2700")
    _, made = steps(tmp_path)
    assert len(made) == 2
    chl = made[0].values["chl_nn"]
    assert chl[0, 0] == pytest.approx(10, rel=1e-5)
    assert chl[1, 2] == pytest.approx(1, rel=1e-5)
    assert len(made[0].sources) == 2


def test_of_two_versions_one_is_used(tmp_path):
    make_wfr(tmp_path, LON, LAT, codes(100), flags("WATER"), timeliness="NR", made="20230610T130000")
    make_wfr(tmp_path, LON, LAT, codes(150), flags("WATER"), timeliness="NT")
    plan, (made,) = steps(tmp_path)
    assert made.values["chl_nn"][0, 0] == pytest.approx(10, rel=1e-5)
    assert sorted(line.outcome for line in plan.report) == ["replaced", "used"]


def test_a_new_collection_without_oc4me_has_the_rest(tmp_path):
    make_wfr(tmp_path, LON, LAT, codes(), flags("WATER"), leave_out=("chl_oc4me",), collection="004")
    _, (made,) = steps(tmp_path)
    assert np.isnan(made.values["chl_oc4me"]).all()
    assert np.isfinite(made.values["chl_nn"]).all()


def spoil(product, how):
    path = product / ("chl_nn.nc" if how == "shape" else "wqsf.nc")
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "zeros":
        path.write_bytes(b"\0" * len(data))
    elif how == "half zeros":
        path.write_bytes(data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2))
    elif how == "flags unknown":
        with netCDF4.Dataset(path, "a") as nc:
            nc["WQSF"].setncattr("flag_meanings", " ".join(f"X{n}" for n in range(len(WQSF))))
    elif how == "geolocation":
        with netCDF4.Dataset(product / "geo_coordinates.nc", "a") as nc:
            nc["longitude"].set_auto_maskandscale(False)
            nc["longitude"][:] = np.random.default_rng(1).integers(-180_000_000, 180_000_000, LON.shape)
    elif how == "nowhere":
        with netCDF4.Dataset(product / "geo_coordinates.nc", "a") as nc:
            nc["latitude"].set_auto_maskandscale(False)
            nc["latitude"][:] = 2_000_000_000


@pytest.mark.parametrize("how", ["missing", "zeros", "half zeros", "flags unknown", "geolocation", "nowhere"])
def test_a_product_broken_in_any_way_is_a_line_and_the_others_remain(tmp_path, how, caplog):
    broken = make_wfr(tmp_path, LON, LAT, codes(200), flags("WATER"), unit="B")
    make_wfr(tmp_path, LON, LAT, codes(100), flags("WATER"))
    (broken / "xfdumanifest.xml").write_text("<XFDU/>")  # says nothing about sizes and place
    spoil(broken, how)
    plan, made = steps(tmp_path)
    lines = [
        line
        for line in (*plan.report, *made[0].report)
        if line.scene == broken.name and line.outcome == "skipped"
    ]
    assert len(lines) == (0 if how == "geolocation" and len(made[0].sources) == 2 else 1)
    assert made[0].values["tsm_nn"][0, 0] > 0
    if lines:
        np.testing.assert_allclose(made[0].values["chl_nn"], 1, rtol=1e-5)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_every_truncation_is_a_line(tmp_path):
    product = make_wfr(tmp_path, LON, LAT, codes(), flags("WATER"))
    (product / "xfdumanifest.xml").write_text("<XFDU/>")
    path = product / "geo_coordinates.nc"
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        _, made = steps(tmp_path)
        assert len(made[0].report) == 1, length
        assert made[0].sources == ()


def test_all_cloud_and_out_of_reach_are_told_apart(tmp_path):
    make_wfr(tmp_path, LON, LAT, codes(), flags("CLOUD"))
    far = make_wfr(tmp_path, LON + 20, LAT, codes(), flags("WATER"), unit="B")
    (far / "xfdumanifest.xml").write_text("<XFDU/>")
    plan, (made,) = steps(tmp_path)
    said = {line.scene: line.reason for line in made.report}
    assert said[far.name].startswith("outside the area")
    assert any(reason.startswith("no pixels in the area") for reason in said.values())
    assert np.isnan(made.values["chl_nn"]).all()
    assert {line.outcome for line in plan.report} == {"used"}
    assert "outside the area" in {
        line.reason for line in steps(tmp_path, area=Area(-9, -9, -8, -8))[0].report
    }


def test_scenes_of_the_future_wait(tmp_path):
    make_wfr(tmp_path, LON, LAT, codes(), flags("WATER"), start="20240101T000000")
    plan, made = steps(tmp_path)
    assert made == []
    assert "from the future" in plan.report[0].reason


def test_a_coarser_grid_takes_the_geometric_mean(tmp_path):
    """Half the pixels 1, half 100, in checks: 10 on a grid of twice the edge."""
    fine_lon, fine_lat = np.meshgrid(np.arange(0.9, 1.5, 0.02), np.arange(52.4, 51.9, -0.02))
    rows, columns = np.indices(fine_lon.shape)
    stored = np.where((rows + columns) % 2, 100, 200).astype(np.uint8)
    words = np.full(fine_lon.shape, WQSF["WATER"], np.uint64)
    make_wfr(tmp_path, fine_lon, fine_lat, stored, words)
    _, (made,) = steps(tmp_path)
    np.testing.assert_allclose(made.values["chl_nn"], 10, rtol=0.15)


def test_a_swath_over_the_antimeridian(tmp_path):
    lon = np.where(LON + 178.8 > 180, LON + 178.8 - 360, LON + 178.8)
    make_wfr(tmp_path, lon, LAT, codes(150), flags("WATER"))
    plan, (made,) = steps(tmp_path, area=Area(179.8, 52.0, -179.8, 52.3))
    assert plan.grid.bounds[2] == pytest.approx(180.2)
    np.testing.assert_allclose(made.values["chl_nn"], 10, rtol=1e-4)


def test_a_remote_product_is_read_like_a_local_one(tmp_path):
    import fsspec

    product = make_wfr(tmp_path, LON, LAT, codes(150), flags("WATER"))
    fsspec.filesystem("memory").put(str(product), f"/swaths/{product.name}", recursive=True)
    _, (made,) = steps("memory://swaths")
    np.testing.assert_allclose(made.values["chl_nn"], 10, rtol=1e-5)


def test_a_grid_within_one_swath_pixel(tmp_path):
    make_wfr(tmp_path, LON, LAT, codes(150), flags("WATER"))
    plan, _ = steps(tmp_path)
    tiny = dataclasses.replace(plan, grid=CubeGrid("EPSG:4326", 1.16, 52.14, 0.01, (3, 3)))
    made = RECIPE.make(tiny, plan.steps[0])
    np.testing.assert_allclose(made.values["chl_nn"], 10, rtol=1e-5)


def test_a_claim_of_a_hundred_million_pixels_is_not_believed(tmp_path):
    product = make_wfr(tmp_path, LON, LAT, codes(), flags("WATER"))
    (product / "xfdumanifest.xml").write_text("<XFDU/>")
    with netCDF4.Dataset(product / "geo_coordinates.nc", "w") as nc:
        nc.createDimension("rows", 1_000_000)
        nc.createDimension("columns", 1_000_000)
        for name in ("longitude", "latitude"):
            nc.createVariable(name, "i4", ("rows", "columns"), chunksizes=(1000, 1000), zlib=True)
    _, (made,) = steps(tmp_path)
    assert "claims" in made.report[0].reason
    assert isinstance(RECIPE, FileRecipe)
