"""Whether the realm still stands by a token: with a clock of one's own, and no server."""

import asyncio
import json
import subprocess
import sys

import pytest

from support import Issuer as Stub
from xcube_cubehub.access import Identity
from xcube_cubehub.callers import Caller, Callers, Claim
from xcube_cubehub.errors import IssuerUnreachableError, SessionOverError, TokenError
from xcube_cubehub.issuer import AGAIN_S, FRESH_S, KEPT_S, Issuer
from xcube_cubehub.liveness import REFUSED_S, Liveness
from xcube_cubehub.tokens import ImageCookie, TokenVerifier

CLAIMED = Identity("a", frozenset({"read:dataset:*"}), frozenset({"/cubehub/standard"}), 9e9, "ana")
CLAIMS = {
    "sub": "a", "permissions": ["read:dataset:*"], "groups": ["/cubehub/standard"], "preferred_username": "ana"
}  # fmt: skip


class Realm:
    """Answers userinfo as it is told, and counts."""

    def __init__(self, most=100):
        self.status, self.body, self.time, self.asked, self.takes = 200, CLAIMS, 1000.0, [], 0.0
        self.liveness = Liveness(Issuer("http://issuer", self.fetch), lambda: self.time, most)

    async def fetch(self, url, token):
        if url.endswith("openid-configuration"):
            return 200, json.dumps(
                {"issuer": "http://issuer", "userinfo_endpoint": "http://issuer/me"}
            ).encode()
        self.asked.append(token)
        await asyncio.sleep(0)
        self.time += self.takes
        if isinstance(self.status, Exception):
            raise self.status
        return self.status, self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    def confirm(self, token="t"):  # noqa: S107 - no password
        return asyncio.run(self.liveness.confirm(token, CLAIMED))


NO_ANSWERS = [
    (OSError(), CLAIMS), (TimeoutError(), CLAIMS), (500, CLAIMS), (503, CLAIMS), (404, CLAIMS), (429, CLAIMS),
    (302, CLAIMS), (200, b"<html>"), (200, b""), (200, []), (200, None), (200, b"[" * 100_000),
]  # fmt: skip


def test_the_realm_is_asked_again_after_half_a_minute_and_not_before():
    realm = Realm()
    assert [realm.confirm() for _ in range(5)] == [CLAIMED] * 5
    realm.time += FRESH_S - 0.1
    realm.confirm()
    assert len(realm.asked) == 1
    realm.time += 0.1
    realm.confirm()
    assert len(realm.asked) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_no_counts_at_once_and_a_yes_after_it_soon(status):
    realm = Realm()
    realm.confirm()
    realm.status = status
    realm.time += FRESH_S
    for _ in range(3):
        with pytest.raises(SessionOverError):
            realm.confirm()
    assert len(realm.asked) == 2
    realm.status = 200
    realm.time += REFUSED_S
    assert realm.confirm() == CLAIMED


@pytest.mark.parametrize(("status", "body"), NO_ANSWERS)
def test_no_answer_keeps_what_was_known_for_a_minute_since_it_was_confirmed(status, body):
    realm = Realm()
    realm.confirm()
    realm.status, realm.body = status, body
    for _ in range(11):
        realm.time += AGAIN_S
        assert realm.confirm() == CLAIMED
    realm.time += AGAIN_S
    assert realm.time == 1000 + KEPT_S
    with pytest.raises(IssuerUnreachableError):
        realm.confirm()


@pytest.mark.parametrize(("status", "body"), NO_ANSWERS)
def test_no_answer_lets_nobody_in_who_was_not_known(status, body):
    realm = Realm()
    realm.status, realm.body = status, body
    for _ in range(3):
        with pytest.raises(IssuerUnreachableError):
            realm.confirm()
    assert len(realm.asked) <= 1, "a failure is not repeated for each request"


def test_no_answer_does_not_make_up_for_a_no():
    realm = Realm()
    realm.status = 401
    with pytest.raises(SessionOverError):
        realm.confirm()
    realm.status = OSError()
    realm.time += REFUSED_S
    with pytest.raises(SessionOverError):
        realm.confirm()


def test_the_minute_counts_from_when_the_asking_began():
    realm = Realm()
    realm.takes = 2.5
    realm.confirm()
    realm.status, realm.takes = OSError(), 0
    realm.time = 1000 + KEPT_S
    with pytest.raises(IssuerUnreachableError):
        realm.confirm()


