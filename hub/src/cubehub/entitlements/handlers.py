"""The entitlement API: tell who may have what now, bring running servers to it, tell servers what is new."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

from cubehub_spawner import SpawnerError, UnknownAccountError
from cubehub_spawner._following import Done, follow
from cubehub_spawner._mixin import EntitledSpawner
from cubehub_spawner.entitlement import Account, Refusal, decide, title_of
from cubehub_spawner.profiles import NO_PROFILES
from jupyterhub import orm, scopes
from jupyterhub.apihandlers.base import APIHandler
from tornado.web import HTTPError

from cubehub.entitlements import answers
from cubehub.entitlements.rules import READ_SCOPE, WRITE_SCOPE, Rules
from cubehub.hub_tokens import end_tokens

SETTINGS_KEY = "cubehub_entitlements"
"""Where the Hub's tornado settings hold the `Rules`."""
LONGEST_WAIT_S = 50
"""Below the minute after which proxies and clients give up."""
_ENDS_SESSIONS = frozenset({"account_disabled", "unknown_account", "another_account"})
"""Refusals after which a person is not to be logged in either; somebody without a profile still sees cubes."""


class _ApiError(HTTPError):
    """An error with a stable code and a hint."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(status, log_message=message.replace("%", "%%"), reason=code)
        self.body = {"code": code, "message": message, "hint": hint}


class _Handler(APIHandler):
    @property
    def rules(self) -> Rules:
        """What the Hub was set up with."""
        found: Rules = self.settings[SETTINGS_KEY]
        return found

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write the error as JSON ``{code, message, hint}``."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        body = getattr(error, "body", None) or {
            "code": {403: "forbidden", 404: "not_found", 400: "bad_input"}.get(status_code, "failure"),
            "message": getattr(error, "log_message", None) or self._reason,
            "hint": "The Hub's log says more." if status_code >= 500 else "",
        }
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"status": status_code, **body}))

    def allow(self, scope: str, name: str | None = None) -> None:
        """Let the request pass or refuse it.

        Parameters
        ----------
        scope
            What the token must have.
        name
            The user it is about; None where it is about all, for which a filtered scope is not enough.

        Notes
        -----
        JupyterHub's own decorator knows custom scopes only once the Hub is configured, after this module was read.
        """
        if not self.current_user:
            raise _ApiError(403, "forbidden", "Missing or invalid credentials.", "Send a token of the Hub.")
        needed = scope if name is None else f"{scope}!user={name}"
        if scopes.has_scope(needed, self.parsed_scopes, db=self.db):
            return
        raise _ApiError(403, "forbidden", f"This needs the scope {needed}.", "Ask for a token that has it.")

    def servers_of(self, name: str) -> list[EntitledSpawner]:
        """List a person's servers that run or start, in the order of their start."""
        user = self.find_user(name)
        return [] if user is None else _active(user)

    async def look_up(self, name: str) -> Account:
        """Ask the directory about a person, with the API's errors for what goes wrong."""
        try:
            found = await self.rules.directory.lookup(name)
        except UnknownAccountError as error:
            raise _ApiError(404, error.code, f"The account service has no account {name!r}.") from error
        except SpawnerError as error:
            raise _ApiError(503, error.code, error.message, error.hint) from error
        assert isinstance(found, Account)  # noqa: S101 - for the type checker
        return found


def _active(user: Any) -> list[EntitledSpawner]:
    mine = [one for one in user.spawners.values() if one.active and isinstance(one, EntitledSpawner)]
    return sorted(mine, key=lambda one: (one.orm_spawner.started is None, one.orm_spawner.started or 0))


