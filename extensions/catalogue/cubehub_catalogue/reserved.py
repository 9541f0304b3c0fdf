"""Collections of the platform's catalogue that are not for everybody: their ids are made of accounts and groups."""

from __future__ import annotations

import re

_OWN = re.compile(r"own\.[A-Za-z0-9_-]+")
_GROUP = re.compile(r"group\.([A-Za-z0-9_-]+)")
_ESCAPED = re.compile(r"(?:_[0-9a-f]{2})+")


def is_reserved(collection: str | None) -> bool:
    """Tell whether it is that of a person or of a group."""
    return collection is not None and reserved_title(collection) is not None


def reserved_title(collection: str) -> str | None:
    """Give a title that a person reads, "Mine" or "Group standard"; None for all other collections.

    Notes
    -----
    A person sees no one else's, so what is somebody's own is theirs. Of a group's id the bytes that are no letters or
    digits are written as ``_2f``.
    """
    if _OWN.fullmatch(collection):
        return "Mine"
    if (match := _GROUP.fullmatch(collection)) is None:
        return None
    path = _ESCAPED.sub(lambda found: _text(found[0]), match[1]).strip("/")
    return f"Group {path.removeprefix('cubehub/')}"


def _text(escaped: str) -> str:
    text = bytes.fromhex(escaped.replace("_", "")).decode(errors="replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
