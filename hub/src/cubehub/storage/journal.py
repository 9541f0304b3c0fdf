"""What the keeper moved and is about to move: written down and on the disk before anything is done."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cubehub.errors import CubeHubError
from cubehub.storage import inodes
from cubehub.storage.kinds import ASKED
from cubehub.storage.moves import (
    ARCHIVED,
    ARCHIVING,
    AWAY,
    EXPIRED,
    EXPIRING,
    GONE,
    IN_QUARANTINE,
    INTENDED,
    PURGED,
    PURGING,
    QUARANTINED,
    RETURNED,
    RETURNING,
    STATES,
    UNPACKING,
    Move,
)
from cubehub.storage.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = [
    "ARCHIVED", "ARCHIVING", "AWAY", "EXPIRED", "EXPIRING", "FILE", "GONE", "INTENDED", "IN_QUARANTINE", "PURGED", "PURGING",
    "QUARANTINED", "RETURNED", "RETURNING", "STATES", "UNPACKING", "VERSION", "Journal", "Move", "opened", "read",
    "read_place", "read_stuck", "runs",
]  # fmt: skip

FILE = "journal.sqlite"
VERSION = 2
_TABLES = """
CREATE TABLE runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, root TEXT NOT NULL, plan TEXT NOT NULL);
CREATE TABLE moves (id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, home BLOB NOT NULL, path BLOB NOT NULL,
  kind TEXT NOT NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL, inode INTEGER NOT NULL, state TEXT NOT NULL,
  at REAL NOT NULL, back BLOB, archive TEXT, seal TEXT, listing TEXT, archive_bytes INTEGER,
  account TEXT);
