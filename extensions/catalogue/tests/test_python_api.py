"""The search from Python and as a magic, in a kernel with a loop that runs."""

import asyncio
import contextlib
import difflib
import json
import subprocess
import sys
import threading
from types import SimpleNamespace

import cubehub_catalogue
import pystac
import pytest
from aiohttp import web
from cubehub_catalogue import cql2, searching
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.no_answer import other_letters, unknown_properties
from cubehub_catalogue.running import Runner
from cubehub_tests.catalogue_search import StacStandIn
from IPython.core.interactiveshell import InteractiveShell
from shapely.geometry import box
from traitlets.config import Config


@pytest.fixture
def stands(tmp_path, monkeypatch):
    """Two catalogues that this process's settings name."""
    servers = {"one": StacStandIn(), "two": StacStandIn()}
    for name, server in servers.items():
        server.items = [
            server.made(f"{name}{n}", f"2024-05-{n + 1:02}T00:00:00Z", **{"eo:cloud_cover": n * 10})
            for n in range(9)
        ]
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve():
        async with contextlib.AsyncExitStack() as stack:
            for server in servers.values():
                await stack.enter_async_context(server.serving())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    listed = [{"id": n, "title": f"<{n}>", "url": s.url, "private": True} for n, s in servers.items()]
    (tmp_path / "catalogues.yaml").write_text(json.dumps({"catalogues": listed}))
    monkeypatch.setenv("CUBEHUB_CATALOGUES", str(tmp_path / "catalogues.yaml"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    yield SimpleNamespace(**servers)
    searching.close()
    loop.call_soon_threadsafe(over.set)
    thread.join(30)
    loop.close()


def test_all_catalogues_are_searched_and_the_rest_comes_when_asked_for(stands):
    found = cubehub_catalogue.search(datetime="2024-05", most=4)
    assert [one["id"] for one in found][:2] in (["one8", "two8"], ["two8", "one8"])
    assert found.more
    while found.more:
        assert found.next() is found
    assert len(found) == len(found.dicts()) == 18
    assert found[0]["id"] == found.rows[0]["id"]
    assert [item["id"] for item in found[:2]] == [row["id"] for row in found.rows[:2]]
    assert found.copies(0)[0][1] == found[0]
    assert stands.one.asked[0]["body"]["datetime"] == "2024-05-01T00:00:00Z/2024-05-31T23:59:59.999999Z"


def test_what_is_asked_may_be_written_in_many_ways(stands):
    text = "eo:cloud_cover < 20"
    expected = ["one1", "one0"]
    for asked in (
        {"catalogues": "one", "filter": text},
        {"catalogues": ["one"], "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}},
        {"catalogues": "one", "filter": text, "bbox": [0, 0, 1, 1]},
        {"catalogues": "one", "filter": text, "aoi": box(0, 0, 1, 1), "collections": "c"},
        {"catalogues": "one", "filter": text, "aoi": "0 0 1 1", "collections": {"one": ["c"]}},
        {"catalogues": "one", "filter": text, "aoi": [0, 0, 1, 1], "sort": "-properties.datetime"},
        {"catalogues": "one", "ids": ["one0", "one1"]},
    ):
        assert [item["id"] for item in cubehub_catalogue.search(**asked)] == expected
    assert cubehub_catalogue.search("one", sort="properties.eo:cloud_cover")[0]["id"] == "one0"
    assert len(cubehub_catalogue.search("one", bbox=[170, -10, -170, 10])) == 0
    assert stands.two.asked == []


def test_it_works_where_a_loop_runs_already(stands):
    async def cell():
        return cubehub_catalogue.search("one")

    assert len(asyncio.run(cell())) == 9
    assert stands.one.asked


def test_items_are_those_of_pystac(stands):
    items = cubehub_catalogue.search("one", most=3).items()
    assert isinstance(items, pystac.ItemCollection)
    assert {item.id for item in items} <= {item["id"] for item in stands.one.items}


@pytest.mark.parametrize(("package", "method"), [("pystac", "items"), ("geopandas", "to_geodataframe")])
def test_a_package_that_is_missing_is_named(stands, monkeypatch, package, method):
    del stands
    found = cubehub_catalogue.search("one", most=1)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CatalogueError, match=f"pip install {package}") as caught:
        getattr(found, method)()
    assert caught.value.code == "not_installed"


def test_where_no_catalogue_is_set_up_it_is_said_where_to_name_some(tmp_path, monkeypatch):
    for name in ("CUBEHUB_CATALOGUES", "CUBEHUB_CATALOGUES_YAML"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    try:
        for asked in ({}, {"collections": "c"}):
            with pytest.raises(InputError, match="CUBEHUB_CATALOGUES"):
                cubehub_catalogue.search(**asked)
        listed = cubehub_catalogue.catalogues()
        assert "CUBEHUB_CATALOGUES" in repr(listed)
        assert "Add a catalogue" in listed._repr_html_()
    finally:
        searching.close()


def test_an_unknown_catalogue_is_told_beside_those_that_there_are(stands):
    del stands
    with pytest.raises(CatalogueError, match=r"no catalogue 'nope'.*: one, two\.") as caught:
        cubehub_catalogue.search("nope")
    assert caught.value.hint in str(caught.value)


def test_a_filter_that_finds_nothing_says_what_may_be_wrong_with_it(stands):
    stands.one.queryables["c"] = {
        "properties": {"eo:cloud_cover": {"type": "number"}, "platform": {"enum": ["sentinel-2b"]}}
    }
    asked = {"collections": "c", "filter": "eo:cloud_kover < 20 AND platform = 'Sentinel-2B'"}
    found = cubehub_catalogue.search("one", **asked)
    assert len(found) == 0
    property_, letters = found.warnings["one"]
    assert "eo:cloud_kover is not among" in property_
    assert "eo:cloud_cover is" in property_
    assert "platform has 'sentinel-2b'" in letters
    assert property_ in repr(found)
    assert cubehub_catalogue.search("one", collections="c", filter="eo:cloud_cover < 20").warnings == {}
    # where the catalogue does not say what it has, nothing is known
    assert cubehub_catalogue.search("two", collections="c", filter="eo:cloud_kover < 20").warnings == {}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("platform = 'Sentinel-2B'", 1),
        ("platform IN ('Sentinel-2B', 'sentinel-2a')", 1),
        ("platform LIKE 'Sentinel%' OR NOT 'X' = instrument", 2),
        ("casei(platform) = casei('Sentinel-2B')", 0),
        ("platform = 'sentinel-2b' AND eo:cloud_cover < 5", 0),
    ],
)
def test_texts_that_are_compared_letter_by_letter_are_named(asked, words):
    assert len(other_letters(cql2.from_text(asked), {})) == words


def test_a_script_ends_without_a_word(stands):
    """Its connections are closed at its end, else aiohttp complains of each."""
    del stands
    script = "import cubehub_catalogue; print(len(cubehub_catalogue.search('one')))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "9\n"
    assert ended.stderr == ""


def test_what_was_found_is_shown_as_a_table_that_no_item_can_break_out_of(stands):
    stands.one.items = [stands.one.made("<script>alert(1)</script>", "2024-05-01T00:00:00Z", platform="<b>")]
    found = cubehub_catalogue.search("one")
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown
    assert "1 scenes" in repr(found)
    listed = cubehub_catalogue.catalogues()
    assert "&lt;one&gt;" in listed._repr_html_()
    assert repr(listed).splitlines()[0] == "one: <one> (stac)"
    assert len(listed) == 2


def test_a_catalogue_that_fails_is_named_beside_what_the_others_have(stands):
    async def broken(_number):
        return web.json_response({"description": "out of order"}, status=500)

    stands.two.before_search = broken
    found = cubehub_catalogue.search()
    assert len(found) == 9
    assert found.errors["two"].upstream_status == 500
    assert "two" in found._repr_html_()
    assert "500" in repr(found)
    stands.two.before_search = None
    assert len(found.next()) == 18
    assert found.errors == {}
    stands.two.before_search = stands.one.before_search = broken
    with pytest.raises(CatalogueError, match="500"):
        cubehub_catalogue.search()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"filter": "eo:cloud_cover <"}, "can't be read"),
        ({"bbox": [0, 0, 1]}, "four numbers"),
        ({"bbox": [0, 0, 1, 1], "aoi": "0 0 1 1"}, "both given"),
        ({"datetime": "soon"}, "no time"),
        ({"catalogues": "three"}, "no catalogue 'three'"),
        ({"catalogues": []}, "No catalogue"),
        ({"most": 0}, "at least 1"),
    ],
)
@pytest.mark.usefixtures("stands")
def test_what_cannot_be_asked_is_told(asked, says):
    with pytest.raises(CatalogueError) as caught:
        cubehub_catalogue.search(**asked)
    assert says in caught.value.message


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    found = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    found.run_line_magic("load_ext", "cubehub_catalogue")
    return found


