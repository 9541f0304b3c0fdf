"""What every CubeHub spawner does before it starts anything: ask the directory, decide, write it down."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyterhub.spawner import SpawnException
from jupyterhub.utils import url_escape_path, url_path_join
from traitlets import Any as AnyTrait
from traitlets import Float, HasTraits, Unicode

from cubehub_spawner import audit
from cubehub_spawner.entitlement import Account, Grant, Refusal, decide
from cubehub_spawner.errors import DirectoryUnavailableError, ProfileFileError, SpawnerError
from cubehub_spawner.profiles import Profiles, load_profiles

if TYPE_CHECKING:
    import logging

_STATUS = {"no_enforcer": 503, "memory_in_use": 409}
"""HTTP status by code; 503 for a directory that cannot be asked, 403 for every other refusal. None is a 5xx that the Hub would count as its own failure:
a `SpawnException` is a failure of policy whatever its number."""


def _status(code: str) -> int:
    # a directory names its own troubles: directory_unreachable, directory_timeout, …
    return 503 if code.startswith("directory_") else _STATUS.get(code, 403)


class EntitledSpawner(HasTraits):
    """Mixin: `entitle` gives the grant for this server or refuses with a page that says why.

    Notes
    -----
    Nothing here reads resources from ``user_options``, which anyone with a token of the person's can post: of them
    only ``profile`` is used, as a wish. Group overrides and configured limits are replaced by the grant.
    """

    if TYPE_CHECKING:
        log: logging.Logger
        user: Any
        hub: Any
        handler: Any
        name: str
        user_options: dict[str, Any]
        mem_limit: int | None
        mem_guarantee: int | None
        cpu_limit: float | None
        cpu_guarantee: float | None
        active: bool

    directory = AnyTrait(
        help="""Who is who: an object with `async lookup(username) -> Account`.

        Asked at every start. It raises `DirectoryUnavailableError` or `UnknownAccountError`; without a directory,
        or when it raises anything else, no server starts."""
    ).tag(config=True)

    directory_timeout = Float(10.0, help="Seconds to wait for the directory before refusing.").tag(
        config=True
    )

    profiles_file = Unicode(
        help="Path of the profiles file; read at every start, so an edit needs no restart."
    ).tag(config=True)

    audit_log = Unicode(help="Path of the file that gets one JSON line for each decision; made 0600.").tag(
        config=True
    )

    granted_bytes = 0
    """RAM that this server was granted, in bytes; counted against the person's other servers."""
    granted_profile = ""
    """Name of the profile this server runs with."""
    granted_title = ""
    """The same, as people read it."""
    account_id = ""
    """The directory's id of the account that was granted it: another one may have had the name before."""

    async def entitle(self) -> Grant:
        """Ask, decide, write the decision down and set the limits of this server.

        Raises
        ------
        SpawnException
            When no server may start; its page says why and what to do next.
        """
        account: Account | None = None
        requested = requested_profile(self.user_options)
        self.granted_bytes = 0
        decision: Grant | Refusal
        try:
            profiles = self._profiles()
            account = await self._account()
            # From here to the last line nothing is awaited: two servers that start at once see one another.
            decision = decide(account, requested, self._running(), profiles)
        except SpawnerError as error:
            decision = Refusal(error.code, error.message, error.hint)
        self._write_audit(account, requested, decision)
        if isinstance(decision, Refusal):
            self.refuse(decision)
        self.account_id = account.id if account else ""
        self.granted_bytes = decision.memory_bytes
        self.granted_profile, self.granted_title = decision.profile, decision.title
        self.mem_limit, self.cpu_limit = decision.memory_bytes, decision.cpu
        self.mem_guarantee = self.cpu_guarantee = None
        return decision

    def refuse(self, refusal: Refusal) -> NoReturn:
        """Show the person a refusal; the Hub logs one line and no traceback."""
        raise SpawnException(
            f"{refusal.message} {refusal.hint}",
            reason=refusal.code,
            log_message=f"{refusal.code}: {refusal.message}",
            message_html=self.refusal_html(refusal),
            status_code=_status(refusal.code),
        )

    def refusal_html(self, refusal: Refusal) -> str:
        """Write the page's text, escaped, with a link to try again."""
        parts = ["spawn", self.user.escaped_name]
        if self.name:
            parts.append(url_escape_path(self.name))
        again = escape(url_path_join(self.hub.base_url, *parts))
        return (
            f'<span class="cubehub-refusal" data-code="{escape(refusal.code)}">{escape(refusal.message)}</span></p>'
            f'<p>{escape(refusal.hint)}</p><p><a class="btn btn-primary" href="{again}">Try again</a>'
        )

    def _profiles(self) -> Profiles:
        """Read the profiles; what is wrong in the file is for the administrator's log, not for the person."""
        try:
            return load_profiles(self.profiles_file)
        except ProfileFileError as error:
            self.log.error("%s %s", error.message, error.hint)  # noqa: TRY400 - the message says file and line
            raise ProfileFileError(
                "The platform's profiles can't be read, so no server can be started.",
                "Your administrator finds the reason in the Hub's log.",
            ) from error

    async def _account(self) -> Account:
        """Ask the directory; whatever goes wrong in it, the answer is no."""
        if self.directory is None:
            self.log.error("No directory is configured: set c.ProfileLocalSpawner.directory")
            raise DirectoryUnavailableError
        try:
            found = await asyncio.wait_for(self.directory.lookup(self.user.name), self.directory_timeout)
        except SpawnerError as error:
            self.log.warning("Directory: %s: %s", error.code, error.__cause__ or error.message)
            raise
        except TimeoutError as error:
            self.log.warning("Directory: no answer in %g s", self.directory_timeout)
            raise DirectoryUnavailableError from error
        except Exception as error:
            self.log.exception("Directory: unexpected failure")
            raise DirectoryUnavailableError from error
        if not isinstance(found, Account):
            self.log.error("Directory: answered %s instead of an Account", type(found).__name__)
            raise DirectoryUnavailableError
        return found

    def _running(self) -> list[int]:
        """List the limits of the person's other servers that run or start."""
        return [
            spawner.granted_bytes
            for spawner in self.user.spawners.values()
            if spawner is not self and spawner.active and isinstance(spawner, EntitledSpawner)
        ]

    def _write_audit(self, account: Account | None, requested: str | None, decision: Grant | Refusal) -> None:
        if not self.audit_log:
            return
        asker = getattr(getattr(self.handler, "current_user", None), "name", None)
        line = audit.audit_line(
            when=datetime.now(UTC),
            username=self.user.name,
            asked_by=asker or "hub",
            server=self.name,
            requested=requested,
            account=account,
            decision=decision,
        )
        try:
            audit.append(Path(self.audit_log), line)
        except OSError:
            self.log.exception("The audit log %s can't be written, so no server is started", self.audit_log)
            self.refuse(Refusal("audit_log", SpawnerError.default_message, SpawnerError.default_hint))

    def grant_state(self) -> dict[str, Any]:
        """Write what a restarted Hub must know of the grant."""
        if not self.granted_bytes:
            return {}
        return {
            "granted_bytes": self.granted_bytes,
            "granted_profile": self.granted_profile,
            "granted_title": self.granted_title,
        }

    def load_grant_state(self, state: dict[str, Any]) -> None:
        """Read it back."""
        self.granted_bytes = int(state.get("granted_bytes", 0))
        self.granted_profile = state.get("granted_profile", "")
        self.granted_title = state.get("granted_title", "")
        self.mem_limit = self.granted_bytes or None


def requested_profile(user_options: dict[str, Any] | None) -> str | None:
    """Read the one wish that is heard from what a person posted: a profile's name, as text or a form's list.

    Notes
    -----
    What is no name is refused by `decide` and then logged and shown; so it is cut, and written without line ends.
    """
    wish = (user_options or {}).get("profile")
    if isinstance(wish, list) and len(wish) == 1:
        wish = wish[0]
    if wish is None or wish == "":
        return None
    text = wish if isinstance(wish, str) and wish.isprintable() else repr(wish)
    return text[:80]
