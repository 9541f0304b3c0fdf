"""Who may see which cube: the decision, free of any server."""

import fnmatch
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Access(StrEnum):
    """Who may see a cube: everybody, or with the permission all accounts, members of groups, or its owner alone."""

    PUBLIC = "public"
    ACCOUNT = "account"
    GROUPS = "groups"
    OWNER = "owner"


@dataclass(frozen=True)
class Rule:
    """The access rule of one cube.

    Attributes
    ----------
    access : Access
        Who in general.
    groups : frozenset of str
        Keycloak group paths; matters for `Access.GROUPS` only.
    owner : str
        Keycloak's id or user name of a person who may read it too; empty for nobody. Matters for `Access.GROUPS` and
        `Access.OWNER`.
    """

    access: Access
    groups: frozenset[str] = frozenset()
    owner: str = ""


@dataclass(frozen=True)
class Identity:
    """What a verified token, or the realm when asked about one, says about its holder.

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
    username : str
        Empty where it is not told.
    """

    subject: str
    permissions: frozenset[str] = field(default_factory=frozenset)
    groups: frozenset[str] = field(default_factory=frozenset)
    expires: float = 0.0
    username: str = ""


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """Read the claims of a verified token; a list claim that is absent or no list grants nothing."""
    return Identity(
        subject=str(claims["sub"]),
        permissions=_strings(claims.get("permissions")),
        groups=_strings(claims.get("groups")),
        expires=float(claims["exp"]),
        username=_name(claims),
    )


def refreshed(identity: Identity, claims: Mapping[str, Any]) -> Identity | None:
    """Replace what a token says by what the realm says now; None if that is of somebody else.

    What the realm leaves out is gone: Keycloak omits the claim of somebody who is in no group.
    """
    if claims.get("sub") != identity.subject:
        return None
    return replace(
        identity,
        permissions=_strings(claims.get("permissions")),
        groups=_strings(claims.get("groups")),
        username=_name(claims),
    )


def _name(claims: Mapping[str, Any]) -> str:
    value = claims.get("preferred_username")
    return value if isinstance(value, str) else ""


def _strings(value: object) -> frozenset[str]:
    return frozenset(v for v in value if isinstance(v, str)) if isinstance(value, list) else frozenset()


def permission(cube: str) -> str:
    """The permission that reading a cube takes, in xcube's words."""
    return f"read:dataset:{cube}"


_ID = re.compile(r"(f:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?(1):.+)")
"""Keycloak's id of an account: a UUID, and for one of a directory outside also what that calls it."""


def is_owner(owner: str, identity: Identity) -> bool:
    """Whether a person is the one that a rule names, by id or by user name (in any case, as Keycloak takes them).

    What looks like an id is never compared with user names: somebody could take one that is another's id.
    """
    if _ID.fullmatch(owner):
        return owner == identity.subject
    return bool(owner) and owner.lower() == identity.username.lower()


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
    if rule.access is Access.ACCOUNT:
        return True
    in_group = rule.access is Access.GROUPS and bool(rule.groups & identity.groups)
    return in_group or is_owner(rule.owner, identity)


current_identity: ContextVar[Identity | None] = ContextVar("current_identity", default=None)
"""The person whose request is being answered. Nobody, unless the request handler has confirmed a token: code that runs
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
