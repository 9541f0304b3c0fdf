"""The ways of two people through the life of what is put away: the person's in Lab, the administrator's on the page."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from cubehub.storage import journal
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub_tests.chromium import open_window
from cubehub_tests.lab import enter_lab
from cubehub_tests.people import Visitor
from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from cubehub_tests.chromium import Window
    from cubehub_tests.platform import Whole
    from cubehub_tests.servers import Account
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.whole, pytest.mark.browser]
OLD = 1_600_000_000
PANEL = ".cubehub-home"
NOTEBOOK = {
    "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["Chlorophyll in May"]}],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def put(whole: Whole, person: str, path: str, text: str) -> Path:
    """A file in a home that nobody has used for years, as its owner would have made it."""
    home = whole.folder.homes / person
    owner = home.stat()
    file = home / path
    made = [folder for folder in (file.parent, *file.parent.parents) if not folder.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for one in (*made, file):
        os.chown(one, owner.st_uid, owner.st_gid)
    os.utime(file, (OLD, OLD))
    return file


def long_after(whole: Whole, person: str) -> None:
    """Let a start be long ago: for a quarter of an hour after one the keeper leaves the home, whatever runs."""
    note = whole.folder.homes / f".{person}.starting"
    os.utime(note, (note.stat().st_atime, time.time() - 3600))


def look_again(panel: Locator) -> None:
    panel.get_by_role("button", name="Look again").click()


def open_to_all(window: Window, selector: str) -> None:
    """Look for what shuts somebody out."""
    found = Axe().run(window.page, context={"include": [[selector]]})
    assert found.violations_count == 0, found.generate_report()


def test_told_kept_told_again_put_away_and_one_notebook_back(  # noqa: PLR0915 - one story
    whole: Whole, window: Window, ana: Account
) -> None:
    ana.stop()
    enter_lab(window, "ana")
    page = window.page
    notebook = put(whole, "ana", "scratch/lake/peipsi.ipynb", json.dumps(NOTEBOOK))
    put(whole, "ana", "scratch/lake/big.nc", "x" * 3_000_000)

    def round_() -> None:
        whole.run("storage", "run")

    round_()
    page.get_by_role("menuitem", name="View", exact=True).click()
    page.get_by_role("menuitem", name="What Fills My Home").click()
    panel = page.locator(PANEL)
    noticed = panel.locator("section", has_text="Going to be cleaned up").locator("li")
    expect(noticed).to_contain_text("scratch/lake")
    window.picture("storage-lab-noticed")
    open_to_all(window, PANEL)

    # kept: later rounds leave it alone
    noticed.get_by_role("button", name=re.compile("Keep 90 days")).click()
    expect(noticed).to_have_count(0)
    kept = panel.locator("section", has_text="Kept").locator("li")
    expect(kept).to_contain_text("scratch/lake")
    round_()
    assert json.loads(whole.run("storage", "plan", "--json").stdout)["entries"] == []

    # let go: told from the beginning, twice, and then it is put away once no server runs
    kept.get_by_role("button", name=re.compile("No longer keep")).click()
    expect(kept).to_have_count(0)
    round_()
    look_again(panel)
    expect(noticed).to_contain_text("scratch/lake")
    time.sleep(2.5)
    round_()
    time.sleep(2.5)
    plan = whole.scratch / "plan.csv"  # type: ignore[operator]
    whole.run("storage", "plan", str(plan))
    assert "a server of its owner runs" in whole.run("storage", "apply", str(plan)).stdout
    assert notebook.exists()
    ana.stop()
    long_after(whole, "ana")
    assert "1 entry moved into quarantine" in whole.run("storage", "apply", str(plan)).stdout
    assert not notebook.exists()
    assert "1 entry archived" in whole.run("storage", "archive").stdout
    time.sleep(1.1)
    assert "1 entry removed" in whole.run("storage", "purge", "--yes").stdout
    mails = json.loads(whole.run("storage", "mails", "--json").stdout)
    topics = [mail["topic"].removeprefix("storage-") for mail in mails if mail["username"] == "ana"]
    assert topics == ["moved", "second", "first", "first"], "the newest first"

    # back from the archive: one notebook, which opens; what else is coming is said in the corner
    coming = put(whole, "ana", "scratch/next/c.nc", "x")
    round_()
    ana.start()
    window.open("/user/ana/lab?reset")
    expect(page.locator(".Toastify")).to_contain_text("~/scratch/next will be moved away from")
    window.picture("storage-lab-notice")
    page.get_by_role("menuitem", name="View", exact=True).click()
    page.get_by_role("menuitem", name="What Fills My Home").click()
    away = panel.locator("section").filter(has=page.get_by_role("heading", name="Moved away")).locator("li")
    expect(away).to_contain_text("scratch/lake")
    away.get_by_role("button", name=re.compile("Restore a file")).click()
    expect(away.get_by_role("option")).to_have_count(2)
    # a wrong name is told beside the field, before anybody is asked
    field = away.get_by_label("File or folder to bring back")
    for typed, why in (
        ("", "choose one from the list"),
        ("../x", "does not work here"),
        ("võrts.nc", "no “võrts.nc” in it"),
    ):
        field.fill(typed)
        away.get_by_role("button", name="Restore this").click()
        expect(away.get_by_role("alert")).to_contain_text(why)
        assert field.get_attribute("aria-invalid") == "true"
        expect(away.get_by_role("option")).to_have_count(2)
    window.picture("storage-lab-restore-wrong")
    open_to_all(window, PANEL)
    field.fill("pei")
    expect(away.get_by_role("alert")).to_have_count(0)
    away.get_by_label("Choose from what is in it").select_option("peipsi.ipynb")
    window.picture("storage-lab-restore")
    away.get_by_role("button", name="Restore this").click()
    expect(panel).to_contain_text(re.compile("scratch/lake/peipsi.ipynb"))
    window.wait_until(notebook.exists, "the notebook is back")
    assert not (notebook.parent / "big.nc").exists()
    window.open("/user/ana/lab/tree/scratch/lake/peipsi.ipynb")
    expect(page.locator(".jp-NotebookPanel .jp-Notebook")).to_contain_text("Chlorophyll in May")
    window.picture("storage-lab-restored")
    shutil.rmtree(coming.parent)  # nobody else's tests are about it


def log_in(window: Window, name: str, path: str) -> None:
    window.open(path)
    window.page.get_by_role("link", name=re.compile("Keycloak|Log ?in|Sign in")).or_(
        window.page.locator("#username")
    ).first.wait_for()
    if not window.page.locator("#username").count():
        window.page.get_by_role("link", name=re.compile("Keycloak|Log ?in|Sign in")).first.click()
    window.fill_login_form(name)
    window.page.wait_for_url(f"**{path}")


def hold_and_release(whole: Whole, page: Page) -> None:
    page.get_by_role("button", name="Hold the home petra").click()
    expect(page.get_by_role("button", name="Release the home petra")).to_be_visible()
    # what is held in a home is released by itself
    whole.run("storage", "hold", "petra", "scratch/a")
    page.reload()
    page.get_by_role("button", name="Release petra/scratch/a").click()
    expect(page.locator("#said")).to_contain_text("petra/scratch/a goes by the policy again")
    expect(page.get_by_role("button", name="Release the home petra")).to_be_visible()
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.locator("#plan")).to_contain_text("Nothing would be moved")
    page.get_by_role("button", name="Release the home petra").click()
    expect(page.locator("#said")).to_contain_text("petra goes by the policy again")


def test_an_administrator_plans_for_a_day_cuts_applies_and_undoes(
    whole: Whole, browser: Browser, petra: Account
) -> None:
    petra.start()  # she has a home then
    petra.stop()
    long_after(whole, "petra")
    files = [put(whole, "petra", f"scratch/{name}/data.nc", name * 100_000) for name in ("a", "b")]
    for _ in range(3):
        whole.run("storage", "run")
        time.sleep(2.2)
    with open_window(browser, whole) as window:
        page = window.page
        log_in(window, "adam", "/services/storage/admin")
        expect(page.locator("#sums")).to_contain_text("All homes")
        expect(page.locator("#mails")).to_contain_text("petra")
        window.picture("storage-admin")
        open_to_all(window, "body")
        # what if nobody came back?
        page.locator("#by").fill("2037-01-01")
        page.get_by_role("button", name="Plan", exact=True).click()
        plan = page.locator("#plan")
        expect(plan).to_contain_text("2037-01-01")
        expect(plan).to_contain_text("whole home")
        expect(plan.get_by_role("button", name=re.compile("into quarantine"))).to_be_disabled()
        window.picture("storage-admin-what-if")
        # today
        page.locator("#by").fill("")
        page.get_by_role("button", name="Plan", exact=True).click()
        expect(plan.get_by_label("Move petra/scratch/a")).to_be_checked()
        plan.get_by_label("Move petra/scratch/b").uncheck()
        expect(plan).to_contain_text("1 entry chosen")
        window.picture("storage-admin-plan")
        plan.get_by_role("button", name=re.compile("into quarantine")).click()
        expect(page.locator("#said")).to_contain_text("1 entry moved into quarantine")
        assert [file.exists() for file in files] == [False, True]
        away = page.locator("#away")
        expect(away).to_contain_text("petra/scratch/a")
        window.picture("storage-admin-applied")
        away.get_by_role("button", name=re.compile("put back all")).click()
        expect(page.locator("#said")).to_contain_text("1 entry put back")
        assert [file.exists() for file in files] == [True, True]
        hold_and_release(whole, page)
        # a pause, a round by hand
        page.get_by_role("button", name=re.compile("make no more rounds")).click()
        expect(page.locator("#rounds")).to_contain_text("Paused by adam")
        page.get_by_role("button", name=re.compile("make rounds again")).click()
        expect(page.locator("#said")).to_contain_text("Rounds are made again")
        page.get_by_role("button", name="Begin a round").click()
        expect(page.locator("#rounds table")).to_contain_text("adam")
        expect(page.locator("#rounds tr", has_text="adam").first).to_contain_text("done")
        window.picture("storage-admin-rounds")


def test_whoever_has_the_mail_keeps_and_nobody_else_gets_in(
    whole: Whole, browser: Browser, petra: Account
) -> None:
    petra.start()
    petra.stop()
    put(whole, "petra", "scratch/mail/data.nc", "x" * 100_000)
    whole.run("storage", "run")
    mails = json.loads(whole.run("storage", "mails", "--json").stdout)
    mail = next(one for one in mails if one["username"] == "petra" and "scratch/mail" in one["body"])
    link = re.search(r"https?://\S+/keep/\S+", mail["body"])[0]  # type: ignore[index]
    with open_window(browser, whole) as window:
        page = window.page
        page.goto(link)
        expect(page.locator("main")).to_contain_text("~/scratch/mail")
        window.picture("storage-keep")
        open_to_all(window, "body")
        page.get_by_role("button", name="Keep for 90 days").click()
        expect(page.locator("h1")).to_contain_text("Kept for 90 days")
        page.goto(f"{link[:-4]}0000")
        expect(page.locator("main")).to_contain_text("not one of ours")
        # her own page, and not everybody's
        log_in(window, "petra", "/services/storage/")
        expect(page.locator("#kept")).to_contain_text("scratch/mail")
        expect(page.locator("#map svg")).to_be_visible()
        window.picture("storage-mine")
        open_to_all(window, "body")
        window.open("/services/storage/admin")
        expect(page.locator("main")).to_contain_text("This is for administrators")
    assert json.loads(whole.run("storage", "plan", "--json").stdout)["entries"] == [] or all(
        "scratch/mail" not in one["path"]
        for one in json.loads(whole.run("storage", "plan", "--json").stdout)["entries"]
    )


def test_whoever_comes_back_finds_the_home_that_was_put_away(whole: Whole, petra: Account) -> None:
    """As an idle home is: two mails and a year are left out here, the keeper is not."""
    petra.start()
    petra.stop()
    file = put(whole, "petra", "work/years.ipynb", json.dumps(NOTEBOOK))
    long_after(whole, "petra")
    home = whole.folder.homes / "petra"
    with journal.opened(whole.folder.storage) as made:
        keeper = Keeper(whole.folder.homes, made, lambda *_: "")
        entry = Entry(b"petra", b"", "idle", 1, 1, OLD, int(time.time()) + 60, home.stat().st_ino)
        ends = time.monotonic() + 60
        while (why := keeper.quarantine(made.begin_run("", "", 0), entry).why) and time.monotonic() < ends:
            time.sleep(1)  # the server's last processes
        keeper.close()
    assert why == ""
    assert not home.exists()
    petra.start()
    assert json.loads(file.read_text()) == NOTEBOOK
    petra.stop()


def test_every_address_asks_who_comes(whole: Whole) -> None:
    """No cookie, no token, a wrong one, a cookie without the page's own word: nothing but the health is told."""
    paths = {
        "GET": ["", "api/mine", "api/mine/inside?number=1", "admin", "api/admin"],
        "POST": [
            "api/mine/keep", "api/mine/let-go", "api/mine/restore", "api/admin/plan", "api/admin/apply", "api/admin/undo",
            "api/admin/back", "api/admin/hold", "api/admin/rounds/begin", "api/admin/rounds/pause", "api/admin/rounds/resume",
        ],
    }  # fmt: skip
    with (
        contextlib.closing(Visitor.arrive(whole).http) as stranger,
        contextlib.closing(Visitor.login(whole, "petra").http) as person,
    ):
        _ask_all(whole, stranger, person, paths)


def _ask_all(whole: Whole, stranger: httpx.Client, person: httpx.Client, paths: dict[str, list[str]]) -> None:
    base = f"{whole.url}/services/storage"
    tried = 0
    for method, rest in paths.items():
        for path in rest:
            for headers in ({}, {"Authorization": "token nothing"}, {"Authorization": "Basic eDp5"}):
                answer = stranger.request(
                    method, f"{base}/{path}", headers=headers, content="{}" if method == "POST" else None, follow_redirects=False
                )  # fmt: skip
                tried += 1
                told = (method, path, headers, answer.status_code)
                assert answer.status_code in {302, 403}, told
                if answer.status_code == 302:
                    assert "/hub/api/oauth2/authorize" in answer.headers["Location"], told
    page = person.get(f"{base}/", follow_redirects=True)
    assert page.status_code == 200
    for path in paths["POST"]:
        answer = person.post(
            f"{base}/{path}", content="{}", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}
        )
        tried += 1
        assert answer.status_code == 403, (path, answer.status_code, answer.text)
    for path in ("admin", "api/admin"):
        assert person.get(f"{base}/{path}").status_code == 403
    print(f"{tried} requests")
    assert stranger.get(f"{base}/health").json() == {"status": "ok"}
