"""Configuration of the two Hubs that `cubehub-bench spawn` compares: the same simulated spawner, without and with entitlement.

A server is an answer of one program that stands for all; so what is measured is the Hub's own work, and ours.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, ClassVar

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner

from cubehub_tests.bench.spawn import Facts


class NoProxy(Proxy):
    """In place of the real one, whose time is the same for both and would hide the difference."""

    should_start = False
    routes: ClassVar[dict[str, Any]] = {}

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        """Note a route."""
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        """Forget it."""
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, Any]:
        """List them."""
        return self.routes


STARTS_IN_S = 0.1


class Simulated(Spawner):
    """A server that is there after a moment, as short as a process takes.

    Notes
    -----
    Not at once: a start that waits for nothing lets nobody in between, which no start of a real server does.
    """

    runs = False

    async def start(self) -> tuple[str, int]:
        """Point at the program that stands for all servers."""
        await asyncio.sleep(STARTS_IN_S)
        self.runs = True
        return ("127.0.0.1", facts.server_port)

    async def poll(self) -> int | None:
        """Tell whether it runs."""
        return None if self.runs else 0

    async def stop(self, now: bool = False) -> None:
        """End nothing."""
        del now
        self.runs = False


def configure(c: Any) -> None:
    """Set up a Hub; with `facts.entitled`, each start asks a real Keycloak first."""
    c.JupyterHub.bind_url = f"http://127.0.0.1:{facts.public_port}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{facts.hub_port}"
    c.JupyterHub.db_url = f"sqlite:///{facts.folder}/hub.sqlite"
    c.JupyterHub.cookie_secret_file = f"{facts.folder}/cookie"
    c.JupyterHub.authenticator_class = "dummy"
    c.Authenticator.allow_all = True
    c.JupyterHub.proxy_class = NoProxy
    c.JupyterHub.cleanup_proxy = c.JupyterHub.cleanup_servers = False
    c.JupyterHub.concurrent_spawn_limit = c.JupyterHub.active_server_limit = 0
    # a crowd that asks again and again whether it is ready would be measured with it
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 300}
    c.JupyterHub.log_level = "WARN"
    c.JupyterHub.services = [{"name": "bench", "api_token": facts.token}]
    c.JupyterHub.load_roles = [
        {"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers"]}
    ]
    if not facts.entitled:
        c.JupyterHub.spawner_class = Simulated
        return
    from cubehub.directory import KeycloakDirectory  # noqa: PLC0415 - the stock Hub has none of it
    from cubehub_spawner._mixin import EntitledSpawner  # noqa: PLC0415

    class Entitled(EntitledSpawner, Simulated):
        """The same, after the question and the decision."""

        async def start(self) -> tuple[str, int]:
            """Ask, decide, write it down, then start."""
            await self.entitle()
            return await Simulated.start(self)

        def get_state(self) -> dict[str, Any]:
            """Keep the grant, as ours do."""
            return {**super().get_state(), **self.grant_state()}

    c.JupyterHub.spawner_class = Entitled
    c.Entitled.directory = KeycloakDirectory(
        facts.keycloak_url, "cubehub", "cubehub-directory", facts.directory_secret
    )
    c.Entitled.profiles_file = facts.profiles
    c.Entitled.audit_log = f"{facts.folder}/audit.jsonl"


facts = Facts(**json.loads(Path(os.environ["CUBEHUB_BENCH_FACTS"]).read_text()))
configure(get_config())  # type: ignore[name-defined]  # noqa: F821 - JupyterHub defines it
