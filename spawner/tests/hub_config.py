"""The configuration of the Hub that test_hub.py starts; DIRECTORY is read anew at each look-up.

The directory is a fake: a JSON file. The real one is the hub room's, tested there against a real Keycloak.
"""

import json
import os
from pathlib import Path
from typing import ClassVar

from cubehub_spawner import Account, DirectoryUnavailableError, ProfileLocalSpawner, UnknownAccountError
from jupyterhub.proxy import Proxy

ROOT = Path(os.environ["CUBEHUB_TEST_ROOT"])
SETTINGS = json.loads((ROOT / "settings.json").read_text())


class FileDirectory:
    """Fake directory."""

    async def lookup(self, username):
        people = json.loads((ROOT / "people.json").read_text())
        if people is None:
            raise DirectoryUnavailableError
        if username not in people:
            raise UnknownAccountError
        return Account(
            username,
            f"id-{username}",
            people[username].get("enabled", True),
            frozenset(people[username]["groups"]),
        )


class NoProxy(Proxy):
    """In place of configurable-http-proxy, which needs Node: the tests ask Hub and servers directly."""

    should_start = False
    routes: ClassVar = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}
        (ROOT / "routes.json").write_text(json.dumps(self.routes))

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)
        (ROOT / "routes.json").write_text(json.dumps(self.routes))

    async def get_all_routes(self):
        return self.routes


c = get_config()  # noqa: F821 - JupyterHub defines it
c.JupyterHub.bind_url = SETTINGS["url"]
c.JupyterHub.hub_bind_url = SETTINGS["hub_url"]
c.JupyterHub.db_url = f"sqlite:///{ROOT}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(ROOT / "cookie_secret")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = SETTINGS["password"]
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = ProfileLocalSpawner
c.JupyterHub.allow_named_servers = True
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.services = [{"name": "test", "api_token": SETTINGS["api_token"]}]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": ["admin:users", "admin:servers", "access:servers", "tokens"],
    }
]
c.ProfileLocalSpawner.directory = FileDirectory()
c.ProfileLocalSpawner.profiles_file = str(ROOT / "profiles.yaml")
c.ProfileLocalSpawner.homes_dir = str(ROOT / "homes")
c.ProfileLocalSpawner.audit_log = str(ROOT / "audit.jsonl")
c.ProfileLocalSpawner.lab_prefix = SETTINGS["lab_prefix"]
c.ProfileLocalSpawner.enforcers = SETTINGS["enforcers"]
c.ProfileLocalSpawner.isolation = SETTINGS.get("isolation", "auto")
c.ProfileLocalSpawner.http_timeout = 90
c.ProfileLocalSpawner.args = ["--ServerApp.log_level=INFO"]
