"""Against a real Keycloak: a log-in is traded for a token that holds for one catalogue and nothing else."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import httpx
import jwt
import pytest
from cubehub.access_tokens.exchange import Exchange, NotHandedOutError
from cubehub.authenticator import KeycloakAuthenticator
from cubehub.keycloak.realm import HUB_CLIENT, HUB_SECRET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PARTNER = "partner-stac"


@pytest.fixture
def partner(keycloak):
    """A catalogue's client, which the Hub's client may name as audience, as the administrator's guide says."""
    with keycloak.admin() as api:
        if api.client(PARTNER) is None:
            api.post("clients", {"clientId": PARTNER, "publicClient": False, "standardFlowEnabled": False})
        hub = api.client(HUB_CLIENT)
        if not any(one["name"] == PARTNER for one in hub["protocolMappers"]):
            mapper = {
                "name": PARTNER,
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {"included.client.audience": PARTNER, "access.token.claim": "true"},
            }
            api.post(f"clients/{hub['id']}/protocol-mappers/models", mapper)


class Person:
    """Stands for the Hub's user."""

    name = "ana"
    api_tokens = ()
    orm_user = SimpleNamespace(cookie_id="")
    db = SimpleNamespace(commit=lambda: None)

    def __init__(self, keycloak, authenticator):
        tokens = keycloak.sign_in("ana")
        self.authenticator = authenticator
        self.auth_state = {
            "access_token": tokens["access_token"],
            "refresh_token": tokens["refresh_token"],
            "id_token": tokens["id_token"],
            "token_response": tokens,
        }

    async def get_auth_state(self):
        return self.auth_state

    async def save_auth_state(self, state):
        self.auth_state = state


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def issue(keycloak, tmp_path, audience=PARTNER, change=lambda _person: None):
    """Have a token issued to ana; gives it, and the person."""
    (tmp_path / "c.yaml").write_text(
        f"catalogues: [{{auth: {{type: person, audience: {PARTNER}}}}}, {{auth: {{type: person, audience: nobody}}}}]"
    )

    async def run():
        authenticator = KeycloakAuthenticator(
            keycloak_url=keycloak.url,
            public_url=keycloak.public_url,
            client_id=HUB_CLIENT,
            client_secret=keycloak.secrets.get(HUB_SECRET),
        )
        person = Person(keycloak, authenticator)
        change(person)

        async def refresh():
            answer = await authenticator.refresh_user(
                person, SimpleNamespace(current_user=person, get_token=lambda: None)
            )
            if isinstance(answer, dict):
                person.auth_state = answer["auth_state"]

        return await Exchange(lambda: tmp_path / "c.yaml").issue(person, audience, refresh), person

    return asyncio.run(run())


@pytest.mark.usefixtures("partner")
class TestExchange:
    def test_the_token_holds_for_one_audience_and_can_not_be_renewed(self, keycloak, tmp_path):
        issued, person = issue(keycloak, tmp_path)
        got = claims(issued.value)
        assert got["aud"] == PARTNER
        assert got["preferred_username"] == "ana"
        assert got["iss"] == keycloak.realm_url
        assert 250 < issued.life_s <= 300
        assert issued.value != person.auth_state["access_token"]
        # it opens nothing of the Hub's: it is traded no further, and renews no log-in
        answer = httpx.post(
            f"{keycloak.realm_url}/protocol/openid-connect/token",
            data={
                "grant_type": "refresh_token",
                "refresh_token": issued.value,
                "client_id": HUB_CLIENT,
                "client_secret": keycloak.secrets.get(HUB_SECRET),
            },
        )
        assert answer.status_code == 400

    def test_an_audience_that_keycloak_was_not_told_of(self, keycloak, tmp_path):
        with pytest.raises(NotHandedOutError) as error:
            issue(keycloak, tmp_path, audience="nobody")
        assert error.value.code == "audience_refused"

    def test_a_token_that_is_not_taken_is_renewed(self, keycloak, tmp_path):
        def spoil(person):
            person.auth_state = {**person.auth_state, "access_token": jwt.encode({"exp": 2**40}, "x" * 32)}

        issued, person = issue(keycloak, tmp_path, change=spoil)
        assert claims(issued.value)["aud"] == PARTNER
        assert claims(person.auth_state["access_token"])["azp"] == HUB_CLIENT

    def test_a_session_that_was_ended(self, keycloak, tmp_path):
        def end(person):
            httpx.post(
                f"{keycloak.realm_url}/protocol/openid-connect/logout",
                data={
                    "client_id": HUB_CLIENT,
                    "client_secret": keycloak.secrets.get(HUB_SECRET),
                    "refresh_token": person.auth_state["refresh_token"],
                },
            ).raise_for_status()

        with pytest.raises(NotHandedOutError) as error:
            issue(keycloak, tmp_path, change=end)
        assert (error.value.status, error.value.code) == (401, "sign_in")
