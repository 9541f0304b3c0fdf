"""What people with a profile, and one without, see from the first page to the log-out."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_tests.lab import enter_lab, expect_output, new_notebook, run_in_new_cell, wait_for_idle
from cubehub_tests.people import Visitor
from cubehub_tests.platform import MIB, PREMIUM, STANDARD
from playwright.sync_api import expect

if TYPE_CHECKING:
    from cubehub_tests.chromium import Window
    from cubehub_tests.servers import Account

pytestmark = [pytest.mark.whole, pytest.mark.browser]
FIRST = "cubehub-examples/first-look-at-a-cube.ipynb"


def test_a_standard_analyst_from_login_to_logout(window: Window, ana: Account) -> None:
    ana.stop()
    page = window.page
    window.open("/")
    window.picture("01-landing")
    page.get_by_role("link", name=re.compile("Work in a notebook")).click()
    expect(page.locator("#kc-login")).to_be_visible()
    window.picture("02-login")
    window.fill_login_form("ana")
    page.wait_for_url(re.compile(r"/user/ana/lab"), timeout=180_000)
    window.open("/user/ana/lab?reset")
    expect(page.locator(".jp-Launcher").first).to_be_visible(timeout=90_000)
    page.wait_for_timeout(1500)
    window.picture("03-lab")

    new_notebook(window)
    run_in_new_cell(window, "import os; int(os.environ['MEM_LIMIT']) >> 20")
    expect_output(window, str(STANDARD // MIB))
    run_in_new_cell(
        window, f"block = bytearray({STANDARD // MIB + 100} << 20); block[::4096] = b'x' * len(block[::4096])"
    )
    expect_output(window, re.compile("reached its memory limit of 768 MiB"), timeout_s=120)
    page.wait_for_timeout(1500)
    window.picture("04-stopped-at-the-limit")
    # Lab's own word about the kernel may come at any moment; it is in the way of every click
    dialogue = page.locator(".jp-Dialog")
    page.add_locator_handler(dialogue, lambda shown: shown.locator("button.jp-mod-accept").first.click())
    wait_for_idle(window)
    run_in_new_cell(window, "'Lab is ' + 'well'")
    expect_output(window, "Lab is well")
    page.remove_locator_handler(dialogue)

    run_first_notebook(window, ana)
    log_out(window)
    # the Hub serves tokens of people who are logged in; other tests go on with this one
    Visitor.login(ana.whole, "ana").http.close()


def run_first_notebook(window: Window, ana: Account) -> None:
    """Run the first example from top to bottom, and look at what it saved."""
    page = window.page
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("Shut Down All Kernels")).click()
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    page.wait_for_timeout(1000)
    window.open(f"/user/ana/lab/tree/{FIRST}?reset")
    expect(page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook")).to_be_visible(timeout=90_000)
    wait_for_idle(window)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Run All Cells")).click()
    code = wait_for_all_cells(window, ana)
    window.picture("05-first-notebook-end")
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer").first.evaluate(
        "node => node.scrollTop = 700"
    )
    page.wait_for_timeout(1500)
    window.picture("06-first-notebook-plot")
    errors = [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert not errors, json.dumps(errors)[:2000]
    kinds = [kind for cell in code for output in cell["outputs"] for kind in output.get("data", {})]
    assert kinds.count("image/png") >= 3
    assert "application/vnd.jupyter.widget-view+json" in kinds, "lexcube"


def wait_for_all_cells(window: Window, ana: Account, timeout_s: float = 240) -> list[dict[str, Any]]:
    """Save again and again until every code cell was run; gives the code cells as saved."""
    ends = time.monotonic() + timeout_s
    while True:
        window.page.wait_for_timeout(2000)
        wait_for_idle(window, timeout_s)
        window.page.keyboard.press("Control+s")
        window.page.wait_for_timeout(1000)
        saved = ana.api.get(f"/user/ana/api/contents/{FIRST}").json()["content"]
        code = [cell for cell in saved["cells"] if cell["cell_type"] == "code"]
        raised = any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
        if raised or all(cell["execution_count"] for cell in code):
            return code
        assert time.monotonic() < ends, "the notebook does not end"


def log_out(window: Window) -> None:
    """Log out from Lab's menu; afterwards a password is wanted again."""
    page = window.page
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="Log Out", exact=True).click()
    page.wait_for_url(re.compile(r"/(services/console/)?$"))
    window.picture("07-logged-out")
    window.open("/hub/home")
    expect(page.locator("#kc-login")).to_be_visible()


def test_a_premium_analyst_has_more(window: Window, petra: Account) -> None:
    petra.stop()
    enter_lab(window, "petra")
    new_notebook(window)
    run_in_new_cell(window, "import os; int(os.environ['MEM_LIMIT']) >> 20")
    expect_output(window, str(PREMIUM // MIB))
    more = STANDARD // MIB + 100
    run_in_new_cell(
        window,
        f"block = bytearray({more} << 20); block[::4096] = b'x' * len(block[::4096]); len(block) >> 20",
    )
    expect_output(window, str(more))
    window.picture("08-premium")
    petra.stop()


def test_a_viewer_is_told_why_there_is_no_server(window: Window) -> None:
    page = window.page
    window.open("/")
    page.get_by_role("link", name=re.compile("Work in a notebook")).click()
    window.fill_login_form("viktor")
    refusal = page.locator(".cubehub-refusal")
    expect(refusal).to_contain_text("no group that grants a notebook server")
    expect(refusal).to_have_attribute("data-code", "no_profile")
    expect(page.locator("body")).to_contain_text(
        "Ask your administrator to add you to one of: Standard, Premium"
    )
    expect(page.get_by_role("heading", name="No server was started")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("restarting your server")
    window.picture("09-refusal")
    # the way to what a viewer may do
    page.get_by_role("link", name="Open the viewer").click()
    expect(page.get_by_role("button", name="Accept and continue")).to_be_visible(timeout=60_000)
