"""Compare, export and share in the viewer as a person does, with every other host blocked."""

import csv
import io
import json
import math
import os
import signal
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import expect

from support import CHROMIUM, start
from xcube_cubehub.build import near_empty_of

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.needs("chromium")]
DEMO = "olci-water-quality-demo"
LINK = f"/viewer/?dataset={DEMO}&variable=conc_tsm&time=2024-06-05&place=27.45,58.8&zoom=8"
SHOWN = "selected date is Jun 6, 2024"


@pytest.fixture(scope="module")
def running(built, issuer, tmp_path_factory):
    """A server that a test may end and start again."""
    folder = tmp_path_factory.mktemp("sharing")
    made = [start(folder, built, issuer.url)]

    def again():
        stop(made.pop())
        made.append(start(folder, built, issuer.url))
        return made[0]

    yield made, again
    stop(made.pop())


def stop(server):
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0, server.log


class Visit:
    """A window that asks nobody but the server."""

    def __init__(self, browser, server):
        self.outside, self.failed, self.server = [], [], server
        context = browser.new_context(
            viewport={"width": 1360, "height": 850}, permissions=["clipboard-read", "clipboard-write"]
        )
        self.page = context.new_page()
        self.page.route("**/*", self._only_us)
        self.page.on(
            "response", lambda r: self.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None
        )

    def _only_us(self, route):
        if route.request.url.startswith((self.server.base.split("/services")[0], "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def open(self, address):
        with self.page.expect_response(lambda r: "/tiles/" in r.url and r.ok, timeout=60_000) as tile:
            self.page.goto(address)
            self.page.get_by_role("button", name="Accept and continue").click()
        return tile.value.url

    def picture(self, name, otherwise):
        shots = Path(os.environ.get("CUBEHUB_ARTEFACTS", otherwise))
        shots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=shots / f"{name}.png")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def test_two_places_are_compared_exported_and_shared_beyond_a_restart(running, browser, built, tmp_path):
    (server,), again = running
    visit = Visit(browser, server)
    page = visit.page
    assert f"/{DEMO}/conc_tsm/" in visit.open(server.base + LINK)
    _wait_for_shown(page)
    assert page.url == server.base + LINK.replace(",", "%2C")
    with xr.open_zarr(built / DEMO / "pyramid.levels" / "0.zarr", chunks=None) as cube:
        _compare(visit, cube.conc_tsm.load(), near_empty_of(built / DEMO), tmp_path)
    with page.expect_response(lambda r: "/viewer/state" in r.url and r.request.method == "PUT") as kept:
        page.get_by_role("button", name="Share").click()
    assert kept.value.ok
    page.get_by_text("Permalink copied to clipboard").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith(f"?stateKey={kept.value.json()['key']}")
    assert (visit.outside, visit.failed) == ([], [])
    page.context.close()

    moved = again()
    later = Visit(browser, moved)
    assert f"/{DEMO}/conc_tsm/" in later.open(moved.base + "/viewer/?" + link.partition("?")[2])
    _wait_for_shown(later.page)
    later.page.get_by_text("Point 1:").first.wait_for()
    later.page.get_by_text("Point 2:").first.wait_for()
    later.picture("viewer-shared", tmp_path)
    later.page.goto(moved.base + "/viewer/?stateKey=" + "a" * 26)
    later.page.get_by_text("This link is not kept here any more").wait_for()
    later.page.get_by_text("Estonian waters").first.wait_for()
    assert later.outside == []
    assert [line.split()[0] for line in later.failed] == ["404"]
    later.page.context.close()


def _wait_for_shown(page):
    page.get_by_role("button", name=SHOWN).wait_for(timeout=30_000)


def _compare(visit, chlorophyll, hidden, tmp_path):
    """Add series of two places and compare what is exported with the cube."""
    page, bodies = visit.page, {}

    def note(answer):
        if "/timeseries/" in answer.url:
            x, y = json.loads(answer.request.post_data)["coordinates"]
            bodies[x, y] = bodies.get((x, y), 0) + len(answer.json()["result"])

    page.on("response", note)
    page.locator("button[value=Point]").click()
    # the chart that opens with the first takes a third of the window: the lake moves to the left
    for number, at in enumerate(((640, 470), (430, 560)), 1):
        page.mouse.click(*at)
        page.get_by_text(f"Point {number}:").first.wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
    assert len(bodies) == 2
    visit.picture("viewer-compare", tmp_path)
    page.get_by_role("button", name="Export data").click()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Download").click()
    content = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    rows = list(csv.DictReader(io.StringIO(content.read("export.txt").decode()), delimiter="\t"))
    places = {
        feature["id"]: feature["geometry"]["coordinates"]
        for feature in json.loads(content.read("export.geojson"))["features"]
    }
    assert {tuple(place) for place in places.values()} == set(bodies)
    checked = 0
    for row in rows:
        lon, lat = places[row["placeId"]]
        time = row["time"].replace(" ", "T").removesuffix("Z")
        expected = float(chlorophyll.sel(lon=lon, lat=lat, method="nearest").sel(time=time[:10]).squeeze())
        written = row[f"{DEMO}.conc_tsm.mean"]
        if math.isnan(expected):
            assert written == ""
        else:
            assert float(written) == pytest.approx(expected, rel=1e-6)
            checked += 1
    # of times that show next to nothing, which no list has, the one between two blocks is not asked for
    listed = set(np.delete(chlorophyll.time.values.astype("datetime64[s]"), sorted(hidden)).tolist())
    for place in places:
        told = {datetime.fromisoformat(row["time"][:19]) for row in rows if row["placeId"] == place}
        assert listed <= told
    assert checked > 200


@pytest.mark.parametrize("more", ["", "&time=2024-06-05", "&place=27.45,58.8&zoom=8"])
def test_a_link_to_a_cube_that_is_not_for_the_visitor_says_so(running, browser, more):
    server = running[0][0]
    visit = Visit(browser, server)
    visit.open(f"{server.base}/viewer/?dataset=somebody--secret{more}")
    expect(visit.page.get_by_role("alert").filter(has_text="not there, or not for you")).to_be_visible()
    there = Visit(browser, server)
    there.open(f"{server.base}/viewer/?dataset={DEMO}{more}")
    there.page.wait_for_timeout(1500)
    expect(there.page.get_by_role("alert").filter(has_text="not there")).to_have_count(0)
