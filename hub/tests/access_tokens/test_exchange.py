"""What the Hub hands out of a log-in: a token for one audience, or a word on why not."""

import asyncio
import json
import time
from types import SimpleNamespace
from urllib.parse import parse_qs

import jwt
import pytest
from cubehub.access_tokens.exchange import Exchange, NotHandedOutError
from tornado.httpclient import HTTPClientError

KEY = "a key of thirty-two bytes or more"


def token(life=300, **claims):
    return jwt.encode({"iat": time.time(), "exp": time.time() + life, **claims}, KEY)


class Keycloak:
    """Stands for the authenticator, by which the Hub talks to Keycloak."""

    client_id, client_secret, token_url = "cubehub-hub", "hub-secret", "http://keycloak/token"

    def __init__(self, *answers):
        self.answers, self.asked, self.busy, self.most = list(answers), [], 0, 0

    async def httpfetch(self, url, *, body, method, **_):
        assert (url, method) == (self.token_url, "POST")
        self.asked.append({key: value[0] for key, value in parse_qs(body).items()})
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        answer = self.answers.pop(0) if self.answers else {"access_token": token(aud="stac")}
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal(code, error=None, text=""):
    said = {"error": error, "error_description": text}
    return HTTPClientError(code, response=SimpleNamespace(body=json.dumps(said).encode()))


class Person:
    name = "ana"

    def __init__(self, keycloak, access_token, refreshed=None):
        self.authenticator, self.access_token, self.refreshed = keycloak, access_token, refreshed
        self.refreshes = 0

    async def get_auth_state(self):
        return {"access_token": self.access_token, "refresh_token": "r"} if self.access_token else None

    async def refresh(self):
        self.refreshes += 1
        self.access_token = self.refreshed


@pytest.fixture
def exchange(tmp_path):
    (tmp_path / "c.yaml").write_text("catalogues: [{auth: {type: person, audience: stac}}]")
    return Exchange(lambda: tmp_path / "c.yaml")


def issue(exchange, person, audience="stac"):
    return asyncio.run(exchange.issue(person, audience, person.refresh))


def refused(exchange, person, audience="stac"):
    with pytest.raises(NotHandedOutError) as error:
        issue(exchange, person, audience)
    return error.value.status, error.value.code


def test_a_log_in_is_traded_for_one_audience(exchange):
    mine = token()
    person = Person(Keycloak(), mine)
    issued = issue(exchange, person)
    assert jwt.decode(issued.value, options={"verify_signature": False})["aud"] == "stac"
    assert 295 < issued.life_s <= 300
    assert issued.value not in repr(issued)
    (asked,) = person.authenticator.asked
    assert asked["subject_token"] == mine
    assert asked["audience"] == "stac"
    assert asked["client_id"] == "cubehub-hub"
    assert "token-exchange" in asked["grant_type"]
    assert person.refreshes == 0


def test_another_audience_is_not_even_asked_for(exchange):
    person = Person(Keycloak(), token())
    for audience in ("other", "cubehub-hub", "", "STAC", "stac "):
        assert refused(exchange, person, audience) == (403, "audience_refused")
    assert person.authenticator.asked == []


@pytest.mark.parametrize("aud", [["stac", "account"], "account", None, [], ["other"]])
def test_a_token_for_more_or_for_others_is_not_handed_out(exchange, aud):
    claims = {"aud": aud} if aud is not None else {}
    person = Person(Keycloak({"access_token": token(**claims)}), token())
    assert refused(exchange, person) == (403, "audience_refused")


def test_who_is_logged_in_nowhere(exchange):
    assert refused(exchange, Person(Keycloak(), None)) == (401, "sign_in")
    assert refused(exchange, Person(Keycloak(), 3)) == (401, "sign_in")


def test_a_log_in_near_its_end_is_renewed_before(exchange):
    new = token()
    person = Person(Keycloak(), token(life=5), refreshed=new)
    issue(exchange, person)
    assert person.refreshes == 1
    assert [asked["subject_token"] for asked in person.authenticator.asked] == [new]
    assert refused(exchange, Person(Keycloak(), token(life=5), refreshed=None)) == (401, "sign_in")
    assert refused(exchange, Person(Keycloak(), token(life=-5), refreshed=token(life=-5))) == (401, "sign_in")


def test_a_log_in_that_keycloak_does_not_take_is_renewed_once(exchange):
    ended = refusal(400, "invalid_request", "Invalid token")
    person = Person(Keycloak(ended), token(), refreshed=token())
    issue(exchange, person)
    assert person.refreshes == 1
    person = Person(Keycloak(ended), token(), refreshed=None)
    assert refused(exchange, person) == (401, "sign_in")
    assert len(person.authenticator.asked) == 1


def test_a_fresh_log_in_that_is_not_traded_is_not_the_persons_fault(exchange):
    ended = refusal(400, "invalid_request", "Invalid token")
    person = Person(Keycloak(ended, refusal(401)), token(), refreshed=token())
    assert refused(exchange, person) == (403, "audience_refused")
    assert (person.refreshes, len(person.authenticator.asked)) == (1, 2)
    person = Person(Keycloak(ended), token(life=1), refreshed=token())
    assert refused(exchange, person) == (403, "audience_refused")
    assert person.refreshes == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("invalid_request", "Requested audience not available: stac"),
        ("access_denied", ""),
        ("invalid_target", ""),
    ],
)
def test_an_audience_that_keycloak_does_not_know(exchange, code, text):
    person = Person(Keycloak(refusal(400, code, text)), token())
    assert refused(exchange, person) == (403, "audience_refused")
    assert person.refreshes == 0


@pytest.mark.parametrize(
    "answer",
    [
        OSError("away"),
        refusal(503),
        HTTPClientError(599),
        ValueError("no JSON"),
        {},
        [],
        {"access_token": "x"},
    ],
)
def test_a_keycloak_that_is_away_or_answers_rubbish(exchange, answer):
    assert refused(exchange, Person(Keycloak(answer), token())) == (503, "account_service_away")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3"])
def test_a_refusal_without_words(exchange, body):
    said = HTTPClientError(400, response=SimpleNamespace(body=body))
    person = Person(Keycloak(said), token(), refreshed=None)
    assert refused(exchange, person) == (401, "sign_in")
    assert refused(exchange, Person(Keycloak(HTTPClientError(400)), token())) == (401, "sign_in")


def test_one_at_a_time_for_each_person(exchange):
    keycloak = Keycloak()
    person = Person(keycloak, token(life=1), refreshed=token())

    async def many():
        await asyncio.gather(*(exchange.issue(person, "stac", person.refresh) for _ in range(5)))

    asyncio.run(many())
    assert keycloak.most == 1
    assert person.refreshes == 1


def test_the_list_is_read_at_each_question(exchange, tmp_path):
    person = Person(Keycloak(), token())
    issue(exchange, person)
    (tmp_path / "c.yaml").write_text("catalogues: []")
    assert refused(exchange, person) == (403, "audience_refused")
