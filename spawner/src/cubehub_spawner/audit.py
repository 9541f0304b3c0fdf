"""One JSON line for each decision; each line holds the digest of the one before, so that none can be changed or taken out unseen."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from cubehub_spawner.entitlement import Account, Grant, Refusal


def audit_line(
    *,
    when: datetime,
    username: str,
    asked_by: str,
    server: str,
    requested: str | None,
    account: Account | None,
    decision: Grant | Refusal,
    event: str = "start",
) -> dict[str, Any]:
    """Say who asked for what and what came of it.

    Parameters
    ----------
    when : datetime
        The moment of the decision, with its zone.
    username, server : str
        Whose server, and its name.
    asked_by : str
        Who pressed the button: an administrator can start another person's server.
    requested : str or None
        The profile asked for.
    account : Account or None
        What the directory answered; None when it did not.
    decision : Grant or Refusal
        The outcome.
    event : str
        What it was about: ``start``, or for a server that runs ``resize``, ``announce`` (less is coming) or ``stop``.
    """
    memory = getattr(decision, "memory_bytes", None)
    return {
        "time": when.isoformat(timespec="milliseconds"),
        "event": event,
        "user": username,
        "asked_by": asked_by,
        "server": server,
        "requested": requested,
        "account": account.id if account else None,
        "groups": sorted(account.groups) if account else None,
        "profile": getattr(decision, "profile", None),
        "memory_bytes": memory,
        "outcome": _REFUSED.get(event, "refused") if memory is None else "granted",
        "code": getattr(decision, "code", None),
    }


_REFUSED = {"announce": "announced", "stop": "stopped"}


START = "0" * 64
"""What the first line names as the digest of the one before."""
LARGEST_BYTES = 10 * 2**20
"""A file of this size is put aside and a new one begun."""
KEPT_FILES = 10
"""So many are put aside; then the oldest goes, and a line says so."""
_TAIL_BYTES = (4096, 256 * 1024)
"""How much of the end is looked at for the last whole line; more where the first is not enough."""
_PATIENCE_S = 2.0
"""How long another writer may take. The Hub waits in the meantime."""


@dataclass(frozen=True)
class Head:
    """Where the chain ends."""

    seq: int = 0
    """Number of the last line."""
    digest: str = START
    """SHA-256 of its bytes, without the end of the line, in hexadecimal."""
    dropped: int = 0
    """Number of the last line that went with an old file."""

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


CHAIN_BEGUN = "chain_begun"
"""The event of a first line that vouches for lines without a number before it, of a version that had no chain."""


@dataclass
class Older:
    """Whole lines without a number, one after the other."""

    lines: int = 0
    digest: str = START
    """Of each line's bytes after the digest so far; `START` where there is none."""

    def add(self, text: bytes) -> None:
        """Take one line more."""
        self.lines += 1
        self.digest = digest_of(self.digest.encode("ascii") + text)

    def as_json(self) -> dict[str, Any]:
        """Write it as the first line of a chain tells it."""
        return {"older_lines": self.lines, "older_digest": self.digest}

    def is_told_by(self, text: bytes) -> bool:
        """Whether this first line of a chain vouches for exactly these lines."""
        entry = json.loads(text)
        return bool(entry.items() >= {"event": CHAIN_BEGUN, **self.as_json()}.items())


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line to the log's chain; files are made 0600, and two processes may write at once.

    Raises
    ------
    OSError
        The line is not, or not whole, in the file.

    Notes
    -----
    The end of the chain is kept beside the log (``.head``), so that a cut end is seen, and the file need not be read
    for the next line. What a crash or a full disk left half done is mended by the next append: a line that was cut
    is no part of the chain, and one that was written without its head is.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(head_file(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with locked(descriptor, fcntl.LOCK_EX, path) as head_descriptor:
        head = _mended(path, _read_head(head_descriptor))
        older = _older(path) if head.seq == 0 else Older()
        head = _rotated(path, head, head_descriptor)
        if older.lines:
            head = _write_line(path, {"event": CHAIN_BEGUN, **older.as_json()}, head, head_descriptor)
        _write_line(path, line, head, head_descriptor)


def head_file(path: Path) -> Path:
    """Tell where the end of a log's chain is kept."""
    return path.with_name(f"{path.name}.head")


def files(path: Path) -> list[Path]:
    """List the files of a log that are there, the oldest first."""
    return [file for file in reversed(_places(path)) if file.exists()]


def _places(path: Path) -> list[Path]:
    """List where files of a log may be, the newest first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT_FILES + 1))]


def digest_of(text: bytes) -> str:
    """Give the digest of a line's bytes, without the end of the line."""
    return hashlib.sha256(text).hexdigest()


def is_record(text: bytes) -> bool:
    """Whether a line is a whole JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def is_unfinished(text: bytes) -> bool:
    """Whether a text is the beginning of a line of ours, as a crash or a full disk leaves one."""
    if not b'{"'.startswith(text[:2]):
        return False
    try:
        json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return True
    return False  # whole, with or without something after it


def _older(path: Path) -> Older:
    """Count the whole lines of a log that has no chain yet."""
    found = Older()
    for file in files(path):
        with file.open("rb") as opened:
            for raw in opened:
                if is_record(text := raw.rstrip(b"\n")):
                    found.add(text)
    return found


def link_of(text: bytes) -> tuple[int, str] | None:
    """Read a line's number and the digest it names; None for a line that is cut or of no chain."""
    try:
        entry = json.loads(text)
        return int(entry["seq"]), str(entry["prev"])
    except (KeyError, OverflowError, TypeError, ValueError, RecursionError):
        return None


def _write_line(path: Path, line: dict[str, Any], head: Head, head_descriptor: int) -> Head:
    entry = {**line, "seq": head.seq + 1, "prev": head.digest}
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        data = text + b"\n"
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":  # the last one was cut; this one stays readable
            data = b"\n" + data
        if os.write(descriptor, data) != len(data):  # the disk became full in the middle of it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)
    new = Head(head.seq + 1, digest_of(text), head.dropped)
    _write_head(head_descriptor, new)
    return new


@contextmanager
def locked(descriptor: int, kind: int, path: Path) -> Iterator[int]:
    """Keep other writers out, and with ``LOCK_EX`` readers too; close the head afterwards."""
    try:
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > ends:
                    raise OSError(errno.EBUSY, "another process holds the audit log", str(path)) from error
                time.sleep(0.005)
        yield descriptor
    finally:
        os.close(descriptor)


def read_head(path: Path) -> Head | None:
    """Read the end of a log's chain as it is kept beside it; None where there is none."""
    try:
        return parse_head(head_file(path).read_bytes())
    except OSError:
        return None


def parse_head(data: bytes) -> Head | None:
    """Read the content of a head file; None where it is not one."""
    try:
        found = json.loads(data)
        return Head(int(found["seq"]), str(found["digest"]), int(found["dropped"]))
    except (KeyError, TypeError, ValueError):
        return None


def _read_head(descriptor: int) -> Head | None:
    return parse_head(os.pread(descriptor, 4096, 0))


def _write_head(descriptor: int, head: Head) -> None:
    data = json.dumps({"seq": head.seq, "digest": head.digest, "dropped": head.dropped}).encode().ljust(256)
    if os.pwrite(descriptor, data, 0) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _mended(path: Path, head: Head | None) -> Head:
    """Find the end of the chain: the head, or the log's own last line where that goes on from it or no head is left."""
    last = _last_line(path)
    if last is None:
        return head or Head()
    text, (seq, before) = last
    if head is None:
        return Head(seq, digest_of(text))
    follows = seq == head.seq + 1 and before == head.digest
    return Head(seq, digest_of(text), head.dropped) if follows else head


def _last_line(path: Path) -> tuple[bytes, tuple[int, str]] | None:
    """Find the last whole line of the chain near the end of the newest file."""
    for file in _places(path):
        try:
            opened = file.open("rb")
        except FileNotFoundError:
            continue
        with opened:
            size = opened.seek(0, os.SEEK_END)
            for much in _TAIL_BYTES:
                opened.seek(max(0, size - much))
                for text in reversed(opened.read(much).split(b"\n")):
                    if (link := link_of(text)) is not None:
                        return text, link
    return None


def _rotated(path: Path, head: Head, head_descriptor: int) -> Head:
    """Put a file that has grown too large aside, and say in the new one what went for it."""
    try:
        if path.stat(follow_symlinks=False).st_size < LARGEST_BYTES:
            return head
    except FileNotFoundError:
        return head
    places = _places(path)
    # one is free where there are not so many files yet, or a writer was killed while it put them aside
    free = next((number for number, place in enumerate(places) if not place.exists()), None)
    if free is None:
        free = KEPT_FILES
        if (dropped := _newest_in(places[free])) is not None:
            # said before it is done: whoever is killed in between leaves a file too many, not one too few
            note = {"event": "log_rotated", "dropped_through": dropped}
            head = _write_line(path, note, Head(head.seq, head.digest, dropped), head_descriptor)
    for number in range(free, 0, -1):
        places[number - 1].replace(places[number])
    return head


def _newest_in(file: Path) -> int | None:
    links = [link for text in file.read_bytes().split(b"\n") if (link := link_of(text)) is not None]
    return links[-1][0] if links else None
