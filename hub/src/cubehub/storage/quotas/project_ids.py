"""Which project id is whose: noted beside each home, the same for good."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub.storage.quotas.base import QuotaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST, LAST = 700_000, 1_699_999
"""Above what people choose by hand in ``/etc/projid``; far below 2**32 - 1, which means none."""
_TABLES = (Path("/etc/projid"), Path("/etc/projects"))


def note_of(home: Path) -> Path:
    """Where a home's id is noted. It is named so that it goes along when a home is moved aside (``.NAME.…``)."""
    return home.with_name(f".{home.name}.project")


def read_id(home: Path) -> int | None:
    """Give the id that was noted for a home; None where none was.

    Raises
    ------
    QuotaError
        There is a note that can't be read: a second id would leave what the first counts without a limit.
    """
    note = _read(home)
    return note["project"] if note else None


def is_complete(home: Path) -> bool:
    """Whether all that was in the home when it got its id was given it too."""
    note = _read(home)
    return bool(note and note.get("complete"))


def note_complete(home: Path) -> None:
    """Note that it was.

    Raises
    ------
    QuotaError
        It can't be noted.
    """
    note = _read(home)
    if note and not note.get("complete"):
        try:
            _write(note_of(home), {**note, "complete": True})
        except OSError as error:
            raise QuotaError(f"{note_of(home)} can't be written: {error.strerror}.") from error


def _read(home: Path) -> dict[str, Any] | None:
    file = note_of(home)
    try:
        found = json.loads(file.read_text(encoding="ascii"))
        project = found["project"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QuotaError(
            f"{file} can't be read: {error!r}.",
            "It notes the home's project id. Put it back from a backup, or remove it: the home keeps the id that its files have.",
        ) from error
    if not isinstance(project, int) or isinstance(project, bool) or not 0 < project < 2**32 - 1:
        raise QuotaError(f"{file} notes {project!r}, which is no project id.", "Remove it.")
    return dict(found)


def id_of(
    home: Path, current: int, is_used: Callable[[int], bool], first: int = FIRST, last: int = LAST
) -> int:
    """Give a home's project id; a home without one gets one that nobody has.

    Parameters
    ----------
    home : Path
        The folder; its note is written beside it.
    current : int
        The id that the folder has now, 0 for none.
    is_used : callable
        Whether the file system counts anything for an id, or has a limit for it.
    first, last : int
        The range from which ids are given.

    Notes
    -----
    The note may be lost while the files keep the id: an id of our range that the home has, and no other home's note, stays.
    Free is what no note says, no table of the system's, and what nothing on the file system has: another folder of
    homes there, or an administrator, may give ids too.

    Raises
    ------
    QuotaError
        A note can't be read or written, or all ids are given away.
    """
    try:
        with _lock(home.parent):
            known = read_id(home)
            if known is not None:
                return known
            taken = _noted(home.parent) | _of_system()
            if not (first <= current <= last and current not in taken):
                free = (one for one in range(first, last + 1) if one not in taken and not is_used(one))
                found = next(free, None)
                if found is None:
                    raise QuotaError("All project ids are given away.")
                current = found
            _write(note_of(home), {"project": current})
            return current
    except OSError as error:
        raise QuotaError(
            f"The project id of {home.name} can't be noted in {home.parent}: {error.strerror or error}.",
            "Make room on the disk, or see why that folder can't be written to.",
        ) from error


def forget(home: Path) -> None:
    """Forget the id of a home that is gone; another may get it."""
    note_of(home).unlink(missing_ok=True)


def _noted(homes: Path) -> set[int]:
    found = set()
    for note in homes.glob(".*.project"):
        home = note.with_name(note.name.removeprefix(".").removesuffix(".project"))
        one = read_id(home)
        if one is not None:
            found.add(one)
    return found


def _of_system(tables: tuple[Path, ...] = _TABLES) -> set[int]:
    """Ids in ``name:id`` and ``id:folder`` lines of the system's tables."""
    found = set()
    for table in tables:
        try:
            lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            found |= {int(part) for part in line.partition("#")[0].split(":") if part.strip().isdecimal()}
    return found


@contextmanager
def _lock(homes: Path) -> Iterator[None]:
    descriptor = os.open(
        homes / ".projects.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, note: dict[str, Any]) -> None:
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        json.dump(note, opened)
        opened.flush()
        os.fsync(descriptor)  # an id that is forgotten would be given again
    new.replace(file)
