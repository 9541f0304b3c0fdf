"""OpenSearch: three dialects over real products against shapely, real answers, and what others may send."""

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
from cubehub_catalogue.query import Query
from cubehub_catalogue.sources.opensearch import OpenSearchSource
from cubehub_catalogue.sources.opensearch_answers import read_geojson
from cubehub_catalogue.sources.opensearch_atom import read_atom
from cubehub_catalogue.sources.opensearch_description import read
from cubehub_catalogue.sources.opensearch_terms import asked_there
from cubehub_catalogue.sources.opensearch_xml import parse
from cubehub_tests.catalogue_opensearch import RecordedOpenSearch
from cubehub_tests.catalogue_other import Answer, PlainClient, ServerInThread, Settings
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = not os.environ.get("CUBEHUB_TEST_RANDOM")  # a landing must not depend on luck
DATA = Path(__file__).parent / "data"
PRODUCTS = [json.loads(line) for line in (DATA / "odata" / "products.jsonl").read_text().splitlines()]
NAMES = ["SENTINEL-1", "SENTINEL-2", "SENTINEL-3"]


@pytest.fixture(scope="module", params=["georss", "gml", "geojson"])
def service(request):
    endpoint = RecordedOpenSearch(DATA / "odata", request.param)
    with ServerInThread(endpoint) as server:
        yield f"{server.url}/osdd.xml", endpoint


def source(url, client=None, **settings):
    return OpenSearchSource(Settings(url, "opensearch", **settings), client or PlainClient())


async def everything(made, query):
    items, following, said = [], None, set()
    for _ in range(200):
        page = await made.search(query, following)
        items += page.items
        said |= set(page.ignored) | set(page.warnings)
        following = page.next
        if following is None:
            return items, said
    raise AssertionError("paging does not end")


def bare(name):
    return name.removesuffix(".SAFE").removesuffix(".SEN3")


def cover(product):
    return next((one["Value"] for one in product.get("Attributes", []) if one["Name"] == "cloudCover"), None)


@st.composite
def queries(draw):
    area = None
    if draw(st.booleans()):
        west, south = draw(st.floats(-180, 170)), draw(st.floats(-90, 80))
        area = shapely.box(west, south, draw(st.floats(west + 0.1, 180)), draw(st.floats(south + 0.1, 90)))
        if draw(st.booleans()):  # a triangle, which a box alone does not say
            area = shapely.Polygon(list(area.exterior.coords)[:3])
    moment = datetime.fromisoformat(draw(st.sampled_from(PRODUCTS))["Product"]["ContentDate"]["Start"])
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
    most = draw(st.sampled_from([None, 5, 20, 60]))
    return Query(
        collections={"one": tuple(names)},
        aoi=None if area is None else shapely.geometry.mapping(area),
        start=draw(st.sampled_from([None, moment, moment - timedelta(days=40)])),
        end=draw(st.sampled_from([None, moment, moment + timedelta(microseconds=1)])),
        text=draw(st.sampled_from([None, None, "S2A", "LST 2020"])),
        ids=(bare(draw(st.sampled_from(PRODUCTS))["Product"]["Name"]),)
        if draw(st.integers(0, 5)) == 0
        else (),
        filter=None if most is None else {"op": "<=", "args": [{"property": "eo:cloud_cover"}, most]},
        limit=draw(st.sampled_from([2, 5, 50])),
    )


