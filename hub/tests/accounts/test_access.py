"""Whom a token is about."""

from __future__ import annotations

import pytest
from cubehub.accounts.access import Reach, asker, reach
from cubehub.accounts.people import Person
from cubehub.entitlements.rules import READ_SCOPE, WRITE_SCOPE

ANA = Person("1", "Ana", enabled=True, groups=frozenset({"/cubehub/class"}))


@pytest.mark.parametrize(
    ("scopes", "needed", "includes"),
    [
        ([], READ_SCOPE, False),
        (["admin:users", "self", "custom:cubehub:usersx"], READ_SCOPE, False),
        ([READ_SCOPE], READ_SCOPE, True),
        ([READ_SCOPE], WRITE_SCOPE, False),
        ([WRITE_SCOPE], READ_SCOPE, True),
        ([WRITE_SCOPE], WRITE_SCOPE, True),
        ([f"{WRITE_SCOPE}!user=ana"], WRITE_SCOPE, True),
        ([f"{WRITE_SCOPE}!user=petra"], WRITE_SCOPE, False),
        ([f"{WRITE_SCOPE}!user"], WRITE_SCOPE, True),
        ([f"{WRITE_SCOPE}!group=/cubehub/class"], WRITE_SCOPE, True),
        ([f"{WRITE_SCOPE}!group=/cubehub/other"], WRITE_SCOPE, False),
        ([f"{WRITE_SCOPE}!group="], WRITE_SCOPE, False),
        ([f"{WRITE_SCOPE}!"], WRITE_SCOPE, False),
        ([f"{WRITE_SCOPE}!server=ana/"], WRITE_SCOPE, False),
        ([f"{READ_SCOPE}!user=ana", f"{WRITE_SCOPE}!user=petra"], WRITE_SCOPE, False),
    ],
)
def test_a_scope_includes_whom_it_names(scopes: list[str], needed: str, includes: bool) -> None:
    assert reach(scopes, needed, "ana").includes(ANA) is includes


def test_a_service_without_a_person_is_nobody_of_its_own() -> None:
    assert not reach([f"{WRITE_SCOPE}!user"], WRITE_SCOPE, "")
    assert reach([WRITE_SCOPE], WRITE_SCOPE, "") == Reach(everybody=True)


def test_the_audit_log_tells_services_from_people() -> None:
    assert asker({"kind": "service", "name": "cubehub-cli"}) == "service cubehub-cli"
    assert asker({"kind": "user", "name": "adam"}) == "adam"