CREATE INDEX moves_by_state ON moves (state);
"""
_MORE = """
CREATE TABLE IF NOT EXISTS places (path TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS troubles (move INTEGER PRIMARY KEY, why TEXT NOT NULL);
"""
"""What came later and needs no other version: whoever does not know it does not look at it."""
_FROM_1 = "".join(
    f"ALTER TABLE moves ADD COLUMN {column}; "
    for column in ("archive TEXT", "seal TEXT", "listing TEXT", "archive_bytes INTEGER", "account TEXT")
)
_COLUMNS = "id, run, home, path, back, kind, bytes, files, inode, state, at, archive, seal, listing, archive_bytes, account"


def _move(row: tuple[Any, ...]) -> Move:
    found = Move(*row)
    return found if found.inode >= 0 else replace(found, inode=inodes.known(found.inode))


class Journal:
    """The record in the keeper's folder. Open it with `opened`: one keeper at a time.

    Each method is a transaction that is on the disk when it returns.
    """

    def __init__(self, made: sqlite3.Connection, turn: Turn | None = None) -> None:
        self._made, self._turn = made, turn

    @property
    def _writing(self) -> sqlite3.Connection:
        """The record, to be changed: only by whoever has the turn."""
        if self._turn is None or not self._turn.is_ours:
            raise CubeHubError("It is another keeper's turn.", "Try again.", code="busy")
        return self._made

    # Turns

    def beside(self, move: int) -> AbstractContextManager[None]:
        """Work on a move alone, for long, while others have their turns; what is written down is written afterwards."""
        assert self._turn is not None  # noqa: S101 - only `opened` gives one to work with
        return self._turn.beside(move)

    def claimed(self) -> set[int]:
        """Moves that others work on beside this keeper: they are left alone."""
        return self._turn.claimed() if self._turn is not None else set()

    def is_busy(self, home: bytes) -> bool:
        """Whether somebody works on something of a home beside this keeper: then nothing of it is touched."""
        return any(self.get(move).home == home for move in self.claimed())

    def free(self, home: bytes, patience_s: float) -> None:
        """Wait until nobody works on something of a home; whoever archives something of it gives way.

        Raises
        ------
        CubeHubError
            It takes too long.
        """
        ours = {move for move in self.claimed() if self.get(move).home == home}
        if not ours:
            return
        for move in ours:
            with self._writing as made:
                made.execute(
                    "UPDATE moves SET state = ? WHERE id = ? AND state = ?", (QUARANTINED, move, ARCHIVING)
                )
        turn = self._turn
        assert turn is not None  # noqa: S101 - there are claims
        if not turn.wait(lambda: not ours & turn.claimed(), patience_s) or self.is_busy(home):
            raise CubeHubError(
                "Something of this home is being archived or brought back just now.",
                "Try again in a few minutes.",
                code="busy",
            )

    def begin_run(self, root: str, plan: str, at: float) -> int:
        """A new run; its number."""
        with self._writing as made:
            return int(
                made.execute(
                    "INSERT INTO runs (started, root, plan) VALUES (?, ?, ?)", (at, root, plan)
                ).lastrowid
                or 0
            )

    def intend(
        self,
        run: int,
        home: bytes,
        path: bytes,
        kind: str,
        size: int,
        files: int,
        inode: int,
        at: float,
        account: str | None = None,
        above: int = 0,
    ) -> int:
        """Write down that a folder is about to be moved into quarantine; the number of the move, higher than `above`."""
        with self._writing as made:
            return int(
                made.execute(
                    "INSERT INTO moves (id, run, home, path, kind, bytes, files, inode, state, at, account)"
                    " VALUES ((SELECT max(coalesce(max(id), 0), ?) + 1 FROM moves), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (above, run, home, path, kind, size, files, inodes.stored(inode), INTENDED, at, account),
                ).lastrowid
                or 0
            )

    @property
    def place(self) -> int:
        """The number of the quarantine that its moves are in; 0 for none yet."""
        (found,) = self._made.execute("PRAGMA application_id").fetchone()
        return int(found)

    @place.setter
    def place(self, number: int) -> None:
        self._writing.execute(f"PRAGMA application_id = {number:d}")

    # Places for archives

    def places(self) -> dict[str, int]:
        """Numbers of the folders that archives were put into, by their paths."""
        return dict(self._made.execute("SELECT path, number FROM places"))

    def has(self, table: str) -> bool:
        """Whether there is a table by now: one that came later is made by the next keeper."""
        found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return self._made.execute(found, (table,)).fetchone() is not None

    def place_of(self, path: str) -> int | None:
        """Number of a folder for archives; None if it was never used."""
        return self.places().get(path)

    def set_place(self, path: str, number: int) -> None:
        """Write down the number of a folder for archives."""
        with self._writing as made:
            made.execute("INSERT OR REPLACE INTO places (path, number) VALUES (?, ?)", (path, number))

    def archives(self) -> list[str]:
        """Names of all archives that there should be."""
        rows = self._made.execute("SELECT archive FROM moves WHERE archive IS NOT NULL AND seal IS NOT NULL")
        return [name for (name,) in rows]

    # Moves

    def set(self, move: int, state: str, at: float, back: bytes | None = None) -> None:
        """Write down that a move has come into another state."""
        with self._writing as made:
            made.execute("UPDATE moves SET state = ?, at = ?, back = ? WHERE id = ?", (state, at, back, move))
            if state not in {PURGING, EXPIRING}:
                made.execute("DELETE FROM troubles WHERE move = ?", (move,))

    def trouble(self, move: int, why: str) -> None:
        """Write down why something that is to be removed could not be."""
        with self._writing as made:
            made.execute("INSERT OR REPLACE INTO troubles (move, why) VALUES (?, ?)", (move, why))

    def stuck(self) -> list[tuple[Move, str]]:
        """What is to be removed and could not be, and why; without a reason it is being removed just now."""
        whys = dict(self._made.execute("SELECT move, why FROM troubles")) if self.has("troubles") else {}
        return [(one, whys.get(one.id, "")) for one in self.moves(PURGING, EXPIRING)]

    def found(self, move: int, inode: int) -> None:
        """Write down that a move has taken another one than it was to take."""
        with self._writing as made:
            made.execute("UPDATE moves SET inode = ? WHERE id = ?", (inodes.stored(inode), move))

    def archive(
        self,
        move: int,
        state: str,
        archive: str | None,
        seal: str | None = None,
        listing: str | None = None,
        size: int | None = None,
    ) -> None:
        """Write down a move's archive, and its state; since when it is away stays as it was."""
        with self._writing as made:
            made.execute(
                "UPDATE moves SET state = ?, archive = ?, seal = ?, listing = ?, archive_bytes = ? WHERE id = ?",
                (state, archive, seal, listing, size, move),
            )

    def forget(self, move: int) -> None:
        """Take back an intention that was not carried out."""
        with self._writing as made:
            made.execute("DELETE FROM moves WHERE id = ? AND state = ?", (move, INTENDED))

    def moves(self, *states: str) -> list[Move]:
        """Moves in some states, the oldest first."""
        marks = ", ".join("?" * len(states))
        found = f"SELECT {_COLUMNS} FROM moves WHERE state IN ({marks}) ORDER BY id"  # noqa: S608 - marks
        rows = self._made.execute(found, states)
        return [_move(row) for row in rows]

    def get(self, move: int) -> Move:
        """A move by its number, as it is now.

        Raises
        ------
        CubeHubError
            There is none.
        """
        row = self._made.execute(f"SELECT {_COLUMNS} FROM moves WHERE id = ?", (move,)).fetchone()  # noqa: S608 - as above
        if row is None:
            raise CubeHubError(f"There is no move {move} in the record.", "See `cubehub storage list`.")
        return _move(row)

    def unsealed(self) -> list[Move]:
        """Moves with something in the store that is no archive: it was not finished, or is of an earlier state."""
        found = f"SELECT {_COLUMNS} FROM moves WHERE archive IS NOT NULL AND seal IS NULL ORDER BY id"  # noqa: S608 - as above
        return [_move(row) for row in self._made.execute(found)]

    def of_run(self, run: int) -> list[Move]:
        """All moves of a run."""
        rows = self._made.execute(f"SELECT {_COLUMNS} FROM moves WHERE run = ? ORDER BY id", (run,))  # noqa: S608 - as above
        return [_move(row) for row in rows]

    def last_run(self) -> int | None:
        """The newest run that has moved something and that can be undone: not an erasure, which somebody asked for."""
        marks = ", ".join("?" * len(ASKED))
        (found,) = self._made.execute(
            f"SELECT max(run) FROM moves WHERE kind NOT IN ({marks})",  # noqa: S608 - as above
            tuple(ASKED),
        ).fetchone()
        return None if found is None else int(found)


def read(folder: Path, *states: str) -> list[Move]:
    """Moves in some states, while a keeper may be at work; none where none was ever.

    Raises
    ------
    CubeHubError
        The record cannot be used.
    """
    with _looked_into(folder) as made:
        return made.moves(*states) if made is not None else []


def read_stuck(folder: Path) -> list[tuple[Move, str]]:
    """What is to be removed and could not be, and why, while a keeper may be at work."""
    with _looked_into(folder) as made:
        return made.stuck() if made is not None else []


def read_place(folder: Path, path: str) -> int | None:
    """Number of a folder for archives, while a keeper may be at work; None if it was never used."""
    with _looked_into(folder) as made:
        return made.place_of(path) if made is not None and made.has("places") else None


@contextmanager
def _looked_into(folder: Path) -> Iterator[Journal | None]:
    """The journal, to be read only; None where there is none of this version."""
    if not (folder / FILE).exists():
        yield None
        return
    try:
        # not "ro": what a kill left in the middle of writing is taken back before anything can be read
        with closing(sqlite3.connect(f"{(folder / FILE).as_uri()}?mode=rw", uri=True, timeout=30)) as made:
            (version,) = made.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise _of_another_version(folder)
            # another version's is brought up to date by the next keeper
            yield Journal(made) if version == VERSION else None
    except sqlite3.Error as error:
        raise _unusable(folder, error) from error


def runs(folder: Path, most: int = 50) -> list[tuple[int, float, int, int, int]]:
    """The last runs that moved something, but for erasures: number, when, entries, bytes, entries that can be brought back."""
    found: dict[int, list[Move]] = {}
    for move in read(folder, *STATES):
        if move.kind not in ASKED:
            found.setdefault(move.run, []).append(move)
    return [
        (
            run,
            min(m.at for m in moves),
            len(moves),
            sum(m.bytes for m in moves),
            sum(m.restorable for m in moves),
        )
        for run, moves in sorted(found.items(), reverse=True)[:most]
    ]


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """The journal, for one keeper alone.

    Raises
    ------
    CubeHubError
        Another one is at work, or it cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        turn = Turn(folder)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        # others may write while something is done beside
        with closing(sqlite3.connect(folder / FILE, timeout=30)) as made:
            # more than FULL: what was written down holds though a file system keeps no order (btrfs)
            made.execute("PRAGMA synchronous = EXTRA")
            _prepare(made, folder)
            yield Journal(made, turn)
    except sqlite3.Error as error:
        raise _unusable(folder, error) from error
    finally:
        turn.close()


def _prepare(made: sqlite3.Connection, folder: Path) -> None:
    (version,) = made.execute("PRAGMA user_version").fetchone()
    if version == 0:
        made.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version == 1:
        made.executescript(f"BEGIN IMMEDIATE; {_FROM_1} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise _of_another_version(folder)
    made.executescript(_MORE)


def _of_another_version(folder: Path) -> CubeHubError:
    message = f"{folder / FILE} was written by another version of CubeHub."
    return CubeHubError(message, "Use that version; the file says where people's things are.")


def _unusable(folder: Path, error: Exception) -> CubeHubError:
    return CubeHubError(
        f"The record of what was moved cannot be used: {folder / FILE}: {error}.",
        "Look at the disk. Do not remove the file: it says where people's things are.",
    )
