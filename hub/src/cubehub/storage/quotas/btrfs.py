"""Simple quotas of btrfs (Linux 6.7): each home is a subvolume, in a group of its own that has the limit.

By ioctls of our own: ``btrfs`` of Debian 12 and Ubuntu 24.04 can't yet switch simple quotas on, and what it prints
changes; the kernel's structures don't, and its figures stand in ``/sys``.

Not by full quotas ("qgroup"): there anybody may make a subvolume inside of their home that no limit counts. With
simple ones it comes into the home's group by itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import uuid
from contextlib import suppress
from pathlib import Path

from cubehub.storage.quotas.base import QuotaBackend, QuotaError, Support, Usage, not_root
from cubehub.storage.quotas.mounts import mount_of, opened

_SUBVOL_CREATE, _INO_LOOKUP, _FS_INFO = 0x5000940E, 0xD0009412, 0x8400941F
_QUOTA_CTL, _QGROUP_ASSIGN, _QGROUP_CREATE, _QGROUP_LIMIT = 0xC0109428, 0x40189429, 0x4010942A, 0x8030942B
_NAME = struct.Struct("=q4088s")
_LOOKUP = struct.Struct("=QQ4080s")
_FS_ID = slice(16, 32)
_LIMIT = struct.Struct("=6Q")
_BY_USE = 1
_ENABLE_SIMPLE = 4
_NONE = 2**64 - 1
_FIRST_INODE = 256
"""Of every subvolume; nothing else has it on btrfs."""
_LEVEL = 1 << 48
"""Groups of level 1, which hold those that the kernel makes for each subvolume."""


class BtrfsQuota(QuotaBackend):
    """Simple quotas of btrfs."""

    name = "btrfs"
    caution = (
        "There each home is a subvolume, out of which nothing can be moved: an idle home can be moved away as a whole, "
        "but caches, scratch and large files stay in homes."
    )

    def __init__(self, sys: Path = Path("/sys/fs/btrfs")) -> None:
        self._sys = sys

    def probe(self, root: Path) -> Support:
        """Look whether simple quotas are on."""
        if (refused := not_root()) is not None:
            return refused
        try:
            with opened(root) as descriptor:
                mount = mount_of(descriptor)
                if mount.kind != "btrfs":
                    return Support(works=False, reason=f"the homes lie on {mount.kind} ({mount.at})")
                mode = self._mode(descriptor)
        except (QuotaError, OSError) as error:
            return Support(works=False, reason=str(error))
        if mode == "squota":
            return Support(works=True)
        if mode == "qgroup":
            return Support(
                works=False,
                reason=f"{mount.at} has full quotas, past which a subvolume inside of a home leads",
                remedy=f"`btrfs quota disable {mount.at}`, then `cubehub storage quotas --switch-on`.",
            )
        return Support(
            works=False,
            reason=f"quotas are not switched on for {mount.at}",
            remedy=f"`cubehub storage quotas --switch-on` (Linux 6.7 or newer; older kernels can't mount it then). {self.caution}",
        )

    def switch_on(self, root: Path) -> None:
        """Switch simple quotas on for the file system of the homes. What lies there already is not counted.

        Raises
        ------
        QuotaError
            The homes lie elsewhere, the kernel can't, or full quotas are on.
        """
        hint = "They need Linux 6.7 or newer, and full quotas to be off (`btrfs quota disable`)."
        with opened(root) as descriptor:
            mount = mount_of(descriptor)
            if mount.kind != "btrfs":
                where = f"the homes lie on {mount.kind} ({mount.at})"
                raise QuotaError(
                    f"Simple quotas are of btrfs, and {where}.", "Put the homes on btrfs for them."
                )
            try:
                fcntl.ioctl(descriptor, _QUOTA_CTL, bytearray(struct.pack("=QQ", _ENABLE_SIMPLE, 0)))
                mode = self._mode(descriptor)
            except OSError as error:
                raise QuotaError(f"Simple quotas can't be switched on: {error.strerror}.", hint) from error
        if mode != "squota":  # the kernel says nothing where other quotas are on
            raise QuotaError("Simple quotas can't be switched on: there are full ones.", hint)

    def make(self, home: Path) -> None:
        """Make a new home as a subvolume; only those can be limited."""
        if os.path.lexists(home):
            return
        with opened(home.parent) as parent:
            try:
                fcntl.ioctl(parent, _SUBVOL_CREATE, bytearray(_NAME.pack(0, os.fsencode(home.name))))
                with opened(home) as made:
                    os.fchmod(made, 0o700)
            except OSError as error:
                raise QuotaError(f"{home} can't be made as a subvolume: {error.strerror}.") from error

    def limit(self, home: Path, limit_bytes: int) -> None:
        """Put the home's subvolume into a group and limit that."""
        if limit_bytes < 1:
            raise QuotaError(f"{limit_bytes} bytes are no limit for a home.")
        with opened(home) as descriptor, opened(home.parent) as above:
            try:
                number = self._subvolume(descriptor, home)
                # by the folder above: changes asked for in a home that is full are refused as its own writes are
                self._make_group(above, number)
                _set_limit(above, number, limit_bytes)
            except OSError as error:
                raise QuotaError(f"The limit of {home.name} can't be set: {error.strerror}.") from error

    def usage(self, home: Path) -> Usage:
        """Read what ``/sys`` says of the home's group."""
        with opened(home) as descriptor:
            try:
                group = self._groups(descriptor) / f"1_{self._subvolume(descriptor, home)}"
                used = int((group / "referenced").read_text(encoding="ascii"))
                limited = int((group / "limit_flags").read_text(encoding="ascii")) & _BY_USE
                limit = int((group / "max_referenced").read_text(encoding="ascii"))
            except FileNotFoundError as error:
                raise QuotaError(f"{home.name} never had a limit.") from error
            except (OSError, ValueError) as error:
                raise QuotaError(f"The use of {home.name} can't be read: {error}.") from error
        return Usage(used, limit if limited else None)

    def remove(self, home: Path) -> None:
        """Take the limit off the home's group. That of a home that is gone went with its subvolume."""
        if not os.path.lexists(home):
            self._remove_orphans(home.parent)
            return
        with opened(home) as descriptor, opened(home.parent) as above:
            try:
                number = self._subvolume(descriptor, home)
                if (self._groups(descriptor) / f"1_{number}").exists():
                    _set_limit(above, number, _NONE)
            except OSError as error:
                raise QuotaError(
                    f"The limit of {home.name} can't be taken away: {error.strerror}."
                ) from error

    def _remove_orphans(self, homes: Path) -> None:
        """Remove groups of this module whose subvolumes are gone: nothing is in them any more."""
        with opened(homes) as descriptor:
            try:
                groups = self._groups(descriptor)
                for group in groups.iterdir():
                    level, _, number = group.name.partition("_")
                    if level == "1" and number.isdecimal() and not (groups / f"0_{number}").exists():
                        used = (group / "referenced").read_text(encoding="ascii").strip()
                        if used == "0":
                            fcntl.ioctl(
                                descriptor, _QGROUP_CREATE, struct.pack("=QQ", 0, _LEVEL | int(number))
                            )
            except OSError as error:
                if error.errno not in {errno.EBUSY, errno.ENOENT}:
                    raise QuotaError(
                        f"Groups of homes that are gone can't be removed: {error.strerror}."
                    ) from error

    def _mode(self, descriptor: int) -> str:
        """``squota``, ``qgroup``, or empty where quotas are off."""
        try:
            return (self._groups(descriptor) / "mode").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            # before Linux 6.7 the folder has no such file
            return "qgroup" if self._groups(descriptor).is_dir() else ""

    def _groups(self, descriptor: int) -> Path:
        buffer = bytearray(1024)
        fcntl.ioctl(descriptor, _FS_INFO, buffer)
        return self._sys / str(uuid.UUID(bytes=bytes(buffer[_FS_ID]))) / "qgroups"

    @staticmethod
    def _subvolume(descriptor: int, home: Path) -> int:
        """Number of the subvolume that a home is.

        Raises
        ------
        QuotaError
            It is a folder in one.
        """
        if os.fstat(descriptor).st_ino != _FIRST_INODE:
            raise QuotaError(
                f"{home.name} is a folder, and btrfs limits subvolumes only.",
                "Homes that are made from now on are subvolumes; docs/how-to/admin.md tells how to make one of this.",
            )
        buffer = bytearray(_LOOKUP.pack(0, _FIRST_INODE, b""))
        fcntl.ioctl(descriptor, _INO_LOOKUP, buffer)
        return int(_LOOKUP.unpack(buffer)[0])

    @staticmethod
    def _make_group(descriptor: int, number: int) -> None:
        with suppress(FileExistsError):
            fcntl.ioctl(descriptor, _QGROUP_CREATE, struct.pack("=QQ", 1, _LEVEL | number))
        with suppress(FileExistsError):
            fcntl.ioctl(descriptor, _QGROUP_ASSIGN, struct.pack("=QQQ", 1, number, _LEVEL | number))


def _set_limit(descriptor: int, number: int, limit_bytes: int) -> None:
    content = _LIMIT.pack(_LEVEL | number, _BY_USE, limit_bytes, 0, 0, 0)
    fcntl.ioctl(descriptor, _QGROUP_LIMIT, content)
