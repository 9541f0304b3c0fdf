"""Moving folders out of homes and back: by descriptors, each step written down before, so that a kill loses nothing.

A folder is renamed into ``.cubehub-quarantine/NUMBER/item`` beside the homes, on the same file system, where nobody but
the keeper gets in. What is where is always told by the files themselves; the journal says what was meant.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.storage import beneath, trees
from cubehub.storage.grounds import ITEM, Grounds, SkippedError, has
from cubehub.storage.journal import (
    ARCHIVED,
    GONE,
    IN_QUARANTINE,
    INTENDED,
    PURGED,
    PURGING,
    QUARANTINED,
    RETURNED,
    RETURNING,
    Journal,
    Move,
)
from cubehub.storage.kinds import ASKED, KEEP, MADE
from cubehub.storage.quotas.attributes import suit
from cubehub.storage.starting import STARTED, kept_off
from cubehub.storage.trees import Inside, folder_in, look_through, move, remove, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cubehub.storage.planning import Entry

_FILES = frozenset({"large", "scratch"})
"""Kinds that may be a file."""
_SAME, _BLOCKS = 1.01, 2**16
"""A thing may be so many times as large as a plan says, and so many bytes more: file systems give and take some blocks."""
_KEPT = "its owner keeps it"
_NOT_OWN = "it does not belong to the owner of the home"
WHOLE_HOME = b"restored-home"
"""Folder of a home in which an earlier home of its owner comes back."""


@dataclass(frozen=True)
class Outcome:
    """What became of an entry, or of what was to be put back: empty if it was done, else why not."""

    home: bytes
    path: bytes
    bytes: int
    why: str = ""
    move: int = 0


class Keeper(Grounds):
    """Moves things between homes and quarantine.

    Parameters
    ----------
    root : path
        Folder of the homes.
    journal : Journal
        Opened for this keeper alone.
    in_use : callable
        Told the descriptor of a home and the inodes of what is to be moved: why it must stay, or an empty text.
    step : callable
        Told the name of each step before and after it; for tests, which end the process there.
    now : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        root: Path,
        journal: Journal,
        in_use: Callable[[int, set[tuple[int, int]]], str],
        step: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(root, journal, step)
        self._in_use, self._now = in_use, now

    # Into quarantine

    def quarantine(self, run: int, entry: Entry) -> Outcome:
        """Move one entry of a plan, if all that it says still holds."""
        try:
            self.check_free(entry.home)
            return self._move_away(run, entry)
        except SkippedError as skipped:
            return Outcome(entry.home, entry.path, 0, str(skipped))
        except OSError as error:
            return Outcome(entry.home, entry.path, 0, _why(error))

    def _move_away(self, run: int, entry: Entry) -> Outcome:
        # before it is opened: the name may be given to another account while its home is looked through
        account = self.account_of(entry.home)
        with self.home(entry.home) as home, self._above(home, entry) as (parent, name):
            found = self._checked(home, parent, name, entry)
            self._step("checked")
            if entry.path:
                made = self._renamed(run, entry, found, parent, name, account)
            else:
                with kept_off(self._root, entry.home) as starts:
                    if starts:
                        raise SkippedError(STARTED)
                    made = self._renamed(run, entry, found, parent, name, account)
        return Outcome(entry.home, entry.path, found.bytes, move=made)

    def _renamed(
        self, run: int, entry: Entry, found: Inside, parent: int, name: bytes, account: str | None
    ) -> int:
        """Rename an entry into a slot of its own; the number of the move."""
        made = self._journal.intend(
            run, entry.home, entry.path, entry.kind, found.bytes, found.files, entry.inode, self._now(),
            account, self._highest,
        )  # fmt: skip
        self._step("intended")
        slot = self.slot(made, create=True)
        try:
            self._step("slot")
            move(parent, name, slot, ITEM)
            self._step("moved")
            # the name may have been given to another one between the look and the rename
            if beneath.look(slot, ITEM).inode != entry.inode:
                self._exchanged(made, slot, parent, name)
            os.fsync(slot)
            os.fsync(parent)
            self._step("synced")
            self._journal.set(made, QUARANTINED, self._now())
            self._step("quarantined")
        except (OSError, SkippedError):
            if not self.is_in(slot):
                self._journal.forget(made)
                self.leave(made)
            raise
        finally:
            os.close(slot)
        return made

    def _exchanged(self, made: int, slot: int, parent: int, name: bytes) -> None:
        """Put back what was not meant; where its name is taken by now, it can be brought back from quarantine."""
        try:
            move(slot, ITEM, parent, name)
        except OSError:
            self._journal.found(made, beneath.look(slot, ITEM).inode)
            self._journal.set(made, QUARANTINED, self._now())
            raise
        os.fsync(parent)
        os.fsync(slot)
        raise SkippedError("it was exchanged for another one meanwhile")

    @contextmanager
    def _above(self, home: int, entry: Entry) -> Iterator[tuple[int, bytes]]:
        """The folder that an entry is in, and its name there; no folder on the way may say that it is to be kept."""
        if not entry.path:
            yield self._root, entry.home
            return
        above, _, name = entry.path.rpartition(b"/")
        parts = above.split(b"/") if above else []
        for depth in range(len(parts) + 1):
            with folder_in(home, b"/".join(parts[:depth])) as way:
                if entry.kind not in ASKED and has(way, KEEP):
                    raise SkippedError(_KEPT)
        with folder_in(home, above) as parent:
            yield parent, name

    def _checked(self, home: int, parent: int, name: bytes, entry: Entry) -> Inside:
        """What is in an entry, if all that the plan says of it still holds."""
        facts = beneath.look(parent, name)
        is_file = stat.S_ISREG(facts.mode) and entry.kind in _FILES
        if facts.inode != entry.inode or not (is_file or stat.S_ISDIR(facts.mode)):
            raise SkippedError("it is another one than what was looked at")
        if is_file:
            found = self._file(home, facts)
        elif entry.path:
            found = self._folder(home, parent, name, entry)
        else:
            found = look_through(home)
        if found.kept and entry.kind not in ASKED:
            raise SkippedError(_KEPT)
        if entry.path and found.bytes > entry.bytes * _SAME + _BLOCKS:
            raise SkippedError("it is larger than the plan says")
        if found.newest >= entry.cutoff:
            raise SkippedError("it was used since")
        if found.unread and entry.kind not in ASKED:
            raise SkippedError("not all of it can be looked into")
        if why := self._in_use(home, found.inodes):
            raise SkippedError(why)
        return found

    @staticmethod
    def _folder(home: int, parent: int, name: bytes, entry: Entry) -> Inside:
        with folder_in(parent, name) as item:
            facts = os.fstat(item)
            if facts.st_ino != entry.inode:
                raise SkippedError("it was exchanged for another one meanwhile")
            if facts.st_uid != os.fstat(home).st_uid:
                raise SkippedError(_NOT_OWN)
            found = look_through(item)
        if found.owners - {facts.st_uid, 0}:
            # whoever may move a folder of others into a cache could have root remove what they may not
            raise SkippedError("something in it belongs to somebody else")
        return found

    @staticmethod
    def _file(home: int, facts: beneath.Facts) -> Inside:
        of_home = os.fstat(home)
        if facts.owner != of_home.st_uid:
            raise SkippedError(_NOT_OWN)
        if facts.links > 1:
            raise SkippedError("the file has other names, so that nothing would be freed")
        found = Inside(facts.blocks * 512, 1, max(facts.read, facts.written))
        found.inodes.add((facts.device, facts.inode))
        return found

    # Back

    def put_back(self, made: Move) -> Outcome:
        """Put something back where it was; beside it under another name, where there is something by now.

        Notes
        -----
        A home as a whole comes back as it was; where its owner has another one by now, as a folder in that.
        """
        try:
            self.check_free(made.home)
            self.check_account(made)
            if not made.path and not has(self._root, made.home):
                return self._with_slot(made, self._root, b"", made.home)
            with self.home(made.home) as home:
                self.check_account(made)  # of the one that is open: a new account has one of its own
                self._check_owner(made, home)
                above, _, name = made.path.rpartition(b"/")
                with self.made_again(home, above) as parent:
                    return self._with_slot(made, parent, above, name or WHOLE_HOME)
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        except OSError as error:
            return Outcome(made.home, made.path, 0, _why(error), made.id)

    def _check_owner(self, made: Move, home: int) -> None:
        """Nothing comes into a home that has another owner than what was moved out of it."""
        slot = self.slot(made.id)
        try:
            owner = beneath.look(slot, ITEM).owner
        finally:
            os.close(slot)
        if owner != os.fstat(home).st_uid:
            raise SkippedError("the home belongs to somebody else by now")

    def take_back(self, number: int) -> Outcome:
        """Put back what was moved just now."""
        (made,) = [one for one in self._journal.moves(QUARANTINED) if one.id == number]
        return self.put_back(made)

    def _with_slot(self, made: Move, parent: int, above: bytes, name: bytes) -> Outcome:
        slot = self.slot(made.id)
        try:
            return self._return(made, slot, parent, above, name)
        finally:
            os.close(slot)

    def _return(self, made: Move, slot: int, parent: int, above: bytes, name: bytes) -> Outcome:
        suit(parent, slot, ITEM)
        home_itself = parent == self._root
        for new in [name] if home_itself else self.names_for(name):
            path = b"" if home_itself else above + b"/" + new if above else new
            self._journal.set(made.id, RETURNING, self._now(), path)
            self._step("returning")
            try:
                move(slot, ITEM, parent, new)
            except FileExistsError:
                continue
            except OSError:
                self._journal.set(made.id, made.state, made.at)
                raise
            self._step("back")
            os.fsync(parent)
            os.fsync(slot)
            self._journal.set(made.id, RETURNED, self._now(), path)
            self._step("returned")
            self.leave(made.id)
            return Outcome(made.home, path, made.bytes, move=made.id)
        self._journal.set(made.id, made.state, made.at)
        raise SkippedError("there are too many of that name")

    # Away for good

    def purge(self, made: Move, *, erased: bool = False) -> Outcome:
        """Remove something in quarantine; what people made only if it is in an archive, or erased at their wish.

        Notes
        -----
        What a kill leaves of it is removed by the next purge.
        """
        if made.kind in MADE and made.seal is None and not erased:
            return Outcome(made.home, made.path, 0, "it is in no archive", made.id)
        try:
            self.check_free(made.home)
            self._journal.set(made.id, PURGING, self._now())
            self._step("purging")
            if has(self._quarantine, b"%d" % made.id):  # else all but the word was done
                self._empty(made.id)
            os.fsync(self._quarantine)
            self._journal.set(made.id, PURGED, self._now())
            self._step("purged")
        except SkippedError as skipped:
            return Outcome(made.home, made.path, 0, str(skipped), made.id)
        except OSError as error:
            # each keeper tries again, and tells nobody: so it is listed
            self._journal.trouble(made.id, _why(error))
            return Outcome(made.home, made.path, 0, _why(error), made.id)
        return Outcome(made.home, made.path, made.bytes, move=made.id)

    def _empty(self, made: int) -> None:
        """Remove a slot with all that is in it: what was moved, and what an earlier try brought up."""
        slot = self.slot(made)
        try:
            with os.scandir(b"/proc/self/fd/%d" % slot) as entries:
                names = [entry.name for entry in entries]
            for name in names:
                remove(slot, name, trees.MOST_REMOVED)
            self._step("removed")
        finally:
            os.close(slot)
        # must be empty: somebody who holds a folder of it open may have put more in
        os.rmdir(b"%d" % made, dir_fd=self._quarantine)

    # After a kill

    def recover(self) -> list[Outcome]:
        """Bring the journal to what is so: what was on its way when the keeper was ended, told by where the folder is."""
        told = []
        under_way = self._journal.moves(INTENDED, RETURNING)
        if under_way:
            # the one that was ended did not: else what is written down here could outlive what it is about
            settle(self._root)
        for made in under_way:
            there = self.in_slot(made.id)
            if there and made.state == INTENDED and there != made.inode:
                # exchanged just when the keeper was ended, or left by a record that was lost: nobody's to bring back
                why = f"what is in quarantine as {made.id} is another one than was meant: look at it"
                told.append(Outcome(made.home, made.path, 0, why, made.id))
            elif there:
                self._journal.set(made.id, ARCHIVED if made.seal else QUARANTINED, made.at)
                told.append(Outcome(made.home, made.path, made.bytes, "it is in quarantine", made.id))
            elif made.state == RETURNING:
                self._journal.set(made.id, RETURNED, self._now(), made.back)
                self.leave(made.id)
                told.append(
                    Outcome(
                        made.home,
                        made.path if made.back is None else made.back,
                        made.bytes,
                        "it is back in the home",
                        made.id,
                    )
                )
            else:
                self._journal.forget(made.id)
                self.leave(made.id)
                told.append(Outcome(made.home, made.path, 0, "it was not moved", made.id))
        for made in self._journal.moves(PURGING):
            # that it may be removed was looked at before this was written down; some of it has gone by now
            self.purge(made, erased=True)
        for made in self._journal.moves(*IN_QUARANTINE):
            if not self.in_slot(made.id):
                # by other hands than the keeper's: nothing is there to be put back, unless an archive is
                self._journal.set(made.id, PURGED if made.seal else GONE, self._now())
                told.append(Outcome(made.home, made.path, 0, "it is not in quarantine any more", made.id))
        self.sweep()
        return told


def _why(error: OSError) -> str:
    return {
        errno.ENOENT: "it is not there any more",
        errno.ELOOP: "a link is on the way to it",
        errno.ENOTDIR: "a file is on the way to it",
        errno.EXDEV: "it is on another file system",
        errno.EPERM: "it must not be changed (immutable?)",
    }.get(error.errno or 0) or str(error.strerror)
