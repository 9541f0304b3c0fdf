"""Series against xcube's own, whose numbers people know, on grids of all kinds."""

import json
import warnings

import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from grids import DAY_S, FIRST, KINDS, fields, write
from xcube_cubehub.errors import RequestError
from xcube_cubehub.fast import series, tiles
from xcube_cubehub.fast.asked import series_of

TIMES = 5


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("series"), {}
    for name, kind in KINDS.items():
        path = folder / name.replace(" ", "-")
        path.mkdir()
        writer = write(path, kind, TIMES - 1)
        # the last one is not in the time store yet
        writer.append(FIRST + (TIMES - 1) * DAY_S, {"value": fields(kind, TIMES)[-1]})
        made[name] = path
    return made


def places(cube, rng):
    """Areas and a line, in degrees, inside, across the edge, and tiny."""
    index = cube.index
    rows, columns = index.shape
    to_degrees = pyproj.Transformer.from_crs(index.crs, "OGC:CRS84", always_xy=True).transform

    def at(column, row):
        return to_degrees(index.west + column * index.dx, index.north + row * index.dy)

    middle, radius = (columns * rng.uniform(0.4, 0.6), rows * rng.uniform(0.4, 0.6)), min(rows, columns) * 0.2
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    star = [
        at(middle[0] + r * np.cos(a), middle[1] + r * np.sin(a))
        for a, r in zip(angles, rng.uniform(0.3, 1, 9) * radius, strict=True)
    ]
    edge = [at(-20.3, -15.7), at(60.2, -10.1), at(55.5, 70.4), at(-9.9, 64.2)]
    yield "star", shapely.Polygon(star)
    yield "across the edge", shapely.Polygon(edge)
    yield "tiny", shapely.Polygon([at(50.13, 50.17), at(52.71, 50.23), at(51.37, 52.91)])
    yield (
        "two",
        shapely.MultiPolygon(
            [shapely.Polygon(star), shapely.Polygon([at(9.37, 9.13), at(19.21, 9.41), at(18.83, 19.67)])]
        ),
    )


def theirs(path, geometry, methods):
    from xcube.core.gridmapping import GridMapping
    from xcube.core.timeseries import get_time_series

    with xr.open_zarr(path / "pyramid.levels" / "0.zarr") as dataset, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = GridMapping.from_dataset(dataset)
        found = get_time_series(
            dataset, grid_mapping=grid, geometry=geometry, var_names=["value"], agg_methods=methods
        )
        return None if found is None else found.load()


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in KINDS if n not in {"across 180 degrees", "0 to 360"}])
def test_areas_have_xcubes_numbers(cubes, name):
    """Of the two grids left out xcube's own are wrong: it knows longitudes from -180 to 180 only."""
    cube = tiles.Cube(cubes[name])
    span = series.span_of(cube, None, None)
    assert span.last == TIMES
    assert cube.index.series_steps == TIMES - 1
    for what, geometry in places(cube, np.random.default_rng(5)):
        area = series.area_of(cube, series.project(cube, geometry))
        expected = theirs(cubes[name], geometry, list(series.METHODS))
        assert area.mask.sum() == expected.attrs["max_number_of_observations"], what
        ours = series.area_values(cube, "value", area, span, series.METHODS)
        for method in series.METHODS:
            np.testing.assert_allclose(
                ours[method], expected[f"value_{method}"].values, rtol=3e-5, atol=2e-5, err_msg=f"{what} {method}"
            )  # fmt: skip


@pytest.mark.slow
def test_points_have_the_values_of_the_nearest_pixels(cubes):
    rng = np.random.default_rng(6)
    for name, path in cubes.items():
        cube = tiles.Cube(path)
        index = cube.index
        with xr.open_zarr(path / "pyramid.levels" / "0.zarr", chunks=None) as dataset:
            values = dataset["value"].load()
        span = series.span_of(cube, None, None)
        for _ in range(20):
            x = index.west + rng.uniform(0.1, index.shape[1] - 0.1) * index.dx
            y = index.north + rng.uniform(0.1, index.shape[0] - 0.1) * index.dy
            nearest = values.sel({index.dims[1]: x, index.dims[0]: y}, method="nearest").values
            ours = series.point_values(cube, "value", *series.pixel_of(cube, x, y), span)
            np.testing.assert_allclose(ours, nearest, rtol=1e-6, err_msg=name)
        assert series.pixel_of(cube, index.west - abs(index.dx), index.north + index.dy) is None


