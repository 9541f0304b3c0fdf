"""From quarantine into an archive and back out of it: each step written down before, so that a kill loses nothing."""

from __future__ import annotations

import io
import os
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import beneath
from cubehub.storage.archive import ChangedError, Seal, StoreError, pack, unchanged, unpack, verify
from cubehub.storage.grounds import ITEM, SkippedError
from cubehub.storage.journal import (
    ARCHIVED,
    ARCHIVING,
    EXPIRED,
    EXPIRING,
    IN_QUARANTINE,
    PURGED,
    QUARANTINED,
    RETURNED,
    UNPACKING,
)
from cubehub.storage.kinds import MADE
from cubehub.storage.names import readable
from cubehub.storage.places import ARCHIVE, LISTING
from cubehub.storage.quarantine import Outcome
from cubehub.storage.quotas.attributes import suit
from cubehub.storage.trees import folder_in, look_through, move, remove, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.archive import Packed, Store
    from cubehub.storage.journal import Journal, Move
    from cubehub.storage.quarantine import Keeper

_OUT = b"out-"
"""Begins the names of folders in quarantine through which single files come out; what is in them is a copy."""
_LOOK_EACH_S = 0.5
"""Between two looks whether somebody needs the home of what is being archived."""
_BACK = "bringing back"
_WANTED = "something of this home is wanted back: it is archived later"
_UNPACKED = 0
"""Inode of a move whose thing was unpacked from its archive: another one than was moved."""