def expected(query):
    area = shapely.geometry.shape(query.aoi) if query.aoi else None
    names = query.collections["one"]
    found = []
    for one in PRODUCTS:
        product, dates = one["Product"], one["Product"]["ContentDate"]
        footprint = product["GeoFootprint"]
        if (
            (not names or one["Collection"] in names)
            and (area is None or (footprint and shapely.geometry.shape(footprint).intersects(area)))
            and (query.end is None or datetime.fromisoformat(dates["Start"]) <= query.end)
            and (query.start is None or datetime.fromisoformat(dates["End"]) >= query.start)
            and all(word in product["Name"] for word in (query.text or "").split())
            and (not query.ids or bare(product["Name"]) in query.ids)
            and (
                query.filter is None
                or (cover(product) is not None and cover(product) <= query.filter["args"][1])
            )
        ):
            found.append(bare(product["Name"]))
    return found


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=SAME)
@given(query=queries())
def test_random_queries_give_what_shapely_and_python_find(service, query):
    items, said = asyncio.run(everything(source(service[0]), query))
    assert sorted(item["id"] for item in items) == sorted(expected(query))
    assert said == {"sort"}


def test_entries_become_valid_items(service):
    items, _ = asyncio.run(everything(source(service[0]), Query()))
    assert len(items) == len(PRODUCTS)
    for item in items:
        pystac.Item.from_dict(item)
    one = next(item for item in items if "54PXA" in item["id"])
    assert one["properties"]["datetime"] == "2020-08-08T01:03:11.024000Z"
    assert one["properties"]["eo:cloud_cover"] == pytest.approx(95.136736479015)
    assert one["collection"] == "SENTINEL-2"
    assert one["assets"]["product"]["file:size"] == 224105657
    expected_shape = shapely.geometry.shape(PRODUCTS[4]["Product"]["GeoFootprint"])
    assert shapely.geometry.shape(one["geometry"]).equals(expected_shape)


def test_counts_come_with_the_answer_and_pages_hold_what_the_service_gives(service):
    page = asyncio.run(source(service[0]).search(Query(limit=50)))
    assert page.matched == len(PRODUCTS)
    assert len(page.items) == 5
    assert page.next is not None


def test_cloud_cover_is_asked_for_and_what_no_template_has_is_done_here(service):
    url, endpoint = service
    endpoint.asked.clear()
    terms = [
        {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 50]},
        {"op": "like", "args": [{"property": "id"}, "%32T%"]},
    ]
    items, said = asyncio.run(everything(source(url), Query(filter={"op": "and", "args": terms})))
    assert endpoint.asked[0]["cloud"] == "[0,50]"
    assert said == {"sort"}
    assert items
    assert all("32T" in item["id"] and item["properties"]["eo:cloud_cover"] <= 50 for item in items)


def test_a_property_that_no_answer_has_is_told(service):
    strange = {"op": "=", "args": [{"property": "proj:epsg"}, 32632]}
    items, said = asyncio.run(everything(source(service[0]), Query(filter=strange)))
    assert len(items) == len(PRODUCTS)
    assert said == {"sort", "filter: proj:epsg"}


def test_collections_are_found_in_a_first_step_or_in_the_settings(service):
    url, endpoint = service
    made = source(url, collections=("SENTINEL-2",))
    found = asyncio.run(made.collections())
    assert [one["id"] for one in found] == (NAMES if endpoint.dialect == "geojson" else ["SENTINEL-2"])
    items, _ = asyncio.run(everything(made, Query()))
    assert {item["collection"] for item in items} == {"SENTINEL-2"}


def test_capabilities_and_queryables_are_those_of_the_template(service):
    made = source(service[0])
    assert asyncio.run(made.capabilities()).text
    assert not asyncio.run(made.capabilities()).sort
    assert set(asyncio.run(made.queryables([]))["properties"]) == {"eo:cloud_cover"}


