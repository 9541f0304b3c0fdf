import asyncio
import json
import time
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cubehub.authenticator import KeycloakAuthenticator
from cubehub.known_accounts import KnownAccounts
from cubehub.token_life import near_end, token_end
from cubehub_spawner.entitlement import Account
from cubehub_spawner.errors import DirectoryUnavailableError, UnknownAccountError
from hypothesis import given
from hypothesis import strategies as st
from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import HTTPError
from traitlets import TraitError

KEY = "a key of thirty-two bytes or more"
PUBLIC, KEYCLOAK = "http://127.0.0.1:8000", "http://127.0.0.1:8001"


def token(life, age=0):
    issued = time.time() - age
    return jwt.encode({"iat": issued, "exp": issued + life}, KEY)


@pytest.fixture
def authenticator():
    return KeycloakAuthenticator(keycloak_url=KEYCLOAK + "/", public_url=PUBLIC)


class Upstream:
    """Stands for Keycloak behind the HTTP client, the one way the authenticator talks."""

    def __init__(self, authenticator, **answers):
        self.asked = []
        self.answers = {
            "userinfo": {"preferred_username": "ana", "groups": ["/cubehub/standard"]},
            "token": {
                "access_token": token(300),
                "refresh_token": "r2",
                "token_type": "Bearer",
                "scope": "openid",
            },
            "cubehub": {},
        } | answers
        authenticator.http_client = self

    async def fetch(self, request, **_more):
        name = request.url.rsplit("/", 1)[1]
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(body=json.dumps(answer).encode())


class Person:
    """Stands for the Hub's user: what it keeps of a login, and its tokens."""

    name = "ana"

    def __init__(self, auth_state):
        self.auth_state = auth_state
        self.api_tokens = [SimpleNamespace(session_id=session) for session in (None, "browser", None)]
        self.orm_user = SimpleNamespace(cookie_id="c1")
        self.db = SimpleNamespace(delete=self.api_tokens.remove, commit=lambda: None)

    async def get_auth_state(self):
        return self.auth_state

    async def save_auth_state(self, auth_state):
        self.auth_state = auth_state


def person(access_token, refresh_token="r1"):  # noqa: S107 - not a password
    response = {"access_token": access_token, "token_type": "Bearer", "refresh_token": refresh_token}
    return Person({"access_token": access_token, "refresh_token": refresh_token, "token_response": response})


BROWSER = "browser"


def asked_by(user, token):
    """Stand for the Hub's handler of a request: by a browser, by a token, or by somebody else (None)."""
    return SimpleNamespace(
        current_user=user if token else object(),
        get_token=lambda: None if token == BROWSER else token,
        request=SimpleNamespace(uri="/hub/home"),
    )


def refresh(authenticator, user, token=BROWSER):
    return asyncio.run(authenticator.refresh_user(user, asked_by(user, token)))


def test_what_a_stock_hub_leaves_open_is_set(authenticator):
    assert authenticator.auth_refresh_strict is True
    assert 0 < authenticator.auth_refresh_age < 300 / 2
    assert authenticator.refresh_pre_spawn is False, "the spawner asks Keycloak, while the person waits"
    assert authenticator.enable_auth_state is True
    assert authenticator.manage_groups is True
    assert authenticator.userdata_from_id_token is False
    assert authenticator.enable_pkce is True
    assert authenticator.admin_groups == {"/cubehub/admin"}
    assert authenticator.allow_all is True
    assert authenticator.token_reserve > authenticator.auth_refresh_age


def test_every_address_follows_from_three():
    authenticator = KeycloakAuthenticator(
        keycloak_url="http://keycloak:8080",
        keycloak_public_url="https://login.example.org",
        public_url=PUBLIC,
    )
    inside, outside = (
        f"{base}/realms/cubehub/protocol/openid-connect"
        for base in ("http://keycloak:8080", "https://login.example.org")
    )
    assert authenticator.authorize_url == f"{outside}/auth"
    assert authenticator.token_url == f"{inside}/token"
    assert authenticator.userdata_url == f"{inside}/userinfo"
    assert authenticator.oauth_callback_url == f"{PUBLIC}/hub/oauth_callback"
    assert authenticator.end_session_url(None).startswith(f"{outside}/logout?")


