"""What people are told when a request cannot be answered, and what still is the server's own fault."""

import asyncio
import http.client
import io
import json
import selectors
import shutil
import signal
import threading
import time
from functools import partial
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import xarray as xr
from PIL import Image

from support import PROTECTED, start
from xcube_cubehub import aside
from xcube_cubehub.errors import BusyError, RequestError
from xcube_cubehub.routes import LARGE_ROUTES, ROUTES

DEMO, UTM = "olci-water-quality-demo", "msi-ndvi"
TILE = f"/tiles/{DEMO}/conc_chl"
POINT = {"type": "Point", "coordinates": [27.45, 58.8]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{TILE}/5000/0/0", 400, "z must be a whole number from 0 to 30, not '5000'"),
        (f"{TILE}/1e21/0/0", 400, "z must be a whole number from 0 to 30, not '1e21'"),
        (f"{TILE}/9/154/295?crs=nope", 400, "crs must be EPSG:3857 or CRS84"),
        (f"{TILE}/9/154/295?vmin=a", 400, "vmin must be a number from -1e+30 to 1e+30, not 'a'"),
        (f"{TILE}/9/154/295?time=100%25", 400, "not '100%'"),
        (f"{TILE}/9/154/295?vmin=-1", 400, "vmin and vmax must be above 0 where the scale is logarithmic"),
        (f"{TILE}/legend?width=100000", 400, "width must be a whole number from 1 to 2000, not '100000'"),
        (f"/tiles/{DEMO}/nope/9/154/295", 404, "has no variable 'nope'; it has conc_chl, conc_tsm, kd489"),
        (f"/tiles/{DEMO}/a%3Dnope%2B1/9/154/295", 400, "the expression cannot be used: name 'nope' is not defined"),
        (f"/tiles/{DEMO}/rgb/9/154/295?r=a%3D9**9**9&g=kd489&b=kd489", 400, "a power takes a number of at most 8"),
        (f"/volumes/{DEMO}/conc_chl?bbox=nan,nan,nan,nan", 400, "bbox must be four finite numbers"),
        (f"/volumes/{DEMO}/conc_chl?bbox=1,2,3,4", 404, "nothing of the cube lies within"),
        (f"/statistics/{DEMO}/conc_chl?lon=27.45&lat=58.8&time=bad", 400, "time must be first, last, or a time"),
        (f"/ogc/collections/{DEMO}/coverage?f=netcdf&subset=lat(a:b)", 400, "subset must be ranges such as lat("),
        (f"/ogc/collections/{DEMO}/coverage?f=netcdf", 413, "at most 16000000 are given out: take a smaller bbox"),
        ("/s3/nope", 404, "bucket must be datasets or pyramids, not 'nope'"),
        ("/s3/datasets?max-keys=x", 400, "max-keys must be a whole number"),
        (f"/wmts/kvp?service=WMTS&request=GetTile&layer={DEMO}.conc_chl", 400, "tilematrix is missing: GetTile takes"),
        (f"/wmts/kvp?Service=WMTS&Request=GetTile&LAYER={DEMO}.a%3D9**9**9&TileMatrix=1&TileRow=0&TileCol=0", 400, "a power takes"),
        (f"/ogc/collections/{DEMO}/items?limit=-1", 400, "limit must be a whole number"),
        (f"/ogc/collections/{UTM}/coverage?f=netcdf&subset=depth(5)", 400,
         "subset selects by 'depth', which is no dimension of msi-ndvi with sorted numbers; besides those of the map it has: time"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_wrong_and_what_is_allowed(server, path, status, words):
    answer = server.get(path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert words in error["message"]
    assert error["status_code"] == status


@pytest.mark.slow
@pytest.mark.parametrize("body", [b'{"a":' * 100_000, b"[" * 100_000, b"{", b"[1]"])
def test_a_body_that_is_no_place_is_refused(server, body):
    for path in (f"/timeseries/{DEMO}/conc_chl", f"/statistics/{DEMO}/conc_chl", "/places/all"):
        answer = server.request("POST", path, data=body)
        assert answer.status_code == 400
        assert "must be a GeoJSON geometry or feature" in answer.json()["error"]["message"]


def raw(server, path):
    """Ask for an address that the client must not tidy."""
    prepared = requests.Request("GET", server.base).prepare()
    prepared.url = server.base + path
    with requests.Session() as session:
        return session.send(prepared, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["..", "%2e%2e", "%2E."])
def test_the_object_store_gives_no_file_outside_a_cube(server, step):
    """The key was joined to the cube's folder: any file of the machine, for everybody."""
    own = f"{step}/0.zarr/zarr.json"
    protected = "/".join([step] * 3 + [PROTECTED, "pyramid.levels", "0.zarr", "zarr.json"])
    for start_ in (f"/s3/datasets/{UTM}.zarr", f"/s3/pyramids/{UTM}.levels/0.zarr"):
        assert raw(server, f"{start_}/zarr.json").ok
        for way in (own, protected, "/".join([step] * 20 + ["etc", "passwd"]), "/etc/passwd"):
            answer = raw(server, f"{start_}/{way}")
            assert answer.status_code == 404, way
            assert "root:" not in answer.text


def test_the_store_itself_knows_no_such_key_either():
    """The second lock: behind a guard that let it through, the key does not exist."""
    from xcube.core.zarrstore import ZarrStoreHolder
    from xcube.webapi.s3.objectstorage import ObjectStorage

    from xcube_cubehub import corrections

    assert ZarrStoreHolder, "gives datasets their store"
    corrections.install(lambda _: ())
    cube = xr.Dataset()
    cube.zarr_store.set({".zgroup": b"{}", "../x": b"secret"})
    store = ObjectStorage({"a.zarr": cube})
    assert store["a.zarr/.zgroup"] == b"{}"
    assert "a.zarr/../x" not in store
    with pytest.raises(KeyError):
        store["a.zarr/../x"]


@pytest.mark.slow
def test_a_fault_of_the_server_stays_a_500_without_and_is_logged_with_traceback(built, issuer, tmp_path):
    cubes = tmp_path / "cubes"
    shutil.copytree(built / UTM, cubes / UTM)
    for shard in (cubes / UTM / "pyramid.levels" / "0.zarr" / "ndvi" / "c").glob("*/0/0"):
        shard.write_bytes(b"not what Blosc wrote")
    running = start(tmp_path, cubes, issuer.url)
    try:
        # with a word that the processes in front leave to xcube; what they cannot read is a 503 of theirs
        answer = running.get(f"/statistics/{UTM}/ndvi?lon=14.5535&lat=45.8708&time=first&debug=0")
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "Internal Server Error"
        assert "Traceback" not in answer.text
        assert str(tmp_path) not in answer.text
        assert f"GET /services/cubes/statistics/{UTM}/ndvi failed\nTraceback" in running.log
    finally:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0


@pytest.mark.slow
def test_a_series_of_an_expression_is_that_of_its_parts(server):
    query = "?startDate=2020-06-01&endDate=2020-08-01"
    plain = server.request("POST", f"/timeseries/{DEMO}/kd489{query}", json=POINT).json()["result"]
    more = server.request("POST", f"/timeseries/{DEMO}/more%3Dkd489%2B1{query}", json=POINT).json()["result"]
    got, expected = ([row["mean"] for row in rows if row["mean"] is not None] for rows in (more, plain))
    assert len(expected) > 3
    np.testing.assert_allclose(got, np.add(expected, 1), rtol=1e-6)


@pytest.mark.slow
def test_a_legend_has_the_size_asked_for(server):
    for query, size in (
        ("?width=200&height=60", (200, 60)),
        ("?width=60&height=200", (60, 200)),
        ("", (256, 64)),
    ):
        answer = server.get(f"{TILE}/legend{query}")
        assert Image.open(io.BytesIO(answer.content)).size == size


@pytest.mark.slow
def test_a_coverage_in_another_projection_keeps_its_place(server):
    box = "bbox=14.552,45.869,14.555,45.871&datetime=2016-07-01T00:00:00Z"
    answer = server.get(f"/ogc/collections/{UTM}/coverage?f=netcdf&{box}&crs=OGC:CRS84")
    assert answer.ok
    west, south, east, north = map(float, answer.headers["Content-Bbox"].split(","))
    assert 14.5519 < west < east < 14.5551
    assert 45.8689 < south < north < 45.8711


def test_what_is_answered_aside_does_not_hold_up_the_loop():
    freed, answered = threading.Event(), []

    class Response:
        def set_header(self, name, value):
            answered.append((name, value))

        async def finish(self, data, _content_type):
            answered.append(data)

    class Handler:
        _response = Response()

        async def get(self, word):
            assert freed.wait(20), "the loop stood still"
            self._response.set_header("Content-Type", "text/plain")
            await self._response.finish(word)

    async def run():
        handler = Handler()
        asyncio.get_running_loop().call_later(0.05, freed.set)
        await aside.answer(aside.Line("coverages", 1), handler, handler.get, "done")

    asyncio.run(run())
    assert answered == [("Content-Type", "text/plain"), "done"]


async def held(line, freed, calls):
    """A task that keeps the only thread of a line until it is freed, and one for each of the calls, waiting behind it."""
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def hold():
        loop.call_soon_threadsafe(begun.set)
        assert freed.wait(20)

    tasks = [asyncio.create_task(line.run(hold))]
    await begun.wait()
    tasks += [asyncio.create_task(line.run(call)) for call in calls]
    await asyncio.sleep(0)
    return tasks


def test_who_would_wait_too_long_is_told_so_at_once():
    freed, done = threading.Event(), []

    async def run():
        line = aside.Line("coverages", 1)
        tasks = await held(line, freed, [partial(done.append, n) for n in range(aside.FEW)])
        with pytest.raises(BusyError, match="too many coverages"):
            await line.run(lambda: done.append("too many"))
        freed.set()
        await asyncio.gather(*tasks)
        await line.run(lambda: done.append("again"))

    asyncio.run(run())
    assert done == [*range(aside.FEW), "again"]


def test_nothing_is_computed_for_who_has_gone_nor_keeps_others_waiting():
    freed, gone, done = threading.Event(), threading.Event(), []

    async def run():
        line = aside.Line("coverages", 1)
        aside.client_gone.set(gone.is_set)
        tasks = await held(line, freed, [partial(done.append, "unseen")] * aside.FEW)
        gone.set()
        aside.client_gone.set(lambda: False)
        tasks.append(asyncio.create_task(line.run(lambda: done.append("seen"))))
        await asyncio.sleep(0)
        freed.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert done == ["seen"]


def test_what_waits_at_the_stop_is_not_begun():
    freed, done = threading.Event(), []

    async def run():
        lines = aside.Lines()
        tasks = await held(lines.large, freed, [partial(done.append, "late")] * 3)
        lines.stop()
        freed.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(answer) for answer in answers[1:]] == [asyncio.CancelledError] * 3

    asyncio.run(run())
    assert done == []


def test_series_and_listings_have_threads_of_their_own():
    from xcube.webapi.timeseries import routes as series_routes

    from xcube_cubehub import framework

    assert series_routes.get_time_series is framework.get_time_series, "by which the guard knows a series"
    lines = aside.Lines()
    of = {route: lines.of(route) for route in ROUTES}
    assert {route for route, line in of.items() if line is lines.large} == LARGE_ROUTES
    assert {route for route, line in of.items() if line is lines.listings} == {"/s3/{bucket}"}


@pytest.mark.slow
def test_a_busy_server_says_so_and_passes_over_who_has_gone(server):
    """Twenty large coverages at once: those beyond the line are refused; once their clients leave, nothing waits."""
    address = urlsplit(server.base)
    path = f"{address.path}/ogc/collections/{DEMO}/coverage?f=netcdf&bbox=26.5,58,28,59.1&datetime=2020-01-01T00:00:00Z/2020-12-31T00:00:00Z"
    clients = []
    for _ in range(20):
        client = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        client.request("GET", path)
        clients.append(client)
    with selectors.DefaultSelector() as answered:
        for client in clients:
            answered.register(client.sock, selectors.EVENT_READ, client)
        refused = None
        while refused is None and answered.get_map():
            for key, _ in answered.select():
                answered.unregister(key.fileobj)
                answer = key.data.getresponse()
                refused = answer if answer.status == 503 else refused
        error = json.loads(refused.read())["error"]
    assert error["message"] == "too many coverages are being computed already"
    assert error["hint"] == "try again in a minute"
    for client in clients:
        client.close()
    for _ in range(600):
        small = server.get(
            f"/ogc/collections/{UTM}/coverage?f=netcdf&bbox=14.552,45.869,14.555,45.871&datetime=2016-07-01T00:00:00Z"
        )
        if small.ok:
            break
        time.sleep(0.1)
    assert small.ok


@pytest.mark.slow
def test_an_area_that_crosses_itself_counts_as_its_parts(server):
    """A bow-tie was refused; to GEOS it is an error. Its two halves are what its edges enclose."""
    west, middle, east, south, north = 27.0, 27.1, 27.2, 58.5, 58.7
    halves = [[[west, south], [middle, 58.6], [west, north], [west, south]],
              [[east, south], [east, north], [middle, 58.6], [east, south]]]  # fmt: skip
    crossing = [[west, south], [east, north], [east, south], [west, north], [west, south]]
    touching = [
        [west, south],
        [middle, 58.6],
        [east, south],
        [east, north],
        [middle, 58.6],
        [west, north],
        [west, south],
    ]
    found = [
        server.request("POST", f"/timeseries/{DEMO}/kd489?aggMethods=mean,count", json=place).json()["result"]
        for place in (
            {"type": "Polygon", "coordinates": [crossing]},
            {"type": "Polygon", "coordinates": [touching]},
            {"type": "MultiPolygon", "coordinates": [[half] for half in halves]},
        )
    ]
    assert max(row["count"] for row in found[0]) > 0
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_a_coverage_of_one_time_in_another_projection(server):
    """A range that holds one time only was a 500."""
    day = server.get(f"/datasets/{DEMO}/coords/time").json()["coordinates"][0][:10]
    box = f"f=netcdf&bbox=27,58.5,27.05,58.55&datetime={day}T00:00:00Z/{day}T23:59:59Z"
    answer = server.get(f"/ogc/collections/{DEMO}/coverage?{box}&crs=EPSG:32635")
    assert answer.status_code == 200, answer.text


def cube_of(**axes):
    shape = [len(values) for values in axes.values()]
    return xr.Dataset({"v": (list(axes), np.arange(np.prod(shape), dtype="f4").reshape(shape))}, dict(axes))


def test_only_what_a_projection_can_show_is_projected(monkeypatch):
    from pyproj import CRS
    from xcube.server.api import ApiError
    from xcube.webapi.ows.coverages import controllers

    from xcube_cubehub import corrections

    corrections.install(lambda _: ())
    world = cube_of(lat=np.arange(89.95, -90, -0.1), lon=np.arange(-179.95, 180, 0.1))
    for crs in ("EPSG:32635", "EPSG:2193", "EPSG:27700"):
        assert not corrections.within(world, CRS(crs)), crs
    for crs in ("EPSG:3857", "OGC:CRS84", "EPSG:6933"):
        assert corrections.within(world, CRS(crs)), crs
    monkeypatch.setattr(controllers, "get_dataset", lambda *_: world)
    with pytest.raises(ApiError.BadRequest, match="beyond what EPSG:27700 can show: take a smaller bbox"):
        controllers.get_coverage_data(None, "world", {"crs": ["EPSG:27700"]}, "netcdf")
    estonia = world.sel(lat=slice(60, 57), lon=slice(21, 29))
    assert corrections.within(estonia, CRS("EPSG:32634")), "more than a zone wide, and nothing wrong with it"


def test_a_coverage_is_cut_by_any_dimension_of_sorted_numbers():
    from xcube.webapi.ows.coverages import controllers

    from xcube_cubehub import corrections
    from xcube_cubehub.checks import Request, check_dimensions

    corrections.install(lambda _: ())
    cube = cube_of(
        depth=[0.0, 5.0, 20.0], band=["red", "blue"], member=[2, 1, 3], lat=[59.0, 58.0], lon=[27.0, 28.0]
    )

    class Datasets:
        def get_dataset(self, _name):
            return cube

    def check(subset):
        arguments = {"collectionId": "a"}
        check_dimensions(
            Request.read("/ogc/collections/{collectionId}/coverage", arguments, {"subset": [subset]}),
            Datasets(),
        )

    check("lat(58:59),depth(6)")
    for name in ("nope", "band", "member", "time"):
        with pytest.raises(RequestError, match=f"selects by '{name}'.* it has: depth$"):
            check(f"depth(5),{name}(1)")
    _, found = controllers._apply_subsetting(cube, {"depth": "6"}, None)
    np.testing.assert_array_equal(found.v, cube.v[1])
    _, found = controllers._apply_subsetting(cube.isel(depth=1), {"depth": "6"}, None)
    np.testing.assert_array_equal(found.v, cube.v[1])


def test_a_legend_has_the_height_that_its_description_gives():
    from xcube.webapi.datasets.routes import NewLegendHandler, OldLegendHandler

    from xcube_cubehub import corrections

    corrections.install(lambda _: ())
    for handler in (NewLegendHandler, OldLegendHandler):
        described = {p["name"]: p["schema"] for p in handler.get.__openapi__["parameters"]}
        assert described["width"]["default"] == corrections.LEGEND_WIDTH
        assert described["height"]["default"] == corrections.LEGEND_HEIGHT
