"""The real server: data right, guard on every route, publishing without a restart."""

import io
import re
import shutil
import signal
import socket
import time
from itertools import product
from urllib.parse import urlsplit

import matplotlib as mpl
import numpy as np
import pytest
import requests
import xarray as xr
from matplotlib.colors import LogNorm
from PIL import Image

from support import PROTECTED, start
from xcube_cubehub.basemap import tile_bounds
from xcube_cubehub.routes import ROUTES, Guard

pytestmark = pytest.mark.slow

DEMO = "olci-water-quality-demo"
POINT = {"type": "Point", "coordinates": [27.45, 58.8]}


def test_every_route_of_xcube_is_in_the_table_and_no_dataset_route_is_open():
    from xcube.server.server import Server
    from xcube.util.plugin import init_plugins

    init_plugins()
    known = {route.path for api in Server.load_apis({}) for route in api.routes}
    assert known == set(ROUTES)
    named = {p for p in known if "{datasetId}" in p or "{collectionId}" in p}
    assert {p for p in named if ROUTES[p] is not Guard.DATASET} == set()


@pytest.fixture(scope="module")
def chl(built):
    with xr.open_zarr(built / DEMO / "pyramid.levels" / "0.zarr") as cube:
        yield cube.conc_chl.load()


def test_a_tile_shows_the_values(server, chl):
    z, x, y = 9, 295, 154
    time_ = str(chl.time.values[-1])[:19] + "Z"
    answer = server.get(
        f"/tiles/{DEMO}/conc_chl/{z}/{y}/{x}?crs=EPSG:3857&time={time_}&vmin=0.5&vmax=60&norm=log&cmap=viridis"
    )
    assert answer.headers["Content-Type"] == "image/png"
    pixels = np.array(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    west, south, east, north = tile_bounds(z, x, y)
    palette, norm, compared = mpl.colormaps["viridis"], LogNorm(0.5, 60), 0
    for row, column in product(range(8, 256, 31), range(8, 256, 31)):
        lon = west + (column + 0.5) / 256 * (east - west)
        lat = north + (row + 0.5) / 256 * (south - north)
        fields = [
            chl.isel(time=-1).sel(lon=lon + dx, lat=lat + dy, method="nearest").item()
            for dx in (-2e-3, 2e-3)
            for dy in (-2e-3, 2e-3)
        ]
        if len(set(map(str, fields))) > 1:
            continue  # at the edge of a source pixel either neighbour would be right
        if np.isnan(fields[0]):
            assert pixels[row, column, 3] == 0
        else:
            np.testing.assert_allclose(pixels[row, column], 255 * np.array(palette(norm(fields[0]))), atol=2)
            compared += 1
    assert compared > 5


def test_a_tile_without_a_range_takes_that_of_the_style(server):
    path = f"/tiles/{DEMO}/conc_chl/6/18/36?crs=EPSG:3857"
    assert server.get(path).content == server.get(f"{path}&vmin=0.5&vmax=60.0&norm=log&cmap=viridis").content


def test_a_series_is_what_xarray_reads(server, chl):
    answer = server.request("POST", f"/timeseries/{DEMO}/conc_chl", json=POINT).json()["result"]
    expected = chl.sel(lon=27.45, lat=58.8, method="nearest")
    assert len(answer) == chl.sizes["time"]
    got = [np.nan if row["mean"] is None else row["mean"] for row in answer]
    np.testing.assert_allclose(got, expected.values, rtol=1e-6)
    assert [row["time"][:19] for row in answer] == [str(t)[:19] for t in expected.time.values]


def test_a_series_in_utm(server, built):
    answer = server.request(
        "POST", "/timeseries/msi-ndvi/ndvi", json={"type": "Point", "coordinates": [14.55355, 45.87089]}
    ).json()
    import pyproj

    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(14.55355, 45.87089)
    with xr.open_zarr(built / "msi-ndvi" / "pyramid.levels" / "0.zarr") as cube:
        expected = cube.ndvi.sel(x=x, y=y, method="nearest").values
    got = [np.nan if row["mean"] is None else row["mean"] for row in answer["result"]]
    assert len(got) == 68
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_notebook_reads_the_cube_over_http(server, chl):
    with xr.open_zarr(f"{server.base}/s3/datasets/{DEMO}.zarr", consolidated=True) as remote:
        np.testing.assert_array_equal(remote.conc_chl[-1].values, chl[-1].values)


FILL = {
    "datasetId": PROTECTED, "collectionId": PROTECTED, "featureId": PROTECTED, "varName": "conc_chl", "dimName": "time",
    "placeGroupId": "estonian-lakes", "varExpr": "conc_chl+1", "z": "0", "y": "0", "x": "0", "tmsId": "WorldCRS84Quad",
    "operationId": "spatial_subset", "jobId": "0", "contribPoint": "panels", "contribIndex": "0",
}  # fmt: skip


def test_the_cell_of_the_catalogue_for_a_store_of_xcube_gives_the_cube(server):
    from xcube.core.store import new_data_store

    # as cubehub_catalogue.code.platform writes it
    options = {"anon": True, "client_kwargs": {"endpoint_url": server.base + "/s3"}}
    store = new_data_store("s3", root="datasets", storage_options=options)
    with store.open_data(f"{DEMO}.zarr") as cube:
        assert {"conc_chl", "conc_tsm", "kd489"} <= set(cube)
        assert cube.sizes["time"] > 100


@pytest.mark.parametrize(("form", "name"), [("zarr", "a.zarr"), ("netcdf", "a.nc"), ("geotiff", "a.tif")])
def test_the_cell_of_the_catalogue_opens_each_kind_of_file_by_a_store(tmp_path, form, name):
    import rioxarray  # noqa: F401 - gives datasets their CRS
    from xcube.core.store import new_data_store

    one = xr.Dataset(
        {"a": (("y", "x"), np.arange(6.0).reshape(2, 3))}, {"y": [1.0, 0.0], "x": [0.0, 1.0, 2.0]}
    )
    path = str(tmp_path / name)
    if form == "zarr":
        one.to_zarr(path)
    elif form == "netcdf":
        one.to_netcdf(path)
    else:
        one.a.rio.write_crs("EPSG:32633").rio.to_raster(path)
    # as cubehub_catalogue.code.platform writes it
    protocol, _, path = f"file://{path}".partition("://")
    root, _, data_id = path.rpartition("/")
    store = new_data_store(protocol, root=root)
    with store.open_data(data_id, opener_id=f"dataset:{form}:{protocol}") as opened:
        (values,) = opened.data_vars.values()
        np.testing.assert_array_equal(values.values, one.a.values)


def paths(template):
    if "{bucket}" in template:
        for bucket, name, file in (
            ("datasets", f"{PROTECTED}.zarr", "zarr.json"),
            ("pyramids", f"{PROTECTED}.levels", "0.zarr/zarr.json"),
            ("datasets", f"{PROTECTED}:series.zarr", "zarr.json"),
        ):
            yield template.replace("{bucket}", bucket).replace("{*key}", f"{name}/{file}")
        return
    for replaced in (
        {},
        {"datasetId": f"{PROTECTED}:series", "collectionId": "datacubes"},
        {"datasetId": f"{PROTECTED}%3Aseries"},
    ):
        path = template.replace("{*path}", "config.json")
        for name, value in {**FILL, **replaced}.items():
            path = path.replace(f"{{{name}}}", value)
        yield path
    if template == "/wmts/kvp":
        yield f"/wmts/kvp?service=WMTS&request=GetTile&version=1.0.0&layer={PROTECTED}.conc_chl&tilematrix=0&tilerow=0&tilecol=0&format=image/png"


def attack(server, template, **kwargs):
    """Try every method on a route for the protected cube; yields (call, answer)."""
    for path, (method, body) in product(
        paths(template), (("GET", None), ("HEAD", None), ("POST", POINT), ("PUT", {}), ("DELETE", None))
    ):
        yield f"{method} {path}", server.request(method, path, json=body, allow_redirects=False, **kwargs)


@pytest.mark.parametrize("template", sorted(ROUTES))
def test_no_route_shows_a_protected_cube_to_a_visitor_or_without_permission(server, issuer, template):
    for token in (None, issuer.token(permissions=[]), issuer.token(permissions=["read:dataset:msi-ndvi"])):
        for call, answer in attack(server, template, token=token):
            assert answer.status_code < 500 or answer.status_code == 501, call
            assert "Traceback" not in answer.text, call
            if "Lake Peipsi 2024" in answer.text or (PROTECTED in answer.text and answer.status_code < 400):
                pytest.fail(f"{call} names the protected cube: {answer.text[:300]}")
            if ROUTES[template] is Guard.DATASET and "datacubes" not in call and PROTECTED in call:
                assert answer.status_code in (401, 404, 405), call


def test_an_expired_or_foreign_token_is_401_on_public_routes_too(server, issuer):
    for token in (
        issuer.token(exp=time.time() - 60),
        issuer.token(aud="other"),
        "rubbish",
        "e30" * 9000 + ".e30.",
    ):
        for path in (
            "/datasets",
            f"/datasets/{PROTECTED}",
            f"/tiles/{PROTECTED}/conc_chl/0/0/0",
            f"/s3/datasets/{PROTECTED}.zarr/zarr.json",
        ):
            answer = server.get(path, token)
            assert answer.status_code == 401
            assert answer.json()["error"]["hint"] == "sign in again"


def test_an_id_token_opens_nothing(server, issuer):
    assert server.get(f"/datasets/{PROTECTED}", issuer.token()).ok
    for path in (f"/datasets/{PROTECTED}", "/datasets"):
        answer = server.get(path, issuer.token(typ="ID"))
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert error["message"] == "the bearer token is not an access token"
        assert "access token" in error["hint"]
    assert server.request("POST", "/session", issuer.token(typ="ID")).status_code == 401


def test_with_permission_every_door_opens(server, issuer):
    token = issuer.token()
    tile = f"/tiles/{PROTECTED}/conc_chl/5/18/36?crs=EPSG:3857"
    assert PROTECTED in server.get("/datasets?details=1", token).text
    assert server.request("POST", f"/timeseries/{PROTECTED}/conc_chl", token, json=POINT).json()["result"]
    assert server.get(f"/statistics/{PROTECTED}/conc_chl?lon=27.45&lat=58.8&time=2024-07-02", token).ok
    assert server.get(f"/s3/datasets/{PROTECTED}.zarr/zarr.json", token).ok
    assert PROTECTED in server.get("/wmts/1.0.0/WMTSCapabilities.xml", token).text
    answer = server.get(tile, token)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_images_follow_the_sign_in_by_cookie_and_nothing_else_does(server, issuer):
    tile = f"/tiles/{PROTECTED}/conc_chl/5/18/36?crs=EPSG:3857"
    with requests.Session() as browser:
        bearer = {"Authorization": f"Bearer {issuer.token()}"}
        cookie = browser.post(f"{server.base}/session", headers=bearer).headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert browser.get(server.base + tile).ok
        for path in (
            f"/datasets/{PROTECTED}",
            f"/s3/datasets/{PROTECTED}.zarr/zarr.json",
            f"/timeseries/{PROTECTED}/conc_chl",
        ):
            assert browser.post(server.base + path, json=POINT).status_code in (404, 405)
            assert browser.get(server.base + path).status_code in (404, 405)
        browser.post(f"{server.base}/session")
        assert browser.get(server.base + tile).status_code == 404


def test_no_other_program_listens_at_the_port_too(server):
    """One of the same user could, if we had asked for a port that is shared."""
    port = urlsplit(server.base).port
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))


