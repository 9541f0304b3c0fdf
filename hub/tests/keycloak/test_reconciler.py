"""What runs follows a real Keycloak, whatever fails in between."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from cubehub.accounts.actions import Actions
from cubehub.accounts.errors import AccountsError
from cubehub.accounts.keycloak import KeycloakAdmin
from cubehub.accounts.membership import Membership
from cubehub.accounts.rules import read_rules
from cubehub.keycloak.realm import ACCOUNTS_CLIENT, ACCOUNTS_SECRET, REALM
from cubehub_tests.accounts import PROFILES, World, run

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub_tests.keycloak import RunningKeycloak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("ana_as_before")]


def test_a_hub_that_fails_is_told_and_tried_again(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.neighbours.fails = True
        status, said = await world.ask("POST", "/ana/move", json={"profile": "premium"})
        assert status == 200
        assert said["user"]["profile"] == "premium"
        assert [one["code"] for one in said["reached"]["problems"]] == ["directory_error"]
        world.neighbours.runs("ana", "/cubehub/standard")
        assert await world.round() == []
        world.neighbours.fails = False
        assert await world.round() == ["ana"]

    run(keycloak, tmp_path, test)


def test_rounds_find_what_others_changed(
    keycloak: RunningKeycloak, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cubehub.accounts")

    async def test(world: World) -> None:
        told = world.neighbours
        told.runs("ana", "/cubehub/standard")
        told.runs("petra", "/cubehub/premium", pending={"at": None})
        now = datetime.now(UTC)
        # the first round lets everybody follow, as numbers may differ where groups do not
        assert await world.round(now) == ["ana", "petra"]
        # who waits for room is not asked about in each round
        assert await world.round(now + timedelta(seconds=5)) == []
        assert await world.round(now + timedelta(seconds=15)) == ["petra"]
        assert await world.round(now + timedelta(seconds=20)) == []
        told.people.pop()
        with keycloak.admin() as api:
            ana = api.get("users", username="ana", exact=True)[0]
            api.put(f"users/{ana['id']}/groups/{api.group('/cubehub/premium')['id']}", None)
            assert await world.round() == ["ana"]
            api.put(f"users/{ana['id']}", ana | {"enabled": False})
            keycloak_sessions = api.get(f"users/{ana['id']}/sessions")
        assert keycloak_sessions is not None
        told.access["ana"], told.clusters = "ended", {"ana": 1, "petra": 1}
        assert "ana" in await world.round()
        assert told.clusters == {"petra": 1}
        # gone, so that nothing is left to end: log-ins are ended once, not in each round
        told.people.clear()
        await world.round()
        assert await world.round() == []

    run(keycloak, tmp_path, test)
    # one line for what changed, not one for each round
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("cubehub.")]
    assert [line for line in ours if "ana" in line] == ["ana: access ended, 1 Dask clusters ended"]


class Cut(httpx.AsyncHTTPTransport):
    """A network that fails for good after some changes, as where the service is killed."""

    def __init__(self, changes: int) -> None:
        super().__init__()
        self._left = changes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET" and "/admin/" in request.url.path:
            if self._left == 0:
                raise httpx.ConnectError("cut", request=request)
            self._left -= 1
        return await super().handle_async_request(request)


@pytest.mark.parametrize("changes", [0, 1, 2, 3])
@pytest.mark.parametrize("for_a_time", [False, True])
def test_a_move_that_is_cut_gives_no_third_thing(
    keycloak: RunningKeycloak, tmp_path: Path, changes: int, for_a_time: bool
) -> None:
    now = datetime.now(UTC)
    until = now + timedelta(days=1) if for_a_time else None

    async def test(world: World) -> None:
        granting = read_rules(PROFILES).granting
        secret = keycloak.secrets.get(ACCOUNTS_SECRET)
        cut = KeycloakAdmin(keycloak.url, REALM, ACCOUNTS_CLIENT, secret, transport=Cut(changes))
        do = world.actions
        short = Actions(Membership(cut), do.hub, do.gateway, PROFILES, world.audit)
        done = False
        with contextlib.suppress(AccountsError):
            await short.move("ana", "premium", until, "adam")
            done = True
        await cut.aclose()
        between = await do.membership.find("ana", granting)
        assert between.groups & granting
        if not done:
            assert [line["outcome"] for line in world.lines()] == ["begun", "failed"]
            if for_a_time and "/cubehub/premium" in between.groups:
                # nobody keeps for good what was lent
                assert between.until is not None
            await do.move("ana", "premium", until, "adam")
        after = await do.membership.find("ana", granting)
        assert after.groups == {"/cubehub/premium"}
        assert after.until_profile == ("standard" if for_a_time else None)

    run(keycloak, tmp_path, test)


def test_nothing_ends_while_keycloak_cannot_tell(keycloak: RunningKeycloak, tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.neighbours.runs("ana", "/elsewhere")
        world.neighbours.clusters = {"ana": 1, "viktor": 1}
        assert await world.round() == []
        assert world.neighbours.clusters == {"ana": 1, "viktor": 1}
        assert world.reconciler.state["problems"] == {"round": "directory_denied"}
        assert (await world.http.get("/services/accounts/health")).status_code == 200
        status, said = await world.ask("POST", "/ana/move", json={"profile": "premium"})
        assert (status, said["code"]) == (503, "directory_denied")

    run(keycloak, tmp_path, test, secret="wrong")