def test_a_real_feed_of_mundi():
    found = read_atom((DATA / "opensearch" / "mundi.xml").read_text(), "https://example.org/feed", None)
    assert (found.total, found.per_page, found.skipped) == (47, 2, 0)
    assert found.following.endswith("&startIndex=3")
    item = found.items[0]
    pystac.Item.from_dict(item)
    assert item["id"] == "S2A_MSIL1C_20200815T005251_N0209_R002_T55PBR_20200815T023440"
    # latitudes come first in GeoRSS
    assert item["bbox"] == pytest.approx([144.868069, 13.470493, 145.242725, 14.466212], abs=1e-5)
    assert len(item["geometry"]["coordinates"][0]) == 11
    assert item["properties"]["eo:cloud_cover"] == pytest.approx(6.6797)
    assert item["properties"]["sat:orbit_state"] == "descending"
    assert item["properties"]["datetime"] == "2020-08-15T00:52:51Z"
    assert item["assets"]["quicklook"]["href"].endswith("-ql.jpg")
    assert item["assets"]["thumbnail"]["roles"] == ["thumbnail"]
    assert "collection" not in item


def test_a_real_answer_of_eumetsat():
    found = read_geojson(
        (DATA / "opensearch" / "eumetsat.json").read_text(), "https://api.eumetsat.int/x", None
    )
    item = found.items[0]
    assert (item["id"], item["collection"]) == ("PREmm20201201000000120IMPGS01GL", "EO:EUM:DAT:0921")
    assert item["geometry"] is None
    assert item["properties"]["end_datetime"] == "2021-01-01T00:00:00Z"
    assert item["properties"]["product:type"] == "PRE"
    assert item["assets"]["product"]["file:checksum"] == "d50110ef3ad778470d8206e98b649d9ed4bc4f"


def test_a_real_description_of_creodias():
    described = read((DATA / "opensearch" / "creodias.xml").read_text(), "https://finder.creodias.eu/osdd")
    template = described.results
    assert (template.format, template.most, template.first_index) == ("application/json", 2000, 1)
    url = template.filled({"count": "10", "geo:box": "1,2,3,4", "eo:orbitDirection": "ASCENDING"})
    assert url == (
        "https://finder.creodias.eu/resto/api/collections/Sentinel1/search.json"
        "?maxRecords=10&box=1%2C2%2C3%2C4&orbitDirection=ASCENDING"
    )


def test_an_answer_of_resto():
    feature = {
        "type": "Feature",
        "id": "b5e5",
        "geometry": {"type": "Point", "coordinates": [25, 58]},
        "properties": {
            "collection": "Sentinel1",
            "productIdentifier": "/eodata/Sentinel-1/SAR/GRD/2024/01/01/S1A_IW_GRDH_1SDV_X.SAFE",
            "title": "S1A_IW_GRDH_1SDV_X.SAFE",
            "startDate": "2024-01-01T05:51:04.507Z",
            "completionDate": "2024-01-01T05:51:29.505Z",
            "cloudCover": -1,
            "platform": "S1A",
            "thumbnail": "https://example.org/t.jpg",
            "services": {
                "download": {"url": "https://example.org/d", "mimeType": "application/zip", "size": 17}
            },
            "links": [{"rel": "self", "href": "https://example.org/b5e5.json"}],
        },
    }
    answer = {
        "type": "FeatureCollection",
        "properties": {
            "totalResults": None,
            "links": [{"rel": "next", "href": "https://example.org/?page=2"}],
        },
        "features": [feature],
    }
    found = read_geojson(json.dumps(answer), "https://example.org", None)
    assert found.following == "https://example.org/?page=2"
    item = found.items[0]
    assert (item["id"], item["collection"]) == ("S1A_IW_GRDH_1SDV_X", "Sentinel1")
    assert "eo:cloud_cover" not in item["properties"]
    assert item["assets"]["product"] == {
        "href": "https://example.org/d",
        "type": "application/zip",
        "roles": ["data"],
        "file:size": 17,
    }
    assert item["links"] == [{"rel": "self", "href": "https://example.org/b5e5.json"}]


HEAD = (
    '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:georss="http://www.georss.org/georss" '
    'xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:dc="http://purl.org/dc/elements/1.1/">'
)


def entry(inner, id_="a", date="2020-01-01T00:00:00Z"):
    return f"<entry><id>{id_}</id><dc:date>{date}</dc:date>{inner}</entry>"


