"""The storage service's answers, checked: a page gets what has the right form, and nothing else."""

from __future__ import annotations

import itertools
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_PATH = 16_384
"""4096 bytes, each of which may stand as ``%XX``, and room."""
_LONGEST_TEXT = 1000
_MOST_ROWS = 1000
"""Of each list; a page that is to stay quick shows no more."""
_LARGEST = 2**63 - 1
STATES = ("quarantined", "archived", "purged")
KEEPERS = ("you", "admin", "file")


class UnreadableError(Exception):
    """An answer is not of its form; says where, and repeats nothing of it."""


def read_mine(answer: Any) -> dict[str, Any]:
    """Check what the service knows of a home.

    Raises
    ------
    UnreadableError
        When anything in it is not of its form. A row that is not is never left out: a person would take the thing for
        gone. Where a list is longer than a page shows, ``left_out`` tells how many there are beyond.
    """
    top = _object(answer, "the answer")
    scan = top.get("scan")
    return {
        "home": _text(top, "home"),
        "limit_bytes": _whole_or_none(top, "limit_bytes"),
        "scan": None if scan is None else _scan(_object(scan, "scan")),
        "noticed": _rows(top, "noticed", _noticed),
        "away": _rows(top, "away", _away),
        "kept": _rows(top, "kept", _kept),
        "left_out": {name: max(0, len(top[name]) - _MOST_ROWS) for name in ("noticed", "away", "kept")},
    }


def read_inside(answer: Any) -> dict[str, Any]:
    """Check what is said to be in something that was moved away; raises as `read_mine`."""
    return {"entries": _rows(_object(answer, "the answer"), "entries", _entry)}


def read_restored(answer: Any) -> dict[str, Any]:
    """Check what was brought back; raises as `read_mine`."""
    top = _object(answer, "the answer")
    return {"restored": _text(top, "restored", _LONGEST_PATH), "bytes": _whole(top, "bytes")}


def _scan(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "ended": _moment(found, "ended"),
        "bytes": _whole(found, "bytes"),
        "files": _whole(found, "files"),
        "places": _largest(_every(found, "places", _place)),
        "caches": _rows(found, "caches", _cache),
        "large": _largest(_every(found, "large", _large)),
    }


def _place(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": _text(row, "path", _LONGEST_PATH),
        "bytes": _whole(row, "bytes"),
        "files": _whole(row, "files"),
        "newest": _seconds(row, "newest"),
    }


def _cache(row: dict[str, Any]) -> dict[str, Any]:
    return {"kind": _text(row, "kind"), "bytes": _whole(row, "bytes"), "about": _text(row, "about")}


def _large(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": _text(row, "path", _LONGEST_PATH),
        "bytes": _whole(row, "bytes"),
        "newest": _seconds(row, "newest"),
    }


def _noticed(row: dict[str, Any]) -> dict[str, Any]:
    notice = _whole(row, "notice")
    if notice not in {1, 2}:
        raise UnreadableError("“notice” is neither 1 nor 2")
    return {
        "path": _text(row, "path", _LONGEST_PATH),
        "kind": _text(row, "kind"),
        "reason": _text(row, "reason"),
        "bytes": _whole(row, "bytes"),
        "when": _moment(row, "when"),
        "notice": notice,
    }


def _away(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": _whole(row, "number"),
        "path": _text(row, "path", _LONGEST_PATH),
        "kind": _text(row, "kind"),
        "bytes": _whole(row, "bytes"),
        "state": _one_of(row, "state", STATES),
        "since": _moment(row, "since"),
        "until": _moment_or_none(row, "until"),
        "archived": _truth(row, "archived"),
    }


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": _text(row, "path", _LONGEST_PATH),
        "until": _moment_or_none(row, "until"),
        "by": _one_of(row, "by", KEEPERS),
    }


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": _text(row, "path", _LONGEST_PATH),
        "bytes": _whole(row, "bytes"),
        "folder": _truth(row, "folder"),
    }


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableError(f"“{name}” is no object")
    return value


def _every(found: dict[str, Any], name: str, read: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Any]:
    rows = found.get(name)
    if not isinstance(rows, list):
        raise UnreadableError(f"“{name}” is no list")
    return [read(_object(row, f"{name}: a row")) for row in rows]


def _rows(found: dict[str, Any], name: str, read: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Any]:
    rows = found.get(name)
    if not isinstance(rows, list):
        raise UnreadableError(f"“{name}” is no list")
    return [read(_object(row, f"{name}: a row")) for row in itertools.islice(rows, _MOST_ROWS)]


def _largest(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: (-row["bytes"], row["path"]))[:_MOST_ROWS]


def _text(row: dict[str, Any], name: str, longest: int = _LONGEST_TEXT) -> str:
    value = row.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise UnreadableError(f"“{name}” is no text of at most {longest} letters")
    return value


def _whole(row: dict[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise UnreadableError(f"“{name}” is no whole number from 0 on")
    return value


def _whole_or_none(row: dict[str, Any], name: str) -> int | None:
    return None if row.get(name) is None else _whole(row, name)


def _seconds(row: dict[str, Any], name: str) -> float:
    """Seconds since 1970; files may claim any time, so also before it."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise UnreadableError(f"“{name}” is no time in seconds")
    if not math.isfinite(value):
        raise UnreadableError(f"“{name}” is no time in seconds")
    return value


def _truth(row: dict[str, Any], name: str) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise UnreadableError(f"“{name}” is neither true nor false")
    return value


def _one_of(row: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = row.get(name)
    if not isinstance(value, str) or value not in known:
        raise UnreadableError(f"“{name}” is none of {', '.join(known)}")
    return value


def _moment(row: dict[str, Any], name: str) -> str:
    value = _text(row, name)
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise UnreadableError(f"“{name}” is no date") from error
    return value


def _moment_or_none(row: dict[str, Any], name: str) -> str | None:
    return None if row.get(name) is None else _moment(row, name)
