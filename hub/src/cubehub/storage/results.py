"""Scans that are kept: a SQLite file, to which each scan is added as a whole; of the last ones all, of earlier ones the sums."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub.errors import CubeHubError
from cubehub.storage import inodes
from cubehub.storage.names import original, readable
from cubehub.storage.standing import Before, Row
from cubehub.storage.tally import Share, biggest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubehub.storage.scan import Scan

FILE = "storage.sqlite"
VERSION = 3
KEPT_WHOLE = 3
"""Scans of which all is kept; of earlier ones only how much each home had."""
_TABLES = """
CREATE TABLE scans (id INTEGER PRIMARY KEY, root TEXT, started REAL, ended REAL, homes INTEGER, files INTEGER, bytes INTEGER);
CREATE TABLE homes (scan INTEGER REFERENCES scans ON DELETE CASCADE, name TEXT, bytes INTEGER, files INTEGER, folders INTEGER,
  newest INTEGER, unread INTEGER, inode INTEGER, mark TEXT NOT NULL DEFAULT '', PRIMARY KEY (scan, name)) WITHOUT ROWID;
CREATE TABLE caches (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, kind TEXT, bytes INTEGER, files INTEGER,
  newest INTEGER, PRIMARY KEY (scan, home, kind)) WITHOUT ROWID;
CREATE TABLE places (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, path TEXT, bytes INTEGER, files INTEGER,
  newest INTEGER, PRIMARY KEY (scan, home, path)) WITHOUT ROWID;
CREATE TABLE units (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, path TEXT, kind TEXT, inode INTEGER,
  bytes INTEGER, files INTEGER, newest INTEGER, PRIMARY KEY (scan, home, path)) WITHOUT ROWID;
CREATE TABLE large (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, path TEXT, bytes INTEGER, newest INTEGER,
  inode INTEGER, PRIMARY KEY (scan, home, path)) WITHOUT ROWID;
CREATE TABLE unread (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, path TEXT, why TEXT,
  PRIMARY KEY (scan, home, path)) WITHOUT ROWID;
CREATE TABLE kept (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, path TEXT,
  PRIMARY KEY (scan, home, path)) WITHOUT ROWID;
"""
_FROM_1 = """
ALTER TABLE homes ADD COLUMN inode INTEGER NOT NULL DEFAULT 0;
ALTER TABLE large ADD COLUMN inode INTEGER NOT NULL DEFAULT 0;
CREATE TABLE kept (scan INTEGER REFERENCES scans ON DELETE CASCADE, home TEXT, path TEXT,
  PRIMARY KEY (scan, home, path)) WITHOUT ROWID;
