"""OData: what is asked is evaluated by a service over real products, and compared with what shapely and Python find."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pystac
import pytest
import shapely
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.sources import odata_filter
from cubehub_catalogue.sources.odata import ODataSource
from cubehub_catalogue.sources.odata_items import item_of
from cubehub_tests.catalogue_odata import Parser, RecordedOData
from cubehub_tests.catalogue_other import Answer, PlainClient, ServerInThread, Settings
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = not os.environ.get("CUBEHUB_TEST_RANDOM")  # a landing must not depend on luck
DATA = Path(__file__).parent / "data" / "odata"
PRODUCTS = [json.loads(line) for line in (DATA / "products.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module", params=[True, False], ids=["next links", "skip"])
def service(request):
    endpoint = RecordedOData(DATA, with_links=request.param)
    with ServerInThread(endpoint) as server:
        yield f"{server.url}/odata/v1/", endpoint


def source(url, **settings):
    return ODataSource(Settings(url, "odata", **settings), PlainClient())


async def everything(made, query):
    """Give all pages' items and what was said of them; each item once, and each page within the limit."""
    items, following, said = [], None, set()
    for _ in range(200):
        page = await made.search(query, following)
        assert len(page.items) <= query.limit
        items += page.items
        said |= set(page.ignored) | set(page.warnings)
        following = page.next
        if following is None:
            return items, said
    raise AssertionError("paging does not end")


def attribute(product, name):
    return next((one["Value"] for one in product.get("Attributes", []) if one["Name"] == name), None)


def time(written):
    return datetime.fromisoformat(written)


def bare(name):
    return name.removesuffix(".SAFE").removesuffix(".SEN3")


def box(west, south, east, north):
    return json.loads(json.dumps(shapely.geometry.mapping(shapely.box(west, south, east, north))))


def compared(name, attr, operator, value):
    tests = {
        "=": lambda a: a == value,
        "<>": lambda a: a != value,
        "<": lambda a: a < value,
        ">=": lambda a: a >= value,
    }

    def test(product):
        found = attribute(product, attr)
        return None if found is None else tests[operator](found)

    return {"op": operator, "args": [{"property": name}, value]}, test


leaves = st.one_of(
    st.builds(
        compared,
        st.just("eo:cloud_cover"),
        st.just("cloudCover"),
        st.sampled_from(["<", ">="]),
        st.integers(0, 100),
    ),
    st.builds(
        compared,
        st.just("properties.sat:relative_orbit"),
        st.just("relativeOrbitNumber"),
        st.sampled_from(["=", "<>", "<"]),
        st.sampled_from([45, 65, 108, 136]),
    ),
    st.builds(
        compared,
        st.just("product:type"),
        st.just("productType"),
        st.sampled_from(["=", "<>"]),
        st.sampled_from(["S2MSI1C", "S2MSI2A", "AUX_INS", "it's"]),
    ),
    st.builds(
        compared, st.just("csc:origin"), st.just("origin"), st.just("="), st.sampled_from(["ESA", "ESA'"])
    ),
    st.sampled_from(["descending", "ascending"]).map(
        lambda state: (
            {"op": "=", "args": [{"property": "sat:orbit_state"}, state]},
            lambda one: (
                None
                if attribute(one, "orbitDirection") is None
                else attribute(one, "orbitDirection").lower() == state
            ),
        )
    ),
    st.sampled_from(["sentinel-2a", "sentinel-3b", "sentinel-9z"]).map(
        lambda name: (
            {"op": "=", "args": [{"property": "platform"}, name]},
            lambda one: (
                None
                if attribute(one, "platformShortName") is None
                else (
                    attribute(one, "platformShortName") + attribute(one, "platformSerialIdentifier")
                ).lower()
                == name
            ),
        )
    ),
)


def both(parts):
    return {"op": "and", "args": [one[0] for one in parts]}, lambda product: kleene_all(
        [one[1](product) for one in parts]
    )


def either(parts):
    return {"op": "or", "args": [one[0] for one in parts]}, lambda product: kleene_any(
        [one[1](product) for one in parts]
    )


