"""The smallest real JupyterHub: its API is all that the gateway asks, so nothing is proxied."""

import json
import os
from typing import ClassVar

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
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.load_groups = settings["groups"]
c.JupyterHub.services = [
    {"name": "dask-gateway", "api_token": settings["gateway_token"]},
    {"name": "tests", "api_token": settings["admin_token"]},
]
c.JupyterHub.load_roles = [
    {
        "name": "tests",
        "scopes": ["admin:users", "tokens", "admin:groups", "access:services"],
        "services": ["tests"],
    },
    {"name": "user", "scopes": ["self", "access:services!service=dask-gateway"]},
]
