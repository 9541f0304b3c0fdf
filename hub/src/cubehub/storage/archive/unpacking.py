"""Unpacking an archive, or one file or folder of it: all or nothing, never over something, and nothing beside it."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError
from cubehub.storage import beneath, trees
from cubehub.storage.archive import manifest
from cubehub.storage.archive.chain import Chain, open_deep
from cubehub.storage.archive.errors import ArchiveError, DamagedError
from cubehub.storage.archive.reading import CHUNK, Archive, Content
from cubehub.storage.archive.wanted import Wanted, is_name
from cubehub.storage.names import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.archive.manifest import Member, Seal, Source
    from cubehub.storage.archive.untar import Header

SCRATCH = b".cubehub-unpacking-"
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_syncfs = ctypes.CDLL(None, use_errno=True).syncfs


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was put back."""

    name: bytes
    """In the folder it was unpacked into."""
    members: int
    content: int
    """Bytes of files, without holes."""
    left_out: int
    """Sockets; devices, if they got another owner."""
    without: int
    """Extended attributes that this file system does not take."""


def unpack(
    source: Source,
    listing: Source,
    to: int,
    *,
    seal: Seal,
    only: bytes | None = None,
    owner: tuple[int, int] | None = None,
    name: bytes | None = None,
    progress: Callable[[int, int], None] = lambda _members, _bytes: None,
    step: Callable[[str], None] = lambda _: None,
) -> Unpacked:
    """Put what is in an archive into a folder.

    Parameters
    ----------
    source, listing : Source
        The archive and its manifest, opened where they are kept.
    to : int
        Descriptor of the folder. Best one that only the keeper writes to, such as a slot of the quarantine.
    seal : Seal
        As `pack` gave it.
    only : bytes, optional
        Path of one file or folder in what was packed, without the name of what was packed (``work/a.ipynb``). Reading
        ends where it is complete.
    owner : tuple of int, optional
        Who gets what belonged to the owner of the whole: user and group. Without it everything gets its original owner.
        With another one setuid and setgid bits of files, capabilities and devices are left out.
    name : bytes, optional
        Its name in the folder; without it, as it was packed.
    progress : callable
        Told members and bytes so far.
    step : callable
        Told the name of each step; for tests, which end the process there.

    Raises
    ------
    FileExistsError
        There is something of that name in the folder; nothing was changed.
    BadInputError
        There is nothing of that path in the archive.
    DamagedError
        The archive differs from its seal, or would lead out of the folder.
    ArchiveError
        The disk is full, or does not take something. In any case nothing is left behind.

    Notes
    -----
    Everything goes into a scratch folder (mode 0700) first, is written to the disk (``syncfs``), and renamed at the end.
    What a kill leaves of that, the next `unpack` into the same folder removes, or `sweep`. Of what is unpacked the time
    of last reading is now: it was asked for.
    """
    with manifest.checked(listing, seal.manifest) as kept:
        wanted = Wanted(kept, only)
        name = wanted.path.rpartition(b"/")[2] if name is None else name
        if not is_name(name):
            raise BadInputError(f"{readable(name)} is no name of a file.")
        if _exists(to, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        sweep(to)
        scratch_name = SCRATCH + secrets.token_hex(8).encode()
        os.mkdir(scratch_name, 0o700, dir_fd=to)
        try:
            scratch = beneath.open_folder(to, scratch_name)
            try:
                if (facts := os.fstat(scratch)).st_uid != os.geteuid() or facts.st_mode & 0o077:
                    raise ArchiveError("Somebody exchanged the folder for unpacking.")
                step("scratch")
                done = _Unpacker(Archive(source, kept), wanted, scratch, owner, progress).all(seal, name)
                step("unpacked")
                if _syncfs(scratch):
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
                step("synced")
                trees.move(scratch, wanted.path.rpartition(b"/")[2], to, name)
                step("moved")
            finally:
                os.close(scratch)
        except FileExistsError:
            raise
        except OSError as error:
            raise _failed(error) from error
        except (OverflowError, ValueError) as error:
            raise DamagedError("The archive has numbers or names that no file system takes.") from error
        finally:
            with suppress(OSError):  # else `sweep` does
                trees.remove(to, scratch_name)
        os.fsync(to)
        step("done")
    return done


def sweep(to: int) -> None:
    """Remove what a kill left of unpacking into this folder, if it is this process's user's."""
    with os.scandir(b"/proc/self/fd/%d" % to) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(SCRATCH)]
    for name in names:
        facts = os.stat(name, dir_fd=to, follow_symlinks=False)
        if facts.st_uid == os.geteuid() and stat.S_ISDIR(facts.st_mode):
            trees.remove(to, name)