def test_the_magic_searches_as_a_line_and_as_a_cell(stands, shell, capsys):
    assert len(shell.run_line_magic("catalogue", "")) == 2
    found = shell.run_line_magic(
        "catalogue", "one --time 2024-05 --bbox -1 -1 1 1 -n 3 --into mine --sort=-id"
    )
    assert found is shell.user_ns["mine"]
    assert found[0]["id"] == "one8"
    found = shell.run_cell_magic("catalogue", "all -c c", "eo:cloud_cover < 10\n")
    assert sorted(item["id"] for item in found) == ["one0", "two0"]
    shell.user_ns["lake"] = box(50, 50, 51, 51)
    assert len(shell.run_line_magic("catalogue", "one --aoi lake")) == 0
    for wrong in ("nowhere", "one --aoi sea", "one --time 'soon'"):
        assert shell.run_line_magic("catalogue", wrong) is None
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert "\nhint: " in said
    assert stands.one.asked[0]["body"]["limit"] == 3


def test_an_interrupted_wait_gives_the_work_up(monkeypatch):
    runner, began, given_up = Runner(), threading.Event(), threading.Event()
    submit = asyncio.run_coroutine_threadsafe

    async def endless():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    def interrupted(work, loop):
        future = submit(work, loop)
        assert began.wait(20)  # what never began has nothing to give up

        def result(_timeout=None):
            raise KeyboardInterrupt

        return SimpleNamespace(result=result, cancel=future.cancel)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run(endless())
        assert given_up.wait(20)
    finally:
        runner.stop()
        runner.stop()


def test_the_package_has_no_other_names():
    with pytest.raises(AttributeError):
        cubehub_catalogue.nothing  # noqa: B018
    assert issubclass(InputError, CatalogueError)


def test_a_catalogue_that_lists_thousands_of_alike_names_costs_little(monkeypatch):
    compared = []
    monkeypatch.setattr(
        difflib, "get_close_matches", lambda name, names, **_: compared.append((len(name), len(names))) or []
    )
    listed = {"properties": {f"{'ab' * 30}{number}": {} for number in range(10_000)} | {"x" * 5000: {}}}
    asked = [{"op": "=", "args": [{"property": f"{'ba' * 300}{number}"}, 1]} for number in range(50)]
    told = unknown_properties({"op": "and", "args": asked}, listed)
    assert len(told) == 5
    assert compared == [(80, 500)] * 5
