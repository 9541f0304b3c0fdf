"""PNG images of palette numbers: the compressed part apart from the colours, so that either can be exchanged.

References
----------
PNG specification, third edition (W3C, 2025): chunk layout 5.3, IHDR 11.2.1, PLTE 11.2.2, tRNS 11.3.1.1.
"""

import struct
import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EFFORT = 1
"""Of isal's 0 to 3; measured: 2 and 3 save few bytes for half as much time again."""
_PALETTE, _RGBA = 3, 6


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk: length, kind, data, CRC-32."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


END = chunk(b"IEND", b"")


@lru_cache(maxsize=16)
def head(width: int, height: int, kind: int = _PALETTE) -> bytes:
    """Signature and IHDR of an image of 8 bits a sample."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))


def body(scanlines: npt.NDArray[np.uint8]) -> bytes:
    """The IDAT chunk of scanlines, shape (height, 1 + width): a filter type of 0 before each."""
    return chunk(b"IDAT", isal_zlib.compress(scanlines.data, EFFORT))


class Palette:
    """The colours of an image, as chunks.

    Parameters
    ----------
    rgba : ndarray of uint8, shape (n, 4), n at most 256
        Colours by number.
    """

    def __init__(self, rgba: npt.NDArray[np.uint8]) -> None:
        self.rgba = rgba
        self._colours = rgba[:, :3]
        self._made: dict[int, bytes] = {}

    def chunks(self, clear: int) -> bytes:
        """PLTE and tRNS where the number ``clear`` stands for nothing, -1 if none does."""
        made = self._made.get(clear)
        if made is None:
            colours = np.zeros((max(len(self.rgba), clear + 1), 3), np.uint8)
            colours[: len(self.rgba)] = self._colours
            alpha = np.full(len(colours), 255, np.uint8)
            alpha[: len(self.rgba)] = self.rgba[:, 3]
            if clear >= 0:
                alpha[clear] = 0
            solid = np.flatnonzero(alpha != 255)
            made = chunk(b"PLTE", colours.tobytes())
            if solid.size:
                made += chunk(b"tRNS", alpha[: solid[-1] + 1].tobytes())
            self._made[clear] = made
        return made


def assemble(size: int, palette: Palette, clear: int, idat: bytes) -> bytes:
    """A square image from its parts."""
    return b"".join((head(size, size), palette.chunks(clear), idat, END))


def true_colour(rgba: npt.NDArray[np.uint8]) -> bytes:
    """An image, shape (height, width, 4), without a palette."""
    height, width, _ = rgba.shape
    lines = np.zeros((height, 1 + 4 * width), np.uint8)
    lines[:, 1:] = rgba.reshape(height, 4 * width)
    return head(width, height, _RGBA) + body(lines) + END


@lru_cache(maxsize=8)
def transparent(size: int) -> bytes:
    """A square image of nothing."""
    return assemble(size, Palette(np.zeros((1, 4), np.uint8)), 0, body(np.zeros((size, size + 1), np.uint8)))
