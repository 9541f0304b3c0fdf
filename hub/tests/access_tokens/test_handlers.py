"""Who may ask for a token: a person's own running server."""

import json
from types import SimpleNamespace

import pytest
from cubehub.access_tokens.exchange import NotHandedOutError
from cubehub.access_tokens.handlers import AccessTokenHandler


def asker(*, owner="ana", scopes, active=True, kind="user", with_token=True, token_of="ana", body=b"{}"):  # noqa: S107 - a name
    """Stand for a request: what the Hub found out about its token, and its body."""
    people = {
        name: SimpleNamespace(name=name, kind=kind, spawners={"": SimpleNamespace(active=active)})
        for name in ("ana", "ben")
    }
    token = SimpleNamespace(user=SimpleNamespace(name=token_of) if token_of else None)
    return SimpleNamespace(
        current_user=people.get(owner),
        parsed_scopes=scopes,
        find_user=people.get,
        get_token=lambda: token if with_token else None,
        request=SimpleNamespace(body=body),
    )


OWN = {"access:servers": {"server": {"ana/"}}}


def test_a_persons_own_running_server():
    assert AccessTokenHandler._person(asker(scopes=OWN)).name == "ana"


@pytest.mark.parametrize(
    "made",
    [
        {"scopes": {}},
        {"scopes": {"access:servers": True}},
        {"scopes": {"access:servers": {"user": {"ana"}}}},
        {"scopes": {"access:servers": {"server": {"ana/", "ana/other"}}}},
        {"scopes": {"access:servers": {"server": {"ana/other"}}}},
        {"scopes": OWN, "active": False},
        {"scopes": OWN, "with_token": False},
        {"scopes": OWN, "owner": None},
        {"scopes": OWN, "kind": "service", "token_of": None},
        {"scopes": OWN, "token_of": None},
        # ben's server, which is shared with ana, by ana's token and by one of ben's
        {"scopes": {"access:servers": {"server": {"ben/"}}}},
        {"scopes": {"access:servers": {"server": {"ben/"}}}, "token_of": "ben"},
        {"scopes": OWN, "owner": "ben"},
        {"scopes": OWN, "owner": "ben", "token_of": "ben"},
    ],
)
def test_nobody_else(made):
    with pytest.raises(NotHandedOutError) as error:
        AccessTokenHandler._person(asker(**made))
    assert (error.value.status, error.value.code) == (403, "forbidden")


def test_the_audience_of_the_body():
    read = AccessTokenHandler._asked
    assert read(asker(scopes=OWN, body=json.dumps({"audience": "stac"}).encode())) == ("stac", False)
    assert read(asker(scopes=OWN, body=b'{"audience": "stac", "fresh": true}')) == ("stac", True)
    for body in (
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"audience": 3}',
        b'{"audience": ""}',
        b"[" * 9999,
        b'{"audience": "stac", "fresh": 1}',
        b'{"audience": "' + b"a" * 300 + b'"}',
    ):
        with pytest.raises(NotHandedOutError) as error:
            read(asker(scopes=OWN, body=body))
        assert error.value.status == 400
