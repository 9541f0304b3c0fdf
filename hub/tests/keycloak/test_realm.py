import json

import pytest
from cubehub.keycloak.errors import ProvisionError
from cubehub.keycloak.provision import DEMO_ACCOUNTS, accounts_text
from cubehub.keycloak.realm import ACCOUNTS_SECRET, DIRECTORY_SECRET, HUB_SECRET, client, render_realm

PUBLIC = "http://127.0.0.1:8000"


@pytest.fixture
def realm(secrets):
    return render_realm(PUBLIC + "/", "http://127.0.0.1:8001", secrets)


def test_rendering_is_repeatable_and_complete(realm, secrets):
    assert render_realm(PUBLIC, "http://127.0.0.1:8001", secrets) == realm
    assert "{{" not in json.dumps(realm)


def test_keycloak_keeps_its_own_scopes(realm):
    assert "clientScopes" not in realm
    assert not any("defaultClientScopes" in entry for entry in realm["clients"])


def test_redirects_go_to_the_platform_only(realm):
    hub, cubes = client(realm, "cubehub-hub"), client(realm, "cubehub-cubes")
    assert hub["redirectUris"] == [f"{PUBLIC}/hub/oauth_callback"]
    assert cubes["redirectUris"] == [f"{PUBLIC}/services/cubes/viewer/*"]
    assert hub["webOrigins"] == cubes["webOrigins"] == [PUBLIC]
    assert hub["attributes"]["post.logout.redirect.uris"] == f"{PUBLIC}/*"


def test_each_client_can_do_one_thing(realm):
    doors = {
        entry["clientId"]: (
            entry["standardFlowEnabled"],
            entry["serviceAccountsEnabled"],
            entry["publicClient"],
        )
        for entry in realm["clients"]
    }
    assert doors == {
        "cubehub-hub": (True, False, False),
        "cubehub-cubes": (True, False, True),
        "cubehub-directory": (False, True, False),
        "cubehub-accounts": (False, True, False),
    }
    for entry in realm["clients"]:
        assert not entry["directAccessGrantsEnabled"]
        assert not entry["implicitFlowEnabled"]
        if entry["standardFlowEnabled"]:
            assert entry["attributes"]["pkce.code.challenge.method"] == "S256"
            # an administrator's token for a client must not open the admin API
            assert entry["fullScopeAllowed"] is False


def test_a_client_that_an_older_description_lacks_is_named():
    with pytest.raises(ProvisionError, match="cubehub-accounts"):
        client({"clients": [{"clientId": "cubehub-hub"}]}, "cubehub-accounts")


def test_secrets_are_the_machines_own(realm, secrets):
    assert client(realm, "cubehub-hub")["secret"] == secrets.get(HUB_SECRET)
    assert client(realm, "cubehub-directory")["secret"] == secrets.get(DIRECTORY_SECRET)
    assert client(realm, "cubehub-accounts")["secret"] == secrets.get(ACCOUNTS_SECRET)
    assert "secret" not in client(realm, "cubehub-cubes")


@pytest.mark.parametrize(
    ("address", "ssl"),
    [
        ("http://127.0.0.1:8001", "none"),
        ("http://localhost:8001", "none"),
        ("http://[::1]:8001", "none"),
        ("http://10.0.0.5:8001", "external"),
        ("https://login.example.org", "external"),
    ],
)
def test_plain_http_is_for_loopback(secrets, address, ssl):
    assert render_realm(PUBLIC, address, secrets)["sslRequired"] == ssl


def test_one_demo_account_per_role_in_groups_that_exist(realm):
    (root,) = realm["groups"]
    paths = {f"/{root['name']}/{group['name']}" for group in root["subGroups"]}
    assert paths == {"/cubehub/standard", "/cubehub/premium", "/cubehub/admin"}
    groups = {person.username: set(person.groups) for person in DEMO_ACCOUNTS}
    assert groups == {
        "ana": {"/cubehub/standard"},
        "petra": {"/cubehub/premium"},
        "viktor": set(),
        "adam": {"/cubehub/admin", "/cubehub/premium"},
    }


def test_an_operators_own_realm_is_taken(tmp_path, secrets):
    own = tmp_path / "realm.json"
    own.write_text('{"realm": "cubehub", "displayName": "{{public_url}}"}')
    assert render_realm(PUBLIC, PUBLIC, secrets, own) == {"realm": "cubehub", "displayName": PUBLIC}


def test_the_list_of_accounts_names_each():
    text = accounts_text(DEMO_ACCOUNTS, PUBLIC)
    assert all(person.username in text for person in DEMO_ACCOUNTS)
    assert PUBLIC in text
