"""What is away from the homes: who may work with it, how it comes back, and when it is archived, removed and forgotten."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cubehub_spawner import audit

from cubehub.errors import CubeHubError
from cubehub.storage import inside, journal
from cubehub.storage.archivist import Archivist
from cubehub.storage.journal import PURGED, QUARANTINED, RETURNED
from cubehub.storage.kinds import ASKED, MADE
from cubehub.storage.names import readable
from cubehub.storage.notices import record, telling
from cubehub.storage.places import store_at, store_to_read
from cubehub.storage.policies import Policy
from cubehub.storage.processes import Users
from cubehub.storage.quarantine import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cubehub.storage.quarantine import Outcome
    from cubehub.storage.settings import StorageSettings

_PATIENCE_S = 30.0
"""For so long one who wants something back waits for an archive of the same home to give way."""


class Away:
    """What is in quarantine and in archives.

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
    lenient : bool
        Whether it works with a `storage.yaml` that cannot be used too, as far as that goes: for what brings things back.
        Nothing may be decided by the policy then.

    Attributes
    ----------
    mistake : CubeHubError or None
        Why `storage.yaml` cannot be used.
    """

    def __init__(
        self,
        settings: StorageSettings,
        *,
        now: Callable[[], float] = time.time,
        who: str | None = None,
        policy: Policy | None = None,
        lenient: bool = False,
    ) -> None:
        self.settings, self.now = settings, now
        self.mistake: CubeHubError | None = None
        try:
            self.policy: Policy = policy or settings.policy()
        except CubeHubError as error:
            if not lenient:
                raise
            self.mistake, self.policy = error, Policy()
        self.who = who or f"uid {os.getuid()}"

    # Who works with it

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
        self._check_policy()
        store = store_at(self.policy.archive.to, made)
        try:
            found = Archivist(keeper, made, store, progress=progress)
            found.recover()
            yield found
        finally:
            if store is not None:
                store.close()

    def _check_policy(self) -> None:
        """Look that it is known where archives are, and how long things are kept."""
        if self.mistake is not None:
            raise self.mistake

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
        """When something that is away goes for good at the earliest, seconds since 1970; None for never.

        Raises
        ------
        CubeHubError
            `storage.yaml` cannot be used, so nobody knows.
        """
        self._check_policy()
        keep = self.policy.archive.keep
        if one.state == PURGED:
            return None if keep is None else one.at + keep
        if one.kind in MADE:
            return None if keep is None else one.at + self.policy.hold + keep
        return one.at + self.policy.hold

    def inside(self, one: journal.Move, most: int) -> list[inside.Line]:
        """What is in something that is away, the first of it."""
        if one.state == PURGED:
            self._check_policy()
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