def negated(part):
    return {
        "op": "not",
        "args": [part[0]],
    }, lambda product: None if (found := part[1](product)) is None else not found


def kleene_all(found):
    return False if False in found else None if None in found else True


def kleene_any(found):
    return True if True in found else None if None in found else False


filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(both),
        st.lists(inner, min_size=2, max_size=3).map(either),
        inner.map(negated),
    ),
    max_leaves=4,
)


@st.composite
def areas(draw):
    if draw(st.booleans()):
        west, south = draw(st.floats(-180, 170)), draw(st.floats(-90, 80))
        return box(west, south, draw(st.floats(west + 0.1, 180)), draw(st.floats(south + 0.1, 90)))
    # near what there is, where answers are neither nothing nor everything
    found = draw(st.sampled_from([one["Product"] for one in PRODUCTS if one["Product"]["GeoFootprint"]]))
    made = shapely.geometry.shape(found["GeoFootprint"])
    x, y = made.centroid.coords[0]
    step = draw(st.floats(0.01, 8))
    parts = [shapely.box(x - step, y - step, x, y), shapely.box(x + 2, y, x + 2 + step, y + step)]
    return (
        shapely.geometry.mapping(shapely.MultiPolygon(parts))
        if draw(st.booleans())
        else box(x - step, y - step, x, y)
    )


times = st.one_of(
    st.none(),
    st.sampled_from(PRODUCTS).flatmap(
        lambda one: st.sampled_from([-86400, -1, 0, 0.000001, 1, 86400]).map(
            lambda seconds: time(one["Product"]["ContentDate"]["Start"]) + timedelta(seconds=seconds)
        )
    ),
)


@st.composite
def queries(draw):
    filter_, test = draw(st.one_of(st.just((None, lambda _: True)), filters))
    names = draw(
        st.lists(st.sampled_from(["SENTINEL-1", "SENTINEL-2", "SENTINEL-3", "O'NE"]), unique=True, max_size=3)
    )
    some = draw(
        st.lists(st.sampled_from([bare(one["Product"]["Name"]) for one in PRODUCTS] + ["o'ne"]), max_size=4)
    )
    query = Query(
        collections={"one": tuple(names)},
        aoi=draw(st.one_of(st.none(), areas())),
        start=draw(times),
        end=draw(times),
        filter=filter_,
        text=draw(st.sampled_from([None, None, "S2A", "s3 LST", "msi 32tmt", "it's", ""])),
        ids=tuple(some) if draw(st.integers(0, 3)) == 0 else (),
        sort=(Sort(draw(st.sampled_from(["datetime", "properties.end_datetime"])), draw(st.booleans())),),
        limit=draw(st.sampled_from([1, 3, 7, 50])),
    )
    return query, names, test


def expected(query, names, test):
    area = shapely.geometry.shape(query.aoi) if query.aoi else None
    found = []
    for one in PRODUCTS:
        product, name = one["Product"], one["Product"]["Name"]
        dates = product["ContentDate"]
        footprint = product["GeoFootprint"]
        if (
            (not names or one["Collection"] in names)
            and (area is None or (footprint and shapely.geometry.shape(footprint).intersects(area)))
            and (query.end is None or time(dates["Start"]) <= query.end)
            and (query.start is None or time(dates["End"]) >= query.start)
            and all(word in name or word.upper() in name for word in (query.text or "").split())
            and (not query.ids or bare(product["Name"]) in query.ids)
            and test(product) is True
        ):
            found.append(bare(product["Name"]))
    return found


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=SAME)
@given(asked=queries())
def test_random_queries_give_what_shapely_and_python_find(service, asked):
    query, names, test = asked
    items, said = asyncio.run(everything(source(service[0]), query))
    assert said == set()
    assert sorted(item["id"] for item in items) == sorted(expected(query, names, test))
    key = "datetime" if query.sort[0].field == "datetime" else "end_datetime"
    moments = [time(item["properties"][key]) for item in items]
    assert moments == sorted(moments, reverse=query.sort[0].descending)


