"""The API of the accounts service against a real Keycloak."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.accounts.rules import read_rules
from cubehub_tests.accounts import API, PROFILES, World, run

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub_tests.keycloak import RunningKeycloak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("ana_as_before")]


def test_a_move_takes_all_profile_groups_and_no_other(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    with keycloak.admin() as api:
        if not api.get("groups", search="elsewhere"):
            api.post("groups", {"name": "elsewhere"})
        ana = api.get("users", username="ana", exact=True)[0]["id"]
        api.put(f"users/{ana}/groups/{api.group('/elsewhere')['id']}", None)

    async def test(world: World) -> None:
        status, said = await world.ask("POST", "/ANA/move", "adams", json={"profile": "premium"})
        assert status == 200, said
        assert said["user"]["groups"] == ["/cubehub/premium", "/elsewhere"]
        assert (said["user"]["profile"], said["user"]["until"]) == ("premium", None)
        assert said["reached"] == {"access": "granted", "actions": [], "clusters_stopped": 0, "problems": []}
        assert world.neighbours.applied == ["ana"]
        line = world.lines()[0]
        assert (line["event"], line["user"], line["asked_by"]) == ("move", "ana", "adam")
        assert (line["from"], line["to"], line["outcome"]) == (["standard"], "premium", "begun")
        # again: nothing to do, and no error
        assert (await world.ask("POST", "/ana/move", json={"profile": "premium"}))[0] == 200

    run(keycloak, tmp_path, test)


def test_a_move_for_a_time_goes_back_by_itself(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    async def test(world: World) -> None:
        now = datetime.now(UTC)
        for days in (1, 14):
            until = (now + timedelta(days=days)).isoformat()
            status, said = await world.ask("POST", "/ana/move", json={"profile": "premium", "until": until})
            assert status == 200, said
            # a second move for a time does not make the first one's profile the one to go back to
            assert (said["user"]["profile"], said["user"]["until_profile"]) == ("premium", "standard")
        person = await world.actions.membership.find("ana", read_rules(PROFILES).granting)
        assert (person.email, person.full_name) == ("ana@example.org", "Ana Analyst")
        await world.round(now + timedelta(days=13))
        assert (await world.ask("GET", "/ana"))[1]["profile"] == "premium"
        assert await world.round(now + timedelta(days=14, seconds=1)) == ["ana"]
        back = (await world.ask("GET", "/ana"))[1]
        assert (back["profile"], back["until"], back["until_profile"]) == ("standard", None, None)
        line = world.lines()[-1]
        assert (line["asked_by"], line["from"], line["to"]) == ("cubehub-accounts", ["premium"], "standard")
        assert await world.round(now + timedelta(days=15)) == []

    run(keycloak, tmp_path, test)


def test_a_profile_is_meant_by_title_too_and_may_be_taken_away(
    keycloak: RunningKeycloak, tmp_path: Path
) -> None:
    async def test(world: World) -> None:
        until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        status, said = await world.ask("POST", "/ana/move", json={"profile": "None", "until": until})
        assert status == 200, said
        assert (said["user"]["profiles"], said["user"]["until_profile"]) == ([], "standard")
        assert (world.lines()[0]["from"], world.lines()[0]["to"]) == (["standard"], None)
        # an end may be moved, and what comes then stays
        status, said = await world.ask("POST", "/ana/move", json={"profile": "none", "until": until})
        assert (status, said["user"]["until_profile"]) == (200, "standard")
        status, said = await world.ask("POST", "/ana/move", json={"profile": "PREMIUM"})
        assert (status, said["user"]["profile"], said["user"]["until"]) == (200, "premium", None)
        assert world.lines()[-1]["to"] == "premium"
        status, said = await world.ask("POST", "/ana/move", json={"profile": "premium", "until": until})
        assert (status, said["code"]) == (409, "same_profile")
        assert "without an end, to what they should go back to" in said["hint"]
        assert (await world.ask("GET", "/ana"))[1]["until"] is None

    run(keycloak, tmp_path, test)


def test_suspension_ends_everything_and_keeps_the_rest(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    keycloak.sign_in("ana")
    with keycloak.admin() as api:
        ana = api.get("users", username="ana", exact=True)[0]["id"]
        assert api.get(f"users/{ana}/sessions")

    async def test(world: World) -> None:
        world.neighbours.access["ana"] = "ended"
        world.neighbours.clusters = {"ana": 2, "petra": 1}
        status, said = await world.ask("POST", "/ana/suspend", json={"reason": " left  us "})
        assert status == 200, said
        assert (said["user"]["enabled"], said["user"]["suspended"]) == (False, "left us")
        assert said["user"]["email"] == "ana@example.org"
        assert said["reached"]["clusters_stopped"] == 2
        assert world.neighbours.clusters == {"petra": 1}
        with keycloak.admin() as api:
            assert api.get(f"users/{ana}/sessions") == []
        with pytest.raises(PermissionError):
            keycloak.sign_in("ana")
        status, said = await world.ask("POST", "/ana/resume", "adams", json={})
        assert status == 200, said
        assert (said["user"]["enabled"], said["user"]["suspended"]) == (True, None)
        assert said["user"]["groups"] == ["/cubehub/standard"]
        assert (await world.ask("POST", "/ana/resume", json={}))[1]["code"] == "not_suspended"
        assert [line["event"] for line in world.lines()] == ["suspend", "resume"]
        assert world.lines()[0]["reason"] == "left us"

    run(keycloak, tmp_path, test)
    keycloak.sign_in("ana")


def test_who_is_suspended_is_so_whatever_is_wrong_in_the_profiles(
    keycloak: RunningKeycloak, tmp_path: Path
) -> None:
    broken = tmp_path / "profiles.yaml"
    broken.write_text("profiles: [")

    async def test(world: World) -> None:
        world.actions._profiles_yaml = broken
        status, said = await world.ask("POST", "/ana/move", json={"profile": "premium"})
        assert (status, said["code"]) == (503, "profile_file")
        assert "by itself" in said["hint"]
        status, said = await world.ask("POST", "/ana/suspend", json={"reason": "left"})
        assert (status, said["user"]["suspended"], said["before"]["enabled"]) == (200, "left", True)
        assert world.neighbours.applied == ["ana"]
        assert (await world.ask("POST", "/adam/suspend", json={"reason": "x"}))[1]["code"] == "administrator"
        world.actions._profiles_yaml = PROFILES
        assert (await world.ask("POST", "/ana/resume", json={}))[0] == 200

    run(keycloak, tmp_path, test)


@pytest.mark.parametrize(
    ("action", "body", "status", "code"),
    [
        ("adam/move", {"profile": "standard"}, 409, "administrator"),
        ("adam/suspend", {"reason": "x"}, 409, "administrator"),
        ("ana/move", {"profile": "huge"}, 409, "unknown_profile"),
        ("ana/move", {"profile": "premium", "until": "2020-01-01T00:00:00Z"}, 400, "until_past"),
        ("ana/move", {"profile": "premium", "until": "2999-01-01T00:00:00Z"}, 400, "until_past"),
        ("ana/move", {"profile": "premium", "until": "2027-01-01T00:00:00"}, 400, "bad_input"),
        ("ana/move", {"profile": "premium", "memory": "1T"}, 400, "bad_input"),
        ("ana/move", {}, 400, "bad_input"),
        ("ana/move", [], 400, "bad_input"),
        ("ana/suspend", {"reason": "  "}, 400, "bad_input"),
        ("ana/suspend", {"reason": "a\x1b[2J"}, 400, "bad_input"),
        ("ana/suspend", {"reason": "a" * 501}, 400, "bad_input"),
        ("ana/resume", {"x": 1}, 400, "bad_input"),
        ("nobody/move", {"profile": "premium"}, 404, "unknown_account"),
        ("an*/move", {"profile": "premium"}, 404, "unknown_account"),
    ],
)
def test_refusals_change_nothing(
    keycloak: RunningKeycloak, tmp_path: Path, action: str, body: Any, status: int, code: str
) -> None:
    async def test(world: World) -> None:
        answered, said = await world.ask("POST", f"/{action}", json=body)
        assert (answered, said["code"]) == (status, code), said
        assert said["message"]
        assert not world.audit.exists()
        assert (await world.ask("GET", "/ana"))[1]["groups"] == ["/cubehub/standard"]

    run(keycloak, tmp_path, test)


def test_a_token_reaches_whom_its_scopes_name(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    move = {"json": {"profile": "standard"}}

    async def test(world: World) -> None:
        for token in ("nobodys", "anas"):
            for method, path in (("GET", ""), ("GET", "/ana"), ("POST", "/ana/move"), ("GET", "/ana/doctor")):
                status, said = await world.ask(method, path, token, **(move if method == "POST" else {}))
                assert (status, said["code"]) == (403, "forbidden")
        answer = await world.http.get(API, headers={"Cookie": "jupyterhub-session-id=clis"})
        assert answer.status_code == 403
        assert (await world.ask("GET", "/ana", "readers"))[0] == 200
        assert (await world.ask("POST", "/ana/move", "readers", **move))[0] == 403
        assert (await world.ask("POST", "/ana/move", "teachers", **move))[0] == 200
        # whether others exist is not told either
        for name in ("petra", "nobody"):
            assert (await world.ask("POST", f"/{name}/move", "teachers", **move))[0] == 403
        assert [one["name"] for one in (await world.ask("GET", "", "teachers"))[1]["users"]] == ["ana"]
        listed = (await world.ask("GET", "", "groups"))[1]["users"]
        assert [one["name"] for one in listed] == ["adam", "petra"]
        assert (await world.ask("GET", "/petra", "groups"))[0] == 200
        assert (await world.ask("GET", "/ana", "groups"))[0] == 403

    run(keycloak, tmp_path, test)


def test_people_are_listed_page_by_page(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    async def test(world: World) -> None:
        found, first = [], 0
        while True:
            _, page = await world.ask("GET", "", params={"first": first, "max": 3})
            found += [(one["name"], one["profile"]) for one in page["users"]]
            first += 3
            if not page["more"]:
                break
        expected = {("adam", "premium"), ("ana", "standard"), ("petra", "premium"), ("viktor", None)}
        assert expected <= set(found)
        assert len(found) == len(set(found))
        for text, names in (("nalys", ["ana"]), ("PETRA", ["petra"]), ("no-such", [])):
            _, page = await world.ask("GET", "", params={"search": text})
            assert [one["name"] for one in page["users"]] == names
        for wrong in ({"first": "-1"}, {"max": "101"}, {"max": "x"}):
            assert (await world.ask("GET", "", params=wrong))[0] == 400

    run(keycloak, tmp_path, test)


def test_a_group_that_only_has_the_path_of_another_counts_nowhere(
    keycloak: RunningKeycloak, tmp_path: Path
) -> None:
    with keycloak.admin() as api:
        ana = api.get("users", username="ana", exact=True)[0]["id"]
        api.post("groups", {"name": "cubehub/premium"})
        fake = next(one["id"] for one in api.get("groups", search="cubehub/premium") if "/" in one["name"])
        api.put(f"users/{ana}/groups/{fake}", None)

    async def test(world: World) -> None:
        person = (await world.ask("GET", "/ana"))[1]
        assert (person["profile"], person["groups"]) == ("standard", ["/cubehub/standard"])
        granting = read_rules(PROFILES).granting
        members = (await world.actions.membership.snapshot(granting)).members
        assert members["ana"].groups == {"/cubehub/standard"}
        found = (await world.ask("GET", "/ana/doctor"))[1]["findings"]
        assert "group_lookalike" in {one["code"] for one in found}

    try:
        run(keycloak, tmp_path, test)
    finally:
        with keycloak.admin() as api:
            api.delete(f"groups/{fake}")


def test_without_the_audit_log_nothing_is_changed(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()

    async def test(world: World) -> None:
        status, said = await world.ask("POST", "/ana/move", json={"profile": "premium"})
        assert (status, said["code"]) == (503, "audit_failed")
        assert (await world.ask("GET", "/ana"))[1]["groups"] == ["/cubehub/standard"]

    run(keycloak, tmp_path, test)