@pytest.mark.parametrize(
    ("inner", "bounds"),
    [
        ("<georss:box>58 25 59 27</georss:box>", [25, 58, 27, 59]),
        ("<georss:box>58,25 59,27</georss:box>", [25, 58, 27, 59]),
        ("<georss:point>58 25</georss:point>", [25, 58, 25, 58]),
        ("<georss:line>58 25 59 27</georss:line>", [25, 58, 27, 59]),
        ("<georss:polygon>58 25 58 27 59 27 58 25</georss:polygon>", [25, 58, 27, 59]),
        (
            "<georss:box>1 2 3 4</georss:box><georss:polygon>58 25 58 27 59 27 58 25</georss:polygon>",
            [25, 58, 27, 59],
        ),
        (
            "<georss:where><gml:Envelope><gml:lowerCorner>58 25</gml:lowerCorner><gml:upperCorner>59 27</gml:upperCorner></gml:Envelope></georss:where>",
            [25, 58, 27, 59],
        ),
        (
            "<gml:Polygon srsName='urn:ogc:def:crs:OGC:1.3:CRS84'><gml:exterior><gml:LinearRing><gml:posList>25 58 27 58 27 59 25 58</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>",
            [25, 58, 27, 59],
        ),
        (
            "<gml:Polygon><gml:exterior><gml:LinearRing><gml:pos>58 25</gml:pos><gml:pos>58 27</gml:pos><gml:pos>59 27</gml:pos><gml:pos>58 25</gml:pos></gml:LinearRing></gml:exterior></gml:Polygon>",
            [25, 58, 27, 59],
        ),
        (
            "<gml:Polygon srsDimension='3'><gml:exterior><gml:LinearRing><gml:posList>58 25 0 58 27 0 59 27 0 58 25 0</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>",
            [25, 58, 27, 59],
        ),
        ("<georss:box>-10 170 10 -170</georss:box>", [170, -10, -170, 10]),
        ("<georss:polygon>0 170 10 170 10 190 0 190 0 170</georss:polygon>", [170, 0, -170, 10]),
    ],
)
def test_footprints(inner, bounds):
    found = read_atom(f"{HEAD}{entry(inner)}</feed>", "https://example.org", None)
    assert found.items[0]["bbox"] == pytest.approx(bounds)


def test_an_id_that_is_nearly_an_address_is_an_id():
    found = read_atom(f"{HEAD}{entry('', id_='http://[::1')}</feed>", "https://example.org", None)
    assert found.items[0]["id"] == "http://[::1"


def test_two_polygons_are_one_footprint():
    inner = "<georss:polygon>0 0 0 1 1 1 0 0</georss:polygon><georss:polygon>5 5 5 6 6 6 5 5</georss:polygon>"
    found = read_atom(f"{HEAD}{entry(inner)}</feed>", "https://example.org", None)
    assert found.items[0]["geometry"]["type"] == "MultiPolygon"


@pytest.mark.parametrize(
    "bad",
    [
        "<georss:box>58 25 59</georss:box>",
        "<georss:box>nan nan 1 1</georss:box>",
        "<georss:box>58 25 59 inf</georss:box>",
        "<georss:box>a b c d</georss:box>",
        "<georss:polygon>1 2</georss:polygon>",
        "<georss:polygon></georss:polygon>",
        "<georss:point>95 25</georss:point>",
        "<gml:Polygon/>",
        "<gml:Polygon><gml:exterior><gml:posList>1 2 3</gml:posList></gml:exterior></gml:Polygon>",
        "<georss:polygon>0 0 0 1 1 1 0 0</georss:polygon>" * 300,
    ],
)
def test_entries_that_can_not_be_used_are_counted(bad):
    written = HEAD + entry(bad) + entry("") + entry("", id_="") + entry("", date="soon") + "</feed>"
    found = read_atom(written, "https://example.org", None)
    assert (len(found.items), found.skipped) == (1, 3)


