"""stac-geoparquet files that rustac wrote from real items, against shapely; and files that are none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import rustac
import shapely
from aiohttp import web
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.sources.geoparquet import GeoParquetSource
from cubehub_catalogue.sources.odata_items import item_of
from cubehub_tests.catalogue_other import Answer, PlainClient, ServerInThread, Settings
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = not os.environ.get("CUBEHUB_TEST_RANDOM")  # a landing must not depend on luck
DATA = Path(__file__).parent / "data"


def real_items():
    products = [json.loads(line) for line in (DATA / "odata" / "products.jsonl").read_text().splitlines()]
    found = [item_of(one["Product"], "https://example.org/odata/v1", one["Collection"]) for one in products]
    # rustac has no null geometries
    found = [item for item in found if item["geometry"]]
    found += [json.loads(path.read_text()) for path in sorted((DATA / "antimeridian").glob("*.json"))]
    for item in found:
        for key, value in item["properties"].items():
            if isinstance(value, str) and key in TIMES:
                # rustac keeps milliseconds of some of them
                moment = datetime.fromisoformat(value)
                moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
                item["properties"][key] = moment.isoformat().replace("+00:00", "Z")
    return {item["id"]: item for item in found}


TIMES = (
    "datetime",
    "start_datetime",
    "end_datetime",
    "created",
    "updated",
    "published",
    "processing:datetime",
)
ITEMS = real_items()
EMPTY = Settings("file:///items.parquet", "geoparquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("files")
    # rustac does not write all of these into one table; files of several writers are joined so too
    parts = {}
    for item in ITEMS.values():
        parts.setdefault(item["collection"], []).append(item)
    for name, items in parts.items():
        rustac.write_sync(str(made / f"{name}.parquet"), items)
    tables = [pq.read_table(made / f"{name}.parquet") for name in parts]
    pq.write_table(pa.concat_tables(tables, promote_options="permissive"), made / "whole.parquet")
    # small row groups, so that whole ones are passed over
    pq.write_table(pq.read_table(made / "whole.parquet"), made / "items.parquet", row_group_size=4)
    return made


@pytest.fixture(scope="module", params=["items.parquet", "whole.parquet"])
def local(folder, request):
    return GeoParquetSource(Settings(f"file:///{request.param}", "geoparquet"), PlainClient(), folder=folder)


def run(made, query):
    async def all_pages():
        items, following, said = [], None, set()
        for _ in range(200):
            page = await made.search(query, following)
            assert len(page.items) <= query.limit
            items += page.items
            said |= set(page.ignored) | set(page.warnings)
            following = page.next
            if following is None:
                assert page.matched == len(items) or said
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
        if draw(st.booleans()):
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
        and (area is None or meant(item["geometry"]).intersects(area))
        and (query.end is None or moment(item, "start_datetime") <= query.end)
        and (query.start is None or moment(item, "end_datetime") >= query.start)
        and (not query.ids or item["id"] in query.ids)
        and all(
            word in (item["id"] + item["collection"]).lower() for word in (query.text or "").lower().split()
        )
        and (query.filter is None or (cover(item) is not None and cover(item) < query.filter["args"][1]))
    }


@pytest.mark.slow
@settings(max_examples=75, deadline=None, derandomize=SAME)
@given(query=queries())
def test_random_queries_give_what_shapely_and_python_find_in_order(local, query):
    items, said = run(local, query)
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


def without_none(value):
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value] if isinstance(value, list) else value


def test_rows_become_the_items_they_were(local):
    items, _ = run(local, Query())
    assert len(items) == len(ITEMS)
    for item in items:
        pystac.Item.from_dict(item)
        was = ITEMS[item["id"]]
        assert shapely.geometry.shape(item["geometry"]).equals(shapely.geometry.shape(was["geometry"]))
        assert set(item["assets"]) == set(was["assets"])
        assert item["collection"] == was["collection"]
        for key, asset in was["assets"].items():
            assert item["assets"][key]["href"] == asset["href"]
            assert item["assets"][key].get("roles") == asset.get("roles")
            assert item["assets"][key].get("file:size") == asset.get("file:size")
        for key, value in without_none(was["properties"]).items():
            found = item["properties"][key]
            if isinstance(value, str) and key in TIMES:
                assert datetime.fromisoformat(found) == datetime.fromisoformat(value)
            else:
                assert found == value or found == pytest.approx(value)


def test_row_groups_that_can_not_hold_it_are_not_read(folder):
    made = GeoParquetSource(EMPTY, PlainClient(), folder=folder)
    file = asyncio.run(made._open())
    read = []
    whole = file._read
    file._read = lambda number, columns: (read.append(number), whole(number, columns))[1]
    query = Query(aoi=shapely.geometry.mapping(shapely.box(0, -89, 1, -88)))
    page = asyncio.run(made.search(query))
    assert page.items == ()
    assert read == []


def test_collections_and_queryables(local):
    found = asyncio.run(local.collections())
    assert {one["id"] for one in found} == {item["collection"] for item in ITEMS.values()}
    schema = asyncio.run(local.queryables([]))["properties"]
    assert schema["eo:cloud_cover"] == {"type": "number"}
    assert schema["datetime"] == {"type": "string", "format": "date-time"}
    assert schema["sat:absolute_orbit"]["type"] in {"integer", "number"}
    assert "assets" not in schema


def test_a_file_is_fetched_once_and_kept_for_a_while(folder):
    async def serve(request):
        return (
            web.Response(body=(folder / "items.parquet").read_bytes())
            if request.path == "/f.parquet"
            else web.Response(status=404)
        )

    with ServerInThread(serve) as server:
        client, now = PlainClient(), [0.0]
        made = GeoParquetSource(Settings(f"{server.url}/f.parquet"), client, clock=lambda: now[0])
        items, said = run(made, Query(limit=5))
        assert (len(items), said) == (len(ITEMS), set())
        run(made, Query())
        assert len(client.asked) == 1
        now[0] = 601
        run(made, Query())
        assert len(client.asked) == 2
        with pytest.raises(CatalogueError, match="404"):
            run(GeoParquetSource(Settings(f"{server.url}/none"), PlainClient()), Query())
        with pytest.raises(CatalogueError, match="too large"):
            run(
                GeoParquetSource(Settings(f"{server.url}/f.parquet"), PlainClient(), most_bytes=1000), Query()
            )


def test_a_search_that_is_given_up_leaves_the_file_coming(folder):
    class Slow(PlainClient):
        """Gives the file's end when it is told to."""

        def __init__(self):
            super().__init__()
            self.begun, self.go_on = asyncio.Event(), asyncio.Event()

        @contextlib.asynccontextmanager
        async def stream(self, url, *, most_bytes):
            self.asked.append(f"{url} {most_bytes}")
            yield Answer(200, url, {}, None, self.pieces())

        async def pieces(self):
            content = (folder / "items.parquet").read_bytes()
            yield content[:1000]
            self.begun.set()
            await self.go_on.wait()
            yield content[1000:]

    async def go():
        client = Slow()
        made = GeoParquetSource(Settings("https://example.org/f.parquet"), client)
        task = asyncio.create_task(made.search(Query()))
        await client.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        client.go_on.set()
        return await made.search(Query()), client.asked

    page, asked = asyncio.run(go())
    assert page.matched == len(ITEMS)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "name", ["/../secret.parquet", "/%2e%2e/secret.parquet", "/link.parquet", "/none.parquet", "/", "/a%00b"]
)
def test_only_files_of_the_folder_are_read(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.parquet").write_bytes(b"x")
    (inner / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    made = GeoParquetSource(Settings(f"file://{name}"), PlainClient(), folder=inner)
    with pytest.raises(CatalogueError, match=r"outside|no file|no such file"):
        run(made, Query())
    with pytest.raises(CatalogueError, match="No folder"):
        run(GeoParquetSource(Settings(f"file://{name}"), PlainClient()), Query())


def write(tmp_path, table):
    pq.write_table(table, tmp_path / "items.parquet")
    return GeoParquetSource(EMPTY, PlainClient(), folder=tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"<html>", b"x" * 10_000]
)
def test_a_file_that_is_no_parquet_is_an_error(tmp_path, content):
    (tmp_path / "items.parquet").write_bytes(content)
    with pytest.raises(CatalogueError, match="no Parquet"):
        run(GeoParquetSource(EMPTY, PlainClient(), folder=tmp_path), Query())


def test_a_file_that_is_cut_or_damaged_is_an_error(tmp_path, folder):
    content = bytearray((folder / "items.parquet").read_bytes())
    (tmp_path / "items.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(CatalogueError):
        run(GeoParquetSource(EMPTY, PlainClient(), folder=tmp_path), Query())
    content[4:4000] = b"\xff" * 3996
    (tmp_path / "items.parquet").write_bytes(content)
    with pytest.raises(CatalogueError, match=r"can't be read|no Parquet"):
        run(GeoParquetSource(EMPTY, PlainClient(), folder=tmp_path), Query())


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"a": [1]}, "no columns"),
        ({"id": ["a"]}, "no columns"),
        ({"id": ["a"], "geometry": ["POINT (1 2)"]}, "not WKB"),
        ({"id": ["a"], "geometry": [1.5]}, "not WKB"),
    ],
)
def test_a_table_that_is_no_stac_is_an_error(tmp_path, columns, why):
    with pytest.raises(CatalogueError, match=why):
        run(write(tmp_path, pa.table(columns)), Query())


