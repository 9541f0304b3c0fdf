"""What may be done about people: each is noted first, done in Keycloak, and carried to what runs at once."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cubehub_spawner import audit
from cubehub_spawner.errors import ProfileFileError

from cubehub.accounts.errors import AccountsError, AuditError, RefusedError
from cubehub.accounts.people import write_moment
from cubehub.accounts.rules import Rules, read_rules

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.accounts.membership import Membership
    from cubehub.accounts.neighbours import Gateway, Hub
    from cubehub.accounts.people import Person

log = logging.getLogger("cubehub.accounts")
ITSELF = "cubehub-accounts"
"""Who asked, in the audit log, when a time was over."""


@dataclass
class Reached:
    """What a change did to what ran."""

    access: str | None = None
    """``granted`` or ``ended``; None where the Hub could not be asked."""
    actions: list[dict[str, Any]] = field(default_factory=list)
    """One for each server, as the Hub reports it."""
    clusters_stopped: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)
    """What could not be done yet; the service goes on trying."""

    def as_json(self) -> dict[str, Any]:
        """Write it as JSON."""
        return {
            "access": self.access,
            "actions": self.actions,
            "clusters_stopped": self.clusters_stopped,
            "problems": self.problems,
        }


class Actions:
    """Moves, suspends and resumes people.

    Parameters
    ----------
    membership, hub, gateway
        Whom it asks and tells.
    profiles_yaml
        Read at each action, so an edit needs no restart.
    audit_log
        Takes one line for each action, before it is done.
    """

    def __init__(
        self, membership: Membership, hub: Hub, gateway: Gateway, profiles_yaml: Path, audit_log: Path
    ) -> None:
        self.membership = membership
        self.hub = hub
        self.gateway = gateway
        self._profiles_yaml = profiles_yaml
        self._audit_log = audit_log
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def rules(self) -> Rules:
        """Read the profiles.

        Raises
        ------
        ProfileFileError
            The file can't be used.
        """
        return read_rules(self._profiles_yaml)

    async def move(self, name: str, profile: str, until: datetime | None, asked_by: str) -> Reached:
        """Give a person a profile instead of those they have.

        Parameters
        ----------
        profile
            By name or title; `NOTHING` for none.
        until
            When they go back to what they had; None for never.

        Raises
        ------
        AccountsError
            It was not done, or only in part; repeating is safe.
        """
        rules = self.rules()
        to = rules.named(profile)
        target = rules.target(to) if to else None
        async with self._locks[name.lower()]:
            who = await self.membership.find(name, rules.granting)
            _leave_administrators_alone(who)
            before = rules.granted(who)
            # a second move with an end does not make the first one's profile the one to go back to
            back = who.until_profile if who.until else next(iter(before), None)
            if until is not None and back == to:
                raise _no_way_back(who, to)
            line = {"from": before, "to": to, "until": write_moment(until) if until else None}
            async with self._noted("move", who, asked_by, line):
                if until is not None:
                    await self.membership.note_until(who, until, back)
                await self.membership.move(who, target, rules.granting)
                if until is None and (who.until or who.until_profile):
                    # last: cut before, they go back in time, and nobody keeps for good what was lent
                    await self.membership.note_until(who, None, None)
        return await self.reach(who.username)

    async def move_back(self, who: Person, now: datetime) -> Reached | None:
        """Do what was noted when a person was moved for a time; None where it no longer is to be done."""
        rules = self.rules()
        async with self._locks[who.key]:
            # asked again: somebody may have moved them since
            who = await self.membership.find(who.username, rules.granting)
            if who.until is None or who.until > now:
                return None
            profile = who.until_profile if who.until_profile in rules.groups else None
            target = rules.target(profile) if profile else None
            line = {"from": rules.granted(who), "to": profile, "until": None}
            if who.until_profile and not profile:
                line["reason"] = f"the profile {who.until_profile} no longer exists"
            async with self._noted("move", who, ITSELF, line):
                await self.membership.move(who, target, rules.granting)
                await self.membership.note_until(who, None, None)
        return await self.reach(who.username)

    async def suspend(self, name: str, reason: str, asked_by: str) -> Reached:
        """Switch an account off, end its log-ins and all that it runs; files stay.

        Raises
        ------
        AccountsError
            It was not done.
        """
        try:
            granting = self.rules().granting
        except ProfileFileError as error:  # what takes away must go whatever is wrong with what gives
            log.error("%s", error.message)  # noqa: TRY400 - expected, and told in full
            granting = frozenset()
        async with self._locks[name.lower()]:
            who = await self.membership.find(name, granting)
            _leave_administrators_alone(who)
            noted = self._noted("suspend", who, asked_by, {"reason": reason}, taking=True)
            async with noted:
                await self.membership.suspend(who, reason)
        problems = list(noted.problems)
        try:
            await self.membership.end_sessions(who.id)
        except AccountsError as error:
            problems.append(_problem(error))
        reached = await self.reach(who.username)
        reached.problems = problems + reached.problems
        return reached

    async def resume(self, name: str, asked_by: str) -> Reached:
        """Switch an account on again.

        Raises
        ------
        AccountsError
            It was not done.
        """
        rules = self.rules()
        async with self._locks[name.lower()]:
            who = await self.membership.find(name, rules.granting)
            if who.enabled and who.suspended is None:
                raise RefusedError(
                    f"{who.username} is not suspended.", "There is nothing to resume.", code="not_suspended"
                )
            _leave_administrators_alone(who)
            async with self._noted("resume", who, asked_by, {"reason": who.suspended}):
                await self.membership.resume(who)
        return await self.reach(who.username)

    async def reach(self, name: str) -> Reached:
        """Let what a person runs follow; what fails is told, and tried again by the reconciler."""
        reached = Reached()
        try:
            answer = await self.hub.apply(name)
            reached.access, reached.actions = answer["access"], list(answer.get("actions", []))
        except AccountsError as error:
            reached.problems.append(_problem(error))
            return reached
        if reached.access == "ended":
            try:
                reached.clusters_stopped = await self.gateway.end_clusters(name)
            except AccountsError as error:
                reached.problems.append(_problem(error))
        return reached

    def _noted(
        self, event: str, who: Person, asked_by: str, more: dict[str, Any], *, taking: bool = False
    ) -> _Noted:
        line = {
            "time": "",
            "event": event,
            "user": who.username,
            "asked_by": asked_by,
            "account": who.id,
            "groups": sorted(who.groups),
            **more,
        }
        return _Noted(self._audit_log, line, taking=taking)


class _Noted:
    """Writes the audit line before what it is about, and a second one where that failed.

    Parameters
    ----------
    path : path
        The audit log.
    line : dict
        What is about to be done.
    taking : bool
        Whether it only takes away: that is done even where it can't be written down, for who fills the disk must not
        be safe from it. Then the line goes to the service's own log, and `problems` says so.
    """

    def __init__(self, path: Path, line: dict[str, Any], *, taking: bool = False) -> None:
        self._path = path
        self._line = line
        self._taking = taking
        self.problems: list[dict[str, str]] = []

    async def __aenter__(self) -> None:
        try:
            self._write(outcome="begun", code=None)
        except AuditError as error:
            if not self._taking:
                raise
            log.error("%s Done all the same: %s", error.message, self._line)  # noqa: TRY400 - it is told in full
            self.problems.append(
                {
                    "code": "not_recorded",
                    "message": f"{error.message} It was done all the same, and is not recorded.",
                    "hint": "Free some disk, or mend the file's rights; what was done stands in the log of the accounts service.",
                }
            )

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        try:
            self._write(outcome="failed", code=getattr(error, "code", type(error).__name__))
        except AuditError as also:
            log.error("%s", also.message)  # noqa: TRY400 - the error that led here is the one to tell

    def _write(self, **more: str | None) -> None:
        line = {**self._line, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **more}
        try:
            audit.append(self._path, line)
        except OSError as error:
            raise AuditError(
                f"The audit log {self._path} can't be written: {error.strerror or error}.",
                "Nothing was changed. Free some disk, or mend the file's rights, then try again.",
            ) from error


def _leave_administrators_alone(who: Person) -> None:
    if who.administrator:
        raise RefusedError(
            f"{who.username} is an administrator, whom CubeHub neither moves nor suspends.",
            "Do it in Keycloak's own console (Users), or take them out of /cubehub/admin there first.",
            code="administrator",
        )


def _no_way_back(who: Person, profile: str | None) -> RefusedError:
    """Refuse an end after which nothing would be another: who asked for it means something else."""
    to, what = (profile, f"the profile {profile}") if profile else ("none", "no profile")
    return RefusedError(
        f"After that time {who.username} would go back to {what}, which is the same: the end would change nothing.",
        f"Move them first, without an end, to what they should go back to; then to {to} with the end.",
        code="same_profile",
    )


def _problem(error: AccountsError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}
