"""The list of what is in an archive: one line of JSON for each member, in the archive's order."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

import zstandard

from cubehub.storage.archive.errors import DamagedError
from cubehub.storage.names import original, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE, FOLDER, LINK, HARD_LINK = "file", "folder", "link", "hardlink"
FIFO, CHARACTERS, BLOCKS, SOCKET = "fifo", "char", "block", "socket"
NOT_PACKED = SOCKET
"""Sockets are named in the manifest and are not in the archive: without the program behind it, one is nothing."""
_CHUNK = 1 << 18
_LONGEST = 1 << 23
"""Bytes of a line: the deepest path that a home can have stays far below."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Sink(Protocol):
    """Takes bytes in order."""

    def write(self, data: bytes, /) -> object:
        """Take all of them, or raise."""


class Source(Protocol):
    """Gives bytes in order."""

    def read(self, size: int, /) -> bytes:
        """So many bytes or fewer; none at the end."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What proves that an archive and its manifest are those that were written: SHA-256 in hexadecimal."""

    archive: str
    manifest: str


@dataclass(frozen=True, slots=True)
class Member:
    """What a line tells of a member."""

    path: bytes
    """With the name of what was packed as its first part."""
    type: str
    mode: int
    """Rights with setuid, setgid and sticky bit."""
    uid: int
    gid: int
    mtime_ns: int
    """Last written, in nanoseconds since 1970."""
    ctime_ns: int
    """Last changed in any way; not restored, and nobody can set it: tells that it is still as it was archived."""
    size: int = 0
    """Bytes of a file, its holes included."""
    stored: int = 0
    """Bytes of a file in the archive: without holes, with the list of where its data belongs."""
    sha256: str = ""
    """Of what is stored: of a file without holes, of its content."""
    to: bytes = b""
    """Where a link leads to, as it stands in it; of a hard link the path of the member that has the content."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number."""
    xattrs: dict[str, str] = field(default_factory=dict)
    """Extended attributes, access lists among them, by name: SHA-256 of the value."""

    def line(self) -> bytes:
        """As it stands in the manifest."""
        told: dict[str, Any] = {
            "path": readable(self.path), "type": self.type, "mode": f"{self.mode:04o}",
            "uid": self.uid, "gid": self.gid, "mtime_ns": self.mtime_ns, "ctime_ns": self.ctime_ns,
        }  # fmt: skip
        if self.type == FILE:
            told["size"] = self.size
            told["sha256"] = self.sha256
            if self.stored != self.size:
                told["stored"] = self.stored
        if self.to:
            told["to"] = readable(self.to)
        if self.type in {CHARACTERS, BLOCKS}:
            told["device"] = self.device
        if self.xattrs:
            told["xattrs"] = {
                readable(name.encode("utf-8", "surrogateescape")): value
                for name, value in self.xattrs.items()
            }
        return _encode(told).encode() + b"\n"


def parse(line: bytes) -> Member:
    """Read a line.

    Raises
    ------
    DamagedError
        It is none.
    """
    try:
        told = json.loads(line)
        size = int(told.get("size", 0))
        major, minor = told.get("device", (0, 0))
        return Member(
            original(told["path"]), str(told["type"]), int(told["mode"], 8), int(told["uid"]), int(told["gid"]),
            int(told["mtime_ns"]), int(told["ctime_ns"]), size, int(told.get("stored", size)),
            str(told.get("sha256", "")), original(told.get("to", "")), (int(major), int(minor)),
            {original(name).decode("utf-8", "surrogateescape"): str(value) for name, value in told.get("xattrs", {}).items()},
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedError(f"A line of the manifest cannot be read: {line[:100]!r}.") from error


class Writer:
    """Writes a manifest, compressed.

    Parameters
    ----------
    sink : Sink
        Where it goes; not closed.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink, self._hash = sink, hashlib.sha256()
        self._compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
        self._lines: list[bytes] = []
        self.bytes = 0

    def add(self, line: bytes) -> None:
        """Take a line; lines are handed on some hundred at a time."""
        self._lines.append(line)
        if len(self._lines) >= 512:
            self._hand_on(self._compressor.compress(self._taken()))

    def end(self) -> str:
        """Hand on what is left; the SHA-256 of all that was handed on."""
        self._hand_on(self._compressor.compress(self._taken()) + self._compressor.flush())
        return self._hash.hexdigest()

    def _taken(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"".join(lines)

    def _hand_on(self, data: bytes) -> None:
        if data:
            self._hash.update(data)
            self._sink.write(data)
            self.bytes += len(data)


class Hashed:
    """A source that adds up the SHA-256 of what is read from it."""

    def __init__(self, source: Source) -> None:
        self._source, self._hash = source, hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """As of the source itself."""
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def sha256(self) -> str:
        """Of all, once what is left has been read."""
        while self.read(_CHUNK):
            pass
        return self._hash.hexdigest()


def checked(source: Source, sha256: str) -> IO[bytes]:
    """Copy a manifest to an unnamed file, so that it is known to be the one that was written before a line of it is used.

    Raises
    ------
    DamagedError
        It is another one.
    """
    kept, hashed = tempfile.TemporaryFile(), Hashed(source)  # noqa: SIM115 - the caller's
    try:
        while data := hashed.read(_CHUNK):
            kept.write(data)
        found = hashed.sha256()
        kept.seek(0)
    except BaseException:
        kept.close()
        raise
    if found != sha256:
        kept.close()
        raise DamagedError(
            f"The manifest is not the one that was written: its SHA-256 is {found}, not {sha256}.",
            "Archive again; what is in quarantine stays there meanwhile.",
        )
    return kept


def members(manifest: IO[bytes]) -> Iterator[Member]:
    """Read a manifest from its beginning, line by line.

    Raises
    ------
    DamagedError
        A line is none, or the compressed data are no such.
    """
    manifest.seek(0)
    rest = b""
    try:
        with zstandard.ZstdDecompressor().stream_reader(
            manifest, read_across_frames=True, closefd=False
        ) as reader:
            while data := reader.read(_CHUNK):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield parse(line)
                if len(rest) > _LONGEST:
                    raise DamagedError("A line of the manifest has no end.")
    except zstandard.ZstdError as error:
        raise DamagedError(f"The manifest cannot be decompressed: {error}.") from error
    if rest:
        raise DamagedError("The manifest's last line has no end.")


def contents(listing: Source, seal: Seal) -> Iterator[Member]:
    """What is in an archive, from its manifest alone.

    Raises
    ------
    DamagedError
        It is another manifest than the seal's; before the first member is given.
    """
    with checked(listing, seal.manifest) as kept:
        yield from members(kept)