class ServersHandler(_Handler):
    """Everybody who has a server."""

    def get(self) -> None:
        """List people with servers that run or start, with what each of these has."""
        self.allow(READ_SCOPE)
        people = []
        rows = (
            self.db.query(orm.User)
            .join(orm.Spawner, orm.Spawner.user_id == orm.User.id)
            .filter(orm.Spawner.server_id.isnot(None))
        )
        names = {row.name for row in rows}
        # those that start have no address in the database yet
        names |= {user.name for user in self.users.values() if any(s.active for s in user.spawners.values())}
        for name in sorted(names):
            servers = self.servers_of(name)
            if servers:
                people.append(
                    {
                        "name": name,
                        "account_id": servers[0].account_id,
                        "seen": answers.seen(servers),
                        "servers": [answers.server(one) for one in servers],
                    }
                )
        self.write(json.dumps({"people": people}))


class EntitlementHandler(_Handler):
    """What one person may have, asked now."""

    async def get(self, name: str) -> None:
        """Ask the directory, decide, and tell what runs."""
        self.allow(READ_SCOPE, name)
        try:
            profiles = self.rules.profiles()
        except SpawnerError as error:
            raise _ApiError(503, error.code, error.message, error.hint) from error
        account = await self.look_up(name)
        servers = [
            {**answers.server(one), "used_bytes": await one.memory_used()} for one in self.servers_of(name)
        ]
        made = decide(account, None, (), profiles)
        answer = {"name": name, "account": answers.account(account), **answers.decision(made)}
        self.write(json.dumps({**answer, "servers": servers}))


class ApplyHandler(_Handler):
    """Bring one person's running servers to what the person may have now."""

    async def post(self, name: str) -> None:
        """Compare and act.

        Notes
        -----
        The request says nothing but whose servers: what they get is between the directory and the profiles, so
        nobody can give themselves, or anybody, more by it.
        """
        self.allow(WRITE_SCOPE, name)
        async with self.rules.locks[name]:
            unread = None
            try:
                profiles = self.rules.profiles()
            except SpawnerError as error:
                profiles, unread = NO_PROFILES, error
            servers = self.servers_of(name)
            account = await self._account(name, servers)
            if unread is not None and isinstance(account, Account) and account.enabled:
                # who has no account any more, or one that is switched off, loses all without any profile
                raise _ApiError(503, unread.code, unread.message, unread.hint)
            now = datetime.now(UTC)
            refusal = account if isinstance(account, Refusal) else decide(account, None, (), profiles)
            ended = isinstance(refusal, Refusal)
            if isinstance(refusal, Refusal) and refusal.code in _ENDS_SESSIONS:
                # before servers are stopped, which takes seconds: whoever is let in again meanwhile stays logged in
                await self._end_sessions(name)
            ready = [one for one in servers if one.ready]
            done = await follow(
                ready,
                account,
                profiles,
                now=now,
                grace=self.rules.grace,
                stop=self._stop,
                asked_by=self.current_user.name,
            )
            done += [_starting(one) for one in servers if one not in ready]
        actions = [one.as_json() for one in done]
        self.write(json.dumps({"access": "ended" if ended else "granted", "actions": actions}))

    async def _account(self, name: str, servers: list[EntitledSpawner]) -> Account | Refusal:
        """Find the account whose servers these are; a refusal where the directory has it no longer."""
        try:
            account = await self.rules.directory.lookup(name)
        except UnknownAccountError:
            return Refusal(
                "unknown_account",
                "Your account no longer exists, so your servers were stopped.",
                "Ask your administrator.",
            )
        except SpawnerError as error:
            raise _ApiError(503, error.code, error.message, error.hint) from error
        if any(one.account_id and one.account_id != account.id for one in servers):
            return Refusal(
                "another_account",
                "Your user name belongs to another account now, so your servers were stopped.",
                "Ask your administrator.",
            )
        assert isinstance(account, Account)  # noqa: S101 - for the type checker
        return account

    async def _stop(self, spawner: EntitledSpawner) -> None:
        if spawner.active and not spawner.pending:
            await self.stop_single_user(spawner.user, spawner.name)

    async def _end_sessions(self, name: str) -> None:
        """End log-ins and tokens; whatever of it is gone already stays gone."""
        user = self.find_user(name)
        if user is None:
            return
        end_tokens(user)
        await user.save_auth_state(None)