def test_a_product_becomes_a_valid_item(service):
    items, _ = asyncio.run(everything(source(service[0]), Query()))
    assert len(items) == len(PRODUCTS)
    for item in items:
        parsed = pystac.Item.from_dict(item)
        assert parsed.to_dict()["id"] == item["id"]
        assert item["properties"]["start_datetime"] <= item["properties"]["end_datetime"]
    one = next(item for item in items if "54PXA" in item["id"])
    assert one["id"] == "S2A_MSIL1C_20200808T010311_N0500_R045_T54PXA_20230413T212505"
    assert one["collection"] == "SENTINEL-2"
    properties = one["properties"]
    assert properties["datetime"] == "2020-08-08T01:03:11.024000Z"
    assert properties["eo:cloud_cover"] == pytest.approx(95.136736479015)
    assert (properties["sat:absolute_orbit"], properties["sat:relative_orbit"]) == (26783, 45)
    assert (properties["platform"], properties["constellation"]) == ("sentinel-2a", "sentinel-2")
    assert (properties["grid:code"], properties["csc:origin"]) == ("MGRS-54PXA", "ESA")
    product = one["assets"]["product"]
    assert product["href"] == f"{service[0]}Products(05edf2bb-d103-49f1-a677-9e474138d84f)/$value"
    assert product["file:size"] == 224105657
    assert product["file:checksum"] == "d50110923ac4992d90b57d41e7ace4d9d90757"
    assert product["type"] == "application/zip"
    assert one["assets"]["quicklook"]["href"].endswith("/Assets(385d0a62-ec57-413b-a8b8-12c0e79848f6)/$value")
    assert all("https://" in link for link in one["stac_extensions"])
    without = next(item for item in items if "AUX_INS" in item["id"])
    assert without["geometry"] is None
    assert "bbox" not in without


def test_the_data_space_hands_files_out_at_another_address():
    item = item_of(PRODUCTS[4]["Product"], "https://catalogue.dataspace.copernicus.eu/odata/v1", "SENTINEL-2")
    assert item["assets"]["product"]["href"].startswith(
        "https://download.dataspace.copernicus.eu/odata/v1/Products("
    )


def test_capabilities_collections_and_queryables(service):
    made = source(service[0])
    assert [one["id"] for one in asyncio.run(made.collections())] == [
        "SENTINEL-1",
        "SENTINEL-2",
        "SENTINEL-3",
    ]
    assert asyncio.run(made.capabilities()).filter
    schema = asyncio.run(made.queryables(["SENTINEL-2"]))["properties"]
    assert schema["eo:cloud_cover"]["maximum"] == 100
    assert "csc:tileId" not in schema
    assert schema["grid:code"] == {"type": "string"}
    shared = asyncio.run(made.queryables(["SENTINEL-1", "SENTINEL-2"]))["properties"]
    assert "eo:cloud_cover" not in shared
    assert shared["platform"] == {"type": "string"}


def test_counts_are_never_asked_for(service):
    client = PlainClient()
    made = ODataSource(Settings(service[0], "odata"), client)
    page = asyncio.run(made.search(Query(limit=1)))
    assert page.matched is None
    assert "count" not in client.asked[0]


def test_what_the_catalogue_cannot_do_is_done_here_or_told(service):
    like = {"op": "like", "args": [{"property": "product:type"}, "%MSI2%"]}
    items, said = asyncio.run(everything(source(service[0]), Query(filter=like, limit=4)))
    assert said == set()
    assert {item["properties"]["product:type"] for item in items} == {"S2MSI2A"}
    assert len(items) == 6

    strange = {"op": "and", "args": [like, {"op": "=", "args": [{"property": "proj:epsg"}, 32632]}]}
    items, said = asyncio.run(
        everything(source(service[0]), Query(filter=strange, sort=(Sort("eo:cloud_cover"),)))
    )
    assert len(items) == 6
    assert said == {"filter: proj:epsg", "sort"}


