"""Keycloak hangs, fails, or is changed behind the Hub's back, while people log in, start servers and use tokens."""

import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import httpx
import pytest
from cubehub.keycloak.admin import AdminApi
from cubehub.keycloak.server import BOOTSTRAP_CLIENT, BOOTSTRAP_SECRET
from cubehub.local.platform import is_free
from cubehub_tests.people import Visitor, form_action, page_text
from cubehub_tests.platform import REFRESH_S, Whole
from cubehub_tests.servers import Account, ServerRefusedError

pytestmark = [pytest.mark.whole, pytest.mark.chaos]
PATIENCE_S = 20
"""What a person's request may take; a browser alone would wait for minutes. Nothing is measured by it."""


class Guests:
    """Visitors whose connections are closed at the end."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.closing: list[httpx.Client] = []

    def arrive(self) -> Visitor:
        return self._add(Visitor.arrive(self.whole))

    def login(self, name: str) -> Visitor:
        return self._add(Visitor.login(self.whole, name))

    def account(self, name: str) -> Account:
        account = Account.login(self.whole, name)
        self.closing.append(account.api)
        self._add(account.visitor)
        return account

    def _add(self, visitor: Visitor) -> Visitor:
        visitor.http.timeout = httpx.Timeout(PATIENCE_S)
        self.closing.append(visitor.http)
        return visitor


@pytest.fixture
def guests(whole: Whole) -> Iterator[Guests]:
    found = Guests(whole)
    yield found
    for client in found.closing:
        client.close()


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    """Stop a process as a debugger does; its sockets go on taking connections."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        # the supervisor may have ended it
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def failing(whole: Whole) -> Iterator[None]:
    """Put a server at Keycloak's address that answers everything with 500; the supervisor looks away meanwhile."""

    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET  # noqa: N815 - the server looks for this name

        def log_message(self, *_: object) -> None:
            pass

    supervisor = int(whole.status()["up"]["pid"])
    victim = whole.pid("keycloak")
    with hanging(supervisor):
        os.kill(victim, signal.SIGKILL)
        while not is_free("127.0.0.1", whole.ports["keycloak"]):
            time.sleep(0.05)
        with http.server.ThreadingHTTPServer(("127.0.0.1", whole.ports["keycloak"]), Broken) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def trouble(whole: Whole, kind: str) -> Iterator[None]:
    whole.wait_until_healthy()
    before = whole.status()["parts"]["keycloak"]["restarts"]
    with hanging(whole.pid("keycloak")) if kind == "hangs" else failing(whole):
        yield
    if kind == "fails":
        whole.wait_until_healthy(restarted="keycloak", since=before)
    whole.wait_until_healthy()


def admin(whole: Whole) -> AdminApi:
    return AdminApi(whole.keycloak_url, BOOTSTRAP_CLIENT, whole.secrets.get(BOOTSTRAP_SECRET), "cubehub")


def in_trouble(answer: httpx.Response, *words: str) -> None:
    """Check that a page says what is wrong and where to go on."""
    text = page_text(answer.text)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, text
    for word in ("account service does not answer", "Try again", *words):
        assert word in text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("kind", ["hangs", "fails"])
def test_a_keycloak_that_hangs_or_fails_is_said_on_each_page(
    whole: Whole, guests: Guests, petra: Account, kind: str
) -> None:
    petra.stop()
    half_way = guests.arrive()
    page = half_way.http.get("/hub/login?next=%2Fhub%2Fhome")
    back = half_way.fill_login_form(page, "ana", follow=False).headers["location"]
    leaving, known, new = guests.login("viktor"), guests.login("petra"), guests.arrive()
    with trouble(whole, kind):
        in_trouble(new.http.get("/hub/login"))
        in_trouble(half_way.http.get(back))
        assert known.http.get("/hub/home").is_success
        answer = known.http.get("/hub/spawn")
        ends = time.monotonic() + PATIENCE_S
        while "Your account could not be checked" not in answer.text:
            # the page of a server that starts, which asks for its progress
            assert "is not running" not in page_text(answer.text)
            assert time.monotonic() < ends, page_text(answer.text)
            time.sleep(0.5)
            answer = known.http.get(f"/hub/spawn-pending/{petra.name}")
        assert "Nothing is wrong with your account" in answer.text
        assert "Try again" in answer.text
        in_trouble(leaving.http.get("/hub/logout"), "not of your account", "Close all windows")
    new.fill_login_form(new.http.get("/hub/login"), "viktor")
    petra.start()
    petra.stop()


def test_parts_that_hang_are_ended_and_come_back(whole: Whole, guests: Guests, ana: Account) -> None:
    whole.wait_until_healthy()
    before = whole.status()["parts"]
    hung = ("keycloak", "cubes", "hub")
    for part in hung:
        os.kill(before[part]["pid"], signal.SIGSTOP)
    for part in hung:
        whole.wait_until_healthy(restarted=part, since=before[part]["restarts"], patience_s=400)
    after = whole.status()["parts"]
    for part in hung:
        assert after[part]["pid"] != before[part]["pid"]
        assert f"{part} has not answered" in whole.log("up")
    assert guests.login("viktor").http.get("/hub/home").is_success
    assert ana.model["name"] == "ana"


def test_a_login_that_keycloak_forgot_leads_to_a_new_one(whole: Whole, guests: Guests) -> None:
    visitor = guests.arrive()
    page = visitor.http.get("/hub/login?next=%2Fhub%2Fhome")
    back = visitor.fill_login_form(page, "viktor", follow=False).headers["location"]
    with admin(whole) as api:
        api.post(f"users/{person_id(api, 'viktor')}/logout", {})
    for _ in range(2):
        answer = visitor.http.get(back)
        assert answer.status_code == HTTPStatus.BAD_REQUEST
        assert "could not be completed" in page_text(answer.text)
        assert "Try again" in page_text(answer.text)
    assert visitor.http.get("/hub/login").is_success