"""
"""From version 1 on: what has no inode is in no plan until the next scan."""
_FROM_2 = "ALTER TABLE homes ADD COLUMN mark TEXT NOT NULL DEFAULT '';"
"""From version 2 on: a home without a mark is walked through at the next scan."""
_STEPS = {0: _TABLES, 1: _FROM_1 + _FROM_2, 2: _FROM_2}


@dataclass(frozen=True)
class Home:
    """What is known of a home.

    Attributes
    ----------
    bytes : int
        On the disk, files with several names once.
    newest : int
        The newest use of a file, seconds since 1970; 0 if there is none.
    unread : int
        Places that could not be looked into.
    caches : dict of str to Share
        By kind.
    inode : int
        Of its folder; 0 if that is not known.
    """

    name: str
    bytes: int
    files: int
    folders: int
    newest: int
    unread: int
    caches: dict[str, Share]
    inode: int = 0


@dataclass(frozen=True)
class FoundFile:
    """A large file; home and path as `readable` writes them."""

    home: str
    path: str
    inode: int
    bytes: int
    newest: int


@dataclass(frozen=True)
class FoundUnit:
    """A folder or file that is cleaned up as a whole; home and path as `readable` writes them."""

    home: str
    path: str
    kind: str
    inode: int
    bytes: int
    files: int
    newest: int


@dataclass(frozen=True)
class Details:
    """What fills a home: folders and files by size, and what could not be looked into. Paths are from the home."""

    places: list[tuple[str, Share]]
    large: list[tuple[str, int, int]]
    unread: list[tuple[str, str]]


@dataclass(frozen=True)
class Summary:
    """A scan: when, and how much there was. Times in seconds since 1970."""

    id: int
    root: str
    started: float
    ended: float
    homes: int
    files: int
    bytes: int


class Results:
    """The scans that are kept in a folder.

    Parameters
    ----------
    folder : path
        The keeper's own.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    @contextmanager
    def _open(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """The database; made if need be.

        Raises
        ------
        CubeHubError
            It cannot be used.
        """
        try:
            if create:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=rw", uri=True, timeout=30)) as made:
                made.execute("PRAGMA foreign_keys = ON")
                made.execute("PRAGMA synchronous = FULL")
                self._prepare(made)
                with made:
                    yield made
        except (sqlite3.Error, OSError) as error:
            message = f"What earlier scans found cannot be used: {self._file}: {error}."
            raise CubeHubError(
                message, "Look at the disk. The file may be moved away: the next scan makes it anew."
            ) from error

    def _prepare(self, made: sqlite3.Connection) -> None:
        (version,) = made.execute("PRAGMA user_version").fetchone()
        if version in _STEPS:
            made.executescript(f"BEGIN IMMEDIATE; {_STEPS[version]} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            message = f"{self._file} was written by another version of CubeHub."
            raise CubeHubError(message, "Move it away: the next scan makes it anew.")

    def add(self, scan: Scan) -> int:
        """Keep a scan, all of it or nothing; its number."""
        with self._open(create=True) as made:
            number = made.execute(
                "INSERT INTO scans (root, started, ended, homes, files, bytes) VALUES (?, ?, ?, ?, ?, ?)",
                (str(scan.root), scan.started, scan.ended, scan.count, scan.files, scan.bytes),
            ).lastrowid
            for table, rows in _rows(number or 0, scan):
                marks = ", ".join("?" * (len(_COLUMNS[table]) + 1))
                made.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names from here
            _take_over(made, number or 0, scan)
            old = [
                n
                for (n,) in made.execute(
                    "SELECT id FROM scans ORDER BY id DESC LIMIT -1 OFFSET ?", (KEPT_WHOLE,)
                )
            ]
            for table in ("caches", "places", "units", "large", "unread", "kept"):
                made.executemany(f"DELETE FROM {table} WHERE scan = ?", [(n,) for n in old])  # noqa: S608 - as above
        return number or 0

    def before(self, root: Path) -> Before | None:
        """The last scan of these homes, for one that is to walk only through what was changed since; None if there is none."""
        if not self._file.exists():
            return None
        with self._open() as made:
            last = made.execute("SELECT id, root FROM scans ORDER BY id DESC LIMIT ?", (KEPT_WHOLE,))
            number = next((n for n, where in last if where == str(root)), None)
            if number is None:
                return None
            rows = made.execute(
                "SELECT name, mark, bytes, files FROM homes WHERE scan = ? AND mark != ''", (number,)
            )
            return Before(number, {original(name): Row(*rest) for name, *rest in rows})

    def scans(self) -> list[Summary]:
        """All scans, the newest first; none if there was none yet."""
        if not self._file.exists():
            return []
        with self._open() as made:
            rows = made.execute(
                "SELECT id, root, started, ended, homes, files, bytes FROM scans ORDER BY id DESC"
            )
            return [Summary(*row) for row in rows]

    def homes(self, scan: int, only: str | None = None) -> list[Home]:
        """The homes of a scan, or only one of them; the largest first."""
        where, given = ("", (scan,)) if only is None else (" AND name = ?", (scan, only))
        with self._open() as made:
            caches: dict[str, dict[str, Share]] = {}
            for home, kind, size, files, newest in made.execute(
                "SELECT home, kind, bytes, files, newest FROM caches"  # noqa: S608 - names from here
                f" WHERE scan = ?{where.replace('name', 'home')}",
                given,
            ):
                caches.setdefault(home, {})[kind] = Share(size, files, newest)
            rows = made.execute(
                "SELECT name, bytes, files, folders, newest, unread, inode FROM homes"  # noqa: S608 - names from here
                f" WHERE scan = ?{where} ORDER BY bytes DESC, name",
                given,
            )
            return [
                Home(name, size, files, folders, newest, unread, caches.get(name, {}), inodes.known(inode))
                for name, size, files, folders, newest, unread, inode in rows
            ]

    def units(self, scan: int, only: str | None = None) -> list[FoundUnit]:
        """Caches and trash of a scan by folder, or those of one home; by home and path."""
        where, given = _of(scan, only)
        with self._open() as made:
            rows = made.execute(
                f"SELECT home, path, kind, inode, bytes, files, newest FROM units WHERE {where} ORDER BY home, path", given  # noqa: S608 - names from here
            )  # fmt: skip
            return [
                FoundUnit(home, path, kind, inodes.known(inode), size, files, newest)
                for home, path, kind, inode, size, files, newest in rows
            ]

    def large(self, scan: int, only: str | None = None) -> list[FoundFile]:
        """Large files of a scan, or those of one home; by home and path."""
        where, given = _of(scan, only)
        with self._open() as made:
            rows = made.execute(
                f"SELECT home, path, inode, bytes, newest FROM large WHERE {where} ORDER BY home, path",  # noqa: S608 - names from here
                given,
            )
            return [
                FoundFile(home, path, inodes.known(inode), size, newest)
                for home, path, inode, size, newest in rows
            ]

    def kept(self, scan: int) -> list[tuple[str, str]]:
        """Home and path of each folder that its owner keeps by a file in it."""
        with self._open() as made:
            return list(made.execute("SELECT home, path FROM kept WHERE scan = ?", (scan,)))

    def fill(self) -> list[tuple[float, str, int]]:
        """Of each scan that is kept and each home: when it ended, the home and its bytes; the oldest first."""
        if not self._file.exists():
            return []
        with self._open() as made:
            rows = made.execute(
                "SELECT scans.ended, homes.name, homes.bytes FROM homes JOIN scans ON scans.id = homes.scan ORDER BY scans.id"
            )
            return list(rows)

    def details(self, scan: int, home: str) -> Details:
        """What fills a home; of scans that are not kept whole nothing."""
        with self._open() as made:
            places = made.execute(
                "SELECT path, bytes, files, newest FROM places WHERE scan = ? AND home = ? ORDER BY bytes DESC, path", (scan, home)
            )  # fmt: skip
            large = made.execute(
                "SELECT path, bytes, newest FROM large WHERE scan = ? AND home = ? ORDER BY bytes DESC, path", (scan, home)
            )  # fmt: skip
            unread = made.execute(
                "SELECT path, why FROM unread WHERE scan = ? AND home = ? ORDER BY path", (scan, home)
            )
            return Details(
                [(path, Share(*rest)) for path, *rest in places], [tuple(row) for row in large], [tuple(row) for row in unread]
            )  # fmt: skip


def _of(scan: int, only: str | None) -> tuple[str, tuple[int | str, ...]]:
    """What to look for: rows of a scan, or of one home in it."""
    return ("scan = ?", (scan,)) if only is None else ("scan = ? AND home = ?", (scan, only))


_COLUMNS = {
    "homes": ("name", "bytes", "files", "folders", "newest", "unread", "inode", "mark"),
    "caches": ("home", "kind", "bytes", "files", "newest"),
    "places": ("home", "path", "bytes", "files", "newest"),
    "units": ("home", "path", "kind", "inode", "bytes", "files", "newest"),
    "large": ("home", "path", "bytes", "newest", "inode"),
    "unread": ("home", "path", "why"),
    "kept": ("home", "path"),
}
"""Of each table what comes after the scan's number; the first is the home."""


def _take_over(made: sqlite3.Connection, number: int, scan: Scan) -> None:
    """Give a scan the rows of an earlier one for the homes that stood still since.

    Raises
    ------
    CubeHubError
        They are not there any more.
    """
    if scan.before is None or not scan.unchanged:
        return
    before = scan.before.scan
    there = dict(made.execute("SELECT name, mark FROM homes WHERE scan = ?", (before,)))
    (since,) = made.execute(
        "SELECT count(*) FROM scans WHERE id > ? AND id != ?", (before, number)
    ).fetchone()
    if since >= KEPT_WHOLE or any(there.get(readable(n)) != row.mark for n, row in scan.unchanged.items()):
        raise CubeHubError(
            "What this scan took over from an earlier one is not kept any more: others ended meanwhile.",
            "Run `cubehub storage scan` again.",
        )
    for table, (home, *rest) in _COLUMNS.items():
        columns = ", ".join((home, *rest))
        made.executemany(
            f"INSERT INTO {table} SELECT ?, {columns} FROM {table} WHERE scan = ? AND {home} = ?",  # noqa: S608 - names from here
            [(number, before, readable(name)) for name in scan.unchanged],
        )


def _rows(number: int, scan: Scan) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Rows by table, one home after another."""
    for name, tally in scan.homes.items():
        home = readable(name)
        yield (
            "homes",
            [
                (
                    number,
                    home,
                    scan.bytes_of(name),
                    tally.own.files,
                    tally.folders,
                    tally.own.newest,
                    tally.unread_count,
                    inodes.stored(tally.inode),
                    scan.marks.get(name, ""),
                )
            ],
        )
        yield "caches", [(number, home, k, s.bytes, s.files, s.newest) for k, s in tally.caches.items()]
        yield (
            "places",
            [(number, home, readable(path), s.bytes, s.files, s.newest) for path, s in biggest(tally.places)],
        )
        yield (
            "units",
            [
                (
                    number,
                    home,
                    readable(path),
                    u.kind,
                    inodes.stored(u.inode),
                    u.share.bytes,
                    u.share.files,
                    u.share.newest,
                )
                for path, u in tally.units.items()
                if u.inode
            ],
        )
        yield (
            "large",
            [
                (number, home, readable(path), size, newest, inodes.stored(inode))
                for size, newest, path, inode in tally.large
            ],
        )
        yield "kept", [(number, home, readable(path)) for path in set(tally.kept)]
        yield "unread", [(number, home, readable(path), why) for path, why in dict(tally.unread).items()]
