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
def realm(whole: Whole) -> Iterator[AdminApi]:
    """Open Keycloak's admin API with every right."""
    with AdminApi(
        whole.keycloak_url, BOOTSTRAP_CLIENT, whole.secrets.get(BOOTSTRAP_SECRET), "cubehub"
    ) as api:
        yield api


def user_id(api: AdminApi, person: str) -> str:
    """Keycloak's id of an account."""
    return next(str(one["id"]) for one in api.get("users", username=person, exact=True))


@contextlib.contextmanager
def without_group(whole: Whole, person: str, path: str) -> Iterator[None]:
    """Take somebody out of a group for a while."""
    with realm(whole) as api:
        membership = f"users/{user_id(api, person)}/groups/{api.group(path)['id']}"
        api.delete(membership)
        try:
            yield
        finally:
            api.put(membership, {})


@contextlib.contextmanager
def in_group(whole: Whole, person: str, path: str) -> Iterator[None]:
    """Put somebody into a group for a while."""
    with realm(whole) as api:
        membership = f"users/{user_id(api, person)}/groups/{api.group(path)['id']}"
        api.put(membership, {})
        try:
            yield
        finally:
            api.delete(membership)


@contextlib.contextmanager
def suspended(whole: Whole, person: str) -> Iterator[None]:
    """Switch somebody's account off for a while."""
    with realm(whole) as api:
        path = f"users/{user_id(api, person)}"
        api.put(path, api.get(path) | {"enabled": False})
        try:
            yield
        finally:
            api.put(path, api.get(path) | {"enabled": True})