def test_a_realm_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("xcube_cubehub.issuer.PATIENCE_S", 0.05)

    async def hang(_url, _token):
        await asyncio.sleep(60)

    with pytest.raises(IssuerUnreachableError):
        asyncio.run(Liveness(Issuer("http://issuer", hang)).confirm("t", CLAIMED))


def test_groups_come_and_go_within_half_a_minute():
    realm = Realm()
    assert realm.confirm().groups == {"/cubehub/standard"}
    realm.body = {**CLAIMS, "groups": ["/cubehub/premium"]}
    realm.time += FRESH_S
    assert realm.confirm().groups == {"/cubehub/premium"}
    realm.body = {name: value for name, value in CLAIMS.items() if name != "groups"}
    realm.time += FRESH_S
    assert realm.confirm().groups == set()


def test_somebody_elses_userinfo_is_a_no():
    realm = Realm()
    realm.body = {**CLAIMS, "sub": "b"}
    with pytest.raises(SessionOverError):
        realm.confirm()


def test_a_crowd_with_one_token_asks_once_and_one_that_leaves_takes_nobody_along():
    realm = Realm()

    async def crowd():
        first, *others = [asyncio.create_task(realm.liveness.confirm("t", CLAIMED)) for _ in range(50)]
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.gather(*others)

    assert asyncio.run(crowd()) == [CLAIMED] * 49
    assert len(realm.asked) == 1


def test_tokens_are_told_apart_bounded_and_not_kept():
    realm = Realm(most=10)
    for number in range(30):
        realm.confirm(f"secret-token-{number}")
    assert len(realm.liveness._known) == 10
    realm.confirm("secret-token-29")
    assert len(realm.asked) == 30
    realm.confirm("secret-token-0")
    assert len(realm.asked) == 31, "what was forgotten is asked again"
    assert "secret-token" not in repr(vars(realm.liveness))


@pytest.fixture
def told():
    return Stub(url="http://issuer/realms/cubehub")


@pytest.fixture
def callers(told):
    issuer = Issuer(told.url, told.fetch)
    return Callers(TokenVerifier(issuer, "cubehub-cubes"), Liveness(issuer), ImageCookie(b"k" * 32))


def ask(callers, authorization, cookie=None):
    async def both():
        return await callers.confirm(await callers.read(authorization, cookie))

    return asyncio.run(both())


def test_header_and_cookie_lead_to_the_same_person(callers, told):
    token = told.token()
    person = ask(callers, f"Bearer {token}").identity
    assert person.username == "ana"
    assert ask(callers, None, ImageCookie(b"k" * 32).seal(token)).identity == person
    assert ask(callers, None) == Caller()


def test_a_header_that_is_no_good_is_told_and_a_cookie_passed_over(callers, told):
    seal = ImageCookie(b"k" * 32).seal
    for token in (told.token(aud="other"), told.token(exp=1), told.token(typ="ID"), "rubbish"):
        with pytest.raises(TokenError):
            ask(callers, f"Bearer {token}")
        assert ask(callers, None, seal(token)) == Caller()
    for header in ("", "Bearer", "Bearer ", "Basic YTpi", told.token()):
        with pytest.raises(TokenError):
            ask(callers, header, seal(told.token()))
    for forged in ("forged", ImageCookie(b"x" * 32).seal(told.token()), told.token()):
        assert ask(callers, None, forged) == Caller()


def test_a_suspended_person_is_a_visitor_with_a_reason(callers, told):
    token = told.token()
    told.suspended.add("3f6b")
    for arrives in ((f"Bearer {token}", None), (None, ImageCookie(b"k" * 32).seal(token))):
        caller = ask(callers, *arrives)
        assert caller.identity is None
        assert caller.problem.code == "session_over"


def test_without_the_realm_everybody_is_a_visitor_with_a_reason(callers, told):
    told.down = True
    claim = asyncio.run(callers.read(f"Bearer {told.token()}"))
    assert claim.identity is None
    assert asyncio.run(callers.confirm(claim)).problem.code == "issuer_unreachable"


def test_a_claim_keeps_its_token_out_of_what_is_printed():
    assert "secret" not in repr(Claim("secret"))


def test_what_judges_callers_imports_no_server():
    code = """
import sys
from xcube_cubehub import access, callers, issuer, liveness, tokens
print([name for name in ("tornado", "xcube", "xarray", "numpy") if name in sys.modules])
"""
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "[]\n"
    )
