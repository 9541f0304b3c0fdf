"""Whom a token of the Hub lets its bearer see and change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub.entitlements.rules import READ_SCOPE, WRITE_SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub.accounts.people import Person

_ENOUGH = {READ_SCOPE: (READ_SCOPE, WRITE_SCOPE), WRITE_SCOPE: (WRITE_SCOPE,)}


@dataclass(frozen=True)
class Reach:
    """The people that a scope is about."""

    everybody: bool = False
    users: frozenset[str] = frozenset()
    """User names, as `Person.key`."""
    groups: frozenset[str] = frozenset()
    """Group paths."""

    def __bool__(self) -> bool:
        return self.everybody or bool(self.users or self.groups)

    def includes(self, person: Person) -> bool:
        """Whether a person is among them; `Person.groups` must count these groups as ones that matter."""
        return self.everybody or person.key in self.users or bool(person.groups & self.groups)


def reach(scopes: Iterable[str], needed: str, bearer: str) -> Reach:
    """Read whom the scopes of a token let its bearer do something about.

    Parameters
    ----------
    scopes
        As the Hub lists them, such as ``custom:cubehub:users!group=/cubehub/class``.
    needed
        `READ_SCOPE` or `WRITE_SCOPE`; the second contains the first.
    bearer
        Name of the user whose token it is, which a bare ``!user`` stands for.

    Notes
    -----
    Filters that are about something else than people (``!server=…``) let nobody in.
    """
    everybody, users, groups = False, set(), set()
    for scope in scopes:
        base, _, narrowed = scope.partition("!")
        if base not in _ENOUGH[needed]:
            continue
        kind, equals, value = narrowed.partition("=")
        if not narrowed:
            everybody = everybody or "!" not in scope
        elif kind == "user":
            users.add((value if equals else bearer).lower())
        elif kind == "group" and value:
            groups.add(value)
    return Reach(everybody, frozenset(users - {""}), frozenset(groups))


def asker(model: dict[str, Any]) -> str:
    """Give the name that the audit log has for the bearer of a token."""
    name = str(model.get("name", ""))
    return f"service {name}" if model.get("kind") == "service" else name
