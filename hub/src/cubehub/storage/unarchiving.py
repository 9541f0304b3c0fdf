"""Back out of an archive, as a whole or one file of it; what a kill leaves of that is brought in order."""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import beneath
from cubehub.storage.archive import Seal, pack, unpack
from cubehub.storage.grounds import ITEM, SkippedError
from cubehub.storage.journal import ARCHIVED, IN_QUARANTINE, PURGED, UNPACKING
from cubehub.storage.names import readable
from cubehub.storage.places import ARCHIVE, LISTING
from cubehub.storage.quarantine import Outcome
from cubehub.storage.quotas.attributes import suit
from cubehub.storage.trees import folder_in, look_through, move, remove, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.archive import Store
    from cubehub.storage.journal import Journal, Move
    from cubehub.storage.quarantine import Keeper

_OUT = b"out-"
"""Begins the names of folders in quarantine through which single files come out; what is in them is a copy."""
_BACK = "bringing back"
UNPACKED = 0
"""Inode of a move whose thing was unpacked from its archive: another one than was moved."""


class Unarchiving:
    """Brings things back, from quarantine or from a store of archives.

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

    def _the_store(self) -> Store:
        if self._store is None:
            raise BadInputError(
                "No place for archives is set.", "Name one in storage.yaml: archive.to.", code="no_archive"
            )
        return self._store

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

    def _telling(self, what: str, of: int) -> Callable[[int, int], None]:
        """Tells how far it is; what is packed may be more bytes than a disk needs for it."""
        return lambda _files, done: self._progress(what, done, max(of, done) if of else 0)

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
        return self._keeper.put_back(made)

    def _unpacked(self, made: Move) -> None:
        """Bring something from its archive into quarantine."""
        store = self._the_store()
        self._journal.found(made.id, UNPACKED)
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
                    seal=seal_of(made),
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
                unpack(source, listing, out, seal=seal_of(made), only=only, progress=self._telling(_BACK, 0))
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
            # of the one that is open: a name may have been given to another account meanwhile
            self._keeper.check_account(made)
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

    # After a kill

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

    def _remove_copies(self, claimed: set[int]) -> None:
        """Remove what was on its way out of quarantine when a keeper was ended."""
        folder = self._keeper.quarantine_folder
        with os.scandir(b"/proc/self/fd/%d" % folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(_OUT)]
        for name in names:
            if name not in {_OUT + b"%d" % move for move in claimed}:
                remove(folder, name)


def seal_of(made: Move) -> Seal:
    """The seal of a move's archive.

    Raises
    ------
    CubeHubError
        It has none.
    """
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
