"""The storage pages at a phone's width, with names as long as people give: no way sideways, nobody shut out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from cubehub.storage import service
from cubehub.storage.service.access import HEADERS
from cubehub_tests.chromium import PICTURES
from cubehub_tests.storage_stand_in import GIB, MINE
from jinja2 import Environment, PackageLoader
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.browser]
BASE = "http://127.0.0.1:9/services/storage"
"""Where nobody listens: all answers are from here."""
LONG = "data/2026/olci-water-quality-of-lake-peipsi-and-võrtsjärv-" + "x" * 90 + "/scene.nc"
WHEN = "2026-11-27T02:10:00Z"
STATIC = Path(service.__file__).with_name("static")
PERSON: dict[str, Any] = MINE | {
    "noticed": [{"path": LONG, "kind": "large", "reason": "a large file that nobody used for long", "bytes": 21 * GIB, "when": "2026-12-10", "notice": 1}],
    "away": [{**MINE["away"][0], "path": LONG}],
    "kept": [{"path": LONG, "until": "2027-02-01", "by": "you"}],
}  # fmt: skip
INSIDE = {
    "entries": [
        {"path": "a.ipynb", "bytes": 7, "folder": False},
        {"path": LONG, "bytes": GIB, "folder": True},
    ]
}
HOME = "a-person-with-a-long-name-from-the-institute-of-ecology"
EVERYBODY: dict[str, Any] = {
    "policy": {"preset": "university", "automatic": False, "archive": True},
    "fill": [{"at": f"2026-11-2{day}T02:10:00Z", "bytes": day * GIB, "homes": 2, "files": 9} for day in (5, 6, 7)],
    "homes": [
        {"name": name, "bytes": 4 * GIB, "files": 12_345_678, "newest": 1_764_000_000, "caches": GIB, "unread": 0}
        for name in ("ana", HOME)
    ],
    "away": [
        {"number": 3, "run": 1, "home": HOME, "path": LONG, "kind": "scratch", "bytes": GIB, "since": WHEN, "state": "archived", "archived": True}
    ],
    "stuck": [
        {"number": 2, "home": HOME, "path": LONG, "bytes": GIB, "since": WHEN, "why": "Input/output error"}
    ],
    "sums": {"noticed": GIB, "quarantined": GIB, "archived": 0, "freed": 7 * GIB},
    "noticed": 1, "kept": [], "running": None, "paused": None, "trouble": None,
    "mails": [
        {"at": WHEN, "to": f"{HOME}@example.org", "subject": f"{LONG} will be moved away", "body": f"Hello,\n{LONG}", "state": "waiting", "said": ""}
    ],
    "rounds": [
        {"started": WHEN, "ended": WHEN, "by": "schedule", "outcome": "done", "told": {"homes": 2, "bytes": 4 * GIB, "unchanged": 1, "mails": 1, "sent": 1, "mails_waiting": 0}}
    ],
    "undo": {"run": 1, "at": WHEN, "entries": 1, "bytes": GIB},
}  # fmt: skip
PLAN: dict[str, Any] = {
    "at": WHEN, "scanned": WHEN, "people": "", "count": 1, "bytes": GIB, "plan": "home,path\nx,y\n",
    "by_kind": [{"kind": "scratch", "bytes": GIB}],
    "excess": [{"home": HOME, "per_cent": 80.0, "allowed": 50.0}],
    "entries": [{"home": HOME, "path": LONG, "about": "files for a while, in a folder that is meant for such", "bytes": GIB, "last_used": WHEN, "waits": "its owner was not told yet"}],
}  # fmt: skip
ANSWERS = {"/api/mine": PERSON, "/api/mine/inside": INSIDE, "/api/admin": EVERYBODY, "/api/admin/plan": PLAN}
PAGES = {
    "": ("mine.html", {"name": "ana", "administrator": True}),
    "admin": ("admin.html", {"name": "adam"}),
}  # fmt: skip


def answer(route: Route) -> None:
    path = route.request.url.removeprefix(BASE).partition("?")[0]
    if (content := ANSWERS.get(path)) is not None:
        route.fulfill(json=content)
    elif path.startswith("/static/"):
        route.fulfill(path=STATIC / path.removeprefix("/static/"), headers=HEADERS | _kind(path))
    elif (page := PAGES.get(path.strip("/"))) is not None:
        pages = Environment(loader=PackageLoader("cubehub.storage.service"), autoescape=True)
        text = pages.get_template(page[0]).render(prefix="/services/storage", platform="CubeHub", **page[1])
        route.fulfill(body=text, headers=HEADERS | {"Content-Type": "text/html; charset=utf-8"})
    else:
        route.fulfill(status=404, body="")


def _kind(path: str) -> dict[str, str]:
    return {"Content-Type": "text/css" if path.endswith(".css") else "text/javascript"}


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB", timezone_id="UTC")
    page = context.new_page()
    page.route("**/*", answer)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert wrong == []


def fits(page: Page, name: str) -> None:
    """Nothing leads sideways, nothing is cut, and axe finds nothing."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    out = page.evaluate(
        """() => [...document.querySelectorAll('body, body *')].filter(one => {
          const box = one.getBoundingClientRect();
          return !one.closest('svg, thead') && box.width && (box.right > 390.5 || box.left < -0.5 || one.scrollWidth > 391);
        }).map(one => `${one.tagName} ${one.textContent.slice(0, 60)}`)"""
    )
    assert out == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_persons_page_on_a_phone(phone: Page) -> None:
    phone.goto(f"{BASE}/")
    expect(phone.locator("#kept")).to_contain_text("No longer")
    phone.get_by_text("As a table").click()
    phone.get_by_role("button", name="One file of").click()
    expect(phone.locator("#away .inside")).to_contain_text("a.ipynb")
    fits(phone, "storage-phone-mine")
    # what is laid out in blocks is a table still
    table = phone.get_by_role("table").last
    assert table.get_by_role("columnheader").all_text_contents() == ["Place", "Until", "By", "Do"]
    assert (
        phone.locator("#kept td").nth(1).evaluate("one => getComputedStyle(one, '::before').content")
        == '"Until"'
    )


def test_the_administrators_page_on_a_phone(phone: Page) -> None:
    phone.goto(f"{BASE}/admin")
    expect(phone.locator("#mails")).to_contain_text("waiting")
    expect(phone.get_by_text("To be removed, and still there")).to_be_visible()
    expect(phone.get_by_text("Input/output error")).to_be_visible()
    phone.get_by_role("button", name="Plan", exact=True).click()
    expect(phone.locator("#plan")).to_contain_text("its owner was not told yet")
    expect(phone.get_by_label("Choose all")).to_be_visible()
    phone.locator("#mails summary").click()
    expect(phone.locator("#rounds")).to_contain_text("1 unchanged")
    fits(phone, "storage-phone-admin")


def test_on_a_desk_a_table_has_columns(phone: Page) -> None:
    phone.set_viewport_size({"width": 1280, "height": 900})
    phone.goto(f"{BASE}/admin")
    expect(phone.locator("#homes")).to_contain_text("12,345,678")
    heads = phone.locator("#homes th")
    tops = {box["y"] for box in (heads.nth(at).bounding_box() for at in range(6)) if box}
    assert len(tops) == 1
    assert not phone.locator("#homes td").first.evaluate(
        "one => getComputedStyle(one, '::before').content !== 'none'"
    )
