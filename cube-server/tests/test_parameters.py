"""The table of parameters, and what a place may be, without a server."""

import json
from urllib.parse import quote

import numpy as np
import pytest

from xcube_cubehub import geojson, parameters
from xcube_cubehub.errors import NotThereError, RequestError
from xcube_cubehub.parameters import PARAMETERS, YEARS, check, is_key
from xcube_cubehub.routes import ROUTES, Guard

TILE = "/tiles/{datasetId}/{varName}/{z}/{y}/{x}"
COVERAGE = "/ogc/collections/{collectionId}/coverage"
SERIES = "/timeseries/{datasetId}/{varName}"


def test_every_parameter_that_xcube_describes_is_in_the_table():
    from xcube.server.server import Server
    from xcube.util.plugin import init_plugins

    init_plugins()
    missing = []
    for route in (route for api in Server.load_apis({}) for route in api.routes):
        for method in route.handler_cls.defined_methods():
            described = getattr(route.handler_cls, method).__openapi__.get("parameters", [])
            names = {parameter["name"] for parameter in described}
            if ROUTES[route.path] is not Guard.CLOSED:
                missing += [(route.path, name) for name in names - set(PARAMETERS.get(route.path, {}))]
    assert missing == []
    assert set(PARAMETERS) <= set(ROUTES)


GOOD = [
    (TILE, "vmin", ["0", "-1.5", "1e-3", "60"]),
    (TILE, "time", ["2020-07-01", "2020-07-01T10:00:00Z", "2020-07-01 10:00:00", "current", "2015-01-01/2016-01-01", "1850-01-16", "2100-12-16"]),
    (TILE, "crs", ["EPSG:3857", "CRS84", "OGC:CRS84", "EPSG:4326"]),
    (TILE, "cmap", ["viridis", "viridis_r_alpha", '{"name": "a", "type": "categorical", "colors": [[1, "red", "Land"]]}',
                    '{"name": "a", "colors": [[0, "#ff0000"], [0.5, [0, 1, 0, 1]], [2, "blue"]]}',
                    '{"name": "a", "colors": [[0, "#00f"], [0.5, "#00f"], [0.5, "#f00"], [1, "#f00"]]}']),
    (TILE, "z", ["0", "30"]),
    (COVERAGE, "bbox", ["27,58.5,27.2,58.7", "-180, -90, 180, 90"]),
    (COVERAGE, "datetime", ["2020-07-01T00:00:00Z", "../2020-07-01T00:00:00Z", "../.."]),
    (COVERAGE, "subset", ["Lat(58:59)", "lon(27:27.5),lat(58:59)", 'time("2020-07-01T00:00:00Z":"*")', "time(2020-07-01)",
                          "depth(5)", 'depth("-2.5"),time(1850-01-16)', "depth(5),band(1)"]),
    (COVERAGE, "crs", ["EPSG:32635", "[EPSG:4326]", "OGC:CRS84", "http://www.opengis.net/def/crs/EPSG/0/3301"]),
    (COVERAGE, "scale-size", ["lat(200),lon(300)", "x(2),y(2)"]),
    (SERIES, "aggMethods", ["mean", "mean,std,count"]),
    (SERIES, "maxValids", ["-1", "1", "500"]),
    ("/s3/{bucket}", "bucket", ["datasets", "pyramids"]),
]  # fmt: skip
BAD = [
    (TILE, "vmin", ["", "a", "nan", "inf", "1e31", "1,2"]),
    (TILE, "time", ["", "bad", "nan", "NaT", "now", "2020-02-30", "1700-01-01", "9999-12-31", "2020-07-01/x", "\uff12020"]),
    (TILE, "crs", ["", "nope", "epsg:3857", "EPSG:32635", "+init=/etc/passwd:x"]),
    (TILE, "cmap", ["{", "{}", '{"a":' * 5000, '{"name": "a", "colors": [[1, "red"], [1, "blue"]]}',
                    '{"name": "a", "colors": [[0, "nocolour"], [1, "b"]]}', '{"name": "a", "colors": [[0, "red"]]}',
                    '{"name": 1, "colors": [[0, "red"], [1, "b"]]}', '{"name": "a", "colors": [0, 1]}',
                    '{"name": "a", "colors": [[1, "red"], [2, "blue"], [1, "red"]]}', '{"name": "a", "colors": [[1, "red"], [0, "b"], [2, "b"]]}',
                    '{"name": "a", "type": "stepwise", "colors": [[0, "red"], [1, "b"], [1, "red"], [2, "b"]]}',
                    '{"name": "a", "type": "categorical", "colors": [[1, "red"], [1.5, "b"]]}',
                    '{"name": "a", "colors": [["0", "red"], ["1", "b"]]}', '{"name": "a", "colors": [[NaN, "r"], [1, "b"]]}']),
    (TILE, "z", ["", "-1", "31", "5000", "1e21", "9" * 5000, "1.5"]),
    (COVERAGE, "bbox", ["", "1,2,3", "1,2,3,4,5", "nan,nan,nan,nan", "a,b,c,d"]),
    (COVERAGE, "datetime", ["", "bad", "..", "2020-07-01", "2020-07-01T00:00:00Z/x", "../../.."]),
    (COVERAGE, "subset", ["", "lat", "lat(a:b)", "lat(58)", "lat(58:*)", "nope(1:2)", "time(bad)", "lat(1:2),Lat(1:2)", "lat(nan:nan)",
                          "depth(1:2)", "depth(a)", "depth(nan)", "depth()", "depth(*)", "depth(1),depth(2)"]),
    (COVERAGE, "crs", ["EPSG:99999", "EPSG:4978", "EPSG:5773", "+proj=merc", "/etc/passwd", "urn:x", "[]", '{"a":' * 5000]),
    (COVERAGE, "scale-size", ["", "lat(0),lon(0)", "lat(2)", "lat(1e9),lon(2)", "lat(1.1.1),lon(2)", "lat(2),lat(2)"]),
    (COVERAGE, "Accept", ["x/y;q=a", "x/y;q=nan"]),
    (SERIES, "aggMethods", ["nope", "mean,nope", ","]),
    (SERIES, "maxValids", ["0", "-2", "9" * 40]),
    (SERIES, "tolerance", ["-1", "1e15", "nan"]),
]  # fmt: skip


