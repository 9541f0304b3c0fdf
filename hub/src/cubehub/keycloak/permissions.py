"""What the platform's two service accounts may do in Keycloak: one looks people up, the other moves and suspends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub.keycloak.errors import ProvisionError
from cubehub.keycloak.realm import ACCOUNTS_CLIENT, DIRECTORY_CLIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.keycloak.admin import AdminApi

ROOT_GROUP = "/cubehub"
ADMIN_GROUP = "/cubehub/admin"
_READER_ROLE = "view-users"
_ACCOUNTS = "cubehub: the accounts service"
_NOT_ACCOUNTS = "cubehub: anyone but the accounts service"
_OUTDATED = (
    "cubehub: look people up and move them",
    "cubehub: see the groups",
    "cubehub: list the members",
    "cubehub: fill the groups",
)
"""Permissions that the directory's account had when it also moved people."""
_OUTDATED_POLICY = "cubehub: the directory's service account"


def allow_reading(api: AdminApi, log: Callable[[str], None]) -> None:
    """Let the directory's service account see people and groups, and change nothing.

    Notes
    -----
    It has Keycloak's own read-only role, not fine-grained permissions: Keycloak's permissions for *all users* are
    unanimous, so one that is granted to the accounts service alone would take the directory's away.
    """
    account = _service_account(api, DIRECTORY_CLIENT)
    management = api.client("realm-management")
    if management is None:
        raise ProvisionError("The realm lacks its client realm-management.", "Restore it from a backup.")
    mapped = f"users/{account}/role-mappings/clients/{management['id']}"
    if not any(role["name"] == _READER_ROLE for role in api.get(mapped)):
        api.post(mapped, [api.get(f"clients/{management['id']}/roles/{_READER_ROLE}")])
        log("the directory's service account may read people and groups")


def allow_moving(api: AdminApi, log: Callable[[str], None]) -> None:
    """Give the accounts service its few permissions, for the groups that are below /cubehub now.

    Notes
    -----
    Keycloak's fine-grained admin permissions are used, since the role ``manage-users`` would also let it make
    groups, give roles and change administrators. A move needs the person's ``manage-group-membership`` and the
    group's ``manage-membership``; the second is granted for the groups below /cubehub only, and not for the
    administrators': it can make nobody an administrator. To suspend, to end sessions and to write attributes
    Keycloak knows one permission, ``manage``, which also sets passwords and makes and deletes people (measured
    with 26.7: what withholds ``reset-password`` leaves the way over the person's representation). It is granted
    for everyone and denied for the members of the administrators' group, so whoever steals this account's secret
    can take over people, but no administrator, no role, no client and no group.
    """
    holder = api.client("admin-permissions")
    if holder is None:
        raise ProvisionError(
            "The realm lacks fine-grained admin permissions.",
            "Keep adminPermissionsEnabled in realm.json.",
        )
    authz = f"clients/{holder['id']}/authz/resource-server"
    account = _service_account(api, ACCOUNTS_CLIENT)
    _remove_outdated(api, authz, log)
    mine = _ensure_policy(api, authz, _ACCOUNTS, account, "POSITIVE", log)
    others = _ensure_policy(api, authz, _NOT_ACCOUNTS, account, "NEGATIVE", log)
    root = api.group(ROOT_GROUP)
    below = api.get(f"groups/{root['id']}/children", max=1000)
    admins = [group["id"] for group in below if group["path"] == ADMIN_GROUP]
    fillable = [group["id"] for group in below if group["path"] != ADMIN_GROUP]
    everyone = ["view", "manage", "manage-group-membership"]
    # both at once hold for nobody; the second alone would *grant* it to everybody else in the realm
    nobody = [mine, others]
    grants: tuple[tuple[str, str, list[str], list[str], list[str]], ...] = (
        # first, so that there is no moment in which administrators could be changed
        ("cubehub: leave administrators alone", "Groups", admins, ["manage-members"], nobody),
        ("cubehub: find, move and suspend people", "Users", [], everyone, [mine]),
        # all groups, not those of today: the members of a group made later must not be refused until the next start
        ("cubehub: look at groups and members", "Groups", [], ["view", "view-members"], [mine]),
        ("cubehub: change members", "Groups", fillable, ["manage-membership"], [mine]),
    )
    for name, kind, resources, scopes, policies in grants:
        content = {
            "name": name,
            "resourceType": kind,
            "resources": resources,
            "scopes": scopes,
            "policies": policies,
            "decisionStrategy": "UNANIMOUS",
            "logic": "POSITIVE",
        }
        _ensure_permission(api, f"{authz}/permission/scope", content, log)


def _service_account(api: AdminApi, client_id: str) -> str:
    client = api.client(client_id)
    if client is None:
        raise ProvisionError(
            f"The realm lacks the client {client_id}.", f"Keep the client {client_id} in realm.json."
        )
    return str(api.get(f"clients/{client['id']}/service-account-user")["id"])


def _remove_outdated(api: AdminApi, authz: str, log: Callable[[str], None]) -> None:
    for name in _OUTDATED:
        found = _named(api, f"{authz}/permission/scope", name)
        if found is not None:
            api.delete(f"{authz}/permission/scope/{found['id']}")
            log(f"took back “{name}”")
    found = _named(api, f"{authz}/policy/user", _OUTDATED_POLICY)
    if found is not None:
        api.delete(f"{authz}/policy/user/{found['id']}")


def _ensure_policy(
    api: AdminApi, authz: str, name: str, account_id: str, logic: str, log: Callable[[str], None]
) -> str:
    path = f"{authz}/policy/user"
    content = {"name": name, "users": [account_id], "logic": logic}
    found = _named(api, path, name)
    if found is None:
        log(f"made the policy “{name}”")
        return str(api.post(path, content)["id"])
    if found.get("users") != [account_id]:
        # the client was deleted and made anew, so its account is another
        api.put(f"{path}/{found['id']}", found | content)
        log(f"brought the policy “{name}” up to date")
    return str(found["id"])


def _ensure_permission(api: AdminApi, path: str, content: dict[str, Any], log: Callable[[str], None]) -> None:
    found = _named(api, path, content["name"])
    if found is None:
        api.post(path, content)
        log(f"granted “{content['name']}”")
        return
    # Keycloak names the resource of a group by the group's id
    resources = {entry["name"] for entry in api.get(f"{path.removesuffix('/scope')}/{found['id']}/resources")}
    if content["resources"] and resources != set(content["resources"]):
        api.put(f"{path}/{found['id']}", content | {"id": found["id"]})
        log(f"brought “{content['name']}” up to date with the groups")


def _named(api: AdminApi, path: str, name: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = api.get(path, name=name, first=0, max=50)
    return next((entry for entry in found if entry["name"] == name), None)
