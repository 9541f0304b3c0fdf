"""Statistics against xcube's own function, whose numbers people know, on grids of all kinds."""

import json
import warnings
from types import SimpleNamespace

import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from grids import DAY_S, FIRST, KINDS
from test_fast_series import places
from xcube_cubehub.errors import RequestError
from xcube_cubehub.fast import statistics, tiles
from xcube_cubehub.fast.asked import Statistics, statistics_of

TIMES = 3
SOUND = [n for n in KINDS if n not in {"across 180 degrees", "0 to 360"}]
"""Of the other two grids xcube's own are wrong: it knows longitudes from -180 to 180 only."""


@pytest.fixture(scope="module")
def cubes(grid_cubes):
    return grid_cubes


@pytest.fixture(scope="module")
def theirs(cubes):
    """xcube's own answer, from the same folder: its function, and its corrections as they run behind the fronts."""
    from xcube.core.store import new_data_store
    from xcube.webapi.statistics.controllers import compute_statistics

    from xcube_cubehub import corrections

    corrections.install(lambda _: ())
    opened = {}

    def ask(name, place, step):
        if name not in opened:
            store = new_data_store("file", root=str(cubes[name]))
            opened[name] = store.open_data("pyramid.levels")
        datasets = SimpleNamespace(get_ml_dataset=lambda _: opened[name], trace_perf=False)
        time = np.datetime64(FIRST + step * DAY_S, "s").astype("datetime64[ns]")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compute_statistics(
                SimpleNamespace(datasets_ctx=datasets), name, "value", place, {"time": time}
            )

    return ask


def asked(step=0, point=None):
    return Statistics("a", "value", float(FIRST + step * DAY_S), point)


def same(ours, expected, what):
    assert ours.keys() == expected.keys(), what
    if ours.get("count", 0) < 2:
        assert ours == expected, what
        return
    assert ours["count"] == expected["count"], what
    for name in ("minimum", "maximum"):
        assert ours[name] == expected[name], (what, name)
    # xcube's are sums of float32 where the values are
    np.testing.assert_allclose(ours["mean"], expected["mean"], rtol=3e-5, err_msg=what)
    np.testing.assert_allclose(ours["deviation"], expected["deviation"], rtol=1e-4, atol=1e-6, err_msg=what)
    assert ours["histogram"]["edges"] == expected["histogram"]["edges"], what
    assert ours["histogram"]["values"] == expected["histogram"]["values"], what


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_areas_have_xcubes_numbers(cubes, theirs, name):
    cube = tiles.Cube(cubes[name])
    for step, (what, geometry) in enumerate(places(cube, np.random.default_rng(5))):
        place = shapely.geometry.mapping(geometry)
        ours = json.loads(
            statistics.body_json(cube, asked(step % TIMES), json.dumps(place).encode(), lambda: False)
        )
        same(ours["result"], theirs(name, place, step % TIMES), f"{name} {what}")


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_points_have_xcubes_numbers(cubes, theirs, name):
    cube, rng = tiles.Cube(cubes[name]), np.random.default_rng(6)
    index = cube.index
    to_degrees = pyproj.Transformer.from_crs(index.crs, "OGC:CRS84", always_xy=True)
    nothing = 0
    for number in range(12):
        column, row = rng.uniform(-0.2, 1.2, 2) * (index.shape[1], index.shape[0])
        lon, lat = to_degrees.transform(index.west + column * index.dx, index.north + row * index.dy)
        expected = theirs(name, (lon, lat), number % TIMES)
        ours = statistics.point_json(cube, asked(number % TIMES), lon, lat, compact=True)
        assert json.loads(ours)["result"] == expected
        nothing += not expected
        place = {"type": "Point", "coordinates": [lon, lat]}
        ours = statistics.body_json(cube, asked(number % TIMES), json.dumps(place).encode(), lambda: False)
        assert json.loads(ours)["result"] == theirs(name, place, number % TIMES)
    assert 0 < nothing < 12


def test_grids_that_xcube_gets_wrong_have_numpys_numbers(cubes):
    for name in ("across 180 degrees", "0 to 360"):
        cube = tiles.Cube(cubes[name])
        index = cube.index
        with xr.open_zarr(cubes[name] / "pyramid.levels" / "0.zarr", chunks=None) as dataset:
            values = dataset["value"].values[1]
        west, north = index.west + 20 * index.dx, index.north + 30 * index.dy
        box = shapely.box(west, north + 40 * index.dy, west + 50 * index.dx, north)
        area = statistics.area_of(cube, box)
        ours = statistics.area_statistics(cube, "value", 1, area)
        assert 1900 < area.mask.sum() < 2100
        rows, columns = np.nonzero(area.mask)
        window = values[area.top + rows, area.left + columns].astype(np.float64)
        assert ours["count"] == np.isfinite(window).sum()
        np.testing.assert_allclose(
            [ours["minimum"], ours["maximum"], ours["mean"], ours["deviation"]],
            [np.nanmin(window), np.nanmax(window), np.nanmean(window), np.nanstd(window)], rtol=1e-9,
        )  # fmt: skip


