"""What people register: what is taken, how it is kept, how much of it."""

import asyncio
import io
import json
import zipfile
from pathlib import Path

import pystac
import pytest
from cubehub_stac import own_items
from cubehub_stac.config import Config
from cubehub_stac.own import OwnError, Registry
from cubehub_stac.own_checks import parse, prepared
from cubehub_stac.own_export import write_zip
from cubehub_stac.reading import Source
from cubehub_stac.repair import MARKER, RefusedError
from cubehub_stac.sources import read_contents
from cubehub_stac.visibility import Person
from support import ITEMS

ANA = Person("ana", "id-ana", frozenset({"/water"}))
BEN = Person("ben", "id-ben", frozenset({"/water"}))
OPERATOR = Person("cli", "", operator=True)
ITEM = json.loads((ITEMS / "60W-2020.json").read_text())


class Shown:
    def __init__(self):
        self.items = {}
        self.refuses = None

    async def put(self, collection, item):
        if self.refuses:
            raise self.refuses
        assert collection["id"] == item["collection"]
        self.items[item["collection"], item["id"]] = item

    async def remove(self, collection, item_id, left):
        del self.items[collection, item_id]
        assert (left is None) == (not any(key[0] == collection for key in self.items))


@pytest.fixture
def config(tmp_path):
    return Config("127.0.0.1", 1, "/c", "http://x.example", tmp_path, (), own_items=3)


def with_(**changed):
    return {**ITEM, **changed}


def properties(**changed):
    return with_(properties={**ITEM["properties"], **changed})


@pytest.mark.parametrize("path", sorted(ITEMS.glob("*.json")), ids=lambda path: path.stem)
def test_real_items_are_taken_as_they_are_from_files(path):
    item = json.loads(path.read_text())
    done = prepared(parse(path.read_bytes()), "own.x")
    known = read_contents([path]).items[item["collection"], item["id"]]
    # of a file, assets with relative links lead to folders that are given out, and there are none here
    done["assets"] = {name: asset for name, asset in done["assets"].items() if name in known["assets"]}
    assert done == json.loads(json.dumps({**known, "collection": "own.x"}))


HOSTILE = [
    1, None, [], {}, {"type": "Collection", "id": "x"}, with_(id=None), with_(id=""), with_(id=".."), with_(id="a/b"),
    with_(id="a\\b"), with_(id="a?b"), with_(id="a\nb"), with_(id=" a"), with_(id="x" * 201), with_(id=["a"]),
    with_(properties=None), with_(properties=[]), properties(datetime=None, start_datetime=None, end_datetime=None), properties(datetime="never"), properties(datetime=5),
    properties(datetime="2020-01-01"), properties(datetime="0001-01-01T00:00:00+14:00"), with_(assets=[]), with_(assets={"a": 1}),
    properties(start_datetime="2021-01-01T00:00:00Z", end_datetime="2020-01-01T00:00:00Z"),
    properties(end_datetime=None, start_datetime="2021-01-01T00:00:00Z"),
    with_(assets={"a": {"href": 3}}), with_(links={}), with_(links=[1]), with_(links=[{"rel": "x"}]), with_(stac_extensions=[{}]),
    with_(stac_version="0.9.0"), with_(stac_version=[]), with_(geometry=None), with_(geometry={"type": "Point"}),
    with_(geometry={"type": "Point", "coordinates": [500, 500]}), with_(geometry={"type": "Polygon", "coordinates": []}),
    with_(geometry={"type": "Point", "coordinates": "a"}), with_(geometry={"type": "Circle", "coordinates": [1, 2]}),
]  # fmt: skip


@pytest.mark.parametrize("item", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_item_is_refused_with_the_reason(item):
    with pytest.raises(RefusedError, match=r"^(it|one of) ?"):
        prepared(item, "own.x")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e400}', b'{"a": ' + b"9" * 400 + b"}", b'["\\u0000"]',
        b'{"a": ' + b"9" * 5000 + b"}", b'["\\ud800"]', b'{"\\ud800": 1}', b"[" * 100_000, b"[" * 45 + b"]" * 45,
    ],
    ids=range(13),
)  # fmt: skip
def test_what_no_database_keeps_is_refused(body):
    with pytest.raises(RefusedError):
        parse(body)


def test_markers_that_leaked_are_taken_out():
    done = prepared(properties(leaked=MARKER), "own.x")
    assert "leaked" not in done["properties"]


