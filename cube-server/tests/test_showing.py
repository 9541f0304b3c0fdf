"""Cards, pictures, pages for other sites, and shared views: what they say, to whom, and how much they hold."""

import io
import json
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import requests
import xarray as xr
import yaml
from PIL import Image

from support import CUBES_YAML, PROTECTED, start
from xcube_cubehub import permalinks, quicklook
from xcube_cubehub.config import Cubes
from xcube_cubehub.errors import BusyError, NotThereError, RequestError
from xcube_cubehub.index import Index, Variable
from xcube_cubehub.permalinks import Permalinks, readable
from xcube_cubehub.shared_pages import place_of

DEMO, SITE = "olci-water-quality-demo", "https://lakes.example.org"
INDEX = Index(
    "EPSG:4326", 23.0, 60.0, 0.01, -0.01, (300, 500), 3, ("lat", "lon"), {"chl": Variable()},
    times=(0, 86400, 172800, 259200), counts=(100, 90, 80, 10),
)  # fmt: skip


def state(cube=DEMO, **more):
    """A state as the viewer sends it, with a series and statistics of a cube."""
    data = {
        "datasets": [{"id": cube, "title": f"title of {cube}", "variables": []}],
        "timeSeriesGroups": [{"id": "g", "timeSeriesArray": [{"source": {"datasetId": cube}, "data": [{"mean": 4.2}]}]}],
        "statistics": {"loading": False, "records": [{"source": {"dataset": {"id": cube}}, "statistics": {"mean": 4.2}}]},
        "userPlaceGroups": [],
    }  # fmt: skip
    control = {
        "selectedDatasetId": cube,
        "selectedTime": 5,
        "userBaseMaps": [{"url": "https://evil.example.org/{z}"}],
    }
    return json.dumps(
        {"apiUrl": "x", "state": {"dataState": data, "controlState": {**control, **more}}}
    ).encode()


def test_a_picture_is_of_the_newest_time_that_shows_much():
    assert quicklook.best_step(INDEX) == 2
    assert quicklook.best_step(replace(INDEX, hidden=(2,))) == 1
    assert quicklook.best_step(replace(INDEX, counts=())) == 3
    with pytest.raises(NotThereError):
        quicklook.best_step(replace(INDEX, times=()))


@pytest.mark.parametrize(
    ("crs", "west", "north", "step", "shape"),
    [
        ("EPSG:4326", -180.0, 90.0, 1.0, (180, 360)),
        ("EPSG:4326", 27.0, 59.0, 1e-5, (1, 1)),
        ("EPSG:32633", 500_000.0, 5_100_000.0, 10.0, (300, 200)),
        ("EPSG:3413", -500_000.0, -2_000_000.0, 1000.0, (1000, 1000)),
        ("EPSG:3035", 4_000_000.0, 3_000_000.0, 1000.0, (1000, 1000)),
    ],
)
def test_a_view_holds_the_whole_cube_in_few_tiles(crs, west, north, step, shape):
    view = quicklook.view_of(replace(INDEX, crs=crs, west=west, north=north, dx=step, dy=-step, shape=shape))
    wide, high = view.east - view.west, view.north - view.south
    assert wide / high == pytest.approx(quicklook.WIDTH / quicklook.HEIGHT)
    tile = 2 * quicklook.HALF_WORLD_M / 2**view.zoom
    assert wide / tile <= 2 * quicklook.WIDTH / 256 + 0.01


def test_a_site_that_may_embed_cannot_say_more_than_its_name():
    good = yaml.safe_load(CUBES_YAML.read_text())
    for site in ("*", SITE, "https://*.example.org", "http://localhost:8080"):
        assert Cubes.model_validate({**good, "embed": [site]}).embed == [site]
    for site in (
        "",
        "lakes.example.org",
        "https://a.org; script-src *",
        "https://a.org/x",
        "'none'",
        "https://a b",
    ):
        with pytest.raises(ValueError, match="embed"):
            Cubes.model_validate({**good, "embed": [site]})


def test_a_shared_view_holds_what_its_reader_may_see_and_nothing_from_elsewhere(tmp_path):
    links = Permalinks(tmp_path / "links")
    key = links.save(state(PROTECTED), "me", now=0)
    kept = links.load(key, now=1)
    assert "evil" not in json.dumps(kept)
    told = json.dumps(readable(kept, lambda _: False))
    assert PROTECTED not in told
    assert "4.2" not in told
    assert readable(kept, lambda cube: cube == PROTECTED) == kept


