"""Who may see which cube: the decision, free of any server."""

import fnmatch
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Access(StrEnum):
    """Who may see a cube: everybody, people with an account and the permission, or members of certain groups."""

    PUBLIC = "public"
    ACCOUNT = "account"
    GROUPS = "groups"


@dataclass(frozen=True)
class Rule:
    """The access rule of one cube; ``groups`` holds Keycloak group paths and matters for `Access.GROUPS` only."""

    access: Access
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Identity:
    """What a verified token says about its holder.

    Attributes
    ----------
    subject : str
        Keycloak's id of the person.
    permissions : frozenset of str
        Such as ``read:dataset:*``; the dataset part is a pattern.
    groups : frozenset of str
        Group paths, such as ``/cubehub/standard``.
    expires : float
        Unix time at which the token ends.
    """

    subject: str
    permissions: frozenset[str] = field(default_factory=frozenset)
    groups: frozenset[str] = field(default_factory=frozenset)
    expires: float = 0.0


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """Read the claims of a verified token; a list claim that is absent or no list grants nothing."""
    return Identity(
        subject=str(claims["sub"]),
        permissions=_strings(claims.get("permissions")),
        groups=_strings(claims.get("groups")),
        expires=float(claims["exp"]),
    )


def _strings(value: object) -> frozenset[str]:
    return frozenset(v for v in value if isinstance(v, str)) if isinstance(value, list) else frozenset()


def permission(cube: str) -> str:
    """The permission that reading a cube takes, in xcube's words."""
    return f"read:dataset:{cube}"


def may_read(cube: str, rule: Rule | None, identity: Identity | None) -> bool:
    """Decide whether a person may read a cube.

    Parameters
    ----------
    cube : str
        Id of the published cube.
    rule : Rule or None
        Its rule; None for a dataset that nobody published.
    identity : Identity or None
        The person; None without a token.

    Returns
    -------
    bool
        False whenever anything is unknown.
    """
    if rule is None:
        return False
    if rule.access is Access.PUBLIC:
        return True
    if identity is None or not any(fnmatch.fnmatchcase(permission(cube), p) for p in identity.permissions):
        return False
    return rule.access is Access.ACCOUNT or bool(rule.groups & identity.groups)


current_identity: ContextVar[Identity | None] = ContextVar("current_identity", default=None)
"""The person whose request is being answered. Nobody, unless the request handler has verified a token: code that runs
outside of a request sees public cubes only."""


@dataclass(frozen=True)
class Policy:
    """The rules of all published datasets.

    Attributes
    ----------
    rules : mapping of str to Rule
        By cube id.
    cubes : mapping of str to str
        Cube id of every dataset id that the server knows, so that helper datasets (the time-chunked copy) fall under
        the rule of their cube.
    """

    rules: Mapping[str, Rule]
    cubes: Mapping[str, str]

    def allows(self, dataset_id: str) -> bool:
        """Whether the current request may touch this dataset."""
        cube = self.cubes.get(dataset_id)
        return cube is not None and may_read(cube, self.rules.get(cube), current_identity.get())

    def is_public(self, dataset_id: str) -> bool:
        """Whether everybody may see it."""
        rule = self.rules.get(self.cubes.get(dataset_id, ""))
        return rule is not None and rule.access is Access.PUBLIC
