"""A change of group reaches the server that runs, and its kernel goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cubehub_tests.platform import MIB, PREMIUM, STANDARD, Whole
from cubehub_tests.realm import in_group, suspended, without_group
from cubehub_tests.servers import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.whole
# a child tries, so that the kernel lives to tell; it waits, since a watchdog looks only now and then
TRY = """
import subprocess, sys
print(subprocess.run([sys.executable, "-c",
    "import time; hog = bytearray({mib} << 20); hog[::4096] = b'x' * len(hog[::4096]); time.sleep(0.5)"]).returncode)
"""
MORE = (STANDARD // MIB) + 150


class Hub:
    """The Hub's entitlement API, with the token of the part that watches accounts."""

    def __init__(self, whole: Whole) -> None:
        token = whole.secrets.get("accounts-token")
        self.http = httpx.Client(
            base_url=f"{whole.url}/hub/api/cubehub", timeout=60, trust_env=False,
            headers={"Authorization": f"token {token}"},
        )  # fmt: skip

    def apply(self, name: str) -> Any:
        return self.http.post(f"/users/{name}/apply", json={}).raise_for_status().json()

    def entitlement(self, name: str) -> Any:
        return self.http.get(f"/users/{name}/entitlement").raise_for_status().json()

    def server(self, name: str) -> Any:
        people = self.http.get("/servers").raise_for_status().json()["people"]
        return next((one["servers"][0] for one in people if one["name"] == name), None)


@pytest.fixture
def hub(whole: Whole) -> Iterator[Hub]:
    found = Hub(whole)
    yield found
    found.http.close()


def until(found: Callable[[], Any], what: str, patience_s: float = 60) -> Any:
    ends = time.monotonic() + patience_s
    while not (answer := found()):
        assert time.monotonic() < ends, what
        time.sleep(0.2)
    return answer


def test_premium_reaches_a_running_notebook_whose_variables_stay(
    whole: Whole, hub: Hub, ana: Account
) -> None:
    ana.stop()
    ana.start()
    with ana.kernel() as kernel:
        kernel.run("kept = 'since before the move'")
        assert kernel.run(TRY.format(mib=MORE)).text != "0", "refused at Standard"
        with in_group(whole, "ana", "/cubehub/premium"):
            # whoever looks for changes may come first; both together change nothing twice
            hub.apply("ana")
            until(lambda: hub.server("ana")["memory_bytes"] == PREMIUM, "Premium reaches the server")
            assert hub.apply("ana") == {"access": "granted", "actions": []}
            assert hub.entitlement("ana")["profile"]["name"] == "premium"
            assert kernel.run("print(kept)").text == "since before the move"
            assert kernel.run(TRY.format(mib=MORE)).text == "0"
        # less is in use: it comes at once, and nobody notices
        hub.apply("ana")
        until(lambda: hub.server("ana")["memory_bytes"] == STANDARD, "Standard reaches the server")
        assert kernel.run("print(kept)").text == "since before the move"
        assert kernel.run(TRY.format(mib=MORE)).text != "0"


def test_less_than_is_in_use_is_announced_and_taken_back(whole: Whole, hub: Hub, petra: Account) -> None:
    petra.start()
    with petra.kernel() as kernel:
        kernel.run(f"block = bytearray({MORE} << 20); block[::4096] = b'x' * len(block[::4096])")
        with in_group(whole, "petra", "/cubehub/standard"), without_group(whole, "petra", "/cubehub/premium"):
            hub.apply("petra")
            server = until(lambda: hub.server("petra")["pending"] and hub.server("petra"), "the announcement")
            assert server["memory_bytes"] == PREMIUM
            assert (server["pending"]["profile"], server["pending"]["memory_bytes"]) == ("standard", STANDARD)
            assert kernel.run("print(len(block) >> 20)").text == str(MORE)
        hub.apply("petra")
        until(lambda: hub.server("petra")["pending"] is None, "the announcement is taken back")
        assert kernel.run("print(len(block) >> 20)").text == str(MORE)
    petra.stop()


