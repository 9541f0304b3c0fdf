"""Trees with everything a file system has, packed and unpacked."""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cubehub.storage.archive import Packed, Unpacked, Verified, pack, unpack, verify

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in (
        (1, 7, 0xFFFFFFFF),
        (2, 5, 12345),
        (4, 5, 0xFFFFFFFF),
        (16, 5, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    )
)
"""user::rwx user:12345:r-x group::r-x mask::r-x other::---, as the kernel has it."""
OLD_NS = 1_000_000_000_123_456_789


@dataclass
class Packing:
    """An archive in memory."""

    packed: Packed
    archive: bytes
    listing: bytes

    def verify(self) -> Verified:
        return verify(io.BytesIO(self.archive), io.BytesIO(self.listing), self.packed.seal)

    def unpack(self, to: Path, **more: Any) -> Unpacked:
        to.mkdir(exist_ok=True)
        at = os.open(to, os.O_RDONLY)
        more = {"seal": self.packed.seal, **more}
        try:
            return unpack(io.BytesIO(self.archive), io.BytesIO(self.listing), at, **more)
        finally:
            os.close(at)


def packing(of: Path, **more: Any) -> Packing:
    archive, listing = io.BytesIO(), io.BytesIO()
    at = os.open(of.parent, os.O_RDONLY)
    try:
        packed = pack(at, os.fsencode(of.name), archive, listing, **more)
    finally:
        os.close(at)
    return Packing(packed, archive.getvalue(), listing.getvalue())


def everything(of: Path) -> dict[bytes, Any]:
    """All that a copy has to keep, by path."""
    found: dict[bytes, Any] = {}
    top = os.fsencode(of)
    inodes: dict[int, list[bytes]] = {}

    def look(path: bytes, relative: bytes) -> None:
        facts = os.lstat(path)
        kind = stat.S_IFMT(facts.st_mode)
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        content: Any = None
        if kind == stat.S_IFREG:
            inodes.setdefault(facts.st_ino, []).append(relative)
            content = (
                facts.st_size,
                Path(os.fsdecode(path)).read_bytes() if facts.st_size < 1 << 24 else b"",
            )
        elif kind == stat.S_IFLNK:
            content = os.readlink(path)  # noqa: PTH115 - bytes
        elif kind in {stat.S_IFCHR, stat.S_IFBLK}:
            content = facts.st_rdev
        found[relative] = (
            kind, stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_mtime_ns, attributes, content
        )  # fmt: skip
        if kind == stat.S_IFDIR:
            for name in os.listdir(path):  # noqa: PTH208 - bytes
                look(path + b"/" + name, relative + b"/" + name)

    look(top, b"")
    found[b"names of one file"] = tuple(
        sorted(tuple(sorted(names)) for names in inodes.values() if len(names) > 1)
    )
    return found


def make_sparse(file: Path, size: int, *pieces: tuple[int, bytes]) -> None:
    with file.open("wb") as made:
        made.truncate(size)
        for at, data in pieces:
            made.seek(at)
            made.write(data)


def rich_tree(at: Path) -> Path:
    """A folder with all kinds of files that need no root."""
    top = at / "from" / "item"
    (top / "deep" / "er").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o1775)
    (top / "notebook.ipynb").write_text("{}")
    (top / "large").write_bytes(os.urandom(3_000_001))
    (top / "none").touch()
    os.link(top / "notebook.ipynb", top / "deep" / "second.ipynb")
    (top / "deep" / "link").symlink_to("../notebook.ipynb")
    (top / "broken").symlink_to("/nowhere/" + "x" * 200)
    os.mkfifo(top / "pipe", 0o640)
    for name in (b"line\nend", b"\xff\xfe no text", b"%41 = %", "Jõhvi šunka".encode(), b"n" * 255):
        Path(os.fsdecode(os.fsencode(top) + b"/" + name)).write_bytes(name)
    long = top / ("d" * 200) / ("e" * 200)
    long.mkdir(parents=True)
    (long / "file").write_text("far")
    os.link(long / "file", long / "again")
    make_sparse(top / "holes", 10_000_000, (0, b"begin"), (5_000_000, b"x" * 100_000))
    make_sparse(top / "hole", 1 << 40)
    (top / "rights").write_text("x")
    os.setxattr(top / "rights", "user.any=%", b"\0 = \xff\n")
    os.setxattr(top / "rights", "system.posix_acl_access", ACL)
    os.setxattr(top / "empty", "system.posix_acl_default", ACL)
    (top / "rights").chmod(0o4751)
    (top / "before").write_text("x")
    os.utime(top / "before", ns=(0, -1_500_000_001))
    for folder, _, files in os.walk(os.fsencode(top), topdown=False):
        for name in files:
            if name != b"before":
                os.utime(folder + b"/" + name, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
        os.utime(folder, ns=(OLD_NS, OLD_NS + 1))
    return top


def make_socket(at: Path) -> None:
    made = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(at.parent)
    made.bind(at.name)
    made.close()
    os.chdir(before)