def test_rows_that_can_not_be_used_are_counted(tmp_path):
    point = shapely.to_wkb(shapely.Point(25, 58))
    rows = [
        {"id": "good", "geometry": point, "datetime": "2020-01-01T00:00:00Z", "x": 1.0},
        {"id": None, "geometry": point, "datetime": "2020-01-01T00:00:00Z"},
        {"id": "\x00", "geometry": point, "datetime": "2020-01-01T00:00:00Z"},
        {"id": "no time", "geometry": point, "datetime": None},
        {"id": "bad time", "geometry": point, "datetime": "soon"},
        {"id": "bad shape", "geometry": b"\x01\x02", "datetime": "2020-01-01T00:00:00Z"},
        {"id": "empty shape", "geometry": b"", "datetime": "2020-01-01T00:00:00Z"},
        {
            "id": "far away",
            "geometry": shapely.to_wkb(shapely.Point(25, 158)),
            "datetime": "2020-01-01T00:00:00Z",
        },
        {
            "id": "no number",
            "geometry": shapely.to_wkb(shapely.Point(float("nan"), 1)),
            "datetime": "2020-01-01T00:00:00Z",
        },
        {"id": "strange\x1b", "geometry": None, "datetime": "2020-01-02T00:00:00Z", "x": float("nan")},
    ]
    made = write(tmp_path, pa.Table.from_pylist(rows))
    page = asyncio.run(made.search(Query(sort=(Sort("x"), Sort("nothing")))))
    assert [item["id"] for item in page.items] == ["good", "strange"]
    assert json.dumps(page.items, allow_nan=False)
    assert page.warnings == ("8 records of the file can't be used and were left out.",)
    assert page.ignored == ("sort",)
    area = shapely.geometry.mapping(shapely.box(20, 50, 30, 60))
    page = asyncio.run(
        made.search(Query(aoi=area, start=datetime.fromisoformat("2019-12-31T00:00:00Z"), text="good"))
    )
    assert [item["id"] for item in page.items] == ["good"]


