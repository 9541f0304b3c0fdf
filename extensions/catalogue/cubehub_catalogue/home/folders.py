"""Folders and files below the home, each step taken from the one before it: no link leads anywhere else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.errors import InputError
from cubehub_catalogue.home.names import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LARGEST_NOTE = 64 * 1024
_MOST_NUMBERS = 1000
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})


def not_a_folder(where: str) -> InputError:
    """Make the error for a folder that can't be written to."""
    return InputError(
        "bad_folder",
        f"{where or 'The home'} is not a folder that can be written to.",
        "Choose another folder.",
    )


def open_folder(home: Path, parts: tuple[str, ...], *, make: bool) -> int:
    """Open a folder below the home.

    Parameters
    ----------
    home
        Where it starts; itself may be reached by a link.
    parts
        As `folder_parts` gives them.
    make
        Whether folders that are missing are made.

    Returns
    -------
    int
        Its descriptor, which the caller closes.

    Raises
    ------
    InputError
        There is none, or a link or something else stands in its place.
    """
    try:
        current = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise not_a_folder("") from error
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
            following = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = following
    except OSError as error:
        os.close(current)
        if error.errno in NO_SPACE:
            raise
        raise not_a_folder("/".join(parts)) from error
    return current


@contextlib.contextmanager
def opened_folder(home: Path, parts: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """Open a folder as `open_folder` does, and close it."""
    opened = open_folder(home, parts, make=make)
    try:
        yield opened
    finally:
        os.close(opened)


def open_part(folder: int, name: str, *, new: bool) -> int:
    """Open a file that is being written, or make it.

    Raises
    ------
    InputError
        Something else has its name: a link, a folder, a file that another name leads to as well.
    """
    flags = os.O_RDWR | _FILE | (os.O_CREAT | os.O_EXCL if new else 0)
    try:
        found = os.open(name, flags, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
        raise not_a_folder(name) from error
    facts = os.fstat(found)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_uid != os.geteuid():
        os.close(found)
        raise not_a_folder(name)
    return found


def free_part_name(folder: int, name: str) -> str:
    """Give a name of which neither the file nor its part is there.

    Raises
    ------
    InputError
        All thousand are there.
    """
    for number in range(_MOST_NUMBERS):
        made = numbered(name, number)
        if not any(exists(folder, one) for one in (made, part_of(made), note_of(made))):
            return made
    raise InputError("too_many", f"{name} is there a thousand times.", "Choose another folder.")


def part_of(name: str) -> str:
    """Name of the file while it is written."""
    return f"{name}.part"


def note_of(name: str) -> str:
    """Name of what is noted about it meanwhile."""
    return f"{name}.part.json"


def finish(folder: int, name: str) -> str:
    """Give a part its name; where that is taken meanwhile, a number is added.

    Returns
    -------
    str
        The name it got.
    """
    for number in range(_MOST_NUMBERS):
        made = numbered(name, number)
        try:
            _rename_over_nothing(folder, part_of(name), made)
        except FileExistsError:
            continue
        return made
    raise InputError("too_many", f"{name} is there a thousand times.", "Choose another folder.")


def _rename_over_nothing(folder: int, old: str, new: str) -> None:
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # a file system without hard links: the name is taken first, by an empty file of our own
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600, dir_fd=folder))
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
        return
    os.unlink(old, dir_fd=folder)


def write_note(folder: int, name: str, content: dict[str, Any]) -> None:
    """Write what has to be known to go on, whole or not at all."""
    temporary = f".{name[:100]}.{secrets.token_hex(6)}"
    opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        remove(folder, temporary)
        raise


def read_note(folder: int, name: str, most: int = _LARGEST_NOTE) -> dict[str, Any]:
    """Read a note; {} where there is none that can be read."""
    try:
        opened = os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
    except OSError:
        return {}
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return {}
        data = file.read(most)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(folder: int, name: str) -> None:
    """Remove a file of ours, if it is there."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def exists(folder: int, name: str) -> bool:
    """Whether something has a name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def free_bytes(folder: int) -> int:
    """How much more may be written there: what the file system, and a quota that it knows, leave."""
    facts = os.fstatvfs(folder)
    return facts.f_bavail * facts.f_frsize
