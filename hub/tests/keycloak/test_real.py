"""Against a real Keycloak: what the realm gives people, and what it withholds from the platform's own account."""

from __future__ import annotations

import asyncio
import signal
import stat
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import jwt
import psutil
import pytest
from cubehub.authenticator import KeycloakAuthenticator
from cubehub.directory import KeycloakDirectory
from cubehub.keycloak.errors import ProvisionError
from cubehub.keycloak.provision import provision
from cubehub.keycloak.realm import CUBES_CLIENT, DIRECTORY_CLIENT, DIRECTORY_SECRET, HUB_SECRET, REALM
from cubehub.keycloak.server import BOOTSTRAP_SECRET
from cubehub_spawner.errors import DirectoryUnavailableError, UnknownAccountError
from cubehub_tests.needs import chromium
from playwright.sync_api import sync_playwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def look_up(keycloak, *usernames, secret=None, url=None):
    async def run():
        secret_now = secret or keycloak.secrets.get(DIRECTORY_SECRET)
        async with KeycloakDirectory(url or keycloak.url, REALM, DIRECTORY_CLIENT, secret_now) as directory:
            return [await directory.lookup(name) for name in usernames]

    return asyncio.run(run())


@pytest.fixture
def ids(keycloak):
    """Ids of ana, of groups and of the hub's client, so that a refusal is not about a wrong address."""
    with keycloak.admin() as api:
        if not api.get("groups", search="elsewhere"):
            api.post("groups", {"name": "elsewhere"})
        paths = ("/cubehub", "/cubehub/standard", "/cubehub/premium", "/cubehub/admin", "/elsewhere")
        return SimpleNamespace(
            ana=api.get("users", username="ana", exact=True)[0]["id"],
            hub=api.client("cubehub-hub")["id"],
            **{path.rsplit("/", 1)[1]: api.group(path)["id"] for path in paths},
        )


class As:
    """The admin API as the directory's own account."""

    def __init__(self, keycloak):
        answer = httpx.post(
            f"{keycloak.realm_url}/protocol/openid-connect/token",
            data={
                "grant_type": "client_credentials",
                "client_id": DIRECTORY_CLIENT,
                "client_secret": keycloak.secrets.get(DIRECTORY_SECRET),
            },
        )
        self.base = f"{keycloak.url}/admin/realms/{REALM}"
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def __call__(self, method, path, json=None):
        return httpx.request(method, self.base + path, json=json, headers=self.headers).status_code


@pytest.fixture
def directory_account(keycloak):
    return As(keycloak)


class TestPeople:
    @pytest.mark.parametrize("username", ["ana", "petra", "viktor", "adam"])
    def test_a_demo_account_logs_in_without_a_further_form(self, keycloak, username):
        person = keycloak.accounts[username]
        tokens = keycloak.sign_in(username)
        userinfo = httpx.get(
            f"{keycloak.realm_url}/protocol/openid-connect/userinfo",
            headers={"Authorization": f"Bearer {tokens['access_token']}"},
        ).json()
        for seen in (userinfo, claims(tokens["access_token"]), claims(tokens["id_token"])):
            assert seen["preferred_username"] == username
            assert set(seen.get("groups", [])) == set(person.groups)
        # an administrator's token for the hub opens nothing in Keycloak itself
        assert "resource_access" not in claims(tokens["access_token"])
        assert tokens["expires_in"] == 300

    @pytest.mark.parametrize("username", ["ana", "viktor"])
    def test_the_viewers_token_says_who_and_for_whom(self, keycloak, username):
        seen = claims(keycloak.sign_in(username, CUBES_CLIENT)["access_token"])
        assert seen["aud"] == "cubehub-cubes"
        assert seen["iss"] == keycloak.realm_url
        assert seen["permissions"] == ["read:dataset:*"]
        assert set(seen.get("groups", [])) == set(keycloak.accounts[username].groups)

    def test_a_wrong_password_is_refused(self, keycloak):
        with pytest.raises(PermissionError, match="Invalid username or password"):
            keycloak.sign_in("petra", password="not-the-password")

    def test_passwords_cannot_be_sent_past_the_login_page(self, keycloak):
        data = {"grant_type": "password", "username": "ana", "password": keycloak.accounts["ana"].password}
        clients = {"cubehub-hub": keycloak.secrets.get(HUB_SECRET), CUBES_CLIENT: None}
        for client_id, secret in clients.items():
            extra = {"client_id": client_id} | ({"client_secret": secret} if secret else {})
            answer = httpx.post(f"{keycloak.realm_url}/protocol/openid-connect/token", data=data | extra)
            assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")

    def test_the_accounts_are_written_down_privately(self, keycloak):
        file = keycloak.secrets.folder.parent / "accounts.txt"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert all(person.password in file.read_text() for person in keycloak.accounts.values())