def test_an_area_of_many_corners_is_asked_for_coarsely_and_looked_at_here(service):
    made = shapely.Point(9.5, 47.5).buffer(1.2, quad_segs=300)
    clause, exact = odata_filter.area(made)
    assert not exact
    assert len(clause) < 3500
    # a ring: its hull covers products that it does not meet
    ring = (
        shapely.Point(9, 47.3)
        .buffer(12, quad_segs=300)
        .difference(shapely.Point(9, 47.3).buffer(11, quad_segs=300))
    )
    query = Query(aoi=shapely.geometry.mapping(ring))
    items, said = asyncio.run(everything(source(service[0]), query))
    assert said == set()
    assert sorted(item["id"] for item in items) == sorted(expected(query, [], lambda _: True))
    assert 0 < len(items) < len(PRODUCTS)


@settings(max_examples=300, deadline=None, derandomize=SAME)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_text_leaves_its_quotes(text):
    if any(ord(letter) < 32 for letter in text):
        with pytest.raises(InputError, match="control"):
            odata_filter.named([text])
        return
    clauses = [*odata_filter.words(text), odata_filter.named([text]), odata_filter.in_collections([text])]
    test = Parser(" and ".join(clauses)).parse()
    record = {"Name": text + ".SAFE", "Collection": {"Name": text}}
    assert test(record) is True
    assert test(record | {"Name": "another"}) is False


