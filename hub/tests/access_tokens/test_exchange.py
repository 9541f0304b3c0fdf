"""What the Hub hands out of a log-in: a token for one audience, or a word on why not."""

import asyncio
import json
import time
from types import SimpleNamespace
from urllib.parse import parse_qs

import jwt
import pytest
from cubehub.access_tokens.exchange import REQUESTS, TRADES, TRADES_EVERY_S, Exchange, NotHandedOutError
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


class Clock:
    now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
def timed(tmp_path):
    """Give an exchange for two audiences, and its clock."""
    (tmp_path / "c.yaml").write_text(
        "catalogues: [{auth: {type: person, audience: stac}}, {auth: {type: person, audience: wms}}]"
    )
    clock = Clock()
    return Exchange(lambda: tmp_path / "c.yaml", clock=clock, steady=clock), clock


def given_by(keycloak, clock, life=300):
    keycloak.answers.append(
        {"access_token": token(iat=clock.now, exp=clock.now + life, aud="stac", jti=str(len(keycloak.asked)))}
    )


def test_a_token_is_given_again_until_a_third_of_its_life_is_left(timed):
    exchange, clock = timed
    keycloak = Keycloak()
    person = Person(keycloak, token(life=9999, sid="session"))
    given_by(keycloak, clock)
    first = issue(exchange, person)
    clock.now += 199
    # the log-in's own token is renewed meanwhile, in the same session
    person.access_token = token(life=9998, sid="session")
    again = issue(exchange, person)
    assert again.value == first.value
    assert again.life_s == pytest.approx(101)
    assert len(keycloak.asked) == 1
    clock.now += 2
    given_by(keycloak, clock)
    assert issue(exchange, person).value != first.value
    assert len(keycloak.asked) == 2


def test_by_a_slow_clock_no_token_lives_longer(timed):
    exchange, clock = timed
    keycloak = Keycloak()
    person = Person(keycloak, token(life=9999, sid="session"))
    slow, clock.now = clock.now, clock.now + 1000
    given_by(keycloak, clock)
    clock.now = slow
    issued = issue(exchange, person)
    assert issued.life_s == pytest.approx(300)
    clock.now += 201
    given_by(keycloak, clock)
    assert issue(exchange, person).value != issued.value


def test_a_token_is_given_again_to_its_log_in_person_and_audience_alone(timed):
    exchange, _ = timed
    keycloak = Keycloak()
    person = Person(keycloak, token(life=9999, sid="session"))
    issue(exchange, person)
    other = Person(keycloak, token(life=9999, sid="session"))
    other.name = "ben"
    issue(exchange, other)
    assert len(keycloak.asked) == 2
    keycloak.answers.append({"access_token": token(aud="wms")})
    issue(exchange, person, "wms")
    assert len(keycloak.asked) == 3
    # somebody of the name logs in anew, with a session or without one
    for log_in in (token(life=9999, sid="another"), token(life=9999), token(life=9997)):
        person.access_token = log_in
        issue(exchange, person)
    assert len(keycloak.asked) == 6
    # and who has no log-in any more has no token of it
    person.access_token = None
    assert refused(exchange, person) == (401, "sign_in")


def test_an_audience_that_is_taken_out_has_no_kept_tokens(timed, tmp_path):
    exchange, _ = timed
    person = Person(Keycloak(), token(life=9999, sid="session"))
    issue(exchange, person)
    (tmp_path / "c.yaml").write_text("catalogues: []")
    assert refused(exchange, person) == (403, "audience_refused")


def test_keycloak_is_asked_no_more_often_than_the_bound(timed):
    exchange, clock = timed
    keycloak = Keycloak(*[OSError("away")] * 100)
    person = Person(keycloak, token(life=9999))
    said = [refused(exchange, person)[0] for _ in range(20)]
    assert said == [503] * TRADES + [429] * (20 - TRADES)
    assert len(keycloak.asked) == TRADES
    assert refused(exchange, person, "wms") == (503, "account_service_away")
    clock.now += TRADES_EVERY_S
    keycloak.answers.clear()
    issue(exchange, person)
    with pytest.raises(NotHandedOutError) as error:
        asyncio.run(exchange.issue(person, "stac", person.refresh, fresh=True))
    assert 0 < error.value.retry_after_s <= TRADES_EVERY_S
    assert error.value.hint


def test_whatever_is_asked_has_a_bound(timed):
    exchange, clock = timed
    person = Person(Keycloak(), token(life=9999))
    said = [refused(exchange, person, "unknown")[0] for _ in range(REQUESTS + 5)]
    assert said == [403] * REQUESTS + [429] * 5
    clock.now += 1
    assert refused(exchange, person, "unknown")[0] == 403


def test_many_at_once_are_one_trade(timed):
    exchange, _ = timed
    person = Person(Keycloak(), token(life=9999))

    async def many():
        return await asyncio.gather(*(exchange.issue(person, "stac", person.refresh) for _ in range(20)))

    assert len({issued.value for issued in asyncio.run(many())}) == 1
    assert len(person.authenticator.asked) == 1