def test_which_time_is_nearest(cubes):
    cube = tiles.Cube(cubes["degrees"])
    with xr.open_zarr(cubes["degrees"] / "pyramid.levels" / "0.zarr", chunks=None) as dataset:
        times = dataset.indexes["time"]

    def step(query):
        found = statistics_of("/statistics/a/value", query, posted=True)
        return statistics.step_of(cube, found)

    assert [step(f"time={t}") for t in ("first", "LAST", "current")] == [0, TIMES - 1, TIMES - 1]
    assert step("") == 0, "xcube takes the first where none is named"
    for label in (
        "2016-01-01", "2017-01-01T11:59:59Z", "2017-01-01T12:00:00Z", "2017-01-01T12:00:01", "2017-01-02 12:00:00",
        "2017-01-02T14:00:00+02:00", "2030-01-01",
    ):  # fmt: skip
        moment = np.datetime64(int(statistics_of("/statistics/a/value", f"time={label.replace('+', '%2B')}", posted=True).seconds), "s")  # fmt: skip
        assert (
            step(f"time={label.replace('+', '%2B')}") == times.get_indexer([moment], method="nearest")[0]
        ), label


@pytest.mark.parametrize(
    "query",
    [
        "time=soon", "time=", "time=2017-01-01/2017-01-02", "time=2017-01-01&time=2017-01-02", "lon=1&lat=nan", "lon=1",
        "lon=1&lat=2&debug=1", "lon=1&lat=2&x=3", "",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_handed_on(query):
    assert statistics_of("/statistics/a/v", query, posted=False) is None


@pytest.mark.parametrize(
    "place",
    [
        {"type": "LineString", "coordinates": [[3, 50], [4, 51]]},
        {"type": "MultiPoint", "coordinates": [[3, 50], [4, 51]]},
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [3, 50]}]},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 50]}}]},
    ],
)  # fmt: skip
def test_lines_and_collections_are_for_xcube(cubes, place):
    cube = tiles.Cube(cubes["degrees"])
    assert statistics.body_json(cube, asked(), json.dumps(place).encode(), lambda: False) is None


def test_a_large_area_is_refused_with_what_would_do(cubes, monkeypatch):
    cube = tiles.Cube(cubes["degrees"])
    monkeypatch.setattr(statistics, "MAX_PIXELS", 100)
    body = json.dumps(shapely.geometry.mapping(shapely.box(3, 50, 9, 55))).encode()
    with pytest.raises(RequestError) as refused:
        statistics.body_json(cube, asked(), body, lambda: False)
    assert "smaller area" in refused.value.hint


def test_nothing_is_computed_for_nobody(cubes):
    cube = tiles.Cube(cubes["degrees"])
    body = json.dumps(shapely.geometry.mapping(shapely.box(3, 50, 9, 55))).encode()
    assert statistics.body_json(cube, asked(), body, lambda: True) is None


def test_many_points_cost_no_more_than_their_area(cubes):
    """A polygon of 10⁵ points is answered like one of ten; a longer address than the body may be is refused before."""
    cube = tiles.Cube(cubes["degrees"])
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    ring = np.column_stack([6 + np.cos(angles), 52 + np.sin(angles)]).round(6).tolist()
    body = json.dumps({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}).encode()
    assert len(body) < 4 * 1024 * 1024
    many = json.loads(statistics.body_json(cube, asked(), body, lambda: False))["result"]
    few = statistics.area_statistics(
        cube, "value", 0, statistics.area_of(cube, shapely.Point(6, 52).buffer(1, 64))
    )
    assert abs(many["count"] - few["count"]) < 0.01 * few["count"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_that_lie_closer_than_bins_can_be_cut(dtype):
    low = np.array([17_000.05], dtype)
    values = np.array([low[0], np.nextafter(low[0], np.inf), low[0]], dtype)
    counts, edges = statistics._histogram(values, float(values.min()), float(values.max()))
    assert counts.sum() == 3
    assert (np.diff(edges) > 0).all()