@pytest.mark.parametrize(
    "bad",
    [
        {"op": "<", "args": [{"property": "datetime"}, "yesterday"]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Point", "coordinates": ["a"]}]},
        {"args": []},
        {"op": "and", "args": "x"},
    ],
)
def test_a_filter_that_is_none_is_refused(service, bad):
    with pytest.raises(InputError, match=r"filter|args"):
        asyncio.run(everything(source(service[0]), Query(filter=bad)))


@pytest.mark.parametrize(
    "never",
    [
        {"op": "=", "args": [{"property": "eo:cloud_cover"}, {"timestamp": "2026-05-01T00:00:00Z"}]},
        {"op": "=", "args": [{"property": "product:type"}, 5]},
        {"op": ">", "args": [{"property": "sat:orbit_state"}, "zz"]},
    ],
)
def test_what_can_not_be_compared_finds_nothing(service, never):
    items, said = asyncio.run(everything(source(service[0]), Query(filter=never)))
    assert (items, said) == ([], set())


def test_a_filter_nested_too_deep_is_refused(service):
    deep = {"op": "=", "args": [{"property": "eo:cloud_cover"}, 1]}
    for _ in range(3000):
        deep = {"op": "not", "args": [deep]}
    with pytest.raises(InputError, match="nested"):
        asyncio.run(source(service[0]).search(Query(filter=deep)))


GOOD = PRODUCTS[4]["Product"]
HOSTILE = [
    None,
    17,
    "text",
    [],
    {},
    {**GOOD, "Id": None},
    {**GOOD, "Id": "../../admin"},
    {**GOOD, "Name": None},
    {**GOOD, "Name": {"a": 1}},
    {**GOOD, "Name": "\x00\x1b\n"},
    {**GOOD, "ContentDate": None},
    {**GOOD, "ContentDate": {"Start": 5, "End": "never"}},
    {**GOOD, "ContentDate": []},
    {
        **GOOD,
        "GeoFootprint": {
            "type": "Polygon",
            "coordinates": [[[float("nan"), 1], [2, 3], [4, 5], [float("nan"), 1]]],
        },
    },
    {**GOOD, "GeoFootprint": {"type": "Polygon", "coordinates": [[[1e999, 1], [2, 3], [4, 5], [1e999, 1]]]}},
    {**GOOD, "GeoFootprint": {"type": "Polygon", "coordinates": "POLYGON"}},
    {**GOOD, "GeoFootprint": {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}},
    {**GOOD, "GeoFootprint": {"type": "Polygon", "coordinates": []}},
    {**GOOD, "GeoFootprint": {"type": "Point", "coordinates": [200, 95]}},
    {**GOOD, "GeoFootprint": {"type": "GeometryCollection", "geometries": []}},
    {**GOOD, "GeoFootprint": ["x"]},
    {**GOOD, "GeoFootprint": None, "Footprint": "geography'SRID=4326;POLYGON ((1 2, 3'"},
]
STRANGE = [
    {**GOOD, "Attributes": None},
    {
        **GOOD,
        "Attributes": [None, 5, {"Name": 5}, {"Name": "cloudCover", "Value": "many", "ValueType": "Double"}],
    },
    {**GOOD, "Attributes": [{"Name": "cloudCover", "Value": float("nan"), "ValueType": "Double"}]},
    {**GOOD, "Attributes": {"cloudCover": 5}},
    {**GOOD, "Assets": [None, {"Type": "QUICKLOOK", "DownloadLink": "javascript:alert(1)"}, {"Type": 5}]},
    {**GOOD, "Checksum": [None, {"Algorithm": "MD5", "Value": "xyz"}, {"Algorithm": 5, "Value": 5}]},
    {**GOOD, "Checksum": "none", "ContentLength": -5, "S3Path": 5, "ContentType": ["x"], "Online": "yes"},
    {**GOOD, "ContentLength": 1e400, "PublicationDate": "0000-00-00", "OriginDate": 5},
    {**GOOD, "GeoFootprint": None, "Footprint": 12},
]


class Canned(PlainClient):
    """Answers what it was given."""

    def __init__(self, *values):
        super().__init__()
        self.values = list(values)

    async def json(self, url, *, cached=False):
        del cached
        self.asked.append(url)
        return Answer(200, url, {}, self.values.pop(0) if len(self.values) > 1 else self.values[0])


def test_bad_records_are_skipped_and_counted():
    client = Canned({"value": [*HOSTILE, GOOD, *STRANGE]})
    page = asyncio.run(ODataSource(Settings("https://example.org/odata/v1", "odata"), client).search(Query()))
    assert len(page.items) == 1 + len(STRANGE)
    assert page.warnings == (f"{len(HOSTILE)} records of the answer can't be used and were left out.",)
    written = json.dumps(page.items, allow_nan=False)
    assert "javascript" not in written
    assert "\\u0000" not in written
    for item in page.items:
        pystac.Item.from_dict(item)


@pytest.mark.parametrize(
    "bad", [None, 5, "x", [], {}, {"value": None}, {"value": {}}, {"error": {"code": 1}}]
)
def test_an_answer_that_is_no_odata_is_an_error_that_says_so(bad):
    with pytest.raises(CatalogueError, match="no OData"):
        asyncio.run(ODataSource(Settings("https://example.org/odata/v1"), Canned(bad)).search(Query()))


def test_far_too_many_records_are_cut():
    client = Canned({"value": [None] * 1_000_000})
    page = asyncio.run(ODataSource(Settings("https://example.org/odata/v1"), client).search(Query()))
    assert page.items == ()
    assert "1000000 records" in page.warnings[0] or len(client.asked) > 1
    assert len(client.asked) <= 5


def test_a_next_link_never_leads_elsewhere_nor_round_in_circles():
    link = "https://evil.example/odata/v1/Products?$filter=x&$skip=1&$top=1&password=1"
    client = Canned({"value": [GOOD], "@odata.nextLink": link})
    made = ODataSource(Settings("https://example.org/odata/v1"), client)
    page = asyncio.run(made.search(Query(limit=1)))
    second = asyncio.run(made.search(Query(limit=1), page.next))
    assert all(url.startswith("https://example.org/odata/v1/Products?") for url in client.asked)
    assert "password" not in client.asked[1]
    assert second.next is None


def test_a_search_that_no_address_holds_is_refused():
    client = Canned({"value": []})
    query = Query(ids=tuple(f"S2A_{number:0100d}" for number in range(100)))
    with pytest.raises(InputError, match="longer"):
        asyncio.run(ODataSource(Settings("https://example.org/odata/v1"), client).search(query))


def test_a_service_without_a_list_of_attributes_has_the_settings_collections(service):
    made = source(service[0].replace("/odata/v1/", "/gss/"), collections=("A",))
    assert [one["id"] for one in asyncio.run(made.collections())] == ["A"]
    assert "eo:cloud_cover" not in asyncio.run(made.queryables([]))["properties"]


def test_times_are_utc_whatever_they_are_written_in():
    assert (
        odata_filter.moment(datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)) == "2020-01-02T03:04:05.678Z"
    )
    assert (
        odata_filter.moment(datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
        == "2020-01-02T03:04:05.678901Z"
    )
