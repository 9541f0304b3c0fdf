"""The viewer: a map of chlorophyll and a time series of a clicked place, without an account and with one."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_tests.cubes import facts, picture
from playwright.sync_api import expect

if TYPE_CHECKING:
    from cubehub_tests.chromium import Window
    from playwright.sync_api import Response

pytestmark = [pytest.mark.whole, pytest.mark.browser]
DEMO = "olci-water-quality-demo"
LAKE = (1120, 498)
"""Where Lake Peipsi is in the window, in pixels, when the viewer shows the whole demonstration cube."""


def enter_viewer(window: Window) -> list[Response]:
    """Open the viewer as somebody without an account and let it come to rest; gives the tiles it fetches."""
    tiles: list[Response] = []
    last = 0.0

    def note(answer: Response) -> None:
        nonlocal last
        if "/tiles/" in answer.url:
            tiles.append(answer)
            last = time.monotonic()

    window.page.on("response", note)
    window.open("/services/cubes/viewer/")
    window.page.get_by_role("button", name="Accept and continue").click()
    expect(window.page.locator("canvas").first).to_be_visible(timeout=60_000)
    window.wait_until(
        lambda: tiles and time.monotonic() - last > 2, "the map fetches no tiles, or no end of them"
    )
    return tiles


def opaque_pixels(window: Window, tiles: list[Response]) -> int:
    """Count the pixels with a value in tiles of chlorophyll."""
    chlorophyll = [tile for tile in tiles if f"/{DEMO}/conc_chl/" in tile.url]
    assert {tile.status for tile in chlorophyll} <= {200}
    return sum(int(picture(window.whole.data / "envs", tile.body())["opaque"]) for tile in chlorophyll[-12:])


def test_a_clicked_place_shows_its_chlorophyll_through_the_years(window: Window) -> None:
    page = window.page
    tiles = enter_viewer(window)
    expect(page.locator("body")).to_contain_text("synthetic demonstration, not a measurement")
    known = facts(window.whole.data, DEMO, "conc_chl")
    tiles.clear()
    page.get_by_role("textbox", name=re.compile("YYYY")).click()
    page.keyboard.press("Control+a")
    page.keyboard.type(re.sub(r"\D", "", known.fullest_time))
    page.keyboard.press("Enter")
    window.wait_until(
        lambda: (
            opaque_pixels(window, [tile for tile in tiles if known.fullest_time[:10] in tile.url]) > 10_000
        ),
        "the map does not show the chosen day",
        every_s=1,
    )
    page.get_by_role("group").locator("button").nth(1).click()  # point tool
    series: list[Response] = []
    page.on("response", lambda answer: series.append(answer) if "/timeseries/" in answer.url else None)
    page.mouse.click(*LAKE)
    rows: list[dict[str, Any]] = []

    def whole() -> bool:
        # the viewer asks block by block, the newest first
        while series:
            part = series.pop().json()["result"]
            rows.extend(part[0] if part and isinstance(part[0], list) else part)
        return {row["time"][:4] for row in rows} == {str(year) for year in range(2015, 2025)}

    window.wait_until(whole, "the series does not reach from 2015 to 2024")
    measured = [row["mean"] for row in rows if row.get("mean") is not None]
    assert len(measured) > 50
    expect(page.locator(".recharts-surface").first).to_be_visible()
    page.mouse.move(700, 850)
    page.wait_for_timeout(1500)
    window.picture("10-viewer-series")


def test_the_first_view_is_not_empty(window: Window) -> None:
    tiles = enter_viewer(window)
    window.wait_until(
        lambda: opaque_pixels(window, tiles) > 1000,
        "whoever opens the viewer sees a map without data",
        every_s=1,
    )
    window.picture("11-viewer-first-view")
