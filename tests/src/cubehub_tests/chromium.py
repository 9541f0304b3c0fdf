"""A real Chromium that can reach this machine only, and what it tried to reach beyond."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

from cubehub_tests.needs import chromium
from cubehub_tests.platform import ARTEFACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

    from cubehub_tests.platform import Whole

PICTURES = ARTEFACTS / "browser"
PATIENCE_MS = 60_000
"""How long a page may take to show something. Playwright's own five seconds end a test where the machine is slow."""
expect.set_options(timeout=PATIENCE_MS)


def leaves_this_machine(url: str) -> bool:
    """Whether a request would go to another host."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "ws", "wss", "ftp"}:
        return False
    host = parts.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


@dataclass
class Window:
    """One person's browser window."""

    whole: Whole
    page: Page
    outside: list[str] = field(default_factory=list)
    """Addresses on other hosts that pages asked for; each was refused."""
    said: list[str] = field(default_factory=list)
    """Errors in the browser's console."""
    pictures: int = 0

    def open(self, path: str) -> None:
        """Go to a page of the platform."""
        self.page.goto(f"{self.whole.url}{path}")

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def wait_until(
        self,
        condition: Callable[[], object],
        otherwise: str,
        *,
        every_s: float = 0.25,
        patience_s: float = 90,
    ) -> None:
        """Wait for what no locator can wait for; the page goes on meanwhile."""
        ends = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < ends, otherwise
            self.page.wait_for_timeout(every_s * 1000)

    def fill_login_form(self, name: str) -> None:
        """Log in on Keycloak's page."""
        self.page.locator("#username").fill(name)
        self.page.locator("#password").fill(self.whole.accounts[name])
        self.page.locator("#kc-login").click()


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium without a window."""
    arguments = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        # second lock: names other than this machine's do not resolve, not even for what pages cannot see
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's own sandbox refuses to be root's
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def open_window(browser: Browser, whole: Whole, *, width: int = 1440, height: int = 900) -> Iterator[Window]:
    """Open a window with an empty profile; at its end nothing outside may have been asked for."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        service_workers="block",
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(PATIENCE_MS)
    window = Window(whole, context.new_page())

    def guard(route: Route) -> None:
        if leaves_this_machine(route.request.url):
            window.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", guard)
    context.on("page", lambda page: page.on("websocket", lambda socket: _note(window, socket.url)))
    window.page.on("websocket", lambda socket: _note(window, socket.url))
    window.page.on("console", lambda message: _listen(window, message))
    try:
        yield window
    finally:
        context.close()
    assert window.outside == [], "a page asked for something on another host"


def _listen(window: Window, message: ConsoleMessage) -> None:
    if message.type == "error":
        window.said.append(message.text)


def _note(window: Window, url: str) -> None:
    if leaves_this_machine(url):
        window.outside.append(url)
