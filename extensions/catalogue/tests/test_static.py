"""Static catalogues that pystac wrote, with real items, searched over real sockets; and what others may have written."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pystac
import pytest
import shapely
from cubehub_catalogue.errors import CatalogueError, InputError, SignInError, UpstreamError
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.sources.odata_items import item_of
from cubehub_catalogue.sources.static import StaticSource
from cubehub_catalogue.sources.static_walk import Limits
from cubehub_tests.catalogue_other import Answer, Folder, PlainClient, ServerInThread, Settings
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = not os.environ.get("CUBEHUB_TEST_RANDOM")  # a landing must not depend on luck
DATA = Path(__file__).parent / "data"


def real_items():
    """Give items of products that are recorded, and some that cross the 180th meridian."""
    products = [json.loads(line) for line in (DATA / "odata" / "products.jsonl").read_text().splitlines()]
    found = [item_of(one["Product"], "https://example.org/odata/v1", one["Collection"]) for one in products]
    found += [json.loads(path.read_text()) for path in sorted((DATA / "antimeridian").glob("*.json"))]
    return {item["id"]: item for item in found}


ITEMS = real_items()


def written(folder, kind):
    """Write a catalogue of collections with pystac."""
    root = pystac.Catalog("root", "All of it")
    within = pystac.Catalog("within", "One step below")
    root.add_child(within)
    extent = pystac.Extent(
        pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]])
    )
    for number, name in enumerate(sorted({item["collection"] for item in ITEMS.values()})):
        made = pystac.Collection(name, f"All of {name}", extent, license="other")
        for item in ITEMS.values():
            if item["collection"] == name:
                parsed = pystac.Item.from_dict(item)
                parsed.clear_links()
                made.add_item(parsed)
        (root if number % 2 else within).add_child(made)
    root.normalize_and_save(str(folder), catalog_type=kind)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("static"), pystac.CatalogType.SELF_CONTAINED)


@pytest.fixture(scope="module")
def url(folder):
    with ServerInThread(Folder(folder)) as server:
        yield f"{server.url}/catalog.json"


@pytest.fixture(scope="module")
def remembered(url):
    """Give a source that has walked through it all."""
    made = StaticSource(Settings(url, timeout=1e6), PlainClient(), page_s=1e6)
    asyncio.run(made.search(Query()))
    return made


def run(made, query):
    async def all_pages():
        items, following, said = [], None, set()
        for _ in range(500):
            page = await made.search(query, following)
            assert len(page.items) <= query.limit
            items += page.items
            said |= set(page.ignored) | set(page.warnings)
            following = page.next
            if following is None:
                return items, said
        raise AssertionError("paging does not end")

    return asyncio.run(all_pages())


def moment(item, name):
    properties = item["properties"]
    return datetime.fromisoformat(properties.get(name) or properties["datetime"])


def cover(item):
    return item["properties"].get("eo:cloud_cover")


@st.composite
def queries(draw):
    area = None
    if draw(st.booleans()):
        west, south = draw(st.floats(-180, 170)), draw(st.floats(-90, 80))
        area = shapely.box(west, south, draw(st.floats(west + 0.1, 180)), draw(st.floats(south + 0.1, 90)))
        if draw(st.booleans()):  # over the 180th meridian
            area = shapely.MultiPolygon(
                [shapely.box(draw(st.floats(160, 179)), -60, 180, 70), shapely.box(-180, -60, -170, 70)]
            )
    when = moment(draw(st.sampled_from(sorted(ITEMS.values(), key=lambda one: one["id"]))), "start_datetime")
    most = draw(st.sampled_from([None, None, 10, 50, 95]))
    names = draw(
        st.lists(
            st.sampled_from(sorted({one["collection"] for one in ITEMS.values()})), unique=True, max_size=3
        )
    )
    return Query(
        collections={"one": tuple(names)},
        aoi=None if area is None else shapely.geometry.mapping(area),
        start=draw(st.sampled_from([None, when, when - timedelta(days=100)])),
        end=draw(st.sampled_from([None, when, when + timedelta(days=100)])),
        ids=tuple(draw(st.lists(st.sampled_from(sorted(ITEMS)), max_size=3)))
        if draw(st.integers(0, 4)) == 0
        else (),
        text=draw(st.sampled_from([None, None, "s2a", "SENTINEL-3 lst", "nothing"])),
        filter=None if most is None else {"op": "<", "args": [{"property": "eo:cloud_cover"}, most]},
        sort=(
            Sort(draw(st.sampled_from(["properties.datetime", "eo:cloud_cover", "id"])), draw(st.booleans())),
        ),
        limit=draw(st.sampled_from([1, 4, 50])),
    )


def meant(geometry):
    """Give a footprint as it is meant: one that goes round the globe crosses the 180th meridian."""
    made = shapely.geometry.shape(geometry)
    if made.geom_type != "Polygon" or made.bounds[2] - made.bounds[0] <= 180:
        return made
    turned = shapely.make_valid(
        shapely.transform(made, lambda points: points + [[360, 0]] * (points[:, :1] < 0))
    )
    east, west = (turned.intersection(shapely.box(left, -90, left + 180, 90)) for left in (0, 180))
    return shapely.union_all([east, shapely.transform(west, lambda points: points - [[360, 0]])])


def expected(query):
    area = shapely.geometry.shape(query.aoi) if query.aoi else None
    names = query.collections.get("one", ())
    return {
        item["id"]
        for item in ITEMS.values()
        if (not names or item["collection"] in names)
        and (area is None or (item["geometry"] and meant(item["geometry"]).intersects(area)))
        and (query.end is None or moment(item, "start_datetime") <= query.end)
        and (query.start is None or moment(item, "end_datetime") >= query.start)
        and (not query.ids or item["id"] in query.ids)
        and all(
            word in (item["id"] + item["collection"]).lower() for word in (query.text or "").lower().split()
        )
        and (query.filter is None or (cover(item) is not None and cover(item) < query.filter["args"][1]))
    }


@settings(max_examples=150, deadline=None, derandomize=SAME)
@given(query=queries())
def test_random_queries_give_what_shapely_and_python_find_in_order(remembered, query):
    items, said = run(remembered, query)
    assert said == set()
    assert len(items) == len({item["id"] for item in items})
    assert {item["id"] for item in items} == expected(query)
    one = query.sort[0]
    key = {"id": lambda item: item["id"], "eo:cloud_cover": cover}.get(
        one.field, lambda item: item["properties"]["datetime"] and moment(item, "datetime")
    )
    keys = [key(item) for item in items]
    there = [value for value in keys if value is not None]
    assert keys == there + [None] * (len(keys) - len(there))
    assert there == sorted(there, reverse=one.descending)


@pytest.mark.parametrize("kind", [pystac.CatalogType.SELF_CONTAINED, pystac.CatalogType.ABSOLUTE_PUBLISHED])
def test_the_same_items_as_pystac_finds_with_whole_links(tmp_path, kind):
    served = Folder(tmp_path)
    with ServerInThread(served) as server:
        written(tmp_path, pystac.CatalogType.SELF_CONTAINED)
        catalogue = pystac.Catalog.from_file(str(tmp_path / "catalog.json"))
        if kind == pystac.CatalogType.ABSOLUTE_PUBLISHED:
            catalogue.normalize_hrefs(server.url)
            catalogue.save(catalog_type=kind, dest_href=str(tmp_path))
        client = PlainClient()
        made = StaticSource(Settings(f"{server.url}/catalog.json"), client)
        items, said = run(made, Query(sort=(), limit=7))
        by_pystac = [item.id for item in catalogue.get_items(recursive=True)]
    assert said == set()
    assert sorted(item["id"] for item in items) == sorted(by_pystac) == sorted(ITEMS)
    for item in items:
        pystac.Item.from_dict(item)
        assert all("://" in link["href"] for link in item["links"])
        assert all("://" in asset["href"] for asset in item["assets"].values())
    assert len(client.asked) == len(set(client.asked))


def test_it_is_walked_through_once_and_again_when_it_was_long_ago(url):
    client, now = PlainClient(), [0.0]
    made = StaticSource(Settings(url), client, clock=lambda: now[0])
    run(made, Query(limit=3))
    asked = len(client.asked)
    run(made, Query(text="S2A"))
    assert len(client.asked) == asked
    now[0] = 601
    run(made, Query())
    assert len(client.asked) == 2 * asked


def test_items_of_other_collections_are_not_read(url):
    client = PlainClient()
    items, _ = run(StaticSource(Settings(url, collections=("SENTINEL-1",)), client), Query())
    assert {item["collection"] for item in items} == {"SENTINEL-1"}
    assert not any("S2A_" in asked or "S3" in asked for asked in client.asked)


def test_collections_and_queryables(url):
    client = PlainClient()
    made = StaticSource(Settings(url), client)
    found = asyncio.run(made.collections())
    assert {one["id"] for one in found} == {item["collection"] for item in ITEMS.values()}
    for one in found:
        pystac.Collection.from_dict(one)
    assert not any("S2A_" in asked for asked in client.asked)
    schema = asyncio.run(made.queryables(["SENTINEL-2"]))["properties"]
    assert schema["eo:cloud_cover"] == {"type": "number", "minimum": 0, "maximum": 100}
    assert schema["sat:absolute_orbit"] == {"type": "integer"}
    assert schema["datetime"] == {"type": "string", "format": "date-time"}
    assert asyncio.run(made.queryables(["none"])) == {}


def test_without_time_for_the_whole_walk_pages_come_in_the_catalogues_order(url):
    whole, _ = run(StaticSource(Settings(url), PlainClient()), Query(sort=()))
    now = [0.0]

    def clock():  # each look takes a second, so that hardly anything is read for a page
        now[0] += 1
        return now[0]

    made = StaticSource(Settings(url), PlainClient(), clock=clock, page_s=2)
    first = asyncio.run(made.search(Query(limit=4)))
    assert first.next is not None
    assert first.ignored == ("sort",)
    items, said = run(StaticSource(Settings(url), PlainClient(), clock=clock, page_s=2), Query(limit=4))
    assert [item["id"] for item in items] == [item["id"] for item in whole]
    assert said == {"sort"}


def test_a_search_that_is_given_up_loses_nothing(url):
    class Slow(PlainClient):
        """Never answers for one item until it is told to."""

        def __init__(self):
            super().__init__()
            self.held, self.reached = True, asyncio.Event()

        async def json(self, url, *, cached=False):
            if self.held and "32TMT" in url:
                self.reached.set()
                await asyncio.Event().wait()
            return await super().json(url, cached=cached)

    async def go():
        client = Slow()
        made = StaticSource(Settings(url), client)
        task = asyncio.create_task(made.search(Query()))
        await client.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        client.held = False
        return await made.search(Query(limit=500))

    page = asyncio.run(go())
    assert {item["id"] for item in page.items} == set(ITEMS)


class Files(PlainClient):
    """Answers from a dictionary."""

    def __init__(self, files):
        super().__init__()
        self.files = {f"https://example.org/{name}": value for name, value in files.items()}

    async def json(self, url, *, cached=False):
        del cached
        self.asked.append(url)
        if url not in self.files:
            raise UpstreamError("upstream", "It answered 404.", "Look.", upstream_status=404)
        value = self.files[url]
        if isinstance(value, Exception):
            raise value
        return Answer(200, url, {}, value)


def catalog(*links, **more):
    return {
        "type": "Catalog",
        "id": "c",
        "links": [{"rel": rel, "href": href} for rel, href in links],
        **more,
    }


def feature(id_="a", **more):
    return {
        "type": "Feature",
        "id": id_,
        "geometry": {"type": "Point", "coordinates": [25, 58]},
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        **more,
    }


def search(files, query=None, **settings):
    made = StaticSource(Settings("https://example.org/c"), Files(files), **settings)
    return asyncio.run(made.search(query or Query())), made


def test_a_document_that_hangs_does_not_hold_up_the_others():
    class Hanging(Files):
        async def json(self, url, *, cached=False):
            if url.endswith("/b"):
                await asyncio.Event().wait()
            return await super().json(url, cached=cached)

    files = {"c": catalog(("item", "a"), ("item", "b"), ("item", "d")), "a": feature(), "d": feature("d")}
    made = StaticSource(Settings("https://example.org/c"), Hanging(files), limits=Limits(document_s=0.05))
    page = asyncio.run(made.search(Query(sort=())))
    assert [item["id"] for item in page.items] == ["a", "d"]
    assert page.warnings == ("1 documents of this catalogue could not be read.",)
    hung = StaticSource(Settings("https://example.org/b"), Hanging(files), limits=Limits(document_s=0.05))
    with pytest.raises(UpstreamError, match="did not answer"):
        asyncio.run(hung.search(Query()))


def test_circles_and_links_to_itself_end():
    files = {
        "c": catalog(("child", "d"), ("child", "c"), ("child", "./c#x"), ("item", "a")),
        "d": catalog(("child", "c"), ("child", "d"), ("item", "a"), ("item", "b")),
        "a": feature(),
        "b": feature("b"),
    }
    page, made = search(files)
    assert [item["id"] for item in page.items] == ["b", "a"]  # each where it was seen first
    assert sorted(made._client.asked) == [f"https://example.org/{name}" for name in "abcd"]


def test_links_to_other_hosts_are_not_followed_and_told():
    files = {
        "c": catalog(
            ("child", "https://evil.example/c"),
            ("item", "//evil.example/a"),
            ("item", "file:///etc/passwd"),
            ("item", "a"),
        ),
        "a": feature(),
    }
    page, made = search(files)
    assert len(page.items) == 1
    assert page.warnings == ("3 links of this catalogue lead to another host and were not followed.",)
    assert all(url.startswith("https://example.org/") for url in made._client.asked)


BAD = [
    None,
    5,
    [],
    {},
    {"type": "Feature"},
    feature(id_=None),
    feature(id_=5),
    feature(id_="\x00"),
    feature(properties=None),
    feature(properties={"datetime": None}),
    feature(properties={"datetime": "soon"}),
    feature(geometry={"type": "Point", "coordinates": [float("nan"), 1]}),
    feature(geometry={"type": "Point", "coordinates": ["a", "b"]}),
    feature(geometry={"type": "Polygon", "coordinates": [[1, 2, 3]]}),
    feature(geometry="x"),
]


def test_bad_records_are_left_out_and_counted():
    files = {
        "c": catalog(*[("item", f"i{n}") for n in range(len(BAD))], ("item", "a"), ("item", "gone")),
        "a": feature(),
    }
    files |= {f"i{n}": value for n, value in enumerate(BAD)}
    page, _ = search(files)
    assert [item["id"] for item in page.items] == ["a"]
    assert set(page.warnings) == {
        f"{len(BAD)} records of this catalogue can't be used and were left out (i0, i1, i2, …).",
        "1 documents of this catalogue could not be read.",
    }


def test_strange_parts_are_left_out():
    strange = feature(
        geometry=None,
        bbox=[float("nan")],
        links=[
            None,
            {"href": 5},
            {"rel": "self", "href": "javascript:alert(1)"},
            {"rel": "license", "href": "l"},
        ],
        assets={"a": None, "b": {"href": "data:x"}, "c": {"href": "../d.tif", "file:size": float("inf")}},
        collection=5.5,
        stac_version=None,
    )
    strange["properties"] |= {"x": float("nan"), "title": "a\x1b[31m\ud800", "deep": [[[]]]}
    page, _ = search({"c": catalog(("item", "f/a")), "f/a": strange})
    item = page.items[0]
    assert json.loads(json.dumps(item, allow_nan=False).encode())
    assert item["links"] == [{"rel": "license", "href": "https://example.org/f/l"}]
    assert item["assets"] == {"c": {"href": "https://example.org/d.tif", "file:size": None}}
    assert item["properties"]["title"] == "a[31m"
    assert "bbox" not in item


@pytest.mark.parametrize("root", [None, 5, [], {}, {"links": 5}, {"type": "Catalog"}])
def test_a_root_that_is_no_catalogue_is_an_error(root):
    with pytest.raises(CatalogueError, match="no STAC catalogue"):
        search({"c": root})


def test_an_api_is_told_from_a_static_catalogue():
    with pytest.raises(UpstreamError, match="STAC API"):
        search({"c": catalog(conformsTo=["https://api.stacspec.org/v1.0.0/item-search"])})


def test_a_root_that_cannot_be_read_is_an_error_and_so_is_a_log_in():
    with pytest.raises(UpstreamError, match="404"):
        search({})
    with pytest.raises(SignInError):
        search(
            {
                "c": catalog(("item", "a"), ("item", "b")),
                "a": SignInError("sign_in", "No.", "Sign in."),
                "b": feature(),
            }
        )


@pytest.mark.parametrize(
    "links",
    [[None, 5, "x", {}], [{"rel": "item"}, {"rel": "item", "href": None}], [{"rel": ["item"], "href": "a"}]],
)
def test_links_that_are_none_are_left_out(links):
    page, _ = search({"c": {"type": "Catalog", "id": "c", "links": links}, "a": feature()})
    assert page.items == ()


def test_what_is_too_deep_or_too_much_is_told():
    deep = {f"d{n}": catalog(("child", f"d{n + 1}"), ("item", f"i{n}")) for n in range(60)}
    deep |= {f"i{n}": feature(str(n)) for n in range(60)}
    page, _ = search({"c": catalog(("child", "d0")), **deep})
    assert len(page.items) == 31
    assert page.warnings == ("1 catalogues in this catalogue stand too deep and were not read.",)

    wide = {"c": catalog(*[("item", f"i{n}") for n in range(60)]), **deep}
    page, _ = search(wide, limits=Limits(documents=20))
    assert 10 < len(page.items) < 60
    assert page.matched is None
    assert "too large" in page.warnings[0]
    page, _ = search(wide, limits=Limits(bytes=2000))
    assert 0 < len(page.items) < 60

    page, made = search(
        {"c": catalog(*[("item", f"i{n}") for n in range(300_000)])}, limits=Limits(links=1000, documents=50)
    )
    assert len(made._client.asked) < 80


def test_lists_of_items_are_read_too():
    files = {
        "c": catalog(("items", "all.geojson")),
        "all.geojson": {"type": "FeatureCollection", "features": [feature("a"), None, feature("b")]},
    }
    page, _ = search(files, Query(sort=()))
    assert [item["id"] for item in page.items] == ["a", "b"]
    assert page.warnings == ("1 record of this catalogue can't be used and was left out (all.geojson).",)


def test_a_million_features_are_cut():
    files = {
        "c": catalog(("items", "all")),
        "all": {"type": "FeatureCollection", "features": [None] * 1_000_000},
    }
    page, _ = search(files)
    assert page.items == ()
    files["all"]["features"] = [feature(str(n)) for n in range(200)]
    page, _ = search(files, limits=Limits(items=100))
    assert len(page.items) == 50
    assert "too large" in page.warnings[0]


def test_a_filter_that_is_none_is_refused():
    with pytest.raises(InputError, match="filter"):
        search({"c": catalog(("item", "a")), "a": feature()}, Query(filter={"op": 5}))
