"""What may be kept of searches and items, and what of a file in a home can be used."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from cubehub_catalogue.asking import parse_query
from cubehub_catalogue.errors import CatalogueError, InputError

VERSION = 1
MOST = {"searches": 500, "favourites": 2000, "cart": 2000}
MOST_BYTES = 16 * 2**20
"""Of the whole file."""
MOST_ENTRY = 256 * 1024
_LONGEST_NAME, _LONGEST_ID, _MOST_CATALOGUES, _DEEPEST = 200, 500, 50, 40
NONE = '"none"'
"""Version of a file that is not there."""


class NewerError(CatalogueError):
    """The file is of a later version of this program."""

    status = 409


@dataclass(frozen=True)
class Kept:
    """What is in the file."""

    searches: list[dict[str, Any]] = field(default_factory=list)
    """``{id, name, query, catalogues}``."""
    favourites: list[dict[str, Any]] = field(default_factory=list)
    """``{catalogue, …}`` with what finds an item again: ``collection`` and ``id``, or the ``item`` itself."""
    cart: list[dict[str, Any]] = field(default_factory=list)
    version: str = NONE
    """A strong ETag."""
    problem: dict[str, Any] | None = None
    """``{code, message, hint}`` where the file was broken, and where it has been put."""

    def to_dict(self) -> dict[str, Any]:
        """Give the answer of the route."""
        told: dict[str, Any] = {"searches": self.searches, "favourites": self.favourites, "cart": self.cart}
        return told | ({"problem": self.problem} if self.problem else {})


def checked(value: Any) -> dict[str, list[dict[str, Any]]]:
    """Give what may be kept.

    Raises
    ------
    InputError
        Names the first part that can't be.
    """
    if not isinstance(value, dict):
        raise refused("It is no JSON object.")
    unknown = set(value) - set(MOST) - {"problem", "version"}
    if unknown:
        raise refused(f"There is no place for {min(map(str, unknown))[:60]!r}.")
    made: dict[str, list[dict[str, Any]]] = {}
    for name, most in MOST.items():
        listed = value.get(name, [])
        if not isinstance(listed, list):
            raise refused(f"{name} is no list.")
        if len(listed) > most:
            raise refused(
                f"{len(listed)} {name} are too many: {most} can be kept.",
                "Remove some that you no longer need.",
            )
        look = search if name == "searches" else _picked
        made[name] = [look(one, f"{name}: {number}") for number, one in enumerate(listed, 1)]
    ids = [one["id"] for one in made["searches"]]
    if len(set(ids)) < len(ids):
        raise refused("Two searches have the same id.")
    if len(dumped(made)) > MOST_BYTES:
        raise refused("This is more than 16 MiB.", "Remove some that you no longer need.")
    return made


def search(value: Any, where: str = "The search") -> dict[str, Any]:
    """Give a search as ``{id, name, query, catalogues}``.

    Raises
    ------
    InputError
        It is none.
    """
    if not isinstance(value, dict):
        raise refused(f"{where} is no search.")
    name, identity, catalogues = value.get("name"), value.get("id"), value.get("catalogues", [])
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise refused(f"{where} has no name, or one of more than {_LONGEST_NAME} letters.")
    if not isinstance(identity, str) or not 0 < len(identity) <= _LONGEST_ID:
        raise refused(f"{where} has no id.")
    if (
        not isinstance(catalogues, list)
        or len(catalogues) > _MOST_CATALOGUES
        or not all(map(_is_id, catalogues))
    ):
        raise refused(f"{where}: its catalogues are no list of ids.")
    try:
        parse_query(value.get("query"))
    except InputError as error:
        raise refused(f"{where}: {error.message}", error.hint) from error
    return _small(
        {"id": identity, "name": name.strip(), "query": value["query"], "catalogues": catalogues}, where
    )


def _picked(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not _is_id(value.get("catalogue")):
        raise refused(f"{where} names no catalogue.")
    item = value.get("item")
    identity = item.get("id") if isinstance(item, dict) else value.get("id")
    if not isinstance(identity, str) or not 0 < len(identity) <= _LONGEST_ID:
        raise refused(f"{where} names no item.")
    return _small(value, where)


def _small(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Refuse what is too large, too deep, or no JSON."""
    if _depth(value) > _DEEPEST:
        raise refused(f"{where} is nested too deeply.")
    try:
        text = json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise refused(f"{where} holds what can't be kept.") from error
    if len(text) > MOST_ENTRY:
        raise refused(f"{where} is larger than {MOST_ENTRY // 1024} KiB.")
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9-]{1,80}", value, re.ASCII) is not None


def parsed(content: bytes) -> tuple[Kept | None, str]:
    """Give what of a file can be used, and what is wrong with it; None where nothing can."""
    if len(content) > MOST_BYTES + 4096:
        return None, "it is larger than 16 MiB"
    value = loaded(content)
    if not isinstance(value, dict):
        return None, "it is no JSON object"
    version = value.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        raise NewerError(
            "saved_newer",
            "What you saved was written by a later version of CubeHub.",
            "Use that version; nothing was changed.",
        )
    made: dict[str, list[dict[str, Any]]] = {}
    wrong = [] if version == VERSION else ["it does not say its version"]
    for name, most in MOST.items():
        listed = value.get(name, [])
        if not isinstance(listed, list):
            wrong.append(f"{name} is no list")
            listed = []
        if len(listed) > most:
            wrong.append(f"{name} has more than {most} entries")
        made[name] = _usable(name, listed[:most], wrong)
    return Kept(made["searches"], made["favourites"], made["cart"], version_of(content)), "; ".join(wrong[:3])


def _usable(name: str, listed: list[Any], wrong: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, one in enumerate(listed, 1):
        try:
            made = (
                search(one, f"{name}: {number}") if name == "searches" else _picked(one, f"{name}: {number}")
            )
            if name == "searches" and made["id"] in seen:
                raise refused(f"{name}: {number} has the id of another")
        except InputError as error:
            wrong.append(error.message.rstrip("."))
            continue
        seen.add(str(made.get("id")))
        found.append(made)
    return found


def loaded(content: str | bytes) -> Any:
    """Read JSON; None for what is none."""
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(text: str) -> float:
    raise ValueError(text)


def plain(kept: Kept) -> dict[str, list[dict[str, Any]]]:
    """Give what is written of it."""
    return {"searches": kept.searches, "favourites": kept.favourites, "cart": kept.cart}


def dumped(value: dict[str, list[dict[str, Any]]]) -> bytes:
    """Write it as a file."""
    return (json.dumps({"version": VERSION, **value}, indent=1, allow_nan=False) + "\n").encode()


def version_of(content: bytes) -> str:
    """Give the strong ETag of a file."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def refused(message: str, hint: str = "Look at it again, then save again.") -> InputError:
    """Make the error of what can't be kept."""
    return InputError("bad_saved", message, hint)