@pytest.mark.parametrize(("route", "name", "values"), GOOD)
def test_what_people_and_the_viewer_send_passes(route, name, values):
    check(route, {}, {name: values})


@pytest.mark.parametrize(("route", "name", "values"), BAD)
def test_what_cannot_be_is_refused_with_the_name_and_what_is_allowed(route, name, values):
    kind = PARAMETERS[route][name]
    for value in values:
        with pytest.raises(RequestError) as refused:
            check(route, {}, {name: [value]})
        assert refused.value.message.startswith(f"{name} must be {kind.allowed}, not ")
        assert len(refused.value.message) < 400
        assert refused.value.status == 400


def test_what_a_path_names_and_is_not_there_is_404():
    with pytest.raises(NotThereError, match="bucket must be datasets or pyramids, not 'nope'"):
        check("/s3/{bucket}", {"bucket": "nope"}, {})


@pytest.mark.parametrize(
    "key", ["a.zarr/../b", "..", "a.zarr/./b", "/etc/passwd", "a//b", "a/", "", "a\\..\\b", "a\0", "a/" + "b" * 300]
)  # fmt: skip
def test_no_key_leaves_its_cube(key):
    assert not is_key(key)


def test_keys_of_zarr_pass():
    for key in (
        "a.zarr/zarr.json",
        "a.levels/0.zarr/conc_chl/0.0.0",
        "a:series.zarr/.zgroup",
        "a.zarr/größe/0.0",
    ):
        assert is_key(key), quote(key)


SQUARE = [[27, 58], [28, 58], [28, 59], [27, 58]]


