"""What is in something that is away: the first of it, in the order of its folders."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.storage import beneath
from cubehub.storage.archive import Seal, contents, manifest
from cubehub.storage.grounds import FOLDER, ITEM
from cubehub.storage.journal import PURGED
from cubehub.storage.places import LISTING
from cubehub.storage.trees import folder_in

if TYPE_CHECKING:
    from cubehub.storage.archive import Store
    from cubehub.storage.journal import Move

Line = tuple[bytes, int, bool]
"""Path in what was moved, bytes, and whether it is a folder."""


def look(homes: Path, made: Move, store: Store | None, most: int) -> list[Line]:
    """What is in it, at most so many lines; nothing for a file.

    Raises
    ------
    CubeHubError
        It cannot be looked into.
    """
    try:
        if made.state != PURGED:
            return _in_quarantine(homes, made, most)
        return _in_archive(made, store, most)
    except OSError as error:
        raise CubeHubError(
            f"It cannot be looked into: {error.strerror}.",
            "Bring it back as a whole, or ask your administrator.",
        ) from error


def _in_quarantine(homes: Path, made: Move, most: int) -> list[Line]:
    slot = os.open(Path(homes) / os.fsdecode(FOLDER) / str(made.id), beneath.FOLDER)
    found: list[Line] = []
    try:
        if not stat.S_ISDIR(beneath.look(slot, ITEM).mode):
            return []
        waiting = [b""]
        while waiting and len(found) < most:
            path = waiting.pop(0)
            with folder_in(slot, b"/".join(part for part in (ITEM, path) if part)) as folder:
                for name in sorted(os.listdir(b"/proc/self/fd/%d" % folder)):  # noqa: PTH208 - names as bytes
                    if len(found) >= most:
                        break
                    facts = beneath.look(folder, name)
                    below = path + b"/" + name if path else name
                    is_folder = stat.S_ISDIR(facts.mode)
                    found.append((below, 0 if is_folder else facts.blocks * 512, is_folder))
                    if is_folder:
                        waiting.append(below)
    finally:
        os.close(slot)
    return found[:most]


def _in_archive(made: Move, store: Store | None, most: int) -> list[Line]:
    if store is None or made.seal is None or made.listing is None:
        raise CubeHubError(
            "Its archive cannot be reached.", "Ask your administrator: no place for archives is set."
        )
    found: list[Line] = []
    with store.open(f"{made.archive}{LISTING}") as source:
        for member in contents(source, Seal(made.seal, made.listing)):
            path = member.path.partition(b"/")[2]
            if path:
                found.append((path, member.size, member.type == manifest.FOLDER))
            if len(found) >= most:
                break
    return found
