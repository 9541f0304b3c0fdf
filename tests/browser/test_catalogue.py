"""From "what is there?" to a plot, in JupyterLab's search panel, against the real catalogue service."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from cubehub_tests.catalogue_lab import PANEL, Sight, running_lab, sight_of
from cubehub_tests.catalogue_pgstac import running_pgstac
from cubehub_tests.platform import REPOSITORY
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.catalogue_lab import Lab
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.needs("postgis")]
ITEMS = REPOSITORY / "extensions" / "catalogue" / "tests" / "data" / "items"
PAGE = 10
SECRET = "a-key-that-nobody-may-see"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A Lab with the real catalogue twice, once behind a key, and one that is down."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text(SECRET)
    auth = {"type": "api_key", "header": "X-Key", "value_file": str(key)}
    with (
        running_pgstac([ITEMS]) as root,
        running_lab(
            [
                {"id": "platform", "title": "This platform", "url": root, "private": True},
                {"id": "mirror", "title": "A <b>mirror</b>", "url": root, "private": True, "auth": auth},
                {"id": "down", "title": "One that is down", "url": "http://127.0.0.1:9/", "private": True},
            ],
            settings={"@cubehub/catalogue:panel": {"pageSize": PAGE}},
        ) as running,
    ):
        yield running


@pytest.fixture
def sight(browser: Browser, lab: Lab) -> Iterator[Sight]:
    """Give the panel in a fresh profile."""
    with sight_of(browser, lab) as found:
        yield found


def open_to_all(sight: Sight) -> None:
    """Look for what shuts somebody out."""
    found = Axe().run(sight.page, context={"include": [[PANEL]]})
    assert found.violations_count == 0, found.generate_report()


def only(sight: Sight, title: str) -> None:
    """Choose one catalogue."""
    part = sight.unfold("Catalogues")
    for box in part.get_by_role("checkbox").all():
        box.check()
    for label in part.locator("li").all():
        if title not in label.inner_text():
            label.get_by_role("checkbox").uncheck()


def bar_is_below(sight: Sight) -> None:
    """The bar for code stands below the list at any width, and over none of it."""
    for width in (280, 500, 900):
        sight.narrow(width)
        part = sight.unfold("Catalogues")
        part.locator("summary").first.click()
        sight.search()
        expect(sight.rows.first).to_be_visible()
        sight.picture(f"catalogue-bar-{width}")
        panel, bar = (
            sight.panel.bounding_box(),
            sight.panel.locator(".cubehub-cat-code:visible").bounding_box(),
        )
        assert panel is not None
        assert bar is not None
        assert abs(panel["y"] + panel["height"] - bar["y"] - bar["height"]) < 2, (width, panel, bar)
        # what is seen there is what is clicked there, and no row shows through
        over = sight.page.evaluate(
            """([panel, bar]) => {
                const wrong = [];
                for (let y = Math.ceil(panel.y) + 2; y < panel.y + panel.height - 2; y += 6) {
                    const node = document.elementFromPoint(bar.x + bar.width / 2, y);
                    const inside = node.closest('.cubehub-cat-code') !== null;
                    if (inside !== (y >= bar.y) && Math.abs(y - bar.y) > 2) {
                        wrong.push([y, node.className]);
                    }
                }
                return wrong;
            }""",
            [panel, bar],
        )
        assert not over, (width, over)
        sight.panel.get_by_role("button", name="Code for the search").click(trial=True)


def test_all_at_once_are_one_list_and_what_failed_is_named(sight: Sight) -> None:
    sight.search()
    answers = sight.panel.locator(".cubehub-cat-answers")
    expect(answers).to_contain_text("A <b>mirror</b>")  # as a text, not as its element
    alert = answers.get_by_role("alert")
    expect(alert).to_contain_text("One that is down")
    expect(alert.get_by_role("button", name="Try again")).to_be_visible()
    first = sight.rows.first
    expect(first).to_contain_text("This platform, A <b>mirror</b>")  # the same scene once, with its copy
    sight.picture("catalogue-all")
    open_to_all(sight)
    bar_is_below(sight)
    first.dblclick()
    copies = sight.panel.get_by_role("region", name="Item").get_by_role("button", name=re.compile("mirror"))
    copies.click()
    expect(copies).to_have_attribute("aria-pressed", "true")
    sight.picture("catalogue-item")
    open_to_all(sight)


def test_drawn_filtered_paged_picked_inserted_and_kept(sight: Sight) -> None:  # noqa: PLR0915 - one story
    page = sight.page
    only(sight, "This platform")
    # the box is drawn over all that the map shows: Europe
    sight.panel.get_by_role("button", name="Draw a box").click()
    box = sight.panel.locator(".cubehub-cat-map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 60, box["y"] + 20)  # beside the buttons for the zoom
    page.mouse.move(box["x"] + 100, box["y"] + 80, steps=3)
    page.mouse.click(box["x"] + box["width"] - 20, box["y"] + box["height"] - 20)
    expect(sight.panel.get_by_text("an area is set")).to_be_visible()
    sight.search()
    expect(sight.rows.first).to_be_visible()
    drawn = _count(sight)
    sight.panel.get_by_role("button", name="Everywhere").click()
    sight.search()
    assert _count(sight) > drawn > 0

    # clouds: the slider is the first of the filters
    filters = sight.unfold("Filters")
    slider = filters.get_by_role("slider").first
    slider.fill("10")
    sight.search()
    clear = _count(sight)
    slider.fill("100")
    sight.search()

    assert _count(sight) > clear > 0

    # the next pages come by scrolling
    sight.panel.get_by_role("listbox").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    expect(sight.panel.locator(".cubehub-cat-answers")).to_contain_text(
        re.compile(r"This platform\s*15 items$", re.MULTILINE)
    )
    shown = sight.panel.locator(".cubehub-cat-tall").evaluate("node => node.offsetHeight") // 68
    assert PAGE < shown == _count(sight)

    # two are picked by keyboard, put into the cart, and their code goes into a new notebook
    listed = sight.panel.get_by_role("listbox")
    listed.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    sight.panel.get_by_role("button", name="To the cart").click()
    expect(sight.panel.get_by_role("tab", name="Cart (2)")).to_be_visible()
    sight.panel.get_by_role("button", name="Insert code for 2 items").click()
    cell = page.locator(".jp-NotebookPanel .jp-Cell .cm-content").first
    expect(cell).to_contain_text("import")
    expect(sight.panel.get_by_text("Inserted.")).to_be_visible()
    sight.picture("catalogue-inserted")
    text = "\n".join(page.locator(".jp-NotebookPanel .jp-Cell .cm-line").all_inner_texts())
    assert SECRET not in text

    # inserted again, nothing that was typed is touched
    cell.click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# mine\n")
    sight.panel.get_by_role("button", name="Insert code for 2 items").click()
    expect(page.locator(".jp-NotebookPanel .jp-Cell")).to_have_count(2)
    expect(page.locator(".jp-NotebookPanel .jp-Cell .cm-content").first).to_contain_text("# mine")

    # kept, and still there after the page is loaded anew
    sight.panel.get_by_role("tab", name="Kept").click()
    sight.panel.get_by_label("Keep this search as").fill("Peipsi & <b>others</b>")
    sight.panel.get_by_role("button", name="Keep", exact=True).click()
    kept = sight.panel.get_by_role("tabpanel").locator("li", has_text="Peipsi & <b>others</b>")
    expect(kept).to_be_visible()
    open_to_all(sight)
    sight.picture("catalogue-kept")
    page.wait_for_timeout(1000)  # the form is written down a moment after its last change
    sight.open(reset=False)
    sight.panel.get_by_role("tab", name="Kept").click()
    kept.get_by_role("button", name="Search: Peipsi").click()
    expect(sight.rows.first).to_be_visible()
    part = sight.unfold("Catalogues")
    expect(part.locator("li", has_text="mirror").get_by_role("checkbox")).not_to_be_checked()
    sight.panel.get_by_role("tab", name="Cart (2)").click()
    sight.panel.get_by_role("button", name="Show these in the list").click()
    expect(sight.rows).to_have_count(2)


def test_numbers_over_the_antimeridian_by_keyboard_alone(sight: Sight) -> None:
    page = sight.page
    only(sight, "This platform")
    part = sight.unfold("Numbers, text, file or variable")
    part.get_by_label("West").focus()
    for number in ("170", "-80", "-170", "80"):
        page.keyboard.type(number)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Use these numbers
    expect(sight.panel.get_by_text("an area is set")).to_be_visible()
    sight.search()
    ids = _ids(sight)
    assert ids
    assert any("T01" in name or "T60" in name for name in ids), ids
    # what is no number is told where it stands
    part.get_by_label("West").fill("east")
    part.get_by_role("button", name="Use these numbers").click()
    expect(part.get_by_label("West")).to_have_attribute("aria-invalid", "true")
    expect(sight.panel.get_by_text("All four must be numbers")).to_be_visible()
    # and so is a time
    sight.panel.get_by_label("From", exact=True).fill("yesterday")
    sight.panel.get_by_role("button", name="Search", exact=True).click()
    expect(sight.panel.get_by_text("This is no time")).to_be_visible()
    expect(sight.panel.get_by_label("From", exact=True)).to_be_focused()
    open_to_all(sight)


def test_boxes_are_dragged_and_add_up(sight: Sight) -> None:
    """A dragged box does not drag the map away, and a second one may come beside it."""
    size = sight.panel.get_by_text("The area has")
    sight.panel.get_by_label("Add to the area that is set").check()
    _drag(sight, (0.9, 0.7), (0.6, 0.3))
    one = _km2(size.inner_text())
    _drag(sight, (0.2, 0.3), (0.4, 0.5))
    expect(size).not_to_contain_text(f"{one:,} km²")
    two = _km2(size.inner_text())
    assert two > one
    sight.picture("catalogue-boxes")
    sight.panel.get_by_label("Add to the area that is set").uncheck()
    _drag(sight, (0.9, 0.7), (0.6, 0.3))  # the map is where it was: the same box has the same size
    expect(size).not_to_contain_text(f"{two:,} km²")
    assert abs(_km2(size.inner_text()) - one) < one * 0.02
    # a box that goes the other way round the globe is told as such
    part = sight.unfold("Numbers, text, file or variable")
    for name, number in (("West", "10"), ("South", "-80"), ("East", "5"), ("North", "80")):
        part.get_by_label(name).fill(number)
    part.get_by_role("button", name="Use these numbers").click()
    expect(size).to_contain_text("97 % of the Earth. West is greater than east")
    # a lake is found by its name, with the keyboard alone
    sight.panel.get_by_label("Lake or sea").fill("Tartu")
    sight.page.keyboard.press("Enter")
    expect(sight.panel.get_by_text("No lake or sea of this name")).to_be_visible()
    sight.panel.get_by_label("Lake or sea").fill("peipsi")
    sight.page.keyboard.press("Enter")
    expect(sight.panel.get_by_text("The map shows Lake Peipus.")).to_be_visible()
    open_to_all(sight)
    sight.panel.get_by_role("button", name="What the map shows").click()
    expect(size).to_have_text(re.compile(r"has [\d,]+ km²\.$"))
    sight.picture("catalogue-lake")
    west, south, east, north = (
        float(part.get_by_label(name).input_value()) for name in ("West", "South", "East", "North")
    )
    assert 24 < west < 26.9
    assert 27.8 < east < 31
    assert 57 < south < 58.2
    assert 59 < north < 60


def test_no_key_is_in_the_page_its_storage_or_the_log(sight: Sight, lab: Lab) -> None:
    sight.search()
    expect(sight.rows.first).to_be_visible()
    page = sight.page
    stores = page.evaluate(
        "async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.documentElement.outerHTML, location.href])"
    )
    state = b"".join(file.read_bytes() for file in lab.home.rglob("*") if file.is_file())
    for place in (stores, lab.log.read_text(errors="replace"), state.decode(errors="replace")):
        assert SECRET not in place
    assert lab.token not in lab.log.read_text(errors="replace")


def test_a_link_searches_at_once_and_leaves_the_address(sight: Sight) -> None:
    query = {"collections": {}, "filter": None, "text": None, "aoi": None, "start": None, "end": None}
    said = json.dumps({"query": query, "catalogues": ["platform"]})
    sight.page.goto("about:blank")
    sight.page.goto(f"{sight.address}/lab#cubehub-search={quote(said, safe='')}")
    expect(sight.rows.first).to_be_visible()
    assert "cubehub-search" not in sight.page.url


@pytest.mark.parametrize("width", [1000, 1800])
def test_dark_and_in_czech(browser: Browser, lab: Lab, width: int) -> None:
    """What people choose in Lab's settings holds in the panel."""
    dark = lab.home / "config/lab/user-settings/@jupyterlab"
    files = {
        dark / "apputils-extension" / "themes.jupyterlab-settings": {"theme": "JupyterLab Dark"},
        dark / "translation-extension" / "plugin.jupyterlab-settings": {"locale": "cs_CZ"},
    }
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    try:
        with sight_of(browser, lab, width=width) as sight:
            sight.panel.get_by_role("button", name="Hledat", exact=True).click()
            expect(sight.rows.first).to_be_visible()
            sight.picture(f"catalogue-dark-cs-{width}")
            open_to_all(sight)
    finally:
        for file in files:
            file.unlink()


def _count(sight: Sight) -> int:
    """How many the panel says there are in all."""
    text = sight.panel.locator(".cubehub-cat-count").inner_text()
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    assert numbers, text
    return numbers[-1]


def _drag(sight: Sight, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a box between two places of the map, given as parts of its width and height."""
    sight.panel.get_by_role("button", name="Draw a box").click()
    box = sight.panel.locator(".cubehub-cat-map").bounding_box()
    assert box is not None
    ends = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    mouse = sight.page.mouse
    mouse.move(*ends[0])
    mouse.down()
    mouse.move(*ends[1], steps=5)
    mouse.up()
    expect(sight.panel.get_by_text("The area has")).to_be_visible()


def _km2(text: str) -> int:
    found = re.search(r"has ([\d,]+) km²", text)
    assert found, text
    return int(found[1].replace(",", ""))


def _ids(sight: Sight) -> list[str]:
    return [row.get_attribute("title") or "" for row in sight.rows.all()]
