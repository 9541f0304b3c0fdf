"""What entitlement adds to a start: the same Hub with the same simulated spawner, without and with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets as random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from cubehub.directory import KeycloakDirectory
from cubehub.keycloak.realm import DIRECTORY_SECRET
from cubehub.local.platform import free_port
from cubehub.local.processes import die_with_parent
from cubehub.resources import resource

from cubehub_tests.bench.frame import Case, say
from cubehub_tests.keycloak import RunningKeycloak, running_keycloak

if TYPE_CHECKING:
    from collections.abc import Iterator

PEOPLE = 200
QUICK_PEOPLE = 60
WARM_UP = 20
WARM_LOOK_UPS = 4000
ONE_BY_ONE = 100
ROUNDS = 5
_PATIENCE_S = 300


@dataclass(frozen=True)
class Facts:
    """What one of the two Hubs is told."""

    folder: str
    entitled: bool
    public_port: int
    hub_port: int
    server_port: int
    token: str
    keycloak_url: str
    directory_secret: str
    profiles: str


@dataclass(frozen=True)
class Figures:
    """What was measured with one Hub."""

    one_by_one_ms: list[float]
    """Each start alone, from the request to the answer that the server is ready."""
    together_s: float
    """All at once, until the last is ready."""


class _Server(BaseHTTPRequestHandler):
    """Stands for every person's server: the Hub asks it whether it is there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"version": "2"}'
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Many(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def measure(*, quick: bool) -> list[Case]:
    """Measure a few rounds of both, in turn."""
    people, rounds = (QUICK_PEOPLE, 1) if quick else (PEOPLE, ROUNDS)
    stock: list[Figures] = []
    ours: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="cubehub-spawn-") as scratch, _servers() as server_port:
        folder = Path(scratch)
        (folder / "keycloak").mkdir()
        say("starting Keycloak")
        with running_keycloak(folder / "keycloak") as keycloak:
            _make_people(keycloak, people)
            asyncio.run(_warm_up(keycloak))
            for number in range(rounds):
                for entitled, figures in ((False, stock), (True, ours)):
                    say(f"round {number + 1} of {rounds}, {'with' if entitled else 'without'} entitlement")
                    place = folder / f"hub-{number}-{entitled}"
                    place.mkdir()
                    figures.append(_run(place, entitled, keycloak, server_port, people))
    return _cases(stock, ours, people)


def _cases(stock: list[Figures], ours: list[Figures], people: int) -> list[Case]:
    p95 = [_p95([ms for figures in one for ms in figures.one_by_one_ms]) for one in (stock, ours)]
    median = [
        statistics.median(ms for figures in one for ms in figures.one_by_one_ms) for one in (stock, ours)
    ]
    together = [statistics.median(figures.together_s for figures in one) for one in (stock, ours)]
    return [
        Case("entitlement p95", max(0.0, p95[1] - p95[0]), "ms"),
        Case("entitlement median", max(0.0, median[1] - median[0]), "ms"),
        Case("one start, p95", p95[1], "ms", peer=p95[0], peer_name="without entitlement"),
        Case(f"{people} starts at once", together[1], "s", peer=together[0], peer_name="without entitlement"),
    ]


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _name(number: int) -> str:
    return f"seat-{number:03}"


async def _warm_up(keycloak: RunningKeycloak) -> None:
    """Let Java compile what a Keycloak that has run for a while has compiled."""
    secret = keycloak.secrets.get(DIRECTORY_SECRET)
    async with KeycloakDirectory(keycloak.url, "cubehub", "cubehub-directory", secret) as directory:
        await asyncio.gather(
            *(directory.lookup(_name(number % QUICK_PEOPLE)) for number in range(WARM_LOOK_UPS))
        )


def _make_people(keycloak: RunningKeycloak, count: int) -> None:
    with keycloak.admin() as api:
        users = [
            {"username": _name(number), "enabled": True, "groups": ["/cubehub/standard"]}
            for number in range(count)
        ]
        api.post("partialImport", {"ifResourceExists": "SKIP", "users": users})


@contextlib.contextmanager
def _servers() -> Iterator[int]:
    server = _Many(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _run(folder: Path, entitled: bool, keycloak: RunningKeycloak, server_port: int, people: int) -> Figures:
    facts = Facts(
        folder=str(folder),
        entitled=entitled,
        public_port=free_port("127.0.0.1", set()),
        hub_port=free_port("127.0.0.1", set()),
        server_port=server_port,
        token=random.token_hex(16),
        keycloak_url=keycloak.url,
        directory_secret=keycloak.secrets.get(DIRECTORY_SECRET),
        profiles=str(resource("config", "profiles.yaml")),
    )
    told = folder / "facts.json"
    told.touch(0o600)
    told.write_text(json.dumps(asdict(facts)))
    with _hub(folder, told, facts):
        return asyncio.run(_measure(facts, people))


@contextlib.contextmanager
def _hub(folder: Path, told: Path, facts: Facts) -> Iterator[None]:
    config = Path(__file__).with_name("_spawn_hub.py")
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)], cwd=folder, stdout=log, stderr=log,
            env={**os.environ, "CUBEHUB_BENCH_FACTS": str(told)},
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the thread that serves does not fork
        )  # fmt: skip
        try:
            ends = time.monotonic() + _PATIENCE_S
            while not _answers(f"http://127.0.0.1:{facts.hub_port}/hub/health"):
                if process.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError(f"the Hub did not start:\n{(folder / 'hub.log').read_text()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


async def _measure(facts: Facts, people: int) -> Figures:
    limits = httpx.Limits(max_connections=people)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{facts.hub_port}/hub/api", timeout=_PATIENCE_S, limits=limits, trust_env=False,
        headers={"Authorization": f"token {facts.token}"},
    ) as api:  # fmt: skip
        names = [_name(number) for number in range(people)]
        (await api.post("/users", json={"usernames": names})).raise_for_status()
        # what is done once, such as signing in, and Java's warming up, is no part of it
        for name in names[:WARM_UP]:
            await _start(api, name)
        alone = []
        for name in names[WARM_UP : WARM_UP + ONE_BY_ONE]:
            began = time.perf_counter()
            await _start(api, name)
            alone.append((time.perf_counter() - began) * 1000)
        for name in names[: WARM_UP + ONE_BY_ONE]:
            (await api.delete(f"/users/{name}/server")).raise_for_status()
        began = time.perf_counter()
        await asyncio.gather(*(_start(api, name) for name in names))
        return Figures(alone, time.perf_counter() - began)


async def _start(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.post(f"/users/{name}/server")
    answer.raise_for_status()
    while answer.status_code == httpx.codes.ACCEPTED:
        await asyncio.sleep(0.05)
        model = (await api.get(f"/users/{name}")).raise_for_status().json()
        if model["servers"].get("", {}).get("ready"):
            return
        if not model["servers"]:
            said = (await api.get(f"/users/{name}/server/progress")).text
            raise RuntimeError(f"the server of {name} was not started: {said[-500:]}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
