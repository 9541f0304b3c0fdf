"""The configuration of the Hub that the tests start beside the cluster.

The directory is a JSON file, read at each look-up; the real one is tested against a real Keycloak in tests/matrix.
"""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from cubehub import entitlements
from cubehub_spawner import Account, DirectoryUnavailableError, ProfileKubeSpawner, UnknownAccountError
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.proxy import Proxy

ROOT = Path(os.environ["CUBEHUB_TEST_ROOT"])
SETTINGS = json.loads((ROOT / "settings.json").read_text())


class FileDirectory:
    """Who is who, by a file."""

    async def lookup(self, username: str) -> Account:
        """Give the person as the file has them now."""
        people = json.loads((ROOT / "people.json").read_text())
        if people is None:
            raise DirectoryUnavailableError
        if username not in people:
            raise UnknownAccountError
        one = people[username]
        return Account(username, one["id"], one["enabled"], frozenset(one["groups"]))


class NoProxy(Proxy):
    """In place of configurable-http-proxy: the tests ask Hub and servers directly."""

    should_start = False
    routes: ClassVar[dict[str, Any]] = {}

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        """Remember a route."""
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        """Forget a route."""
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, Any]:
        """Tell the routes."""
        return self.routes


class Login(DummyAuthenticator):
    """One password for all, and the entitlement API."""

    def get_handlers(self, app: Any) -> list[Any]:
        """Add the handlers that KeycloakAuthenticator adds."""
        return [*super().get_handlers(app), *entitlements.HANDLERS]


def hook(spawner: ProfileKubeSpawner, pod: Any) -> Any:
    """Do what the tests' options say: an operator's hook that gives too much."""
    asked = json.loads((ROOT / "hook.json").read_text()) if (ROOT / "hook.json").exists() else {}
    if spawner.user.name in asked:
        pod.spec.containers[0].resources.limits = {"memory": "64Gi", "cpu": "32"}
        if asked[spawner.user.name] == "unsafe":
            pod.spec.host_network = True
    return pod


directory = FileDirectory()
c = get_config()  # noqa: F821 - JupyterHub defines it
c.JupyterHub.bind_url = SETTINGS["url"].replace(":808", ":800")
c.JupyterHub.hub_bind_url = SETTINGS["url"]
c.JupyterHub.db_url = f"sqlite:///{ROOT}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(ROOT / "cookie_secret")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.authenticator_class = Login
c.DummyAuthenticator.password = SETTINGS["password"]
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = ProfileKubeSpawner
c.JupyterHub.allow_named_servers = True
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.custom_scopes = entitlements.SCOPES
c.JupyterHub.tornado_settings = {
    entitlements.SETTINGS_KEY: entitlements.Rules(directory, str(ROOT / "profiles.yaml"), timedelta(hours=1))
}
c.JupyterHub.services = [{"name": "test", "api_token": SETTINGS["api_token"]}]
c.JupyterHub.load_roles = [
    {
        "name": "test",
        "services": ["test"],
        "scopes": [
            "admin:users", "admin:servers", "admin:server_state", "access:servers", "tokens", entitlements.WRITE_SCOPE,
        ],
    }
]  # fmt: skip
c.Spawner.poll_interval = 2
c.ProfileKubeSpawner.start_timeout = 90
c.ProfileKubeSpawner.http_timeout = 90
c.ProfileKubeSpawner.directory = directory
c.ProfileKubeSpawner.profiles_file = str(ROOT / "profiles.yaml")
c.ProfileKubeSpawner.audit_log = str(ROOT / "audit.jsonl")
c.ProfileKubeSpawner.image = SETTINGS["image"]
c.ProfileKubeSpawner.image_pull_policy = "IfNotPresent"
c.ProfileKubeSpawner.cmd = ["python3", "-m", "jupyterhub.singleuser"]
c.ProfileKubeSpawner.cpu_request_share = 0.1
c.ProfileKubeSpawner.modify_pod_hook = hook
# what must not have any effect on what people get
c.ProfileKubeSpawner.mem_limit = "64G"
c.ProfileKubeSpawner.cpu_limit = 32
c.ProfileKubeSpawner.extra_resource_limits = {"memory": "64Gi"}
c.ProfileKubeSpawner.profile_list = [
    {"display_name": "Huge", "slug": "huge", "default": True, "kubespawner_override": {"mem_limit": "64G"}},
    {
        "display_name": "Standard",
        "slug": "standard",
        "kubespawner_override": {
            "mem_limit": "64G",
            "cpu_limit": 32,
            "namespace": "default",
            "pod_name": "another",
            "environment": {"FROM_THE_LIST": "standard"},
        },
    },
]
if SETTINGS["own_namespaces"]:
    c.ProfileKubeSpawner.enable_user_namespaces = True
    c.ProfileKubeSpawner.network_policy_file = str(ROOT / "policies.yaml")
else:
    c.ProfileKubeSpawner.namespace = SETTINGS["namespace"]
c.ProfileKubeSpawner.update(SETTINGS["extra"])
