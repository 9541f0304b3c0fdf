"""For whom tokens are handed out: the catalogues that the operator lets be asked as the person."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def person_audiences(path: Path) -> frozenset[str]:
    """Read from catalogues.yaml the audiences of those with ``auth: {type: person}``.

    Notes
    -----
    The server's own reader looks at the whole file and tells what is wrong with it. Here a file, or an entry, that
    can't be read lets nobody have anything. It is parsed once until it changes.
    """
    try:
        # before it is read: what is written meanwhile has another stamp
        stamp = path.stat()
        return _read(path, (stamp.st_dev, stamp.st_ino, stamp.st_mtime_ns, stamp.st_size))
    except OSError:
        return frozenset()


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: tuple[int, ...]) -> frozenset[str]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError, RecursionError):
        return frozenset()
    entries = content.get("catalogues") if isinstance(content, dict) else None
    ways = (
        [entry.get("auth") for entry in entries if isinstance(entry, dict)]
        if isinstance(entries, list)
        else []
    )
    named = [way.get("audience") for way in ways if isinstance(way, dict) and way.get("type") == "person"]
    return frozenset(one for one in named if isinstance(one, str) and one)