def test_columns_of_strange_types_do_not_break_it(tmp_path):
    point = shapely.to_wkb(shapely.Point(25, 58))
    moment_ns = pa.array([1_577_836_800_000_000_001], pa.timestamp("ns"))
    table = pa.table(
        {
            "id": pa.array(["a"]).dictionary_encode(),
            "geometry": pa.array([point], pa.large_binary()),
            "bbox": pa.array([[25.0, 58.0, 25.0, 58.0]]),
            "datetime": moment_ns,
            "collection": pa.array([5]),
            "assets": pa.array(["none"]),
            "links": pa.array([[{"rel": "self"}]]),
            "raw": pa.array([b"\x00\xff"]),
            "when": pa.array([2**62], pa.timestamp("us")),
            "long": pa.array([[1, None]]),
        }
    )
    made = write(tmp_path, table)
    query = Query(
        ids=("a",),
        sort=(Sort("datetime"), Sort("collection")),
        aoi=shapely.geometry.mapping(shapely.box(20, 50, 30, 60)),
    )
    page = asyncio.run(made.search(query))
    assert page.items[0]["properties"]["datetime"] == "2020-01-01T00:00:00Z"
    assert page.items[0]["assets"] == {}
    assert asyncio.run(made.search(Query(collections={"one": ("5",)}))).matched == 1


def test_a_filter_that_is_none_is_refused(local):
    with pytest.raises(InputError, match="filter"):
        run(local, Query(filter={"op": 5}))


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CatalogueError, match="pyarrow") as caught:
        run(GeoParquetSource(EMPTY, PlainClient()), Query())
    assert "pip install 'cubehub-catalogue[geoparquet]'" in caught.value.hint
