"""A plan: what is to be moved into quarantine, as a CSV file that a person can read, sort and cut. Pure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError
from cubehub.storage.kinds import ASKED, CACHES, KINDS, is_cache
from cubehub.storage.names import original, readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub.storage.policies import Policy

COLUMNS = ("home", "path", "kind", "bytes", "files", "last_used", "unused_since", "inode")
MOST_LINES = 1_000_000
_SIGNS = ",;\t"
"""Between cells; spreadsheets of some countries write another one than ours."""
WHOLE = "."
"""How a home as a whole is written where a path is expected."""
OF_HOMES = frozenset({"idle", "workshop"})
"""Kinds of which an entry is a home as a whole."""
_FORM = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Entry:
    """A folder, file or home that is to be moved.

    Attributes
    ----------
    home, path : bytes
        Name of the home, and path from it; an empty path for the home itself.
    newest : int
        When something in it was last used, in seconds since 1970; 0 if it is empty.
    cutoff : int
        It is only moved if nothing in it was used since then.
    inode : int
        Of it: another one of that name is not meant.
    """

    home: bytes
    path: bytes
    kind: str
    bytes: int
    files: int
    newest: int
    cutoff: int
    inode: int


def write(entries: Iterable[Entry], about: Iterable[str]) -> str:
    """The plan as text: what it is about as lines with ``#``, then a table."""
    out = io.StringIO()
    for line in about:
        out.write(f"# {line}\n")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for e in entries:
        table.writerow(
            (_cell(e.home), _cell(e.path) if e.path else WHOLE, e.kind, e.bytes, e.files, _moment(e.newest) if e.newest else "never", _moment(e.cutoff), e.inode)
        )  # fmt: skip
    return out.getvalue()


def read(text: str, name: str) -> list[Entry]:
    """The entries of a plan that a person may have sorted and cut.

    Parameters
    ----------
    name : str
        Of the file, for messages.

    Raises
    ------
    BadInputError
        A line is not one of a plan; names it.
    """
    # as spreadsheets save it: with a mark in front, other signs between cells, and quotes around lines of ours
    text = text.removeprefix("\ufeff")
    lines = [
        (n, line)
        for n, line in enumerate(text.splitlines(), 1)
        if line.strip(" \t,;") and not line.lstrip('"').startswith("#")
    ]
    if len(lines) > MOST_LINES:
        raise BadInputError(f"{name} has more than {MOST_LINES:,} lines.", "Cut it into several.")
    entries: list[Entry] = []
    columns: dict[str, int] | None = None
    # the line with the names, wherever sorting has brought it, before those that go by it
    head = next((place for place, (_, line) in enumerate(lines) if _is_head(line)), 0)
    lines[:1], lines[head : head + 1] = lines[head : head + 1], lines[:1]
    sign = max(_SIGNS, key=lines[0][1].count) if lines else ","
    for number, line in lines:
        row = _cells(line, number, name, sign)
        if columns is None:
            columns = {column.strip(): place for place, column in enumerate(row)}
            missing = set(COLUMNS) - columns.keys()
            if missing:
                raise BadInputError(
                    f"{name}, line {number}: there is no column {', '.join(sorted(missing))}.", "Keep the line with the names of the columns."
                )  # fmt: skip
            continue
        try:
            home, path, *rest = (row[columns[column]] for column in COLUMNS)
            entries.append(_entry([home, path, *(cell.strip() for cell in rest)]))
        except (ValueError, IndexError) as error:
            raise BadInputError(
                f"{name}, line {number} is no line of a plan: {error}.", "Take it out, or make a new plan."
            ) from error
    if columns is None:
        raise BadInputError(f"{name} is no plan: it is empty.", "Make one with `cubehub storage plan`.")
    seen: set[tuple[bytes, bytes]] = set()
    for entry in entries:
        if (entry.home, entry.path) in seen:
            place = f"{readable(entry.home)}/{readable(entry.path)}".removesuffix("/")
            raise BadInputError(f"{name} has {place} twice.", "Take one of the two lines out.")
        seen.add((entry.home, entry.path))
    return entries


