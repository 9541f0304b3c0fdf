"""What is noted of a cube's values against numpy over the whole of it, whatever was done to it before."""

import json
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grids import DAY_S, FIRST, KINDS, index_of, write
from test_growing import VARIABLES, Recipe, build
from xcube_cubehub.index import Index, Statistics, Variable, read_index
from xcube_cubehub.summary import (
    BINS,
    Totals,
    default_range,
    read_summary,
    summarise,
    summary_path,
    write_summary,
)
from xcube_cubehub.writer import CubeWriter


def check(cube, name="value"):
    """The noted numbers of a cube are those of all its values, as xarray reads them."""
    index = read_index(cube)
    with xr.open_zarr(cube / "pyramid.levels" / "0.zarr", chunks=None, mask_and_scale=True) as dataset:
        values, attributes = dataset[name].values, dataset[name].attrs
    values = values[np.isfinite(values)].astype(np.float32).astype(np.float64)
    noted = index.statistics.get(name)
    if not values.size:
        assert noted is None
        return
    assert noted.count == values.size
    assert (noted.minimum, noted.maximum) == (values.min(), values.max())
    assert attributes["actual_range"] == [noted.minimum, noted.maximum]
    np.testing.assert_allclose(
        [noted.mean, noted.deviation], [values.mean(), values.std()], rtol=1e-9, atol=1e-12
    )
    low, high = np.quantile(values, [0.02, 0.98], method="inverted_cdf")
    np.testing.assert_allclose([noted.low, noted.high], [low, high], rtol=2**-9, atol=1e-30)
    if noted.low < noted.high:
        inside = ((values >= noted.low) & (values <= noted.high)).sum()
        slack = sum(np.isclose(values, end, rtol=2**-8).sum() for end in (noted.low, noted.high)) + BINS
        assert len(noted.histogram) == BINS
        assert abs(sum(noted.histogram) - inside) <= slack


def test_every_kind_of_cube_knows_its_values(grid_cubes):
    for path in grid_cubes.values():
        check(path)


def test_a_histogram_is_numpys(grid_cubes):
    noted = read_index(grid_cubes["degrees"]).statistics["value"]
    with xr.open_zarr(grid_cubes["degrees"] / "pyramid.levels" / "0.zarr", chunks=None) as dataset:
        values = dataset["value"].values
    expected, _ = np.histogram(values[np.isfinite(values)], BINS, range=(noted.low, noted.high))
    assert np.abs(np.cumsum(expected) - np.cumsum(noted.histogram)).max() < 0.003 * noted.count


def test_it_stays_right_through_appends_replacements_and_a_new_writer(tmp_path):
    kind = KINDS["LAEA"]
    writer = write(tmp_path, kind, times=2)
    rng = np.random.default_rng(3)

    def field(low, high):
        values = rng.uniform(low, high, kind.shape).astype(np.float32)
        values[rng.random(kind.shape) < 0.3] = np.nan
        return {"value": values}

    writer.append(FIRST + 5 * DAY_S, field(300, 400))
    check(tmp_path)
    assert read_index(tmp_path).statistics["value"].maximum > 399
    # with what was the greatest gone, so is the maximum
    writer = CubeWriter(
        tmp_path, read_index(tmp_path), {"title": "a test"}, {"value": {"units": "1"}}, durable=False
    )
    writer.replace(FIRST + 5 * DAY_S, field(1, 2))
    check(tmp_path)
    assert read_index(tmp_path).statistics["value"].maximum < 300
    writer.replace(FIRST, {"value": np.full(kind.shape, np.nan, np.float32)})
    writer.finish()
    check(tmp_path)


def test_what_is_missing_or_damaged_is_worked_out_anew(tmp_path):
    write(tmp_path, KINDS["classes"], times=4)
    before = read_index(tmp_path).statistics
    files = sorted((tmp_path / "statistics" / "value").iterdir())
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(files[2].read_bytes()[:-9] + b"123456789")
    index = read_index(tmp_path)
    writer = CubeWriter(tmp_path, index.following(statistics={}), {"title": "a test"}, {"value": {"units": "1"}}, durable=False)  # fmt: skip
    writer.finish()
    assert read_index(tmp_path).statistics == before
    check(tmp_path)


def test_steps_that_come_late_and_scenes_of_newer_versions(tmp_path):
    recipe, cube = Recipe(), tmp_path / "lake"
    build(recipe, {10: 1, 20: 1, 30: 1}, cube)
    check(cube, "chl")
    build(recipe, {10: 1, 15: 1, 20: 2, 30: 1, 40: "empty"}, cube)
    check(cube, "chl")
    noted = read_index(cube).statistics["chl"]
    assert (noted.minimum, noted.maximum) == pytest.approx((10.01, 30.01))
    item = json.loads((tmp_path / "lake.item.json").read_text())
    told = item["properties"]["cube:variables"]["chl"]
    with xr.open_zarr(cube / "pyramid.levels" / "0.zarr", chunks=None) as finest:
        assert told["shape"] == list(finest["chl"].shape), "what memory it needs follows from it"
        for name, size in zip(told["dimensions"][1:], told["shape"][1:], strict=True):
            axis = item["properties"]["cube:dimensions"][name]
            assert axis["step"] * size == pytest.approx(axis["extent"][1] - axis["extent"][0])
    (band,) = item["assets"]["zarr"]["raster:bands"]
    assert (band["name"], band["unit"], band["nodata"]) == ("chl", VARIABLES[0].units, "nan")
    assert band["statistics"]["minimum"] == noted.minimum
    assert band["statistics"]["stddev"] == noted.deviation
    assert band["statistics"]["valid_percent"] == 100
    assert band["histogram"]["count"] == len(band["histogram"]["buckets"]) == BINS
    assert any("raster" in extension for extension in item["stac_extensions"])