def test_logging_out_ends_the_session_and_comes_back(authenticator):
    query = parse_qs(urlsplit(authenticator.end_session_url("the.id.token")).query)
    assert query == {
        "client_id": ["cubehub-hub"],
        "post_logout_redirect_uri": [f"{PUBLIC}/"],
        "id_token_hint": ["the.id.token"],
    }
    assert "id_token_hint" not in parse_qs(urlsplit(authenticator.end_session_url(None)).query)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_refresh_age", 0),
        ("userdata_from_id_token", True),
        ("keycloak_url", "127.0.0.1:8001"),
        ("public_url", "ftp://x"),
    ],
)
def test_an_unsafe_setting_is_refused_by_name(name, value):
    with pytest.raises(TraitError, match=name):
        KeycloakAuthenticator(**{name: value})


@pytest.mark.parametrize(
    ("userinfo", "groups"),
    [
        ({"groups": ["/cubehub/standard", "/other"]}, {"/cubehub/standard", "/other"}),
        ({"groups": []}, set()),
        ({}, set()),
        ({"groups": "/cubehub/admin"}, set()),
        ({"groups": None}, set()),
    ],
)
def test_groups_are_those_of_userinfo_or_none(authenticator, userinfo, groups):
    assert asyncio.run(authenticator.get_user_groups({"oauth_user": userinfo})) == groups


def test_no_userinfo_means_no_groups(authenticator):
    assert asyncio.run(authenticator.get_user_groups({})) == set()


@given(life=st.integers(1, 10**6), age=st.integers(0, 10**6), reserve=st.integers(0, 10**4))
def test_near_end_is_about_the_life_that_is_left(life, age, reserve):
    text = jwt.encode({"iat": 1000, "exp": 1000 + life}, KEY)
    assert near_end(text, 1000 + age, reserve) == (life - age < min(reserve, life / 2))
    assert not near_end(text, 1000, reserve), "a fresh token is never near its end"


def test_a_token_without_an_end_is_left_alone():
    assert not near_end("opaque", 0, 90)
    assert token_end("opaque") == 0


def test_a_good_token_is_asked_about_groups_each_time(authenticator):
    upstream = Upstream(authenticator)
    model = refresh(authenticator, person(token(300)))
    assert model["groups"] == ["/cubehub/standard"]
    assert model["admin"] is False
    assert upstream.asked == ["userinfo"]


def test_a_token_about_to_end_is_renewed_though_it_still_works(authenticator):
    upstream = Upstream(authenticator)
    model = refresh(authenticator, person(token(300, age=250)))
    assert upstream.asked == ["token", "userinfo"]
    assert model["auth_state"]["access_token"] == upstream.answers["token"]["access_token"]


def test_removed_from_every_group_means_no_groups_and_no_admin(authenticator):
    Upstream(authenticator, userinfo={"preferred_username": "adam"})
    model = refresh(authenticator, person(token(300)))
    assert model["groups"] == []
    assert model["admin"] is False


def test_admin_follows_the_group(authenticator):
    Upstream(authenticator, userinfo={"preferred_username": "adam", "groups": ["/cubehub/admin"]})
    assert refresh(authenticator, person(token(300)))["admin"] is True


def test_a_session_that_keycloak_ended_asks_for_a_login(authenticator):
    Upstream(authenticator, userinfo=HTTPClientError(401), token=HTTPClientError(400))
    assert refresh(authenticator, person(token(300))) is False


OUTAGES = [ConnectionRefusedError(111, "refused"), HTTPClientError(599, "timeout"), HTTPClientError(503)]


@pytest.mark.parametrize("outage", OUTAGES, ids=["refused", "timeout", "failing"])
@pytest.mark.parametrize("age", [0, 250, 400, 3000])
def test_an_outage_keeps_running_servers_reachable(authenticator, outage, age):
    Upstream(authenticator, userinfo=outage, token=outage, cubehub=outage)
    assert refresh(authenticator, person(token(300, age=age))) is True


@pytest.mark.parametrize("outage", OUTAGES, ids=["refused", "timeout", "failing"])
def test_an_outage_is_not_outlived_forever(authenticator, outage):
    Upstream(authenticator, userinfo=outage, token=outage, cubehub=outage)
    user = person(token(300, age=300 + 3601))
    assert refresh(authenticator, user) is False
    assert user.auth_state is not None, "the session may still be there when Keycloak is"


def test_nobody_without_a_token_is_kept_through_an_outage(authenticator):
    outage = ConnectionRefusedError(111, "refused")
    Upstream(authenticator, userinfo=outage, token=outage, cubehub=outage)
    assert refresh(authenticator, person("rubbish")) is False


