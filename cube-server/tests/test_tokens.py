"""Token verification and the access decision, without a server."""

import asyncio
import json
import time
from base64 import b64encode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from xcube_cubehub.access import Access, Identity, Policy, Rule, current_identity, may_read
from xcube_cubehub.errors import IssuerUnreachableError, TokenError
from xcube_cubehub.tokens import ImageCookie, TokenVerifier


@pytest.fixture
def verifier(issuer):
    async def fetch(url):
        return json.dumps(issuer.documents()["/" + url.split("/", 3)[3]]).encode()

    return TokenVerifier(issuer.url, "cubehub-cubes", fetch)


def identify(verifier, token):
    return asyncio.run(verifier.identify(token))


def test_a_good_token_tells_who(verifier, issuer):
    who = identify(verifier, issuer.token())
    assert who.permissions == {"read:dataset:*"}
    assert who.groups == {"/cubehub/standard"}


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": time.time() - 60},
        {"exp": None},
        {"aud": "other"},
        {"aud": None},
        {"iss": "http://127.0.0.1/realms/other"},
        {"iss": None},
        {"sub": None},
        {"nbf": time.time() + 600},
        {"typ": "ID"},  # what the viewer's sign-in also brings: same key, audience and subject
        {"typ": "Refresh"},
        {"typ": "Logout"},
        {"typ": None},
    ],
)
def test_a_token_that_does_not_hold(verifier, issuer, changes):
    with pytest.raises(TokenError):
        identify(verifier, issuer.token(**changes))


def test_forged_tokens(verifier, issuer):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    public = issuer.documents()["/realms/cubehub/certs"]["keys"][0]["n"]
    forged = [
        issuer.token(key=stranger),
        issuer.token(kid="unknown"),
        jwt.encode(claims, None, algorithm="none", headers={"kid": "one"}),
        jwt.encode(claims, public, algorithm="HS256", headers={"kid": "one"}),
        "abc",
        "a.b.c",
        "",
        issuer.token()[:-4] + "AAAA",
        b64encode(b'{"a":' * 50_000).decode() + ".e30.",
    ]
    for token in forged:
        with pytest.raises(TokenError):
            identify(verifier, token)


def test_keys_are_fetched_once_and_unknown_ones_do_not_hammer_the_issuer(issuer):
    asked = []

    async def fetch(url):
        asked.append(url)
        return json.dumps(issuer.documents()["/" + url.split("/", 3)[3]]).encode()

    verifier = TokenVerifier(issuer.url, "cubehub-cubes", fetch)
    for _ in range(5):
        identify(verifier, issuer.token())
        with pytest.raises(TokenError):
            identify(verifier, issuer.token(kid="unknown"))
    assert len(asked) == 2


def test_without_keys_nobody_is_let_in(issuer):
    async def fetch(_url):
        raise OSError

    with pytest.raises(IssuerUnreachableError):
        identify(TokenVerifier(issuer.url, "cubehub-cubes", fetch), issuer.token())


def test_the_image_cookie_holds_until_the_token_ends_and_cannot_be_forged():
    cookie, who = ImageCookie(b"k" * 32), Identity("a", frozenset({"p"}), frozenset({"/g"}), 1000.0)
    value = cookie.seal(who)
    assert cookie.open(value, now=999.0) == who
    assert cookie.open(value, now=1000.0) is None
    assert ImageCookie(b"x" * 32).open(value, now=999.0) is None
    for damaged in ("", ".", "a.b", value[:-1], value + "é", "x" + value):
        assert cookie.open(damaged, now=999.0) is None


PERSON = Identity("a", frozenset({"read:dataset:*"}), frozenset({"/cubehub/standard"}), 0)


@pytest.mark.parametrize(
    ("rule", "identity", "allowed"),
    [
        (None, PERSON, False),
        (Rule(Access.PUBLIC), None, True),
        (Rule(Access.ACCOUNT), None, False),
        (Rule(Access.ACCOUNT), PERSON, True),
        (Rule(Access.ACCOUNT), Identity("a"), False),
        (Rule(Access.ACCOUNT), Identity("a", frozenset({"read:dataset:other"})), False),
        (Rule(Access.ACCOUNT), Identity("a", frozenset({"read:variable:*", "*:x"})), False),
        (Rule(Access.GROUPS, frozenset({"/cubehub/standard"})), PERSON, True),
        (Rule(Access.GROUPS, frozenset({"/cubehub/premium"})), PERSON, False),
        (Rule(Access.GROUPS, frozenset({"/cubehub/standard"})), Identity("a", groups=PERSON.groups), False),
        (Rule(Access.GROUPS), PERSON, False),
    ],
)
def test_the_decision(rule, identity, allowed):
    assert may_read("cube", rule, identity) is allowed


def test_the_policy_sees_nobody_by_default_and_helpers_fall_under_their_cube():
    policy = Policy({"c": Rule(Access.ACCOUNT)}, {"c": "c", "c:series": "c"})
    assert not policy.allows("c")
    mark = current_identity.set(PERSON)
    try:
        assert policy.allows("c")
        assert policy.allows("c:series")
        assert not policy.allows("other")
    finally:
        current_identity.reset(mark)
