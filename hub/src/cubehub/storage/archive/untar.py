"""Reading the tar format that `tarball` writes, from a stream that may be anything."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cubehub.storage.archive.errors import DamagedError
from cubehub.storage.archive.tarball import BLOCK, END, EXTENDED, FOLDER, MOST_SEGMENTS, PLAIN, XATTR, padding

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.archive.manifest import Source

_MOST_EXTENDED = 1 << 26
"""Bytes of what is told of a member beyond its header: paths and attributes."""
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")


@dataclass(slots=True)
class Header:
    """What an archive tells of a member before its content."""

    kind: bytes
    path: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    """Bytes that follow."""
    to: bytes
    device: tuple[int, int]
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: int | None = None
    """Size with holes, of a file that has some."""


class Reader:
    """Reads an archive of this module from a stream, strictly: what it would not have written is damage.

    Parameters
    ----------
    source : Source
        The archive, decompressed.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._left, self._pad = source, 0, 0

    def next(self) -> Header | None:
        """The next member; None at the end. What is left of the one before is passed over.

        Raises
        ------
        DamagedError
            It is cut short, or no archive of ours.
        """
        while self.read(1 << 20):
            pass
        self._exactly(self._pad)
        self._pad = 0
        block = self._exactly(BLOCK)
        if block == END[:BLOCK]:
            if self._exactly(BLOCK) != END[:BLOCK] or self._source.read(1):
                raise DamagedError("The archive goes on behind its end.")
            return None
        records: dict[bytes, bytes] = {}
        found = _parsed(block)
        if found.kind == EXTENDED:
            if found.size > _MOST_EXTENDED:
                raise DamagedError("The archive tells more of a member than there can be.")
            records = _records(self._exactly(found.size))
            self._exactly(padding(found.size))
            found = _parsed(self._exactly(BLOCK))
        _tell_more(found, records)
        self._left, self._pad = found.size, padding(found.size)
        return found

    def read(self, size: int, /) -> bytes:
        """So many bytes of the member's content or fewer; none at its end."""
        data = self._source.read(min(size, self._left)) if self._left else b""
        if self._left and not data:
            raise DamagedError("The archive is cut short.")
        self._left -= len(data)
        return data

    def segments(self, seen: Callable[[bytes], object]) -> list[tuple[int, int]]:
        """Begin and length in bytes of the pieces of a file with holes, from the beginning of its content.

        Parameters
        ----------
        seen : callable
            Told the bytes that were read for it.

        Raises
        ------
        DamagedError
            It is no such list, or not in order.
        """
        rest = bytearray()
        lines: list[int] = []
        wanted = 1
        while len(lines) < wanted:
            block = b""
            while len(block) < BLOCK and (data := self.read(BLOCK - len(block))):
                block += data
            seen(block)
            rest += block
            *whole, last = rest.split(b"\n")
            rest = bytearray(last)
            try:
                lines += [int(line) for line in whole if line.strip(b"\0")]
            except ValueError:
                raise DamagedError("A list of holes is none.") from None
            if lines:
                wanted = 1 + 2 * lines[0]
            if len(block) < BLOCK or not 0 <= wanted <= 2 * MOST_SEGMENTS + 3 or len(rest) > BLOCK:
                raise DamagedError("A list of holes is none.")
        found = list(zip(lines[1:wanted:2], lines[2:wanted:2], strict=True))
        at = 0
        for begin, length in found:
            if begin < at or length < 0:
                raise DamagedError("A list of holes is not in order.")
            at = begin + length
        if sum(length for _, length in found) != self._left:
            raise DamagedError("A list of holes does not fit the data behind it.")
        return found

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            data = self._source.read(size)
            if not data:
                raise DamagedError("The archive is cut short.")
            parts.append(data)
            size -= len(data)
        return b"".join(parts)


def _parsed(block: bytes) -> Header:
    try:
        path, mode, uid, gid, size, mtime, total, kind, to, magic, _, _, major, minor, _ = _FIELDS.unpack(
            block
        )
        if magic != b"ustar\x0000" or int(total.rstrip(b"\0 "), 8) != sum(block) - sum(block[148:156]) + 256:
            raise ValueError(magic)  # noqa: TRY301 - as bad as a number that is none
        return Header(
            kind, path.rstrip(b"\0"), _octal(mode), _octal(uid), _octal(gid), _octal(mtime) * 1_000_000_000,
            _octal(size), to.rstrip(b"\0"), (_octal(major), _octal(minor)),
        )  # fmt: skip
    except ValueError:
        raise DamagedError("A header in the archive is damaged.") from None


def _octal(digits: bytes) -> int:
    return int(digits.rstrip(b"\0"), 8)


def _records(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at < len(data):
        blank = data.find(b" ", at, at + 20)
        try:
            length = int(data[at:blank])
            key, is_, value = data[blank + 1 : at + length - 1].partition(b"=")
            if blank < 0 or length <= 0 or not is_ or data[at + length - 1 : at + length] != b"\n":
                raise ValueError(key)  # noqa: TRY301 - as above
        except ValueError:
            raise DamagedError("What the archive tells of a member is damaged.") from None
        found[key] = value
        at += length
    return found


def _tell_more(found: Header, records: dict[bytes, bytes]) -> None:
    try:
        for key, value in records.items():
            if key.startswith(XATTR):
                found.xattrs[_xattr_name(key)] = value
            elif key in _TELLERS:
                name, read = _TELLERS[key]
                setattr(found, name, read(value))
            elif key not in _KNOWN:
                raise DamagedError(f"The archive tells {key!r} of a member, which is none of ours.")
    except ValueError:
        raise DamagedError("A number in the archive is none.") from None
    if found.kind == FOLDER:
        found.path = found.path.removesuffix(b"/")
    if found.size < 0 or (found.size and found.kind != PLAIN):
        raise DamagedError("The size of a member in the archive is wrong.")


def _xattr_name(key: bytes) -> str:
    name = key.removeprefix(XATTR).replace(b"%3D", b"=").replace(b"%25", b"%")
    return name.decode("utf-8", "surrogateescape")


def _nanoseconds(text: bytes) -> int:
    whole, _, rest = text.removeprefix(b"-").partition(b".")
    found = int(whole) * 1_000_000_000 + int((rest + b"000000000")[:9])
    return -found if text.startswith(b"-") else found


_TELLERS: Final[dict[bytes, tuple[str, Callable[[bytes], Any]]]] = {
    b"path": ("path", bytes),
    b"linkpath": ("to", bytes),
    b"mtime": ("mtime_ns", _nanoseconds),
    b"size": ("size", int),
    b"uid": ("uid", int),
    b"gid": ("gid", int),
    b"GNU.sparse.name": ("path", bytes),
    b"GNU.sparse.realsize": ("sparse", int),
}
_KNOWN: Final = {b"hdrcharset", b"GNU.sparse.major", b"GNU.sparse.minor"}