class Archivist:
    """Moves things between quarantine and a store of archives.

    Parameters
    ----------
    keeper : Keeper
        Opened for this alone.
    journal : Journal
        The keeper's.
    store : Store or None
        Where archives are; None if none is set, and then only what is in quarantine can be had.
    progress : callable
        Told what is done to something (``archiving``, ``reading back``, ``bringing back``), how many bytes of it are done, and
        of how many (0: not known).
    step : callable
        Told the name of each step; for tests, which end the process there.
    """

    def __init__(
        self,
        keeper: Keeper,
        journal: Journal,
        store: Store | None,
        *,
        progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._keeper, self._journal, self._store = keeper, journal, store
        self._progress, self._step = progress, step

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

    def _remove_copies(self, claimed: set[int]) -> None:
        """Remove what was on its way out of quarantine when a keeper was ended."""
        folder = self._keeper.quarantine_folder
        with os.scandir(b"/proc/self/fd/%d" % folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(_OUT)]
        for name in names:
            if name not in {_OUT + b"%d" % move for move in claimed}:
                remove(folder, name)

    def _expected(self) -> set[str]:
        """Names under which something will be written: of a cut upload of them the parts are not sent twice."""
        waiting = [m for m in self._journal.moves(QUARANTINED, ARCHIVING) if m.kind in MADE]
        return {name_of(made) + ending for made in waiting for ending in (ARCHIVE, LISTING)}

    def tidy(self) -> None:
        """Give up what is half in the store of something that will not be archived any more."""
        if self._store is not None and not self._journal.claimed():
            with suppress(CubeHubError):  # the next keeper tries again
                self._store.sweep(self._expected())

    def _drop(self, made: Move) -> None:
        """Delete what is in the store of an archive without a seal: whoever has their things erased must not have it there."""
        for ending in (ARCHIVE, LISTING):
            self._the_store().delete(f"{made.archive}{ending}")
        self._journal.archive(made.id, made.state, None)

    def _end_unpacking(self, made: Move) -> None:
        try:
            slot = self._keeper.slot(made.id)
        except FileNotFoundError:
            settle(self._keeper.quarantine_folder)
            self._journal.set(made.id, PURGED, made.at)
            return
        try:
            there = self._keeper.is_in(slot)
            with os.scandir(b"/proc/self/fd/%d" % slot) as entries:
                names = [entry.name for entry in entries]
            for name in names:
                if name != ITEM or not there:
                    remove(slot, name)
        finally:
            os.close(slot)
        if not there:
            self._keeper.leave(made.id)
        # else what is written down could outlive it: on btrfs a copy came back that nobody knew of
        settle(self._keeper.quarantine_folder)
        self._journal.set(made.id, ARCHIVED if there else PURGED, made.at)

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

    def _still(self, made: Move, *states: str) -> Move:
        """A move as it is now, since others may have had their turns after it was listed.

        Raises
        ------
        SkippedError
            It is in another state by now, or somebody works on something of the same home.
        """
        now = self._journal.get(made.id)
        if now.state not in states:
            raise SkippedError(f"it is {now.state} by now")
        self._keeper.check_free(now.home)
        return now

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

    def _telling(self, what: str, of: int) -> Callable[[int, int], None]:
        """Tells how far it is; what is packed may be more bytes than a disk needs for it."""
        return lambda _files, done: self._progress(what, done, max(of, done) if of else 0)

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
        if made.seal is not None:
            try:
                if not self._the_store().exists(f"{made.archive}{ARCHIVE}"):
                    # weeks may have gone since it was read back: another disk may be mounted there, or none
                    return Outcome(made.home, made.path, 0, "its archive is not where it was put", made.id)
                slot = self._keeper.slot(made.id)
                try:
                    with self._the_store().open(f"{made.archive}{LISTING}") as listing:
                        unchanged(slot, ITEM, listing, _seal(made), unpacked=made.inode == _UNPACKED)
                finally:
                    os.close(slot)
            except ChangedError as error:
                # to be archived again, as it is now; until then, or until it is back, the old one has its name written down
                self._journal.archive(made.id, QUARANTINED, made.archive)
                return Outcome(made.home, made.path, 0, error.message.rstrip("."), made.id)
            except CubeHubError as error:
                return Outcome(made.home, made.path, 0, error.message.rstrip("."), made.id)
            except OSError as error:
                return Outcome(made.home, made.path, 0, str(error.strerror), made.id)
        return self._keeper.purge(made)

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

    # Back

    def bring_back(self, made: Move) -> Outcome:
        """Put something back into its home, from quarantine or from its archive.

        Raises
        ------
        CubeHubError
            The store does not do what it should.
        """
        try:
            made = self._still(made, *IN_QUARANTINE, PURGED)
            self._keeper.check_account(made)
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        if made.state not in IN_QUARANTINE:
            self._unpacked(made)
            made = self._journal.get(made.id)
        done = self._keeper.put_back(made)
        if not done.why:
            self.tidy()
        return done

    def _unpacked(self, made: Move) -> None:
        """Bring something from its archive into quarantine."""
        store = self._the_store()
        self._journal.found(made.id, _UNPACKED)
        self._journal.set(made.id, UNPACKING, made.at)
        self._step("unpacking")
        try:
            slot = self._keeper.slot(made.id, create=True)
        except FileExistsError:  # of an earlier try
            slot = self._keeper.slot(made.id)
        try:
            with (
                self._journal.beside(made.id),
                store.open(f"{made.archive}{ARCHIVE}") as source,
                store.open(f"{made.archive}{LISTING}") as listing,
            ):
                unpack(
                    source,
                    listing,
                    slot,
                    seal=_seal(made),
                    name=ITEM,
                    progress=self._telling(_BACK, made.bytes),
                    step=self._step,
                )
            self._step("unpacked")
            self._journal.set(made.id, ARCHIVED, made.at)
        except (CubeHubError, OSError):
            self._end_unpacking(made)
            raise
        finally:
            os.close(slot)

    def copy_out(self, made: Move, only: bytes) -> Outcome:
        """Put a copy of one file or folder of something that is away beside where it was; the rest stays away.

        Parameters
        ----------
        only : bytes
            Its path in what was moved.

        Raises
        ------
        BadInputError
            There is nothing of that path.
        CubeHubError
            The store does not do what it should.
        """
        folder, way = self._keeper.quarantine_folder, _OUT + b"%d" % made.id
        try:
            made = self._still(made, *IN_QUARANTINE, PURGED)
            self._keeper.check_account(made)
            with suppress(FileNotFoundError):
                remove(folder, way)
            os.mkdir(way, 0o700, dir_fd=folder)
            out = beneath.open_folder(folder, way)
            try:
                with self._journal.beside(made.id):
                    self._copy_into(out, made, only)
                # a name may have been given to another account meanwhile
                self._keeper.check_account(made)
                name = only.rpartition(b"/")[2]
                path = b"/".join(part for part in (made.path, only) if part)
                return self._put(made, out, name, path)
            finally:
                os.close(out)
                with suppress(FileNotFoundError):
                    remove(folder, way)
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        except OSError as error:
            return Outcome(made.home, made.path, 0, str(error.strerror), made.id)

    def _copy_into(self, out: int, made: Move, only: bytes) -> None:
        if made.state not in IN_QUARANTINE:
            store = self._the_store()
            with (
                store.open(f"{made.archive}{ARCHIVE}") as source,
                store.open(f"{made.archive}{LISTING}") as listing,
            ):
                unpack(source, listing, out, seal=_seal(made), only=only, progress=self._telling(_BACK, 0))
            return
        above, _, name = only.rpartition(b"/")
        slot = self._keeper.slot(made.id)
        try:
            with folder_in(slot, b"/".join(part for part in (ITEM, above) if part)) as parent:
                if not _is_there(parent, name):
                    raise BadInputError(f"There is no {readable(only)} in it.", "Look at what is inside.")
                # not in the keeper's own folder: whoever takes a large file out of theirs must not fill its disk
                room = f"/proc/self/fd/{out}"
                with (
                    tempfile.TemporaryFile(dir=room) as kept,
                    tempfile.TemporaryFile(dir=room) as listing,
                ):
                    packed = pack(parent, name, kept, listing, level=1, progress=self._telling(_BACK, 0))
                    kept.seek(0, io.SEEK_SET)
                    listing.seek(0, io.SEEK_SET)
                    unpack(
                        kept, listing, out, seal=packed.seal, progress=self._telling(_BACK, packed.content)
                    )
        finally:
            os.close(slot)

    def _put(self, made: Move, out: int, name: bytes, path: bytes) -> Outcome:
        """Move a copy from the way out into the home, under a free name."""
        found = _size(out, name)
        with self._keeper.home(made.home) as home:
            above = path.rpartition(b"/")[0]
            with self._keeper.made_again(home, above) as parent:
                suit(parent, out, name)
                for new in self._keeper.names_for(name):
                    try:
                        move(out, name, parent, new)
                    except FileExistsError:
                        continue
                    os.fsync(parent)
                    return Outcome(made.home, above + b"/" + new if above else new, found, move=made.id)
        raise SkippedError("there are too many of that name")

    def _the_store(self) -> Store:
        if self._store is None:
            raise BadInputError(
                "No place for archives is set.", "Name one in storage.yaml: archive.to.", code="no_archive"
            )
        return self._store


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


def _seal(made: Move) -> Seal:
    if made.seal is None or made.listing is None:
        raise CubeHubError(
            f"The record of move {made.id} has no seal of its archive.", "Ask your administrator."
        )
    return Seal(made.seal, made.listing)


def _is_there(folder: int, name: bytes) -> bool:
    try:
        beneath.look(folder, name)
    except FileNotFoundError:
        return False
    return True


def _size(folder: int, name: bytes) -> int:
    facts = beneath.look(folder, name)
    try:
        with folder_in(folder, name) as inner:
            return look_through(inner).bytes
    except NotADirectoryError:
        return facts.blocks * 512
