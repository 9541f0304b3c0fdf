"""The viewer as a person sees it, with every other host blocked."""

import os
from pathlib import Path

import pytest

from support import CHROMIUM, PROTECTED

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.needs("chromium")]


def test_a_visitor_sees_a_tile_and_a_series_and_no_other_host_is_asked(server, tmp_path):
    from playwright.sync_api import sync_playwright

    outside, failed = [], []
    shots = Path(os.environ.get("CUBEHUB_ARTEFACTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 850})

        def only_us(route):
            url = route.request.url
            if url.startswith((server.base.split("/services")[0], "data:", "blob:")):
                route.continue_()
            else:
                outside.append(url)
                route.abort()

        page.route("**/*", only_us)
        page.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(f"{server.base}/viewer/")
        page.get_by_text("comes from this platform's own server").wait_for(timeout=60_000)
        with page.expect_response(lambda r: "/tiles/" in r.url and r.ok, timeout=60_000) as tile:
            page.get_by_role("button", name="Accept and continue").click()
        assert tile.value.headers["content-type"] == "image/png"
        page.locator("button[value=Point]").click()
        series = []
        page.on("response", lambda r: series.append(r) if "/timeseries/" in r.url else None)
        page.mouse.click(1050, 450)
        page.get_by_text("Point 1:").first.wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
        # the viewer asks block by block, the newest first, and draws each as it comes
        assert len({row["time"] for part in series for row in part.json()["result"]}) > 600
        page.screenshot(path=shots / "viewer-series.png")
        page.get_by_text("synthetic demonstration, not a measurement (CubeHub)").wait_for()
        assert PROTECTED not in page.content()
        browser.close()
    assert outside == []
    assert failed == []
