"""Names of files as people can read, copy and type them: a file's name may be any bytes."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[%\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")


def readable(name: bytes) -> str:
    """A name or path in text: what is no text, moves the cursor or turns the line around stands as ``%XX``.

    Notes
    -----
    `original` gives the bytes back; so a line of a plan is one line, whatever a file is called.
    """
    text = name.decode("utf-8", "surrogateescape")
    return _UNSAFE.sub(lambda found: _percent(found[0]), text)


def original(text: str) -> bytes:
    """The bytes that `readable` was given."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8", "surrogateescape"))


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogateescape"))
