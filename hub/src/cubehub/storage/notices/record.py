"""What people were told, what they keep, and the mails about it: one database, so that no mail is without its reason."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cubehub_spawner.names import home_name

from cubehub.errors import CubeHubError
from cubehub.mail.outbox import SENT, WAITING, Outbox
from cubehub.mail.outbox import TABLES as OUTBOX_TABLES
from cubehub.storage import inodes
from cubehub.storage.deciding import Keeps, Kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cubehub.storage.planning import Entry

FILE = "notices.sqlite"
VERSION = 1
_HIGHEST_FIRST = 2**30
"""Half of the numbers that SQLite keeps beside its tables."""
_TABLES = """
CREATE TABLE noticed (id INTEGER PRIMARY KEY, home BLOB NOT NULL, path BLOB NOT NULL, kind TEXT NOT NULL, inode INTEGER NOT NULL,
  bytes INTEGER NOT NULL, newest INTEGER NOT NULL, begun REAL NOT NULL, due REAL NOT NULL, first INTEGER REFERENCES outbox,
  second INTEGER REFERENCES outbox, ended REAL, why TEXT NOT NULL DEFAULT '');
CREATE INDEX noticed_open ON noticed (ended, home);
CREATE TABLE kept (home BLOB NOT NULL, path BLOB NOT NULL, until REAL, by TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (home, path, by)) WITHOUT ROWID;
CREATE TABLE warned (home BLOB PRIMARY KEY, level INTEGER NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "id, home, path, kind, inode, bytes, newest, begun, due, first, second, ended, why"


@dataclass(frozen=True)
class Noticed:
    """Something that its owner is told about.

    Attributes
    ----------
    begun, due : float
        Since when it is known, and from when on it may be moved at the earliest; seconds since 1970.
    first, second : int or None
        The mails about it; None for not yet, or where there is no address.
    ended : float or None
        When it was over: it was moved, used, kept or removed.
    first_sent, second_sent : float or None
        When the mails went out.
    """

    id: int
    home: bytes
    path: bytes
    kind: str
    inode: int
    bytes: int
    newest: int
    begun: float
    due: float
    first: int | None
    second: int | None
    ended: float | None
    why: str
    first_sent: float | None = None
    second_sent: float | None = None

    def is_about(self, entry: Entry) -> bool:
        """Whether it is about the very thing that an entry of a plan means."""
        return (self.home, self.path, self.kind, self.inode) == (
            entry.home,
            entry.path,
            entry.kind,
            entry.inode,
        )


def _noticed(row: tuple[Any, ...]) -> Noticed:
    found = Noticed(*row)
    return found if found.inode >= 0 else replace(found, inode=inodes.known(found.inode))


class Record:
    """The database, open."""

    def __init__(self, made: sqlite3.Connection) -> None:
        self._made = made
        self.outbox = Outbox(made)

    @property
    def transaction(self) -> sqlite3.Connection:
        """For ``with``: all that is written in it is on the disk when it ends, or nothing is."""
        return self._made

    def open_ones(self, home: bytes | None = None) -> list[Noticed]:
        """What people are told about now; of one home or of all."""
        where, given = ("AND home = ?", (home,)) if home is not None else ("", ())
        return self._noticed(f"noticed.ended IS NULL {where}", given)

    def of_mail(self, mail: int) -> list[Noticed]:
        """What a mail is about."""
        return self._noticed("first = ? OR second = ?", (mail, mail))

    def _noticed(self, where: str, given: tuple[object, ...]) -> list[Noticed]:
        columns = ", ".join(f"noticed.{c}" for c in _COLUMNS.split(", "))
        rows = self._made.execute(
            f"SELECT {columns}, a.sent, b.sent FROM noticed"  # noqa: S608 - names from here
            " LEFT JOIN outbox a ON a.id = first AND a.state = ? LEFT JOIN outbox b ON b.id = second AND b.state = ?"
            f" WHERE {where} ORDER BY noticed.id",
            (SENT, SENT, *given),
        )
        return [_noticed(row) for row in rows]

    def begin(self, entry: Entry, at: float, due: float, mail: int | None) -> int:
        """Remember that somebody is told, in the caller's transaction."""
        return int(
            self._made.execute(
                "INSERT INTO noticed (home, path, kind, inode, bytes, newest, begun, due, first) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.home,
                    entry.path,
                    entry.kind,
                    inodes.stored(entry.inode),
                    entry.bytes,
                    entry.newest,
                    at,
                    due,
                    mail,
                ),
            ).lastrowid
            or 0
        )

    def first(self, noticed: int, mail: int, due: float) -> None:
        """Remember the first mail of something that could not be told before, in the caller's transaction."""
        self._made.execute("UPDATE noticed SET first = ?, due = ? WHERE id = ?", (mail, due, noticed))

    def second(self, noticed: int, mail: int, due: float) -> None:
        """Remember the second mail, in the caller's transaction."""
        self._made.execute("UPDATE noticed SET second = ?, due = ? WHERE id = ?", (mail, due, noticed))

    def end(self, noticed: int, at: float, why: str) -> None:
        """Remember that it is over, in the caller's transaction."""
        self._made.execute("UPDATE noticed SET ended = ?, why = ? WHERE id = ?", (at, why, noticed))

    def forget(self, home: bytes) -> int:
        """Forget what the owner of a home was told, and what they keep; how many mails that was."""
        with self._made as made:
            for table in ("noticed", "kept", "warned"):
                made.execute(f"DELETE FROM {table} WHERE home = ?", (home,))  # noqa: S608 - names from here
            mails = made.execute("SELECT id, username FROM outbox").fetchall()
            gone = [mail for mail, name in mails if home_name(name).encode() == home]
            for mail in gone:
                self.outbox.delete(mail)
        return len(gone)

    def withdraw(self, home: bytes, topic: str) -> None:
        """Send no mail of a topic to a home's owner that still waits: what it says is no longer so."""
        with self._made as made:
            waiting = made.execute(
                "SELECT id, username FROM outbox WHERE topic = ? AND state = ?", (topic, WAITING)
            ).fetchall()
            for mail, name in waiting:
                if home_name(name).encode() == home:
                    self.outbox.delete(mail)

    # How full homes are

    def warned(self) -> dict[bytes, int]:
        """By home, at how many per cent of its storage its owner was last written to."""
        return dict(self._made.execute("SELECT home, level FROM warned"))

    def warn(self, home: bytes, level: int) -> None:
        """Remember that; 0 for a home that has room again. In the caller's transaction."""
        self._made.execute("INSERT OR REPLACE INTO warned VALUES (?, ?)", (home, level))

    # What is kept

    def keep(self, kept: Kept, who: str, at: float) -> None:
        """Keep a place where it is; what its owner was told about it is over."""
        self.keep_all([kept], who, at)

    def keep_all(self, kept: Sequence[Kept], who: str, at: float) -> None:
        """Keep several places, or none of them."""
        with self._made as made:
            made.executemany(
                "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)",
                [(one.home, one.path, one.until, one.by, who, at) for one in kept],
            )
            covered = Keeps(kept, at)
            for home in {one.home for one in kept}:
                for told in self.open_ones(home):
                    if covered.cover(told.home, told.path):
                        self.end(told.id, at, "kept")

    def let_go(self, home: bytes, path: bytes, by: str) -> bool:
        """Keep a place no longer; whether it was kept."""
        with self._made as made:
            done = made.execute(
                "DELETE FROM kept WHERE home = ? AND path = ? AND by = ?", (home, path, by)
            ).rowcount
        return bool(done)

    def kept(self, at: float, home: bytes | None = None) -> list[Kept]:
        """What is kept now; of one home or of all."""
        where, given = ("AND home = ?", (home,)) if home is not None else ("", ())
        rows = self._made.execute(
            f"SELECT home, path, until, by FROM kept WHERE (until IS NULL OR until >= ?) {where} ORDER BY home, path",  # noqa: S608 - names from here
            (at, *given),
        )
        return [Kept(*row) for row in rows]


@contextmanager
def opened(folder: Path) -> Iterator[Record]:
    """The record in the keeper's folder; several may have it open.

    Raises
    ------
    CubeHubError
        It cannot be used: then nothing that people made may be moved.
    """
    file = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(file, timeout=30)) as made:
            made.execute("PRAGMA foreign_keys = ON")
            made.execute("PRAGMA synchronous = EXTRA")
            (version,) = made.execute("PRAGMA user_version").fetchone()
            if version == 0:
                # begins anywhere: links in mails of a record that was lost must not fit those of this one
                begin = secrets.randbelow(_HIGHEST_FIRST)
                made.executescript(
                    f"BEGIN IMMEDIATE; {OUTBOX_TABLES} {_TABLES} PRAGMA application_id = {begin}; PRAGMA user_version = {VERSION}; COMMIT;"
                )
            elif version != VERSION:
                message = f"{file} was written by another version of CubeHub."
                raise CubeHubError(message, "Use that version; the file says who was told what.")
            yield Record(made)
    except (sqlite3.Error, OSError) as error:
        message = f"The record of who was told what cannot be used: {file}: {error}."
        raise CubeHubError(
            message, "Look at the disk. Nothing that people made is moved without it."
        ) from error