def bomb(levels):
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(levels))
    return f'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY e0 "lol">{entities}]><feed>&e{levels};</feed>'


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (bomb(20), "entities"),
        ('<!DOCTYPE feed SYSTEM "file:///etc/passwd"><feed/>', "entities or a document type"),
        ('<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed>&x;</feed>', "entities"),
        ("<feed>" + " " * (17 * 2**20), "larger than 16 MiB"),
        ("<feed>" + "<a/>" * 200_001 + "</feed>", "more than 200,000"),
        ("<feed>" * 5000, "well-formed"),
        ("", "empty|well-formed"),
        ("<feed>\x00</feed>", "encoding"),
        ("<feed>\ufffd</feed>", "encoding"),
        ('<?xml version="1.0" encoding="EBCDIC-CP-FI"?><feed/>', "EBCDIC"),
        ("<feed>&#0;</feed>", "well-formed"),
        ("<feed>\x1b</feed>", "well-formed"),
        ("<a xmlns:x='y'><b></a>", "well-formed"),
    ],
)
def test_xml_that_is_none_or_a_bomb_is_refused(written, why):
    with pytest.raises(CatalogueError, match=why):
        parse(written)


def test_deep_nesting_does_not_break_the_reader():
    found = read_atom(f"{HEAD}{entry('<a>' * 20_000 + '</a>' * 20_000)}</feed>", "https://example.org", None)
    assert len(found.items) == 1


def test_a_declared_encoding_does_not_have_the_text_decoded_twice():
    root, _ = parse('<?xml version="1.0" encoding="ISO-8859-1"?><feed>Peipsi järv</feed>')
    assert root.text == "Peipsi järv"


class Canned(PlainClient):
    """Answers a description, and then what it was given."""

    def __init__(self, *answers, template="https://example.org/s?i={startIndex?}&amp;n={count?}"):
        super().__init__()
        self.answers, self.template = list(answers), template

    async def text(self, url, *, cached=False):
        del cached
        self.asked.append(url)
        if url.endswith("/osdd"):
            value = (
                '<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">'
                f'<Url type="application/atom+xml" template="{self.template}"/></OpenSearchDescription>'
            )
        else:
            value = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Answer(200, url, {}, value)


GOOD = {"id": "a", "geometry": None, "properties": {"date": "2020-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    "feature",
    [
        None,
        5,
        [],
        {},
        {"properties": None},
        {"properties": []},
        {**GOOD, "id": None},
        {**GOOD, "id": "\x00"},
        {**GOOD, "geometry": {"type": "Point", "coordinates": [None, 5]}},
        {**GOOD, "geometry": {"type": "Point", "coordinates": [float("nan"), 5]}},
        {**GOOD, "geometry": "POINT (1 2)"},
        {**GOOD, "properties": {"date": "x/y"}},
        {**GOOD, "properties": {"date": 5}},
    ],
)
def test_features_that_can_not_be_used_are_counted(feature):
    client = Canned(json.dumps({"features": [feature, GOOD]}))
    page = asyncio.run(source("https://example.org/osdd", client).search(Query()))
    assert len(page.items) == 1
    assert page.warnings == ("1 record of the answer can't be used and was left out.",)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "null",
        "[]",
        "5",
        "{}",
        '{"features": {}}',
        "<html/>",
        "<feed",
        "[" * 100_000,
        '{"features": null}',
        None,
        5.5,
    ],
)
def test_an_answer_that_is_none_is_an_error(answer):
    with pytest.raises(CatalogueError):
        asyncio.run(source("https://example.org/osdd", Canned(answer)).search(Query()))


