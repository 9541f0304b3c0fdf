"""Who sends a request, as the Hub says it."""

import asyncio

import pytest
from cubehub_stac import people
from cubehub_stac.people import People, PeopleError
from cubehub_stac.visibility import Person
from hub_stand_in import SERVICE_TOKEN, running_hub


@pytest.fixture
def hub():
    with running_hub() as running:
        yield running


def identify(hub, *headers, url=None):
    async def ask():
        asked = People(hub.url if url is None else url, SERVICE_TOKEN)
        return [await asked.identify(header) for header in headers][-1]

    return asyncio.run(ask())


@pytest.mark.parametrize("header", ["token ana", "Bearer ana", "bearer  ana "])
def test_a_token_names_its_holder(hub, header):
    assert identify(hub, header) == Person("ana", "id-ana", frozenset({"/water", "/all"}))
    assert identify(hub, "token operator") == Person("cli", "", operator=True)


@pytest.mark.parametrize("header", [None, "", "token", "token ", "Basic YTpi"])
def test_who_sends_no_token_is_nobody(hub, header):
    assert identify(hub, header) is None
    assert identify(hub, header, url="") is None
    assert hub.asked == 0


def refused(hub, header, **given):
    with pytest.raises(PeopleError) as caught:
        identify(hub, header, **given)
    assert "ana" not in caught.value.hint
    return caught.value.status, caught.value.code


def test_whoever_may_not_come_is_refused(hub):
    assert refused(hub, "token wrong") == (401, "bad_token")
    assert refused(hub, "token ann\u00e9") == (401, "bad_token")
    assert refused(hub, "token scopeless") == (403, "no_scope")
    hub.people["ana"]["enabled"] = False
    assert refused(hub, "token ana") == (403, "account_disabled")
    del hub.people["ben"]
    assert refused(hub, "token ben") == (403, "unknown_account")


def test_a_server_that_is_older_than_the_platform_is_told_to_start_anew(hub):
    old = {"kind": "user", "name": "ana", "scopes": ["access:servers!server=ana/", "users:activity!user=ana"]}
    hub.tokens["old"] = old
    for header, word in (
        ("token old", "Stop your server and start it again"),
        ("token scopeless", "Make one"),
    ):
        with pytest.raises(PeopleError) as caught:
            identify(hub, header)
        assert (caught.value.status, caught.value.code) == (403, "no_scope")
        assert word in caught.value.hint


def test_a_hub_that_is_away_lets_nobody_pass(hub):
    hub.broken = True
    assert refused(hub, "token ana") == (503, "hub_unavailable")
    assert refused(hub, "token ana", url="http://127.0.0.1:9/hub/api") == (503, "hub_unavailable")
    assert refused(hub, "token ana", url="") == (503, "no_hub")


def test_an_answer_counts_for_a_while_only(hub, monkeypatch):
    identify(hub, "token ana", "token ana", "Bearer ana")
    assert hub.asked == 2
    monkeypatch.setattr(people, "REMEMBERED_S", 0.0)
    identify(hub, "token ana", "token ana")
    assert hub.asked == 6
