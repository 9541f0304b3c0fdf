"""Settings of a Hub that take protection away, told from its configuration."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cubehub_spawner._mixin import EntitledSpawner

from cubehub.authenticator import KeycloakAuthenticator
from cubehub.entitlements import HANDLERS, SETTINGS_KEY
from cubehub.findings import Finding

if TYPE_CHECKING:
    from traitlets.config import Config

LONGEST_REFRESH_S = 300
"""As long as an access token of the realm lives."""
_MUST_BE_ON = {
    "auth_refresh_strict": "starts by API and by administrators go on with groups of an earlier log-in",
    "enable_auth_state": "log-ins are not refreshed, so that they outlive a suspension",
    "manage_groups": "groups of the Hub no longer follow Keycloak's",
}


def unsafe_settings(config: Config) -> list[Finding]:
    """List what an operator's `jupyterhub_config.py` switches off, after all of it was read.

    Notes
    -----
    Traits are asked for on an instance, as the Hub makes one, so that it does not matter under which of its
    classes' names something was set.
    """
    found = []
    hub: Any = config.JupyterHub
    authenticator = hub.get("authenticator_class")
    if inspect.isclass(authenticator) and issubclass(authenticator, KeycloakAuthenticator):
        found += _authenticator(authenticator, config)
    else:
        found.append(_unsafe("authenticator_class", "people do not log in by CubeHub's authenticator"))
    spawner = hub.get("spawner_class")
    if not (inspect.isclass(spawner) and issubclass(spawner, EntitledSpawner)):
        found.append(_unsafe("spawner_class", "the group no longer decides what a server gets"))
    if SETTINGS_KEY not in (hub.get("tornado_settings") or {}):
        found.append(
            _unsafe("tornado_settings", "running servers no longer follow (update it, don't replace it)")
        )
    return found


def _authenticator(kind: type[KeycloakAuthenticator], config: Config) -> list[Finding]:
    try:
        made: Any = kind(config=config)
        values = {name: getattr(made, name) for name in _MUST_BE_ON}
        age = made.auth_refresh_age
    except Exception as error:  # noqa: BLE001 - a trait's own check, in words for the operator
        return [Finding("problem", "unsafe_setting", f"The authenticator refuses its settings: {error}")]
    found = [_unsafe(name, why) for name, why in _MUST_BE_ON.items() if not values[name]]
    if age > LONGEST_REFRESH_S:
        found.append(_unsafe("auth_refresh_age", f"a log-in is asked about only every {age} s"))
    if made.admin_users:
        names = ", ".join(sorted(made.admin_users))
        found.append(_unsafe("admin_users", f"{names} administer the Hub whatever Keycloak says"))
    if not set(HANDLERS) <= set(made.more_handlers):
        found.append(
            _unsafe("more_handlers", "running servers no longer follow (add to it, don't replace it)")
        )
    return found


def _unsafe(name: str, why: str) -> Finding:
    return Finding(
        "problem",
        "unsafe_setting",
        f"The setting {name} takes protection away: {why}.",
        "Take it out of your jupyterhub_config.py.",
    )