def _is_head(line: str) -> bool:
    """Whether a line has the names of the columns and nothing else; no folder can be called so that its line does."""
    if not all(column in line for column in COLUMNS):
        return False
    return any(
        sorted(filter(None, (c.strip(' "') for c in line.split(s)))) == sorted(COLUMNS) for s in _SIGNS
    )


def _cells(line: str, number: int, name: str, sign: str) -> list[str]:
    """The cells of a line; none of a plan goes over several, whatever a folder is called."""
    try:
        (row,) = csv.reader([line], delimiter=sign, strict=True)
    except (csv.Error, ValueError) as error:
        raise BadInputError(
            f"{name}, line {number} is no line of a plan: {error}.", "Take it out, or make a new plan."
        ) from error
    return row


def _entry(cells: list[str]) -> Entry:
    home, path, kind, size, files, used, since, inode = cells
    if kind not in KINDS:
        raise ValueError(f"{kind[:40]!r} is no kind")
    name, way = original(home.removeprefix("'")), original(path.removeprefix("'"))
    if not name or b"/" in name or b"\0" in name or name.startswith(b"."):
        raise ValueError(f"{home[:80]!r} is no home")
    if kind in ASKED:
        raise ValueError(f"{kind!r} is not done by a plan")
    if (path == WHOLE) != (kind in OF_HOMES):
        raise ValueError(f"{path[:80]!r} does not go with the kind {kind}")
    if path == WHOLE:
        way = b""
    parts = way.split(b"/") if path != WHOLE else []
    if b"\0" in way or any(part in {b"", b".", b".."} for part in parts):
        raise ValueError(f"{path[:80]!r} is no path below a home")
    if kind in CACHES and not is_cache(way):
        raise ValueError(f"{path[:80]!r} is no cache and no trash, so it is not {kind}")
    return Entry(
        name,
        way,
        kind,
        _count(size),
        _count(files),
        0 if used == "never" else _seconds(used),
        _seconds(since),
        _count(inode, 2**64 - 1),
    )


def _count(text: str, most: int = 2**63 - 1) -> int:
    number = int(text)
    if not 0 <= number <= most:
        raise ValueError(f"{text[:40]} is no such number")
    return number


def _cell(name: bytes) -> str:
    """A name in a cell. A spreadsheet takes what begins so for a formula, and would compute what somebody named a folder."""
    text = readable(name)
    return f"'{text}" if text[:1] in "=+-@#'" else text


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORM)


def _seconds(text: str) -> int:
    try:
        return int(datetime.strptime(text, _FORM).replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no time such as 2027-03-01T00:00:00Z") from error


@dataclass(frozen=True)
class Excess:
    """What a run would move more of than a run may: of a home, or of the platform (an empty name)."""

    home: bytes
    per_cent: float
    allowed: float


def excess(entries: Iterable[Entry], sizes: dict[bytes, int], policy: Policy) -> list[Excess]:
    """Homes of which a plan moves more than a run may, and the platform.

    Parameters
    ----------
    sizes : dict of bytes to int
        Bytes of each home, as scanned.
    """
    moved: dict[bytes, int] = {}
    everything = 0
    for entry in entries:
        # of a home as a whole the scan tells, whatever somebody wrote into the plan; the rest is looked at when it is moved
        everything += entry.bytes if entry.path else max(entry.bytes, sizes.get(entry.home, 0))
        if entry.path:
            # a home as a whole is all of it, and meant so
            moved[entry.home] = moved.get(entry.home, 0) + entry.bytes
    found = []
    whole = sum(sizes.values())
    if whole and 100 * everything / whole > policy.most_of_platform:
        found.append(Excess(b"", 100 * everything / whole, policy.most_of_platform))
    for home, size in sorted(moved.items()):
        per_cent = 100 * size / sizes[home] if sizes.get(home) else 100.0
        if per_cent > policy.most_of_home:
            found.append(Excess(home, per_cent, policy.most_of_home))
    return found
