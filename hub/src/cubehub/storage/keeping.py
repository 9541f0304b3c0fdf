"""The keeper's work from end to end: what is known, what is planned, who is told, what is moved."""

from __future__ import annotations

import fcntl
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError, CubeHubError
from cubehub.mail.sending import Told, send_due
from cubehub.storage import beneath, planning
from cubehub.storage.away import Away
from cubehub.storage.deciding import Found, Keeps, Kept, decide, over_since
from cubehub.storage.kinds import ASKED, MADE
from cubehub.storage.names import original, readable
from cubehub.storage.notices import record, telling
from cubehub.storage.quarantine import Keeper, Outcome
from cubehub.storage.results import Results
from cubehub.storage.since import Since
from cubehub.storage.whose import theirs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cubehub.storage.deciding import Owner
    from cubehub.storage.planning import Entry, Excess
    from cubehub.storage.results import Summary

_KEPT = "its owner keeps it"

log = logging.getLogger("cubehub.storage")
_SENDING = "mail.lock"


@dataclass(frozen=True)
class Known:
    """What is known at a moment.

    Attributes
    ----------
    found : Found
        Without what was moved away since the scan.
    sizes : dict of bytes to int
        Bytes of each home, as scanned.
    people : str
        Why nobody could be asked whose the homes are; empty if they are known, or nobody needs to.
    """

    summary: Summary
    found: Found
    sizes: dict[bytes, int]
    people: str = ""


@dataclass(frozen=True)
class Plan:
    """What would be moved at a date."""

    at: float
    entries: list[Entry]
    excess: list[Excess]
    known: Known


