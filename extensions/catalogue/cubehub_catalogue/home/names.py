"""Names of files from what a catalogue says: pure, and harmless whatever it says."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

LONGEST = 120
"""Bytes; room is left for numbers and endings within the 255 of a file system."""
_OTHERS = re.compile(r"[^\w.+=@-]+")
_DOTS = re.compile(r"\.{2,}")


def safe_name(text: str, fallback: str = "asset") -> str:
    """Give a name of one file or folder: letters, digits and few signs, never hidden, never an option of a command.

    Parameters
    ----------
    text
        What it should be called.
    fallback
        Its name where nothing of the text can be kept.
    """
    made = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode())
    made = _DOTS.sub(".", _OTHERS.sub("_", made)).strip("._-=+@ ")
    if len(made.encode()) > LONGEST:
        stem, dot, ending = made.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 12 else ""
        kept = made.encode()[: LONGEST - len(ending.encode())].decode("utf-8", "ignore")
        made = kept.rstrip("._-") + ending
    return made or fallback


def name_of(url: str, key: str) -> str:
    """Give the name of an asset's file: the last part of its address, else the asset's key."""
    try:
        path = urlsplit(url).path
    except ValueError:
        path = ""
    last = unquote(path.rstrip("/").rpartition("/")[2])
    return safe_name(last, safe_name(key))


def numbered(name: str, number: int) -> str:
    """Put a number before the ending of a name; 0 leaves it."""
    if number == 0:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{number}{dot}{ending}" if stem else f"{name}-{number}"


def folder_parts(text: str) -> tuple[str, ...] | None:
    """Read a folder below the home, as a person or the panel writes it; None for one that must not be written to.

    Notes
    -----
    Hidden folders hold what programs are told, such as keys of log-ins; nothing is downloaded there.
    """
    if len(text) > 1000 or "\x00" in text or "\\" in text or text.startswith("/"):
        return None
    parts = tuple(part for part in text.split("/") if part)
    if (
        any(part.startswith(".") or len(part.encode("utf-8", "replace")) > 255 for part in parts)
        or len(parts) > 30
    ):
        return None
    if any(not part.isprintable() for part in parts):
        return None
    return parts
