"""What a person is told about their server in Lab and Notebook 7: memory, news, and why a kernel was stopped."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from cubehub_tests.chromium import open_window
from cubehub_tests.lab import (
    ALLOCATE,
    TRY,
    enter_lab,
    expect_output,
    new_notebook,
    run_in_new_cell,
    wait_for_idle,
)
from cubehub_tests.lab import MEMORY_ITEM as ITEM
from cubehub_tests.platform import MIB, STANDARD
from cubehub_tests.realm import in_group, suspended, without_group
from cubehub_tests.servers import Account
from playwright.sync_api import expect

if TYPE_CHECKING:
    from cubehub_tests.chromium import Window
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.whole, pytest.mark.browser]
ASKED = re.compile(r"/cubehub/account/status(\?.*)?$")


def used_mib(window: Window) -> float:
    """Read the use off the item."""
    item = window.page.locator(ITEM)
    expect(item).to_contain_text(
        re.compile(r"RAM [\d.]+")
    )  # on a busy machine the first figure takes a moment
    text = item.inner_text()
    found = re.search(r"RAM ([\d.]+)", text)
    assert found, text
    return float(found[1])


def open_to_all(window: Window, *selectors: str) -> None:
    """Look for what shuts somebody out, in our own parts of the page."""
    found = Axe().run(window.page, context={"include": [[selector] for selector in selectors]})
    assert found.violations_count == 0, found.generate_report()


def test_the_item_shows_the_whole_server_against_its_limit(window: Window, ana: Account) -> None:
    ana.stop()
    enter_lab(window, "ana")
    page = window.page
    item = page.locator(ITEM)
    expect(item).to_contain_text(re.compile(r"RAM [\d.]+ / 768 MiB · Standard"))
    expect(item).to_have_attribute("aria-label", re.compile("Memory of your whole server: .* of 768 MiB"))
    before = used_mib(window)
    new_notebook(window)
    run_in_new_cell(window, "block = bytearray(200 << 20); block[::4096] = b'x' * len(block[::4096])")
    window.wait_until(lambda: used_mib(window) > before + 150, "the item follows what a cell allocates")
    # the keyboard alone opens and closes the details
    item.focus()
    page.keyboard.press("Enter")
    details = page.get_by_role("dialog", name="Your server")
    expect(details).to_contain_text(re.compile("Home folder.* of 1 GiB"))
    expect(details).to_contain_text("Standard")
    expect(details.get_by_role("link")).to_have_attribute("href", "/hub/home")
    window.picture("account-details")
    page.keyboard.press("Tab")
    expect(details.get_by_role("button", name="What fills my home")).to_be_focused()
    page.keyboard.press("Tab")
    with page.expect_response(ASKED):
        pass
    expect(details.get_by_role("link")).to_be_focused()  # new numbers do not take the focus away
    page.keyboard.press("Escape")
    expect(details).to_have_count(0)
    expect(item).to_be_focused()
    # turning to something else closes them too, and the keyboard stays there
    item.click()
    expect(details).to_be_visible()
    page.locator(".jp-NotebookPanel .jp-Cell .cm-content").last.click()
    expect(details).to_have_count(0)
    run_in_new_cell(window, "more = bytearray(330 << 20); more[::4096] = b'x' * len(more[::4096])")
    expect(
        page.locator('.cubehub-memory[data-level="high"], .cubehub-memory[data-level="full"]')
    ).to_be_visible()
    window.picture("account-almost-full")


def said_once(window: Window) -> None:
    """See that what was shown before is not shown again, after the server told all it has to tell."""
    with window.page.expect_response(ASKED) as answer:
        pass
    assert [notice["seen"] for notice in answer.value.json()["notices"]] == [True]
    expect(window.page.locator(".Toastify__toast")).to_have_count(0)


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_item_and_details_shut_nobody_out(window: Window, ana: Account, theme: str) -> None:
    ana.start()
    setting = "/user/ana/lab/api/settings/@jupyterlab/apputils-extension:themes"
    ana.api.put(setting, json={"raw": json.dumps({"theme": theme})}).raise_for_status()
    try:
        enter_lab(window, "ana")
        light = "true" if "Light" in theme else "false"
        expect(window.page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        open_to_all(window, ".cubehub-memory")  # also while it knows nothing yet
        expect(window.page.locator(ITEM)).to_contain_text("768 MiB")
        window.page.locator(ITEM).click()
        expect(window.page.get_by_role("dialog", name="Your server")).to_be_visible()
        open_to_all(window, ".cubehub-memory", ".cubehub-memory-details")
        window.picture(f"account-{theme.rpartition(' ')[2].lower()}")
    finally:
        ana.api.put(setting, json={"raw": "{}"}).raise_for_status()


def test_premium_arrives_in_the_notebook_that_runs(window: Window, ana: Account, browser: Browser) -> None:
    ana.stop()
    enter_lab(window, "ana")
    page = window.page
    new_notebook(window)
    run_in_new_cell(window, "kept = 'since before the move'; " + TRY.format(mib=STANDARD // MIB + 150))
    expect_output(window, re.compile(r"status (?!0)"))
    with in_group(ana.whole, "ana", "/cubehub/premium"):
        notice = page.locator(".Toastify__toast").filter(has_text="Your memory limit is now 1.4 GiB")
        expect(notice.first).to_be_visible()
        expect(page.locator(ITEM)).to_contain_text("/ 1.4 GiB · Premium")
        run_in_new_cell(window, "print(kept); " + TRY.format(mib=STANDARD // MIB + 150))
        expect_output(window, re.compile(r"since before the move\s+status 0"))
        window.picture("account-premium-now")
        page.reload()
        expect(page.locator(ITEM)).to_contain_text("/ 1.4 GiB · Premium")
        said_once(window)
        with open_window(browser, ana.whole) as elsewhere:
            enter_lab(elsewhere, "ana")
            expect(elsewhere.page.locator(ITEM)).to_contain_text("/ 1.4 GiB · Premium")
            said_once(elsewhere)
    expect(page.locator(ITEM)).to_contain_text("/ 768 MiB · Standard")


def told_about(window: Window, text: str) -> None:
    """See a notice in the corner, whole."""
    notice = window.page.locator(".Toastify__toast").filter(has_text=text)
    expect(notice.first).to_be_visible()
    expect(notice.first).not_to_contain_text("…")


def test_a_stop_that_is_coming_is_said_first_and_again_on_each_page(window: Window, petra: Account) -> None:
    petra.stop()
    enter_lab(window, "petra")
    page = window.page
    new_notebook(window)
    mib = STANDARD // MIB + 150
    run_in_new_cell(window, f"block = bytearray({mib} << 20); block[::4096] = b'x' * len(block[::4096])")
    window.wait_until(lambda: used_mib(window) < 10 or used_mib(window) > mib, "it is in use")
    with (
        in_group(petra.whole, "petra", "/cubehub/standard"),
        without_group(petra.whole, "petra", "/cubehub/premium"),
    ):
        said = re.compile(
            r"This server will be stopped at .* UTC, unless it uses less than 768 MiB by then\."
        )
        told_about(window, "This server will be stopped at")
        notice = page.locator(".Toastify__toast").filter(has_text=said)
        notice.get_by_role("button", name="More").click()
        dialogue = page.locator(".jp-Dialog")
        expect(dialogue).to_contain_text("Your profile is now Standard (768 MiB)")
        expect(dialogue).to_contain_text("Close notebooks until less than 768 MiB is used")
        window.picture("account-stop-coming")
        open_to_all(window, ".jp-Dialog")
        page.keyboard.press("Enter")
        expect(dialogue).to_have_count(0)
        page.reload()
        expect(page.locator(ITEM)).to_contain_text("Premium")
        expect(notice).to_have_count(1)
        wait_for_idle(window)  # the notebook takes the focus when it comes back, which closes the box
        page.locator(ITEM).click()
        details = page.get_by_role("dialog", name="Your server")
        expect(details).to_contain_text(
            re.compile(r"Coming\s*768 MiB \(Standard\) by .* UTC; the server is stopped")
        )
        open_to_all(window, ".cubehub-memory-details")
        window.picture("account-stop-coming-details")
        page.keyboard.press("Escape")
    expect(page.locator(".Toastify__toast").filter(has_text="This server keeps its 1.4 GiB")).to_be_visible()
    expect(notice).to_have_count(0)  # what does not hold any more goes
    page.reload()
    expect(page.locator(ITEM)).to_contain_text("Premium")
    wait_for_idle(window)
    page.locator(ITEM).click()
    expect(details).to_be_visible()
    expect(details.get_by_text("Coming")).to_be_hidden()
    petra.stop()


def test_the_end_of_a_lent_profile_is_shown(window: Window, ana: Account) -> None:
    ana.stop()
    enter_lab(window, "ana")
    expect(window.page.locator(ITEM)).to_contain_text("768 MiB · Standard")
    try:
        ana.whole.run("users", "move", "ana", "premium", "--until", "2w", "--json")
        told_about(window, "(profile Premium until")
        window.page.reload()
        expect(window.page.locator(ITEM)).to_contain_text("1.4 GiB · Premium")
        told_about(window, "You have your profile until")
        window.page.reload()  # weeks may pass: once more is enough
        with window.page.expect_response(ASKED):
            pass
        expect(window.page.locator(ITEM)).to_contain_text("1.4 GiB · Premium")
        expect(window.page.locator(".Toastify__toast")).to_have_count(0)
        window.page.locator(ITEM).click()
        details = window.page.get_by_role("dialog", name="Your server")
        expect(details).to_contain_text(
            re.compile(r"Profile until\s*\d\d \w+ \d+ \d\d:\d\d UTC, then Standard")
        )
        window.picture("account-lent")
    finally:
        ana.whole.run("users", "move", "ana", "standard", "--json")
    expect(window.page.locator(ITEM)).to_contain_text("768 MiB · Standard")
    expect(details.get_by_text("Profile until")).to_be_hidden()


def test_a_kernel_that_ran_out_is_explained_in_place_of_labs_guess(window: Window, ana: Account) -> None:
    ana.start()
    enter_lab(window, "ana")
    page = window.page
    new_notebook(window)
    run_in_new_cell(window, ALLOCATE.format(mib=STANDARD // MIB + 100))
    dialogue = page.locator(".jp-Dialog")
    expect(dialogue.filter(has_text="Out of memory")).to_be_visible(timeout=120_000)
    expect(dialogue).to_contain_text(re.compile(r"The kernel of Untitled\d*.ipynb was stopped"))
    expect(dialogue).to_contain_text("memory limit of 768 MiB (profile Standard)")
    expect(dialogue).to_contain_text("ask your administrator")
    expect(dialogue.filter(has_text="appears to have died")).to_have_count(0)
    window.picture("account-out-of-memory")
    open_to_all(window, ".jp-Dialog")
    page.keyboard.press("Enter")
    expect(dialogue).to_have_count(0)
    expect_output(window, re.compile("reached its memory limit of 768 MiB"))
    wait_for_idle(window)
    # any other end keeps Lab's own words
    run_in_new_cell(window, "import os; os._exit(3)")
    expect(dialogue.filter(has_text="appears to have died")).to_be_visible(timeout=60_000)
    page.keyboard.press("Enter")


def test_notebook_7_says_the_same(window: Window, ana: Account) -> None:
    ana.stop()
    ana.start()
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}},
        "cells": [],
    }
    content = {"type": "notebook", "content": notebook}
    ana.api.put("/user/ana/api/contents/flood.ipynb", json=content).raise_for_status()
    enter_lab(window, "ana")
    page = window.page
    window.open("/user/ana/tree")
    item = page.locator(ITEM)
    expect(item).to_contain_text(re.compile(r"RAM [\d.]+ / 768 MiB · Standard"))
    window.picture("account-notebook-7")
    window.open("/user/ana/notebooks/flood.ipynb")
    run_in_new_cell(window, "'kernel ' + 'answers'")
    expect_output(window, "kernel answers")
    expect(item).to_contain_text("768 MiB")
    item.press("Enter")
    expect(page.get_by_role("dialog", name="Your server")).to_be_in_viewport(ratio=1)
    open_to_all(window, ".cubehub-memory", ".cubehub-memory-details")
    window.picture("account-notebook-7-details")
    page.keyboard.press("Escape")
    with in_group(ana.whole, "ana", "/cubehub/premium"):
        notice = page.locator(".Toastify__toast").filter(has_text="Your memory limit is now 1.4 GiB")
        expect(notice.first).to_be_visible()
        expect(item).to_contain_text("/ 1.4 GiB · Premium")
    expect(item).to_contain_text("/ 768 MiB · Standard")
    run_in_new_cell(window, ALLOCATE.format(mib=STANDARD // MIB + 100))
    dialogue = page.locator(".jp-Dialog")
    expect(dialogue.filter(has_text="Out of memory")).to_be_visible(timeout=120_000)
    expect(dialogue).to_contain_text("The kernel of flood.ipynb was stopped")
    expect(dialogue.filter(has_text="appears to have died")).to_have_count(0)
    window.picture("account-notebook-7-out-of-memory")
    page.keyboard.press("Enter")
    expect(dialogue).to_have_count(0)


def test_a_kernel_without_a_notebook_on_the_page_is_told_of_too(window: Window, ana: Account) -> None:
    ana.start()
    enter_lab(window, "ana")
    with ana.kernel() as kernel:
        kernel.run(
            ALLOCATE.format(mib=STANDARD // MIB + 100),
            check=False,
        )
        notice = window.page.locator(".Toastify__toast").filter(has_text="The kernel was stopped")
        expect(notice).to_contain_text("memory limit of 768 MiB")


def test_a_server_that_was_stopped_is_not_shown_as_alive(window: Window, ana: Account) -> None:
    """Nothing has ended but the server, so nobody is told that their access has."""
    ana.start()
    enter_lab(window, "ana")
    item = window.page.locator(ITEM)
    expect(item).to_contain_text("768 MiB")
    ana.stop()
    expect(item).to_have_text("Server stopped")
    expect(item).to_have_attribute("aria-label", re.compile("files are kept"))
    window.picture("account-stopped")
    dialogue = window.page.locator(".jp-Dialog")
    expect(dialogue).to_contain_text("Your server at /user/ana/ is not running")  # Lab's own words
    dialogue.get_by_role("button", name="Dismiss").click()
    ana.start()
    expect(dialogue).to_contain_text("Your server was started anew")
    expect(dialogue.filter(has_text="access was ended")).to_have_count(0)
    dialogue.get_by_role("button", name="Load the page anew").click()
    expect(item).to_contain_text("768 MiB")


def test_who_is_suspended_is_told_so(window: Window, petra: Account) -> None:
    petra.stop()
    enter_lab(window, "petra")
    expect(window.page.locator(ITEM)).to_be_visible()

    def ends() -> int:
        return petra.whole.log("hub").count("200 POST /hub/api/cubehub/users/petra/apply")

    before = ends()
    with suspended(petra.whole, "petra"):
        end = window.page.locator(".jp-Dialog").filter(has_text="Your access was ended")
        expect(end).to_be_visible(timeout=90_000)
        expect(end).to_contain_text("Your account is suspended")
        expect(end).to_contain_text("files are kept")
        window.picture("account-suspended")
        open_to_all(window, ".jp-Dialog")
        end.get_by_role("button", name="Stay on this page").click()
        expect(window.page.locator(ITEM)).to_have_text("Access ended")
    petra.close()
    fresh = Account.login(petra.whole, "petra")
    petra.api, petra.visitor = fresh.api, fresh.visitor
    window.wait_until(lambda: ends() > before, "the end is complete")
    assert petra.model["name"] == "petra", (
        "who is let in again while servers are still being stopped stays in"
    )
