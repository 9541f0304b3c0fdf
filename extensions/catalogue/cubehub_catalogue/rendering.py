"""Makes a picture of its own from one that somebody else sent: decoded within limits, made small, written anew."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from cubehub_catalogue.picture_links import Size

MOST_PIXELS = 40_000_000
EDGES: dict[Size, int] = {"thumbnail": 256, "quicklook": 1024}
"""The longer side at most."""
_KINDS = ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
_QUALITY = 84
_MORE_THAN_8_BITS = ("I;16", "I;16B", "I;16L", "I", "F")
_BROKEN = (
    UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError,
    ArithmeticError, EOFError, MemoryError, struct.error, Warning,
)  # fmt: skip
"""What Pillow's readers raise on broken files."""


class NotAPictureError(Exception):
    """What came is no picture that is shown; says why."""


@dataclass(frozen=True)
class Picture:
    """A picture that may be sent to a browser."""

    data: bytes
    media_type: str
    width: int
    height: int


def kind_of(data: bytes) -> str | None:
    """Tell the kind of a picture by its first bytes, whatever its sender calls it; None for all that is not shown."""
    for start, kind in _KINDS:
        if data.startswith(start):
            return kind
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def render(data: bytes, size: Size) -> Picture:
    """Decode a picture and write it anew; runs for up to a second, so in a thread of its own.

    Raises
    ------
    NotAPictureError
        It is none, is broken, or has more pixels than allowed.
    """
    kind = kind_of(data)
    if kind is None:
        raise NotAPictureError("it is no PNG, JPEG, WebP or GIF")
    try:
        made = _decode(data, kind, EDGES[size])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except _BROKEN as error:
        raise NotAPictureError("it is broken") from error
    written = io.BytesIO()
    if made.mode == "RGBA":
        made.save(written, "PNG")
        return Picture(written.getvalue(), "image/png", made.width, made.height)
    made.save(written, "JPEG", quality=_QUALITY)
    return Picture(written.getvalue(), "image/jpeg", made.width, made.height)


def _decode(data: bytes, kind: str, edge: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=(kind,)) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise _too_large()
        opened.draft("RGB", (edge * 2, edge * 2))  # a JPEG is decoded no larger than needed
        made = _plain(opened)
    made.thumbnail((edge, edge))
    made.info = {}  # comments, colour profiles and the like would be written again
    return made


def _plain(opened: Image.Image) -> Image.Image:
    """Give the first frame in RGB, or in RGBA where something is transparent, turned as its camera says."""
    opened.load()
    turned = ImageOps.exif_transpose(opened)
    if turned.mode in _MORE_THAN_8_BITS:
        turned = _stretched(turned.convert("F"))
    transparent = turned.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in turned.info
    made = turned.convert("RGBA" if transparent else "RGB")
    if made.mode == "RGBA" and made.getchannel("A").getextrema() == (255, 255):
        return made.convert("RGB")
    return made


def _stretched(image: Image.Image) -> Image.Image:
    """Spread the values of a picture with more than 8 bits over the 8 of a screen."""
    low, high = (float(str(edge)) for edge in image.getextrema())
    scale = 255.0 / (high - low) if high > low else 1.0
    return image.point(lambda value: value * scale + -low * scale).convert("L")


def _too_large() -> NotAPictureError:
    return NotAPictureError(f"it has more than {MOST_PIXELS // 10**6} million pixels")
