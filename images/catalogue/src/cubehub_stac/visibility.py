"""Who sees which collection: the ids of those that are not for everybody say it themselves.

Private items lie in collections of their own, so that what a person may see is a set of collections. The database keeps
each collection's items apart: a search that names its collections never reads a row of another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ACCOUNT = "account"
"""For whoever has an account."""
OWN, GROUP = "own.", "group."
NOTHING = OWN
"""An id that no collection has: behind the dot of a real one stands something."""
_SAFE = re.compile(rb"[A-Za-z0-9-]")


@dataclass(frozen=True)
class Person:
    """Who sends a request."""

    name: str
    id: str
    """Of the account; a name that is given away again later belongs to another one."""
    groups: frozenset[str] = field(default_factory=frozenset)
    """Paths in Keycloak."""
    operator: bool = False


def escape(text: str) -> str:
    """Write a text as letters, digits, - and _ alone; different texts stay different."""
    pieces = (bytes([b]) for b in text.encode("utf-8", "surrogatepass"))
    return "".join(p.decode() if _SAFE.fullmatch(p) else f"_{p[0]:02x}" for p in pieces)


def own_collection(account_id: str) -> str:
    """Id of the collection that one person sees.

    Raises
    ------
    ValueError
        For an account without an id: nobody's items would be everybody's who has none.
    """
    if not account_id:
        raise ValueError("the account has no id")
    return OWN + escape(account_id)


def group_collection(path: str) -> str:
    """Id of the collection that the members of a group see.

    Raises
    ------
    ValueError
        For a group without a path.
    """
    if not path:
        raise ValueError("the group has no path")
    return GROUP + escape(path)


def is_reserved(collection: str) -> bool:
    """Whether an id belongs to collections that are not for everybody."""
    return collection == ACCOUNT or collection.startswith((OWN, GROUP))


def readable(collection: str, person: Person | None) -> bool:
    """Whether a person, or somebody unknown (None), may see a collection; whether it exists plays no part."""
    if not is_reserved(collection):
        return True
    if person is None or not person.id:
        return False
    return collection in collections_of(person)


def collections_of(person: Person) -> frozenset[str]:
    """Ids of the collections that a person sees and not everybody does."""
    if not person.id:
        return frozenset()
    groups = {group_collection(path) for path in person.groups if path}
    return frozenset({ACCOUNT, own_collection(person.id), *groups})
