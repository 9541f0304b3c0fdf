"""The tar format as POSIX has it (pax), with GNU's sparse files 1.0: what GNU tar, Python's tarfile and libarchive read.

References
----------
POSIX.1-2017, `pax`, "pax Interchange Format"; GNU tar's manual, "Storing Sparse Files" (PAX format, version 1.0) and
``SCHILY.xattr``, as star and GNU tar write them: ``%`` and ``=`` in an attribute's name are ``%25`` and ``%3D``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from array import array


BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
PLAIN, HARD, SYMBOLIC, CHARACTER, BLOCKDEV, FOLDER, PIPE = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
EXTENDED = b"x"
XATTR = b"SCHILY.xattr."
MOST_SEGMENTS: Final = 1 << 20
"""Pieces of data of a file with holes, 16 bytes of memory each."""
_MOST_SIZE, _MOST_ID = 0o77777777777, 0o7777777
_extended_headers: dict[int, bytes] = {}


def padding(size: int) -> int:
    """Bytes up to the next block."""
    return -size % BLOCK


def record(key: bytes, value: bytes) -> bytes:
    """One record of an extended header; its length counts its own digits."""
    length = len(key) + len(value) + 3
    digits = len(str(length))
    if len(str(length + digits)) > digits:
        digits += 1
    return b"%d %s=%s\n" % (length + digits, key, value)


def xattr_key(name: str) -> bytes:
    """Key of an extended attribute."""
    return XATTR + name.encode("utf-8", "surrogateescape").replace(b"%", b"%25").replace(b"=", b"%3D")


def seconds(time_ns: int) -> bytes:
    """A time in decimal seconds."""
    whole, rest = divmod(abs(time_ns), 1_000_000_000)
    return b"%s%d.%09d" % (b"-" if time_ns < 0 else b"", whole, rest)


def header(
    kind: bytes, path: bytes, mode: int, uid: int, gid: int, mtime_ns: int,
    size: int = 0, to: bytes = b"", device: tuple[int, int] = (0, 0), records: bytes = b"", sparse: int | None = None,
) -> bytes:  # fmt: skip
    """Everything that stands before a member's content.

    Parameters
    ----------
    kind : bytes
        One of the letters of this module.
    path, to : bytes
        Any bytes but 0; where a link leads to.
    mtime_ns : int
        Nanoseconds since 1970.
    size : int
        Bytes that follow.
    records : bytes
        Extended attributes, each by `record` and `xattr_key`.
    sparse : int, optional
        Size with the holes, of a file that has some: its content begins with `sparse_map`.
    """
    if kind == FOLDER:
        path += b"/"
    if sparse is not None:
        records += (
            b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
            + record(b"GNU.sparse.name", path)
            + record(b"GNU.sparse.realsize", b"%d" % sparse)
        )
    records += _beyond(path, to, mtime_ns, size, uid, gid)
    plain = _plain(
        path, mode, uid if uid <= _MOST_ID else 0, gid if gid <= _MOST_ID else 0, size if size <= _MOST_SIZE else 0,
        min(max(mtime_ns // 1_000_000_000, 0), _MOST_SIZE), kind, to, device,
    )  # fmt: skip
    if not records:
        return plain
    if not (path + to).isascii() and not _is_text(path + to):
        records = b"21 hdrcharset=BINARY\n" + records
    return _extended(len(records)) + records + bytes(padding(len(records))) + plain


def _beyond(path: bytes, to: bytes, mtime_ns: int, size: int, uid: int, gid: int) -> bytes:
    """Records of what is too long or large for a header of the old kind, or too fine."""
    records = b""
    if len(path) > 100:
        records += record(b"path", path)
    if len(to) > 100:
        records += record(b"linkpath", to)
    if mtime_ns % 1_000_000_000 or not 0 <= mtime_ns <= _MOST_SIZE * 1_000_000_000:
        records += record(b"mtime", seconds(mtime_ns))
    for key, number, most in ((b"size", size, _MOST_SIZE), (b"uid", uid, _MOST_ID), (b"gid", gid, _MOST_ID)):
        if number > most:
            records += record(key, b"%d" % number)
    return records


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain(
    path: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, kind: bytes, to: bytes, device: tuple[int, int]
) -> bytes:  # fmt: skip
    before = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        path[:100].ljust(100, b"\0"),
        mode,
        uid,
        gid,
        size,
        mtime,
    )
    after = b"%s%sustar\x0000%s%07o\0%07o\0" % (kind, to[:100].ljust(100, b"\0"), bytes(64), *device)
    # the sum counts its own eight bytes as blanks
    return b"%s%06o\0 %s%s" % (before, sum(before) + 256 + sum(after), after, bytes(167))


def _extended(size: int) -> bytes:
    """Header of what is told beyond a header: the same for all of the same size."""
    found = _extended_headers.get(size)
    if found is None:
        found = _plain(b"././@PaxHeader", 0o644, 0, 0, size, 0, EXTENDED, b"", (0, 0))
        if size < 4096:
            _extended_headers[size] = found
    return found


def sparse_map(segments: array[int], size: int) -> bytes:
    """Where the data of a file with holes belong, to stand before them.

    Parameters
    ----------
    segments : array of int
        Begin and end of each piece of data, in bytes: begin, end, begin, end …
    size : int
        Bytes of the whole file, which may end in a hole.
    """
    pieces = [
        b"%d\n%d\n" % (begin, end - begin) for begin, end in zip(segments[::2], segments[1::2], strict=True)
    ]
    if not segments or segments[-1] < size:
        pieces.append(b"%d\n0\n" % size)
    text = b"%d\n%s" % (len(pieces), b"".join(pieces))
    return text + bytes(padding(len(text)))
