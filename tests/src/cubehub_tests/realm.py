"""What an administrator does in Keycloak during a test, and the undoing of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cubehub.keycloak.admin import AdminApi
from cubehub.keycloak.server import BOOTSTRAP_CLIENT, BOOTSTRAP_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.platform import Whole


@contextlib.contextmanager
def without_group(whole: Whole, person: str, path: str) -> Iterator[None]:
    """Take somebody out of a group for a while."""
    with AdminApi(
        whole.keycloak_url, BOOTSTRAP_CLIENT, whole.secrets.get(BOOTSTRAP_SECRET), "cubehub"
    ) as api:
        user = next(one for one in api.get("users", username=person, exact=True) if one["username"] == person)
        membership = f"users/{user['id']}/groups/{api.group(path)['id']}"
        api._send("DELETE", api._below(membership))
        try:
            yield
        finally:
            api.put(membership, {})
