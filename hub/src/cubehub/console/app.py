"""The landing page and its Tornado application."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_spawner import SpawnerError, load_profiles
from jinja2 import Environment, PackageLoader
from pydantic import BaseModel, ConfigDict
from tornado.web import Application, RequestHandler, StaticFileHandler

from cubehub.cube_list import cube_rows

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("cubehub.console")
GIB = 1024**3
_HEADERS = {
    # nothing on these pages comes from anywhere else, and nobody may frame them
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class ConsoleSettings(BaseModel):
    """What `cubehub up` tells the console."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    address: str
    port: int
    prefix: str
    public_url: str
    issuer: str
    title: str
    profiles_yaml: Path
    cubes_yaml: Path


def profile_rows(path: Path) -> list[dict[str, str]]:
    """Give name, RAM and cores of each profile as people read them."""
    return [
        {"title": profile.title, "memory": f"{profile.memory / GIB:g} GiB", "cpu": f"{profile.cpu:g}"}
        for profile in load_profiles(path).profiles.values()
    ]


def _rows_or_none(read: Callable[[Path], list[dict[str, str]]], path: Path) -> list[dict[str, str]] | None:
    """Read a table of the page; None where its file is broken, since the doors must open all the same."""
    try:
        return read(path)
    except (OSError, ValueError, SpawnerError) as error:
        log.warning("the landing page leaves out a table: %s", error)
        return None


class _Page(RequestHandler):
    def initialize(self, settings: ConsoleSettings, render: Callable[..., str]) -> None:
        self.console = settings
        self.render_page = render

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def get(self) -> None:
        """Show the doors."""
        self.finish(
            self.render_page(
                settings=self.console,
                profiles=_rows_or_none(profile_rows, self.console.profiles_yaml),
                cubes=_rows_or_none(cube_rows, self.console.cubes_yaml),
            )
        )

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish(
            f"This page could not be shown (status {status_code}). The operator finds the reason in the log."
        )


class _NotFound(_Page):
    def get(self) -> None:
        """Say that there is nothing here."""
        self.set_status(404)
        self.finish("There is no such page here. Go back to the start at /")


class _Health(RequestHandler):
    def get(self) -> None:
        self.finish({"status": "ok"})


def make_app(settings: ConsoleSettings) -> Application:
    """Build the application; every address is below `settings.prefix`, as the proxy leaves it in place."""
    environment = Environment(loader=PackageLoader("cubehub.console"), autoescape=True)
    page = {"settings": settings, "render": environment.get_template("landing.html").render}
    static = str(Path(__file__).with_name("static"))
    prefix = settings.prefix
    return Application(
        [
            (rf"{prefix}/?", _Page, page),
            (rf"{prefix}/health", _Health),
            (rf"{prefix}/static/(.*)", StaticFileHandler, {"path": static}),
            (r".*", _NotFound, page),
        ]
    )