def test_a_restart_of_the_hub_in_the_middle_of_a_move_ends_right_and_is_said_once(
    whole: Whole, hub: Hub, ana: Account
) -> None:
    ana.stop()
    ana.start()
    with in_group(whole, "ana", "/cubehub/premium"):
        before = whole.status()["parts"]["hub"]
        os.kill(before["pid"], signal.SIGKILL)
        whole.wait_until_healthy(restarted="hub", since=before["restarts"])
        until(lambda: ana.running, "the Hub finds the server again")
        hub.apply("ana")
        until(lambda: hub.server("ana")["memory_bytes"] == PREMIUM, "Premium reaches the server")
        hub.apply("ana")
        state = ana_state(whole)
        assert [notice["code"] for notice in state["board"]["notices"]] == ["resized"]
    hub.apply("ana")


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["accounts", "keycloak"])
def test_a_part_that_dies_in_the_middle_of_a_move_changes_nothing_about_its_end(
    whole: Whole, hub: Hub, ana: Account, part: str
) -> None:
    ana.start()
    hub.apply("ana")
    until(lambda: hub.server("ana")["memory_bytes"] == STANDARD, "Standard at the start")
    said = len(ana_state(whole)["board"]["notices"])
    before = whole.status()["parts"][part]
    moving = subprocess.Popen(
        [*whole.program, "users", "move", "ana", "premium", "--data", str(whole.data), "--json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.kill(before["pid"], signal.SIGKILL)
    moving.wait(timeout=120)
    whole.wait_until_healthy(restarted=part, since=before["restarts"])
    # whether it was heard or not: what was asked for is asked for again
    whole.run("users", "move", "ana", "premium", "--json")
    until(lambda: hub.server("ana")["memory_bytes"] == PREMIUM, "Premium reaches the server")
    notices = ana_state(whole)["board"]["notices"][said:]
    assert [notice["code"] for notice in notices] == ["resized"], "said once"
    whole.run("users", "move", "ana", "standard", "--json")
    until(lambda: hub.server("ana")["memory_bytes"] == STANDARD, "Standard reaches the server")


def ana_state(whole: Whole) -> Any:
    """What the Hub keeps of the analyst's server."""
    admin = Account.login(whole, "adam")
    try:
        return admin.api.get("/hub/api/users/ana").json()["servers"][""]["state"]
    finally:
        admin.close()


def test_a_suspended_person_loses_server_and_tokens(whole: Whole, hub: Hub, ana: Account) -> None:
    # an account of its own log-in: the one that the other tests share must survive
    guest = Account.login(whole, "ana")
    guest.start()
    with suspended(whole, "ana"):
        hub.apply("ana")
        until(lambda: hub.server("ana") is None, "the server ends")
        assert guest.api.get("/hub/api/user").status_code == httpx.codes.FORBIDDEN
        assert hub.apply("ana") == {"access": "ended", "actions": []}
        assert hub.entitlement("ana")["refusal"]["code"] == "account_disabled"
    guest.close()
    ana.close()
    fresh = Account.login(whole, "ana")
    ana.api, ana.visitor = fresh.api, fresh.visitor


def test_only_who_may_uses_the_api(whole: Whole, ana: Account, hub: Hub) -> None:
    stranger = httpx.Client(base_url=whole.url, trust_env=False)
    for path, method in (
        ("/servers", "GET"),
        ("/users/petra/entitlement", "GET"),
        ("/users/petra/apply", "POST"),
    ):
        for http in (ana.api, stranger):
            answer = http.request(method, f"/hub/api/cubehub{path}")
            assert answer.status_code == httpx.codes.FORBIDDEN
            assert answer.json()["code"] == "forbidden"
    stranger.close()
    unknown = hub.http.get("/users/nobody/entitlement")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_account")
    assert hub.http.get("/notices").status_code == httpx.codes.FORBIDDEN