def test_an_outage_while_a_token_is_renewed_is_waited_for_once(authenticator):
    hang = HTTPClientError(599, "timeout")
    upstream = Upstream(authenticator, userinfo=hang, token=hang, cubehub=hang)
    assert refresh(authenticator, person(token(300, age=250))) is True
    assert upstream.asked == ["token"]


def test_requests_that_hang_are_not_in_the_way_of_the_hub_itself():
    async def clients():
        authenticator = KeycloakAuthenticator(keycloak_url=KEYCLOAK, public_url=PUBLIC)
        return authenticator.http_client, AsyncHTTPClient()

    own, shared = asyncio.run(clients())
    assert own is not shared


def test_a_refusal_is_none_the_less_one_while_keycloak_is_silent_to_others(authenticator):
    refused = Upstream(authenticator, token=HTTPClientError(400))
    silent = Upstream(authenticator, token=HTTPClientError(599, "timeout"))
    ana, other = person(token(300, age=250)), person(token(300, age=250))

    async def fetch(request, **more):
        if silent.asked:
            return await refused.fetch(request, **more)
        return await silent.fetch(request, **more)

    async def meanwhile(request, **more):
        # the other's request begins and ends while ana's is under way
        authenticator.http_client = SimpleNamespace(fetch=fetch)
        assert await asyncio.create_task(authenticator.refresh_user(other, asked_by(other, BROWSER)))
        return await fetch(request, **more)

    authenticator.http_client = SimpleNamespace(fetch=meanwhile)
    assert refresh(authenticator, ana) is False
    assert (silent.asked, refused.asked) == (["token"], ["token"])


class Directory:
    """Stands for Keycloak's word about an account."""

    def __init__(self, answer=None):
        self.answer = answer or Account("ana", "1", enabled=True, groups=frozenset({"/cubehub/standard"}))

    async def lookup(self, username):
        assert username == "ana"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_an_administrator_is_who_is_in_the_real_group(authenticator):
    """A group elsewhere may be named as the path of the administrators' one; userinfo can't tell."""
    groups = {"/cubehub/admin", "/cubehub/standard"}
    state = {"oauth_user": {"preferred_username": "ana", "groups": sorted(groups)}}
    authenticator.directory = Directory()
    assert asyncio.run(authenticator.get_user_groups(state)) == {"/cubehub/standard"}
    authenticator.directory.answer = DirectoryUnavailableError()
    assert asyncio.run(authenticator.get_user_groups(state)) == {"/cubehub/standard"}, "nobody becomes one"
    authenticator.directory.answer = Account("ana", "1", enabled=True, groups=frozenset(groups))
    assert asyncio.run(authenticator.get_user_groups(state)) == groups
    authenticator.directory.answer = DirectoryUnavailableError()
    assert asyncio.run(authenticator.get_user_groups(state)) == groups, "who was found to be one stays one"
    authenticator.directory.answer = UnknownAccountError()
    assert asyncio.run(authenticator.get_user_groups(state)) == {"/cubehub/standard"}


OWN = SimpleNamespace(session_id=None)
OF_A_BROWSER = SimpleNamespace(session_id="s1")


@pytest.fixture
def logged_out(authenticator):
    """Give an authenticator whose Keycloak has ended the session."""
    Upstream(authenticator, userinfo=HTTPClientError(401), token=HTTPClientError(400))
    authenticator.directory = Directory()
    return authenticator


@pytest.mark.parametrize("by", [OWN, None], ids=["own token", "somebody else"])
def test_a_token_outlives_the_session_with_the_groups_of_now(logged_out, by):
    expected = {"name": "ana", "groups": ["/cubehub/standard"], "admin": False}
    user = person(token(300))
    assert refresh(logged_out, user, by) == expected
    assert refresh(logged_out, user, by) == expected
    logged_out.directory.answer = Account("ana", "1", enabled=True, groups=frozenset({"/cubehub/admin"}))
    assert refresh(logged_out, user, by)["admin"] is True


@pytest.mark.parametrize("by", [BROWSER, OF_A_BROWSER], ids=["cookie", "token of a browser"])
def test_a_browser_does_not_outlive_the_session(logged_out, by):
    assert refresh(logged_out, person(token(300)), by) is False


@pytest.mark.parametrize("by", [BROWSER, OWN], ids=["cookie", "own token"])
def test_the_end_of_the_session_ends_the_browsers_and_not_the_tokens(logged_out, by):
    user = person(token(300))
    refresh(logged_out, user, by)
    assert user.auth_state is None
    assert user.orm_user.cookie_id != "c1"
    assert [one.session_id for one in user.api_tokens] == [None, None]
    cookie = user.orm_user.cookie_id
    refresh(logged_out, user, by)
    assert user.orm_user.cookie_id == cookie, "a login of later stays"


