"""What a person does in JupyterLab, in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from cubehub_tests.chromium import Window

MEMORY_ITEM = ".cubehub-memory-button"
"""The item in the status bar, by cubehub-account."""
ALLOCATE = "block = bytearray({mib} << 20); block[::4096] = b'x' * len(block[::4096])"
"""Code of a cell that really takes this much."""
TRY = (
    "import subprocess, sys; print('status', subprocess.run([sys.executable, '-c', \"import time; "
    "hog = bytearray({mib} << 20); hog[::4096] = b'x' * len(hog[::4096]); time.sleep(0.5)\"]).returncode)"
)
"""The same in a child, so that the kernel lives to tell."""


def enter_lab(window: Window, name: str) -> None:
    """Go from the landing page through Keycloak into JupyterLab."""
    page = window.page
    window.open("/")
    page.get_by_role("link", name=re.compile("Work in a notebook")).click()
    window.fill_login_form(name)
    page.wait_for_url(re.compile(rf"/user/{name}/lab"), timeout=180_000)
    window.open(f"/user/{name}/lab?reset")  # Lab restores what was open the last time
    expect(page.locator(".jp-Launcher").first).to_be_visible(timeout=90_000)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)


def new_notebook(window: Window) -> None:
    """Click a new notebook and wait for its kernel."""
    window.page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
    expect(window.page.locator(".jp-NotebookPanel .jp-Notebook")).to_be_visible()
    wait_for_idle(window)


def wait_for_idle(window: Window, timeout_s: float = 120) -> None:
    """Wait until the kernel of the notebook in front has nothing to do."""
    shown = window.page.locator("#jp-main-statusbar")
    expect(shown).to_contain_text("| Idle", timeout=timeout_s * 1000)


def run_in_new_cell(window: Window, code: str) -> None:
    """Type into the last cell and run it."""
    page = window.page
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell .cm-content").last.click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")


def outputs(window: Window) -> str:
    """Give all that the notebook in front shows as output."""
    texts = window.page.locator(
        ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output"
    ).all_inner_texts()
    return "\n".join(texts)


def expect_output(window: Window, text: str | re.Pattern[str], timeout_s: float = 60) -> None:
    """Wait for a text in the outputs."""
    shown = window.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output")
    expect(shown.filter(has_text=text).first).to_be_visible(timeout=timeout_s * 1000)
