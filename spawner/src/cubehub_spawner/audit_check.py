"""Whether an audit log is whole: nothing changed, taken out, put in or cut off."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cubehub_spawner.audit import (
    START,
    Head,
    Older,
    digest_of,
    files,
    head_file,
    is_record,
    is_unfinished,
    link_of,
    locked,
    read_head,
)


@dataclass(frozen=True)
class Trouble:
    """One place where the log is not what was written."""

    file: str
    line: int
    """Counted from 1; 0 for the file as a whole."""
    message: str


@dataclass
class Report:
    """What reading a log through found."""

    lines: int = 0
    """Lines of the chain."""
    first: int = 0
    """Number of the first line that is kept."""
    head: Head = field(default_factory=Head)
    """Its last one: to be written down elsewhere and compared another time."""
    before_chain: int = 0
    """Lines of an earlier version, which had no chain; the first line of the chain vouches for them."""
    cut: int = 0
    """Lines that were cut when they were written, by a crash or a full disk; what they said was not done."""
    cut_places: list[Trouble] = field(default_factory=list)
    """Where those are."""
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether all is as it was written."""
        return not self.troubles


def verify(path: Path, expected: Head | None = None) -> Report:
    """Read a log through, all its files.

    Parameters
    ----------
    path : Path
        The newest file.
    expected : Head, optional
        An end of the chain that was written down earlier: it must still be there.

    Raises
    ------
    OSError
        A file can't be read.

    Notes
    -----
    Whoever may write the log and its head could make both anew. So the head is worth writing down elsewhere, in a mail
    or on paper: with it, a log that was made anew is found out.
    """
    report, older = Report(), _Older()
    met = expected is None
    with ExitStack() as stack:
        kept, opened = _at_one_moment(path, stack)
        for file, size in opened:
            name, left = Path(file.name).name, size
            for number, raw in enumerate(file, 1):
                left -= len(raw)
                if left < 0:  # written since
                    break
                met = _take(report, older, name, number, raw.rstrip(b"\n"), expected) or met
    if not report.lines:
        report.troubles += older.troubles
    if not met and expected is not None:
        report.troubles.append(Trouble(path.name, 0, _unmet(report, expected)))
    _compare_head(report, path.name, kept)
    return report


def _at_one_moment(path: Path, stack: ExitStack) -> tuple[Head | None, list[tuple[BinaryIO, int]]]:
    """Open head and files as they are between two lines; the Hub goes on writing while they are read."""
    if not head_file(path).exists() and not files(path):
        return None, []  # nothing was written yet; the first line may come at this moment
    with ExitStack() as moment:
        with suppress(OSError):  # there is none; or a writer was stopped with the lock: look all the same
            descriptor = os.open(head_file(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            moment.enter_context(locked(descriptor, fcntl.LOCK_SH, path))
        opened: list[BinaryIO] = [stack.enter_context(file.open("rb")) for file in files(path)]
        return read_head(path), [(file, os.fstat(file.fileno()).st_size) for file in opened]


@dataclass
class _Older:
    """What stands before the chain."""

    found: Older = field(default_factory=Older)
    troubles: list[Trouble] = field(default_factory=list)
    """One for each of its lines, should the chain not vouch for them."""


def _unmet(report: Report, expected: Head) -> str:
    if expected.seq < report.first:
        return f"line {expected.seq} went with an old file, so it can't be compared any more"
    if expected.seq > report.head.seq:
        return f"line {expected.seq} was written down, and the log ends with line {report.head.seq}"
    return f"line {expected.seq} is not the one that was written down"


def _take(report: Report, older: _Older, file: str, number: int, text: bytes, expected: Head | None) -> bool:
    """Take one line; True where it is the expected one."""
    link = link_of(text)
    if link is None:
        _take_foreign(report, older, file, number, text)
        return False
    seq, before = link
    if report.lines == 0:
        report.first = seq
        # whoever puts a line before the first one can't make the first one say so
        if seq == 1 and older.found.lines and older.found.is_told_by(text):
            report.before_chain = older.found.lines
        else:
            report.troubles += older.troubles
        if seq == 1 and before != START:
            report.troubles.append(Trouble(file, number, "the first line does not begin a chain"))
    elif seq != report.head.seq + 1:
        report.troubles.append(
            Trouble(file, number, f"line {seq} follows line {report.head.seq}: lines are missing or doubled")
        )
    elif before != report.head.digest:
        report.troubles.append(Trouble(file, number, f"the line before it (line {seq - 1}) was changed"))
    report.lines += 1
    report.head = Head(seq, digest_of(text))
    return expected is not None and (expected.seq, expected.digest) == (seq, report.head.digest)


def _take_foreign(report: Report, older: _Older, file: str, number: int, text: bytes) -> None:
    """Take a line that is of no chain."""
    if is_record(text):
        if report.lines:
            report.troubles.append(Trouble(file, number, "this line has no number: it was put in"))
        else:
            older.found.add(text)
            message = "this line has no number, and no first line vouches for it: it was put in"
            older.troubles.append(Trouble(file, number, message))
    elif text and is_unfinished(text):
        report.cut += 1
        report.cut_places.append(Trouble(file, number, "never finished"))
    elif text:
        report.troubles.append(Trouble(file, number, "this is no line of the record: it was put in"))


def _compare_head(report: Report, file: str, kept: Head | None) -> None:
    if kept is None:
        if report.lines:
            report.troubles.append(Trouble(f"{file}.head", 0, "the end of the chain is not kept any more"))
        return
    found = report.head
    if report.lines and report.first > kept.dropped + 1:
        missing = f"lines {kept.dropped + 1} to {report.first - 1} are missing at the beginning"
        report.troubles.append(Trouble(file, 0, missing))
    if (found.seq, found.digest) == (kept.seq, kept.digest):
        return
    if found.seq == kept.seq + 1:  # a crash between line and head: the next line mends it
        return
    report.troubles.append(
        Trouble(
            file,
            0,
            f"the log ends with line {found.seq}, and line {kept.seq} was written: its end is missing",
        )
        if found.seq < kept.seq
        else Trouble(file, 0, f"the last line (line {found.seq}) was changed, or lines were put in")
    )
