"""An accounts service for tests, beside a real Keycloak and a Hub and gateway that note what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from cubehub.accounts.actions import Actions
from cubehub.accounts.api import make_app
from cubehub.accounts.keycloak import KeycloakAdmin
from cubehub.accounts.membership import Membership
from cubehub.accounts.neighbours import Gateway, Hub
from cubehub.accounts.reconciler import Reconciler
from cubehub.keycloak.realm import ACCOUNTS_CLIENT, ACCOUNTS_SECRET, REALM
from cubehub.resources import resource
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from cubehub_tests.keycloak import RunningKeycloak

PROFILES = resource("config", "profiles.yaml")
API = "/services/accounts/api/users"
WRITE, READ = "custom:cubehub:users", "custom:cubehub:read:users"
TOKENS = {
    "adams": {"kind": "user", "name": "adam", "scopes": [WRITE, READ]},
    "clis": {"kind": "service", "name": "cubehub-cli", "scopes": [WRITE, READ]},
    "readers": {"kind": "service", "name": "reader", "scopes": [READ]},
    "anas": {"kind": "user", "name": "ana", "scopes": ["self"]},
    "teachers": {"kind": "user", "name": "t", "scopes": [f"{WRITE}!user=ana", f"{READ}!user=ana"]},
    "groups": {"kind": "user", "name": "g", "scopes": [f"{READ}!group=/cubehub/premium"]},
}


@dataclass
class Neighbours:
    """A Hub and a gateway: what they would answer, and what they were told."""

    people: list[dict[str, Any]] = field(default_factory=list)
    clusters: dict[str, int] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    fails: bool = False

    def runs(self, name: str, *groups: str, pending: Any = None) -> None:
        server = {"name": "", "profile": "standard", "title": "Standard", "memory_bytes": 5, "ready": True}
        self.people.append(
            {
                "name": name,
                "account_id": None,
                "seen": {"enabled": True, "groups": list(groups)},
                "servers": [server | {"pending": pending}],
            }
        )

    def app(self) -> Application:
        world = self

        class Servers(RequestHandler):
            def get(self) -> None:
                self.finish({"people": world.people})

        class Apply(RequestHandler):
            def post(self, name: str) -> None:
                if world.fails:
                    self.set_status(503)
                    self.finish({"code": "directory_error", "message": "Away.", "hint": "Wait."})
                    return
                world.applied.append(name)
                self.finish({"access": world.access.get(name, "granted"), "actions": []})

        class User(RequestHandler):
            def get(self) -> None:
                token = self.request.headers["Authorization"].removeprefix("token ")
                if token not in TOKENS:
                    self.set_status(403)
                self.finish(TOKENS.get(token, {}))

        class Clusters(RequestHandler):
            def get(self) -> None:
                self.finish({"people": world.clusters})

            def delete(self, name: str) -> None:
                self.finish({"stopped": world.clusters.pop(name, 0)})

        return Application(
            [
                ("/hub/api/cubehub/servers", Servers),
                ("/hub/api/cubehub/users/(.*)/apply", Apply),
                ("/hub/api/user", User),
                ("/gateway/cubehub/clusters", Clusters),
                ("/gateway/cubehub/users/(.*)/clusters", Clusters),
            ]
        )


@dataclass
class World:
    """Everything together, in one event loop."""

    keycloak: RunningKeycloak
    neighbours: Neighbours
    actions: Actions
    reconciler: Reconciler
    http: httpx.AsyncClient
    audit: Path

    async def ask(self, method: str, path: str, bearer: str = "clis", **more: Any) -> tuple[int, Any]:
        answer = await self.http.request(
            method, API + path, headers={"Authorization": f"token {bearer}"}, **more
        )
        return answer.status_code, answer.json()

    async def round(self, now: datetime | None = None) -> list[str]:
        """Compare once, wait for all of it, and give whom the Hub was told to apply."""
        self.neighbours.applied.clear()
        await self.reconciler.round(now or datetime.now(UTC))
        await self.reconciler.finish()
        return sorted(self.neighbours.applied)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


@contextlib.asynccontextmanager
async def listening(app: Application) -> AsyncIterator[str]:
    server = HTTPServer(app)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


def run(
    keycloak: RunningKeycloak,
    tmp_path: Path,
    test: Callable[[World], Coroutine[Any, Any, None]],
    secret: str | None = None,
) -> None:
    async def inside() -> None:
        neighbours = Neighbours()
        admin = KeycloakAdmin(
            keycloak.url, REALM, ACCOUNTS_CLIENT, secret or keycloak.secrets.get(ACCOUNTS_SECRET)
        )
        async with listening(neighbours.app()) as beside:
            hub, gateway = Hub(f"{beside}/hub/api", "own"), Gateway(f"{beside}/gateway", "own")
            audit = tmp_path / "audit.jsonl"
            actions = Actions(Membership(admin), hub, gateway, PROFILES, audit)
            reconciler = Reconciler(actions, 5)
            app = make_app("/services/accounts", actions, reconciler)
            async with (
                contextlib.AsyncExitStack() as stack,
                listening(app) as url,
                httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
            ):
                for one in (admin, hub, gateway):
                    stack.push_async_callback(one.aclose)
                await test(World(keycloak, neighbours, actions, reconciler, http, audit))

    asyncio.run(inside())
