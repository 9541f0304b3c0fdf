"""People and their groups in Keycloak, the only place where membership is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cubehub.accounts.errors import KeycloakError, RefusedError, UnknownUserError
from cubehub.accounts.groups import by_member, counted, real_groups
from cubehub.accounts.people import Person, person, write_moment
from cubehub.keycloak.attributes import SUSPENDED, UNTIL, UNTIL_PROFILE
from cubehub.keycloak.permissions import ADMIN_GROUP, ROOT_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from cubehub.accounts.keycloak import KeycloakAdmin

_SENT_BACK = ("username", "email", "firstName", "lastName")
"""What an update with attributes would clear; all else stays as it is where it is left out."""


@dataclass(frozen=True)
class Snapshot:
    """Everybody who matters for what runs, at one moment, and whole: an answer in parts is an error instead."""

    members: dict[str, Person]
    """Members of the groups that were asked for, by `Person.key`; `groups` has no others than these."""
    disabled: dict[str, str]
    """Id of each account that is switched off, by name."""


class Membership:
    """Finds people, moves them between groups, suspends and resumes them.

    Parameters
    ----------
    keycloak
        Signed in as ``cubehub-accounts``.

    Notes
    -----
    Keycloak has no transactions over several requests. Each method therefore does its steps in an order that
    leaves nobody with more than before or after when it is cut in the middle, and can be repeated.
    """

    def __init__(self, keycloak: KeycloakAdmin) -> None:
        self._keycloak = keycloak

    async def find(self, username: str, granting: frozenset[str]) -> Person:
        """Ask about one person.

        Parameters
        ----------
        granting
            Paths of groups that grant something, for which the path string alone is not believed.

        Raises
        ------
        UnknownUserError
            Keycloak has nobody of that name.
        KeycloakError
            It could not be asked.
        """
        found = await self._keycloak.entries("users", username=username, exact="true")
        match = [one for one in found or [] if str(one.get("username", "")).lower() == username.lower()]
        if not match:
            raise _unknown(username)
        try:
            groups = await self._keycloak.entries(
                f"users/{match[0]['id']}/groups", briefRepresentation="true"
            )
            if groups is None:
                raise _unknown(username)
            interesting = granting | {ADMIN_GROUP}
            real = await real_groups(self._keycloak, interesting)
            mine = counted(groups, real, interesting)
            return replace(
                person(match[0], mine), lookalikes=frozenset(str(group["path"]) for group in groups) - mine
            )
        except KeyError as error:
            raise _lacks(error) from error

    async def search(self, text: str, first: int, most: int) -> list[Person]:
        """List people by name, e-mail or a part of them, in the order of their names; without their groups."""
        query: dict[str, str | int] = {"first": first, "max": most, "briefRepresentation": "false"}
        if words := text.replace("*", " ").replace('"', " ").split():
            query["search"] = " ".join(f"*{word}*" for word in words)
        try:
            return [person(one, frozenset()) for one in await self._keycloak.entries("users", **query) or []]
        except KeyError as error:
            raise _lacks(error) from error

    async def members(self, paths: Iterable[str]) -> dict[str, Person]:
        """List the members of groups by name; their `groups` are those of these that they are in."""
        found: dict[str, Person] = {}
        pairs = []
        try:
            for path, group_id in (await real_groups(self._keycloak, paths)).items():
                pages = self._keycloak.pages(f"groups/{group_id}/members", briefRepresentation="false")
                async for one in pages:
                    found[str(one["id"])] = person(one, frozenset())
                    pairs.append((str(one["id"]), path))
        except KeyError as error:
            raise _lacks(error) from error
        groups = by_member(pairs)
        return {one.key: replace(one, groups=groups[one.id]) for one in found.values()}

    async def snapshot(self, paths: frozenset[str]) -> Snapshot:
        """Ask for everybody in some groups, and for all who are switched off.

        Raises
        ------
        KeycloakError
            Not all could be asked for, or none of the groups is there: then nothing is known about anybody.
        """
        if not await real_groups(self._keycloak, paths):
            raise KeycloakError(
                "Keycloak has none of the groups that grant a profile.",
                "Nothing is ended because of that. Make the groups that profiles.yaml names, or mend the names there.",
                code="groups_missing",
            )
        members = await self.members(paths)
        try:
            disabled = {
                str(one["username"]).lower(): str(one["id"])
                async for one in self._keycloak.pages("users", enabled="false", briefRepresentation="true")
            }
        except KeyError as error:
            raise _lacks(error) from error
        return Snapshot(members, disabled)

    async def move(self, who: Person, target: str | None, granting: frozenset[str]) -> None:
        """Take a person out of all groups that grant a profile, but one, and into that; other groups stay.

        Parameters
        ----------
        target
            Path of the group; None to leave all of them.
        granting
            Paths of all groups that grant a profile.

        Raises
        ------
        RefusedError
            A group is missing, or not one that CubeHub may fill; nothing was changed.
        KeycloakError
            It was not done, or only in part; repeating is safe.

        Notes
        -----
        First in, then out: cut in between, the person has the better of the two, which is one of those they
        had or were given, and is never without any.
        """
        leaving = sorted((who.groups & granting) - {target})
        joining = [target] if target is not None and target not in who.groups else []
        for path in (*joining, *leaving):
            _check_movable(path)
        real = await real_groups(self._keycloak, granting)
        for path in joining:
            if path not in real:
                raise RefusedError(
                    f"Keycloak has no group {path}.",
                    "Make it in Keycloak (Groups), then start CubeHub again, which may fill it from then on.",
                    code="group_missing",
                )
            await self._set_member("PUT", who, path, real[path])
        for path in leaving:
            if path in real:
                await self._set_member("DELETE", who, path, real[path])

    async def note_until(self, who: Person, until: datetime | None, profile: str | None) -> None:
        """Note when a move ends and which profile comes then, or that it does not end."""
        values = {UNTIL: write_moment(until) if until else None, UNTIL_PROFILE: profile if until else None}
        await self._update(who, values)

    async def suspend(self, who: Person, reason: str) -> None:
        """Switch an account off and note why; their sessions end with `end_sessions`."""
        await self._update(who, {SUSPENDED: reason}, enabled=False)

    async def resume(self, who: Person) -> None:
        """Switch an account on again."""
        await self._update(who, {SUSPENDED: None}, enabled=True)

    async def end_sessions(self, account_id: str) -> None:
        """End an account's log-ins in Keycloak; an account that is gone has none."""
        await self._keycloak.change("POST", f"users/{account_id}/logout")

    async def _set_member(self, method: str, who: Person, path: str, group_id: str) -> None:
        try:
            done = await self._keycloak.change(method, f"users/{who.id}/groups/{group_id}")
        except KeycloakError as error:
            if error.code != "directory_denied":
                raise
            raise RefusedError(
                f"Keycloak does not let CubeHub change the members of {path}.",
                "A group made while CubeHub runs can be filled after its next start: `cubehub down`, then `cubehub up`.",
                code="group_not_movable",
            ) from error
        if not done:
            raise KeycloakError(f"{who.username} or the group {path} is gone from Keycloak.", "Look again.")

    async def _update(
        self,
        who: Person,
        values: dict[str, str | None],
        *,
        enabled: bool | None = None,
    ) -> None:
        """Change attributes, and switch on or off, in one request.

        Notes
        -----
        An update replaces all attributes, names and e-mail among them, once it has any. `enabled` is sent only
        where it is to change: an administrator may have switched the account off since it was read.
        """
        found = await self._keycloak.get(f"users/{who.id}")
        if not isinstance(found, dict):
            raise _unknown(who.username)
        attributes = dict(found.get("attributes") or {})
        for name, value in values.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = [value]
        body = {key: found[key] for key in _SENT_BACK if key in found} | {"attributes": attributes}
        if enabled is not None:
            body["enabled"] = enabled
        if not await self._keycloak.change("PUT", f"users/{who.id}", body):
            raise _unknown(who.username)


def _check_movable(path: str) -> None:
    parent, _, _ = path.rpartition("/")
    if parent != ROOT_GROUP or path == ADMIN_GROUP:
        raise RefusedError(
            f"CubeHub may not change the members of {path}, only of groups directly below {ROOT_GROUP}.",
            "Move the person in Keycloak's own console, or name another group in profiles.yaml.",
            code="group_not_movable",
        )


def _unknown(username: str) -> UnknownUserError:
    return UnknownUserError(
        f"Keycloak has no account {username!r}.", "See who there is with `cubehub users list`."
    )


def _lacks(error: KeyError) -> KeycloakError:
    return KeycloakError(
        f"Keycloak's answer lacks {error}.", "Nothing was changed. See `cubehub logs keycloak`."
    )
