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
from cubehub.keycloak.attributes import SUSPENDED, UNTIL, UNTIL_PROFILE
from cubehub.keycloak.errors import ProvisionError
from cubehub.keycloak.provision import provision
from cubehub.keycloak.realm import (
    ACCOUNTS_CLIENT,
    ACCOUNTS_SECRET,
    CUBES_CLIENT,
    DIRECTORY_CLIENT,
    DIRECTORY_SECRET,
    HUB_SECRET,
    REALM,
)
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
            adam=api.get("users", username="adam", exact=True)[0]["id"],
            management=api.client("realm-management")["id"],
            hub=api.client("cubehub-hub")["id"],
            **{path.rsplit("/", 1)[1]: api.group(path)["id"] for path in paths},
        )


class As:
    """The admin API as one of the platform's own accounts."""

    def __init__(self, keycloak, client_id=DIRECTORY_CLIENT, secret=DIRECTORY_SECRET):
        answer = httpx.post(
            f"{keycloak.realm_url}/protocol/openid-connect/token",
            data={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": keycloak.secrets.get(secret),
            },
        )
        self.base = f"{keycloak.url}/admin/realms/{REALM}"
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def __call__(self, method, path, json=None):
        return httpx.request(method, self.base + path, json=json, headers=self.headers).status_code


@pytest.fixture
def directory_account(keycloak):
    return As(keycloak)


