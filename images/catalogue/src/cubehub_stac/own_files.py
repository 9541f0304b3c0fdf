"""The files of what people register.

They lie in FOLDER/COLLECTION/ITEM.json, both names being digests: what people call their items never is a path. Each is
written whole before it takes its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

Stamp = tuple[int, int, int]
UNFINISHED = ".new-"
"""Begins the name of a file that is being written."""


def file_of(folder: Path, collection: str, item_id: str) -> Path:
    """Where an item is kept."""
    return folder / _digest(collection) / f"{_digest(item_id)}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def put(target: Path, content: bytes) -> None:
    """Write a file whole, in place of the one that is there."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    settle(target.parent)


def remove(folder: Path, collection: str, item_id: str) -> None:
    """Keep a record no longer."""
    target = file_of(folder, collection, item_id)
    target.unlink(missing_ok=True)
    if target.parent.is_dir():
        settle(target.parent)


def settle(folder: Path) -> None:
    """Have a folder's names outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamps(folder: Path) -> dict[Path, Stamp]:
    """Give what tells whether a file is as it was, for all that is kept."""
    found = {}
    for path in folder.glob("*/*.json"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found
