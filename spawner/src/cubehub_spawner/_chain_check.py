"""Whether the audit log is whole: every line read once, nothing written."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cubehub_spawner._chain import (
    DROPPED,
    NOTHING,
    Head,
    chained,
    digest,
    head_file,
    locked,
    put_aside,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_SHOWN = 20
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Finding:
    """Something about one line of the log."""

    file: str
    """Name of the file; with the first of its lines that it is about."""
    line: int
    """Line in that file, from 1."""
    what: str


@dataclass
class Report:
    """What a look at all files of an audit log found."""

    lines: int = 0
    """How many lines belong to the chain."""
    first: int = 0
    """Number of the first of them; 0 where there is none."""
    head: str = f"0:{NOTHING}"
    """Number and hash of the last, as `Head` and ``--expect-head`` have it."""
    cut: list[Finding] = field(default_factory=list)
    """Lines that were not written whole, as on a full disk: their decisions were not carried out."""
    problems: list[Finding] = field(default_factory=list)
    """Where the chain is broken; the first 20."""
    unchained: int = 0
    """Lines from before the chain began."""
    dropped: int = 0
    """Number of the last line that was removed with the oldest file; 0 for none."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing or changed."""
        return not self.problems


def read_head(text: str) -> tuple[int, str]:
    """Read a head as a report gives it, ``NUMBER:HASH``.

    Raises
    ------
    ValueError
        It is none.
    """
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no head; one is a number, a colon and 64 hexadecimal digits")
    return int(found[1]), found[2]


def verify(path: Path, expected: tuple[int, str] | None = None) -> Report:
    """Read a whole audit log and tell whether lines are missing, changed or added.

    Parameters
    ----------
    path : Path
        Its newest file.
    expected : tuple of int and str, optional
        Number and hash of a line, as `read_head` gives them, from an earlier report that was kept elsewhere.

    Notes
    -----
    The chain holds no secret, because whoever may write the log could read that too: somebody with the Hub's rights
    can write it anew from any line on, head included. What they can't change is a head that was copied elsewhere
    before: with it as `expected`, everything up to that line is what it was then.

    Raises
    ------
    OSError
        A file is there and can't be read.
    """
    with ExitStack() as stack:
        head, files = _open(path, stack)
        return _Check(expected).run(head, files)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Give what the log says, the oldest first, with what belongs to no chain; lines that were cut are left out."""
    with ExitStack() as stack:
        for _, file, size in _open(path, stack)[1]:
            for _, line in _read(file, size):
                if (found := whole(line)) is not None:
                    yield found


def _open(path: Path, stack: ExitStack) -> tuple[Head | None, list[_File]]:
    """Open all files as they are at one moment, between two lines; writers go on after that."""
    with ExitStack() as moment:
        head = None
        with suppress(FileNotFoundError):
            beside = stack.enter_context(head_file(path).open("rb"))
            with suppress(
                OSError
            ):  # no locks on this file system, or a writer that was stopped: see what there is
                moment.enter_context(locked(beside.fileno(), fcntl.LOCK_SH))
            head = Head.from_bytes(beside.read(256))
        found: list[_File] = []
        names = [*put_aside(path), path] if path.parent.is_dir() else []
        for name in names:
            with suppress(FileNotFoundError):
                file = stack.enter_context(name.open("rb"))
                found.append((name.name, file, os.fstat(file.fileno()).st_size))
    return head, found


def _read(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    for number, line in enumerate(file, 1):
        at += len(line)
        if at > size:  # written since
            return
        yield number, line.rstrip(b"\n")


_File = tuple[str, "BinaryIO", int]
"""Name, content, and how much of it there is to read."""


class _Check:
    """Goes along the chain."""

    def __init__(self, expected: tuple[int, str] | None) -> None:
        self.report = Report()
        self._expected = expected
        self._begins: tuple[int, str] | None = None
        self._dropped: set[tuple[int, str]] = set()
        self._before = self._last = Head()
        self._at = Finding("", 0, "")

    def run(self, head: Head | None, files: list[_File]) -> Report:
        for name, file, size in files:
            for number, line in _read(file, size):
                if line:
                    self._look(Finding(name, number, ""), line)
        report = self.report
        report.head = f"{self._last.seq}:{self._last.hash}"
        self._check_begin()
        self._check_end(head)
        if self._expected is not None:
            self._miss(
                f"line {self._expected[0]} with the expected hash is not in the log"
                + (
                    " any more: it was removed with the oldest file"
                    if self._expected[0] <= report.dropped
                    else ""
                )
            )
        del report.problems[_SHOWN:]
        return report

    def _look(self, at: Finding, line: bytes) -> None:
        found = chained(line)
        if found is None:
            if whole(line) is None:
                self.report.cut.append(Finding(at.file, at.line, "not a whole line"))
            elif self.report.lines:
                self._miss("a line without a number, which the Hub did not write", at)
            else:
                self.report.unchained += 1
            return
        seq, prev, last = found["seq"], found["prev"], self._last
        if self._begins is None:
            self._begins, self.report.first, self._first_at = (seq, prev), seq, at
        elif seq != last.seq + 1:
            between = f"{last.seq + 1} to {seq - 1}" if seq > last.seq + 2 else f"{last.seq + 1}"
            gap = f"lines are missing before it: {between}" if seq > last.seq else f"{last.seq} was before it"
            self._miss(f"line number {seq}: {gap}", at)
        elif prev != last.hash:
            self._miss(f"line number {last.seq} was changed: the next one has another hash for it")
        if found.get("event") == DROPPED:
            self._dropped.add((found.get("through", 0), found.get("through_hash", "")))
        self._before, self._last, self._at = self._last, Head(seq, digest(line)), at
        self.report.lines += 1
        if self._expected == (seq, self._last.hash):
            self._expected = None

    def _check_begin(self) -> None:
        if self._begins is None:
            return
        seq, prev = self._begins
        if (seq - 1, prev) in self._dropped:
            self.report.dropped = seq - 1
        elif (seq, prev) != (1, NOTHING):
            self._miss(
                f"the log begins with line number {seq}: what was before it is missing", self._first_at
            )

    def _check_end(self, head: Head | None) -> None:
        """Compare with the head that is noted beside the log.

        Notes
        -----
        A writer that is killed between the two leaves the log one line longer; the next one takes that line over.
        """
        last = self._last
        if head is None:
            if self.report.lines:
                self._miss("the note of the last line is missing or can't be read")
        elif head.seq > last.seq:
            missing = f"{last.seq + 1} to {head.seq}" if head.seq > last.seq + 1 else f"{head.seq}"
            self._miss(f"lines are missing at the end: {missing}")
        elif head.hash != {last.seq: last.hash, last.seq - 1: self._before.hash}.get(head.seq, head.hash):
            self._miss(f"line number {head.seq} was changed: the head has another hash for it")
        elif head.seq + 1 < last.seq:
            self._miss(f"the head knows of {head.seq} lines only, so what follows was not written by the Hub")

    def _miss(self, what: str, at: Finding | None = None) -> None:
        at = at or self._at
        self.report.problems.append(Finding(at.file, at.line, what))
