"""Running servers follow their person's group: the effects of what `running.reconcile` decides."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from cubehub_spawner.entitlement import Account, Grant, Refusal, format_bytes, format_moment, title_of
from cubehub_spawner.errors import NoRoomError, ResizeError
from cubehub_spawner.running import Announce, Pending, Resize, Running, Stop, Withdraw, reconcile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime, timedelta

    from cubehub_spawner._mixin import EntitledSpawner
    from cubehub_spawner.profiles import Profiles

_DELIVERY_S = 5.0
"""How long a server that is to be stopped may take to pick up the reason, and its pages, which ask every three seconds."""


@dataclass(frozen=True)
class Done:
    """What became of one server."""

    server: str
    kind: str
    """``resized``, ``announced``, ``stopped`` or ``kept`` (it could not be done now)."""
    code: str
    profile: str
    from_bytes: int
    to_bytes: int
    message: str
    hint: str
    at: str | None = None
    """When an announced change comes, ISO 8601."""

    def as_json(self) -> dict[str, Any]:
        """Write it as JSON."""
        return asdict(self)


async def follow(
    spawners: Sequence[EntitledSpawner],
    account: Account | Refusal,
    profiles: Profiles,
    *,
    now: datetime,
    grace: timedelta,
    stop: Callable[[EntitledSpawner], Awaitable[None]],
    asked_by: str,
) -> list[Done]:
    """Bring a person's running servers to what the person may have now.

    Parameters
    ----------
    spawners : sequence of EntitledSpawner
        Those of the person's servers that run, in the order in which they were started.
    account : Account or Refusal
        What the directory says now; a refusal where it has no such account any more.
    profiles, now, grace
        As `running.reconcile` takes them.
    stop : callable
        Stops a server as the Hub does.
    asked_by : str
        Who made the change, for the audit log.

    Notes
    -----
    Not for two calls about the same person at once: the caller holds a lock.
    A step that fails leaves the server as it was; the next call tries again and says nothing twice.
    """
    if isinstance(account, Refusal):
        actions: Sequence[Any] = [Stop(spawner.name, account) for spawner in spawners]
    else:
        servers = [
            Running(
                server=spawner.name,
                profile=spawner.granted_profile,
                memory_bytes=spawner.granted_bytes,
                cpu=spawner.granted_cpu,
                wish=spawner.wish,
                used_bytes=await spawner.memory_used(),
                pending=spawner.pending_grant,
                fixed=spawner.rescue,
            )
            for spawner in spawners
        ]
        actions = reconcile(account, servers, profiles, now, grace)
    by_name = {spawner.name: spawner for spawner in spawners}
    known = account if isinstance(account, Account) else None
    done = []
    for action in actions:
        one = _One(by_name[action.server], known, profiles, now, asked_by)
        match action:
            case Resize(grant=grant):
                done.append(await one.resize(grant))
            case Announce(pending=pending, grant=grant):
                done.append(one.announce(pending, grant))
            case Withdraw():
                one.withdraw()
            case Stop(refusal=refusal):
                done.append(await one.stop(refusal, stop))
    for spawner in spawners:
        if known is not None:
            spawner.account_seen = known
        spawner.save_grant()
    return [entry for entry in done if entry is not None]


@dataclass(frozen=True)
class _One:
    """One server, and what is done about it."""

    spawner: EntitledSpawner
    account: Account | None
    profiles: Profiles
    now: datetime
    asked_by: str

    async def resize(self, grant: Grant) -> Done | None:
        """Change the limit in place.

        Notes
        -----
        More is written down before it is given and less after it was taken, so that at no moment a start of another
        server finds room which is not there. Without its audit line nobody gets more.
        """
        spawner, before = self.spawner, self.spawner.granted_bytes
        grows = grant.memory_bytes > before
        if grows and not self._audit("resize", grant):
            return self._kept(grant, "audit_log", "The change can't be written into the audit log.")
        spawner.granted_bytes = max(before, grant.memory_bytes)
        try:
            await spawner.resize_server(grant.memory_bytes, grant.cpu)
        except NoRoomError as error:
            spawner.granted_bytes = before
            return self._kept(grant, error.code, "This machine has no room for it now.")
        except ResizeError as error:
            spawner.log.warning("The server of %s: %s", spawner.user.name, error.message)
            spawner.granted_bytes = before
            if not grows:  # it came to use more in the meantime: told as any other less
                return None
            return self._kept(grant, error.code, "It could not be given to the running server.")
        spawner.take(grant)
        await asyncio.to_thread(spawner.limit_home)
        spawner.pending_grant = None
        if not grows:
            self._audit("resize", grant)
        size = format_bytes(grant.memory_bytes)
        message = f"Your memory limit is now {size} (profile {grant.title}{self._lent(grant)})."
        hint = (
            "Running notebooks go on; their variables are kept."
            if grows
            else "Running notebooks go on. Past the limit the kernel that uses most is stopped."
        )
        spawner.board.say(self.now, "info", "resized", message, hint)
        return self._done("resized", "resized", grant, before, message, hint)

    def announce(self, pending: Pending, grant: Grant | None) -> Done:
        """Say that less is coming."""
        spawner = self.spawner
        spawner.pending_grant = pending
        self._audit("announce", grant or Refusal("no_room_left", "", ""))
        at = (pending.at or self.now).astimezone(UTC)
        when = format_moment(at)
        has = format_bytes(spawner.granted_bytes)
        # what happens and when comes first: a page may show no more than the first 140 characters
        if grant is None:
            message = f"This server will be stopped at {when}: your profile has no room for it any more."
            hint = (
                f"Until then it has {has}. Save your work, or stop another of your servers. Files are kept."
            )
        else:
            size = format_bytes(grant.memory_bytes)
            message = f"This server will be stopped at {when}, unless it uses less than {size} by then."
            hint = (
                f"Your profile is now {grant.title} ({size}); this server keeps its {has} until then. "
                f"Close notebooks until less than {size} is used, and the new limit comes without a stop. "
                "Files are kept."
            )
        spawner.board.say(self.now, "warning", "less_memory", message, hint)
        return self._done(
            "announced", "less_memory", grant, spawner.granted_bytes, message, hint, at.isoformat()
        )

    def withdraw(self) -> None:
        """Take an announcement back."""
        spawner = self.spawner
        announced = spawner.pending_grant is not None and spawner.pending_grant.at is not None
        spawner.pending_grant = None
        if announced:
            size = format_bytes(spawner.granted_bytes)
            spawner.board.say(
                self.now, "info", "withdrawn", f"This server keeps its {size}.", "Nothing to do."
            )

    async def stop(self, refusal: Refusal, stop: Callable[[EntitledSpawner], Awaitable[None]]) -> Done:
        """Say why, give the server a moment to pick it up, and stop it."""
        spawner, before = self.spawner, self.spawner.granted_bytes
        profile = spawner.granted_profile
        self._audit("stop", refusal)
        message = f"Your server is being stopped. {refusal.message}"
        if not any(notice.message == message for notice in spawner.board.notices):
            spawner.board.say(self.now, "error", refusal.code, message, refusal.hint)
            await asyncio.sleep(_DELIVERY_S if spawner.board_is_read else 0)
        await stop(spawner)
        return Done(spawner.name, "stopped", refusal.code, profile, before, 0, refusal.message, refusal.hint)

    def _lent(self, grant: Grant) -> str:
        """Say until when a profile is the person's, where it was lent to them."""
        account = self.account
        if account is None or account.until is None or account.until_profile == grant.profile:
            return ""
        then = title_of(account.until_profile, self.profiles)
        return f" until {format_moment(account.until)}, then {then}"

    def _kept(self, grant: Grant, code: str, why: str) -> Done | None:
        """Note that more could not be given; said once, tried again at each call."""
        spawner = self.spawner
        pending = Pending(grant.profile, grant.memory_bytes, None)
        size, has = format_bytes(grant.memory_bytes), format_bytes(spawner.granted_bytes)
        message = f"This server keeps its {has}, though your profile is now {grant.title} ({size}). {why}"
        hint = "It gets more as soon as that is possible, or when you start it again."
        if spawner.pending_grant != pending:
            spawner.pending_grant = pending
            spawner.board.say(self.now, "warning", code, message, hint)
        return self._done("kept", code, grant, spawner.granted_bytes, message, hint)

    def _done(
        self,
        kind: str,
        code: str,
        grant: Grant | None,
        before: int,
        message: str,
        hint: str,
        at: str | None = None,
    ) -> Done:
        to = grant.memory_bytes if grant else 0
        return Done(
            self.spawner.name, kind, code, grant.profile if grant else "", before, to, message, hint, at
        )

    def _audit(self, event: str, decision: Grant | Refusal) -> bool:
        """Write the audit line; taking away goes on without it, giving does not."""
        return self.spawner.write_audit(
            event=event,
            asked_by=self.asked_by,
            account=self.account,
            requested=self.spawner.wish,
            decision=decision,
        )
