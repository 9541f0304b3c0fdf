"""People are moved and suspended by command, by API and in Keycloak's own page; what runs follows each."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cubehub_tests.platform import PREMIUM, STANDARD, Whole
from cubehub_tests.realm import in_group, realm, suspended, user_id
from cubehub_tests.servers import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.whole


def until(found: Callable[[], Any], what: str, patience_s: float = 60) -> Any:
    ends = time.monotonic() + patience_s
    while not (answer := found()):
        assert time.monotonic() < ends, what
        time.sleep(0.2)
    return answer


def limit_of(whole: Whole, name: str) -> int | None:
    """Give the limit of a person's server, as `doctor` says it; None without a server or an answer."""
    asked = whole.run("doctor", name, "--json", check=False)
    servers = asked.json.get("servers") if not asked.status else None
    return servers[0]["memory_bytes"] if servers else None


@pytest.fixture
def guest(whole: Whole) -> Iterator[Account]:
    """Give a person of these tests' own with Premium and a running server: the others' log-ins must survive."""
    password = "a-guest-for-these-tests"
    with realm(whole) as api:
        api.post(
            "users",
            {
                "username": "gusti", "enabled": True, "email": "gusti@example.org", "firstName": "Gusti", "lastName": "Guest",
                "groups": ["/cubehub/premium"], "credentials": [{"type": "password", "value": password}],
            },
        )  # fmt: skip
        whole.accounts["gusti"] = password
        account = Account.login(whole, "gusti")
        account.start()
        yield account
        account.close()
        api.delete(f"users/{user_id(api, 'gusti')}")


@pytest.fixture
def settled(whole: Whole) -> Iterator[None]:
    """Leave the analyst as she was."""
    yield
    whole.run("users", "move", "ana", "standard")


@pytest.mark.usefixtures("settled")
def test_a_move_by_command_reaches_a_running_notebook(whole: Whole, ana: Account) -> None:
    ana.stop()
    ana.start()
    with ana.kernel() as kernel:
        kernel.run("kept = 'since before the move'")
        moved = whole.run("users", "move", "ana", "premium", "--until", "2w", "--json").json
        assert moved["reached"]["problems"] == []
        actions = [(action["kind"], action["to_bytes"]) for action in moved["reached"]["actions"]]
        assert actions in ([("resized", PREMIUM)], []), "the reconciler may have come first"
        assert limit_of(whole, "ana") == PREMIUM
        assert kernel.run("print(kept)").text == "since before the move"
        found = whole.run("doctor", "ana", "--json").json
        assert "/cubehub/premium" in " ".join(one["message"] for one in found["findings"])
        assert [one for one in found["findings"] if one["level"] == "problem"] == []
        whole.run("users", "move", "ana", "standard")
        assert limit_of(whole, "ana") == STANDARD
        assert kernel.run("print(kept)").text == "since before the move"
    assert whole.run("users", "show", "ana", "--json").json["until"] is None


def test_a_change_in_keycloaks_own_page_reaches_it_too(whole: Whole, ana: Account) -> None:
    ana.start()
    with in_group(whole, "ana", "/cubehub/premium"):
        until(lambda: limit_of(whole, "ana") == PREMIUM, "Premium reaches the server")
    until(lambda: limit_of(whole, "ana") == STANDARD, "Standard reaches the server")


def test_a_suspension_ends_everything_at_once(whole: Whole, guest: Account) -> None:
    ended = whole.run("users", "suspend", "gusti", "--reason", "for a test", "--json").json
    assert ended["reached"]["access"] == "ended"
    assert ended["reached"]["problems"] == []
    assert guest.api.get("/hub/api/user").status_code == httpx.codes.FORBIDDEN
    shown = whole.run("users", "show", "gusti", "--json").json
    assert (shown["enabled"], shown["suspended"]) == (False, "for a test")
    assert limit_of(whole, "gusti") is None


def test_a_broken_edit_of_the_profiles_keeps_nobody_in(whole: Whole, guest: Account) -> None:
    file = whole.config / "profiles.yaml"
    before = file.read_text()
    file.write_text(before.replace("memory: ", "memory: much ", 1))
    try:
        refused = whole.run("users", "move", "gusti", "standard", "--json", check=False)
        assert refused.json["code"] == "profile_file"
        found = [
            one
            for one in whole.run("doctor", "--json", check=False).json["findings"]
            if one["level"] == "problem"
        ]
        assert str(file) in " ".join(one["message"] for one in found)
        ended = whole.run("users", "suspend", "gusti", "--reason", "for a test", "--json").json
        assert (ended["reached"]["access"], ended["reached"]["problems"]) == ("ended", [])
        assert guest.api.get("/hub/api/user").status_code == httpx.codes.FORBIDDEN
    finally:
        file.write_text(before)
    until(lambda: limit_of(whole, "gusti") is None, "it ended")
    assert whole.run("users", "show", "gusti", "--json").json["suspended"] == "for a test"


@pytest.mark.usefixtures("guest")
def test_suspended_in_keycloaks_own_page_and_the_service_is_killed_meanwhile(whole: Whole) -> None:
    with suspended(whole, "gusti"):
        before = whole.status()["parts"]["accounts"]
        os.kill(before["pid"], signal.SIGKILL)
        until(
            lambda: whole.status()["parts"]["accounts"]["restarts"] > before["restarts"],
            "it is started again",
        )
        until(
            lambda: whole.run("doctor", "gusti", "--json", check=False).json.get("servers") == [], "it ends"
        )


def test_an_administrators_own_token_works_and_an_analysts_does_not(whole: Whole, ana: Account) -> None:
    admin = Account.login(whole, "adam")
    people = admin.api.get("/services/accounts/api/users").json()["users"]
    assert {person["name"] for person in people} >= {"ana", "petra", "viktor", "adam"}
    for refused in (
        ana.api.get("/services/accounts/api/users"),
        httpx.get(f"{whole.url}/services/accounts/api/users", trust_env=False),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    audit = (whole.data / "logs" / "audit.jsonl").read_text()
    moved = admin.api.post("/services/accounts/api/users/viktor/move", json={"profile": "tiny"})
    assert moved.is_client_error
    assert moved.json()["code"] == "unknown_profile"
    assert "standard, premium" in moved.json()["hint"]
    assert (whole.data / "logs" / "audit.jsonl").read_text() == audit
    admin.close()


def test_the_doctor_finds_the_platform_well(whole: Whole) -> None:
    findings = whole.run("doctor", "--json").json["findings"]
    assert [one for one in findings if one["level"] == "problem"] == []
    assert len(findings) > 5


def test_the_record_of_it_all_is_whole(whole: Whole) -> None:
    found = whole.run("audit", "verify", "--json").json
    assert found["whole"]
    assert found["lines"] > 0
