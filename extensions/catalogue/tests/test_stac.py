"""STAC APIs of every kind: how they are asked, how they page, and what rubbish does."""

import contextlib
import gc
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from cubehub_catalogue import aoi
from cubehub_catalogue.errors import UpstreamError
from cubehub_catalogue.http import Client, reading
from cubehub_catalogue.items import MARKER
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.settings import Catalogue
from cubehub_catalogue.sources.stac import StacSource
from cubehub_catalogue.sources.stac_links import Request, following, joined
from cubehub_tests.catalogue_search import CONFORMS, STYLES, StacStandIn, run
from shapely.geometry import box, mapping

CLOUD = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}


@asynccontextmanager
async def source_of(server):
    async with server.serving() as url:
        catalogue = Catalogue(id="x", title="X", url=url, private=True, timeout=5)
        client = Client(catalogue)
        try:
            yield StacSource(catalogue, client)
        finally:
            await client.close()


async def all_pages(source, query, most=50):
    pages, token = [], None
    for _ in range(most):
        page = await source.search(query, token)
        pages.append(page)
        token = page.next
        if token is None:
            break
    return pages


def ids(pages):
    return [item["id"] for page in pages for item in page.items]


def days(server, count=7, **more):
    return [server.made(f"i{n}", f"2024-05-{n + 1:02}T00:00:00Z", **more) for n in range(count)]


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_every_kind_of_next_link_gives_every_item_once(style, relative):
    server = StacStandIn(style=style, relative=relative)
    server.items = days(server)
    query = Query(collections={"x": ("c",)}, aoi=aoi.box_aoi([0, 0, 2, 2]), limit=3)

    async def go():
        async with source_of(server) as source:
            return await all_pages(source, query)

    pages = run(go())
    assert ids(pages) == [f"i{n}" for n in reversed(range(7))]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert {asked["method"] for asked in server.asked} == {"GET" if style == "get" else "POST"}
    assert all(asked["body"]["collections"] == ["c"] for asked in server.asked)
    assert not any("stolen" in str(asked["headers"]) for asked in server.asked)
    assert all(page.ignored == () for page in pages)


def test_what_is_asked_is_written_as_the_specification_says():
    server = StacStandIn()
    query = Query(
        collections={"x": ("a", "b"), "other": ("z",)},
        aoi=aoi.box_aoi([170, -10, -170, 10]),
        start=datetime(2024, 5, 1, tzinfo=UTC),
        filter=CLOUD,
        ids=("i1",),
        sort=(Sort("properties.eo:cloud_cover", descending=False),),
        limit=7,
    )

    async def go():
        async with source_of(server) as source:
            await source.search(query)
            server.style = "get"
            source._kept.clear()
            await source.search(query)

    run(go())
    body = server.asked[0]["body"]
    assert body.pop("intersects")["type"] == "MultiPolygon"
    assert body == {
        "limit": 7,
        "collections": ["a", "b"],
        "datetime": "2024-05-01T00:00:00Z/..",
        "ids": ["i1"],
        "filter-lang": "cql2-json",
        "filter": CLOUD,
        "sortby": [{"field": "properties.eo:cloud_cover", "direction": "asc"}],
    }
    assert server.asked[1]["method"] == "GET"
    assert server.asked[1]["body"]["filter-lang"] == "cql2-text"
    assert server.asked[1]["body"]["intersects"]["type"] == "MultiPolygon"
    assert server.asked[1]["body"]["sortby"] == [{"field": "properties.eo:cloud_cover", "direction": "asc"}]


def test_a_plain_box_goes_as_a_box_and_nothing_is_sent_that_was_not_asked():
    server = StacStandIn()

    async def go():
        async with source_of(server) as source:
            await source.search(Query(aoi=aoi.box_aoi([1, 2, 3, 4]), sort=()))

    run(go())
    assert server.asked[0]["body"] == {"limit": 50, "bbox": [1, 2, 3, 4]}


