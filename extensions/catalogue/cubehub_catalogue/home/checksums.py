"""Checksums of files as STAC writes them (extension *file*: multihash in hexadecimal)."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_BY_CODE = {
    0x11: "sha1", 0x12: "sha256", 0x13: "sha512", 0x14: "sha3_512", 0x15: "sha3_384", 0x16: "sha3_256",
    0x17: "sha3_224", 0x20: "sha384", 0xD5: "md5",
}  # fmt: skip
"""https://github.com/multiformats/multicodec/blob/master/table.csv, those that Python computes."""
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_PIECE = 2**20


@dataclass(frozen=True)
class Checksum:
    """What a file must come to."""

    algorithm: str
    digest: str

    def holds(self, file: int, gone: Callable[[], bool] = lambda: False) -> bool:
        """Read a file and compare; minutes for a large one, so in a thread of its own.

        Parameters
        ----------
        file
            Its descriptor.
        gone
            Whether nobody waits for it any more.
        """
        made = hashlib.new(self.algorithm, usedforsecurity=False)
        place = 0
        while data := os.pread(file, _PIECE, place):
            made.update(data)
            place += len(data)
            if gone():
                return False
        return made.hexdigest() == self.digest


def checksum_of(asset: dict[str, Any]) -> Checksum | None:
    """Read the checksum of an asset; None where it has none, or one that can't be computed here.

    Notes
    -----
    Some catalogues write the bare digest in place of a multihash; it is told by its length.
    """
    for key in ("file:checksum", "checksum:multihash"):
        text = asset.get(key)
        if isinstance(text, str):
            return _multihash(text.strip().lower())
    return None


def _multihash(text: str) -> Checksum | None:
    try:
        code, rest = _varint(bytes.fromhex(text))
        length, digest = _varint(rest)
    except ValueError:
        code, length, digest = -1, 0, b""
    algorithm = _BY_CODE.get(code)
    if algorithm is not None and length == len(digest) == hashlib.new(algorithm).digest_size:
        return Checksum(algorithm, digest.hex())
    bare = _BY_LENGTH.get(len(text)) if set(text) <= set("0123456789abcdef") else None
    return Checksum(bare, text) if bare is not None else None


def _varint(data: bytes) -> tuple[int, bytes]:
    """Read an unsigned varint (LEB128)."""
    value = 0
    for place, byte in enumerate(data[:9]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, data[place + 1 :]
    raise ValueError("no varint")