def ring_of(points, *, crossing=False, touching=False):
    """A circle; with two neighbours exchanged it crosses itself, with a point twice it touches itself there."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1).tolist()
    if crossing:
        ring[3], ring[4] = ring[4], ring[3]
    if touching:
        ring[points // 2 : points // 2] = [[-0.9, 0.05], ring[0], [-0.9, -0.05]]
    return [*ring, ring[0]]


@pytest.mark.parametrize(
    "place",
    [
        {"type": "Point", "coordinates": [27.45, 58.8, 31.5]},
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "Feature", "properties": None, "geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE]]}},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [380, 5]}}]},
        {"type": "GeometryCollection", "geometries": [{"type": "LineString", "coordinates": SQUARE}]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [2, 2], [1, 1], [0, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [ring_of(500, touching=True)]},
    ],
)  # fmt: skip
def test_places_pass(place):
    geojson.check(json.dumps(place).encode())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "is not JSON"),
        (b"[1]", "no GeoJSON object"),
        (b"{}", "no GeoJSON object"),
        (b'{"type": ["Point"], "coordinates": [1, 2]}', "no GeoJSON object"),
        (b'{"type": "Circle"}', "'Circle'"),
        (b'{"type": "Point"}', "not lists of numbers"),
        (b'{"type": "Point", "coordinates": [1, true]}', "not lists of numbers"),
        (b'{"type": "Polygon", "coordinates": [[27, 58]]}', "not lists of numbers"),
        (b'{"type": "Point", "coordinates": [NaN, 1]}', "not on the globe"),
        (b'{"type": "Point", "coordinates": [1, 1e400]}', "not on the globe"),
        (b'{"type": "Point", "coordinates": [1, ' + b"9" * 400 + b"]}", "not on the globe"),
        (b'{"type": "Point", "coordinates": [1, 2, ' + b"9" * 400 + b"]}", "not on the globe"),
        (b'{"type": "LineString", "coordinates": [[1, 2]]}', "too few points"),
        (b'{"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}', "too few points"),
        (json.dumps({"type": "Polygon", "coordinates": [ring_of(500, crossing=True)]}).encode(), "Self-intersection.* up to 200 points only"),
        (
            json.dumps({"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [ring_of(150, crossing=True)]}] * 2}).encode(),
            "up to 200 points only",
        ),
        (b'{"type": "Feature", "geometry": null}', "no GeoJSON object"),
        (b'{"type": "FeatureCollection", "features": []}', "holds no geometry"),
        (b'{"type": "GeometryCollection", "geometries": [' + b'{"type": "GeometryCollection", "geometries": []},' * 9 + b'{"type": "Point", "coordinates": [1, 2]}]}', "holds no geometry"),
        (b'{"type": "GeometryCollection"}', "without a list"),
        (b'{"type": "GeometryCollection", "geometries": [' * 9 + b"]}" * 9, "nested too deeply"),
        (
            json.dumps({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}] * 1001}).encode(),
            "more than 1000",
        ),
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused_with_the_reason(body, why):
    with pytest.raises(RequestError, match=why) as refused:
        geojson.check(body)
    assert "must be a GeoJSON geometry or feature" in refused.value.message
    assert refused.value.hint


def test_few_geometries_may_ask_for_a_series_each():
    point = {"type": "Point", "coordinates": [1, 2]}
    inner = {"type": "GeometryCollection", "geometries": [point] * 7}
    for members, good in (([point] * 20, True), ([point] * 21, False), ([inner] * 3, False)):
        body = json.dumps({"type": "GeometryCollection", "geometries": members}).encode()
        geojson.check(body, geojson.most("/places/{placeGroupId}"))
        if good:
            geojson.check(body, geojson.most(SERIES))
        else:
            with pytest.raises(RequestError, match="holds more than 20 geometries"):
                geojson.check(body, geojson.most(SERIES))


def test_differences_of_times_fit_into_64_bits_of_nanoseconds():
    first, last = (
        np.datetime64(text, "ns") for text in (f"{YEARS.start}-01-01", f"{YEARS.stop - 1}-12-31T23:59:59")
    )
    assert last - first > np.timedelta64(0)


def test_a_long_value_is_quoted_short():
    assert len(parameters.shown("x" * 5000)) < 70
    assert parameters.shown("a\nb") == "'a\\nb'"
