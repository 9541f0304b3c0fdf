"""What an account registered, erased by the platform's keeper: files first, and a service that runs follows."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from cubehub_stac import account, cli, own_files
from cubehub_stac.config import Config
from cubehub_stac.own import OwnError, Registry
from cubehub_stac.visibility import Person
from cubehub_stac.watch import keep_loaded, state_of
from hub_stand_in import SERVICE_TOKEN, running_hub
from support import ITEMS, Service, get, wait_for

ANA = Person("ana", "id-ana", frozenset({"/water"}))
BEN = Person("ben", "id-ben", frozenset({"/water"}))
OPERATOR = Person("cli", "", operator=True)
ITEM = json.loads((ITEMS / "60W-2020.json").read_text())
NOW = 2e9


class Shown:
    async def put(self, collection, item):
        pass

    async def remove(self, collection, item_id, left):
        pass


@pytest.fixture
def config(tmp_path):
    return Config("127.0.0.1", 1, "/c", "http://x.example", tmp_path, ())


@pytest.fixture
def registry(config):
    """Have items of two people: their own, and of a group of both."""
    made = Registry(config, Shown())
    for person, name, group in (
        (ANA, "anas", None), (ANA, "waters", "/water"), (BEN, "bens", None), (BEN, "waters-too", "/water"),
    ):  # fmt: skip
        asyncio.run(made.register(person, {**ITEM, "id": name}, group))
    return made


def texts(folder):
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


def look_again(registry):
    asyncio.run(registry.look_again())


def ids(registry, person):
    return sorted(entry.item_id for entry in registry.of(person))


def test_own_items_go_and_a_groups_stay_without_the_name(config, registry):
    done = account.erase(config.own_dir, "id-ana", NOW)
    assert [(one["id"], one["collection"], one["group"]) for one in done["removed"]] == [
        ("anas", "own.id-ana", None)
    ]
    assert [(one["id"], one["group"]) for one in done["kept"]] == [("waters", "/water")]
    assert done["left"] == []
    assert not any("id-ana" in text or '"ana"' in text for text in texts(config.own_dir))
    assert len(list(config.own_dir.iterdir())) == 2, "the folder of her collection went too"
    # the service that runs, and one that starts
    look_again(registry)
    for seen in (registry, Registry(config, Shown())):
        assert ids(seen, ANA) == []
        assert ids(seen, BEN) == ["bens", "waters-too"]
        assert ids(seen, OPERATOR) == ["bens", "waters", "waters-too"]
        assert seen.used(ANA) == (0, 0)
        (waters,) = (entry for entry in seen.of(OPERATOR) if entry.item_id == "waters")
        assert waters.owner_name == account.NOBODYS_NAME
        assert seen.read(waters).item["id"] == "waters"
    # nobody's item is nobody else's either, and an operator takes it away
    for person in (ANA, BEN):
        with pytest.raises(OwnError):
            asyncio.run(registry.register(person, {**ITEM, "id": "waters"}, "/water"))
        with pytest.raises(OwnError):
            asyncio.run(registry.unregister(person, *waters.key))
    asyncio.run(registry.unregister(OPERATOR, *waters.key))
    assert account.erase(config.own_dir, "id-ana", NOW) == {"removed": [], "kept": [], "left": []}


@pytest.mark.usefixtures("registry")
def test_other_accounts_keep_what_they_have(config):
    before = texts(config.own_dir)
    for other in ("id-an", "ID-ANA", "ana", "*", "../x"):
        assert account.erase(config.own_dir, other, NOW) == {"removed": [], "kept": [], "left": []}
    assert texts(config.own_dir) == before
    assert account.erase(config.state_dir / "none", "id-ana", NOW) == {"removed": [], "kept": [], "left": []}


@pytest.mark.usefixtures("registry")
def test_what_can_not_be_read_is_told_and_what_was_half_written_goes(config):
    folder = own_files.file_of(config.own_dir, "own.id-ana", "anas").parent
    (folder / "bad.json").write_text("{")
    (folder / ".new-a").write_text('{"owner_id": "id-ana"}')
    (folder / ".new-b").write_text('{"owner_id": "id-a')
    (folder / ".new-c").write_text('{"owner_id": "id-ben"}')
    (folder / ".new-d").write_text('{"owner_id": "id-')
    for name, age in (("b", 4000), ("c", 10), ("d", 10)):
        os.utime(folder / f".new-{name}", (NOW - age, NOW - age))
    (told,) = account.erase(config.own_dir, "id-ana", NOW)["left"]
    assert told == f"{folder.name}/bad.json can't be read: it is no JSON"
    assert sorted(path.name for path in folder.iterdir()) == [".new-c", ".new-d", "bad.json"]


@pytest.mark.usefixtures("registry")
def test_an_item_that_is_no_good_any_more_goes_too(config):
    path = own_files.file_of(config.own_dir, "own.id-ana", "anas")
    path.write_text(json.dumps({"version": 99, "owner_id": "id-ana", "item": []}))
    assert [one["id"] for one in account.erase(config.own_dir, "id-ana", NOW)["removed"]] == [""]
    assert not path.exists()


@pytest.mark.usefixtures("registry")
def test_half_a_surrogate_pair_keeps_nothing_else_from_being_erased(config):
    path = own_files.file_of(config.own_dir, "group._2fwater", "waters")
    kept = json.loads(path.read_bytes())
    kept["item"]["properties"]["title"] = "\ud800 Göl"
    path.write_text(json.dumps(kept))
    done = account.erase(config.own_dir, "id-ana", NOW)
    assert ([one["id"] for one in done["removed"]], len(done["kept"]), done["left"]) == (["anas"], 1, [])
    assert json.loads(path.read_bytes()) == {
        **kept,
        "owner_id": account.NOBODY,
        "owner_name": account.NOBODYS_NAME,
    }


@pytest.mark.usefixtures("registry")
def test_the_folder_that_goes_is_gone_after_a_power_cut_too(config, monkeypatch):
    settled = []
    monkeypatch.setattr(own_files, "settle", settled.append)
    account.erase(config.own_dir, "id-ana", NOW)
    assert config.own_dir in settled


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "cubehub_stac.account", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("registry")
def test_as_a_program(config):
    listed = json.loads(run("list", config.own_dir, "id-ana").stdout)
    assert sorted(one["item"]["id"] for one in listed["items"]) == ["anas", "waters"]
    done = json.loads(run("erase", config.own_dir, "id-ana").stdout)
    assert (len(done["removed"]), len(done["kept"]), done["left"]) == (1, 1, [])
    for words in (
        (),
        ("erase", config.own_dir),
        ("erase", config.own_dir, ""),
        ("erase", config.own_dir, account.NOBODY),
    ):
        ran = run(*words)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "usage" in ran.stderr


def test_what_is_put_back_from_a_copy_is_there_again(config, registry):
    path = own_files.file_of(config.own_dir, "own.id-ana", "anas")
    copy = path.read_bytes()
    path.unlink()
    look_again(registry)
    assert ids(registry, ANA) == ["waters"]
    path.write_bytes(copy)
    look_again(registry)
    assert ids(registry, ANA) == ["anas", "waters"]


def test_a_reload_that_fails_is_tried_again_and_told_once(tmp_path, caplog):
    (tmp_path / "items").mkdir()
    config = Config("127.0.0.1", 1, "/c", "http://x.example", tmp_path / "state", (str(tmp_path / "items"),))
    tried = []

    def reload():
        tried.append(1)
        if len(tried) < 3:
            raise OSError("the database is away")

    async def go():
        done = asyncio.Event()

        async def then():
            done.set()

        watching = asyncio.create_task(keep_loaded(config, state_of(config), reload, then, 0.01))
        await asyncio.sleep(0)
        while not tried:
            (tmp_path / "items" / "new.json").write_text(
                "{}" * (1 + len(list((tmp_path / "items").iterdir())))
            )
            await asyncio.sleep(0.02)
        await done.wait()
        watching.cancel()

    asyncio.run(go())
    assert len(tried) >= 3
    assert len([one for one in caplog.records if "tries again" in one.getMessage()]) == 1


def test_what_was_erased_while_the_database_was_filled_is_seen(tmp_path, monkeypatch):
    erased = tmp_path / "items" / "anas.json"
    erased.parent.mkdir()
    erased.write_text("{}")
    config = Config(
        "127.0.0.1", 1, "/c", "http://x.example", tmp_path / "state", (str(erased.parent),), static_only=True
    )

    def filled(_config):
        erased.unlink()
        return None, "no database"

    started = []
    monkeypatch.setattr(cli, "read_config", lambda _path: config)
    monkeypatch.setattr(cli, "die_with_parent", lambda _signal: None)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    monkeypatch.setattr(cli, "_prepare", lambda _config: None)
    monkeypatch.setattr(cli, "_database", filled)
    monkeypatch.setattr(cli, "keep_loaded", lambda _config, known, *_: started.append(known))
    monkeypatch.setattr(cli, "_serve", lambda *_: 0)
    assert cli.main(["--config", "c.json"]) == 0
    assert started[0] != state_of(config) == frozenset()
    assert [path for path, *_ in started[0]] == [str(erased)]


@pytest.mark.slow
@pytest.mark.needs("postgis")
def test_a_service_that_runs_shows_them_no_longer(tmp_path):
    with running_hub() as hub:
        service = Service(tmp_path, hub_api_url=hub.url, hub_api_token=SERVICE_TOKEN).start()
        try:
            as_ana, as_operator = ({"Authorization": f"token {name}"} for name in ("ana", "operator"))
            for name, group in (("anas", None), ("waters", "/water")):
                body = {"item": {**ITEM, "id": name}, "group": group}
                assert get(f"{service.root}own/items", body, headers=as_ana)[0] == 201
            own = f"{service.root}collections/own.id-ana/items/anas"
            waters = f"{service.root}collections/group._2fwater/items/waters"
            assert get(own, headers=as_ana)[0] == 200
            done = json.loads(run("erase", service.state / "own", "id-ana").stdout)
            assert (len(done["removed"]), len(done["kept"])) == (1, 1)

            def listed():
                return {
                    one["id"]: one["owner"]
                    for one in get(f"{service.root}own/items", headers=as_operator)[1]["items"]
                }

            wait_for(lambda: listed() == {"waters": account.NOBODYS_NAME}, "the service to see it", 60)
            assert get(own, headers=as_ana)[0] == 404
            assert get(waters, headers=as_ana)[0] == 200
            assert get(f"{service.root}own", headers=as_ana)[1]["items"] == 0
        finally:
            service.stop()
