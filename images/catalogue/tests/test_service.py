"""The real service; with the real PostgreSQL where the machine has one, and always as a static catalogue."""

import json
import os
import shutil
import signal
import socket
import warnings
from pathlib import Path

import pystac
import pystac_client
import pytest
import shapely
from cubehub_stac.boxes import boxes_geometry, split_box
from cubehub_stac.repair import MARKER
from cubehub_stac.sources import read_contents
from shapely.geometry import shape
from support import ITEMS, get, servers_in, wait_for

pytestmark = pytest.mark.slow

needs_postgres = pytest.mark.needs("postgis")
CONTENTS = read_contents([ITEMS])


def every_link(thing):
    if isinstance(thing, dict):
        if "rel" in thing and "href" in thing:
            yield thing["rel"], thing["href"]
        for value in thing.values():
            yield from every_link(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from every_link(value)


def open_client(root):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pystac_client.Client.open(root)


BOXES = [
    [-180, -90, 180, 90],
    [170, -80, -170, 80],
    [179.5, 50, -179.9, 60],
    [14, 45, 16, 47],
    [14, 45, 0, 16, 47, 500],
    [170, -80, 0, -170, 80, 9000],
    [0, 0, 1, 1],
    [-170, -80, 170, 80],
]


@needs_postgres
@pytest.mark.parametrize("bbox", BOXES, ids=range(len(BOXES)))
def test_boxes_find_what_shapely_finds(database, bbox):
    area = shape(boxes_geometry(split_box(bbox)))
    expected = sorted(
        item["id"] for item in CONTENTS.items.values() if shapely.intersects(shape(item["geometry"]), area)
    )
    assert database.ids(bbox=bbox) == expected
    text = ",".join(map(str, bbox))
    for url in (f"{database.root}search?limit=100&bbox={text}",):
        status, answer = get(url)
        assert status == 200
        assert sorted(item["id"] for item in answer["features"]) == expected
        assert answer["numberMatched"] == len(expected)
    assert get(f"{database.root}collections?bbox={text}")[0] == 200


@needs_postgres
def test_pages_sorting_and_filters(database):
    url, seen = f"{database.root}search?limit=3&sortby=-eo:cloud_cover", []
    while url:
        status, answer = get(url)
        assert status == 200, answer
        assert answer["numberMatched"] == len(CONTENTS.items)
        seen += [item["id"] for item in answer["features"]]
        url = next((link["href"] for link in answer["links"] if link["rel"] == "next"), None)
    assert sorted(seen) == sorted(item_id for _, item_id in CONTENTS.items)

    cloudy = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
    expected = sorted(
        item["id"] for item in CONTENTS.items.values() if item["properties"].get("eo:cloud_cover", 100) < 20
    )
    assert expected
    assert database.ids(filter=cloudy, **{"filter-lang": "cql2-json"}) == expected
    assert database.ids(
        datetime="2023-08-15T00:00:00Z/2023-08-16T00:00:00Z", collections=["sentinel-2-l2a"]
    ) == [
        "S2A_33TWL_20230815_0_L2A",
        "S2A_33TWM_20230815_0_L2A",
    ]


@needs_postgres
def test_clients_read_it_and_every_link_is_ours(database):
    client = open_client(database.root)
    found = {item.id: item for item in client.search(bbox=[14, 45, 16, 47]).items()}
    assert "S2A_33TWM_20230815_0_L2A" in found
    assert pystac.Catalog.from_file(database.root).id == "cubehub"
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    for path in (
        "",
        "collections",
        "collections/io-lulc",
        "collections/io-lulc/items",
        "search",
        "queryables",
    ):
        status, answer = get(database.root + path, headers=evil)
        assert status == 200, path
        text = json.dumps(answer, ensure_ascii=False)
        assert "evil.example" not in text
        assert MARKER not in text
        for rel, href in every_link(answer):
            if rel in {
                "self",
                "root",
                "parent",
                "collection",
                "items",
                "item",
                "next",
                "data",
                "search",
                "child",
            }:
                assert href.startswith(database.root), (path, rel, href)
    assert get(f"{database.root}health") == (200, {"mode": "pgstac", "hint": None})


@needs_postgres
def test_it_only_reads_and_refuses_with_reasons(database):
    items = f"{database.root}collections/io-lulc/items"
    item = {**CONTENTS.items["io-lulc", "60W-2020"], "id": "new"}
    assert get(items, item)[0] == 405
    assert get(f"{items}/60W-2020", item, "PUT")[0] == 405
    assert get(f"{items}/60W-2020", method="DELETE")[0] == 405
    assert get(f"{database.root}collections", {"id": "x"})[0] == 405
    for path in (
        "search?q=water",
        "search?bbox=1,2,3",
        "search?filter=nonsense(",
        "search?bbox=0,0,1,1&datetime=never",
    ):
        status, answer = get(database.root + path)
        assert status == 400, (path, answer)
        assert "Traceback" not in json.dumps(answer)
    assert get(f"{database.root}search", {"bbox": [0, 9, 1, 1]})[0] == 400
    assert get(f"{database.root}collections/none")[0] == 404


@needs_postgres
def test_nothing_but_the_service_reaches_the_database(database):
    assert (database.state / "pg").stat().st_mode & 0o777 == 0o700
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    tcp = [line.split() for table in tables for line in table]
    listening = {line[9] for line in tcp if line[3] == "0A"}
    for pid in servers_in(database.state):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            assert target.removeprefix("socket:[").removesuffix("]") not in listening


@needs_postgres
def test_it_survives_being_killed(room):
    service = room().start()
    postmaster = int((service.state / "pg" / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)

    def back():
        pids = servers_in(service.state)
        return pids and postmaster not in pids and get(f"{service.root}search")[0] == 200

    wait_for(back, "PostgreSQL to be started again", 30)
    assert len(service.ids()) == len(CONTENTS.items)

    service.stop(signal.SIGKILL)
    wait_for(lambda: not servers_in(service.state), "PostgreSQL to die with the service", 15)
    # A lock file that names a process which is alive but no server of ours must not stop the next start.
    (service.state / "pg" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/x\n")
    service.start()
    assert get(f"{service.root}health")[1]["mode"] == "pgstac"
    assert len(service.ids()) == len(CONTENTS.items)
    assert service.stop() == 0

    # A broken database is made anew: all it holds comes from files.
    shutil.rmtree(service.state / "pg" / "data" / "global")
    service.start()
    assert len(service.ids()) == len(CONTENTS.items)


@pytest.mark.parametrize(
    "static_only", [pytest.param(False, marks=needs_postgres, id="database"), pytest.param(True, id="static")]
)
def test_files_that_come_change_and_go_are_noticed(room, tmp_path, static_only):
    folder = tmp_path / "items"
    folder.mkdir()
    source = json.loads((ITEMS / "60W-2020.json").read_text())
    (folder / "a.json").write_text(json.dumps(source))
    (folder / "broken.json").write_text(json.dumps({**source, "id": "broken", "geometry": None}))
    service = room(items=[str(folder)], static_only=static_only).start()
    url = f"{service.root}collections/io-lulc/items"

    def titles():
        status, answer = get(url)
        return (
            {item["id"]: item["properties"].get("title") for item in answer["features"]}
            if status == 200
            else None
        )

    assert set(titles()) == {"60W-2020"}
    assert "geometry is null" in service.log.read_text()
    changed = {**source, "properties": {**source["properties"], "title": "changed"}}
    (folder / "a.json").write_text(json.dumps(changed))
    (folder / "b.json").write_text(json.dumps({**source, "id": "b"}))
    wait_for(lambda: titles() == {"60W-2020": "changed", "b": None}, "the change", 40)
    for path in folder.iterdir():
        path.unlink()
    wait_for(lambda: titles() is None, "the collection to go", 40)


def test_static_offers_the_same_items(room):
    service = room(static_only=True).start()
    status, health = get(f"{service.root}health")
    assert (status, health["mode"]) == (200, "static")
    assert health["hint"]
    root = pystac.Catalog.from_file(service.root)
    assert health["hint"] in root.description
    expected = sorted(item_id for _, item_id in CONTENTS.items)
    assert sorted(item.id for item in root.get_items(recursive=True)) == expected
    client = open_client(service.root)
    with warnings.catch_warnings():
        # The client says that it walks the links because there is no search, which is so.
        warnings.simplefilter("ignore", pystac_client.warnings.PystacClientWarning)
        assert sorted(item.id for c in client.get_collections() for item in c.get_items()) == expected
    with pytest.raises(pystac_client.warnings.DoesNotConformTo, match="ITEM_SEARCH"):
        client.search(bbox=[0, 0, 1, 1]).item_collection()
    status, answer = get(f"{service.root}search?bbox=0,0,1,1")
    assert status == 501
    assert answer["hint"] == health["hint"]

    url, seen = f"{service.root}collections/sentinel-2-l2a/items?limit=2", []
    while url:
        _, answer = get(url)
        seen += [item["id"] for item in answer["features"]]
        url = next((link["href"] for link in answer["links"] if link["rel"] == "next"), None)
    assert len(seen) == len(set(seen)) == 4
    assert get(f"{service.root}collections/none")[0] == 404
    assert get(f"{service.root}collections/io-lulc/items?limit=x")[0] == 400
    assert service.stop() == 0


def test_a_taken_port_or_folder_is_said_plainly(room):
    service = room(static_only=True).start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = room(static_only=True, port=taken.getsockname()[1]).start(ready=False)
        assert second.process.wait(20) == 2
    assert "error: can't listen on" in second.log.read_text()
    third = room(static_only=True, state_dir=str(service.state)).start(ready=False)
    assert third.process.wait(20) == 2
    assert "in use by another catalogue\nhint:" in third.log.read_text()
    for log in (second.log, third.log):
        assert "Traceback" not in log.read_text()