class Keeping(Away):
    """The keeper's work.

    See `Away` for what it is made with, and for what is done with what is away.
    """

    # What is known

    def owners(self) -> dict[str, Owner] | None:
        """Everybody, by home.

        Raises
        ------
        CubeHubError
            They could not be asked.
        """
        people = self.settings.people()
        if people is None:
            return None
        return theirs(self.settings.homes, people.owners(self.settings.storage_of_profiles()))

    def known(self) -> Known:
        """What the last scan found, and what is known of the people.

        Raises
        ------
        BadInputError
            There was no scan.
        """
        results = Results(self.settings.state)
        scans = results.scans()
        if not scans:
            raise BadInputError("Nobody has looked at the homes yet.", "Run `cubehub storage scan`.")
        last = scans[0]
        owners, why = None, ""
        try:
            owners = self.owners()
            if owners is None:
                why = "The platform was never started, so nobody knows whose the homes are."
        except CubeHubError as error:
            why = error.message
        with record.opened(self.settings.state) as told:
            kept = told.kept(self.now())
        kept += [Kept(original(home), original(path), None, "file") for home, path in results.kept(last.id)]
        still = Since(self.settings.state, last)
        homes = still.homes
        found = Found(
            scanned=last.started,
            homes=homes,
            units=still.units(),
            large=still.large(),
            over_since=over_since(results.fill(), owners) if owners is not None else {},
            owners=owners,
            kept=kept,
            apart=beneath.apart(self.settings.homes, [original(home.name) for home in homes]),
        )
        sizes = {original(home.name): home.bytes for home in results.homes(last.id)}
        return Known(last, found, sizes, why if self.policy.needs_people() else "")

    def plan(self, at: float | None = None) -> Plan:
        """What the policy would have moved at a date; today if none is given."""
        known = self.known()
        when = self.now() if at is None else at
        entries = decide(known.found, self.policy, when)
        return Plan(when, entries, planning.excess(entries, known.sizes, self.policy), known)

    # Who is told

    def tell(self, known: Known | None = None) -> int:
        """Write to the owners of what will be moved; how many mails were written.

        Notes
        -----
        Nothing is told, and nothing that was told is taken back, while nobody knows whose the homes are.
        """
        known = known or self.known()
        owners = known.found.owners
        if owners is None:
            return 0
        notices = self.policy.notices
        entries = decide(known.found, self.policy, self.now(), lead=notices.first)
        with record.opened(self.settings.state) as told:
            found = telling.steps(entries, told.open_ones(), notices, self.now())
            written = telling.tell_full(told, known.found.homes, owners, self._post())
            return written + telling.tell(
                told,
                found,
                owners,
                notices,
                self.settings.mail(),
                self.settings.links().keep,
                self.settings.title(),
                self.now(),
                archived=bool(self.policy.archive.to),
            )

    def tell_moved(self, moved: Iterable[Entry], owners: Mapping[str, Owner] | None) -> int:
        """Write to the owners of what was moved just now; how many mails were written."""
        if owners is None:
            return 0
        with record.opened(self.settings.state) as told:
            return telling.tell_moved(told, moved, owners, self.policy.hold, self._post())

    def _post(self) -> telling.Post:
        return telling.Post(self.settings.mail(), self.settings.links(), self.settings.title(), self.now())

    async def send(self) -> Told:
        """Send the mails that wait. One sender at a time: what another one is sending is not cut off."""
        lock = os.open(self.settings.state / _SENDING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return Told(why="Another program sends mails just now.")
            with record.opened(self.settings.state) as told:
                return await send_due(told.outbox, self.settings.mail(), self.now)
        finally:
            os.close(lock)

    def mails_waiting(self) -> int:
        """How many mails have not gone out yet."""
        with record.opened(self.settings.state) as told:
            return told.outbox.waiting()

    def has_mail(self) -> bool:
        """Whether a mail may be tried now."""
        if not self.settings.mail().server or not (self.settings.state / record.FILE).exists():
            return False
        with record.opened(self.settings.state) as told:
            return bool(told.outbox.due(self.now()))

    # What is moved

    def waiting(self, entries: Iterable[Entry]) -> dict[tuple[bytes, bytes], str]:
        """Entries that must not be moved yet, by home and path, and why."""
        wanted = [e for e in entries if e.kind not in ASKED]
        if not wanted:
            return {}
        by_home: dict[bytes, list[record.Noticed]] = {}
        with record.opened(self.settings.state) as told:
            for one in told.open_ones():
                by_home.setdefault(one.home, []).append(one)
            kept = Keeps(told.kept(self.now()), self.now())
        here = self._here(wanted)
        reasons = {}
        for entry in wanted:
            why = telling.why_not(entry, by_home.get(entry.home, ()), self.policy.notices, self.now())
            why = why or here.get((entry.home, entry.path), "")
            if kept.cover(entry.home, entry.path):
                why = _KEPT
            if why:
                reasons[entry.home, entry.path] = why
        return reasons

    def _here(self, entries: list[Entry]) -> dict[tuple[bytes, bytes], str]:
        """Entries whose owner is here by now, or may be: a plan may be from long ago.

        Notes
        -----
        Who uses a home from another machine, as pods do, is not seen in this one's processes; the Hub knows. What
        people made stays while nobody can be asked.
        """
        try:
            owners = self.owners()
        except CubeHubError:
            owners = None
        if owners is None:
            why = "nobody can tell just now whether its owner is here"
            return {(e.home, e.path): why for e in entries if e.kind in MADE}
        found = {}
        for entry in entries:
            owner = owners.get(readable(entry.home))
            if owner is not None and owner.running:
                found[entry.home, entry.path] = "a server of its owner runs"
            elif owner is not None and entry.kind == "idle" and owner.last_seen >= entry.cutoff:
                found[entry.home, entry.path] = "its owner was here since"
        return found

    def _kept_by_now(self, entry: Entry) -> bool:
        with record.opened(self.settings.state) as told:
            kept = told.kept(self.now(), entry.home)
        return any(one.covers(entry.home, entry.path, self.now()) for one in kept)

    def apply(
        self,
        entries: list[Entry],
        text: str,
        waiting: dict[tuple[bytes, bytes], str],
        *,
        each: Callable[[list[Entry], Callable[[Entry], Outcome]], list[Outcome]] | None = None,
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> list[Outcome]:
        """Move what a plan says, write it into the audit log, and write to the owners.

        Parameters
        ----------
        text : str
            The plan, for the record.
        waiting : dict
            As `waiting` gives it.
        each : callable or None
            Does something to each entry, with progress.
        told : callable
            Given what was found of an earlier run.
        """
        each = each or (lambda items, act: [act(item) for item in items])
        with self.keeper(told) as (keeper, made):
            run = made.begin_run(str(self.settings.homes), text, self.now())
            done = each(entries, lambda entry: self.move(keeper, run, entry, waiting))
        self.note("quarantine", done)
        fine = {(o.home, o.path) for o in done if not o.why}
        moved = [e for e in entries if (e.home, e.path) in fine and e.kind in MADE]
        if moved:
            try:
                self.tell_moved(moved, self.owners())
            except CubeHubError as error:
                # they were told twice before; what was moved is in their panel
                log.warning("nobody was written to about what was moved: %s", error.message)
        return done

    def move(
        self, keeper: Keeper, run: int, entry: Entry, reasons: dict[tuple[bytes, bytes], str]
    ) -> Outcome:
        """Move one entry of a plan into quarantine, if its owner was told and all that it says still holds."""
        why = reasons.get((entry.home, entry.path))
        if not why and entry.kind not in ASKED and self._kept_by_now(entry):
            why = _KEPT  # a run may take hours, in which people answer their mails
        if why:
            return Outcome(entry.home, entry.path, 0, why)
        done = keeper.quarantine(run, entry)
        if not done.why and entry.kind not in ASKED and self._kept_by_now(entry):
            back = keeper.take_back(done.move)  # kept while a large home was looked through
            return Outcome(entry.home, entry.path, 0, _KEPT if not back.why else f"{_KEPT}: {back.why}")
        if not done.why and entry.kind in MADE:
            with record.opened(self.settings.state) as told, told.transaction:
                for one in told.open_ones(entry.home):
                    if one.is_about(entry):
                        told.end(one.id, self.now(), "moved")
        return done
