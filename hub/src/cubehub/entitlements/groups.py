"""The Hub's group API, to read: groups and their members are Keycloak's alone."""

from __future__ import annotations

from typing import Any, NoReturn

from jupyterhub.apihandlers.groups import (
    GroupAPIHandler,
    GroupListAPIHandler,
    GroupPropertiesAPIHandler,
    GroupUsersAPIHandler,
)
from jupyterhub.spawner import SpawnException


def _refuse() -> NoReturn:
    raise SpawnException(
        "Groups and their members are kept in Keycloak, so the Hub's API can't change them. "
        "Use `cubehub users move`, or Keycloak's own console.",
        reason="groups_managed",
        status_code=403,
    )


class _ReadOnly:
    """Mixin: the writes of a group handler, refused.

    Notes
    -----
    `Authenticator.manage_groups` leaves them open. What they write gives nobody a server, since the spawner asks
    Keycloak; but it stays until the next log-in and would mislead whoever reads it, roles of groups among them.
    """

    def post(self, *_names: Any) -> None:
        """Refuse."""
        _refuse()

    def put(self, *_names: Any) -> None:
        """Refuse."""
        _refuse()

    def delete(self, *_names: Any) -> None:
        """Refuse."""
        _refuse()


class GroupList(_ReadOnly, GroupListAPIHandler):
    """All groups."""


class Group(_ReadOnly, GroupAPIHandler):
    """One group."""


class GroupUsers(_ReadOnly, GroupUsersAPIHandler):
    """A group's members."""


class GroupProperties(_ReadOnly, GroupPropertiesAPIHandler):
    """A group's properties."""


HANDLERS = [
    (r"/api/groups", GroupList),
    (r"/api/groups/([^/]+)", Group),
    (r"/api/groups/([^/]+)/users", GroupUsers),
    (r"/api/groups/([^/]+)/properties", GroupProperties),
]
"""To come before the Hub's own, which answer to the same addresses."""
