"""Every type of catalogue through the client that the platform uses."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest
import rustac
import shapely
from aiohttp import web
from cubehub_catalogue.errors import ForbiddenError, InputError, UpstreamError
from cubehub_catalogue.http import client_for
from cubehub_catalogue.query import Query
from cubehub_catalogue.settings import Catalogue
from cubehub_catalogue.sources.making import source_for
from cubehub_catalogue.sources.odata_items import item_of
from cubehub_tests.catalogue_odata import RecordedOData
from cubehub_tests.catalogue_opensearch import RecordedOpenSearch
from cubehub_tests.catalogue_other import ServerInThread

DATA = Path(__file__).parent / "data" / "odata"
PRODUCTS = [json.loads(line) for line in (DATA / "products.jsonl").read_text().splitlines()]
ITEMS = [
    item_of(one["Product"], "https://example.org/odata/v1", one["Collection"])
    for one in PRODUCTS
    if one["Product"]["GeoFootprint"]
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve the same products in every way."""
    folder = tmp_path_factory.mktemp("served")
    catalogue = pystac.Catalog("root", "All of it")
    for item in ITEMS:
        parsed = pystac.Item.from_dict({**item, "collection": None})
        parsed.clear_links()
        catalogue.add_item(parsed)
    catalogue.normalize_and_save(str(folder), catalog_type=pystac.CatalogType.SELF_CONTAINED)
    rustac.write_sync(str(folder / "items.parquet"), ITEMS)
    odata = RecordedOData(DATA)
    search = RecordedOpenSearch(DATA, "gml")

    async def serve(request):
        if request.path.startswith("/odata/"):
            return await odata(request)
        if request.path in {"/osdd.xml", "/search"}:
            return await search(request)
        file = folder / request.path.lstrip("/")
        return web.Response(body=file.read_bytes()) if file.is_file() else web.Response(status=404)

    with ServerInThread(serve) as running:
        yield running.url


async def found(catalogue, query):
    client = client_for(catalogue)
    try:
        made = source_for(catalogue, client)
        assert (await made.capabilities()).filter
        items, following = [], None
        while True:
            page = await made.search(query, following)
            items += page.items
            following = page.next
            if following is None:
                return {item["id"] for item in items}
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("odata", "/odata/v1"),
        ("opensearch", "/osdd.xml"),
        ("static", "/catalog.json"),
        ("geoparquet", "/items.parquet"),
    ],
)
def test_every_type_finds_the_same(server, kind, path):
    catalogue = Catalogue(id="one", title="One", url=server + path, type=kind, private=True)
    area = shapely.Polygon([(7, 46), (12, 46), (9, 49.5)])
    query = Query(
        aoi=json.loads(shapely.to_geojson(area)),
        start=datetime(2020, 7, 1, tzinfo=UTC),
        end=datetime(2020, 7, 31, 12, tzinfo=UTC),
        filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 90]},
        limit=3,
    )
    expected = {
        item["id"]
        for item in ITEMS
        if shapely.geometry.shape(item["geometry"]).intersects(area)
        and "2020-07" <= item["properties"]["datetime"] <= "2020-07-31T12"
        and item["properties"].get("eo:cloud_cover", 100) < 90
    }
    assert expected
    assert asyncio.run(found(catalogue, query)) == expected
    words = Query(text="S2A MSIL2A", ids=tuple(item["id"] for item in ITEMS))
    ids = {item["id"] for item in ITEMS if item["id"].startswith("S2A_MSIL2A")}
    if kind != "odata":  # where that many ids make the address too long
        assert asyncio.run(found(catalogue, words)) == ids
    else:
        assert asyncio.run(found(catalogue, Query(text="S2A MSIL2A"))) == ids


@pytest.mark.parametrize("kind", ["odata", "opensearch", "static", "geoparquet", "stac"])
def test_an_address_of_this_machine_is_not_asked_unless_the_settings_say_so(server, kind):
    catalogue = Catalogue(id="one", title="One", url=server.replace("http:", "https:"), type=kind)
    with pytest.raises((ForbiddenError, UpstreamError)):
        asyncio.run(found(catalogue, Query()))


@pytest.mark.parametrize("kind", ["odata", "opensearch", "static", "geoparquet"])
def test_what_is_not_there_is_an_error(server, kind):
    catalogue = Catalogue(id="one", title="One", url=f"{server}/none", type=kind, private=True)
    with pytest.raises(UpstreamError):
        asyncio.run(found(catalogue, Query()))


def test_a_type_that_is_not_known_is_named():
    catalogue = Catalogue.model_construct(id="one", title="One", url="https://example.org", type="wfs")
    with pytest.raises(InputError, match="'wfs'") as caught:
        source_for(catalogue, client=None)
    assert "geoparquet" in caught.value.hint