def test_half_way_between_two_pixels_pandas_decides(cubes):
    for name in ("degrees", "rows northwards"):
        cube = tiles.Cube(cubes[name])
        index = cube.index
        with xr.open_zarr(cubes[name] / "pyramid.levels" / "0.zarr", chunks=None) as dataset:
            ys, xs = dataset.indexes[index.dims[0]], dataset.indexes[index.dims[1]]
        for number in range(5, 200, 7):
            x, y = index.west + number * index.dx, index.north + number * index.dy
            expected = ys.get_indexer([y], method="nearest")[0], xs.get_indexer([x], method="nearest")[0]
            assert series.pixel_of(cube, x, y) == expected


def test_what_is_written_reads_as_it_was(cubes):
    cube = tiles.Cube(cubes["degrees"])
    labels, span = series.labels_of(cube), series.span_of(cube, None, None)
    values = np.array([1.5, np.nan, 2.25, np.nan, 1e-7])
    whole = json.loads(series.to_json(labels, span, {"mean": values}, total=None, max_valids=None))
    assert [row["mean"] for row in whole] == [1.5, None, 2.25, None, 1e-7]
    assert whole[0]["time"] == "2017-01-01T00:00:00Z"
    some = json.loads(series.to_json(labels, span, {"mean": values}, total=None, max_valids=-1))
    assert [row["time"][:10] for row in some] == ["2017-01-01", "2017-01-03", "2017-01-05"]
    two = json.loads(series.to_json(labels, span, {"mean": values}, total=None, max_valids=2))
    assert [row["mean"] for row in two] == [2.25, 1e-7]
    counts = np.array([3, 0, 4, 0, 5])
    both = json.loads(series.to_json(labels, span, {"mean": values, "count": counts}, total=9, max_valids=-1))
    assert both[0] == {"mean": 1.5, "count": 3, "time": "2017-01-01T00:00:00Z", "count_tot": 9}


def test_spans_include_their_ends(cubes):
    cube = tiles.Cube(cubes["degrees"])
    assert series.span_of(cube, FIRST, FIRST + DAY_S) == series.Span(0, 2)
    assert series.span_of(cube, FIRST + 1, FIRST + 2 * DAY_S - 1) == series.Span(1, 2)
    assert series.span_of(cube, FIRST + 99 * DAY_S, None) == series.Span(TIMES, TIMES)
    asked = series_of(
        "/timeseries/a/v", "startDate=2017-01-01&endDate=2017-01-02T00:00:00Z&aggMethods=mean,count"
    )
    assert (asked.start, asked.end) == (FIRST - 1, FIRST + DAY_S + 1), "xcube widens by a second"


def test_too_much_is_refused_with_what_would_do(cubes, monkeypatch):
    cube = tiles.Cube(cubes["degrees"])
    with pytest.raises(RequestError) as refused:
        series.area_of(cube, shapely.box(3, 50, 9, 55), 100)
    assert "smaller area" in refused.value.hint
    monkeypatch.setattr(series, "MAX_MEDIAN_PIXELS", 100)
    area = series.area_of(cube, shapely.box(3, 50, 9, 55))
    span = series.span_of(cube, None, None)
    with pytest.raises(RequestError, match="median"):
        series.area_values(cube, "value", area, span, ("mean", "median"))
    assert series.area_values(cube, "value", area, span, ("mean",))["mean"].shape == (TIMES,)


@pytest.mark.parametrize(
    "query",
    ["aggMethods=mode", "startDate=soon", "maxValids=0", "tolerance=-1", "x=1", "maxValids=1&maxValids=2"],
)
def test_what_is_not_understood_is_handed_on(query):
    assert series_of("/timeseries/a/v", query) is None
