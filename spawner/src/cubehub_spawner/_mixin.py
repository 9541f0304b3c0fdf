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
from traitlets import Float, HasTraits, Unicode, default

from cubehub_spawner import audit
from cubehub_spawner._form import profile_form
from cubehub_spawner.entitlement import Account, Grant, Refusal, decide, granted_profiles
from cubehub_spawner.errors import DirectoryUnavailableError, ProfileFileError, ResizeError, SpawnerError
from cubehub_spawner.notices import Board
from cubehub_spawner.profiles import Profiles, load_profiles
from cubehub_spawner.running import Pending

if TYPE_CHECKING:
    import logging

_STATUS = {"no_enforcer": 503, "audit_log": 503, "port_taken": 503, "server_ended": 503, "memory_in_use": 409}
"""HTTP status by code; 503 for a directory that cannot be asked, 403 for every other refusal. None is a 5xx that the Hub would count as its own failure:
a `SpawnException` is a failure of policy whatever its number."""


def _status(code: str) -> int:
    # a directory names its own troubles: directory_unreachable, directory_timeout, …
    return 503 if code.startswith("directory_") else _STATUS.get(code, 403)


_NOT_NOTED = Refusal(
    "audit_log",
    "Your server was not started, because the decision could not be written down.",
    "Nothing is wrong with your account. Tell your administrator, who finds the reason in the Hub's log.",
)


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
        orm_spawner: Any
        get_state: Any

    directory = AnyTrait(
        help="""Who is who: an object with `async lookup(username) -> Account`.

        Asked at every start. It raises `DirectoryUnavailableError` or `UnknownAccountError`; without a directory,
        or when it raises anything else, no server starts."""
    ).tag(config=True)

    directory_timeout = Float(
        30.0,
        help="""Seconds to wait for the directory before refusing; with the time in its line, when many start together.

        A directory should give up on a single question sooner by itself, as `KeycloakDirectory` does.""",
    ).tag(config=True)

    profiles_file = Unicode(
        help="Path of the profiles file; read at every start, so an edit needs no restart."
    ).tag(config=True)

    audit_log = Unicode(help="Path of the file that gets one JSON line for each decision; made 0600.").tag(
        config=True
    )

    granted_bytes = 0
    """RAM that this server was granted, in bytes; counted against the person's other servers."""
    granted_cpu = 0.0
    """Cores it was granted."""
    granted_storage = 0
    """Size of the home that goes with the profile, in bytes."""
    granted_profile = ""
    """Name of the profile this server runs with."""
    granted_title = ""
    """The same, as people read it."""
    account_id = ""
    """The directory's id of the account that was granted it: another one may have had the name before."""
    account_seen: Account | None = None
    """The account as the last decision about this server saw it."""
    wish: str | None = None
    """The profile chosen by name for this server, or all that fitted beside others; None where it follows the best."""
    pending_grant: Pending | None = None
    """What the server should have and does not have yet."""
    rescue = False
    """Whether this server was started small because its home is full; it stays so until it is started again."""
    board_is_read = False
    """Whether the server has ever asked for its notices."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.board = Board()

    async def resize_server(self, memory_bytes: int, cpu: float) -> None:
        """Change the limits of the running server in place; its processes go on. The same again changes nothing.

        Raises
        ------
        NoRoomError
            The machine or node has no room; nothing changed.
        ResizeError
            It could not be done; nothing changed.
        """
        del memory_bytes, cpu
        raise ResizeError

    def limit_home(self) -> None:
        """Bring the home's hard limit to what was granted, where something holds homes; not in the Hub's own thread."""

    async def memory_used(self) -> int | None:
        """Tell how many bytes of its limit the running server uses; None where nobody knows."""
        return None

    @default("options_form")
    def _mirror(self) -> Any:
        """Show a choice to whoever has one, by the groups that the Hub remembers; the start asks anew."""

        def form(spawner: EntitledSpawner) -> str:
            try:
                return profile_form([group.name for group in spawner.user.groups], self._profiles())
            except ProfileFileError:
                return ""  # the start itself refuses, and says why

        return form

    @default("apply_user_options")
    def _hear_nothing(self) -> Any:
        """Apply none: what is heard of them is read at the start. The Hub would warn of each that it does not know."""
        return lambda _spawner, _options: None

    def options_from_form(self, formdata: dict[str, list[str]]) -> dict[str, Any]:
        """Take the wish from a form; nothing else that was posted is kept."""
        wish = requested_profile({"profile": formdata.get("profile")})
        return {"profile": wish} if wish else {}

    async def entitle(self) -> Grant:
        """Ask, decide, write the decision down and set the limits of this server.

        Raises
        ------
        SpawnException
            When no server may start; its page says why and what to do next.
        """
        account: Account | None = None
        requested = requested_profile(self.user_options)
        self._forget_options()
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
        assert account is not None  # noqa: S101 - without one the decision was a refusal
        self.account_id, self.account_seen = account.id, account
        best = granted_profiles(account, profiles)[0].name
        self.wish = requested or (decision.profile if decision.profile != best else None)
        self.pending_grant, self.board, self.board_is_read = None, Board(), False
        self.take(decision)
        return decision

    def take(self, grant: Grant) -> None:
        """Note what this server has now."""
        self.granted_bytes, self.granted_cpu = grant.memory_bytes, grant.cpu
        self.granted_profile, self.granted_title = grant.profile, grant.title
        self.granted_storage = grant.storage_bytes
        self.mem_limit, self.cpu_limit = grant.memory_bytes, grant.cpu
        self.mem_guarantee = self.cpu_guarantee = None

    def _forget_options(self) -> None:
        """Keep what was asked for out of the next start.

        Notes
        -----
        The Hub uses the options of the last start for one that comes without. Somebody who once asked for a profile
        would be refused at each start after having been moved to another.
        """
        if self.orm_spawner is not None and self.orm_spawner.user_options:
            self.orm_spawner.user_options = {}
            self.user.db.commit()  # at once: the Hub takes back what another request finds half done

    def refuse(self, refusal: Refusal) -> NoReturn:
        """Show the person a refusal; the Hub logs one line and no traceback."""
        error = SpawnException(
            f"{refusal.message} {refusal.hint}",
            reason=refusal.code,
            log_message=f"{refusal.code}: {refusal.message}",
            message_html=self.refusal_html(refusal),
            status_code=_status(refusal.code),
        )
        # the page with the form looks for these instead, and would show the exception's name
        error.jupyterhub_message, error.jupyterhub_html_message = error.message, error.message_html
        raise error

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
        asker = getattr(getattr(self.handler, "current_user", None), "name", None) or "hub"
        if not self.write_audit(
            event="start", asked_by=asker, account=account, requested=requested, decision=decision
        ):
            self.refuse(_NOT_NOTED)

    def write_audit(
        self,
        *,
        event: str,
        asked_by: str,
        account: Account | None,
        requested: str | None,
        decision: Grant | Refusal,
    ) -> bool:
        """Write one decision down; False where that can't be done, and the log says why."""
        if not self.audit_log:
            return True
        line = audit.audit_line(
            when=datetime.now(UTC),
            username=self.user.name,
            asked_by=asked_by,
            server=self.name,
            requested=requested,
            account=account,
            decision=decision,
            event=event,
        )
        try:
            audit.append(Path(self.audit_log), line)
        except OSError as error:
            reason = error.strerror or error
            self.log.error("The audit log %s can't be written: %s", self.audit_log, reason)  # noqa: TRY400 - says it all
            return False
        return True

    # ---- what a restarted Hub must know ---------------------------------------------------------------------------

    def grant_state(self) -> dict[str, Any]:
        """Write what a restarted Hub must know of the grant."""
        if not self.granted_bytes:
            return {}
        seen = self.account_seen
        return {
            "granted_bytes": self.granted_bytes,
            "granted_cpu": self.granted_cpu,
            "granted_storage": self.granted_storage,
            "granted_profile": self.granted_profile,
            "granted_title": self.granted_title,
            "account_id": self.account_id,
            "account_seen": _account_state(seen) if seen else None,
            "wish": self.wish,
            "pending": self.pending_grant.as_state() if self.pending_grant else None,
            "board": self.board.as_state(),
        }

    def load_grant_state(self, state: dict[str, Any]) -> None:
        """Read it back."""
        self.granted_bytes = int(state.get("granted_bytes", 0))
        self.granted_cpu = float(state.get("granted_cpu", 0))
        self.granted_storage = int(state.get("granted_storage", 0))
        self.granted_profile = state.get("granted_profile", "")
        self.granted_title = state.get("granted_title", "")
        self.account_id = state.get("account_id", "")
        if seen := state.get("account_seen"):
            until = datetime.fromisoformat(seen["until"]) if seen.get("until") else None
            self.account_seen = Account(
                self.user.name,
                self.account_id,
                seen["enabled"],
                frozenset(seen["groups"]),
                until=until,
                until_profile=seen.get("until_profile"),
            )
        self.wish = state.get("wish")
        if pending := state.get("pending"):
            at = datetime.fromisoformat(pending["at"]) if pending["at"] else None
            self.pending_grant = Pending(pending["profile"], pending["memory_bytes"], at)
        self.board = Board.from_state(state.get("board"))
        self.mem_limit = self.granted_bytes or None

    def save_grant(self) -> None:
        """Put what changed into the Hub's database now, and wake whoever waits for it."""
        if self.orm_spawner is not None:
            self.orm_spawner.state = self.get_state()
            self.user.db.commit()
        self.board.wake()

    def clear_state(self) -> None:
        """Forget a server that has ended."""
        super().clear_state()
        self.granted_bytes, self.granted_cpu, self.granted_storage = 0, 0.0, 0
        self.account_seen = self.wish = self.pending_grant = None
        self.board.wake()


def _account_state(seen: Account) -> dict[str, Any]:
    return {
        "enabled": seen.enabled,
        "groups": sorted(seen.groups),
        "until": seen.until.isoformat() if seen.until else None,
        "until_profile": seen.until_profile,
    }


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
