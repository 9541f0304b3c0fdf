"""What all handlers of the storage service share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cubehub_spawner.entitlement import format_bytes
from jinja2 import Environment, PackageLoader

from cubehub.errors import CubeHubError
from cubehub.local.data_folder import runnable
from cubehub.storage.keeping import Keeping
from cubehub.storage.policies import Policy
from cubehub.storage.service.access import hub_auth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyterhub.services.auth import HubOAuth
    from tornado.web import RequestHandler

    from cubehub.storage.deciding import Owner
    from cubehub.storage.settings import StorageSettings

T = TypeVar("T")
_THREADS = 4
_REMEMBERED_S = 60.0
_PATIENCE_S = 3.0


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

    moving: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS))
    """For what waits for the keeper, and may take hours: pages and wishes to keep do not queue behind it."""
    asking: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    known: Mapping[str, Owner] = field(default_factory=dict)
    restoring: set[bytes] = field(default_factory=set)
    policy: Policy = field(default_factory=Policy)
    """The last one that could be read."""
    trouble: str = ""
    """Why the present one cannot."""
    _asked: asyncio.Future[Mapping[str, Owner]] | None = None
    _when: float = 0.0

    async def do(
        self, what: Callable[[Keeping], T], who: str, *, moves: bool = False, lenient: bool = False
    ) -> T:
        """Do something with the keeper in a thread.

        Parameters
        ----------
        who : str
            For the audit log.
        moves : bool
            Whether it waits for the keeper.
        lenient : bool
            Whether it goes by the last policy that could be read, where somebody is writing a new one: so people see
            their homes and get back what is theirs. Nothing is decided by it.
        """

        def act() -> T:
            return what(Keeping(self.settings, who=who, policy=self._policy(lenient=lenient)))

        threads = self.moving if moves else self.threads
        return await asyncio.get_running_loop().run_in_executor(threads, act)

    def _policy(self, *, lenient: bool) -> Policy:
        try:
            self.policy = self.settings.policy()
        except CubeHubError as error:
            self.trouble = error.message
            if not lenient:
                raise
        else:
            self.trouble = ""
        return self.policy

    async def owner_of(self, home: str) -> Owner | None:
        """Who has the name of a home; None if it cannot be told just now.

        Notes
        -----
        All people are asked for, so this is done once in a while for all who look; a page does not wait for Keycloak.
        """
        if self._asked is None or (self._asked.done() and time.monotonic() - self._when > _REMEMBERED_S):
            self._when = time.monotonic()
            self._asked = asyncio.get_running_loop().run_in_executor(self.asking, self._owners)
        with contextlib.suppress(TimeoutError):
            self.known = await asyncio.wait_for(asyncio.shield(self._asked), _PATIENCE_S)
        return self.known.get(home)

    def _owners(self) -> Mapping[str, Owner]:
        try:
            return Keeping(self.settings).owners() or {}
        except CubeHubError:
            return self.known

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
