"""Masks, grids, pyramids and the made-up series, against independent computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcube_cubehub import flags, render, synthetic
from xcube_cubehub.grid import Grid, grid_of
from xcube_cubehub.index import Index
from xcube_cubehub.recipes import demo
from xcube_cubehub.recipes.ndvi import mask_clouds
from xcube_cubehub.writer import halve, levels_for


def bits(*numbers):
    return sum(1 << n for n in numbers)


@pytest.mark.parametrize(
    ("c2rcc", "quality", "kept"),
    [
        (bits(31), 0, True),
        (bits(31, 3), bits(27), True),  # Cloud_risk and bright alone do not reject
        (0, 0, False),  # Valid_PE is missing
        (bits(31, 0), 0, False),  # Rtosa_OOS
        (bits(31, 15), 0, False),  # Rhow_OOS
        (bits(31, 4), 0, False),  # Iop_OOR
        (bits(31), bits(31), False),  # land
        (bits(31), bits(25), False),  # invalid
        (bits(31, 16), 0, True),  # Kd489_OOR concerns kd489 only
    ],
)
def test_flag_words_decide(c2rcc, quality, kept):
    assert flags.water_mask([c2rcc], [quality])[0] == kept
    assert flags.kd489_mask([c2rcc], [quality])[0] == (kept and not c2rcc >> 16 & 1)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_flag_words_are_the_same_in_every_storage_type(words):
    unsigned = np.array(words, "uint32")
    for stored in (
        unsigned,
        unsigned.view("int32"),
        unsigned.astype("float64"),
        unsigned.view("int32").astype("float64"),
    ):
        np.testing.assert_array_equal(flags.as_words(stored), unsigned)
    assert flags.as_words([np.nan])[0] == 0


def test_clouds_and_impossible_values_are_masked():
    ndvi = np.array([0.5, 0.5, 0.5, 1.2, -1.2, np.nan], "float32")
    clouds = np.array([0.39, 0.4, np.nan, 0.0, 0.0, 0.0], "float32")
    np.testing.assert_array_equal(
        np.isfinite(mask_clouds(ndvi, clouds)), [True, False, False, False, False, False]
    )


@settings(deadline=None)  # the first call may compile
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_halving_is_the_mean_of_what_is_there(rows, columns, seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((rows, columns)) < 0.4, np.nan, rng.random((rows, columns)))
    got = halve(values.astype("float32"), "mean")
    assert got.shape == ((rows + 1) // 2, (columns + 1) // 2)
    for row in range(got.shape[0]):
        for column in range(got.shape[1]):
            block = [
                v
                for r in values[2 * row : 2 * row + 2]
                for v in r[2 * column : 2 * column + 2]
                if not np.isnan(v)
            ]
            assert (
                got[row, column] == pytest.approx(sum(block) / len(block), rel=1e-6)
                if block
                else np.isnan(got[row, column])
            )


def test_levels_share_their_corner_and_end_in_one_tile():
    grid = Grid(west=0.0, north=52.5, resolution=0.0025, shape=(1000, 2001))
    index = Index(
        "EPSG:4326", 0.0, 52.5, 0.0025, -0.0025, grid.shape, levels_for(grid.shape), ("lat", "lon"), {}
    )
    shapes = [index.level_shape(level) for level in range(index.levels)]
    assert shapes == [(1000, 2001), (500, 1001), (250, 501), (125, 251)]
    assert levels_for((100, 101)) == 2, "a level that is coarser, however small the cube"
    again = grid_of(grid.x, grid.y)
    assert again.shape == grid.shape
    np.testing.assert_allclose(again.bounds, grid.bounds, atol=1e-9)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_grid_that_is_not_regular_is_refused(axis):
    x, y = np.arange(5.0), np.arange(5.0)[::-1].copy()
    (x if axis == "x" else y)[1] += 0.3
    with pytest.raises(ValueError, match="evenly"):
        grid_of(x, y)
    with pytest.raises(ValueError, match="south"):
        grid_of(np.arange(5.0), np.arange(5.0))


def test_noon_zenith_at_the_solstices():
    assert synthetic.noon_zenith(172, 58.6) == pytest.approx(58.6 - 23.45, abs=0.05)
    assert synthetic.noon_zenith(355, 58.6) == pytest.approx(58.6 + 23.45, abs=0.05)


def test_the_made_up_days_leave_out_the_dark_months():
    days = synthetic.days(2015, 2024, 4, 58.6)
    months = {int(str(day)[5:7]) for day in days}
    assert {12, 1} & months == set()
    assert {3, 6, 9} <= months
    assert str(days[0]).startswith("2015")
    assert str(days[-1]).startswith("2024")
    assert set(np.diff(days).astype(int) % 4) == {0}


@pytest.fixture(scope="module")
def place():
    return demo.water(demo.PEIPSI)


def test_a_scene_is_a_function_of_seed_and_day(place):
    day = np.datetime64("2020-07-10")
    one, two = synthetic.scene(place, day), synthetic.scene(place, day)
    other = synthetic.scene(place, day, seed=1)
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])
        assert values.dtype == np.float32
        assert not np.array_equal(values, other[name], equal_nan=True)
        assert np.isnan(values[place.kind == synthetic.LAND]).all()


def test_summer_blooms_stand_above_early_spring(place):
    def mean(month):
        days = [np.datetime64(f"{year}-{month}-15") for year in range(2015, 2025)]
        return np.nanmean(
            [
                np.nanmean(synthetic.scene(place, d)["conc_chl"])
                for d in days
                if not np.isnan(synthetic.scene(place, d)["conc_chl"]).all()
            ]
        )

    assert mean("08") > 1.5 * mean("03")


def test_values_stay_in_the_range_that_packing_can_hold(place):
    limit = 32767
    for month in ("03", "05", "08", "10"):
        for name, values in synthetic.scene(place, np.datetime64(f"2019-{month}-11")).items():
            assert np.nanmax(values, initial=0) / demo.PACKING[name] < limit
            assert np.nanmin(values, initial=1) > 0


def test_water_and_land_where_they_are():
    grid = demo.ESTONIA
    kind = demo.water(grid).kind

    def at(lon, lat):
        return kind[int((grid.north - lat) / grid.resolution), int((lon - grid.west) / grid.resolution)]

    assert at(27.45, 58.80) == synthetic.LAKE  # Lake Peipsi
    assert at(26.04, 58.25) == synthetic.SHALLOW_LAKE  # Võrtsjärv
    assert at(23.60, 57.90) == synthetic.SEA  # Gulf of Riga
    assert at(25.00, 59.75) == synthetic.SEA  # Gulf of Finland
    assert at(26.72, 58.38) == synthetic.LAND  # Tartu
    assert at(22.50, 58.40) == synthetic.LAND  # Saaremaa


def test_share_of_land_is_a_plain_mean():
    land = np.zeros((7, 7), bool)
    land[3, 3] = True
    share = demo.share_of_land(land, radius=1)
    np.testing.assert_allclose(share[2:5, 2:5], 1 / 9)
    assert share.sum() == pytest.approx(1.0)


def test_texts_of_people_have_no_markup():
    assert not {"<", ">"} & set(render.plain('x<iframe srcdoc="<script>">'))
    assert render.plain("![a](http://evil.example/x) [b](javascript:1)") == (
        "! [a] (http://evil.example/x) [b] (javascript:1)"
    )
    assert render.plain("Copernicus [2017], ESA & Brockmann") == "Copernicus [2017], ESA & Brockmann"