def test_own_tokens_outlive_a_logout_and_end_with_the_account(whole: Whole, guests: Guests) -> None:
    left_open = guests.login("viktor")
    account = guests.account("viktor")
    out = account.visitor.http.get("/hub/logout")
    assert str(out.url).startswith(whole.url), "Keycloak sends back at once"
    with admin(whole) as api:
        person = api.get(f"users/{person_id(api, 'viktor')}")
        api.post(f"users/{person['id']}/logout", {})
        after_the_next_refresh()
        assert account.model["name"] == "viktor"
        home = left_open.http.get("/hub/home", follow_redirects=False)
        assert "/hub/login" in home.headers["location"], "a token that is used keeps no browser logged in"
        api.put(f"users/{person['id']}", person | {"enabled": False})
        try:
            after_the_next_refresh()
            assert account.api.get("/hub/api/users/viktor").status_code == HTTPStatus.FORBIDDEN
            with pytest.raises(ServerRefusedError):
                account.start()
        finally:
            api.put(f"users/{person['id']}", person)
        assert account.api.get("/hub/api/users/viktor").status_code == HTTPStatus.FORBIDDEN, (
            "it was revoked for good"
        )
        assert guests.login("viktor").http.get("/hub/home").is_success


def test_new_realm_keys_trouble_nobody(whole: Whole, guests: Guests, ana: Account) -> None:
    """Not only superseded: the old keys are gone, so that what they signed is worth nothing."""
    browser, viewer = guests.login("ana"), guests.arrive()
    old = viewer.cubes_token("ana")
    kind = "org.keycloak.keys.KeyProvider"
    with admin(whole) as api:
        before = api.get("components", type=kind)
        for provider, algorithm in (("rsa-generated", "RS256"), ("hmac-generated", "HS512")):
            api.post("components", {
                "name": f"new {provider}", "providerId": provider, "providerType": kind,
                "config": {"priority": ["900"], "algorithm": [algorithm]},
            })  # fmt: skip
            for one in before:
                if one["providerId"] == provider:
                    api.delete(f"components/{one['id']}")
    after_the_next_refresh()
    assert ana.model["name"] == "ana"
    home = browser.http.get("/hub/home")
    if home.url.path != "/hub/home":
        home = browser.fill_login_form(home, "ana")
    assert home.url.path == "/hub/home"
    assert home.is_success
    datasets = "/services/cubes/datasets"
    refused = guests.arrive().http.get(datasets, headers={"Authorization": f"Bearer {old}"})
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    new = guests.arrive().cubes_token("petra")
    assert guests.arrive().http.get(datasets, headers={"Authorization": f"Bearer {new}"}).is_success
    ana.start()


def test_a_deleted_person_is_sent_to_the_login_and_an_administrator_stops_their_server(
    whole: Whole, guests: Guests
) -> None:
    with admin(whole) as api:
        make_zoe(whole, api, "a long pass phrase")
        zoe = guests.account("zoe")
        zoe.start()
        (home,) = (whole.data / "homes").glob("zoe")
        (home / "secret").touch()
        # the server remembers for a minute that she may come
        assert not form_action(zoe.visitor.http.get("/user/zoe/lab").text)
        api.delete(f"users/{person_id(api, 'zoe')}")
    adam = guests.account("adam")
    after_the_next_look()
    for page in ("/user/zoe/lab", "/hub/home", "/hub/spawn"):
        assert form_action(zoe.visitor.http.get(page).text), f"{page} does not lead to the login"
    assert zoe.api.get("/hub/api/users/zoe").status_code == HTTPStatus.FORBIDDEN
    assert adam.api.delete("/hub/api/users/zoe/server").is_success
    refused = adam.api.post("/hub/api/users/zoe/server")
    assert refused.is_error
    assert "no account with your user name" in refused.text
    assert (home / "secret").exists()

    # another person gets the name, and nothing with it
    with admin(whole) as api:
        make_zoe(whole, api, "another long pass phrase")
    assert zoe.api.get("/hub/api/users/zoe").status_code == HTTPStatus.FORBIDDEN
    new = guests.account("zoe")
    new.start()
    assert zoe.api.get("/hub/api/user").status_code == HTTPStatus.FORBIDDEN
    assert zoe.api.get("/user/zoe/api/contents").status_code == HTTPStatus.FORBIDDEN
    assert new.api.get("/user/zoe/api/contents").is_success
    assert [path.name for path in home.iterdir() if not path.name.startswith(".")] == ["cubehub-examples"]
    (old,) = (whole.data / "homes").glob("zoe.of-*")
    assert (old / "secret").exists()
    new.stop()


def make_zoe(whole: Whole, api: AdminApi, password: str) -> None:
    api.post("users", {
        "username": "zoe", "enabled": True, "email": "zoe@example.org", "firstName": "Z", "lastName": "Z",
        "credentials": [{"type": "password", "value": password, "temporary": False}],
        "groups": ["/cubehub/standard"],
    })  # fmt: skip
    whole.accounts["zoe"] = password


def person_id(api: AdminApi, name: str) -> str:
    return str(api.get("users", username=name, exact="true")[0]["id"])


def after_the_next_refresh() -> None:
    """Wait until the Hub asks Keycloak about a person again (`auth_refresh_age`)."""
    time.sleep(REFRESH_S + 1)


def after_the_next_look() -> None:
    """Wait until a server asks the Hub about a person again (`HubAuth.cache_max_age`), and this Keycloak."""
    time.sleep(60 + 1)
