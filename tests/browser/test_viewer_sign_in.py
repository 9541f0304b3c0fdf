"""Signing in in the viewer, with the real Keycloak: what comes into sight, and what leaves no trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from cubehub_tests.chromium import Window
    from playwright.sync_api import Page, Response

pytestmark = [pytest.mark.whole, pytest.mark.browser]

VIEWER = "/services/cubes/viewer/"
MEMBERS = "peipsi-demo-members"
ITS_TITLE = re.compile("Lake Peipsi 2024, members only")


def open_viewer(window: Window, link: str = "") -> Page:
    """Open the viewer as a newcomer does: past the privacy note, to the first tile."""
    page = window.page
    page.goto(f"{window.whole.url}{VIEWER}{link}")
    with page.expect_response(is_tile):
        page.get_by_role("button", name="Accept and continue").click()
    return page


def is_tile(answer: Response) -> bool:
    """Whether this is a map image that came."""
    return "/services/cubes/tiles/" in answer.url and answer.status == 200


def lists_cubes(answer: Response) -> bool:
    """Whether this is the list that the viewer shows."""
    return bool(re.search(r"/services/cubes/datasets(\?|$)", answer.url)) and answer.request.method == "GET"


def sign_in(window: Window, person: str) -> None:
    """Sign in by the viewer's own button; wait for the list that the viewer fetches then."""
    page = window.page
    page.get_by_role("button", name="User Profile").click()
    page.wait_for_url("**/realms/cubehub/**")

    def list_of_a_person(answer: Response) -> bool:
        return lists_cubes(answer) and "authorization" in answer.request.headers

    with page.expect_response(list_of_a_person) as listed:
        window.fill_login_form(person)
    # its content is gone from the browser when the page navigates; the menu shows what was in it
    assert listed.value.ok


def menu_of_cubes(page: Page) -> Any:
    """Open the list of cubes."""
    page.get_by_role("combobox").first.click()
    expect(page.get_by_role("option").first).to_be_visible()
    return page.get_by_role("option", name=ITS_TITLE)


@pytest.mark.parametrize("person", ["ana", "viktor"])
def test_a_person_signs_in_sees_the_members_cube_and_signs_out(window: Window, person: str) -> None:
    page = open_viewer(window)
    expect(menu_of_cubes(page)).to_have_count(0)
    page.keyboard.press("Escape")

    sign_in(window, person)
    expect(page).to_have_url(f"{window.whole.url}{VIEWER}")
    tiles: list[Response] = []
    page.on(
        "response", lambda answer: tiles.append(answer) if is_tile(answer) and MEMBERS in answer.url else None
    )
    menu_of_cubes(page).click()
    window.wait_until(
        lambda: any(len(tile.body()) > 1000 for tile in tiles), "the members' cube shows nothing", every_s=1
    )
    window.picture(f"11-viewer-signed-in-{person}")

    page.locator("[aria-controls=user-menu]").click()
    with page.expect_response(lambda answer: answer.request.is_navigation_request() and VIEWER in answer.url):
        page.get_by_role("menuitem", name="Log out").click()
    expect(page).to_have_url(f"{window.whole.url}{VIEWER}")
    expect(menu_of_cubes(page)).to_have_count(0)
    refused = page.request.get(tiles[0].url)
    assert refused.status == 404


def test_a_link_to_a_cube_for_members_is_kept_through_the_sign_in(window: Window) -> None:
    link = f"?dataset={MEMBERS}&variable=conc_tsm"
    page = open_viewer(window, link)
    sign_in(window, "viktor")
    expect(page).to_have_url(f"{window.whole.url}{VIEWER}{link}")
    expect(page.get_by_role("combobox").first).to_contain_text(ITS_TITLE, timeout=30_000)
    expect(page.get_by_role("combobox").nth(1)).to_contain_text("Total suspended matter")
    window.picture("12-viewer-link-after-sign-in")


def test_a_sign_in_leaves_no_code_in_address_history_or_logs(window: Window) -> None:
    page = open_viewer(window)
    addresses: list[str] = []
    page.on("framenavigated", lambda frame: addresses.append(frame.url))
    referrers: list[str] = []
    page.on("request", lambda request: referrers.append(request.headers.get("referer", "")))
    sign_in(window, "ana")
    expect(page).to_have_url(f"{window.whole.url}{VIEWER}")
    codes = {found[1] for address in addresses if (found := re.search(r"[?&]code=([^&]+)", address))}
    assert len(codes) == 1
    code = codes.pop()
    assert not [referrer for referrer in referrers if code in referrer]
    assert not [
        file.name
        for file in (window.whole.data / "logs").glob("*.log")
        if code in file.read_text(errors="replace")
    ]

    # An address from elsewhere with an old code in it: the viewer opens as ever, and the address is tidied
    page.goto(f"{window.whole.url}{VIEWER}?state=old&session_state=old&code={code}")
    expect(page.locator("canvas").first).to_be_visible()
    expect(page).to_have_url(f"{window.whole.url}{VIEWER}")