def test_a_cube_written_before_there_were_statistics_is_read(tmp_path):
    write(tmp_path, KINDS["classes"], times=1)
    path = tmp_path / "cube.json"
    document = json.loads(path.read_text())
    del document["statistics"]
    path.write_text(json.dumps(document))
    assert read_index(tmp_path).statistics == {}


def test_a_cube_without_values_has_none(tmp_path):
    kind = KINDS["classes"]
    writer = CubeWriter(tmp_path, index_of(kind), {}, {"value": {"units": "1"}}, durable=False)
    writer.create()
    writer.append(FIRST, {"value": np.full(kind.shape, np.nan, np.float32)})
    writer.finish()
    check(tmp_path)


FLOATS = arrays(
    np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
)


@settings(max_examples=80, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=5), FLOATS)
def test_summaries_add_up_and_are_taken_away(tmp_path_factory, fields, other):
    with np.errstate(over="ignore"):
        totals, path = Totals(), tmp_path_factory.getbasetemp() / "one.summary"
        totals.put(0, summarise(other))
        for number, values in enumerate(fields):
            made = summarise(values)
            write_summary(path, made)
            read = read_summary(path)
            assert read.keys.tolist() == made.keys.tolist()
            assert read.counts.tolist() == made.counts.tolist()
            totals.put(number, read, summarise(other) if number == 0 else None)
        values = np.concatenate(fields)
        values = values[np.isfinite(values)].astype(np.float64)
        noted = totals.statistics()
        if not values.size:
            assert noted is None
            return
        assert (noted.count, noted.minimum, noted.maximum) == (values.size, values.min(), values.max())
        scale = np.abs(values).max()
        assert noted.mean == pytest.approx(values.mean(), abs=1e-9 * scale)
        assert noted.deviation == pytest.approx(values.std(), rel=1e-6, abs=1e-7 * scale)
        assert noted.minimum <= noted.low <= noted.high <= noted.maximum
        assert min(noted.histogram) >= 0


def statistics(low, high):
    return Statistics(9, low, high, low, 0.0, low, high, (9,))


@pytest.mark.parametrize(
    ("low", "high", "scale", "expected"),
    [
        (0.123, 28.7, "lin", (0, 29)), (0.123, 28.7, "log", (0.12, 29)), (271.3, 303.9, "lin", (271, 304)),
        (-0.08, 0.93, "lin", (-0.1, 1.0)), (-3.0, 4.0, "log", (0.004, 4)), (-3.0, -1.0, "log", (0.01, 1)),
        (5.0, 5.0, "lin", (5, 5.5)), (0.0, 0.0, "lin", (0, 1)), (1e-9, 2e-9, "lin", (1e-9, 2e-9)), (12e6, 99e6, "lin", (12e6, 99e6)),
    ],
)  # fmt: skip
def test_a_default_range_is_round_and_holds_most_values(low, high, scale, expected):
    found = default_range(statistics(low, high), scale)
    assert found == pytest.approx(expected)
    assert found[0] < found[1]


def test_without_values_there_is_a_range_still():
    assert default_range(None, "lin") == (0, 1)
    assert default_range(None, "log")[0] > 0


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e30, 1e30), st.floats(0, 1e30), st.sampled_from(["lin", "log"]))
def test_a_range_always_fits_its_scale(low, span, scale):
    first, last = default_range(statistics(low, low + span), scale)
    assert first < last
    assert math.isfinite(last - first)
    assert scale == "lin" or first > 0


def test_a_cube_without_a_range_of_its_own_is_shown_by_its_values(tmp_path):
    from xcube_cubehub.config import Cube
    from xcube_cubehub.config import Variable as Wanted
    from xcube_cubehub.render import style, styles

    write(tmp_path, KINDS["Mercator"], times=1)
    cube = Cube(
        id="a",
        title="A",
        access="public",
        attribution="nobody",
        variables=[Wanted(name="value", scale="log")],
    )
    found = styles(cube, tmp_path)["value"]
    noted = read_index(tmp_path).statistics["value"]
    assert noted.low * 0.9 <= found.low <= noted.low
    assert noted.high <= found.high <= noted.high * 1.1
    assert style(cube, tmp_path)["ColorMappings"]["value"]["ValueRange"] == [found.low, found.high]
    assert styles(cube, tmp_path / "nothing")["value"].low > 0


def test_a_variable_without_a_style_has_no_tiles_made_beforehand(tmp_path):
    index = Index("EPSG:4326", 0.0, 1.0, 0.1, -0.1, (10, 10), 2, ("lat", "lon"), {"value": Variable()})
    writer = CubeWriter(tmp_path, index, {}, {"value": {"units": "1"}}, durable=False)
    writer.create()
    writer.append(FIRST, {"value": np.ones((10, 10), np.float32)})
    writer.finish()
    assert not (tmp_path / "tiles").exists()
    assert summary_path(tmp_path, "value", FIRST).is_file()
    check(tmp_path)
