"""What all handlers of the storage service share."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cubehub_spawner.entitlement import format_bytes
from jinja2 import Environment, PackageLoader

from cubehub.local.data_folder import runnable
from cubehub.storage.keeping import Keeping
from cubehub.storage.service.access import hub_auth

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyterhub.services.auth import HubOAuth
    from tornado.web import RequestHandler

    from cubehub.storage.settings import StorageSettings

T = TypeVar("T")
_THREADS = 4


@dataclass
class Office:
    """Settings, the Hub, templates, and threads for what takes time."""

    settings: StorageSettings
    hub_auth: HubOAuth
    rounds: Any
    """The scheduler; see `schedule`."""
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS))
    pages: Environment = field(
        default_factory=lambda: Environment(
            loader=PackageLoader("cubehub.storage.service"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
    )

    async def do(self, what: Callable[[Keeping], T], who: str) -> T:
        """Do something with the keeper in a thread.

        Parameters
        ----------
        who : str
            For the audit log.
        """

        def act() -> T:
            return what(Keeping(self.settings, who=who))

        return await asyncio.get_running_loop().run_in_executor(self.threads, act)

    def show(self, handler: RequestHandler, template: str, **more: Any) -> None:
        """Answer with a page."""
        handler.set_header("Content-Type", "text/html; charset=utf-8")
        try:
            platform = self.settings.title()
        except Exception:  # noqa: BLE001 - a broken cubehub.yaml must not hide what is shown
            platform = "CubeHub"
        made = self.pages.get_template(template)
        handler.finish(made.render(prefix=self.settings.prefix, platform=platform, size=format_bytes, **more))

    def runnable(self, text: str) -> str:
        """Write the commands of a hint as they can be typed here."""
        return runnable(text, self.settings.data)


def make_office(settings: StorageSettings, rounds: Any) -> Office:
    """The office of a service."""
    return Office(settings, hub_auth(settings), rounds)
