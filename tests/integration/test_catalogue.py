"""The catalogue knows the cubes and the sample scenes, and finds them by place and time."""

from collections.abc import Iterator

import httpx
import pytest
from cubehub_tests.people import Visitor
from cubehub_tests.platform import Whole
from cubehub_tests.servers import Account

pytestmark = pytest.mark.whole
BASE = "/services/catalogue"
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


def test_every_asset_of_a_cube_is_there(http: httpx.Client, whole: Whole) -> None:
    item = http.get(f"{BASE}/collections/cubes/items/olci-water-quality").json()
    assert set(item["assets"]) >= {"zarr", "viewer"}
    for name, asset in item["assets"].items():
        address = httpx.URL(whole.url).join(asset["href"])
        if name in {"zarr", "pyramid"}:
            address = httpx.URL(f"{address}/zarr.json" if name == "zarr" else f"{address}/0.zarr/zarr.json")
        assert http.get(address).status_code == httpx.codes.OK, address