class TestDirectory:
    def test_accounts_as_they_are(self, keycloak):
        ana, viktor = look_up(keycloak, "ana", "viktor")
        assert (ana.username, ana.enabled, ana.groups) == ("ana", True, {"/cubehub/standard"})
        assert (viktor.groups, viktor.email) == (frozenset(), "viktor@example.org")

    @pytest.mark.parametrize("name", ["nobody", "an", "an*", "%", "ana@example.org", ""])
    def test_only_the_whole_name_is_somebody(self, keycloak, name):
        with pytest.raises(UnknownAccountError):
            look_up(keycloak, name)

    def test_keycloak_decides_about_case(self, keycloak):
        assert look_up(keycloak, "ANA")[0].username == "ana"

    def test_groups_outside_are_seen_and_a_move_counts_at_once(self, keycloak, ids, directory_account):
        assert directory_account("PUT", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        try:
            assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard", "/cubehub/premium"}
        finally:
            assert directory_account("DELETE", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard"}

    def test_a_suspended_account_is_seen_as_such(self, keycloak, ids):
        with keycloak.admin() as api:
            person = api.get(f"users/{ids.ana}")
            api.put(f"users/{ids.ana}", person | {"enabled": False})
            try:
                assert look_up(keycloak, "ana")[0].enabled is False
                with pytest.raises(PermissionError, match="disabled"):
                    keycloak.sign_in("ana")
            finally:
                api.put(f"users/{ids.ana}", person)

    @pytest.mark.parametrize(
        ("change", "code"),
        [({"secret": "wrong"}, "directory_denied"), ({"url": "http://127.0.0.1:1"}, "directory_unreachable")],
    )
    def test_it_says_why_it_could_not_ask(self, keycloak, change, code):
        with pytest.raises(DirectoryUnavailableError) as caught:
            look_up(keycloak, "ana", **change)
        assert caught.value.code == code


class TestNarrowAccount:
    def test_it_may_read_people_and_groups(self, directory_account, ids):
        for path in (
            f"/users/{ids.ana}/groups",
            f"/groups/{ids.standard}/members",
            "/group-by-path/cubehub/premium",
        ):
            assert directory_account("GET", path) == 200

    @pytest.mark.parametrize(
        ("method", "path", "content"),
        [
            ("POST", "/groups", {"name": "x"}),
            ("POST", "/groups/{cubehub}/children", {"name": "x"}),
            ("PUT", "/groups/{standard}", {"name": "x"}),
            ("DELETE", "/groups/{standard}", None),
            ("POST", "/groups/{standard}/role-mappings/realm", []),
            ("PUT", "/users/{ana}/groups/{cubehub}", None),
            ("PUT", "/users/{ana}/groups/{elsewhere}", None),
            ("PUT", "/users/{ana}/groups/{admin}", None),
            ("POST", "/users", {"username": "x"}),
            ("DELETE", "/users/{ana}", None),
            ("PUT", "/users/{ana}", {"enabled": False}),
            ("PUT", "/users/{ana}", {"groups": ["/cubehub/admin"]}),
            ("PUT", "/users/{ana}/reset-password", {"type": "password", "value": "x" * 20}),
            ("POST", "/users/{ana}/logout", None),
            ("POST", "/users/{ana}/role-mappings/realm", []),
            ("GET", "/clients", None),
            ("GET", "/clients/{hub}", None),
            ("GET", "/clients/{hub}/client-secret", None),
            ("GET", "/roles", None),
            ("GET", "", None),
            ("PUT", "", {"registrationAllowed": True}),
            ("DELETE", "", None),
            ("GET", "/components", None),
            ("GET", "/events", None),
            ("POST", "/partial-export?exportClients=true", None),
        ],
    )
    def test_it_may_do_nothing_else(self, keycloak, directory_account, ids, method, path, content):
        assert directory_account(method, path.format(**vars(ids)), content) == 403
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard"}

    def test_it_is_nothing_in_the_master_realm(self, keycloak):
        headers = As(keycloak).headers
        assert httpx.get(f"{keycloak.url}/admin/realms/master", headers=headers).status_code in (401, 403)


class TestProvision:
    def test_repeating_it_changes_nothing(self, keycloak):
        before = dict(keycloak.accounts)
        assert keycloak.provision() == []
        assert keycloak.accounts == before

    def test_a_new_address_reaches_the_clients_and_nobody_else(self, keycloak, ids, directory_account):
        directory_account("PUT", f"/users/{ids.ana}/groups/{ids.premium}")
        elsewhere = "http://127.0.0.1:10"
        try:
            changes = []
            provision(keycloak.url, elsewhere, keycloak.secrets, log=changes.append)
            assert len(changes) == 2
            with keycloak.admin() as api:
                assert api.client("cubehub-hub")["redirectUris"] == [f"{elsewhere}/hub/oauth_callback"]
                assert api.client(CUBES_CLIENT)["webOrigins"] == [elsewhere]
                # what an operator changed by hand stays
                assert api.client("cubehub-hub")["attributes"]["pkce.code.challenge.method"] == "S256"
            assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard", "/cubehub/premium"}
        finally:
            keycloak.provision()
            directory_account("DELETE", f"/users/{ids.ana}/groups/{ids.premium}")

    def test_a_new_profile_group_can_be_filled_after_the_next_start(self, keycloak, ids, directory_account):
        with keycloak.admin() as api:
            large = api.post(f"groups/{ids.cubehub}/children", {"name": "large"})["id"]
            assert directory_account("PUT", f"/users/{ids.ana}/groups/{large}") == 403
            assert len(keycloak.provision()) == 2
            assert directory_account("PUT", f"/users/{ids.ana}/groups/{large}") == 204
            assert directory_account("DELETE", f"/users/{ids.ana}/groups/{large}") == 204
            assert directory_account("PUT", f"/users/{ids.ana}/groups/{ids.admin}") == 403

    def test_secrets_of_another_start_are_told_apart(self, keycloak, secrets):
        with pytest.raises(ProvisionError, match="does not accept CubeHub's own service account") as caught:
            provision(keycloak.url, keycloak.public_url, secrets)
        assert secrets.get(BOOTSTRAP_SECRET) not in caught.value.message + caught.value.hint


class TestAuthenticator:
    @staticmethod
    def run(keycloak, action):
        async def inside():
            authenticator = KeycloakAuthenticator(
                keycloak_url=keycloak.url,
                public_url=keycloak.public_url,
                client_secret=keycloak.secrets.get(HUB_SECRET),
            )
            try:
                return await action(authenticator)
            finally:
                authenticator.http_client.close()

        return asyncio.run(inside())

    def refresh(self, keycloak, tokens, **settings):
        async def get_auth_state():
            return {**tokens, "token_response": tokens}

        async def save_auth_state(auth_state):
            assert auth_state is None

        user = SimpleNamespace(
            name="ana",
            get_auth_state=get_auth_state,
            save_auth_state=save_auth_state,
            api_tokens=[],
            orm_user=SimpleNamespace(),
            db=SimpleNamespace(commit=lambda: None),
        )

        async def action(authenticator):
            authenticator.set_trait("token_reserve", settings.get("token_reserve", 90))
            return await authenticator.refresh_user(user)

        return self.run(keycloak, action)

    def test_a_refresh_sees_the_groups_of_now(self, keycloak, ids, directory_account):
        tokens = keycloak.sign_in("ana")
        assert self.refresh(keycloak, tokens)["groups"] == ["/cubehub/standard"]
        assert directory_account("DELETE", f"/users/{ids.ana}/groups/{ids.standard}") == 204
        try:
            model = self.refresh(keycloak, tokens)
            assert model["groups"] == []
            assert model["admin"] is False
        finally:
            directory_account("PUT", f"/users/{ids.ana}/groups/{ids.standard}")

    def test_logging_out_ends_the_session_at_once(self, keycloak):
        tokens = keycloak.sign_in("ana")

        async def address(authenticator):
            return authenticator.end_session_url(tokens["id_token"])

        answer = httpx.get(self.run(keycloak, address))
        assert (answer.status_code, answer.headers["location"]) == (302, f"{keycloak.public_url}/")
        assert self.refresh(keycloak, tokens) is False

    def test_a_suspended_person_must_log_in_and_cannot(self, keycloak, ids):
        tokens = keycloak.sign_in("ana")
        with keycloak.admin() as api:
            person = api.get(f"users/{ids.ana}")
            api.put(f"users/{ids.ana}", person | {"enabled": False})
            try:
                assert self.refresh(keycloak, tokens) is False
            finally:
                api.put(f"users/{ids.ana}", person)


class TestServer:
    def test_nothing_listens_beyond_loopback(self, keycloak):
        process = psutil.Process(keycloak.process.pid)
        listening = [one.laddr for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
        assert {address.port for address in listening} >= {
            keycloak.server.port,
            keycloak.server.management_port,
        }
        assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}

    def test_no_secret_is_in_the_log_or_the_process_list(self, keycloak):
        keycloak.sign_in("ana")
        known = [path.read_text() for path in keycloak.secrets.folder.iterdir()]
        assert len(known) == 7
        log = keycloak.server.log.read_text()
        command = " ".join(psutil.Process(keycloak.process.pid).cmdline())
        assert not [secret for secret in known if secret in log or secret in command]

    def test_the_supervised_process_is_the_server(self, keycloak):
        process = psutil.Process(keycloak.process.pid)
        assert process.name() == "java"
        assert process.children() == []

    @pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
    def test_a_restart_keeps_everything(self, keycloak, ids, directory_account, how, status):
        assert directory_account("PUT", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        assert keycloak.stop(how) == status
        with pytest.raises(DirectoryUnavailableError):
            look_up(keycloak, "ana")
        keycloak.start()
        assert keycloak.provision() == []
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard", "/cubehub/premium"}
        keycloak.sign_in("ana")
        # the account's token is of the Keycloak before
        assert As(keycloak)("DELETE", f"/users/{ids.ana}/groups/{ids.premium}") == 204


@pytest.mark.browser
def test_the_pages_ask_no_other_host(keycloak):
    person = keycloak.accounts["adam"]
    asked = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.add(request.url))
        page.goto(f"{keycloak.realm_url}/account/")
        page.get_by_label("Username or email").fill(person.username)
        page.get_by_label("Password", exact=True).fill(person.password)
        page.get_by_role("button", name="Sign In").click()
        page.get_by_text("Personal info").first.wait_for()
        page.goto(f"{keycloak.url}/admin/{REALM}/console/#/{REALM}/users")
        page.get_by_text("petra", exact=True).wait_for()
        browser.close()
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("data", "blob")}
    assert hosts == {urlsplit(keycloak.url).netloc}
