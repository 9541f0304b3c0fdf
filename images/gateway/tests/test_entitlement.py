"""A cluster needs the Hub's word about its person at the moment of its start, and ends at the word of a service."""

import pytest
from conftest import entitled, not_entitled
from support import get, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def running(gateway):
    gateway.start()
    return gateway


def ask(gateway, token, **options):
    body = {"cluster_options": options or {"worker_memory": 0.5}}
    return get(f"{gateway.url}/api/v1/clusters/", token, "POST", body, "jupyterhub")


SUSPENDED = not_entitled("account_disabled", "Your account is suspended, so no server can be started.")
SILENT = {
    "status": 503,
    "code": "directory_timeout",
    "message": "Your account could not be checked: the account service took too long to answer.",
    "hint": "Try again in a minute.",
}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (SUSPENDED, "is suspended"),
        (not_entitled("no_profile", "Your account is in no group."), "in no group. Ask your administrator"),
        (entitled("large", 0, 0, 0), "includes no Dask"),
        (SILENT, "took too long to answer. Try again"),
        (None, "no account 'ana'"),
        ({"status": 500, "message": "Traceback (most recent call last)"}, "can't tell what your account"),
        ("rubbish {", "can't be read"),
        ([1, 2], "can't be read"),
        ({"profile": {"name": "x", "dask": {"clusters": "many"}}, "refusal": None}, "can't be read"),
    ],
)  # fmt: skip
def test_without_a_yes_no_cluster_starts_and_the_reason_is_told(hub, running, said, reason):
    token = hub.token("ana")
    with hub.says("ana", said):
        status, answer = ask(running, token)
    assert status == 422
    assert reason in answer["error"]
    assert "Traceback" not in answer["error"]


def test_a_hub_that_does_not_answer_is_waited_for_only_so_long(hub, running, monkeypatch):
    monkeypatch.setattr("support.WAIT_S", 40)
    with hub.says("ana", "hang"):
        status, answer = ask(running, hub.token("ana"))
    assert status == 422
    assert "can't be reached" in answer["error"]


def test_what_the_hub_says_now_bounds_a_cluster(hub, running):
    token = hub.token("ana")
    with hub.says("ana", entitled("premium", 2, 4, 4)):
        status, options = get(f"{running.url}/api/v1/options", token, scheme="jupyterhub")
    assert status == 200
    assert '"max": 4' in str(options).replace("'", '"')
    status, answer = ask(running, token, worker_memory=2)
    assert status == 422, "moved back to Standard since"
    assert "worker_memory must be <= 1" in answer["error"]


def test_a_service_stops_a_persons_clusters_and_nobody_else_does(hub, running):
    petra, ana = hub.token("petra"), hub.token("ana")
    assert ask(running, petra)[0] == ask(running, petra)[0] == ask(running, ana)[0] == 201
    counted, stop = f"{running.url}/cubehub/clusters", f"{running.url}/cubehub/users/petra/clusters"
    for url, method in ((counted, "GET"), (stop, "DELETE")):
        for token, status in ((None, 401), ("x", 401), (petra, 403), (hub.gateway_token, 403)):
            found, answer = get(url, token, method)
            assert (found, set(answer)) == (status, {"code", "message", "hint"})
    assert get(counted, hub.accounts_token) == (200, {"people": {"petra": 2, "ana": 1}})
    assert get(stop, hub.accounts_token, "DELETE") == (200, {"stopped": 2})
    wait_for(lambda: get(counted, hub.accounts_token)[1] == {"people": {"ana": 1}}, "clusters to stop")
    assert get(stop, hub.accounts_token, "DELETE") == (200, {"stopped": 0})
    assert get(stop.replace("petra", "nobody"), hub.accounts_token, "DELETE") == (200, {"stopped": 0})
    # the budget is free again
    assert ask(running, petra)[0] == 201
