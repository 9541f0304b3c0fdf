"""Who may publish what, for how long and how much. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from xcube_cubehub.publishing.model import PublishError, Record, Wish
from xcube_cubehub.publishing.settings import DAY_S, Publishing

ADMINISTRATORS = "/cubehub/admin"


@dataclass(frozen=True)
class Person:
    """Who asks, as the Hub and Keycloak say just now.

    Attributes
    ----------
    id : str
        Keycloak's; empty for the operator's command, which is nobody.
    may_publish : bool
        Whether the account is enabled and has a profile.
    refusal : str
        Why it may not.
    operator : bool
        The operator's command on the machine itself.
    """

    name: str
    id: str
    groups: frozenset[str] = frozenset()
    may_publish: bool = False
    refusal: str = ""
    operator: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether cubes of others may be listed and taken back."""
        return self.operator or ADMINISTRATORS in self.groups

    def owns(self, record: Record) -> bool:
        """Whether a cube is this person's."""
        return bool(self.id) and record.owner_id == self.id


def check_person(person: Person, limits: Publishing) -> None:
    """Refuse who may not publish at all.

    Raises
    ------
    PublishError
        403.
    """
    if not limits.enabled:
        raise PublishError(
            403, "publishing_off", "publishing is switched off on this platform", "ask your administrator"
        )
    if not person.id or not person.may_publish:
        message = person.refusal or "only people with an account and a profile can publish"
        raise PublishError(403, "may_not_publish", message, "ask your administrator")


def check_access(wish: Wish | Record, person: Person, limits: Publishing) -> None:
    """Refuse an access that a person may not give.

    Raises
    ------
    PublishError
        403 or 422.
    """
    if isinstance(wish.access, list):
        if not wish.access:
            raise PublishError(
                422, "bad_access", "access is an empty list of groups", 'name a group, or "owner"'
            )
        foreign = [group for group in wish.access if group not in person.groups]
        if foreign and not person.is_admin:
            # whether such a group exists is not told
            mine = ", ".join(sorted(person.groups)) or "none"
            raise PublishError(
                403, "not_your_group", f"you are not in the group {foreign[0]}", f"your groups: {mine}"
            )
    if wish.access == "public" and not may_be_public(person, limits):
        raise PublishError(
            403, "public_not_allowed", "this platform does not let you publish for everybody",
            'publish with access="account" or for a group, and ask an administrator',
        )  # fmt: skip


def may_be_public(person: Person, limits: Publishing) -> bool:
    """Whether a person may publish for everybody."""
    allowed = limits.public_by
    if isinstance(allowed, list):
        return person.is_admin or bool(person.groups & set(allowed))
    return allowed == "everyone" or person.is_admin


def expiry(days: float | None, limits: Publishing, now: float) -> float:
    """When a cube expires.

    Parameters
    ----------
    days : float or None
        From now; None for the operator's default.

    Raises
    ------
    PublishError
        422: longer than is allowed.
    """
    seconds = limits.expires if days is None else days * DAY_S
    if seconds > limits.longest:
        longest = limits.longest / DAY_S
        raise PublishError(
            422, "too_long", f"{days:g} days are longer than the {longest:g} that are allowed",
            f"take up to {longest:g}; it can be extended later",
        )  # fmt: skip
    return now + seconds


def used_bytes(records: Iterable[Record], owner: str, without: str = "") -> int:
    """Bytes of a person's cubes, also of those that ended and are still there."""
    return sum(r.bytes for r in records if r.owner_id == owner and r.id != without)


def check_quota(records: list[Record], person_id: str, cube: str, size: int, limits: Publishing) -> None:
    """Refuse a cube for which there is no room.

    Parameters
    ----------
    cube : str
        Its id; what it had before does not count.
    size : int
        Bytes that it has now, or so far.

    Raises
    ------
    PublishError
        413.
    """
    mine = [r for r in records if r.owner_id == person_id and r.id != cube]
    if len(mine) >= limits.cubes:
        raise PublishError(
            413, "too_many_cubes", f"you have {len(mine)} published cubes, {limits.cubes} are allowed",
            "take one back for good: cubehub.unpublish(NAME, now=True)",
        )  # fmt: skip
    used = used_bytes(mine, person_id)
    if used + size > limits.quota:
        raise PublishError(
            413, "over_quota",
            f"your published cubes would have {_gib(used + size)} GiB, your quota is {_gib(limits.quota)} GiB",
            "take one back for good: cubehub.unpublish(NAME, now=True); or publish less",
        )  # fmt: skip


def check_versions(superseded: int, person_id: str, limits: Publishing) -> None:
    """Refuse to begin another version while earlier ones, which wait for their readers, fill as much as the quota.

    Raises
    ------
    PublishError
        413.
    """
    if person_id and superseded > limits.quota:
        raise PublishError(
            413, "many_versions", f"earlier versions of your cubes still have {_gib(superseded)} GiB",
            "they are removed within a quarter of an hour; publish again then",
        )  # fmt: skip


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g}"