def test_what_the_catalogue_lacks_is_done_here_where_that_is_right():
    server = StacStandIn(conforms=CONFORMS[:2])
    server.items = [
        server.made(
            f"i{n}", f"2024-05-{30 - n:02}T00:00:00Z", **{"eo:cloud_cover": n * 4, "title": f"Lake {n % 2}"}
        )
        for n in range(25)
    ]

    async def go(**query):
        async with source_of(server) as source:
            return await all_pages(source, Query(limit=4, **query))

    pages = run(go(filter=CLOUD))
    assert ids(pages) == [f"i{n}" for n in range(5)]
    assert all(page.ignored == () and page.matched is None for page in pages)
    assert "filter" not in server.asked[0]["body"]
    assert ids(run(go(text="lake 1")))[:2] == ["i1", "i3"]
    unknown = {"op": "=", "args": [{"op": "f", "args": []}, 1]}
    assert run(go(filter=unknown))[0].ignored == ("filter",)
    assert run(go(sort=(Sort("properties.eo:cloud_cover"),)))[0].ignored == ("sort",)
    server.items = server.items[::-1]
    assert run(go())[0].ignored == ("sort",)


def test_a_filter_that_leaves_little_reads_on_instead_of_giving_empty_pages():
    server = StacStandIn(conforms=CONFORMS[:2])
    server.items = [
        server.made(f"i{n}", f"2024-05-{30 - n:02}T00:00:00Z", **{"eo:cloud_cover": 0 if n == 9 else 90})
        for n in range(30)
    ]

    async def go():
        async with source_of(server) as source:
            return await source.search(Query(limit=3, filter=CLOUD))

    page = run(go())
    assert [item["id"] for item in page.items] == ["i9"]
    assert page.next is not None


def test_counts_are_taken_where_they_come_and_never_asked_for():
    server = StacStandIn(counts=True)
    server.items = days(server)

    async def go():
        async with source_of(server) as source:
            return await source.search(Query(limit=3))

    assert run(go()).matched == 7
    assert set(server.asked[0]["body"]) == {"limit", "sortby"}
    server.counts = False
    assert run(go()).matched is None


def test_collections_of_all_pages_are_asked_once():
    server = StacStandIn()
    server.items = [server.made(f"i{n}", "2024-05-01", collection=f"c{n}") for n in range(7)]

    async def go():
        async with source_of(server) as source:
            first = await source.collections()
            return first, await source.collections()

    first, again = run(go())
    assert [one["id"] for one in first] == [f"c{n}" for n in range(7)]
    assert again == first
    assert server.requests.count("/collections") == 4


def test_queryables_of_several_collections_are_what_all_have():
    eo = {"$ref": "https://stac-extensions.github.io/eo/v1.0.0/schema.json#/x"}
    server = StacStandIn(
        queryables={
            "": {"properties": {"id": {"$ref": "…"}}},
            "a": {"properties": {"eo:cloud_cover": eo, "platform": {"type": "string", "enum": ["s2a"]}, "n": {"type": "integer", "minimum": 5}, "geometry": {"$ref": "…"}, "only": {"type": "string"}, "differs": {"type": "string"}}},
            "b": {"properties": {"eo:cloud_cover": eo, "platform": {"type": "string", "enum": ["s2b", "s2a"]}, "n": {"type": "number", "minimum": 1}, "geometry": {"$ref": "…"}, "differs": {"type": "number"}}, "additionalProperties": False},
        }
    )  # fmt: skip

    async def go(*names):
        async with source_of(server) as source:
            return await source.queryables(names)

    assert run(go())["properties"]["id"]["type"] == "string"
    assert set(run(go("a"))["properties"]) == {"eo:cloud_cover", "platform", "n", "only", "differs"}
    both = run(go("a", "b"))
    assert both["properties"] == {
        "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100, "title": "Cloud cover"},
        "platform": {"type": "string", "enum": ["s2a", "s2b"]},
        "n": {"type": "integer", "minimum": 1},
    }
    assert both["additionalProperties"] is False
    assert run(go("a", "missing")) == {}


def test_sortables_are_given_and_a_catalogue_without_them_says_nothing():
    server = StacStandIn()

    async def go():
        async with source_of(server) as source:
            return await source.sortables(["c"])

    assert run(go()) == {}


def test_markers_and_items_that_are_none_do_no_harm():
    server = StacStandIn()
    good = server.made("good", "2024-05-02T00:00:00Z", title=MARKER)
    good["assets"] = {"B01": {"href": "x", "title": MARKER}, "B02": MARKER, "B03": None}
    bare = server.made("bare", "2024-05-01T00:00:00Z")
    del bare["assets"], bare["links"]
    bare["geometry"] = None
    features = [good, "rubbish", {"id": 5}, {"id": "no properties"}, None, bare]

    async def answer(_number):
        return web.json_response({"type": "FeatureCollection", "features": features})

    server.before_search = answer

    async def go():
        async with source_of(server) as source:
            return await source.search(Query())

    page = run(go())
    first, second = page.items
    assert first["properties"] == {"datetime": "2024-05-02T00:00:00Z"}
    assert first["assets"] == {"B01": {"href": "x"}}
    assert (second["assets"], second["links"], second["geometry"]) == ({}, [], None)
    assert page.ignored == ("items",)


