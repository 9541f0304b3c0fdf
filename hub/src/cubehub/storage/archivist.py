"""From quarantine into an archive and back out of it: each step written down before, so that a kill loses nothing."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.storage.archive import ChangedError, StoreError, pack, unchanged, verify
from cubehub.storage.grounds import ITEM, SkippedError
from cubehub.storage.journal import (
    ARCHIVED,
    ARCHIVING,
    EXPIRED,
    EXPIRING,
    IN_QUARANTINE,
    QUARANTINED,
    RETURNED,
    UNPACKING,
)
from cubehub.storage.kinds import MADE
from cubehub.storage.places import ARCHIVE, LISTING
from cubehub.storage.quarantine import Outcome
from cubehub.storage.unarchiving import UNPACKED, Unarchiving, seal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.archive import Packed, Store
    from cubehub.storage.journal import Move

_LOOK_EACH_S = 0.5
"""Between two looks whether somebody needs the home of what is being archived."""
_WANTED = "something of this home is wanted back: it is archived later"


class Archivist(Unarchiving):
    """Moves things between quarantine and a store of archives.

    Others that are at work on something of the same home are waited for or left alone; see `cubehub.storage.turns`.
    """

    # After a kill

    def recover(self) -> list[Outcome]:
        """Bring the journal to what is so; what is half in the store is not in the archive."""
        told = []
        claimed = self._journal.claimed()
        for made in self._journal.moves(ARCHIVING):
            if made.id in claimed:
                continue
            # with its name: what there may be of it in the store is deleted once that is at hand
            self._journal.archive(made.id, QUARANTINED, made.archive)
            told.append(Outcome(made.home, made.path, 0, "it is in quarantine, and in no archive", made.id))
        for made in self._journal.moves(UNPACKING):
            if made.id in claimed:
                continue
            self._end_unpacking(made)
            told.append(Outcome(made.home, made.path, 0, "it was not brought back", made.id))
        self._remove_copies(claimed)
        if self._store is not None:
            if not claimed:  # else some of it is being written
                self._store.sweep(self._expected())
            for made in self._journal.unsealed():
                if made.id not in claimed:
                    with suppress(CubeHubError):  # the next one tries again
                        self._drop(made)
            for made in self._journal.moves(EXPIRING):
                self.expire(made)
        return told

    def _expected(self) -> set[str]:
        """Names under which something will be written: of a cut upload of them the parts are not sent twice."""
        waiting = [m for m in self._journal.moves(QUARANTINED, ARCHIVING) if m.kind in MADE]
        return {name_of(made) + ending for made in waiting for ending in (ARCHIVE, LISTING)}

    def tidy(self) -> None:
        """Give up what is half in the store of something that will not be archived any more."""
        if self._store is not None and not self._journal.claimed():
            with suppress(CubeHubError):  # the next keeper tries again
                self._store.sweep(self._expected())

    def bring_back(self, made: Move) -> Outcome:
        """Put something back into its home; then it will not be archived any more."""
        done = super().bring_back(made)
        if not done.why:
            self.tidy()
        return done

    def _drop(self, made: Move) -> None:
        """Delete what is in the store of an archive without a seal: whoever has their things erased must not have it there."""
        for ending in (ARCHIVE, LISTING):
            self._the_store().delete(f"{made.archive}{ending}")
        self._journal.archive(made.id, made.state, None)

    # Into an archive

    def archive(self, made: Move) -> Outcome:
        """Write something in quarantine into the store and read it back; it stays in quarantine meanwhile.

        Raises
        ------
        CubeHubError
            The store does not do what it should: the next would fail as well.

        Notes
        -----
        Others have their turns meanwhile. Whoever needs something of the same home has this give way (`Journal.free`).
        """
        store = self._the_store()
        name = name_of(made)
        left: str | None = name
        try:
            made = self._still(made, QUARANTINED)
            if made.archive not in {None, name}:
                self._drop(made)  # its name is about to be forgotten
            slot = self._keeper.slot(made.id)
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        except FileNotFoundError:
            return Outcome(made.home, made.path, 0, "it is not in quarantine any more", made.id)
        try:
            self._journal.archive(made.id, ARCHIVING, name)
            self._step("archiving")
            with self._journal.beside(made.id):
                try:
                    packed = self._written(store, name, slot, made)
                except (CubeHubError, OSError, SkippedError):
                    # beside too: a store that does not answer takes its time
                    left = self._left(store, name)
                    raise
            if self._journal.get(made.id).state != ARCHIVING:
                left = self._left(store, name)
                raise SkippedError(_WANTED)  # noqa: TRY301 - as while it is written
            size = packed.bytes + packed.manifest_bytes
            self._journal.archive(made.id, ARCHIVED, name, packed.seal.archive, packed.seal.manifest, size)
            self._step("archived")
        except (CubeHubError, OSError, SkippedError) as error:
            self._journal.archive(made.id, QUARANTINED, left)
            if isinstance(error, StoreError):
                raise
            # of this one alone, such as one that somebody still changes: the others must not wait for it
            return Outcome(made.home, made.path, 0, _said(error), made.id)
        finally:
            os.close(slot)
        return Outcome(made.home, made.path, made.bytes, move=made.id)

    @staticmethod
    def _left(store: Store, name: str) -> str | None:
        """Delete what is in the store of an archive; its name, if that cannot be done now."""
        try:
            for ending in (ARCHIVE, LISTING):
                store.delete(name + ending)
        except CubeHubError:  # `recover` does it later
            return name
        return None

    def _written(self, store: Store, name: str, slot: int, made: Move) -> Packed:
        for ending in (ARCHIVE, LISTING):
            # of an earlier try, of which nobody knows whether it is whole
            store.delete(name + ending)
        with (
            store.put(name + ARCHIVE, expected=made.bytes, resume=True) as sink,
            store.put(name + LISTING, resume=True) as listing,
        ):
            packed = pack(slot, ITEM, sink, listing, progress=self._giving_way("archiving", made))
        self._step("packed")
        with store.open(name + ARCHIVE) as source, store.open(name + LISTING) as listed:
            verify(source, listed, packed.seal, progress=self._giving_way("reading back", made))
        self._step("verified")
        return packed

    def _giving_way(self, what: str, made: Move) -> Callable[[int, int], None]:
        """Tells how far it is, and ends it when somebody needs the home."""
        looked, telling = time.monotonic(), self._telling(what, made.bytes)

        def tell(files: int, size: int) -> None:
            nonlocal looked
            telling(files, size)
            if time.monotonic() - looked > _LOOK_EACH_S:
                looked = time.monotonic()
                if self._journal.get(made.id).state != ARCHIVING:
                    raise SkippedError(_WANTED)

        return tell

    def purge(self, made: Move) -> Outcome:
        """Remove something from quarantine; what has an archive only if it is still what was archived."""
        try:
            made = self._still(made, *IN_QUARANTINE)
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        if made.seal is not None and (why := self._doubt(made)):
            return Outcome(made.home, made.path, 0, why, made.id)
        return self._keeper.purge(made)

    def _doubt(self, made: Move) -> str:
        """Why something in quarantine must not be removed though it has an archive."""
        try:
            # weeks may have gone since it was read back: another disk may be mounted there, or none
            sizes = [self._the_store().bytes_of(f"{made.archive}{ending}") for ending in (ARCHIVE, LISTING)]
            if None in sizes:
                return "its archive is not where it was put"
            if sum(size or 0 for size in sizes) != made.archive_bytes:
                return "its archive has not the size any more that it had"
            slot = self._keeper.slot(made.id)
            try:
                with self._the_store().open(f"{made.archive}{LISTING}") as listing:
                    unchanged(slot, ITEM, listing, seal_of(made), unpacked=made.inode == UNPACKED)
            finally:
                os.close(slot)
        except ChangedError as error:
            # to be archived again, as it is now; until then, or until it is back, the old one has its name written down
            self._journal.archive(made.id, QUARANTINED, made.archive)
            return error.message.rstrip(".")
        except (CubeHubError, OSError) as error:
            return _said(error)
        return ""

    def expire(self, made: Move) -> Outcome:
        """Delete an archive for good."""
        store = self._the_store()
        try:
            self._keeper.check_free(made.home)
            self._journal.set(made.id, EXPIRING, made.at, made.back)
            self._step("expiring")
            for ending in (ARCHIVE, LISTING):
                store.delete(f"{made.archive}{ending}")
            # in one, so that no seal is left of it; what became of the thing itself stays: it may be back in its home
            self._journal.archive(made.id, RETURNED if made.back is not None else EXPIRED, None)
            self._step("expired")
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        except (CubeHubError, OSError) as error:
            self._journal.trouble(made.id, _said(error))
            return Outcome(made.home, made.path, 0, str(error), made.id)
        return Outcome(made.home, made.path, made.archive_bytes or 0, move=made.id)


def name_of(made: Move) -> str:
    """Name of a move's archive in the store, without an ending.

    Notes
    -----
    The same at each try, and of no other move: numbers begin anew where a record was lost, each home on btrfs has the
    same inode, and somebody may give two platforms one bucket.
    """
    return f"{made.id}-{made.inode}-{made.at * 1000:.0f}"


def _said(error: CubeHubError | OSError | SkippedError) -> str:
    if isinstance(error, SkippedError):
        return str(error)
    text = error.message.rstrip(".") if isinstance(error, CubeHubError) else error.strerror
    return text or type(error).__name__
