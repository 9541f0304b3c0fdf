"""The folders that the keeper works in: the homes, and beside them the quarantine with a slot for each move."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import beneath
from cubehub.storage.journal import ARCHIVING, IN_QUARANTINE, INTENDED, PURGING, RETURNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cubehub.storage.journal import Journal, Move

FOLDER, ITEM, NUMBER = b".cubehub-quarantine", b"item", b".number"
_LONGEST_ACCOUNT, _LONGEST_NAME = 200, 255
_MOST_NAMES = 100
"""Tries for a free name beside what is in the way."""


BUSY = "something of this home is being archived or brought back just now"


class SkippedError(Exception):
    """An entry of a plan that does not hold any more; why, for the person."""


class Grounds:
    """The folder of the homes and the quarantine in it, held open.

    Parameters
    ----------
    root : path
        Folder of the homes.
    journal : Journal
        Knows which quarantine is its own.
    step : callable
        Told the name of each step; for tests, which end the process there.

    Raises
    ------
    BadInputError
        They cannot be used.
    CubeHubError
        It is another quarantine than the journal's, or others get into it.
    """

    def __init__(self, root: Path, journal: Journal, step: Callable[[str], None]) -> None:
        self._journal, self._step = journal, step
        try:
            self._root = os.open(root, beneath.FOLDER & ~os.O_NOFOLLOW)
            if not has(self._root, FOLDER):
                self._must_be_empty(root)
                os.mkdir(FOLDER, 0o700, dir_fd=self._root)
                os.fsync(self._root)
            self._quarantine = beneath.open_folder(self._root, FOLDER)
        except OSError as error:
            message = f"The quarantine beside the homes in {root} cannot be used: {error.strerror}."
            raise BadInputError(message, "Run this as who owns that folder, mostly root.") from error
        facts = os.fstat(self._quarantine)
        if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            message = f"Others than the keeper get into {root / os.fsdecode(FOLDER)}."
            raise CubeHubError(message, "Run this as its owner, and close it: chmod 700.")
        try:
            self._highest = self._take(root)
        except OSError as error:
            message = f"The quarantine beside the homes in {root} cannot be used: {error.strerror}."
            raise CubeHubError(message, "Look at the disk.") from error

    def _take(self, root: Path) -> int:
        """Look that this quarantine is the one of the journal; the highest number that a folder in it has.

        Raises
        ------
        CubeHubError
            It is another one: another disk is mounted there, or none.
        """
        try:
            mark = os.open(NUMBER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._quarantine)
        except FileNotFoundError:
            number = secrets.randbelow(2**31 - 1) + 1
            mark = os.open(
                NUMBER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._quarantine
            )
            with os.fdopen(mark, "w", encoding="ascii") as file:
                file.write(str(number))
                file.flush()
                os.fsync(mark)
            os.fsync(self._quarantine)
        else:
            with os.fdopen(mark, encoding="ascii", errors="replace") as file:
                text = file.read(20)
            # a power cut may have left nothing of it: then it says nothing
            number = int(text) if text.isascii() and text.isdigit() else self._journal.place or 1
            if number != self._journal.place != 0:
                self._must_be_empty(root)
        if number != self._journal.place:
            self._journal.place = number
        with os.scandir(b"/proc/self/fd/%d" % self._quarantine) as entries:
            return max((int(entry.name) for entry in entries if entry.name.isdigit()), default=0)

    def _must_be_empty(self, root: Path) -> None:
        """Nothing may be away where this is not the quarantine that it is in: it would be taken for gone."""
        away = len(self._journal.moves(INTENDED, ARCHIVING, RETURNING, PURGING, *IN_QUARANTINE))
        if away:
            folder = root / os.fsdecode(FOLDER)
            message = f"{folder} is not where the {away} things are that are in quarantine."
            raise CubeHubError(
                message,
                f"Is the disk of the homes mounted? If they are lost for good, make that folder empty (mkdir -m 700 {folder}): "
                "then they are noted as gone.",
                code="no_quarantine",
            )

    def close(self) -> None:
        """Let go of the folders."""
        os.close(self._quarantine)
        os.close(self._root)

    @contextmanager
    def home(self, name: bytes) -> Iterator[int]:
        """A home, open.

        Raises
        ------
        SkippedError
            It cannot be opened, or is none.
        """
        if not name or name.startswith(b".") or b"/" in name:
            # whoever told it so: what is beside the homes, or the platform's own among them, is no home
            raise SkippedError("that is no home")
        try:
            home = os.open(name, beneath.FOLDER, dir_fd=self._root)
        except OSError as error:
            raise SkippedError(f"the home cannot be opened: {error.strerror}") from error
        try:
            yield home
        finally:
            os.close(home)

    def slot(self, made: int, *, create: bool = False) -> int:
        """The folder in quarantine that a move has for itself, open.

        Raises
        ------
        FileNotFoundError
            It has none.
        """
        name = b"%d" % made
        if create:
            os.mkdir(name, 0o700, dir_fd=self._quarantine)
            os.fsync(self._quarantine)
        return beneath.open_folder(self._quarantine, name)

    def leave(self, made: int) -> None:
        """Take an empty slot away."""
        try:
            os.rmdir(b"%d" % made, dir_fd=self._quarantine)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTEMPTY}:
                raise

    def account_of(self, home: bytes) -> str | None:
        """The account that a home is noted to be of; None where that was never noted."""
        try:
            mark = os.open(
                b"." + home + b".account", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root
            )
        except FileNotFoundError:
            return None
        with os.fdopen(mark, encoding="utf-8") as file:
            return file.read(_LONGEST_ACCOUNT) or None

    def check_free(self, home: bytes) -> None:
        """Look that nobody works on something of a home beside this keeper.

        Raises
        ------
        SkippedError
            Somebody does.
        """
        if self._journal.is_busy(home):
            raise SkippedError(BUSY)

    def check_account(self, made: Move) -> None:
        """Look that what was moved goes back to whom it was taken from: names of people can be given again.

        Raises
        ------
        SkippedError
            The home is another account's by now.
        """
        if made.account is not None and self.account_of(made.home) != made.account:
            raise SkippedError("the home is another account's by now")

    @property
    def quarantine_folder(self) -> int:
        """The quarantine, open for as long as the keeper is."""
        return self._quarantine

    @staticmethod
    def names_for(name: bytes) -> list[bytes]:
        """Names under which something comes back, the best first."""
        endings = [b".restored-%d" % n for n in range(1, _MOST_NAMES)]
        return [name, *(_cut(name, _LONGEST_NAME - len(ending)) + ending for ending in endings)]

    @staticmethod
    def is_in(slot: int) -> bool:
        """Whether something is in a slot."""
        try:
            beneath.look(slot, ITEM)
        except FileNotFoundError:
            return False
        return True

    def sweep(self) -> None:
        """Take away what is empty of earlier moves, but what somebody is about to fill."""
        claimed = {b"%d" % move for move in self._journal.claimed()}
        with os.scandir(b"/proc/self/fd/%d" % self._quarantine) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if name in claimed:
                continue
            with suppress(OSError):
                os.rmdir(name, dir_fd=self._quarantine)

    def in_slot(self, made: int) -> int:
        """Inode of what is in the slot of a move; 0 if nothing is."""
        try:
            slot = self.slot(made)
        except FileNotFoundError:
            return 0
        try:
            return beneath.look(slot, ITEM).inode if self.is_in(slot) else 0
        finally:
            os.close(slot)

    @contextmanager
    def made_again(self, home: int, path: bytes) -> Iterator[int]:
        """A folder of a home, made if it has gone; what is made belongs to who owns the home."""
        owner = os.fstat(home)
        at = os.dup(home)
        try:
            for part in path.split(b"/") if path else ():
                try:
                    below = beneath.open_folder(at, part)
                except FileNotFoundError:
                    below = self._made_for(owner, at, part)
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    def _made_for(self, owner: os.stat_result, at: int, name: bytes) -> int:
        """Make a folder of a home, open.

        Raises
        ------
        SkippedError
            The owner of the home put another one in its place: root would give them what is in it.
        """
        os.mkdir(name, 0o700, dir_fd=at)
        self._step("folder")
        made = beneath.open_folder(at, name)
        try:
            facts = os.fstat(made)
            with os.scandir(b"/proc/self/fd/%d" % made) as entries:
                if facts.st_uid != os.geteuid() or facts.st_mode & 0o077 or any(entries):
                    raise SkippedError("somebody exchanges folders on the way to it")  # noqa: TRY301 - closed below
            os.fchown(made, owner.st_uid, owner.st_gid)
        except BaseException:
            os.close(made)
            raise
        return made


def _cut(name: bytes, most: int) -> bytes:
    """The beginning of a name, not within a letter."""
    end = min(len(name), most)
    while 0 < end < len(name) and name[end] & 0xC0 == 0x80:
        end -= 1
    return name[: end or most]


def has(folder: int, name: bytes) -> bool:
    """Whether there is something of a name in a folder."""
    try:
        beneath.look(folder, name)
    except FileNotFoundError:
        return False
    return True
