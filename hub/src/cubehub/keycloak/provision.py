"""From an empty Keycloak to the realm CubeHub runs on; repeated at each start, changing nothing that people own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub.keycloak.admin import AdminApi
from cubehub.keycloak.attributes import declare_attributes
from cubehub.keycloak.permissions import allow_moving, allow_reading
from cubehub.keycloak.realm import (
    ACCOUNTS_CLIENT,
    CUBES_CLIENT,
    DEFAULT_ROLE,
    DIRECTORY_CLIENT,
    HUB_CLIENT,
    REALM,
    client,
    render_realm,
)
from cubehub.keycloak.server import BOOTSTRAP_CLIENT, BOOTSTRAP_SECRET
from cubehub.secrets import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cubehub.secrets import Secrets

_ADMIN_CLI = "admin-cli"
_CONFIGURED = ("secret", "baseUrl", "redirectUris", "webOrigins")
"""What of a client depends on the machine and is brought up to date; the rest is the realm's owner's."""


@dataclass(frozen=True)
class DemoAccount:
    """A person to try CubeHub as."""

    username: str
    first_name: str
    last_name: str
    role: str
    """What this person shows, in a few words."""
    groups: tuple[str, ...]
    """Group paths at the start."""
    password: str = ""

    def __repr__(self) -> str:
        return f"DemoAccount({self.username!r})"

    @property
    def email(self) -> str:
        """An address that no mail ever reaches (RFC 2606)."""
        return f"{self.username}@example.org"


DEMO_ACCOUNTS = (
    DemoAccount("ana", "Ana", "Analyst", "analyst, Standard profile", ("/cubehub/standard",)),
    DemoAccount("petra", "Petra", "Power", "analyst, Premium profile", ("/cubehub/premium",)),
    DemoAccount("viktor", "Viktor", "Viewer", "viewer, no profile: cubes only", ()),
    DemoAccount(
        "adam", "Adam", "Admin", "administrator, Premium profile", ("/cubehub/admin", "/cubehub/premium")
    ),
)


def provision(
    keycloak_url: str,
    public_url: str,
    secrets: Secrets,
    *,
    log: Callable[[str], None] = lambda _message: None,
    demo_accounts: bool = True,
    accounts_file: Path | None = None,
    source: Path | None = None,
) -> list[DemoAccount]:
    """Make the realm if it is missing, else bring the clients' addresses and secrets up to date.

    Parameters
    ----------
    keycloak_url
        Address of a running Keycloak.
    public_url
        The one address of the platform.
    secrets
        Hold the bootstrap account's, the clients' and the demo accounts' secrets.
    log
        Told in a sentence about each change.
    demo_accounts
        Whether a *new* realm gets one account per role.
    accounts_file
        Where they are written down (0600); beside the secrets' folder by default.
    source
        An operator's own realm description.

    Returns
    -------
    list of DemoAccount
        Those CubeHub made in this realm, now or earlier, with the passwords of that day.

    Raises
    ------
    ProvisionError
        Keycloak does not answer or refuses.

    Notes
    -----
    Repeating is safe after a stop at any step. Passwords are kept before the realm that knows them
    is made, and the realm is made with its groups, clients and people in one transaction. In a realm
    that exists, people, groups and membership are never touched.
    """
    realm = render_realm(public_url, keycloak_url, secrets, source)
    with AdminApi(keycloak_url, BOOTSTRAP_CLIENT, secrets.get(BOOTSTRAP_SECRET), REALM) as api:
        if api.realm_exists():
            for client_id in (HUB_CLIENT, CUBES_CLIENT, DIRECTORY_CLIENT, ACCOUNTS_CLIENT):
                _update_client(api, client(realm, client_id), log)
        else:
            people = _with_passwords(secrets) if demo_accounts else []
            api.create_realm(realm | {"users": [_representation(person) for person in people]})
            log(f"made the realm {REALM} with {len(people)} demo accounts")
        _close_password_grant(api, log)
        declare_attributes(api, log)
        # in this order, so that a realm of an earlier CubeHub can be asked at every moment
        allow_reading(api, log)
        allow_moving(api, log)
    people = _known(secrets)
    if people:
        write_private(
            accounts_file or secrets.folder.parent / "accounts.txt", accounts_text(people, public_url)
        )
    return people


def _close_password_grant(api: AdminApi, log: Callable[[str], None]) -> None:
    """Take from Keycloak's own client for command lines that it trades a password for a token, past the log-in page."""
    found = api.client(_ADMIN_CLI)
    if found is not None and found.get("directAccessGrantsEnabled"):
        api.put(f"clients/{found['id']}", found | {"directAccessGrantsEnabled": False})
        log(f"switched off log-in by password alone at the client {_ADMIN_CLI}")


def accounts_text(people: Iterable[DemoAccount], public_url: str) -> str:
    """Write the demo accounts down as a person reads them."""
    lines = [f"Demo accounts of {public_url} (passwords as they were when the accounts were made)", ""]
    lines += [f"{person.username:<8} {person.password}  {person.role}" for person in people]
    return "\n".join(lines) + "\n"


def _update_client(api: AdminApi, wanted: dict[str, Any], log: Callable[[str], None]) -> None:
    found = api.client(wanted["clientId"])
    if found is None:
        api.post("clients", wanted)
        log(f"made the client {wanted['clientId']}, which was missing")
        return
    changes = {key: wanted[key] for key in _CONFIGURED if key in wanted and found.get(key) != wanted[key]}
    attributes = found.get("attributes", {}) | wanted.get("attributes", {})
    if attributes != found.get("attributes", {}):
        changes["attributes"] = attributes
    if changes:
        api.put(f"clients/{found['id']}", found | changes)
        log(f"brought {', '.join(changes)} of the client {wanted['clientId']} up to date")


def _secret_name(person: DemoAccount) -> str:
    return f"demo-{person.username}"


def _with_passwords(secrets: Secrets) -> list[DemoAccount]:
    for person in DEMO_ACCOUNTS:
        secrets.password(_secret_name(person))
    return _known(secrets)


def _known(secrets: Secrets) -> list[DemoAccount]:
    people = []
    for person in DEMO_ACCOUNTS:
        password = secrets.known(_secret_name(person))
        if password is not None:
            people.append(
                DemoAccount(
                    person.username, person.first_name, person.last_name, person.role, person.groups, password
                )
            )
    return people


def _representation(person: DemoAccount) -> dict[str, Any]:
    # e-mail and names are given so that no form asks for them at the first login
    return {
        "username": person.username,
        "enabled": True,
        "email": person.email,
        "emailVerified": True,
        "firstName": person.first_name,
        "lastName": person.last_name,
        "credentials": [{"type": "password", "value": person.password, "temporary": False}],
        "groups": list(person.groups),
        # an import gives nobody the default role, unlike every other way to make an account
        "realmRoles": [DEFAULT_ROLE],
    }
