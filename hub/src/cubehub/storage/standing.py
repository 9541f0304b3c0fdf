"""Homes that stood still since they were last walked through: on btrfs a subvolume tells it, and nothing in it needs to be looked at."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cubehub.storage import beneath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cubehub.storage.tally import HomeTally

_SYNC, _FS_INFO, _SUBVOL_INFO = 0x9408, 0x8400941F, 0x81F8943C
_FS_ID = slice(16, 32)
_INFO_BYTES = 504
_INFO = struct.Struct("=Q256xQQQQ16s16x16xQQQQQI")
"""Of ``struct btrfs_ioctl_get_subvol_info_args``: number, …, generation, …, UUID, last change's transaction, …, its time."""
_FIRST_INODE = 256
"""Of every subvolume; nothing else has it on btrfs."""
_JUDGES = ("beneath", "inodes", "kinds", "names", "results", "tally", "walking")
"""What decides on the rows of a home, beside what is in it."""


class Stand(NamedTuple):
    """How a home stands: its device, and a mark that is another one after anything in it was changed."""

    device: int
    mark: str


@dataclass(frozen=True)
class Row:
    """What an earlier scan found of a home that stood still during it."""

    mark: str
    bytes: int
    files: int


@dataclass(frozen=True)
class Before:
    """An earlier scan of the same folder: its number, and by name the homes that stood still."""

    scan: int
    homes: dict[bytes, Row]


def rules(scratch: Collection[bytes]) -> str:
    """What the rows of a home depend on beside the home: who walks, the folders for scratch, and this very code.

    Returns
    -------
    str
        Short; empty if the code cannot be read, and nothing is taken over then.
    """
    made = hashlib.sha256(repr((os.geteuid(), sorted(scratch))).encode())
    for module in _JUDGES:
        try:
            made.update(Path(__file__).with_name(f"{module}.py").read_bytes())
        except OSError:
            return ""
    return made.hexdigest()[:32]


def stands(root: Path, homes: Iterable[bytes], judged_by: str) -> dict[bytes, Stand]:
    """How those homes stand that can tell it; the others are to be walked through.

    Parameters
    ----------
    judged_by : str
        What `rules` gave.

    Notes
    -----
    Only a home that is a subvolume of btrfs tells it, with no other mount in it. With ``lazytime`` the kernel may
    keep the time of a use to itself for a day, so there nothing is taken over.

    A subvolume's generation is the transaction of its last change, but only once that was committed. So what was
    changed until now is committed first; what is changed from now on belongs to a later transaction. The time of
    the last change tells a file system that was set back to an earlier image and came to the same number again.
    """
    if not judged_by:
        return {}
    try:
        mounts = _Mounts()
        if not mounts.may_tell(root):
            return {}  # on a network file system, each home would be a question to its server
    except OSError:
        return {}
    inside = mounts.inside(root)
    committed: dict[bytes, bool] = {}
    found = {}
    for name in homes:
        if name in inside:
            continue
        with suppress(OSError):
            home = os.open(os.path.join(os.fsencode(root), name), beneath.FOLDER)  # noqa: PTH118 - bytes
            try:
                if (stand := _stand(home, mounts, committed, judged_by)) is not None:
                    found[name] = stand
            finally:
                os.close(home)
    return found


def settled(before: Stand | None, after: Stand | None, found: HomeTally) -> str:
    """The mark to remember of a home that was walked through; empty if its rows may not be taken over.

    Notes
    -----
    It must stand as it did before the walk, with all that was walked through on the disk: what was changed
    meanwhile may be found half, and after a power cut not be there. A subvolume in it has a generation of its
    own, and what could not be looked into may be open by now.
    """
    still = before is not None and before == after and found.device == before.device
    return before.mark if before and still and not found.mixed and not found.unread_count else ""


def _stand(home: int, mounts: _Mounts, committed: dict[bytes, bool], judged_by: str) -> Stand | None:
    facts = os.fstat(home)
    if facts.st_ino != _FIRST_INODE or not mounts.tells(beneath.mount_of(home)[-1]):
        return None
    buffer = bytearray(1024)
    fcntl.ioctl(home, _FS_INFO, buffer)
    system = bytes(buffer[_FS_ID])
    if system not in committed:
        committed[system] = False
        fcntl.ioctl(home, _SYNC)
        committed[system] = True
    if not committed[system]:
        return None
    buffer = bytearray(_INFO_BYTES)
    fcntl.ioctl(home, _SUBVOL_INFO, buffer)
    number, _, _, generation, _, uuid, changed, _, _, _, seconds, fraction = _INFO.unpack_from(buffer)
    mark = f"{judged_by} {system.hex()} {uuid.hex()} {number} {generation} {changed} {seconds}.{fraction:09}"
    return Stand(facts.st_dev, mark)


class _Mounts:
    """What is mounted where, for this process."""

    def __init__(self) -> None:
        self._told: dict[int, bytes] = {}
        self._points: list[bytes] = []
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            before, _, after = line.partition(b" - ")
            fields, (kind, _, options) = before.split(b" "), after.split(b" ")[:3]
            self._points.append(point := _plain(fields[4]))
            if kind == b"btrfs" and b"lazytime" not in options.split(b","):
                self._told[int(fields[0])] = point

    def tells(self, mount: int) -> bool:
        """Whether a subvolume on this mount tells of every change."""
        return mount in self._told

    def may_tell(self, root: Path) -> bool:
        """Whether homes in a folder may be subvolumes that do: it is on such a mount, or one is in it."""
        if not self._told:
            return False
        folder = os.open(root, beneath.FOLDER & ~os.O_NOFOLLOW)
        try:
            on = beneath.mount_of(folder)[-1]
        finally:
            os.close(folder)
        return on in self._told or any(point.startswith(_top(root)) for point in self._told.values())

    def inside(self, root: Path) -> set[bytes]:
        """The homes that something is mounted in."""
        top = _top(root)
        below = (point.removeprefix(top).partition(b"/") for point in self._points if point.startswith(top))
        return {name for name, _, rest in below if rest}


def _top(root: Path) -> bytes:
    return os.path.realpath(os.fsencode(root)).rstrip(b"/") + b"/"


def _plain(text: bytes) -> bytes:
    """A path of ``mountinfo``, in which blanks and the like stand as octal numbers."""
    first, *rest = text.split(b"\\")
    return first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest)