def test_no_answer_lets_another_site_use_the_visitors_cookies(server):
    for path in ("/datasets", "/viewer/", "/health", "/basemap/0/0/0.png"):
        assert (
            "Access-Control-Allow-Credentials"
            not in server.get(path, headers={"Origin": "http://evil.example"}).headers
        )


def test_viewer_pages_and_base_map(server):
    assert "CubeHub" in server.get("/viewer/").text
    assert server.get("/", headers={"Accept": "text/html"}).url.endswith("/viewer/")
    assert server.get("/viewer/config/config.json").json()["server"]["url"] == server.base
    assert "Brockmann" not in server.get("/viewer/docs/privacy-note.en.md").text
    sea, land = (
        np.array(Image.open(io.BytesIO(server.get(f"/basemap/8/{xy}.png").content)).convert("RGB")).reshape(
            -1, 3
        )
        for xy in ("130/82", "140/90")
    )
    assert sea.mean(0)[2] > sea.mean(0)[0]
    assert land.mean(0)[0] >= land.mean(0)[2]
    assert server.get("/basemap/3/8/0.png").status_code == 404
    assert server.get("/viewer/..%2f..%2f..%2fcli.py").status_code in (403, 404)


def test_what_is_text_goes_packed_to_those_who_unpack(server):
    script = re.search(r'src="\./([^"]+\.js)"', server.get("/viewer/").text)
    for path in ("/datasets?details=1", f"/viewer/{script[1]}"):
        plain = server.get(path, headers={"Accept-Encoding": "identity"})
        packed = server.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["Vary"]
        assert packed.content == plain.content
    tile = server.get(f"/s3/datasets/{DEMO}.zarr/zarr.json", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in tile.headers


def test_tokens_and_codes_stay_out_of_the_log(server, issuer):
    token = issuer.token(aud="other")
    server.get("/datasets", token)
    server.get("/viewer/nothing?code=SECRETCODE&state=1")
    server.get("/datasets/none?code=SECRETCODE")
    assert token not in server.log
    assert "SECRETCODE" not in server.log


def test_a_broken_cube_is_left_out_and_a_built_one_appears_without_restart(built, issuer, tmp_path):
    cubes = tmp_path / "cubes"
    shutil.copytree(built / "msi-ndvi", cubes / "msi-ndvi")
    shutil.copytree(built / "olci-water-quality", cubes / "olci-water-quality")
    shutil.rmtree(cubes / "olci-water-quality" / "pyramid.levels" / "1.zarr")
    running = start(tmp_path, cubes, issuer.url)
    try:

        def ids():
            return [d["id"] for d in running.get("/datasets").json()["datasets"]]

        assert ids() == ["msi-ndvi"]
        assert running.get("/ogc/collections").ok
        assert running.get("/wmts/1.0.0/WMTSCapabilities.xml").ok
        assert "olci-water-quality cannot be opened" in running.log
        shutil.copytree(built / PROTECTED, tmp_path / "new")
        (tmp_path / "new").rename(cubes / PROTECTED)
        for _ in range(40):
            if running.get(f"/datasets/{PROTECTED}", issuer.token()).ok:
                break
            time.sleep(0.5)
        assert running.get(f"/datasets/{PROTECTED}", issuer.token()).ok
        assert ids() == ["msi-ndvi"]
    finally:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0, running.log


def test_a_bad_configuration_is_told_without_a_traceback(tmp_path):
    from xcube_cubehub import launcher

    assert launcher.main(["--config", str(tmp_path / "none.json")]) == 2
