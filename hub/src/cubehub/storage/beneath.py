"""Looking into folders that hostile people write to: by descriptors, through no link and into no other mount."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_OPENAT2 = 437
"""Number of the system call, the same on all architectures (Linux 5.6)."""
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
_HOW = struct.Struct("=QQQ")
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT, _AT_STATX_DONT_SYNC = 0x100, 0x800, 0x4000
_STATX_BASIC, _STATX_MNT_ID = 0x7FF, 0x1000
STATX_BYTES = 256
STATX_FIELDS = struct.Struct("=16xI4x4xHxxQQQ8xq40xq")
"""Of ``struct statx``: links, mode, inode, size, blocks of 512 bytes, last read and last written in whole seconds."""
_OWNER, _OWNER_AT = struct.Struct("=I"), 20
_DEVICE, _MOUNT = struct.Struct("=II"), struct.Struct("=Q")
_DEVICE_AT, _MOUNT_AT = 136, 144

# Not releasing the interpreter's lock: these calls are short, and several processes share the work
_libc = ctypes.PyDLL(None, use_errno=True)
statx = _libc.statx
"""``statx(2)`` as it is in the C library; `Place.look` gives its answer by name."""
STATX_FLAGS = ctypes.c_int(_AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT | _AT_STATX_DONT_SYNC)
"""For scans: of a network file system what is known already will do."""
_STATX_FLAGS_NOW = ctypes.c_int(_AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT)
STATX_MASK = ctypes.c_uint(_STATX_BASIC | _STATX_MNT_ID)


class Facts(NamedTuple):
    """What is known of a name without opening it: times in seconds since 1970."""

    links: int
    mode: int
    inode: int
    size: int
    blocks: int
    read: int
    written: int
    owner: int
    device: int


def look(folder: int, name: bytes) -> Facts:
    """The facts of a name in a folder; of a link its own.

    Raises
    ------
    OSError
        There is no such name, or it cannot be looked at.
    """
    answer = ctypes.create_string_buffer(STATX_BYTES)
    if statx(ctypes.c_int(folder), name, _STATX_FLAGS_NOW, STATX_MASK, answer):
        raise _failure(name)
    device = os.makedev(*_DEVICE.unpack_from(answer, _DEVICE_AT))
    return Facts._make((*STATX_FIELDS.unpack_from(answer), *_OWNER.unpack_from(answer, _OWNER_AT), device))


def apart(root: Path, names: Iterable[bytes]) -> set[bytes]:
    """Which folders lie on another device than the one that they are in: another mount, or a subvolume of btrfs.

    Nothing can be renamed out of them.
    """
    found = set()
    with suppress(OSError):
        folder = os.open(root, FOLDER & ~os.O_NOFOLLOW)
        try:
            device = os.fstat(folder).st_dev
            for name in names:
                with suppress(OSError):
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_dev != device:
                        found.add(name)
        finally:
            os.close(folder)
    return found


def open_folder(at: int, path: bytes) -> int:
    """Open a folder below another one: through no link, into no other mount, and not above it.

    Parameters
    ----------
    at : int
        Descriptor of the folder in which the path begins.
    path : bytes
        Relative, of one part or several.

    Returns
    -------
    int
        Its descriptor, to be closed by the caller. Reading it does not count as use where the owner's rights allow so.

    Raises
    ------
    OSError
        ENOENT: it is gone. ELOOP, ENOTDIR: it is a link or no folder. EXDEV: another mount, or it leads above.
    """
    try:
        return _open_folder(at, path, FOLDER | os.O_NOATIME)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return _open_folder(at, path, FOLDER)


def open_file(at: int, path: bytes) -> int:
    """Open a file below an open folder for reading; the way there, limits and errors are those of `open_folder`.

    A pipe does not wait for its other end. A caller looks whether it is a file, before and after.
    """
    try:
        return _open_folder(at, path, _FILE | os.O_NOATIME)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return _open_folder(at, path, _FILE)


def _open_folder(at: int, path: bytes, flags: int) -> int:
    if _has_openat2:
        how = _HOW.pack(flags, 0, _RESOLVE)
        opened = int(_libc.syscall(_OPENAT2, ctypes.c_int(at), path, how, ctypes.c_size_t(_HOW.size)))
        if opened < 0:
            raise _failure(path)
        return opened
    return _step_by_step(at, path, flags)


def _step_by_step(at: int, path: bytes, flags: int) -> int:
    """The same on kernels without ``openat2``: one part after the other, each seen to be on the mount of the first."""
    mount, current = mount_of(at), os.dup(at)
    try:
        for part in path.split(b"/"):
            if part in {b"", b".."}:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)  # noqa: TRY301 - as the kernel says it
            below = os.open(part, flags, dir_fd=current)
            os.close(current)
            current = below
            if mount_of(current) != mount:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)  # noqa: TRY301 - as above
    except BaseException:
        os.close(current)
        raise
    return current


def mount_of(folder: int) -> tuple[int, ...]:
    """Device and number of the mount of an open folder; kernels before 5.8 do not tell the mount, and give 0."""
    answer = ctypes.create_string_buffer(STATX_BYTES)
    flags = ctypes.c_int(0x1000 | _AT_NO_AUTOMOUNT)  # AT_EMPTY_PATH
    if statx(ctypes.c_int(folder), b"", flags, STATX_MASK, answer):
        raise _failure(b"")
    return (*_DEVICE.unpack_from(answer, _DEVICE_AT), *_MOUNT.unpack_from(answer, _MOUNT_AT))


def _failure(name: bytes) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)


def _probe() -> bool:
    """Whether the kernel, or what guards it, knows ``openat2``."""
    at = os.open("/", FOLDER)
    try:
        opened = int(
            _libc.syscall(_OPENAT2, ctypes.c_int(at), b".", _HOW.pack(FOLDER, 0, _BENEATH), ctypes.c_size_t(_HOW.size))
        )  # fmt: skip
    finally:
        os.close(at)
    if opened >= 0:
        os.close(opened)
    return opened >= 0


_has_openat2 = _probe()
