"""Why a person gets what they get."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cubehub.accounts.doctor import diagnose
from cubehub.accounts.errors import RefusedError
from cubehub.accounts.people import Person
from cubehub.accounts.rules import Rules, read_rules
from cubehub.resources import resource

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
GIB = 2**30
ANA = Person("1", "ana", enabled=True, groups=frozenset({"/cubehub/standard"}))
SERVER = {
    "name": "",
    "profile": "standard",
    "title": "Standard",
    "memory_bytes": 5 * GIB,
    "used_bytes": GIB,
    "pending": None,
}


@pytest.fixture
def rules() -> Rules:
    return read_rules(resource("config", "profiles.yaml"))


def codes(person: Person, rules: Rules, *servers: dict[str, Any], room: int = GIB) -> set[str]:
    return {one.code for one in diagnose(person, rules, list(servers), room, NOW) if one.level != "ok"}


def test_nothing_is_wrong_with_whom_nothing_is_wrong(rules: Rules) -> None:
    assert codes(ANA, rules, SERVER) == set()
    said = " ".join(one.message for one in diagnose(ANA, rules, [SERVER], GIB, NOW))
    assert "Member of /cubehub/standard, which grants standard." in said
    assert "5 GiB, 1 GiB in use" in said


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"enabled": False, "suspended": "left"}, "account_disabled"),
        ({"enabled": False}, "account_disabled"),
        ({"suspended": "left"}, "stale_reason"),
        ({"groups": frozenset({"/elsewhere"})}, "no_profile"),
        ({"lookalikes": frozenset({"/cubehub/premium"})}, "group_lookalike"),
        ({"until": NOW + timedelta(days=1), "until_profile": "standard"}, "until"),
        ({"until": NOW + timedelta(days=1)}, "until"),
        ({"until": NOW - timedelta(days=1), "until_profile": "standard"}, "until_over"),
        ({"until": NOW + timedelta(days=1), "until_profile": "gone"}, "until_profile_unknown"),
    ],
)
def test_accounts(rules: Rules, changes: dict[str, Any], code: str) -> None:
    assert codes(replace(ANA, **changes), rules) == {code}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pending": {"profile": "premium", "memory_bytes": 10 * GIB, "at": None}}, "no_room"),
        ({"pending": {"profile": "premium", "memory_bytes": 6 * GIB, "at": None}}, "more_memory"),
        ({"pending": {"profile": "", "memory_bytes": 0, "at": "2026-12-02T00:00:00Z"}}, "less_memory"),
        ({"profile": "small", "title": "Small"}, "other_profile"),
    ],
)
def test_servers(rules: Rules, changes: dict[str, Any], code: str) -> None:
    assert codes(ANA, rules, SERVER | changes) == {code}


def test_times_are_written_in_one_form(rules: Rules) -> None:
    pending = {"profile": "", "memory_bytes": 0, "at": "2026-12-02T02:00:00.560828+02:00"}
    lent = replace(ANA, until=NOW + timedelta(days=1), until_profile="standard")
    said = " ".join(one.message for one in diagnose(lent, rules, [SERVER | {"pending": pending}], GIB, NOW))
    assert "a stop comes at 02 Dec 2026 00:00 UTC." in said
    assert "It ends at 02 Dec 2026 12:00 UTC; then standard." in said


@pytest.mark.parametrize("text", ["premium", "Premium", " PREMIUM "])
def test_a_profile_is_known_by_name_and_title_in_any_case(rules: Rules, text: str) -> None:
    assert rules.named(text) == "premium"


def test_none_is_no_profile_unless_one_is_called_so(rules: Rules, tmp_path: Any) -> None:
    assert rules.named("None") is None
    with pytest.raises(RefusedError) as caught:
        rules.named("huge")
    assert "standard, premium; 'none'" in caught.value.hint
    file = tmp_path / "profiles.yaml"
    file.write_text("profiles: {none: {title: Tiny, groups: [/cubehub/a], memory: 1G, cpu: 1, storage: 1G}}")
    assert read_rules(file).named("none") == "none"


def test_a_move_leads_to_the_first_group_of_the_file(tmp_path: Any) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(
        "profiles: {one: {title: One, groups: [/cubehub/z, /cubehub/a], memory: 1G, cpu: 1, storage: 1G}}"
    )
    assert read_rules(file).target("one") == "/cubehub/z"
