"""What one account registered, for the platform's keeper: ``python -m cubehub_stac.account list|erase FOLDER ACCOUNT``.

It works on the files, whether the service runs or not; one that runs sees it within some seconds. It needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_stac import own_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOBODY, NOBODYS_NAME = "erased", "a former member"
"""Owner of a group's items whose own was erased; no account has such an id."""
_USAGE = "usage: python -m cubehub_stac.account list|erase FOLDER ACCOUNT\n"
_HALF_WRITTEN_S = 3600.0


def registered(folder: Path, account: str, left: list[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the files that are an account's; of one that can't be read nobody knows, and `left` gets its name."""
    for path in sorted(folder.glob("*/*.json")):
        try:
            kept = json.loads(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            left.append(f"{path.relative_to(folder)} can't be read: {_why(error)}")
            continue
        if isinstance(kept, dict) and kept.get("owner_id") == account:
            yield path, kept


def erase(folder: Path, account: str, now: float) -> dict[str, Any]:
    """Remove what an account registered for itself, and take its name off what it registered for groups.

    Parameters
    ----------
    folder, account
        Where items are kept, and whose.
    now
        Seconds since 1970.

    Returns
    -------
    dict
        ``removed`` and ``kept``, each with collection, id, title and group, and ``left`` with what could not be done.

    Notes
    -----
    What a group works with is the group's, as its members rely on it: of the person it says who registered it, and that
    goes. Whether the item itself tells of the person, only somebody who reads it can say; so each is listed.
    """
    done: dict[str, Any] = {"removed": [], "kept": [], "left": []}
    for path, kept in registered(folder, account, done["left"]):
        told = _told(kept)
        try:
            if kept.get("group"):
                nobodys = {**kept, "owner_id": NOBODY, "owner_name": NOBODYS_NAME}
                # as ASCII: half a surrogate pair, which a file may name, is no UTF-8
                own_files.put(path, json.dumps(nobodys).encode())
                done["kept"].append(told)
            else:
                path.unlink()
                done["removed"].append(told)
                _leave(path.parent)
        except OSError as error:
            done["left"].append(f"{told['collection']}/{told['id']}: {_why(error)}")
    _clear(folder, account, now, done["left"])
    return done


def _clear(folder: Path, account: str, now: float, left: list[str]) -> None:
    """Remove what was being written when the power went: nothing reads it any more."""
    for path in folder.glob(f"*/{own_files.UNFINISHED}*"):
        try:
            kept = json.loads(path.read_bytes())
            theirs = isinstance(kept, dict) and kept.get("owner_id") == account
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            theirs = False
        try:
            if theirs or now - path.stat().st_mtime > _HALF_WRITTEN_S:
                path.unlink()
                _leave(path.parent)
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"{path.relative_to(folder)}: {_why(error)}")


def _leave(folder: Path) -> None:
    """Remove a folder in which nothing is left."""
    with suppress(OSError):  # others are in it
        folder.rmdir()
        folder = folder.parent
    own_files.settle(folder)


def _told(kept: dict[str, Any]) -> dict[str, Any]:
    item = kept.get("item")
    item = item if isinstance(item, dict) else {}
    properties = item.get("properties")
    title = properties.get("title") if isinstance(properties, dict) else None
    return {
        "collection": str(item.get("collection", "")),
        "id": str(item.get("id", "")),
        "title": str(title or item.get("id", "")),
        "group": kept.get("group"),
        "registered": str(kept.get("registered", "")),
    }


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or "it is no JSON"


def main(argv: Sequence[str] | None = None) -> int:
    """Write what is there, or what was done, as JSON."""
    given = list(sys.argv[1:] if argv is None else argv)
    if len(given) != 3 or given[0] not in {"list", "erase"} or not given[2] or given[2] == NOBODY:
        sys.stderr.write(_USAGE)
        return 2
    what, folder, account = given[0], Path(given[1]), given[2]
    if what == "erase":
        told = erase(folder, account, time.time())
    else:
        left: list[str] = []
        told = {"items": [kept for _, kept in registered(folder, account, left)], "left": left}
    sys.stdout.write(json.dumps(told, ensure_ascii=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