def test_a_login_during_the_refresh_stays(logged_out):
    user = person(token(300))
    fetch = logged_out.http_client.fetch

    async def log_in_meanwhile(request, **more):
        user.auth_state = {"access_token": "of a new session"}
        return await fetch(request, **more)

    logged_out.http_client = SimpleNamespace(fetch=log_in_meanwhile)
    refresh(logged_out, user)
    assert user.auth_state == {"access_token": "of a new session"}
    assert user.orm_user.cookie_id == "c1"


@pytest.mark.parametrize(
    "answer",
    [Account("ana", "1", enabled=False, groups=frozenset({"/cubehub/standard"})), UnknownAccountError()],
    ids=["disabled", "deleted"],
)
def test_tokens_end_with_the_account(logged_out, answer):
    user = person(token(300))
    assert refresh(logged_out, user, OWN)
    logged_out.directory.answer = answer
    assert refresh(logged_out, user, OWN) is False
    assert refresh(logged_out, user, None) is False


def test_tokens_live_through_an_outage_if_the_account_was_fine_before(logged_out):
    user = person(token(300))
    assert refresh(logged_out, user, OWN)
    logged_out.directory.answer = DirectoryUnavailableError()
    assert refresh(logged_out, user, OWN) is True
    logged_out.outage_grace = 0
    assert refresh(logged_out, user, OWN) is False


def test_a_token_is_worth_nothing_to_another_account_of_the_same_name(logged_out):
    user = person(token(300))
    assert refresh(logged_out, user, OWN)
    logged_out.directory.answer = Account("ana", "2", enabled=True, groups=frozenset({"/cubehub/premium"}))
    assert refresh(logged_out, user, OWN) is False
    assert user.api_tokens == []


class LoginHandler:
    """Stands for the Hub's handler of a login, with a person who has a server."""

    settings = {"login_url": "/hub/login"}  # noqa: RUF012 - read only

    def __init__(self, user, *, pending=None):
        self.user, self.stopped = user, []
        user.spawners = {"": SimpleNamespace(name="", active=True, pending=pending)}

    def find_user(self, name):
        return self.user if name == self.user.name else None

    async def stop_single_user(self, user, name):
        self.stopped.append((user.name, name))


def log_in(authenticator, handler, monkeypatch, sub):
    async def model(*_args, **_kwargs):
        return {"name": "Ana", "auth_state": {"oauth_user": {"sub": sub}}}

    monkeypatch.setattr(GenericOAuthenticator, "authenticate", model)
    return asyncio.run(authenticator.authenticate(handler))


def test_somebody_new_of_an_old_name_gets_none_of_the_servers_and_tokens(authenticator, monkeypatch):
    user = person(token(300))
    handler = LoginHandler(user)
    for _ in range(2):
        assert log_in(authenticator, handler, monkeypatch, "1")["name"] == "Ana"
    assert handler.stopped == []
    assert len(user.api_tokens) == 3
    assert log_in(authenticator, handler, monkeypatch, "2")
    assert handler.stopped == [("ana", "")]
    assert user.api_tokens == []
    assert user.orm_user.cookie_id != "c1"


def test_a_login_waits_for_a_server_of_another_account_that_just_starts(authenticator, monkeypatch):
    user = person(token(300))
    log_in(authenticator, LoginHandler(user), monkeypatch, "1")
    with pytest.raises(HTTPError) as caught:
        log_in(authenticator, LoginHandler(user, pending="spawn"), monkeypatch, "2")
    assert caught.value.status_code == 503
    assert len(user.api_tokens) == 3
    handler = LoginHandler(user)
    assert log_in(authenticator, handler, monkeypatch, "2"), "nothing was remembered before it was done"
    assert handler.stopped


def test_accounts_are_remembered_through_a_restart_of_the_hub(tmp_path):
    file = tmp_path / "accounts.json"
    assert not KnownAccounts(file).is_another("ana", "1")
    assert KnownAccounts(file).is_another("ana", "2")
    KnownAccounts(file).remember("ana", "2")
    assert not KnownAccounts(file).is_another("ana", "2")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("rubbish")
    assert not KnownAccounts(file).is_another("ana", "1")


def test_without_a_directory_tokens_end_with_the_session(logged_out):
    logged_out.directory = None
    assert refresh(logged_out, person(token(300)), OWN) is False
