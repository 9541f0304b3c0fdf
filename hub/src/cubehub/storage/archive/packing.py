"""Writing a file or folder into a tar with zstd, with a manifest of what is in it.

Names, rights, owners, times to the nanosecond, links, hard links, extended attributes with access lists, pipes, devices
and holes are kept. Nothing is followed or entered that is not below the folder, and nothing archived that changes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from cubehub.storage import beneath
from cubehub.storage.archive import holes, manifest, tarball
from cubehub.storage.archive.chain import Chain
from cubehub.storage.archive.errors import ArchiveError, ChangedError
from cubehub.storage.archive.manifest import Member, Seal
from cubehub.storage.names import readable

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from cubehub.storage.archive.manifest import Sink

_BUFFER = 1 << 20
_FRESH_NS = 20_000_000
"""Within this of its last change a file may change again without its time telling: the kernel's clock ticks."""
_NO_ATTRIBUTES: tuple[dict[str, str], bytes] = ({}, b"")
_ACL = frozenset({"system.posix_acl_access", "system.posix_acl_default"})


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written."""

    seal: Seal
    bytes: int
    """Of the archive, compressed."""
    manifest_bytes: int
    members: int
    """Lines of the manifest."""
    content: int
    """Bytes of all files, without holes."""
    left_out: int
    """Sockets: in the manifest, not in the archive."""


def pack(
    slot: int,
    name: bytes,
    sink: Sink,
    listing: Sink,
    *,
    threads: int = 2,
    level: int = 3,
    progress: Callable[[int, int], None] = lambda _members, _bytes: None,
) -> Packed:
    """Write one file or folder into an archive.

    Parameters
    ----------
    slot : int
        Descriptor of the folder it is in.
    name : bytes
        Its name there, which begins the path of each member.
    sink, listing : Sink
        Where the archive and its manifest go. Neither is closed: who opened them ends them, or drops them after an error.
    threads : int
        That compress; this one reads beside them.
    level : int
        Of zstd; 3 is its own default.
    progress : callable
        Told members and bytes so far, each MiB or so. What it raises ends the packing.

    Returns
    -------
    Packed
        With the seal to write down.

    Raises
    ------
    ChangedError
        Something changed while it was read.
    ArchiveError
        Something cannot be read, or another file system is mounted in it.

    Notes
    -----
    Memory does not grow with what is packed, but for 200 bytes a folder that waits and a file with several names.
    """
    packer = _Packer(sink, listing, threads, level, progress)
    try:
        packer.all(slot, name)
        return packer.end()
    except OSError as error:
        where = readable(packer.at)
        if error.errno == errno.EXDEV:
            raise ArchiveError(
                f"Another file system is mounted at {where}.", "Unmount it, then archive again."
            ) from error
        if isinstance(error, FileNotFoundError):
            raise ChangedError(f"{where} went away while it was archived.", "Try again later.") from error
        raise ArchiveError(
            f"{where} cannot be read: {error.strerror}.", "See to it, then archive again."
        ) from error


class _Packer:
    def __init__(
        self, sink: Sink, listing: Sink, threads: int, level: int, progress: Callable[[int, int], None]
    ) -> None:
        self._sink, self._progress = sink, progress
        self._compressor = zstandard.ZstdCompressor(
            level=level, threads=threads, write_checksum=True
        ).compressobj()
        self._hash, self._written = hashlib.sha256(), 0
        self._manifest = manifest.Writer(listing)
        self._buffer = memoryview(bytearray(_BUFFER))
        self._used = 0
        self._names: dict[tuple[int, int], bytes] = {}
        self.at = b""
        self.members = self.content = self.left_out = 0

    # The way through

    def all(self, slot: int, name: bytes) -> None:
        self.at = name
        if not stat.S_ISDIR(beneath.look(slot, name).mode):
            self._other(slot, name, name)
            return
        with Chain[tuple[os.stat_result, list[bytes]]]() as chain:
            self._enter(chain, beneath.open_folder(slot, name), name)
            while chain:
                before, below = chain.last.about
                if below:
                    path = chain.last.path + b"/" + (inner := below.pop())
                    self.at = path
                    self._enter(chain, beneath.open_folder(chain.fd, inner), path)
                else:
                    self.at = chain.last.path
                    _same(self.at, before, os.fstat(chain.fd))
                    chain.leave()

    def _enter(self, chain: Chain[tuple[os.stat_result, list[bytes]]], fd: int, path: bytes) -> None:
        """Write a folder and what is in it, but for its folders, whose names wait."""
        below: list[bytes] = []
        chain.enter(fd, path, (before := _settled(fd, path), below))
        names, records = _attributes(fd)
        self._member(tarball.FOLDER, manifest.FOLDER, path, before, xattrs=names, records=records)
        with os.scandir(b"/proc/self/fd/%d" % fd) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    below.append(name)
                    continue
                self.at = path + b"/" + name
                if entry.is_file(follow_symlinks=False):
                    self._file(fd, name, self.at)
                else:
                    self._other(fd, name, self.at)

    # Members

    def _file(self, at: int, name: bytes, path: bytes) -> None:
        fd = beneath.open_file(at, name)
        try:
            before = _settled(fd, path)
            if not stat.S_ISREG(before.st_mode):
                raise _changed(path)
            if before.st_nlink > 1:
                first = self._names.setdefault((before.st_dev, before.st_ino), path)
                if first is not path:
                    self._member(tarball.HARD, manifest.HARD_LINK, path, before, to=first)
                    return
            names, records = _attributes(fd)
            size, segments = before.st_size, None
            if before.st_blocks * 512 < size:
                segments = holes.find(fd, size)
            if segments is None:
                self._write(tarball.header(
                    tarball.PLAIN, path, before.st_mode & 0o7777, before.st_uid, before.st_gid, before.st_mtime_ns, size,
                    records=records,
                ))  # fmt: skip
                sha256, stored = hashlib.sha256(), size
                self._content(fd, size, sha256, path)
            else:
                first_bytes = tarball.sparse_map(segments, size)
                stored = len(first_bytes) + sum(segments[1::2]) - sum(segments[::2])
                self._write(tarball.header(
                    tarball.PLAIN, path, before.st_mode & 0o7777, before.st_uid, before.st_gid, before.st_mtime_ns, stored,
                    records=records, sparse=size,
                ))  # fmt: skip
                sha256 = hashlib.sha256(first_bytes)
                self._write(first_bytes)
                self._pieces(fd, segments, sha256, path)
            if pad := tarball.padding(stored):
                self._write(bytes(pad))
            _same(path, before, os.fstat(fd))
        finally:
            os.close(fd)
        self.content += stored
        self._line(
            manifest.FILE, path, before, size=size, stored=stored, sha256=sha256.hexdigest(), xattrs=names
        )

    def _pieces(self, fd: int, segments: array[int], sha256: hashlib._Hash, path: bytes) -> None:
        for begin, end in zip(segments[::2], segments[1::2], strict=True):
            os.lseek(fd, begin, os.SEEK_SET)
            self._content(fd, end - begin, sha256, path)

    def _content(self, fd: int, size: int, sha256: hashlib._Hash, path: bytes) -> None:
        """Copy so many bytes from where a file stands: read to where they are compressed from, and added up there."""
        buffer, used = self._buffer, self._used
        while size:
            if used == _BUFFER:
                self._used = used
                self._flush()
                used = 0
            got = os.readv(fd, [buffer[used : used + size]])
            if not got:
                raise _changed(path)
            sha256.update(buffer[used : used + got])
            used += got
            size -= got
        self._used = used

    def _other(self, at: int, name: bytes, path: bytes) -> None:
        """Write what has no content: a link, a pipe, a device; of a socket only the line."""
        facts = os.stat(name, dir_fd=at, follow_symlinks=False)
        mode = facts.st_mode
        if stat.S_ISREG(mode):
            self._file(at, name, path)
            return
        if stat.S_ISDIR(mode):
            raise _changed(path)
        if stat.S_ISSOCK(mode):
            self.left_out += 1
            self._line(manifest.SOCKET, path, facts)
            return
        names, records = _attributes(b"/proc/self/fd/%d/%s" % (at, name))
        device, to = (0, 0), b""
        if stat.S_ISLNK(mode):
            letter, kind = tarball.SYMBOLIC, manifest.LINK
            to = os.readlink(name, dir_fd=at)
        elif stat.S_ISFIFO(mode):
            letter, kind = tarball.PIPE, manifest.FIFO
        else:
            device = (os.major(facts.st_rdev), os.minor(facts.st_rdev))
            letter, kind = (
                (tarball.CHARACTER, manifest.CHARACTERS) if stat.S_ISCHR(mode) else (tarball.BLOCKDEV, manifest.BLOCKS)
            )  # fmt: skip
        _same(path, facts, os.stat(name, dir_fd=at, follow_symlinks=False))
        self._member(letter, kind, path, facts, to=to, device=device, xattrs=names, records=records)

    def _member(
        self, letter: bytes, kind: str, path: bytes, facts: os.stat_result, *, to: bytes = b"",
        device: tuple[int, int] = (0, 0), xattrs: dict[str, str] | None = None, records: bytes = b"",
    ) -> None:  # fmt: skip
        mode = facts.st_mode & 0o7777
        self._write(tarball.header(
            letter, path, mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, to=to, device=device, records=records
        ))  # fmt: skip
        self._line(kind, path, facts, to=to, device=device, xattrs=xattrs)

    def _line(
        self, kind: str, path: bytes, facts: os.stat_result, *, size: int = 0, stored: int = 0, sha256: str = "",
        to: bytes = b"", device: tuple[int, int] = (0, 0), xattrs: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.members += 1
        self._manifest.add(Member(
            path, kind, facts.st_mode & 0o7777, facts.st_uid, facts.st_gid, facts.st_mtime_ns, facts.st_ctime_ns,
            size, stored, sha256, to, device, xattrs or {},
        ).line())  # fmt: skip

    # Out

    def _write(self, data: bytes) -> None:
        size, used = len(data), self._used
        if used + size <= _BUFFER:
            self._buffer[used : used + size] = data
            self._used = used + size
            return
        self._flush()
        if size >= _BUFFER:
            self._hand_on(self._compressor.compress(data))
            return
        self._buffer[:size] = data
        self._used = size

    def _flush(self) -> None:
        if self._used:
            self._hand_on(self._compressor.compress(self._buffer[: self._used]))
            self._used = 0
            self._progress(self.members, self.content)

    def _hand_on(self, data: bytes) -> None:
        if data:
            self._hash.update(data)
            self._sink.write(data)
            self._written += len(data)

    def end(self) -> Packed:
        self._write(tarball.END)
        self._flush()
        self._hand_on(self._compressor.flush())
        seal = Seal(self._hash.hexdigest(), self._manifest.end())
        return Packed(seal, self._written, self._manifest.bytes, self.members, self.content, self.left_out)


def _settled(fd: int, path: bytes) -> os.stat_result:
    """The facts of an open file or folder, once a change from now on would show in its times."""
    facts = os.fstat(fd)
    if 0 <= time.time_ns() - max(facts.st_mtime_ns, facts.st_ctime_ns) < _FRESH_NS:
        time.sleep(_FRESH_NS / 1e9)
        _same(path, facts, facts := os.fstat(fd))
    return facts


def _same(path: bytes, before: os.stat_result, after: os.stat_result) -> None:
    if (before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_ino, after.st_size, after.st_mtime_ns, after.st_ctime_ns
    ):  # fmt: skip
        raise _changed(path)


def _changed(path: bytes) -> ChangedError:
    return ChangedError(
        f"{readable(path)} changed while it was archived.",
        "Find out which program writes to it, and try again.",
    )


def _attributes(of: int | bytes) -> tuple[dict[str, str], bytes]:
    """Extended attributes as the manifest and as the archive have them; of a path those of a link itself."""
    follow = isinstance(of, int)
    try:
        names = os.listxattr(of, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return _NO_ATTRIBUTES
        raise
    if not names:
        return _NO_ATTRIBUTES
    sums, records = {}, b""
    for name in sorted(names):
        if name.startswith("system.") and name not in _ACL:
            continue
        value = os.getxattr(of, name, follow_symlinks=follow)
        sums[name] = hashlib.sha256(value).hexdigest()
        records += tarball.record(tarball.xattr_key(name), value)
    return sums, records
