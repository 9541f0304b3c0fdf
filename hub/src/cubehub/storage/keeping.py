"""The keeper's work from end to end: what is known, what is planned, who is told, what is moved."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cubehub_spawner import audit

from cubehub.errors import BadInputError, CubeHubError
from cubehub.mail.sending import Told, send_due
from cubehub.storage import inside, journal, planning
from cubehub.storage.archivist import Archivist
from cubehub.storage.deciding import Found, Kept, decide, over_since
from cubehub.storage.journal import PURGED, QUARANTINED, RETURNED
from cubehub.storage.kinds import ASKED, MADE
from cubehub.storage.names import original, readable
from cubehub.storage.notices import record, telling
from cubehub.storage.places import store_at, store_to_read
from cubehub.storage.planning import OF_HOMES
from cubehub.storage.processes import Users
from cubehub.storage.quarantine import Keeper, Outcome
from cubehub.storage.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cubehub.storage.deciding import Owner
    from cubehub.storage.planning import Entry, Excess
    from cubehub.storage.policies import Policy
    from cubehub.storage.results import Summary
    from cubehub.storage.settings import StorageSettings

_KEPT = "its owner keeps it"
_PATIENCE_S = 30.0
"""For so long one who wants something back waits for an archive of the same home to give way."""

log = logging.getLogger("cubehub.storage")
_SENDING = "mail.lock"


@dataclass(frozen=True)
class Known:
    """What is known at a moment.

    Attributes
    ----------
    people : str
        Why nobody could be asked whose the homes are; empty if they are known, or nobody needs to.
    """

    summary: Summary
    found: Found
    people: str = ""

    @property
    def sizes(self) -> dict[bytes, int]:
        """Bytes of each home."""
        return {original(home.name): home.bytes for home in self.found.homes}


@dataclass(frozen=True)
class Plan:
    """What would be moved at a date."""

    at: float
    entries: list[Entry]
    excess: list[Excess]
    known: Known


class Keeping:
    """The keeper's work.

    Parameters
    ----------
    settings : StorageSettings
        Where, and whom to ask.
    now : callable
        Seconds since 1970; for tests, which cannot wait for weeks.
    who : str
        Who asks, for the audit log.
    policy : Policy or None
        Instead of the one that `storage.yaml` has now.
    """

    def __init__(
        self,
        settings: StorageSettings,
        *,
        now: Callable[[], float] = time.time,
        who: str | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.settings, self.now = settings, now
        self.policy: Policy = policy or settings.policy()
        self.who = who or f"uid {os.getuid()}"

    # What is known

    def owners(self) -> dict[str, Owner] | None:
        """Everybody, by home.

        Raises
        ------
        CubeHubError
            They could not be asked.
        """
        people = self.settings.people()
        return people.owners(self.settings.storage_of_profiles()) if people else None

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
        found = Found(
            scanned=last.started,
            homes=results.homes(last.id),
            units=results.units(last.id),
            large=results.large(last.id),
            over_since=over_since(results.fill(), owners) if owners is not None else {},
            owners=owners,
            kept=kept,
        )
        return Known(last, found, why if self.policy.needs_people() else "")

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
            kept = told.kept(self.now())
        here = self._here(wanted)
        reasons = {}
        for entry in wanted:
            why = telling.why_not(entry, by_home.get(entry.home, ()), self.policy.notices, self.now())
            why = why or here.get((entry.home, entry.path), "")
            if any(one.covers(entry.home, entry.path, self.now()) for one in kept):
                why = _KEPT
            if why:
                reasons[entry.home, entry.path] = why
        return reasons

    def _here(self, entries: list[Entry]) -> dict[tuple[bytes, bytes], str]:
        """Entries whose owner is here by now, or may be: a plan may be from long ago.

        Notes
        -----
        Who uses a home from another machine, as pods do, is not seen in this one's processes; the Hub knows. A home as
        a whole stays while nobody can be asked.
        """
        try:
            owners = self.owners()
        except CubeHubError:
            owners = None
        if owners is None:
            why = "nobody can tell just now whether its owner is here"
            return {(e.home, e.path): why for e in entries if e.kind in OF_HOMES}
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

    @contextmanager
    def keeper(
        self, told: Callable[[Outcome], None] = lambda _: None
    ) -> Iterator[tuple[Keeper, journal.Journal]]:
        """The keeper, after what an earlier one left undone was brought in order.

        Parameters
        ----------
        told : callable
            Given what was found of an earlier run.
        """
        with journal.opened(self.settings.state) as made:
            keeper = Keeper(self.settings.homes, made, Users(), now=self.now)
            try:
                for outcome in [
                    *keeper.recover(),
                    *Archivist(keeper, made, None).recover(),
                ]:
                    told(outcome)
                yield keeper, made
            finally:
                keeper.close()

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

    @contextmanager
    def archivist(
        self,
        keeper: Keeper,
        made: journal.Journal,
        progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
    ) -> Iterator[Archivist]:
        """Who moves things between quarantine and archives, beside a keeper.

        Raises
        ------
        CubeHubError
            The place for archives cannot be used.
        """
        store = store_at(self.policy.archive.to, made)
        try:
            found = Archivist(keeper, made, store, progress=progress)
            found.recover()
            yield found
        finally:
            if store is not None:
                store.close()

    def bring_back(
        self,
        keeper: Keeper,
        made: journal.Journal,
        one: journal.Move,
        only: bytes | None = None,
        progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
    ) -> Outcome:
        """Put something that is away back, or a copy of one file or folder of it.

        Raises
        ------
        CubeHubError
            It cannot be had just now.
        """
        made.free(one.home, _PATIENCE_S)
        one = made.get(one.id)
        with ExitStack() as stack:
            # what is in quarantine is had though the place for archives is away
            archivist = (
                Archivist(keeper, made, None, progress=progress)
                if one.state in journal.IN_QUARANTINE
                else stack.enter_context(self.archivist(keeper, made, progress))
            )
            done = archivist.copy_out(one, only) if only else archivist.bring_back(one)
        if not done.why and not only:
            with record.opened(self.settings.state) as told:
                told.withdraw(one.home, telling.MOVED)
        return done

    def kept_until(self, one: journal.Move) -> float | None:
        """When something that is away goes for good at the earliest, seconds since 1970; None for never."""
        keep = self.policy.archive.keep
        if one.state == PURGED:
            return None if keep is None else one.at + keep
        if one.kind in MADE:
            return None if keep is None else one.at + self.policy.hold + keep
        return one.at + self.policy.hold

    def inside(self, one: journal.Move, most: int) -> list[inside.Line]:
        """What is in something that is away, the first of it."""
        store = store_to_read(self.policy.archive.to, self.settings.state) if one.state == PURGED else None
        try:
            return inside.look(self.settings.homes, one, store, most)
        finally:
            if store is not None:
                store.close()

    # What is archived, removed and forgotten

    def to_archive(self, made: journal.Journal) -> list[journal.Move]:
        """What people made that is in quarantine and in no archive, the oldest first."""
        return [m for m in made.moves(QUARANTINED) if m.kind in MADE] if self.policy.archive.to else []

    def to_purge(self, made: journal.Journal) -> list[journal.Move]:
        """What has been in quarantine for longer than the hold, and may be removed."""
        over = [m for m in made.moves(*journal.IN_QUARANTINE) if self.now() - m.at >= self.policy.hold]
        return [m for m in over if (m.kind not in MADE or m.seal is not None) and m.kind not in ASKED]

    def to_expire(self, made: journal.Journal) -> list[journal.Move]:
        """Archives whose time is over, and those of what was brought back before the hold's time."""
        found = []
        for one in made.moves(PURGED, RETURNED):
            keep = self.policy.archive.keep if one.state == PURGED else self.policy.hold
            if one.seal is not None and keep is not None and self.now() - one.at >= keep:
                found.append(one)
        return found

    def note(self, what: str, done: list[Outcome]) -> None:
        """Write one line for each home into the audit log.

        Raises
        ------
        CubeHubError
            It cannot be written.
        """
        homes = Counter(o.home for o in done if not o.why)
        log = self.settings.audit_log
        for home, count in sorted(homes.items()):
            line = {
                "time": datetime.now(UTC).isoformat(), "event": f"storage_{what}", "user": readable(home), "asked_by": self.who,
                "outcome": "done", "folders": count, "bytes": sum(o.bytes for o in done if o.home == home and not o.why),
            }  # fmt: skip
            try:
                audit.append(log, line)
            except OSError as error:
                raise CubeHubError(
                    f"It cannot be written down in {log}: {error.strerror}.",
                    "Make room on the disk, then try again.",
                ) from error
