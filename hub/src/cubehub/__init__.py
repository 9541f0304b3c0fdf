"""CubeHub: a JupyterHub distribution for Earth-observation platforms.

The public interface is `__all__`; the server half needs the ``server`` extra.
"""

from importlib.metadata import version
from typing import Any

__all__ = [
    "KeycloakAuthenticator",
    "Osc",
    "configure",
    "extend",
    "hub_in_cluster",
    "publish",
    "published",
    "servers_as_pods",
    "unpublish",
]
__version__ = version("cubehub")

_HOMES = {
    "configure": "cubehub.configure",
    "KeycloakAuthenticator": "cubehub.authenticator",
    **dict.fromkeys(("hub_in_cluster", "servers_as_pods"), "cubehub.kubernetes"),
    "Osc": "cubehub.publishing.osc",
    **dict.fromkeys(("extend", "publish", "published", "unpublish"), "cubehub.publishing"),
}


def __getattr__(name: str) -> Any:
    """Import each part only where it is used: a notebook's `import cubehub` stays light."""
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415

        value = getattr(import_module(_HOMES[name]), name)
        # the submodule of the same name would otherwise win once it has been imported
        globals()[name] = value
        return value
    raise AttributeError(name)
