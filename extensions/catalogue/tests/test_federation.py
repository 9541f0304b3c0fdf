"""Many catalogues at once: what each does to the others, in which order rows come, and when it is given up."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest
from aiohttp import web
from cubehub_catalogue import federation as federation_module
from cubehub_catalogue.context import Context
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.federation import Asked, Federation
from cubehub_catalogue.http import Client
from cubehub_catalogue.query import Page, Query, Sort
from cubehub_catalogue.settings import Catalogue, Settings
from cubehub_catalogue.sources.stac import StacSource
from cubehub_tests.catalogue_search import StacStandIn, run
from hypothesis import given, settings
from hypothesis import strategies as st


class Listed:
    """A source of numbered items, which are given page by page as they are."""

    def __init__(self, values, size, *, descending=True, breaks_at=None):
        self.values, self.size, self.breaks_at = sorted(values, reverse=descending), size, breaks_at
        self.asked = 0

    async def search(self, _query, following=None):
        start = following or 0
        self.asked += 1
        await asyncio.sleep(0)
        if self.asked == self.breaks_at:
            raise ZeroDivisionError
        page = self.values[start : start + self.size]
        after = start + len(page)
        return Page(tuple(map(numbered, page)), after if after < len(self.values) else None)


def numbered(value):
    number, name = value
    properties = {"datetime": "2024-05-01T00:00:00Z", "eo:cloud_cover": number}
    return {
        "id": name,
        "collection": "c",
        "geometry": None,
        "assets": {},
        "links": [],
        "properties": properties,
    }


def asked(id_, source, timeout=5):
    return Asked(id_, id_.upper(), source, timeout)


async def events_of(federation, **more):
    return [event async for event in federation.page(**more)]


def rows_of(events):
    """Rows as the browser keeps them: by key, sorted by their order."""
    found = {}
    for event in events:
        for row in event.get("rows", ()):
            found[row["key"]] = row
    return sorted(found.values(), key=lambda row: row["order"])


def named(events, kind):
    return [event["catalogue"] for event in events if event["event"] == kind]


def test_a_catalogue_that_hangs_one_that_breaks_and_one_of_rubbish_cost_the_others_nothing():
    servers = {name: StacStandIn() for name in ("hangs", "breaks", "rubbish", "good", "fine")}
    for name, server in servers.items():
        server.items = [server.made(f"{name}{n}", f"2024-05-{n + 1:02}T00:00:00Z") for n in range(10)]
    let_go = asyncio.Event()

    async def hang(_number):
        await let_go.wait()

    async def break_half_way(number):
        return web.json_response({"code": "Broken"}, status=500) if number > 1 else None

    async def rubbish(_number):
        return web.Response(text="<html>maintenance</html>", content_type="text/html")

    servers["hangs"].before_search = hang
    servers["breaks"].before_search = break_half_way
    servers["rubbish"].before_search = rubbish

    async def go():
        async with AsyncExitStack() as stack:
            parts = []
            for name, server in servers.items():
                url = await stack.enter_async_context(server.serving())
                catalogue = Catalogue(id=name, title=name, url=url, private=True, timeout=25)
                client = Client(catalogue)
                stack.push_async_callback(client.close)
                # the one that hangs is given up early, the others have all the time there is
                parts.append(Asked(name, name, StacSource(catalogue, client), 0.5 if name == "hangs" else 25))
            federation = Federation(parts, Query(limit=4))
            events = await events_of(federation)
            while federation.more:
                events += await events_of(federation)
            let_go.set()
            parts[0].timeout = 25
            again = await events_of(federation, retry=["hangs"])
            return events, again

    events, again = run(go())
    failed = {event["catalogue"]: event["error"] for event in events if event["event"] == "failed"}
    assert set(failed) == {"hangs", "breaks", "rubbish"}
    assert failed["hangs"]["code"] == "timeout"
    assert failed["breaks"]["upstream_status"] == 500
    assert all(error["message"].startswith(name) and error["hint"] for name, error in failed.items())
    ids = [row["id"] for row in rows_of(events)]
    assert {i for i in ids if i.startswith(("good", "fine"))} == {
        f"{n}{i}" for n in ("good", "fine") for i in range(10)
    }
    assert {i for i in ids if i.startswith("breaks")} == {f"breaks{i}" for i in range(6, 10)}
    times = [row["start"] for row in rows_of(events)]
    assert times == sorted(times, reverse=True)
    assert named(again, "asking") == ["hangs"]
    assert [row["id"] for row in rows_of(again)] == [f"hangs{n}" for n in (9, 8, 7, 6)]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 30), max_size=25), min_size=1, max_size=4),
    st.integers(1, 7),
    st.booleans(),
)
def test_pages_merge_into_one_order_and_the_final_rows_do_not_change(numbers, size, descending):
    catalogues = {
        f"c{n}": [(value, f"c{n}-{i}") for i, value in enumerate(values)] for n, values in enumerate(numbers)
    }
    parts = [asked(name, Listed(values, size, descending=descending)) for name, values in catalogues.items()]
    federation = Federation(
        parts, Query(sort=(Sort("properties.eo:cloud_cover", descending=descending),), limit=size)
    )

    async def go():
        events, sure = [], []
        for _ in range(200):
            page = await events_of(federation)
            events += page
            rows = [row["id"] for row in rows_of(events)]
            assert rows[: len(sure)] == sure
            assert page[-1]["event"] == "end"
            assert page[-1]["final"] >= len(sure)
            sure = rows[: page[-1]["final"]]
            if not page[-1]["more"]:
                assert sure == rows
                return events
        pytest.fail("it never ended")

    events = run(go())
    rows = rows_of(events)
    assert sorted(row["id"] for row in rows) == sorted(
        name for values in catalogues.values() for _, name in values
    )
    clouds = [row["cloud_cover"] for row in rows]
    assert clouds == sorted(clouds, reverse=descending)


def test_only_those_whose_rows_come_next_are_asked_for_more():
    near = Listed([(100 - n, f"n{n}") for n in range(20)], 5)
    far = Listed([(50 - n, f"f{n}") for n in range(20)], 5)
    federation = Federation(
        [asked("near", near), asked("far", far)], Query(sort=(Sort("properties.eo:cloud_cover"),), limit=5)
    )

    async def go():
        for _ in range(4):
            await events_of(federation)

    run(go())
    assert (near.asked, far.asked) == (4, 1)


def test_what_a_source_does_wrong_is_told_without_the_how():
    federation = Federation(
        [asked("bad", Listed([(1, "x")], 1, breaks_at=1)), asked("good", Listed([(1, "y")], 1))], Query()
    )
    events = run(events_of(federation))
    (failed,) = [event for event in events if event["event"] == "failed"]
    assert failed["error"]["code"] == "bad_answer"
    assert "ZeroDivision" not in str(failed)
    assert [row["id"] for row in rows_of(events)] == ["y"]


def test_who_leaves_gives_up_all_that_is_being_asked():
    given_up = []

    class Slow:
        async def search(self, _query, following=None):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(following)
                raise

    federation = Federation([asked("slow", Slow()), asked("fast", Listed([(1, "x")], 1))], Query())

    async def go():
        async with aclosing(federation.page()) as events:
            async for event in events:
                if event["event"] == "rows":
                    with pytest.raises(InputError, match="still being answered"):
                        await events_of(federation)
                    break
        assert given_up == [None]
        return federation.more

    assert run(go()) is True  # the slow one was not asked to its end, so it is asked again


def test_a_catalogue_that_cannot_sort_promises_nothing_for_the_order():
    class Unsorted(Listed):
        async def search(self, query, following=None):
            page = await super().search(query, following)
            return Page(page.items, page.next, None, ("sort",))

    federation = Federation(
        [asked("a", Unsorted([(n, f"u{n}") for n in range(9)], 3)), asked("b", Listed([(n, f"l{n}") for n in range(9)], 3))],
        Query(sort=(Sort("properties.eo:cloud_cover"),), limit=3),
    )  # fmt: skip
    events = run(events_of(federation))
    assert events[-1] == {"event": "end", "more": True, "final": 0}
    assert [e["ignored"] for e in events if e["event"] == "answered" and e["catalogue"] == "a"] == [["sort"]]


def test_each_is_asked_for_its_own_collections():
    asked_for = {}

    class Noted:
        def __init__(self, name):
            self.name = name

        async def search(self, query, _following=None):
            asked_for[self.name] = dict(query.collections)
            return Page(())

    parts = [Asked(n, n, Noted(n), 5, collections=("usual",)) for n in ("a", "b")]
    run(
        events_of(Federation([*parts, Asked("d", "d", Noted("d"), 5)], Query(collections={"a": ("chosen",)})))
    )
    assert asked_for == {"a": {"a": ("chosen",)}, "b": {"b": ("usual",)}, "d": {}}
    with pytest.raises(InputError):
        Federation([], Query())


def test_a_catalogue_that_cannot_even_be_asked_is_named_and_the_others_are_asked(tmp_path):
    listed = [Catalogue(id=n, title=n, url=f"https://{n}.example.org/") for n in ("keyless", "good")]

    def make_source(catalogue, _client):
        if catalogue.id == "keyless":
            raise CatalogueError("no_key", "The key of keyless is not there.", "Tell your administrator.")
        return Listed([(1, "y")], 1)

    context = Context(
        Settings(catalogues=tuple(listed)),
        tmp_path,
        tmp_path,
        make_client=lambda *_: None,
        make_source=make_source,
    )
    events = run(events_of(context.federation(["keyless", "good"], Query())))
    assert named(events, "failed") == ["keyless"]
    assert [row["id"] for row in rows_of(events)] == ["y"]


def test_a_search_with_very_many_rows_gets_no_more(monkeypatch):
    monkeypatch.setattr(federation_module, "MOST_ROWS", 6)
    federation = Federation([asked("a", Listed([(n, f"x{n}") for n in range(50)], 4))], Query())

    async def go():
        return [await events_of(federation) for _ in range(3)]

    first, second, third = run(go())
    assert first[-1] == {"event": "end", "more": True, "final": 4}
    assert second[-1] == {"event": "end", "more": False, "final": 8, "full": True}
    assert named(third, "asking") == []
