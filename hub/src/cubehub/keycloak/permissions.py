"""What the directory's service account may do: look people up, move them below /cubehub, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub.keycloak.errors import ProvisionError
from cubehub.keycloak.realm import DIRECTORY_CLIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.keycloak.admin import AdminApi

ROOT_GROUP = "/cubehub"
ADMIN_GROUP = "/cubehub/admin"
_POLICY = "cubehub: the directory's service account"


def narrow_directory(api: AdminApi, log: Callable[[str], None]) -> None:
    """Give the service account its few permissions, for the groups that are below /cubehub now.

    Notes
    -----
    Keycloak's fine-grained admin permissions are used, since the role ``manage-users`` would also
    let it make groups, delete people and reset passwords. A move needs both: the person's
    ``manage-group-membership`` and the group's ``manage-membership``. The second is granted for the
    groups below /cubehub only, and not for the administrators': whoever steals this account's secret
    can change a profile, but make nobody an administrator.
    """
    holder = api.client("admin-permissions")
    directory = api.client(DIRECTORY_CLIENT)
    if holder is None or directory is None:
        raise ProvisionError(
            "The realm lacks fine-grained admin permissions or the client of the directory.",
            "Keep adminPermissionsEnabled and the client cubehub-directory in realm.json.",
        )
    authz = f"clients/{holder['id']}/authz/resource-server"
    account = api.get(f"clients/{directory['id']}/service-account-user")
    policy = _ensure_policy(api, authz, account["id"], log)
    root = api.group(ROOT_GROUP)
    below = api.get(f"groups/{root['id']}/children", max=1000)
    fillable = [group["id"] for group in below if group["path"] != ADMIN_GROUP]
    grants: tuple[tuple[str, str, list[str], list[str]], ...] = (
        ("cubehub: look people up and move them", "Users", [], ["view", "manage-group-membership"]),
        # all groups, not those of today: the members of a group made later must not be refused until the next start
        ("cubehub: see the groups", "Groups", [], ["view"]),
        (
            "cubehub: list the members",
            "Groups",
            [root["id"], *(group["id"] for group in below)],
            ["view-members"],
        ),
        ("cubehub: fill the groups", "Groups", fillable, ["manage-membership"]),
    )
    for name, kind, resources, scopes in grants:
        content = {
            "name": name,
            "resourceType": kind,
            "resources": resources,
            "scopes": scopes,
            "policies": [policy],
            "decisionStrategy": "UNANIMOUS",
            "logic": "POSITIVE",
        }
        _ensure_permission(api, f"{authz}/permission/scope", content, log)


def _ensure_policy(api: AdminApi, authz: str, account_id: str, log: Callable[[str], None]) -> str:
    path = f"{authz}/policy/user"
    content = {"name": _POLICY, "users": [account_id], "logic": "POSITIVE"}
    found = _named(api, path, _POLICY)
    if found is None:
        log("made the policy for the directory's service account")
        return str(api.post(path, content)["id"])
    if found.get("users") != [account_id]:
        # the client was deleted and made anew, so its account is another
        api.put(f"{path}/{found['id']}", found | content)
        log("brought the policy for the directory's service account up to date")
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
