"""The smallest real JupyterHub: its API is all that the gateway asks, so nothing is proxied."""

import asyncio
import json
import os
from pathlib import Path
from typing import ClassVar

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    """Keeps routes in memory; the tests talk to the Hub's own port."""

    routes: ClassVar[dict] = {}

    async def start(self):
        pass

    async def stop(self):
        pass

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes


settings = json.loads(os.environ["HUB_TEST_SETTINGS"])
c = get_config()  # noqa: F821 -- JupyterHub puts it there
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = f"http://127.0.0.1:{settings['unused_port']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings['port']}"


def entitlements():
    """Read what the test wrote."""
    return json.loads(Path(settings["entitlements"]).read_text())


class Entitlement(APIHandler):
    """In place of the hub room's handler, which asks Keycloak: answers what a test wrote into a file.

    The real one is asked by the tests of the whole platform.
    """

    async def get(self, name):
        assert self.current_user.name == "dask-gateway"
        said = entitlements().get(name)
        if said is None:
            said = {
                "status": 404,
                "code": "unknown_account",
                "message": f"The account service has no account {name!r}.",
                "hint": "",
            }
        if said == "hang":
            await asyncio.sleep(60)
        self.set_status(said.pop("status", 200) if isinstance(said, dict) else 200)
        self.finish(said if isinstance(said, str) else json.dumps(said))


c.JupyterHub.extra_handlers = [(r"/api/cubehub/users/([^/]+)/entitlement", Entitlement)]
c.JupyterHub.custom_scopes = {
    "custom:cubehub:users": {"description": "-", "subscopes": ["custom:cubehub:read:users"]},
    "custom:cubehub:read:users": {"description": "-"},
}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [
    {"name": "dask-gateway", "api_token": settings["gateway_token"]},
    {"name": "tests", "api_token": settings["admin_token"]},
    {"name": "accounts", "api_token": settings["accounts_token"]},
]
c.JupyterHub.load_roles = [
    {
        "name": "tests",
        "scopes": ["admin:users", "tokens", "admin:groups", "access:services"],
        "services": ["tests"],
    },
    {"name": "accounts", "scopes": ["custom:cubehub:users"], "services": ["accounts"]},
    {"name": "user", "scopes": ["self", "access:services!service=dask-gateway"]},
]
