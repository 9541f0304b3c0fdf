"""The catalogue knows the cubes and the sample scenes, and finds them by place and time."""

import hashlib
import io
import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from cubehub.storage.registered import items_of
from cubehub.storage.whose import account_of
from cubehub_tests.people import Visitor
from cubehub_tests.platform import REPOSITORY, Whole
from cubehub_tests.servers import Account
from PIL import Image

pytestmark = pytest.mark.whole
BASE = "/services/catalogue"
SAMPLES = REPOSITORY / "binder" / "data" / "s2-l2a-33t-crop" / "pixels"
CUBES = {"olci-water-quality", "msi-ndvi", "olci-water-quality-demo"}


@pytest.fixture
def http(whole: Whole) -> Iterator[httpx.Client]:
    """Give somebody without an account."""
    visitor = Visitor.arrive(whole)
    yield visitor.http
    visitor.http.close()


def test_the_root_says_what_it_is(http: httpx.Client, whole: Whole) -> None:
    root = http.get(f"{BASE}/").json()
    assert root["type"] == "Catalog"
    links = {link["rel"]: link["href"] for link in root["links"]}
    assert links["self"].startswith(whole.url + BASE), "links lead through the one address"


@pytest.mark.needs("postgis")
def test_search_by_place_finds_the_cubes(http: httpx.Client) -> None:
    assert http.get(f"{BASE}/health").json().get("mode") != "static"
    north_sea = http.post(f"{BASE}/search", json={"bbox": [1, 50, 8, 56], "collections": ["cubes"]}).json()
    assert [item["id"] for item in north_sea["features"]] == ["olci-water-quality"]
    everything = http.get(f"{BASE}/search", params={"collections": "cubes", "limit": 10}).json()
    assert {item["id"] for item in everything["features"]} >= CUBES


@pytest.mark.needs("postgis")
def test_a_client_library_finds_a_cube_and_opens_it(ana: Account) -> None:
    ana.start()
    code = """
import os, pystac_client
from urllib.parse import urljoin
import xarray as xr
catalogue = pystac_client.Client.open(os.environ['CUBEHUB_CATALOGUE_URL'])
items = {item.id: item for item in catalogue.search(collections=['cubes']).items()}
print(*items)
scenes = list(catalogue.search(bbox=[13, 45, 17, 48], datetime='2023-08-01/2023-08-31').items())
print(len(scenes) > 0)
href = urljoin(catalogue.get_self_href(), items['olci-water-quality'].assets['zarr'].href)
print(sorted(xr.open_zarr(href, consolidated=True).data_vars)[0])
"""
    with ana.kernel() as kernel:
        names, scenes, variable = kernel.run(code).text.splitlines()
    assert set(names.split()) >= CUBES
    assert scenes == "True"
    assert variable == "conc_chl"


OWN = """
import json, os, subprocess, tempfile
import pystac, pystac_client
from cubehub import catalogue as own

item = {
    "type": "Feature", "stac_version": "1.0.0", "id": "anas-lake", "geometry": {"type": "Point", "coordinates": [15, 46]},
    "bbox": [15, 46, 15, 46], "properties": {"datetime": "2024-05-01T00:00:00Z", "title": "A lake"}, "links": [],
    "assets": {"data": {"href": "/services/cubes/x"}},
}
own.register(item)
url, token = os.environ["CUBEHUB_CATALOGUE_URL"], os.environ["JUPYTERHUB_API_TOKEN"]
for headers in ({"Authorization": "token " + token}, {}):
    found = pystac_client.Client.open(url, headers=headers).search(ids=["anas-lake"]).items()
    print([one.id for one in found])
written = own.export(os.path.join(tempfile.mkdtemp(), "out"))
print([one.id for one in pystac.Catalog.from_file(str(written)).get_items(recursive=True)])
told = subprocess.run(["cubehub", "catalogue", "list", "--json"], capture_output=True, text=True, check=True).stdout
print([one["collection"] for one in json.loads(told)["items"]])
"""


@pytest.mark.needs("postgis")
def test_an_item_of_one_s_own_is_found_by_its_owner_alone(
    http: httpx.Client, ana: Account, petra: Account, whole: Whole
) -> None:
    ana.start()
    with ana.kernel() as kernel:
        try:
            mine, others, exported, collections = kernel.run(OWN).text.splitlines()
            assert (mine, others, exported) == ("['anas-lake']", "[]", "['anas-lake']")
            collection = ana.api.get(f"{BASE}/own").json()["own_collection"]
            assert collections == str([collection])
            # what an export or an erasure of ana goes by is noted for her home
            account = account_of(whole.folder.homes, b"ana")
            assert collection == f"own.{account}"
            assert [one["item"]["id"] for one in items_of(whole.data, str(account))] == ["anas-lake"]
            address = f"{BASE}/collections/{collection}/items/anas-lake"
            assert ana.api.get(address).json()["properties"]["title"] == "A lake"
            for other in (petra.api, http):
                assert other.get(address).status_code == httpx.codes.NOT_FOUND
                assert other.post(f"{BASE}/search", json={"ids": ["anas-lake"]}).json()["features"] == []
                assert collection not in other.get(f"{BASE}/collections").text
        finally:
            kernel.run("own.unregister('anas-lake')")
    assert ana.api.get(address).status_code == httpx.codes.NOT_FOUND