def test_strange_values_are_left_out():
    properties = {
        **GOOD["properties"],
        "cloudCover": "many",
        "title": {"a": 1},
        "platform": ["x"],
        "orbitNumber": 1e400,
        "updated": 5,
        "links": {"data": [None, {"href": 5}, {"href": "javascript:alert(1)"}], "previews": "x"},
        "services": {"download": 5},
        "thumbnail": "data:image/png;base64,xx",
    }
    client = Canned(json.dumps({"features": [{**GOOD, "properties": properties}]}))
    page = asyncio.run(source("https://example.org/osdd", client).search(Query()))
    assert json.dumps(page.items[0], allow_nan=False)
    assert page.items[0]["assets"] == {}


def test_far_too_many_features_are_cut():
    client = Canned(json.dumps({"features": [None] * 1_000_000}))
    page = asyncio.run(source("https://example.org/osdd", client).search(Query()))
    assert page.items == ()
    assert "records" in page.warnings[-1]
    assert len(client.asked) < 20


def test_a_service_that_does_not_page_is_not_asked_for_ever():
    client = Canned(json.dumps({"features": [GOOD], "totalResults": 10**9}))
    made = source("https://example.org/osdd", client)
    first = asyncio.run(made.search(Query(limit=1)))
    second = asyncio.run(made.search(Query(limit=1), first.next))
    assert second.next is None
    assert "same page" in second.warnings[0]


def test_a_next_link_to_another_host_is_not_followed():
    answer = {"features": [GOOD], "properties": {"links": {"next": [{"href": "https://evil.example/s?i=2"}]}}}
    other = {**answer, "features": [{**GOOD, "id": "b"}]}
    client = Canned(json.dumps(answer), json.dumps(other))
    made = source("https://example.org/osdd", client)
    page = asyncio.run(made.search(Query(limit=1)))
    assert page.next is None or page.next.url is None
    assert not any("evil" in url for url in client.asked)


@pytest.mark.parametrize(
    "template",
    [
        "file:///etc/passwd?{count}",
        "https://[::1",
        "javascript:{count}",
        "https://user@{geo:uid}.example.org/x",
        "https://{geo:uid}/x",
        "",
    ],
)
def test_templates_that_lead_elsewhere_are_not_taken(template):
    with pytest.raises(CatalogueError, match="no Url"):
        asyncio.run(source("https://example.org/osdd", Canned("", template=template)).search(Query()))


def test_a_template_that_always_wants_more_is_an_error():
    client = Canned("", template="https://example.org/s?k={secret}&amp;n={count}")
    with pytest.raises(CatalogueError, match="always wants secret"):
        asyncio.run(source("https://example.org/osdd", client).search(Query()))


@pytest.mark.parametrize(
    ("operator", "values", "written"),
    [
        ("<=", [20], "[0,20]"),
        ("<", [20.0], "[0,20["),
        (">=", [20], "[20,100]"),
        (">", [20], "]20,100]"),
        ("between", [10, 20], "[10,20]"),
        ("<=", [20.5], None),
        ("<=", ["20"], None),
        ("=", [20], None),
        ("<=", [200], None),
    ],
)
def test_ranges(operator, values, written):
    term = {"op": operator, "args": [{"property": "eo:cloud_cover"}, *values]}
    there, here = asked_there(term, {"eo:cloudCover"})
    assert there == ({} if written is None else {"eo:cloudCover": written})
    assert here == ({"op": "and", "args": [term]} if written is None else None)


def test_a_filter_nested_too_deep_is_refused():
    deep = {"op": "=", "args": [{"property": "x"}, 1]}
    for _ in range(500):
        deep = {"op": "not", "args": [deep]}
    client = Canned(json.dumps({"features": [GOOD]}))
    with pytest.raises(InputError):
        asyncio.run(source("https://example.org/osdd", client).search(Query(filter=deep)))


def test_times_are_asked_for_in_utc(service):
    url, endpoint = service
    endpoint.asked.clear()
    asyncio.run(source(url).search(Query(start=datetime(2020, 1, 1, tzinfo=UTC))))
    assert endpoint.asked[0]["start"] == "2020-01-01T00:00:00Z"