@pytest.mark.parametrize(
    ("root", "features", "says"),
    [
        ([], None, "no STAC landing page"),
        ({"type": "Catalog", "links": []}, None, "static catalogue"),
        (None, {"features": None}, "no list of features"),
        (None, [1], "no list of features"),
        (None, {"features": [1, 2]}, "none of its items"),
    ],
)
def test_rubbish_is_an_error_and_never_an_empty_list(root, features, says):
    server = StacStandIn(root=root)

    async def answer(_number):
        return web.json_response(features)

    server.before_search = answer

    async def go():
        async with source_of(server) as source:
            await source.search(Query())

    with pytest.raises(UpstreamError) as caught:
        run(go())
    assert says in caught.value.message
    assert caught.value.message.startswith("X ")


def test_a_next_link_that_asks_the_same_again_is_the_end():
    asked = Request("http://x/search", "POST", {"limit": 1})
    for links in (
        [{"rel": "next", "href": "http://x/search", "method": "POST"}],
        [{"rel": "next", "href": "/search", "method": "POST", "body": {"limit": 1}}],
        [{"rel": "next", "href": "http://x/search", "method": "DELETE"}],
        [{"rel": "next"}],
        [{"rel": "next", "href": 5}, "rubbish"],
        None,
    ):
        assert following({"links": links}, asked, "http://x/search") is None
    moved = following(
        {"links": [{"rel": "next", "href": "?page=2"}]}, Request("http://x/search"), "http://x/search?a=1"
    )
    assert (moved.url, moved.method, moved.body) == ("http://x/search?page=2", "GET", None)


def test_what_a_page_needs_is_plain_enough_to_be_kept():
    request = Request("http://x/search", "POST", {"limit": 1}, headers={"X": "1"})
    assert json.loads(json.dumps(request.__dict__))["body"] == {"limit": 1}


@pytest.mark.parametrize("winding", [1, -1])
def test_a_scene_written_round_the_globe_is_not_found_where_it_is_not(winding):
    ring = [[179.3, 60], [-179.7, 60], [-179.7, 61], [179.3, 61], [179.3, 60]]
    server = StacStandIn()
    wrong = server.made("wrong", "2024-05-01T00:00:00Z")
    wrong["geometry"] = {"type": "Polygon", "coordinates": [ring[::winding]]}
    world, grid = server.made("world", "2024-05-01T00:00:00Z"), server.made("grid", "2024-05-01T00:00:00Z")
    world["geometry"] = aoi.box_aoi([-180, -90, 180, 90])
    grid["geometry"] = mapping(box(-180, -90, 179.75, 90))
    server.items = [wrong, world, grid]

    async def go(west, east):
        async with source_of(server) as source:
            return ids(await all_pages(source, Query(aoi=aoi.box_aoi([west, 59, east, 62]))))

    assert run(go(20, 30)) == ["world", "grid"]
    assert run(go(179, -179)) == ["wrong", "world", "grid"]


def test_a_list_of_collections_that_takes_no_limit_is_read_without():
    class Strict(StacStandIn):
        def _collections(self, request):
            if "limit" in request.query:
                return web.json_response({"description": "limit is not known"}, status=400)
            return super()._collections(request)

    server = Strict()
    server.items = [server.made(f"i{n}", "2024-05-01", collection=f"c{n}") for n in range(5)]

    async def go():
        async with source_of(server) as source:
            return await source.collections()

    assert len(run(go())) == 5


@pytest.mark.parametrize("data", [b"{}", b"{", b"\xff"])
def test_reading_an_answer_leaves_the_collector_of_garbage_on(data):
    with contextlib.suppress(reading.RubbishError):
        reading.parse_json(data)
    assert gc.isenabled()


def test_a_link_to_the_search_that_is_no_address_is_told():
    with pytest.raises(UpstreamError) as told:
        joined("https://catalogue.example/", "http://[::1")
    assert told.value.code == "bad_link"
