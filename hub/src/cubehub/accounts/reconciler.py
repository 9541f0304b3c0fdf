"""Sees to it that what runs follows Keycloak, whoever changed something there."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cubehub_spawner.errors import SpawnerError

from cubehub.accounts.compare import compare, has_access
from cubehub.accounts.errors import AccountsError, GatewayError, UnknownUserError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from cubehub.accounts.actions import Actions, Reached
    from cubehub.accounts.membership import Snapshot
    from cubehub.accounts.people import Person
    from cubehub.accounts.rules import Rules

log = logging.getLogger("cubehub.accounts")
_PENDING_EVERY = timedelta(seconds=15)
_AT_ONCE = 8
"""People looked after at the same time; stopping servers takes seconds."""

_LONGEST_PAUSE_S = 10.0
"""A change is to be found within 15 s."""


def pause_s(took_s: float, every_s: float) -> float:
    """Tell how long to wait after a round.

    Notes
    -----
    A round reads all members: of 2,000 people that takes Keycloak 2 s. Three times as long it is left to those who
    log in.
    """
    return max(0.2, every_s - took_s, min(3 * took_s, _LONGEST_PAUSE_S))


class Reconciler:
    """Compares in rounds and lets follow whoever differs.

    Parameters
    ----------
    actions
        What it may do.
    every_s
        Seconds from the start of one round to that of the next.

    Notes
    -----
    Keycloak, the Hub and the gateway hold all there is to know; what is kept here saves work and lines in the log,
    and after a crash is found out again. It ends nothing on its own finding: the Hub asks Keycloak once more about
    the person, and where a person seems to have lost everything, so does this with an account and a question of its
    own. Where any of Keycloak's answers fails, the round ends with nothing done.
    """

    def __init__(self, actions: Actions, every_s: float) -> None:
        self._do = actions
        self._every_s = every_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tried: dict[str, datetime] = {}
        self._off: set[str] = set()
        self._anew: set[str] = set()
        self._rules: Rules | None = None
        self._said: dict[str, str] = {}
        self.state: dict[str, Any] = {"last_round": None, "problems": {}}
        """For the health page: when the last round was, and what could not be asked in it."""

    async def run(self) -> None:
        """Go on until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            try:
                await self.round(datetime.now(UTC))
            except Exception:
                # the next round finds the same work again
                log.exception("a round failed")
            await asyncio.sleep(pause_s(clock() - begun, self._every_s))

    async def round(self, now: datetime) -> None:
        """Compare once and begin what is to be done; people whose turn is not over yet are left alone."""
        problems: dict[str, str] = {}
        self.state = {"last_round": now.isoformat(timespec="seconds"), "problems": problems}
        try:
            rules = self._do.rules()
            running = await self._do.hub.running()
            snapshot = await self._do.membership.snapshot(rules.granting)
        except (AccountsError, SpawnerError) as error:
            problems["round"] = error.code
            self._say("round", f"nothing is compared: {error.message}")
            return
        self._say("round", "")
        try:
            clusters = await self._do.gateway.clusters()
            self._say("gateway", "")
        except GatewayError as error:
            # servers follow all the same
            clusters = {}
            problems["gateway"] = error.code
            self._say("gateway", f"Dask clusters are not compared: {error.message}")
        todo = compare(running, clusters, snapshot, rules.granting, now)
        # at the start, and after an edit of the profiles, numbers may differ where groups do not
        names = {one.name for one in running}
        self._anew = names if rules != self._rules else self._anew & names
        self._rules = rules
        for name in self._off - todo.off:
            # a next time is to be told like the first
            self._say(name, "")
        self._off &= todo.off
        for person in todo.due:
            self._begin(person.key, self._move_back(person, now))
        for name in sorted(todo.follow | todo.ended | self._anew):
            self._begin(name, self._follow(name, rules, snapshot))
        for name in sorted(todo.pending):
            if now - self._tried.get(name, now - _PENDING_EVERY) >= _PENDING_EVERY:
                self._tried[name] = now
                self._begin(name, self._follow(name, rules, snapshot))
        self._tried = {name: when for name, when in self._tried.items() if name in todo.pending}
        for name in sorted(todo.off - self._off):
            self._begin(name, self._end_log_ins(name, snapshot.disabled[name]))

    async def finish(self) -> None:
        """Wait until all that was begun is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        key = name.lower()
        if key in self._tasks:
            work.close()
            return
        task = asyncio.create_task(self._one(key, work))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _one(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do one person's work; what fails concerns nobody else, and comes again."""
        try:
            async with self._room:
                await work
        except (AccountsError, SpawnerError) as error:
            self._say(name, f"{name}: not done yet: {error.message} {error.hint}")
        except Exception:
            log.exception("%s: failed", name)
        finally:
            work.close()

    async def _follow(self, name: str, rules: Rules, snapshot: Snapshot) -> None:
        if not has_access(name, snapshot) and await self._still_has_access(name, rules):
            # the two answers disagree; the next round looks again
            return
        reached = await self._do.reach(name)
        if not reached.problems:
            self._anew.discard(name)
        self._tell(name, reached)

    async def _still_has_access(self, name: str, rules: Rules) -> bool:
        try:
            found = await self._do.membership.find(name, rules.granting)
        except UnknownUserError:
            return False
        return found.enabled and bool(found.groups & rules.granting)

    async def _move_back(self, person: Person, now: datetime) -> None:
        reached = await self._do.move_back(person, now)
        if reached is not None:
            log.info(
                "%s: the time is over; moved back to %s", person.username, person.until_profile or "none"
            )
            self._tell(person.username, reached)

    async def _end_log_ins(self, name: str, account_id: str) -> None:
        # first: stopping servers takes seconds, after which this might end the log-in of somebody let in again
        await self._do.membership.end_sessions(account_id)
        reached = await self._do.reach(name)
        self._tell(name, reached)
        if not reached.problems:
            self._off.add(name)

    def _tell(self, name: str, reached: Reached) -> None:
        """Log what was reached, once for as long as it stays the same."""
        done = [
            f"server {one.get('server') or '(default)'} {one.get('kind')} ({one.get('code')})"
            for one in reached.actions
            if one.get("code") != "starting"
        ]
        if reached.clusters_stopped:
            done.append(f"{reached.clusters_stopped} Dask clusters ended")
        done += [f"not done yet: {one['message']}" for one in reached.problems]
        if reached.access == "ended":
            done.insert(0, "access ended")
        text = f"{name}: {', '.join(done)}" if done else ""
        # what was ended is said; that nothing is left of it is not said again
        if done != ["access ended"] or not self._said.get(name.lower(), "").startswith(text):
            self._say(name.lower(), text)

    def _say(self, subject: str, text: str) -> None:
        """Write a line where it is another than the last about the subject; an empty text says that all is well."""
        before = self._said.get(subject, "")
        if text == before:
            return
        if text:
            self._said[subject] = text
            log.info("%s", text)
        else:
            del self._said[subject]
            if subject in ("round", "gateway"):
                log.info("compared again")
