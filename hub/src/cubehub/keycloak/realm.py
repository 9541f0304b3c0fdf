"""The realm CubeHub needs, from the shipped description and the addresses and secrets of one machine."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cubehub.keycloak.errors import ProvisionError
from cubehub.resources import resource

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.secrets import Secrets

REALM = "cubehub"
HUB_CLIENT = "cubehub-hub"
CUBES_CLIENT = "cubehub-cubes"
DIRECTORY_CLIENT = "cubehub-directory"
ACCOUNTS_CLIENT = "cubehub-accounts"
DEFAULT_ROLE = "default-roles-cubehub"
"""What every account has; `realm.json` says what that is."""
HUB_SECRET = "keycloak-hub-client"  # noqa: S105 - the name of the file, not the secret
DIRECTORY_SECRET = "keycloak-directory-client"  # noqa: S105
ACCOUNTS_SECRET = "keycloak-accounts-client"  # noqa: S105


def render_realm(
    public_url: str, keycloak_url: str, secrets: Secrets, source: Path | None = None
) -> dict[str, Any]:
    """Give the realm as Keycloak imports it, without people.

    Parameters
    ----------
    public_url
        The one address of the platform; redirects go there and nowhere else.
    keycloak_url
        Keycloak's own address; plain HTTP is accepted only if it is this machine.
    secrets
        Hold the secrets of the clients for the hub, the directory and the accounts service.
    source
        An operator's own realm description; the shipped `config/realm.json` without one.

    Notes
    -----
    The description has no ``clientScopes``: with that key, even empty, Keycloak leaves out its own
    scopes and tokens lack ``preferred_username``.
    """
    values = {
        "public_url": public_url.rstrip("/"),
        "ssl_required": "none" if _is_loopback(keycloak_url) else "external",
        "hub_secret": secrets.get(HUB_SECRET),
        "directory_secret": secrets.get(DIRECTORY_SECRET),
        "accounts_secret": secrets.get(ACCOUNTS_SECRET),
    }
    text = (source or resource("config", "realm.json")).read_text()
    realm = _fill(json.loads(text), values)
    assert isinstance(realm, dict)  # noqa: S101 - for the type checker; Keycloak refuses anything else
    return realm


def client(realm: dict[str, Any], client_id: str) -> dict[str, Any]:
    """Give one client of a realm description.

    Raises
    ------
    ProvisionError
        It has none of that name, as an operator's own of an earlier version may not.
    """
    for entry in realm.get("clients", []):
        if entry.get("clientId") == client_id:
            found: dict[str, Any] = entry
            return found
    raise ProvisionError(
        f"The realm description lacks the client {client_id}.",
        f"Copy the client {client_id} from the shipped realm.json into yours.",
    )


def _fill(node: Any, values: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values) for value in node]
    if isinstance(node, str):
        for name, value in values.items():
            node = node.replace("{{" + name + "}}", value)
    return node


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
