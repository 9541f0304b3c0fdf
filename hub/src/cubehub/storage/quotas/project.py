"""Project quotas of ext4 and XFS: each home has a project id, and the file system a limit for each id.

By system calls of our own: the three calls are the same for both file systems, take a descriptor (so no device needs
to be found, and no path is followed), and tell by number what went wrong. ``setquota`` and ``xfs_quota`` would be two
more packages, read their options and projects from files in ``/etc`` that an administrator edits too, and be parsed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Protocol

from cubehub.storage.quotas import attributes, project_ids
from cubehub.storage.quotas.base import QuotaBackend, QuotaError, Support, Usage, not_root
from cubehub.storage.quotas.mounts import kernel_has, mount_of, opened

if TYPE_CHECKING:
    from pathlib import Path

_QUOTACTL_FD = 443
"""Number of the system call, the same on all architectures (Linux 5.14)."""
_PROJECTS, _NO_KIND = 2, 200
_GETINFO, _GETQUOTA, _SETQUOTA = 0x800005, 0x800007, 0x800008
_GETSTATE = (ord("X") << 8) + 8
_DQBLK = struct.Struct("=8QI4x")
"""``struct if_dqblk``: limit and softer limit in KiB, bytes, three times the same for inodes, grace, and what is valid."""
_BYTE_LIMITS = 1
_STATE = struct.Struct("=bBH")
"""Begin of ``struct fs_quota_statv``: version, padding, flags."""
_STATE_BYTES = 256
_COUNTED, _ENFORCED = 1 << 4, 1 << 5
_KIB = 1024


class Call(Protocol):
    """``quotactl_fd(2)`` for projects."""

    def __call__(
        self, descriptor: int, command: int, number: int, buffer: ctypes.Array[ctypes.c_char]
    ) -> None:
        """Ask the kernel; what it answers is in the buffer.

        Raises
        ------
        OSError
            It refuses.
        """


_libc = ctypes.CDLL(None, use_errno=True)


def quotactl(
    descriptor: int, command: int, number: int, buffer: ctypes.Array[ctypes.c_char], kind: int = _PROJECTS
) -> None:
    """Call the kernel; see `Call`."""
    failed = _libc.syscall(
        _QUOTACTL_FD,
        ctypes.c_uint(descriptor),
        ctypes.c_uint(command << 8 | kind),
        ctypes.c_uint(number),
        buffer,
    )
    if failed:
        found = ctypes.get_errno()
        raise OSError(found, os.strerror(found))


def has_call() -> bool:
    """Whether the kernel has it: it then says of a kind of quota that there is none."""
    with_root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        quotactl(with_root, _GETINFO, 0, ctypes.create_string_buffer(_STATE_BYTES), _NO_KIND)
    except OSError as error:
        return error.errno == errno.EINVAL
    finally:
        os.close(with_root)
    return True


class ProjectQuota(QuotaBackend):
    """What ext4 and XFS have in common."""

    kind: str
    """Of the file system, as the kernel calls it."""
    option: str
    """Without this one of the kernel's options there are no quotas."""
    remedy: str
    """How an administrator switches them on."""

    def __init__(self, call: Call = quotactl) -> None:
        self._call = call

    def probe(self, root: Path) -> Support:
        """Ask the kernel whether it counts projects there, and holds them to limits."""
        if (refused := not_root()) is not None:
            return refused
        try:
            with opened(root) as descriptor:
                mount = mount_of(descriptor)
                if mount.kind != self.kind:
                    return Support(works=False, reason=f"the homes lie on {mount.kind} ({mount.at})")
                return self._probe(descriptor, mount.at)
        except QuotaError as error:
            return Support(works=False, reason=error.message)

    def _probe(self, descriptor: int, at: str) -> Support:
        if kernel_has(self.option) is False:
            return Support(
                works=False,
                reason=f"this kernel has no quotas for {self.kind} (it was built without {self.option})",
                remedy="Use a kernel that has them, or put the homes on btrfs.",
            )
        if not has_call():
            return Support(
                works=False, reason="this kernel is older than Linux 5.14", remedy="Use a newer kernel."
            )
        flags = self._flags(descriptor)
        if not flags & _COUNTED:
            return Support(
                works=False, reason=f"project quotas are not switched on for {at}", remedy=self.remedy
            )
        if not flags & _ENFORCED:
            return Support(
                works=False,
                reason=f"projects on {at} are counted, and not held to limits",
                remedy=self.remedy,
            )
        try:
            attributes.project_of(descriptor)
        except OSError as error:
            return Support(
                works=False, reason=f"{at} has no project ids: {error.strerror}", remedy=self.remedy
            )
        return Support(works=True)

    def _flags(self, descriptor: int) -> int:
        buffer = ctypes.create_string_buffer(_STATE_BYTES)
        buffer[0] = b"\1"  # the version of what is asked
        try:
            self._call(descriptor, _GETSTATE, 0, buffer)
        except OSError:  # the kernel's answer where no quota of any kind is on
            return 0
        _, _, flags = _STATE.unpack_from(buffer)
        return int(flags)

    def limit(self, home: Path, limit_bytes: int) -> None:
        """Give the home and all in it its project id, and the id its limit; the limit first, so that it holds at once."""
        if limit_bytes < _KIB:
            raise QuotaError(f"{limit_bytes} bytes are no limit for a home.")
        with opened(home) as descriptor:
            try:
                has = attributes.project_of(descriptor)
                project = project_ids.id_of(home, has.id, lambda one: self._is_used(descriptor, one))
                self._set(descriptor, project, limit_bytes)
                if has.id != project or not has.inherits or not project_ids.is_complete(home):
                    left = attributes.set_all(descriptor, project)
                    if left:
                        raise QuotaError(
                            f"{left} files or folders of {home.name} can't be counted, such as what lies very deep.",
                            "The limit holds for all else.",
                        )
                    project_ids.note_complete(home)
            except OSError as error:
                raise QuotaError(f"The limit of {home.name} can't be set: {error.strerror}.") from error

    def usage(self, home: Path) -> Usage:
        """Ask the kernel what it counts for the home's id."""
        project = project_ids.read_id(home)
        if project is None:
            raise QuotaError(f"{home.name} never had a limit.")
        with opened(home) as descriptor:
            try:
                found = self._get(descriptor, project)
            except OSError as error:
                raise QuotaError(f"The use of {home.name} can't be read: {error.strerror}.") from error
        hard, _, used, *_ = found
        return Usage(used, hard * _KIB or None)

    def remove(self, home: Path) -> None:
        """Set the id's limit to none. The id stays the home's as long as it is there."""
        project = project_ids.read_id(home)
        if project is None:
            return
        with opened(home.parent) as descriptor:
            try:
                self._set(descriptor, project, 0)
            except OSError as error:
                raise QuotaError(
                    f"The limit of {home.name} can't be taken away: {error.strerror}."
                ) from error
        if not os.path.lexists(home):
            project_ids.forget(home)

    def _is_used(self, descriptor: int, project: int) -> bool:
        """Whether anything is counted for an id, or limited."""
        try:
            hard, soft, used, inode_hard, inode_soft, inodes, *_ = self._get(descriptor, project)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ESRCH}:
                return False
            raise
        return any((hard, soft, used, inode_hard, inode_soft, inodes))

    def _get(self, descriptor: int, project: int) -> tuple[int, ...]:
        buffer = ctypes.create_string_buffer(_DQBLK.size)
        try:
            self._call(descriptor, _GETQUOTA, project, buffer)
        except OSError as error:
            if error.errno == errno.ENOENT:  # XFS of an id that nothing has
                return (0,) * 9
            raise
        return _DQBLK.unpack_from(buffer)

    def _set(self, descriptor: int, project: int, limit_bytes: int) -> None:
        # both limits the same: a softer one would be a second thing to explain
        kib = -(-limit_bytes // _KIB)
        content = _DQBLK.pack(kib, kib, 0, 0, 0, 0, 0, 0, _BYTE_LIMITS)
        self._call(descriptor, _SETQUOTA, project, ctypes.create_string_buffer(content, _DQBLK.size))


class Ext4Quota(ProjectQuota):
    """Project quotas of ext4."""

    name = kind = "ext4"
    option = "CONFIG_QFMT_V2"
    remedy = "With the file system unmounted: `tune2fs -O project,quota -Q prjquota DEVICE`; then mount it with `-o prjquota`."


class XfsQuota(ProjectQuota):
    """Project quotas of XFS."""

    name = kind = "xfs"
    option = "CONFIG_XFS_QUOTA"
    remedy = (
        "Mount the file system with `-o prjquota` (for / by the kernel's command line: `rootflags=prjquota`)."
    )
