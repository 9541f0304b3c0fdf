"""Going through an archive and its manifest side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

import zstandard

from cubehub.storage.archive import manifest, tarball, untar
from cubehub.storage.archive.errors import DamagedError
from cubehub.storage.archive.manifest import Hashed, Member
from cubehub.storage.names import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub.storage.archive.manifest import Source

CHUNK = 1 << 20
KINDS = {
    manifest.FILE: tarball.PLAIN, manifest.FOLDER: tarball.FOLDER, manifest.LINK: tarball.SYMBOLIC,
    manifest.HARD_LINK: tarball.HARD, manifest.FIFO: tarball.PIPE, manifest.CHARACTERS: tarball.CHARACTER,
    manifest.BLOCKS: tarball.BLOCKDEV,
}  # fmt: skip
HINT = "Do not purge what it was made from; archive that again."


@dataclass(slots=True)
class Content:
    """What is stored of a file, to be read once, from its beginning to its end."""

    _reader: untar.Reader
    _line: Member
    segments: list[tuple[int, int]] = field(default_factory=list)
    """Begin and length of its pieces, of a file with holes."""
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin(self) -> None:
        """Of a file with holes: read where its data belong."""
        if self._line.stored != self._line.size:
            self.segments = self._reader.segments(self._hash.update)

    def read(self, size: int, /) -> bytes:
        """So many bytes or fewer; none at the end."""
        data = self._reader.read(size)
        self._hash.update(data)
        return data

    def end(self) -> None:
        """Read what is left.

        Raises
        ------
        DamagedError
            It is not what was stored.
        """
        while self.read(CHUNK):
            pass
        if self._hash.hexdigest() != self._line.sha256:
            raise differs(
                self._line.path, "SHA-256 of its content", self._hash.hexdigest(), self._line.sha256
            )


def differs(path: bytes, what: str, found: object, told: object) -> DamagedError:
    """The error that names a difference."""
    return DamagedError(
        f"The archive differs from its manifest at {readable(path)}: {what} is {found}, not {told}.", HINT
    )


class Archive:
    """An archive beside its manifest.

    Parameters
    ----------
    source : Source
        The archive as it was stored.
    listing : file
        Its manifest, as `manifest.checked` gives it.
    """

    def __init__(self, source: Source, listing: IO[bytes]) -> None:
        self._hashed, self._listing = Hashed(source), listing

    def members(self) -> Iterator[tuple[Member, untar.Header | None, Content | None]]:
        """Each line of the manifest with what the archive tells of it, and of a file with its content.

        What is not read of a content is passed over, and compared if its `end` is called.

        Raises
        ------
        DamagedError
            They differ, or the archive is damaged.
        """
        try:
            decompressed = zstandard.ZstdDecompressor().stream_reader(
                cast("IO[bytes]", self._hashed), read_size=CHUNK, read_across_frames=True, closefd=False
            )
            reader = untar.Reader(decompressed)
            for line in manifest.members(self._listing):
                if line.type == manifest.NOT_PACKED:
                    yield line, None, None
                    continue
                header = reader.next()
                if header is None:
                    raise DamagedError(
                        f"{readable(line.path)} is in the manifest, and not in the archive.", HINT
                    )
                _compare(line, header)
                yield line, header, Content(reader, line) if line.type == manifest.FILE else None
            if (header := reader.next()) is not None:
                raise DamagedError(
                    f"{readable(header.path)} is in the archive, and not in its manifest.", HINT
                )
        except zstandard.ZstdError as error:
            raise DamagedError(f"The archive cannot be decompressed: {error}.", HINT) from error

    def sha256(self) -> str:
        """Of the whole object: what was not read yet is read."""
        return self._hashed.sha256()

    def seal(self, sha256: str) -> None:
        """Compare the SHA-256 of the whole object.

        Raises
        ------
        DamagedError
            It is another one.
        """
        if (found := self.sha256()) != sha256:
            raise DamagedError(
                f"The archive is not the one that was written: its SHA-256 is {found}, not {sha256}.", HINT
            )


def _compare(line: Member, header: untar.Header) -> None:
    pairs = (
        ("the name", header.path, line.path),
        ("the type", header.kind, KINDS.get(line.type)),
        ("the size", header.size, line.stored),
        ("the size with holes", header.size if header.sparse is None else header.sparse, line.size),
        ("the time of last writing", header.mtime_ns, line.mtime_ns),
        ("the mode", header.mode, line.mode),
        ("the owner", header.uid, line.uid),
        ("the group", header.gid, line.gid),
        ("where it leads to", header.to, line.to),
        ("the device", header.device, line.device),
    )
    for what, found, told in pairs:
        if found != told:
            raise differs(line.path, what, found, told)
    if header.xattrs or line.xattrs:
        sums = {name: hashlib.sha256(value).hexdigest() for name, value in header.xattrs.items()}
        if sums != line.xattrs:
            raise differs(line.path, "the extended attributes", sorted(sums), sorted(line.xattrs))
