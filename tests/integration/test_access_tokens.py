"""A person's server gets a token for a catalogue that is asked as the person; nobody else does, and nothing more comes."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import jwt
import pytest
from cubehub.keycloak.realm import HUB_CLIENT
from cubehub_tests.realm import realm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.platform import Whole
    from cubehub_tests.servers import Account

pytestmark = pytest.mark.whole

PARTNER = "partner-stac"
LIST = f"""
catalogues:
  - {{id: cubehub, title: This platform, url: /services/catalogue/, public: true}}
  - {{id: partner, title: Partner, url: "https://stac.example.org", auth: {{type: person, audience: {PARTNER}}}}}
"""
ASK = """
import json, os, urllib.error, urllib.request
request = urllib.request.Request(
    os.environ['JUPYTERHUB_API_URL'] + '/cubehub/access-token',
    data=json.dumps({{'audience': {audience!r}}}).encode(),
    headers={{'Authorization': 'token ' + os.environ['JUPYTERHUB_API_TOKEN']}},
)
try:
    with urllib.request.urlopen(request) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, json.load(error)]))
"""


@contextlib.contextmanager
def partner(whole: Whole) -> Iterator[None]:
    """Let a partner's catalogue be asked as the person, as the administrator's guide says."""
    listed = whole.config / "catalogues.yaml"
    listed.write_text(LIST)
    mapper = {
        "name": PARTNER,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.client.audience": PARTNER, "access.token.claim": "true"},
    }
    with realm(whole) as api:
        api.post("clients", {"clientId": PARTNER, "publicClient": False, "standardFlowEnabled": False})
        mappers = f"clients/{api.client(HUB_CLIENT)['id']}/protocol-mappers/models"
        api.post(mappers, mapper)
        try:
            yield
        finally:
            (made,) = [one for one in api.get(mappers) if one["name"] == PARTNER]
            api.delete(f"{mappers}/{made['id']}")
            api.delete(f"clients/{api.client(PARTNER)['id']}")
            listed.unlink()


def test_a_server_gets_a_token_for_one_audience(whole: Whole, ana: Account) -> None:
    ana.start()
    with partner(whole), ana.kernel() as kernel:
        status, told = json.loads(kernel.run(ASK.format(audience=PARTNER)).text)
        assert (status, set(told)) == (200, {"access_token", "token_type", "expires_in"})
        claims = jwt.decode(told["access_token"], options={"verify_signature": False})
        assert (claims["aud"], claims["preferred_username"]) == (PARTNER, "ana")
        # the same token again, in the same session: Keycloak is not asked each time
        assert (
            json.loads(kernel.run(ASK.format(audience=PARTNER)).text)[1]["access_token"]
            == told["access_token"]
        )
        for audience in ("cubehub-hub", "cubehub-cubes", "account"):
            status, told = json.loads(kernel.run(ASK.format(audience=audience)).text)
            assert (status, told["code"]) == (403, "audience_refused")
        # neither a token that she made nor her browser gets one: a page is not to have it
        answer = ana.api.post("/hub/api/cubehub/access-token", json={"audience": PARTNER})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        headers = {"X-XSRFToken": ana.visitor.xsrf()}
        answer = ana.visitor.http.post(
            "/hub/api/cubehub/access-token", json={"audience": PARTNER}, headers=headers
        )
        assert answer.status_code == 403