def test_shared_views_are_bounded_and_nobody_replaces_one(tmp_path, monkeypatch):
    folder = tmp_path / "links"
    links = Permalinks(folder)
    first = links.save(state(), "me", now=0)
    assert links.save(state(), "you", now=1) == first
    assert Permalinks(folder).load(first, now=2)["controlState"]["selectedTime"] == 5
    monkeypatch.setattr(permalinks, "MAX_LINKS", 2)
    second = links.save(state(selectedTime=6), "me", now=3)
    with pytest.raises(BusyError, match="no more links"):
        links.save(state(selectedTime=7), "me", now=4)
    assert links.load(first, now=5)
    assert links.load(second, now=5)
    late = 5 + 366 * 86400
    assert links.load(first, now=late) is None
    third = links.save(state(selectedTime=7), "me", now=late)
    assert [path.stem for path in folder.glob("*.json")] == [third]
    monkeypatch.setattr(permalinks, "MAX_PER_HOUR", 1)
    with pytest.raises(BusyError, match="too many"):
        links.save(state(selectedTime=8), "me", now=late)


def test_visitors_fill_a_store_of_their_own_where_the_newest_has_room(tmp_path, monkeypatch):
    folder = tmp_path / "links"
    links = Permalinks(folder)
    members = links.save(state(), "me", now=0)
    monkeypatch.setattr(permalinks, "MAX_VISITOR_LINKS", 3)
    keys = [links.save(state(selectedTime=n), f"address {n}", now=n, visitor=True) for n in range(10, 13)]
    assert links.load(keys[0], now=20)  # opened after the others
    links = Permalinks(folder)
    newest = links.save(state(selectedTime=13), "address 13", now=21, visitor=True)
    assert links.load(keys[1], now=22) is None
    for key in (members, keys[0], keys[2], newest):
        assert links.load(key, now=23), key
    monkeypatch.setattr(
        permalinks, "MAX_VISITOR_TOTAL_BYTES", (folder / f"{members}.json").stat().st_size + 9
    )
    for n in range(30, 40):
        last = links.save(state(selectedTime=n), f"address {n}", now=n, visitor=True)
        assert [path.stem for path in (folder / "visitors").glob("*.json")] == [last]
    assert links.load(members, now=50)
    # who signs in and shares the same keeps it for good
    assert links.save(state(selectedTime=39), "me", now=51) == last
    links.save(state(selectedTime=41), "address 41", now=52, visitor=True)
    assert links.load(last, now=53)
    large = state(selectedTime="x" * permalinks.MAX_VISITOR_STATE_BYTES)
    with pytest.raises(RequestError, match="256 KiB"):
        links.save(large, "address 1", now=54, visitor=True)
    assert links.save(large, "me", now=54)


def test_a_visitor_counts_by_the_address_and_a_network_as_one():
    assert place_of("192.0.2.7") == place_of("::ffff:192.0.2.7") == "address 192.0.2.7"
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:2") == "address 2001:db8::/64"
    assert place_of("made up") == place_of(None)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"7", b'{"state": 5}', b'{"state": {"dataState": 3, "controlState": {}}}', b"\xff\xfe",
        b'{"state": {"dataState": {}, "controlState": {"zoomLevel": NaN}}}', b"[" * 100_000,
        b'{"state": {"dataState": {}, "controlState": {"zoomLevel": ' + b"[" * 60 + b"]" * 60 + b"}}}",
        b'{"state": {"dataState": {}, "controlState": {}}, "x": "' + b"y" * permalinks.MAX_STATE_BYTES + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_view_is_not_kept(tmp_path, body):
    with pytest.raises(RequestError):
        Permalinks(tmp_path / "links").save(body, "me")
    assert not (tmp_path / "links").exists()


