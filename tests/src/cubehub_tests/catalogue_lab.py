"""JupyterLab with the catalogue's extension and catalogues of the test's, without the rest of the platform."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub.local.platform import LOOPBACK, free_port
from playwright.sync_api import expect
from uv import find_uv_bin

from cubehub_tests.chromium import PATIENCE_MS, PICTURES, leaves_this_machine
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Browser, Locator, Page, Route

_ROOM = REPOSITORY / "images" / "lab"
_START_S = 90
PANEL = "#cubehub-catalogue"
GIB = 2**30


def lab_environment() -> Path:
    """Give the bin folder of the Lab's environment, with the extension as it is in the sources now."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    words = ("sync", "--quiet", "--frozen", "--no-dev", "--reinstall-package", "cubehub-catalogue")
    subprocess.run([find_uv_bin(), *words, "--project", str(_ROOM)], env=environment, check=True)
    return _ROOM / ".venv" / "bin"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    url: str
    token: str
    home: Path
    log: Path

    @property
    def saved(self) -> Path:
        """File of what its person saved."""
        return self.home / ".local" / "share" / "jupyter" / "cubehub-catalogue" / "saved.json"

    def ask(self, path: str, body: object = None, method: str | None = None) -> tuple[int, bytes]:
        """Ask a route below the extension's, as a program with the token does."""
        request = urllib.request.Request(  # noqa: S310 - on this machine
            f"{self.url}/cubehub/catalogue/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@contextlib.contextmanager
def running_lab(
    catalogues: Sequence[dict[str, Any]], *, settings: dict[str, Any] | None = None, **more: Any
) -> Iterator[Lab]:
    """Start JupyterLab for some catalogues.

    Parameters
    ----------
    catalogues
        Entries of catalogues.yaml.
    settings
        Of Lab's plugins, by id.
    more
        Further keys of catalogues.yaml.
    """
    bin_folder = lab_environment()
    with tempfile.TemporaryDirectory(prefix="cubehub-lab-") as folder:
        home = Path(folder) / "home"
        (home / "config" / "lab" / "user-settings").mkdir(parents=True)
        for plugin, values in (settings or {}).items():
            package, _, name = plugin.partition(":")
            file = home / "config" / "lab" / "user-settings" / package / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        listed = home / "catalogues.yaml"
        listed.write_text(json.dumps({"catalogues": list(catalogues), **more}))  # JSON is YAML
        token, port, log = secrets.token_hex(16), free_port(LOOPBACK, set()), Path(folder) / "log"
        environment = {
            **{
                k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "CUBEHUB", "VIRTUAL_ENV"))
            },
            "HOME": str(home),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_TOKEN": token,
            "CUBEHUB_CATALOGUES": str(listed),
            "MEM_LIMIT": str(5 * GIB),
            "CUBEHUB_PROFILE_TITLE": "Standard",
        }
        command = [
            str(bin_folder / "jupyter-lab"), "--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
            "--ServerApp.port_retries=0", f"--ServerApp.root_dir={home}",
        ]  # fmt: skip
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=home, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            lab = Lab(f"http://127.0.0.1:{port}", token, home, log)
            _wait(lab, process)
            yield lab
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError):
            if lab.ask("catalogues")[0] == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{lab.log.read_text(errors='replace')[-3000:]}")


@dataclass
class Sight:
    """The panel in a browser."""

    address: str
    """Of the server, without a slash at the end."""
    page: Page
    outside: list[str]
    said: list[str]

    @property
    def panel(self) -> Locator:
        """The search panel."""
        return self.page.locator(PANEL)

    @property
    def rows(self) -> Locator:
        """What of the found items is in the page."""
        return self.panel.locator(".cubehub-cat-row")

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def open(self, *, reset: bool = True) -> None:
        """Load Lab and show the panel."""
        self.page.goto(f"{self.address}/lab{'?reset' if reset else ''}")
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)
        expect(self.page.locator("#main")).to_be_visible()
        tab = self.page.locator('.lm-TabBar-tab[data-id="cubehub-catalogue"]')
        expect(tab).to_be_visible()
        # Lab restores what was open some time after it is there; a click on the tab of what is open hides it
        for _ in range(20):
            if "lm-mod-current" not in (tab.get_attribute("class") or ""):
                tab.click()
            self.page.wait_for_timeout(500)
            if self.panel.is_visible():
                break
        expect(self.panel).to_be_visible()

    def narrow(self, width: int) -> None:
        """Drag the sidebar's edge until the panel is so wide, as people with small screens do."""
        mouse = self.page.mouse
        for _ in range(10):
            box = self.panel.bounding_box()
            assert box is not None
            if abs(box["width"] - width) <= 2:
                return
            edge, middle = box["x"] + box["width"] + 1, box["y"] + box["height"] / 2
            mouse.move(edge, middle)
            mouse.down()
            mouse.move(edge + width - box["width"], middle, steps=4)
            mouse.up()
        raise AssertionError(f"the panel can't be made {width} wide")

    def search(self) -> None:
        """Press Search and wait for the end of it."""
        self.panel.get_by_role("button", name="Search", exact=True).click()
        expect(self.panel.get_by_role("button", name="Stop", exact=True)).to_be_hidden()

    def unfold(self, title: str) -> Locator:
        """Open a part of the form."""
        part = self.panel.locator("details", has=self.page.locator("summary", has_text=title)).last
        if part.get_attribute("open") is None:
            part.locator("summary").first.click()
        return part


@contextlib.contextmanager
def sight_of(browser: Browser, lab: Lab, *, width: int = 1440, height: int = 900) -> Iterator[Sight]:
    """Open Lab in an empty profile; at its end nothing outside may have been asked for."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        service_workers="block",
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(PATIENCE_MS)
    sight = Sight(lab.url, context.new_page(), [], [])

    def guard(route: Route) -> None:
        if leaves_this_machine(route.request.url):
            sight.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", guard)
    sight.page.on("pageerror", lambda error: sight.said.append(str(error)))
    try:
        sight.page.goto(f"{lab.url}/lab?token={lab.token}")  # leaves a cookie; the address loses the token
        sight.open()
        yield sight
        assert not sight.outside, sight.outside
        assert not sight.said, sight.said
    finally:
        context.close()
