"""Token verification and the access decision, without a server."""

import asyncio
import secrets
import time
from base64 import b64encode
from string import ascii_letters

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support import Issuer as Stub
from xcube_cubehub.access import (
    Access,
    Identity,
    Policy,
    Rule,
    current_identity,
    is_owner,
    may_read,
    refreshed,
)
from xcube_cubehub.errors import IssuerUnreachableError, TokenError
from xcube_cubehub.issuer import AGAIN_S, FRESH_S, KEPT_S, Issuer
from xcube_cubehub.tokens import ImageCookie, TokenVerifier


@pytest.fixture
def verifier(issuer):
    return TokenVerifier(Issuer(issuer.url, issuer.fetch), "cubehub-cubes")


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
        {"nbf": time.time() + 86_400},  # long after the last test of the run
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


class Realm:
    """A realm of one's own, a verifier that asks it, and a clock that stands still."""

    def __init__(self):
        self.told = Stub(url="http://issuer/realms/cubehub")
        self.asked, self.time = [], 1000.0
        self.verifier = TokenVerifier(Issuer(self.told.url, self.fetch), "cubehub-cubes", lambda: self.time)

    async def fetch(self, url, token):
        self.asked.append(url.rsplit("/", 1)[1])
        if self.told.down:
            raise OSError
        await asyncio.sleep(0)
        return await self.told.fetch(url, token)


def test_keys_are_fetched_once_and_unknown_ones_do_not_hammer_the_issuer():
    realm = Realm()
    stranger = realm.told.token(kid="unknown")
    for _ in range(5):
        identify(realm.verifier, realm.told.token())
        with pytest.raises(TokenError):
            identify(realm.verifier, stranger)
    assert realm.asked == ["openid-configuration", "certs"]


def test_a_crowd_asks_for_the_keys_once():
    realm = Realm()

    async def crowd():
        return await asyncio.gather(*(realm.verifier.identify(realm.told.token()) for _ in range(50)))

    assert len(asyncio.run(crowd())) == 50
    assert realm.asked == ["openid-configuration", "certs"]


def test_a_new_key_counts_at_once_and_one_that_was_taken_back_within_half_a_minute():
    realm = Realm()
    old = realm.told.token()
    identify(realm.verifier, old)
    realm.told.key, realm.told.kid = rsa.generate_private_key(public_exponent=65537, key_size=2048), "two"
    realm.time += FRESH_S - 1
    identify(realm.verifier, old)
    identify(realm.verifier, realm.told.token())
    with pytest.raises(TokenError):
        identify(realm.verifier, old)
    realm.told.kid = "three"  # nobody comes with it, so that nothing but time makes the server ask
    realm.time += FRESH_S
    with pytest.raises(TokenError):
        identify(realm.verifier, realm.told.token(kid="two"))


def test_without_the_issuer_keys_hold_for_a_minute_and_not_longer():
    realm = Realm()
    token = realm.told.token()
    identify(realm.verifier, token)
    realm.told.down = True
    realm.time += KEPT_S - 1
    assert identify(realm.verifier, token)
    with pytest.raises(IssuerUnreachableError):
        identify(realm.verifier, realm.told.token(kid="new"))
    asked = len(realm.asked)
    realm.time += 1
    with pytest.raises(IssuerUnreachableError):
        identify(realm.verifier, token)
    assert len(realm.asked) == asked, "a failure is not repeated for each request"
    realm.told.down = False
    realm.time += AGAIN_S
    assert identify(realm.verifier, token)


def test_a_discovery_document_of_another_issuer_is_not_believed():
    realm = Realm()
    realm.verifier._issuer = Issuer("http://issuer/realms/other", realm.fetch)
    realm.told.documents = lambda: {
        "/realms/other/.well-known/openid-configuration": {
            "issuer": "http://evil",
            "jwks_uri": "http://evil/certs",
        }
    }
    with pytest.raises(IssuerUnreachableError):
        identify(realm.verifier, realm.told.token())
    assert realm.asked == ["openid-configuration"]


def test_the_image_cookie_gives_back_the_token_and_cannot_be_read_or_forged():
    cookie, token = ImageCookie(b"k" * 32), Stub(url="http://issuer").token()
    value = cookie.seal(token)
    assert cookie.open(value) == token
    assert not any(part in value for part in token.split("."))
    assert cookie.seal(token) != value
    assert ImageCookie(b"x" * 32).open(value) is None
    for damaged in ("", ".", "a.b", value[:-4], value + "é", "x" + value, "AAAA" * 20, token):
        assert cookie.open(damaged) is None
    assert cookie.seal("".join(secrets.choice(ascii_letters) for _ in range(5000))) is None, (
        "no browser would keep it"
    )


ANA_ID, OTHER_ID = "3f6b1c1e-0000-4000-8000-00000000000a", "3f6b1c1e-0000-4000-8000-00000000000b"
PERSON = Identity(ANA_ID, frozenset({"read:dataset:*"}), frozenset({"/cubehub/standard"}), 0, "ana")


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
        (Rule(Access.OWNER), PERSON, False),
        (Rule(Access.OWNER), Identity("", PERSON.permissions), False),
        (Rule(Access.OWNER, owner="ana"), PERSON, True),
        (Rule(Access.OWNER, owner="Ana"), PERSON, True),
        (Rule(Access.OWNER, owner=ANA_ID), PERSON, True),
        (Rule(Access.OWNER, owner="petra"), PERSON, False),
        (Rule(Access.OWNER, owner=OTHER_ID), PERSON, False),
        (Rule(Access.OWNER, owner="ana"), None, False),
        (Rule(Access.OWNER, owner="ana"), Identity(ANA_ID, username="ana"), False),
        (Rule(Access.OWNER, frozenset({"/cubehub/standard"}), "petra"), PERSON, False),
        (Rule(Access.GROUPS, frozenset({"/cubehub/premium"}), "ana"), PERSON, True),
        (Rule(Access.GROUPS, frozenset({"/cubehub/standard"}), "petra"), PERSON, True),
        (Rule(Access.GROUPS, frozenset({"/cubehub/premium"}), "petra"), PERSON, False),
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


def test_a_user_name_that_is_another_persons_id_owns_nothing():
    assert not is_owner(OTHER_ID, Identity(ANA_ID, username=OTHER_ID))
    federated = f"f:{OTHER_ID}:77"
    assert is_owner(federated, Identity(federated))
    assert not is_owner(federated, Identity(ANA_ID, username=federated))
    assert not is_owner("ana", Identity("ana", username="petra")), "a name is not compared with ids"


def test_what_the_realm_says_now_replaces_what_the_token_says():
    now = {
        "sub": ANA_ID,
        "groups": ["/cubehub/premium"],
        "permissions": ["read:dataset:x"],
        "preferred_username": "a",
    }
    found = refreshed(PERSON, now)
    assert found == Identity(ANA_ID, frozenset({"read:dataset:x"}), frozenset({"/cubehub/premium"}), 0, "a")
    assert refreshed(PERSON, {"sub": ANA_ID}) == Identity(ANA_ID), "what is left out is gone"
    for other in ({}, {"sub": None}, {"sub": OTHER_ID, **PERSON.__dict__}):
        assert refreshed(PERSON, other) is None
    assert refreshed(
        PERSON, {"sub": ANA_ID, "groups": "/cubehub/premium", "permissions": {"a": 1}}
    ) == Identity(ANA_ID)