@pytest.mark.parametrize(
    "key", ["../server", "..%2fserver", "a" * 26 + "\n", "A" * 26, "", "/etc/passwd", "\x00"]
)
def test_a_key_names_nothing_but_views(tmp_path, key):
    (tmp_path / "server.json").write_text("{}")
    assert Permalinks(tmp_path / "links").load(key) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("showing")
    content = {**yaml.safe_load(CUBES_YAML.read_text()), "embed": [SITE]}
    shutil.copytree(CUBES_YAML.parent / "places", made / "places")
    (made / "cubes.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return made


@pytest.fixture(scope="module")
def showing(folder, built, issuer):
    running = start(folder, built, issuer.url, folder / "cubes.yaml")
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log


@pytest.mark.slow
def test_cards_say_what_there_is_and_only_to_those_who_may_know(showing, built, issuer):
    answer = showing.get("/cards")
    cards = {card["id"]: card for card in answer.json()["cubes"]}
    assert PROTECTED not in answer.text
    card = cards[DEMO]
    with xr.open_zarr(built / DEMO / "pyramid.levels" / "0.zarr", chunks=None) as cube:
        days = [str(day)[:10] for day in cube.time.values]
        units = {name: cube[name].attrs["units"] for name in cube.data_vars if "units" in cube[name].attrs}
    assert (card["first"], card["last"], card["dates"]) == (days[0], days[-1], len(days))
    assert {v["name"]: v["units"] for v in card["variables"]}.items() <= units.items()
    assert card["embed"] == f"embed/{DEMO}"
    again = showing.get("/cards", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    member = showing.get("/cards", issuer.token())
    assert member.headers["Cache-Control"] == "private, no-cache"
    (own,) = (card for card in member.json()["cubes"] if card["id"] == PROTECTED)
    assert own["embed"] is None
    assert not own["public"]
    assert showing.get("/cards", "rubbish").status_code == 401


@pytest.mark.slow
def test_a_picture_shows_the_cube_in_its_colours_and_asks_before_it_is_sent_again(showing, issuer):
    path = f"/quicklook/{DEMO}.png"
    answer = showing.get(path)
    assert answer.headers["Cache-Control"] == "public, no-cache"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (quicklook.WIDTH, quicklook.HEIGHT)
        pixels = np.asarray(picture.convert("RGB"), int)
    # viridis is dark or green where the base map is pale
    assert 0.1 < (pixels.min(axis=2) < 150).mean() < 0.8
    again = showing.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = showing.get(path + "?var=conc_tsm&time=2024-06-05")
    assert other.headers["ETag"] != answer.headers["ETag"]
    for bad in ("?var=nothing", "?time=yesterday", "?time=2024-13-45", "?var=../x"):
        assert showing.get(path + bad).status_code == 404
    mine = showing.get(f"/quicklook/{PROTECTED}.png", issuer.token())
    assert (mine.status_code, mine.headers["Cache-Control"]) == (200, "private, no-cache")
    assert showing.get(f"/quicklook/{PROTECTED}.png").text == showing.get("/quicklook/unknown-cube.png").text


@pytest.mark.slow
def test_only_public_cubes_are_for_frames_and_only_in_the_sites_that_were_named(showing, issuer):
    answer = showing.get(f"/embed/{DEMO}?var=conc_tsm&time=2024-06-05")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors 'self' {SITE}")
    assert "script" not in policy
    assert "<script" not in answer.text
    assert "2024-06-06" in answer.text
    for token in (None, issuer.token()):
        closed = showing.get(f"/embed/{PROTECTED}", token)
        assert closed.status_code == 404
        assert closed.text == showing.get("/embed/unknown-cube", token).text
    assert "frame-ancestors 'self'" in showing.get("/viewer/").headers["Content-Security-Policy"]


@pytest.mark.slow
def test_a_published_cube_gets_a_card_without_a_restart(showing, folder):
    content = yaml.safe_load((folder / "cubes.yaml").read_text())
    content["cubes"][0]["title"] = "<b>Lakes & bays</b>"
    (folder / "cubes.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    until = time.monotonic() + 60
    while "Lakes & bays" not in showing.get("/cards").text:
        assert time.monotonic() < until, showing.log
        time.sleep(0.3)
    page = showing.get(f"/embed/{DEMO}").text
    assert "&lt;b&gt;Lakes &amp; bays" in page
    assert "<b>" not in page


@pytest.mark.slow
def test_a_shared_view_over_http(showing, issuer):
    def put(body, token=None):
        return showing.request("PUT", "/viewer/state", token, data=body)

    key = put(state(PROTECTED), issuer.token()).json()["key"]
    visitor, member = (showing.get(f"/viewer/state?key={key}", token) for token in (None, issuer.token()))
    assert PROTECTED not in visitor.text
    assert "4.2" in member.text
    assert member.json()["apiUrl"] == showing.base
    assert showing.get("/viewer/state").status_code == 404  # keys are told to nobody
    assert showing.get("/viewer/state?key=../server").status_code == 404
    assert put(b"{").status_code == 400
    assert requests.delete(f"{showing.base}/viewer/state?key={key}", timeout=10).status_code == 405
