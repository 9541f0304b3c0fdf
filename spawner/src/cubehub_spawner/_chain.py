"""The audit log's files: numbered lines, each with the hash of the one before, over several files and two writers."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTHING = "0" * 64
"""What the first line of all has for the hash of the one before."""
LARGEST = 10 * 2**20
"""Bytes at which a file is put aside and a new one begun."""
KEPT = 10
"""How many files that were put aside are kept."""

DROPPED = "dropped"
"""The event of a line that tells up to where the oldest files were removed."""

_HEAD = re.compile(rb"([ \d]{20}) ([0-9a-f]{64}) ([ \d]{20})\n")
_PATIENCE_S = 2.0
"""How long to wait for another writer, who needs less than a thousandth of it: it may have been stopped."""
_TAIL = 2**20
"""How much of the end is read where the head says nothing of it."""
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True)
class Head:
    """The last line, as noted beside the log."""

    seq: int = 0
    """Its number; 0 where there is none."""
    hash: str = NOTHING
    """SHA-256 of its bytes, without the line's end."""
    end: int = 0
    """Size of the file with it, in bytes."""

    def as_bytes(self) -> bytes:
        """Write it in always as many bytes, so that to replace it needs no room on the disk."""
        return f"{self.seq:20} {self.hash} {self.end:20}\n".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Head | None:
        """Read it; None where it is not whole."""
        found = _HEAD.fullmatch(data)
        try:
            return cls(int(found[1]), found[2].decode("ascii"), int(found[3])) if found else None
        except ValueError:
            return None


def head_file(path: Path) -> Path:
    """Tell where the head of a log is noted; whoever writes the log locks this file."""
    return path.with_name(f"{path.name}.head")


def put_aside(path: Path) -> list[Path]:
    """List the files of a log that were put aside, the oldest first; each is named by the number of its last line."""
    named = re.compile(rf"{re.escape(path.name)}\.(\d{{12,}})")
    found = [(int(match[1]), one) for one in path.parent.iterdir() if (match := named.fullmatch(one.name))]
    return [one for _, one in sorted(found)]


def digest(line: bytes) -> str:
    """Hash a line, without its end."""
    return hashlib.sha256(line).hexdigest()


def whole(line: bytes) -> dict[str, Any] | None:
    """Read a line; None where it was cut."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def chained(line: bytes) -> dict[str, Any] | None:
    """Read a line of the chain; None for anything else."""
    found = whole(line)
    if found is None or type(found.get("seq")) is not int or type(found.get("prev")) is not str:
        return None
    return found


def append_line(path: Path, line: dict[str, Any], *, largest: int = LARGEST, kept: int = KEPT) -> None:
    """Add a line to the chain; see `audit.append`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = os.open(head_file(path), os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
    try:
        with locked(beside, fcntl.LOCK_EX):
            head = Head.from_bytes(os.pread(beside, 256, 0))
            _Writer(path, beside, largest, kept).add(head, line)
    finally:
        os.close(beside)


@contextmanager
def locked(descriptor: int, kind: int) -> Iterator[None]:
    """Have a file for oneself (``LOCK_EX``) or among readers (``LOCK_SH``), also against other threads.

    Raises
    ------
    OSError
        Somebody held it for seconds.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise OSError(errno.EAGAIN, "another process has it locked and does not go on") from error
            time.sleep(0.001)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@dataclass(frozen=True)
class _Writer:
    """Whoever has the lock."""

    path: Path
    beside: int
    largest: int
    kept: int

    def add(self, head: Head | None, line: dict[str, Any]) -> None:
        log = self._open()
        try:
            head, cut = _end_of(log, head)
            size = os.fstat(log).st_size
            if size and size + len(_encoded(head, line)) > self.largest and self._put_aside(head):
                os.close(log)
                log, cut = self._open(), False
                head = self._forget_oldest(log, Head(head.seq, head.hash, 0), line.get("time"))
            self._write(log, head, line, cut=cut)
        finally:
            os.close(log)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _OPEN, 0o600)

    def _write(self, log: int, head: Head, line: dict[str, Any], *, cut: bool) -> Head:
        data = _encoded(head, line)
        # what a power cut or a full disk left of a line stays, as one of its own
        whole = (b"\n" if cut else b"") + data + b"\n"
        if os.write(log, whole) != len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        new = Head(head.seq + 1, digest(data), os.fstat(log).st_size)
        os.pwrite(self.beside, new.as_bytes(), 0)
        return new

    def _put_aside(self, head: Head) -> bool:
        """Rename the file; where that is not possible it grows on, since a line that is lost is worse."""
        aside = self.path.with_name(f"{self.path.name}.{head.seq:012d}")
        if os.path.lexists(aside):
            return False
        try:
            self.path.rename(aside)
        except OSError:
            return False
        return True

    def _forget_oldest(self, log: int, head: Head, now: object) -> Head:
        """Remove the files that are too many, once the chain says so."""
        files = put_aside(self.path)
        excess = max(0, len(files) - self.kept)
        drop, keep = files[:excess], files[excess:]
        if not drop:
            return head
        first: dict[str, Any] | None = {"seq": head.seq + 1, "prev": head.hash}
        if keep:
            first = first_line(keep[0])
        if first is not None:
            through = {"through": first["seq"] - 1, "through_hash": first["prev"]}
            head = self._write(log, head, {"time": now, "event": DROPPED, **through}, cut=False)
        for file in drop:
            with suppress(OSError):
                file.unlink()
        return head


def _encoded(head: Head, line: dict[str, Any]) -> bytes:
    numbered = {"seq": 0, "prev": ""} | line | {"seq": head.seq + 1, "prev": head.hash}
    text = json.dumps(numbered, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def first_line(file: Path) -> dict[str, Any] | None:
    """Give the first line of a file that belongs to the chain."""
    with suppress(OSError), file.open("rb") as lines:
        for line in lines:
            if found := chained(line.rstrip(b"\n")):
                return found
    return None


def _end_of(log: int, head: Head | None) -> tuple[Head, bool]:
    """Give the head as the file has it, and whether its last line was cut.

    Notes
    -----
    They differ where a writer was killed between the two, or the power went. Lines that follow on the head are taken
    over. A file that has less than the head says does not make the next line begin at less: what is missing is missed.
    """
    size = os.fstat(log).st_size
    if head is not None and head.end == size:
        return head, False
    cut = size > 0 and os.pread(log, 1, size - 1) != b"\n"
    found = head or Head()
    for line in os.pread(log, _TAIL, max(0, size - _TAIL)).split(b"\n"):
        if (known := chained(line)) is None:
            continue
        if head is None or (known["seq"], known["prev"]) == (found.seq + 1, found.hash):
            found = Head(known["seq"], digest(line), size)
    return found, cut