def _exists(at: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _failed(error: OSError) -> ArchiveError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ArchiveError("There is no room to unpack the archive.", "Make room, then try again.")
    return ArchiveError(
        f"The archive cannot be unpacked: {error.strerror}.",
        "Nothing was left behind. See to it, then try again.",
    )


class _Unpacker:
    def __init__(
        self, archive: Archive, wanted: Wanted, scratch: int, owner: tuple[int, int] | None,
        progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._archive, self._wanted, self._scratch, self._owner = archive, wanted, scratch, owner
        self._progress = progress
        self._members = self._content = self._left_out = self._without = self._aside_count = 0

    def all(self, seal: Seal, name: bytes) -> Unpacked:
        wanted, number = self._wanted, 0
        with Chain[tuple["Member", "Header"] | None]() as chain:
            chain.enter(os.dup(self._scratch), b"", None)
            for number, (line, header, content) in enumerate(self._archive.members(), 1):
                if wanted.has(line.path):
                    self._one(chain, line, header, content)
                elif line.path in wanted.contents and content is not None and header is not None:
                    self._aside(line, header, content)
                self._progress(self._members, self._content)
                if number == wanted.last and not wanted.all:
                    break
            while len(chain) > 1:
                self._leave(chain)
        if wanted.all:
            self._archive.seal(seal.archive)
        return Unpacked(name, self._members, self._content, self._left_out, self._without)

    def _one(
        self, chain: Chain[tuple[Member, Header] | None], line: Member, header: Header | None, content: Content | None
    ) -> None:  # fmt: skip
        path = self._wanted.relative(line.path)
        above, _, name = path.rpartition(b"/")
        while len(chain) > 1 and chain.last.path != above:
            self._leave(chain)
        if chain.last.path != above or not is_name(name) or (above == b"" and line.path != self._wanted.path):
            raise DamagedError(
                f"The archive would unpack {readable(line.path)} outside of the folders it made.",
                "Do not use this archive.",
            )
        if header is None:
            self._left_out += 1
            return
        self._members += 1
        at = chain.fd
        try:
            if line.type == manifest.FOLDER:
                os.mkdir(name, 0o700, dir_fd=at)
                chain.enter(beneath.open_folder(at, name), path, (line, header))
            elif content is not None:
                self._file(at, name, line, header, content)
            elif line.type == manifest.HARD_LINK:
                self._hard_link(at, name, line)
            else:
                self._other(at, name, line, header)
        except FileExistsError:
            raise DamagedError(
                f"The archive has {readable(line.path)} twice.", "Do not use this archive."
            ) from None

    # Members

    def _file(self, at: int, name: bytes, line: Member, header: Header, content: Content) -> None:
        fd = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=at
        )
        try:
            content.begin()
            pieces = content.segments or [(0, line.stored)]
            for begin, length in pieces:
                if begin + length > line.size:
                    raise DamagedError(f"{readable(line.path)} has data behind its end.")
                os.lseek(fd, begin, os.SEEK_SET)
                self._copy(fd, length, content)
            if content.segments:
                os.ftruncate(fd, line.size)
            content.end()
            self._dress(fd, line, header)
        finally:
            os.close(fd)
        self._content += line.stored

    @staticmethod
    def _copy(fd: int, length: int, content: Content) -> None:
        while length:
            data = memoryview(content.read(min(CHUNK, length)))
            if not data:
                raise DamagedError("The archive is cut short.")
            length -= len(data)
            while data:
                data = data[os.write(fd, data) :]

    def _aside(self, line: Member, header: Header, content: Content) -> None:
        """Keep the content of a member that is not wanted itself, for hard links to it that are."""
        self._aside_count += 1
        name = SCRATCH + b"%d" % self._aside_count
        self._file(self._scratch, name, line, header, content)
        self._wanted.contents[line.path] = name

    def _hard_link(self, at: int, name: bytes, line: Member) -> None:
        """Give a second name to a file that was unpacked before; never to anything else."""
        path = self._wanted.contents.get(line.to) or self._wanted.relative(line.to)
        above, _, first = path.rpartition(b"/")
        if not self._wanted.has(line.to) and not self._wanted.contents.get(line.to):
            raise _no_file(line)
        try:
            parent = open_deep(self._scratch, above)
        except OSError as error:
            raise _no_file(line) from error
        try:
            if not is_name(first) or not stat.S_ISREG(
                os.stat(first, dir_fd=parent, follow_symlinks=False).st_mode
            ):
                raise _no_file(line)
            os.link(first, name, src_dir_fd=parent, dst_dir_fd=at, follow_symlinks=False)
        except FileNotFoundError as error:
            raise _no_file(line) from error
        finally:
            os.close(parent)

    def _other(self, at: int, name: bytes, line: Member, header: Header) -> None:
        uid, gid, same = self._owner_of(line)
        if line.type == manifest.LINK:
            os.symlink(line.to, name, dir_fd=at)
        elif line.type == manifest.FIFO:
            os.mkfifo(name, 0o600, dir_fd=at)
        elif not same:
            self._left_out += 1
            return
        else:
            kind = stat.S_IFCHR if line.type == manifest.CHARACTERS else stat.S_IFBLK
            os.mknod(name, 0o600 | kind, os.makedev(*line.device), dir_fd=at)
        facts = os.stat(name, dir_fd=at, follow_symlinks=False)
        if (facts.st_uid, facts.st_gid) != (uid, gid):
            os.chown(name, uid, gid, dir_fd=at, follow_symlinks=False)
        self._attributes(b"/proc/self/fd/%d/%s" % (at, name), header, same=same)
        if line.type != manifest.LINK:
            os.chmod(b"/proc/self/fd/%d/%s" % (at, name), line.mode)  # noqa: PTH101 - of a folder's own that nobody else writes to
        os.utime(name, ns=(time.time_ns(), line.mtime_ns), dir_fd=at, follow_symlinks=False)

    def _leave(self, chain: Chain[tuple[Member, Header] | None]) -> None:
        about = chain.last.about
        assert about is not None  # noqa: S101 - the scratch folder itself is not left
        self._dress(chain.fd, *about)
        chain.leave()

    def _dress(self, fd: int, line: Member, header: Header) -> None:
        """Give owner, attributes, rights and times, in the order in which none takes another away."""
        uid, gid, same = self._owner_of(line)
        facts = os.fstat(fd)
        if (facts.st_uid, facts.st_gid) != (uid, gid):
            os.fchown(fd, uid, gid)
        self._attributes(fd, header, same=same)
        mode = line.mode
        if not same and line.type != manifest.FOLDER:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        os.fchmod(fd, mode)
        os.utime(fd, ns=(time.time_ns(), line.mtime_ns))

    def _owner_of(self, line: Member) -> tuple[int, int, bool]:
        """Who gets a member, and whether that is its original owner."""
        if self._owner is None:
            return line.uid, line.gid, True
        uid = self._owner[0] if line.uid == self._wanted.owner[0] else line.uid
        gid = self._owner[1] if line.gid == self._wanted.owner[1] else line.gid
        return uid, gid, (uid, gid) == (line.uid, line.gid)

    def _attributes(self, of: int | bytes, header: Header, *, same: bool) -> None:
        for name, value in header.xattrs.items():
            if not (name.startswith("user.") or name in _ACLS or (same and not name.startswith("system."))):
                self._without += 1
                continue
            try:
                os.setxattr(of, name, value, follow_symlinks=isinstance(of, int))
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._without += 1


def _no_file(line: Member) -> DamagedError:
    return DamagedError(
        f"{readable(line.path)} is said to be another name of {readable(line.to)}, which is no file of the archive before it.",
        "Do not use this archive.",
    )