@pytest.fixture
def accounts_account(keycloak):
    return As(keycloak, ACCOUNTS_CLIENT, ACCOUNTS_SECRET)


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
        assert 295 <= tokens["expires_in"] <= 300, "counted from when it was made, a moment before"

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
        clients = {"cubehub-hub": keycloak.secrets.get(HUB_SECRET), CUBES_CLIENT: None, "admin-cli": None}
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

    def test_groups_outside_are_seen_and_a_move_counts_at_once(self, keycloak, ids, accounts_account):
        assert accounts_account("PUT", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        try:
            with keycloak.admin() as api:
                api.put(f"users/{ids.ana}/groups/{ids.elsewhere}", None)
            expected = {"/cubehub/standard", "/cubehub/premium", "/elsewhere"}
            assert look_up(keycloak, "ana")[0].groups == expected
        finally:
            with keycloak.admin() as api:
                api.delete(f"users/{ids.ana}/groups/{ids.elsewhere}")
            assert accounts_account("DELETE", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard"}

    def test_a_group_that_only_has_the_path_of_another_grants_nothing(self, keycloak, ids):
        made = []
        with keycloak.admin() as api:
            try:
                # the paths of the first two and of the child look like those of groups below /cubehub
                for name in ("cubehub/premium", "cubehub/eu"):
                    api.post("groups", {"name": name})
                    found = api.get("groups", search=name, exact=True)
                    made.append(next(group["id"] for group in found if group["name"] == name))
                below = api.post(f"groups/{made[1]}/children", {"name": "premium"})["id"]
                made.append(api.post(f"groups/{ids.premium}/children", {"name": "spring"})["id"])
                for group in (made[0], below, made[2]):
                    api.put(f"users/{ids.ana}/groups/{group}", None)
                paths = {group["path"] for group in api.get(f"users/{ids.ana}/groups")}
                assert paths == {
                    "/cubehub/premium",
                    "/cubehub/eu/premium",
                    "/cubehub/premium/spring",
                    "/cubehub/standard",
                }
                expected = {"/cubehub/standard", "/cubehub/premium/spring"}
                assert look_up(keycloak, "ana", "ana")[1].groups == expected
            finally:
                for group in made:
                    api.delete(f"groups/{group}")

    def test_a_renamed_group_grants_under_its_new_name(self, keycloak, ids):
        async def around():
            secret = keycloak.secrets.get(DIRECTORY_SECRET)
            async with KeycloakDirectory(keycloak.url, REALM, DIRECTORY_CLIENT, secret) as directory:
                with keycloak.admin() as api:
                    found = [(await directory.lookup("ana")).groups]
                    try:
                        api.put(f"groups/{ids.cubehub}", {"name": "platform"})
                        found.append((await directory.lookup("ana")).groups)
                    finally:
                        api.put(f"groups/{ids.cubehub}", {"name": "cubehub"})
                    return [*found, (await directory.lookup("ana")).groups]

        assert asyncio.run(around()) == [
            {"/cubehub/standard"},
            {"/platform/standard"},
            {"/cubehub/standard"},
        ]

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

    def test_a_realm_that_is_gone_is_said(self, keycloak):
        async def run():
            async with KeycloakDirectory(keycloak.url, "gone", DIRECTORY_CLIENT, "x") as directory:
                await directory.lookup("ana")

        with pytest.raises(DirectoryUnavailableError) as caught:
            asyncio.run(run())
        assert caught.value.code == "directory_realm_missing"

    def test_new_keys_of_the_realm_go_unnoticed_and_a_disabled_client_does_not(self, keycloak):
        async def around():
            secret = keycloak.secrets.get(DIRECTORY_SECRET)
            async with KeycloakDirectory(keycloak.url, REALM, DIRECTORY_CLIENT, secret) as directory:
                await directory.lookup("ana")
                with keycloak.admin() as api:
                    keys = [one for one in api.get("components") if one.get("name") == "rsa-generated"]
                    for one in keys:
                        api.delete(f"components/{one['id']}")
                    assert keys
                    assert (await directory.lookup("ana")).username == "ana"
                    client = api.client(DIRECTORY_CLIENT)
                    api.put(f"clients/{client['id']}", client | {"enabled": False})
                    try:
                        with pytest.raises(DirectoryUnavailableError) as caught:
                            await directory.lookup("ana")
                    finally:
                        api.put(f"clients/{client['id']}", client | {"enabled": True})
                return caught.value.code

        assert asyncio.run(around()) == "directory_denied"


READS = (
    "/users/{ana}/groups",
    "/groups/{standard}/members",
    "/group-by-path/cubehub/premium",
    "/users?search=a",
)
NOTHING_OF = [
    ("POST", "/groups", {"name": "x"}),
    ("POST", "/groups/{cubehub}/children", {"name": "x"}),
    ("PUT", "/groups/{standard}", {"name": "x"}),
    ("DELETE", "/groups/{standard}", None),
    ("POST", "/groups/{standard}/role-mappings/realm", []),
    ("PUT", "/users/{ana}/groups/{cubehub}", None),
    ("PUT", "/users/{ana}/groups/{elsewhere}", None),
    ("PUT", "/users/{ana}/groups/{admin}", None),
    ("DELETE", "/users/{adam}/groups/{admin}", None),
    ("POST", "/users", {"username": "somebody", "groups": ["/cubehub/admin"]}),
    ("PUT", "/users/{adam}", {"enabled": False}),
    ("PUT", "/users/{adam}/reset-password", {"type": "password", "value": "x" * 20}),
    ("PUT", "/users/{adam}", {"credentials": [{"type": "password", "value": "x" * 20}]}),
    ("POST", "/users/{adam}/logout", None),
    ("DELETE", "/users/{adam}", None),
    ("POST", "/users/{ana}/role-mappings/realm", []),
    ("POST", "/users/{ana}/role-mappings/clients/{management}", []),
    ("GET", "/clients", None),
    ("GET", "/clients/{hub}", None),
    ("GET", "/clients/{hub}/client-secret", None),
    ("GET", "/roles", None),
    ("PUT", "", {"registrationAllowed": True}),
    ("DELETE", "", None),
    ("GET", "/components", None),
    ("GET", "/events", None),
    ("POST", "/partial-export?exportClients=true", None),
]
"""What neither of the platform's accounts may do."""
NOTHING_OF_DIRECTORY = [
    ("PUT", "/users/{ana}/groups/{premium}", None),
    ("DELETE", "/users/{ana}/groups/{standard}", None),
    ("POST", "/users", {"username": "somebody"}),
    ("DELETE", "/users/{ana}", None),
    ("PUT", "/users/{ana}", {"enabled": False}),
    ("PUT", "/users/{ana}", {"attributes": {}}),
    ("PUT", "/users/{ana}/reset-password", {"type": "password", "value": "x" * 20}),
    ("POST", "/users/{ana}/logout", None),
]
"""What the directory's may not do besides."""


class TestNarrowAccounts:
    @pytest.mark.parametrize("path", READS)
    def test_they_may_read_people_and_groups(self, directory_account, accounts_account, ids, path):
        assert directory_account("GET", path.format(**vars(ids))) == 200
        assert accounts_account("GET", path.format(**vars(ids))) == 200

    @pytest.mark.parametrize(("method", "path", "content"), NOTHING_OF + NOTHING_OF_DIRECTORY)
    def test_the_directory_changes_nothing(self, keycloak, directory_account, ids, method, path, content):
        assert directory_account(method, path.format(**vars(ids)), content) == 403
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard"}

    @pytest.mark.parametrize(("method", "path", "content"), NOTHING_OF)
    def test_the_accounts_service_makes_nobody_an_administrator(
        self, keycloak, accounts_account, ids, method, path, content
    ):
        assert accounts_account(method, path.format(**vars(ids)), content) == 403
        ana, adam = look_up(keycloak, "ana", "adam")
        assert ana.groups == {"/cubehub/standard"}
        assert adam.enabled
        assert adam.groups == {"/cubehub/admin", "/cubehub/premium"}

    @pytest.mark.parametrize(
        ("method", "path", "content"),
        [*NOTHING_OF, *NOTHING_OF_DIRECTORY, *(("GET", path, None) for path in READS)],
    )
    def test_other_people_of_the_realm_got_nothing_by_it(self, keycloak, ids, method, path, content):
        with keycloak.admin() as api:
            # an account without any role, which can ask the admin API as anybody in the realm can
            if api.client("nobody-special") is None:
                api.post(
                    "clients",
                    {"clientId": "nobody-special", "secret": "s" * 20, "serviceAccountsEnabled": True},
                )
        keycloak.secrets.path("nobody-special").write_text("s" * 20)
        try:
            other = As(keycloak, "nobody-special", "nobody-special")
        finally:
            keycloak.secrets.path("nobody-special").unlink()
        assert other(method, path.format(**vars(ids)), content) == 403

    def test_nobody_it_makes_gets_a_role(self, keycloak, accounts_account):
        roles = {"clientRoles": {"realm-management": ["realm-admin"]}, "realmRoles": ["offline_access"]}
        assert accounts_account("POST", "/users", {"username": "made-up", **roles}) == 201
        with keycloak.admin() as api:
            made = api.get("users", username="made-up", exact=True)[0]["id"]
            mapped = api.get(f"users/{made}/role-mappings")
            api.delete(f"users/{made}")
        assert [role["name"] for role in mapped["realmMappings"]] == ["default-roles-cubehub"]
        assert "clientMappings" not in mapped

    def test_what_keycloak_cannot_withhold_from_it_is_known(self, keycloak, accounts_account):
        # should Keycloak learn to, this fails, and the permission can be made narrower
        with keycloak.admin() as api:
            made = api.post("users", {"username": "victim", "enabled": True})
            assert made is None
            victim = api.get("users", username="victim", exact=True)[0]["id"]
        password = {"type": "password", "value": "Some-Words-42-Long", "temporary": False}
        assert accounts_account("PUT", f"/users/{victim}/reset-password", password) == 204
        assert accounts_account("DELETE", f"/users/{victim}") == 204

    def test_it_is_nothing_in_the_master_realm(self, keycloak):
        headers = As(keycloak).headers
        assert httpx.get(f"{keycloak.url}/admin/realms/master", headers=headers).status_code in (401, 403)


class TestProvision:
    def test_repeating_it_changes_nothing(self, keycloak):
        before = dict(keycloak.accounts)
        assert keycloak.provision() == []
        assert keycloak.accounts == before

    def test_a_new_address_reaches_the_clients_and_nobody_else(self, keycloak, ids, accounts_account):
        accounts_account("PUT", f"/users/{ids.ana}/groups/{ids.premium}")
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
            accounts_account("DELETE", f"/users/{ids.ana}/groups/{ids.premium}")

    def test_a_new_profile_group_can_be_filled_after_the_next_start(self, keycloak, ids, accounts_account):
        with keycloak.admin() as api:
            large = api.post(f"groups/{ids.cubehub}/children", {"name": "large"})["id"]
            assert accounts_account("PUT", f"/users/{ids.ana}/groups/{large}") == 403
            assert len(keycloak.provision()) == 1
            assert accounts_account("PUT", f"/users/{ids.ana}/groups/{large}") == 204
            assert accounts_account("DELETE", f"/users/{ids.ana}/groups/{large}") == 204
            assert accounts_account("PUT", f"/users/{ids.ana}/groups/{ids.admin}") == 403

    def test_a_realm_of_an_earlier_cubehub_is_brought_up_to_date(self, keycloak, ids):
        with keycloak.admin() as api:
            # as it was: no accounts client, the directory's account with the permissions to move people
            api.delete(f"clients/{api.client(ACCOUNTS_CLIENT)['id']}")
            account = api.get(f"clients/{api.client(DIRECTORY_CLIENT)['id']}/service-account-user")["id"]
            mapped = f"users/{account}/role-mappings/clients/{ids.management}"
            role = api.get(f"clients/{ids.management}/roles/view-users")
            httpx.request(
                "DELETE",
                f"{keycloak.url}/admin/realms/{REALM}/{mapped}",
                json=[role],
                headers={"Authorization": f"Bearer {api._access()}"},
            ).raise_for_status()
            profile = api.get("users/profile")
            profile["attributes"] = [
                one for one in profile["attributes"] if not one["name"].startswith("cubehub_")
            ]
            api.put("users/profile", profile)
            authz = f"clients/{api.client('admin-permissions')['id']}/authz/resource-server"
            for kind, path in (("permission", "permission/scope"), ("policy", "policy/user")):
                for one in api.get(f"{authz}/{kind}", first=0, max=50):
                    if one["name"].startswith("cubehub"):
                        api.delete(f"{authz}/{path}/{one['id']}")
            policy = api.post(
                f"{authz}/policy/user",
                {
                    "name": "cubehub: the directory's service account",
                    "users": [account],
                    "logic": "POSITIVE",
                },
            )["id"]
            api.post(
                f"{authz}/permission/scope",
                {
                    "name": "cubehub: look people up and move them",
                    "resourceType": "Users",
                    "resources": [],
                    "scopes": ["view", "manage-group-membership"],
                    "policies": [policy],
                },
            )
        assert look_up(keycloak, "viktor")[0].username == "viktor"
        assert keycloak.provision()
        assert keycloak.provision() == []
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard"}
        renewed = As(keycloak, ACCOUNTS_CLIENT, ACCOUNTS_SECRET)
        assert renewed("PUT", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        assert renewed("DELETE", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        assert As(keycloak)("PUT", f"/users/{ids.ana}/groups/{ids.premium}") == 403

    def test_people_neither_see_nor_change_what_is_noted_about_them(self, keycloak):
        with keycloak.admin() as api:
            declared = {one["name"]: one["permissions"] for one in api.get("users/profile")["attributes"]}
        for name in (UNTIL, UNTIL_PROFILE, SUSPENDED):
            assert declared[name] == {"view": ["admin"], "edit": ["admin"]}

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

    def test_a_refresh_sees_the_groups_of_now(self, keycloak, ids, accounts_account):
        tokens = keycloak.sign_in("ana")
        assert self.refresh(keycloak, tokens)["groups"] == ["/cubehub/standard"]
        assert accounts_account("DELETE", f"/users/{ids.ana}/groups/{ids.standard}") == 204
        try:
            model = self.refresh(keycloak, tokens)
            assert model["groups"] == []
            assert model["admin"] is False
        finally:
            accounts_account("PUT", f"/users/{ids.ana}/groups/{ids.standard}")

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
        assert len(known) == 8
        log = keycloak.server.log.read_text()
        command = " ".join(psutil.Process(keycloak.process.pid).cmdline())
        assert not [secret for secret in known if secret in log or secret in command]

    def test_the_supervised_process_is_the_server(self, keycloak):
        process = psutil.Process(keycloak.process.pid)
        assert process.name() == "java"
        assert process.children() == []

    @pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
    def test_a_restart_keeps_everything(self, keycloak, ids, accounts_account, how, status):
        assert accounts_account("PUT", f"/users/{ids.ana}/groups/{ids.premium}") == 204
        assert keycloak.stop(how) == status
        with pytest.raises(DirectoryUnavailableError):
            look_up(keycloak, "ana")
        keycloak.start()
        assert keycloak.provision() == []
        assert look_up(keycloak, "ana")[0].groups == {"/cubehub/standard", "/cubehub/premium"}
        keycloak.sign_in("ana")
        # the account's token is of the Keycloak before
        assert (
            As(keycloak, ACCOUNTS_CLIENT, ACCOUNTS_SECRET)("DELETE", f"/users/{ids.ana}/groups/{ids.premium}")
            == 204
        )


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