def test_a_group_s_item_is_found_by_its_members(http: httpx.Client, ana: Account, petra: Account) -> None:
    group = "/cubehub/premium"
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "premium-lake", "geometry": {"type": "Point", "coordinates": [15, 46]},
        "properties": {"datetime": "2024-05-01T00:00:00Z"}, "links": [], "assets": {},
    }  # fmt: skip
    refused = ana.api.post(f"{BASE}/own/items", json={"item": item, "group": group})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_a_member")
    assert http.post(f"{BASE}/own/items", json={"item": item}).status_code == httpx.codes.UNAUTHORIZED
    made = petra.api.post(f"{BASE}/own/items", json={"item": item, "group": group})
    assert made.status_code == httpx.codes.CREATED, made.text
    where = f"{made.json()['collection']}/items/premium-lake"
    try:
        assert petra.api.get(f"{BASE}/collections/{where}").json()["id"] == "premium-lake"
        for other in (ana.api, http):
            assert other.get(f"{BASE}/collections/{where}").status_code == httpx.codes.NOT_FOUND
    finally:
        address = f"{BASE}/own/items/{made.json()['collection']}/premium-lake"
        assert petra.api.delete(address).status_code == httpx.codes.OK


def test_every_asset_of_a_cube_is_there(http: httpx.Client, whole: Whole) -> None:
    item = http.get(f"{BASE}/collections/cubes/items/olci-water-quality").json()
    assert set(item["assets"]) >= {"zarr", "viewer"}
    for name, asset in item["assets"].items():
        address = httpx.URL(whole.url).join(asset["href"])
        if name in {"zarr", "pyramid"}:
            address = httpx.URL(f"{address}/zarr.json" if name == "zarr" else f"{address}/0.zarr/zarr.json")
        assert http.get(address).status_code == httpx.codes.OK, address


def pixels(name: str) -> np.ndarray:
    """Give a band of all sample scenes, the first date first, as it lies in the repository."""
    dates = sorted(SAMPLES.iterdir(), key=lambda folder: folder.name.split("_")[2])
    assert len(dates) == 5
    return np.stack([np.asarray(Image.open(io.BytesIO((folder / name).read_bytes()))) for folder in dates])


@pytest.mark.needs("postgis")
def test_what_a_search_finds_is_loaded_from_the_platform_alone(ana: Account, whole: Whole) -> None:
    ana.start()
    code = """
import hashlib, os
import odc.stac, pystac_client
catalogue = pystac_client.Client.open(os.environ['CUBEHUB_CATALOGUE_URL'])
items = catalogue.search(bbox=[13, 45, 17, 48], datetime='2023-08-01/2023-08-31').item_collection()
print(*{asset.href.split('/files/')[0] for item in items for asset in item.assets.values()})
cube = odc.stac.load(items, bands=['red', 'scl'])
for band in ('red', 'scl'):
    print(cube[band].shape, cube[band].dtype, hashlib.sha256(cube[band].values.tobytes()).hexdigest())
"""
    with ana.kernel() as kernel:
        hosts, *bands = kernel.run(code).text.splitlines()
    assert hosts == whole.url + BASE
    for said, name, kind in zip(bands, ("B04.tif", "SCL.tif"), ("uint16", "uint8"), strict=True):
        stored = pixels(name).astype(kind)
        assert said == f"{stored.shape} {kind} {hashlib.sha256(stored.tobytes()).hexdigest()}"


@pytest.mark.needs("postgis")
def test_the_code_that_the_panel_writes_runs_and_the_pictures_show(ana: Account) -> None:
    ana.start()
    base = f"/user/{ana.name}/cubehub/catalogue"
    query = {"collections": {"cubehub": ["sentinel-2-l2a"]}}
    answer = ana.api.post(f"{base}/searches", json={"catalogues": ["cubehub"], "query": query})
    events = [json.loads(line) for line in answer.text.splitlines()]
    search = next(event["search"] for event in events if event["event"] == "search")
    rows = [row for event in events if event["event"] == "rows" for row in event["rows"]]
    assert len(rows) == 5
    assert all(row["picture"] for row in rows)
    for row in rows:
        picture = ana.api.get(f"{base}/searches/{search}/items/{row['key']}/picture")
        assert picture.status_code == httpx.codes.OK, picture.text
        assert Image.open(io.BytesIO(picture.content)).size == (256, 256)
    keys = [row["key"] for row in rows]
    written = ana.api.post(f"{base}/code", json={"search": search, "keys": keys})
    assert written.is_success, written.text
    asked = """
import hashlib
print(*sorted(ds.data_vars), ds.sizes['time'])
print(ds.red.shape, ds.red.dtype, hashlib.sha256(ds.red.values.tobytes()).hexdigest())
"""
    with ana.kernel() as kernel:
        kernel.run(written.json()["code"])
        first, red = kernel.run(asked).text.splitlines()
    assert {"blue", "green", "red", "nir"} <= set(first.split())
    assert first.split()[-1] == "5"
    # the files' own pixels, which lie half a pixel beside whole multiples of one
    stored = pixels("B04.tif").astype("uint16")
    assert red == f"{stored.shape} uint16 {hashlib.sha256(stored.tobytes()).hexdigest()}"
