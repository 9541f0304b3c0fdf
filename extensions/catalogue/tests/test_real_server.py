"""The catalogue that CubeHub brings, asked by us and by pystac-client: both must find the same."""

import asyncio
import copy
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pystac_client
import pytest
from cubehub_catalogue import aoi
from cubehub_catalogue.federation import Asked, Federation
from cubehub_catalogue.http import Client
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.running import Runner
from cubehub_catalogue.settings import Catalogue
from cubehub_catalogue.sources.stac import StacSource
from cubehub_catalogue.times import interval_text, parse_time
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from uv import find_uv_bin

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgis")]

ROOT = Path(__file__).parents[3]
DATA = Path(__file__).parent / "data" / "items"
EXAMPLES = 300
_VARIANTS = 5


def variants():
    """The real items, each again and again on other days and with other clouds."""
    for number, path in enumerate(sorted(DATA.glob("*.json"))):
        item = json.loads(path.read_text())
        yield item
        for turn in range(1, _VARIANTS + 1):
            other = copy.deepcopy(item)
            other["id"] = f"{item['id']}.{turn}"
            year = 2015 + (number + turn) % 10
            for name in ("datetime", "start_datetime", "end_datetime"):
                if other["properties"].get(name):
                    other["properties"][name] = f"{year}{other['properties'][name][4:]}".replace(
                        "-02-29", "-02-28"
                    )
            if "eo:cloud_cover" in other["properties"]:
                other["properties"]["eo:cloud_cover"] = (number * 37 + turn * 11) % 101
            yield other


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return answer.status == 200
    except OSError:  # of any kind: it is starting
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The service as images/catalogue makes it, with the items in it."""
    folder = tmp_path_factory.mktemp("stac")
    (folder / "items").mkdir()
    items = list(variants())
    for number, item in enumerate(items):
        (folder / "items" / f"{number}.json").write_text(json.dumps(item))
    port = free_port()
    root = f"http://127.0.0.1:{port}/services/catalogue/"
    config = {
        "address": "127.0.0.1", "port": port, "prefix": "/services/catalogue", "state_dir": str(folder / "state"),
        "public_url": f"http://127.0.0.1:{port}", "items": [str(folder / "items")],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [find_uv_bin(), "run", "--project", str(ROOT / "images" / "catalogue"), "--frozen",
         "cubehub-stac", "--config", str(folder / "config.json")],
        env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300  # the first start may fetch the room's packages
        while not answers(f"{root}health"):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield SimpleNamespace(root=root, items=items, log=folder / "log")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@pytest.fixture(scope="module")
def ours(server):
    """Our search of it: ids in order, page after page."""
    runner = Runner()
    catalogue = Catalogue(id="real", title="Real", url=server.root, private=True, timeout=30)
    client = Client(catalogue)
    source = StacSource(catalogue, client)

    async def ids(query):
        federation = Federation([Asked("real", "Real", source, 30)], query)
        pages = 0
        while federation.more:
            pages += 1
            async for happened in federation.page():
                assert happened["event"] != "failed", happened
        entries = [entry for row in federation.folding.rows.values() for entry in row.entries]
        # in the order in which the catalogue gave them, which the rows of folded scenes are not in
        return [entry.shown["id"] for entry in sorted(entries, key=lambda entry: int(entry.key[1:]))], pages

    async def close():
        await client.close()

    with ThreadPoolExecutor(1) as aside:
        yield SimpleNamespace(
            ids=lambda query: runner.run(ids(query)),
            begin=lambda query: aside.submit(lambda: runner.run(ids(query))),
            source=source,
            run=runner.run,
        )
    runner.run(close())
    runner.stop()


@pytest.fixture(scope="module")
def theirs(server):
    return pystac_client.Client.open(server.root)


def p(name):
    return {"property": name}


CLOUD = st.builds(
    lambda op, value: {"op": op, "args": [p("eo:cloud_cover"), value]},
    st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]),
    st.integers(0, 100),
)
BETWEEN = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(
    lambda ends: {"op": "between", "args": [p("eo:cloud_cover"), ends[0], ends[0] + ends[1]]}
)
PLATFORM = st.sampled_from(["sentinel-2a", "Sentinel-2B", "landsat-9", "SENTINEL-1A", "nothing"]).map(
    lambda name: {"op": "=", "args": [p("platform"), name]}
)
LIKE = st.sampled_from(["sentinel-2%", "%-1%", "Sent_nel%", "%"]).map(
    lambda pattern: {"op": "like", "args": [p("platform"), pattern]}
)
ONE_OF = st.lists(st.sampled_from(["sentinel-2a", "sentinel-2b", "landsat-5"]), min_size=1, max_size=3).map(
    lambda names: {"op": "in", "args": [p("platform"), names]}
)
MISSING = st.sampled_from(["eo:cloud_cover", "sat:relative_orbit"]).map(
    lambda n: {"op": "isNull", "args": [p(n)]}
)
WHEN = st.dates(parse_time("2015").date(), parse_time("2025").date()).map(
    lambda day: {"op": ">=", "args": [p("datetime"), {"timestamp": f"{day}T00:00:00Z"}]}
)
FILTERS = st.recursive(
    CLOUD | BETWEEN | PLATFORM | LIKE | ONE_OF | MISSING | WHEN,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda args: {"op": "and", "args": args}),
        st.lists(inner, min_size=2, max_size=3).map(lambda args: {"op": "or", "args": args}),
        inner.map(lambda one: {"op": "not", "args": [one]}),
    ),
    max_leaves=4,
)


@st.composite
def boxes(draw):
    """Boxes anywhere, every other one over the antimeridian, some at a pole and some as wide as the world."""
    west, east = draw(st.integers(-180, 180)), draw(st.integers(-180, 180))
    if draw(st.booleans()):
        west, east = draw(st.integers(120, 179)), draw(st.integers(-179, -120))
    elif draw(st.booleans()):  # where many of the items are
        west, east = draw(st.integers(-110, 7)), draw(st.integers(9, 160))
    if west == east:
        west, east = -180, 180
    south = draw(st.integers(-90, 60))
    return [west, south, east, draw(st.integers(max(south + 1, 45 if south > -30 else -80), 90))]


MOMENTS = st.datetimes(parse_time("2014").replace(tzinfo=None), parse_time("2026").replace(tzinfo=None)).map(
    lambda moment: parse_time(moment.replace(microsecond=0).isoformat())
)


def in_order(ends):
    return list(ends) if None in ends else sorted(ends)


COLLECTIONS = [
    "sentinel-2-l2a",
    "sentinel-s2-l2a",
    "landsat-c2-l2",
    "sentinel-1-grd",
    "sentinel-1-rtc",
    "io-lulc",
]
SORTS = [
    ("properties.datetime", True),
    ("properties.datetime", False),
    ("properties.eo:cloud_cover", False),
    ("id", True),
]


# pystac-client does not know version 1.1 of the sort extension yet, warns, and sends it all the same
@pytest.mark.filterwarnings("ignore::pystac_client.warnings.DoesNotConformTo")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not os.environ.get("CUBEHUB_TEST_RANDOM"),  # a landing must not depend on luck
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    box=st.none() | boxes(),
    ends=st.just([None, None]) | st.tuples(st.none() | MOMENTS, st.none() | MOMENTS).map(in_order),
    collections=st.just([]) | st.lists(st.sampled_from(COLLECTIONS), max_size=3, unique=True),
    condition=st.none() | FILTERS,
    sort=st.sampled_from(SORTS),
    limit=st.integers(20, 100),
)
def test_the_same_query_through_pystac_client_gives_the_same(
    ours, theirs, box, ends, collections, condition, sort, limit
):
    query = Query(
        collections={"real": tuple(collections)} if collections else {},
        aoi=None if box is None else aoi.box_aoi(box),
        start=ends[0],
        end=ends[1],
        filter=condition,
        sort=(Sort(*sort),),
        limit=limit,
    )
    ours_comes = ours.begin(query)  # while pystac-client asks
    asked = theirs.search(
        method="POST",
        bbox=box,
        datetime=interval_text(*ends),
        collections=collections or None,
        filter=condition,
        filter_lang="cql2-json" if condition else None,
        sortby=[{"field": sort[0], "direction": "desc" if sort[1] else "asc"}],
        limit=200,
        fields={"include": ["id", "collection"]},
    )
    expected = [item["id"] for item in asked.items_as_dicts()]
    found, pages = ours_comes.result()
    event("nothing found" if not expected else "over 180" if box and box[0] > box[2] else "found")
    event("several pages" if pages > 1 else "one page")
    if (
        sort[0] == "properties.eo:cloud_cover"
    ):  # where many have the same, the database may give them in any order
        found, expected = sorted(found), sorted(expected)
    assert found == expected


def test_everything_is_found_and_collections_and_queryables_are_read(server, ours):
    found, pages = ours.ids(Query(limit=40))
    assert sorted(found) == sorted(item["id"] for item in server.items)
    assert pages == -(-len(server.items) // 40)
    collections = ours.run(ours.source.collections())
    assert {one["id"] for one in collections} == {item["collection"] for item in server.items}
    schema = ours.run(ours.source.queryables(["sentinel-2-l2a"]))
    assert schema["properties"]["eo:cloud_cover"]["type"] == "number"
    can = ours.run(ours.source.capabilities())
    assert (can.filter, can.sort, can.post, can.text) == (True, True, True, False)


def test_text_is_looked_for_here_since_the_server_passes_over_it(ours):
    found, _ = ours.ids(Query(text="landsat L2SP", limit=100))
    assert found
    assert all("L2SP" in one for one in found)


def test_a_search_given_up_leaves_the_connection_usable(ours):
    async def give_up():
        task = asyncio.create_task(ours.source.search(Query(limit=500)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    ours.run(give_up())
    assert ours.ids(Query(limit=10, ids=("nothing",))) == ([], 1)