def _starting(spawner: EntitledSpawner) -> Done:
    return Done(
        spawner.name,
        "kept",
        "starting",
        spawner.granted_profile,
        spawner.granted_bytes,
        spawner.granted_bytes,
        "The server is just starting or stopping.",
        "Ask again in a moment.",
    )


class NoticesHandler(_Handler):
    """What is new for one server, told as soon as there is something."""

    def initialize(self) -> None:
        """Make what tells that the client has gone."""
        self._gone = asyncio.Event()

    async def get(self) -> None:
        """Answer at once where there is news, else when it comes or the wait is over."""
        spawner = self._own_server()
        after, wait_s = self._number("after", 0, 2**53), self._number("wait", 0, LONGEST_WAIT_S)
        spawner.board_is_read = True
        before, ends = self._facts(spawner), time.monotonic() + wait_s
        while True:
            changed = spawner.board.changed
            notices = spawner.board.after(after)
            left_s = ends - time.monotonic()
            if notices or self._facts(spawner) != before or left_s <= 0 or self._gone.is_set():
                break
            await self._either(changed, left_s)
        body = {"notices": [notice.as_json() for notice in notices], "server": self._facts(spawner)}
        self.write(json.dumps(body))

    async def _either(self, changed: asyncio.Event, wait_s: float) -> None:
        """Wait for a change, or for the end of the connection."""
        waits = [asyncio.ensure_future(one.wait()) for one in (changed, self._gone)]
        _, left = await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for one in left:
            one.cancel()

    def on_connection_close(self) -> None:
        """Wait no longer for somebody who has gone."""
        super().on_connection_close()
        self._gone.set()

    def _facts(self, spawner: EntitledSpawner) -> dict[str, Any]:
        return answers.facts(spawner, self._title)

    def _title(self, profile: str | None) -> str:
        """Give a profile's name as people read it; asked only about what is coming, so the file is read seldom."""
        try:
            return title_of(profile, self.rules.profiles())
        except SpawnerError:
            return profile or "no profile"

    def _own_server(self) -> EntitledSpawner:
        """Find the server whose token this is."""
        # a server's token is the one kind whose scopes name exactly one server, its own
        allowed = self.parsed_scopes.get("access:servers") if self.current_user else None
        names = allowed.get("server", set()) if isinstance(allowed, dict) else set()
        owner, _, server_name = next(iter(names), "").partition("/")
        # somebody with whom a server is shared can have a token that names it alone, too
        if len(names) != 1 or getattr(self.current_user, "name", None) != owner:
            raise _ApiError(
                403,
                "forbidden",
                "Only a running server may ask for its notices.",
                "Send the server's own token, JUPYTERHUB_API_TOKEN.",
            )
        user = self.find_user(owner)
        found = user.spawners.get(server_name) if user is not None else None
        if not isinstance(found, EntitledSpawner) or not found.active:
            raise _ApiError(404, "not_found", "That server does not run.")
        return found

    def _number(self, name: str, least: int, most: int) -> int:
        text = self.get_argument(name, str(least))
        if not text.isascii() or not text.isdigit():
            raise _ApiError(400, "bad_input", f"{name} must be a whole number, not {text[:40]!r}.")
        return max(least, min(int(text), most))


HANDLERS = [
    (r"/api/cubehub/servers", ServersHandler),
    (r"/api/cubehub/users/([^/]+)/entitlement", EntitlementHandler),
    (r"/api/cubehub/users/([^/]+)/apply", ApplyHandler),
    (r"/api/cubehub/notices", NoticesHandler),
]
"""For `JupyterHub.extra_handlers`; the Hub puts its own prefix before them."""
