"""What every Hub of CubeHub has, wherever it runs: the APIs that servers ask, and the rights of people and of their servers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub.settings import ConfigFolder

FOR_NOTEBOOKS = ("dask-gateway", "cubes", "storage", "catalogue")
"""Services that people use from notebooks, by the token of their server."""
_ROLES = {"dask-gateway": "gateway"}
"""Where it is not called as its service: the Hub's database has it by this name."""


def give_apis(c: Any, config: ConfigFolder, directory: Any) -> None:
    """Give the Hub the APIs by which running servers follow their person's group, and get tokens for catalogues."""
    from cubehub import access_tokens, entitlements  # noqa: PLC0415 - the file may be read where no server part is installed

    grace = timedelta(seconds=config.operator_settings().entitlement.grace)
    rules = entitlements.Rules(directory, str(config.path("profiles.yaml")), grace)
    c.JupyterHub.custom_scopes = entitlements.SCOPES
    c.KeycloakAuthenticator.more_handlers = [*entitlements.HANDLERS, *access_tokens.HANDLERS]
    c.JupyterHub.tornado_settings = {
        entitlements.SETTINGS_KEY: rules,
        access_tokens.SETTINGS_KEY: access_tokens.Exchange(lambda: config.path("catalogues.yaml")),
    }


def roles_of_services(services: Iterable[str] = FOR_NOTEBOOKS) -> list[dict[str, Any]]:
    """Roles of these services themselves: each asks the Hub who sends a request, and what they may have now."""
    from cubehub.entitlements import READ_SCOPE  # noqa: PLC0415 - as above

    more = {
        "dask-gateway": ["read:users:name", "read:users:groups"],
        # the keeper asks whose the homes are, who was here when, and whose server runs
        "storage": ["list:users", "read:users:activity", "read:servers"],
    }
    return [
        {"name": _ROLES.get(name, name), "services": [name], "scopes": [READ_SCOPE, *more.get(name, [])]}
        for name in services
    ]


def roles_of_people(services: Iterable[str] = FOR_NOTEBOOKS) -> list[dict[str, Any]]:
    """Roles of people and of their servers, which may ask these services."""
    reached = [f"access:services!service={name}" for name in services]
    return [
        {"name": "user", "scopes": ["self", *reached]},
        {"name": "server", "scopes": ["users:activity!user", "access:servers!server", *reached]},
    ]
