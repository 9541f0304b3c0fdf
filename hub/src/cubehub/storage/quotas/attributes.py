"""The project id of files: read, and set for all that is in a home."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from dataclasses import dataclass

from cubehub.storage import beneath

_GET, _SET = 0x801C581F, 0x401C5820
"""``FS_IOC_FSGETXATTR`` and ``FS_IOC_FSSETXATTR`` of ``linux/fs.h``; other numbers on MIPS, PowerPC and SPARC only."""
_ATTRIBUTES = struct.Struct("=5I8s")
"""``struct fsxattr``: flags, extent size, extents, project id, extent size of copies, and padding."""
INHERIT = 0x200
"""What is made in a folder with this flag gets the folder's project id."""
_DEEPEST = 400
"""Folders in one another, each of which is held open; what lies deeper is no one's work."""


@dataclass(frozen=True)
class Project:
    """What a file says of itself."""

    id: int
    inherits: bool


def project_of(descriptor: int) -> Project:
    """Read a file's or folder's project id.

    Raises
    ------
    OSError
        The file system has none.
    """
    flags, _, _, project, _, _ = _read(descriptor)
    return Project(project, bool(flags & INHERIT))


def set_project(descriptor: int, project: int, *, inherits: bool) -> None:
    """Give a file or folder a project id; nothing is written where it has that already.

    Raises
    ------
    OSError
        The file system has none, or it can't be changed.
    """
    flags, extent, extents, before, copies, padding = _read(descriptor)
    wanted = flags | INHERIT if inherits else flags
    if (before, flags) != (project, wanted):
        fcntl.ioctl(descriptor, _SET, _ATTRIBUTES.pack(wanted, extent, extents, project, copies, padding))


def _read(descriptor: int) -> tuple[int, int, int, int, int, bytes]:
    buffer = bytearray(_ATTRIBUTES.size)
    fcntl.ioctl(descriptor, _GET, buffer)
    found: tuple[int, int, int, int, int, bytes] = _ATTRIBUTES.unpack(buffer)
    return found


def set_all(home: int, project: int) -> int:
    """Give all that is in a home a project id, the home first; tell how many could not be given it.

    Parameters
    ----------
    home : int
        Descriptor of the home.

    Notes
    -----
    Its owner may write meanwhile. A folder is given the id before it is looked into, so whatever is made in it after
    that has the id by itself, and the kernel lets nothing with another id be moved into it (``EXDEV``).

    Left as they are: links, pipes and the like, which have no id of their own that could be set and take no room;
    other file systems; and files of another owner, which may have a name elsewhere.
    """
    owner = os.fstat(home).st_uid
    set_project(home, project, inherits=True)
    left = 0
    frames = [(top := os.dup(home), _names(top))]
    try:
        while frames:
            folder, names = frames[-1]
            if not names:
                os.close(frames.pop()[0])
                continue
            name, is_folder = names.pop()
            try:
                below = _set_one(folder, name, project, owner, is_folder=is_folder)
            except FileNotFoundError:
                continue
            except OSError:
                left += 1
                continue
            if below is None:
                continue
            if len(frames) >= _DEEPEST:
                os.close(below)
                left += 1
                continue
            frames.append((below, _names(below)))
    finally:
        for folder, _ in frames:
            os.close(folder)
    return left


def suit(to: int, at: int, name: bytes) -> None:
    """Give what is to be moved into a folder the project id that the folder asks for; nothing where it asks for none.

    Parameters
    ----------
    to : int
        Descriptor of the folder that it is going to be in.
    at : int
        Descriptor of the folder in which it is now, to which nobody else writes.
    """
    try:
        wanted = project_of(to)
    except OSError:
        return  # the file system has none
    if not wanted.inherits:
        return
    facts = os.stat(name, dir_fd=at, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):
        item = beneath.open_folder(at, name)
    elif stat.S_ISREG(facts.st_mode):
        item = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    else:
        return
    try:
        if project_of(item).id == wanted.id:
            return
        if stat.S_ISDIR(facts.st_mode):
            set_all(item, wanted.id)
        else:
            set_project(item, wanted.id, inherits=False)
    finally:
        os.close(item)


def _names(folder: int) -> list[tuple[bytes, bool]]:
    """What is in a folder, and whether it is a folder."""
    with os.scandir(b"/proc/self/fd/%d" % folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]


def _set_one(folder: int, name: bytes, project: int, owner: int, *, is_folder: bool) -> int | None:
    """Give one thing in a folder the id; the descriptor of what is a folder itself is given back open."""
    one = beneath.open_folder(folder, name) if is_folder else _open_file(folder, name)
    if one is None:
        return None
    try:
        if os.fstat(one).st_uid == owner:
            set_project(one, project, inherits=is_folder)
    except BaseException:
        os.close(one)
        raise
    if is_folder:
        return one
    os.close(one)
    return None


def _open_file(folder: int, name: bytes) -> int | None:
    """Open a file; None for what is none. Opened only once it is known as one: opening a device may do something."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return None
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(found)
