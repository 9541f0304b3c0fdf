"""Which group a path really names: Keycloak lets a group's name hold slashes, so two can have one path."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub.accounts.keycloak import KeycloakAdmin


async def real_groups(keycloak: KeycloakAdmin, paths: Iterable[str]) -> dict[str, str]:
    """Give the ids of groups by path; paths without a group are left out.

    Notes
    -----
    Each step of a path is looked for as a group's whole name below the one before. A top-level group *named*
    ``cubehub/premium``, whose path string is that of the real one, is therefore never found.

    Raises
    ------
    KeycloakError
        Keycloak could not be asked for some of them.
    """
    wanted = [path for path in sorted(set(paths)) if path.startswith("/") and all(_steps(path))]
    found: dict[str, str] = {}
    children: dict[str, dict[str, str]] = {}
    for path in wanted:
        first, *following = _steps(path)
        here = found.get(f"/{first}") or await _top(keycloak, first)
        walked = f"/{first}"
        if here is not None:
            found[walked] = here
        for name in following:
            if here is None:
                break
            if here not in children:
                children[here] = await _below(keycloak, here)
            here = children[here].get(name)
            walked += f"/{name}"
            if here is not None:
                found[walked] = here
    return {path: found[path] for path in wanted if path in found}


def counted(
    groups: Iterable[dict[str, Any]], real: dict[str, str], interesting: frozenset[str]
) -> frozenset[str]:
    """Give the paths of somebody's groups, without those that only look like an interesting one."""
    ids = set(real.values())
    return frozenset(
        str(group["path"]) for group in groups if group["path"] not in interesting or group["id"] in ids
    )


def by_member(members: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Turn pairs of account id and path into the paths of each account."""
    paths: defaultdict[str, set[str]] = defaultdict(set)
    for account_id, path in members:
        paths[account_id].add(path)
    return {account_id: frozenset(found) for account_id, found in paths.items()}


def _steps(path: str) -> list[str]:
    return path[1:].split("/")


async def _top(keycloak: KeycloakAdmin, name: str) -> str | None:
    # asked for exactly one name; compared again so that no search rule of the server can widen it
    async for group in keycloak.pages("groups", search=name, exact="true"):
        if group["name"] == name and not group.get("parentId"):
            return str(group["id"])
    return None


async def _below(keycloak: KeycloakAdmin, group_id: str) -> dict[str, str]:
    found = {}
    async for group in keycloak.pages(f"groups/{group_id}/children", briefRepresentation="true"):
        found[str(group["name"])] = str(group["id"])
    return found
