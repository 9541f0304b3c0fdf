"""A cube's files, for those who read its Zarr over HTTP: whole, or the part that a ``Range`` names.

Shards make no sense without ranges, and xcube's object store knows none.
"""

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from xcube_cubehub.fast.afar import Afar
from xcube_cubehub.fast.http import error_body
from xcube_cubehub.index import PYRAMID, SERIES

_ADDRESS = re.compile(
    r"/s3/(datasets|pyramids)/([a-z0-9-]+)(:series)?\.(zarr|levels)/([A-Za-z0-9._/-]{1,400})", re.ASCII
)
_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")
_FOLDERS = {
    ("datasets", "", "zarr"): f"{PYRAMID}/0.zarr",
    ("datasets", ":series", "zarr"): SERIES,
    ("pyramids", "", "levels"): PYRAMID,
}
TRIES = 100
"""How often a file is looked for that is not where its name says: each takes microseconds, and where cubes are exchanged
one after the other on a busy machine, a few in a row can meet an exchange."""
MAX_WHOLE_BYTES = 64 * 2**20
"""A larger part than this is for the server behind, which sends it piece by piece."""


@dataclass(frozen=True, slots=True)
class Object:
    """A file of a cube, by its name below the cube's folder."""

    cube: str
    name: str


def object_of(path: str) -> Object | None:
    """The file that an address names; None for what is not understood to the letter."""
    found = _ADDRESS.fullmatch(path)
    if found is None:
        return None
    bucket, cube, series, ending, key = found.groups()
    folder = _FOLDERS.get((bucket, series or "", ending))
    parts = key.split("/")
    if folder is None or any(part in {"", ".", ".."} or part.endswith(".new") for part in parts):
        return None
    return Object(cube, f"{folder}/{key}")


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a file: status 200, 206 or 416, headers and bytes."""

    status: int
    head: bytes
    body: bytes


def span(header: bytes | None, size: int) -> tuple[int, int] | None:
    """First byte and how many, of what a ``Range`` header asks for; None where the file has no such part.

    Notes
    -----
    RFC 9110, section 14.1.2. A header that is not understood, or asks for several parts, is as if it were not there.
    """
    found = None if header is None else _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == (b"", b""):
        return 0, size
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return (size - length, length) if length else None
    begin = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < begin:
        return 0, size
    return (begin, end - begin + 1) if begin < size else None


NOTHING = Part(
    404, b"Content-Type: application/json; charset=UTF-8\r\n", error_body(404, "there is no such file")
)
"""For what is no file of the cube: a link, or something below one, a pipe. xcube's object store would follow it."""


def _lies_at(file: int, folder: Path, name: str) -> bool:
    """Whether an open file is where its name says, with no link on the way."""
    there = str(Path(f"/proc/self/fd/{file}").readlink()).removesuffix(" (deleted)")
    return there == f"{os.path.realpath(folder)}/{name}"


def read_part(folder: Path, name: str, header: bytes | None) -> Part | None:
    """What is asked for of a file; None where it is no plain file, or too much at once.

    Notes
    -----
    Nothing below a cube's folder is a link: one that somebody put there is not followed. A cube that is exchanged while
    its file is being opened looks the same, for the file is then in the folder that the old one went to; so it is
    looked at again.
    """
    for _ in range(TRIES):
        found = _read_part(folder, name, header)
        if found is not NOTHING:
            break
    return found


def _read_part(folder: Path, name: str, header: bytes | None) -> Part | None:  # noqa: PLR0911 - one for each kind of file
    try:
        file = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return NOTHING if error.errno == errno.ELOOP else None
    try:
        facts = os.fstat(file)
        if stat.S_ISDIR(facts.st_mode):
            return None
        if not stat.S_ISREG(facts.st_mode) or not _lies_at(file, folder, name):
            return NOTHING
        size = facts.st_size
        etag = b'ETag: "%x-%x-%x"\r\n' % (facts.st_mtime_ns, facts.st_ino, size)
        head = etag + b"Accept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n"
        wanted = span(header, size)
        if wanted is None:
            return Part(416, head + b"Content-Range: bytes */%d\r\n" % size, b"")
        begin, length = wanted
        if length > MAX_WHOLE_BYTES:
            return None
        body = os.pread(file, length, begin)
        if (begin, length) == (0, size):
            return Part(200, head, body)
        return Part(
            206, head + b"Content-Range: bytes %d-%d/%d\r\n" % (begin, begin + length - 1, size), body
        )
    finally:
        os.close(file)


def read_far_part(afar: Afar, place: str, name: str, header: bytes | None) -> Part | None:
    """What is asked for of an object in a bucket; None where there is none, or it is too much at once.

    Raises
    ------
    BucketError
        The bucket does not answer.
    """
    facts = afar.ask(place, lambda bucket: bucket.facts(name))
    if facts is None:
        return None
    etag, size = facts
    head = (
        b"ETag: " + etag.encode() + b"\r\nAccept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n"
    )
    wanted = span(header, size)
    if wanted is None:
        return Part(416, head + b"Content-Range: bytes */%d\r\n" % size, b"")
    begin, length = wanted
    if length > MAX_WHOLE_BYTES:
        return None
    got = (
        afar.ask(place, lambda bucket: bucket.get(name, start=begin, length=length, match=etag))
        if length
        else None
    )
    body = b"" if got is None else got.data
    if (begin, length) == (0, size):
        return Part(200, head, body)
    return Part(206, head + b"Content-Range: bytes %d-%d/%d\r\n" % (begin, begin + length - 1, size), body)