def test_items_are_kept_replaced_and_taken_away(config):
    shown = Shown()

    async def story():
        registry = Registry(config, shown)
        first = await registry.register(ANA, ITEM, None)
        again = await registry.register(ANA, properties(title="new"), None)
        assert (first.anew, again.anew, again.entry.title) == (True, False, "new")
        grouped = await registry.register(ANA, ITEM, "/water")
        assert {first.entry.collection, grouped.entry.collection} == {"own.id-ana", "group._2fwater"}
        assert registry.used(ANA)[0] == 2
        for person, key in (
            (BEN, first.entry.key),
            (BEN, grouped.entry.key),
            (OPERATOR, ("own.id-ana", "no")),
        ):
            with pytest.raises(OwnError) as caught:
                await registry.unregister(person, *key)
            assert caught.value.status == 404
        with pytest.raises(OwnError) as caught:
            await registry.register(BEN, ITEM, "/water")
        assert caught.value.code == "taken"
        with pytest.raises(OwnError) as caught:
            await registry.register(BEN, ITEM, "/other")
        assert caught.value.code == "not_a_member"
        with pytest.raises(OwnError) as caught:
            await registry.register(OPERATOR, ITEM, None)
        assert caught.value.code == "no_account"
        return registry

    asyncio.run(story())
    assert set(Source.of(config).read().items) == set(shown.items)

    async def after_a_restart():
        registry = Registry(config, shown)
        assert [e.title for e in registry.of(ANA)] == ["60W-2020", "new"]
        assert registry.of(BEN) == []
        assert len(registry.of(OPERATOR)) == 2
        await registry.unregister(ANA, "own.id-ana", "60W-2020")
        await registry.unregister(OPERATOR, "group._2fwater", "60W-2020")
        assert registry.of(ANA) == []

    asyncio.run(after_a_restart())
    assert shown.items == {}
    assert not list(config.own_dir.glob("*/*"))


def test_one_person_may_have_so_many(config):
    async def story():
        registry = Registry(config, Shown())
        for name in ("a", "b", "c", "c"):
            await registry.register(ANA, with_(id=name), None)
        with pytest.raises(OwnError, match="3 items") as caught:
            await registry.register(ANA, with_(id="d"), None)
        assert caught.value.status == 413
        await registry.register(BEN, with_(id="d"), None)

    asyncio.run(story())


@pytest.mark.parametrize("before", [False, True])
def test_what_can_not_be_shown_is_not_kept(config, before):
    shown = Shown()

    async def story():
        registry = Registry(config, shown)
        if before:
            await registry.register(ANA, ITEM, None)
        shown.refuses = OwnError(503, "Unavailable", "away", "")
        with pytest.raises(OwnError, match="away"):
            await registry.register(ANA, properties(title="new"), None)
        assert len(registry.of(ANA)) == before

    asyncio.run(story())
    assert [r.item for r in own_items.records(config.own_dir)] == list(shown.items.values())


def test_files_that_are_not_what_they_say_are_left_out(config, caplog):
    asyncio.run(Registry(config, Shown()).register(ANA, ITEM, None))
    (kept,) = config.own_dir.glob("*/*.json")
    kept.with_name("other.json").write_bytes(kept.read_bytes())
    kept.with_name("half.json").write_bytes(kept.read_bytes()[:100])
    kept.with_name("deep.json").write_bytes(b"[" * 100_000)
    kept.with_name("empty.json").write_bytes(b"[]")
    assert len(list(own_items.records(config.own_dir))) == 1
    assert caplog.text.count("left out") == 4


def test_a_reserved_collection_in_an_operators_file_is_refused(tmp_path, caplog):
    for name in ("own.id-ana", "group.x", "account"):
        (tmp_path / f"{name}.json").write_text(json.dumps({**ITEM, "collection": name}))
        (tmp_path / f"{name}c.json").write_text(json.dumps({"type": "Collection", "id": name}))
    contents = read_contents([tmp_path])
    assert not contents.items
    assert not contents.collections
    assert caplog.text.count("give it another name") == 6


def test_an_export_needs_no_server(config, tmp_path):
    async def story():
        registry = Registry(config, Shown())
        odd = {
            **ITEM,
            "id": "漢 " + "x" * 120,
            "assets": {"a": {"href": "/services/cubes/x"}, "b": {"href": "https://y/z"}},
        }
        await registry.register(ANA, ITEM, None)
        await registry.register(ANA, odd, "/water")
        return registry

    registry = asyncio.run(story())
    file = io.BytesIO()
    write_zip(file, "ana", registry, ["account", "own.id-ana", "group._2fwater"], "http://x.example")
    with zipfile.ZipFile(file) as archive:
        assert all(
            Path(name).parts[0] not in {"..", "/"} and len(Path(name).name) < 200
            for name in archive.namelist()
        )
        archive.extractall(tmp_path / "out")
    catalogue = pystac.Catalog.from_file(tmp_path / "out" / "catalog.json")
    assert catalogue.catalog_type == pystac.CatalogType.SELF_CONTAINED
    found = {item.id: item for item in catalogue.get_items(recursive=True)}
    assert set(found) == {"60W-2020", "漢 " + "x" * 120}
    odd = found["漢 " + "x" * 120]
    assert {name: asset.href for name, asset in odd.assets.items()} == {
        "a": "http://x.example/services/cubes/x",
        "b": "https://y/z",
    }
    assert odd.get_collection().id == "group._2fwater"
    assert odd.get_root().id == "cubehub-own"
