"""For whom tokens are handed out: the catalogues that the operator lets be asked as the person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def person_audiences(path: Path) -> frozenset[str]:
    """Read from catalogues.yaml the audiences of those with ``auth: {type: person}``.

    Notes
    -----
    The server's own reader looks at the whole file and tells what is wrong with it. Here a file, or an entry, that
    can't be read lets nobody have anything.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return frozenset()
    entries = content.get("catalogues") if isinstance(content, dict) else None
    ways = (
        [entry.get("auth") for entry in entries if isinstance(entry, dict)]
        if isinstance(entries, list)
        else []
    )
    named = [way.get("audience") for way in ways if isinstance(way, dict) and way.get("type") == "person"]
    return frozenset(one for one in named if isinstance(one, str) and one)
