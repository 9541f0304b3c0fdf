"""From the cart, or from one item, to a cell; and what the panel tells of items that are gone and of files that are broken."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from cubehub_tests.catalogue_lab import PANEL, Sight, running_lab, sight_of
from cubehub_tests.catalogue_pgstac import running_pgstac
from cubehub_tests.platform import REPOSITORY
from playwright.sync_api import Error, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.catalogue_lab import Lab
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.needs("postgis")]
ITEMS = REPOSITORY / "extensions" / "catalogue" / "tests" / "data" / "items"
SCENES = ("S2A_32TMT_20200302_1_L2A", "S2A_32TNT_20200302_1_L2A")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A Lab with the real catalogue."""
    with (
        running_pgstac([ITEMS]) as root,
        running_lab([{"id": "platform", "title": "This platform", "url": root, "private": True}]) as running,
    ):
        yield running


def saved(lab: Lab, content: str) -> None:
    """Put a file where the panel keeps what is saved."""
    lab.saved.parent.mkdir(parents=True, exist_ok=True)
    lab.saved.write_text(content)


def picked(*ids: str) -> list[dict[str, str]]:
    """Entries of the cart."""
    return [
        {"catalogue": "platform", "collection": "sentinel-2-l2a", "id": id_, "title": f"Scene <b>{id_}</b>"}
        for id_ in ids
    ]


def open_to_all(sight: Sight) -> None:
    """Look for what shuts somebody out."""
    found = Axe().run(sight.page, context={"include": [[PANEL]]})
    assert found.violations_count == 0, found.generate_report()


def cells(sight: Sight) -> str:
    """What stands in the notebook's cells."""
    return "\n".join(sight.page.locator(".jp-NotebookPanel .jp-Cell .cm-line").all_inner_texts())


def by_palette(page: Page, words: str, command: str) -> None:
    """Run a command from the palette, which hides when a new notebook takes the focus back."""
    field = page.locator(".lm-CommandPalette-input")
    for _ in range(20):
        with contextlib.suppress(Error):
            if not field.is_visible():
                page.locator(".lm-MenuBar-item", has_text="View").click(timeout=3000)
                page.locator(".lm-Menu-item", has_text="Activate Command Palette").click(timeout=3000)
            field.fill(words, timeout=3000)
            page.locator(f".lm-CommandPalette-item[data-command='{command}']").click(timeout=3000)
            return
    raise AssertionError(f"the palette never had {words}")


def test_the_cart_becomes_a_cell_without_the_list(browser: Browser, lab: Lab) -> None:
    cart = picked(*SCENES, "gone-since")
    saved(lab, json.dumps({"version": 1, "searches": [], "favourites": [], "cart": cart}))
    with sight_of(browser, lab) as sight:
        panel, page = sight.panel, sight.page
        panel.get_by_role("tab", name="Cart (3)").click()
        shown = panel.get_by_role("tabpanel")
        shown.locator("summary", has_text="How").click()
        bands = shown.get_by_role("group", name="Bands and files")
        bands.get_by_role("checkbox", name="Coastal aerosol").check()
        expect(shown.get_by_text("1 band")).to_be_visible()
        expect(shown.locator("details").get_by_role("status")).to_contain_text(
            "memory"
        )  # what it would take, before anything is inserted
        # what is gone is marked as soon as somebody looked for it
        gone = shown.locator("li", has_text="gone-since")
        expect(gone).to_contain_text("no longer in its catalogue")
        shown.get_by_role("button", name="Insert code for 3 items").click()
        expect(shown.get_by_text("Inserted.")).to_be_visible()
        expect(
            shown.get_by_text("No longer in their catalogues, so left out: Scene <b>gone-since</b>")
        ).to_be_visible()
        text = cells(sight)
        assert all(scene in text for scene in SCENES), text
        assert "coastal" in text
        assert "aot" not in text
        assert "gone-since" not in text
        open_to_all(sight)
        sight.picture("catalogue-cart-inserted")

        # and by the palette, with the same choices
        by_palette(page, "Insert Code for the Cart", "cubehub-catalogue:insert-cart-code")
        expect(page.locator(".jp-NotebookPanel .jp-Cell")).to_have_count(2)
        assert cells(sight).count("coastal") == 2 * text.count("coastal")
        # nothing was searched in the list for it
        panel.get_by_role("tab", name="Search").click()
        expect(sight.rows).to_have_count(0)


def test_an_item_becomes_a_cell_from_its_details(browser: Browser, lab: Lab) -> None:
    with sight_of(browser, lab) as sight:
        sight.search()
        sight.rows.and_(sight.page.locator(f"[title^={SCENES[0]}]")).dblclick()
        item = sight.panel.get_by_role("region", name="Item")
        these = item.get_by_role("button", name="Insert code for these")
        expect(these).to_be_disabled()
        item.get_by_role("checkbox", name="Coastal aerosol").check()
        these.click()
        expect(sight.panel.get_by_text("Inserted.")).to_be_visible()
        text = cells(sight)
        assert SCENES[0] in text
        assert "coastal" in text
        assert "blue" not in text
        sight.panel.get_by_role("button", name="Insert code for this item").click()
        expect(sight.page.locator(".jp-NotebookPanel .jp-Cell")).to_have_count(2)
        expect(sight.page.locator(".jp-NotebookPanel .jp-Cell").last).to_contain_text("blue")
        # what this environment lacks is said with what brings it, and a cube by its name
        lacking = {"missing": ["odc-stac"], "needs": ["odc-stac", "dask"], "cube": "a-<b>cube</b>"}
        sight.page.route(
            "**/cubehub/catalogue/code*",
            lambda route: route.fulfill(json={**route.fetch().json(), **lacking}),
        )
        sight.panel.get_by_role("button", name="Insert code for this item").click()
        expect(sight.panel.get_by_text("Not installed here: odc-stac")).to_be_visible()
        expect(sight.panel.get_by_text("%pip install odc-stac")).to_be_visible()
        expect(sight.panel.get_by_text("It needs dask.")).to_be_visible()
        expect(sight.panel.get_by_text("The cube server has this as a-<b>cube</b>.")).to_be_visible()
        open_to_all(sight)
        sight.picture("catalogue-item-inserted")


def test_a_broken_file_is_told_until_it_is_read_and_fits_into_a_narrow_panel(
    browser: Browser, lab: Lab
) -> None:
    saved(lab, json.dumps({"version": 1, "searches": [5], "favourites": picked(*SCENES), "cart": []}))
    with sight_of(browser, lab) as sight:
        sight.narrow(260)
        told = sight.panel.get_by_role("alert").filter(has_text="was broken")
        expect(told).to_contain_text("saved.broken-")
        for page in ("Cart", "Kept", "Downloads", "Search"):  # each page has it, whichever is looked at
            sight.panel.get_by_role("tab", name=page).click()
            expect(told).to_be_visible()
            assert sight.panel.evaluate("node => node.scrollWidth <= node.clientWidth"), page
            open_to_all(sight)
        sight.picture("catalogue-broken-narrow")
        told.get_by_role("button", name="Understood").click()
        expect(told).to_be_hidden()
        sight.panel.get_by_role("tab", name="Kept").click()
        expect(sight.panel.get_by_text(SCENES[0])).to_be_visible()  # what was whole is there
