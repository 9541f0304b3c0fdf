"""A real Hub beside the pods, that can be killed and started again, and what people do with it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx
import websocket
import yaml

from cubehub_tests.kube.cluster import CHECKOUT, Cluster, end_group, until
from cubehub_tests.servers import Kernel

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

MIB = 2**20
SHARED = "cubehub-people"
_CONFIG = CHECKOUT / "tests" / "kube" / "hub_config.py"
_MANIFESTS = CHECKOUT / "config" / "kubernetes"
# The kernel's score makes a hog go before its server where the hog has grown larger than the server, which takes some
# 140 MiB; on a large node every server of a small request has a score of its own near the highest.
PROFILES = """
profiles:
  tiny: {title: Tiny, groups: [/cubehub/tiny], memory: 160M, cpu: 1.5, storage: 1G}
  standard: {title: Standard, groups: [/cubehub/standard], memory: 600M, cpu: 1.5, storage: 1G}
  premium: {title: Premium, groups: [/cubehub/premium], memory: 1200M, cpu: 2, storage: 2G}
  giant: {title: Giant, groups: [/cubehub/giant], memory: 900G, cpu: 2, storage: 2G}
"""


@dataclass
class KubeHub:
    """A Hub whose rights in the cluster are those of its service account."""

    cluster: Cluster
    root: Path
    own_namespaces: bool
    extra: dict[str, Any] = field(default_factory=dict)
    """Traits of ProfileKubeSpawner beside the tests' own."""
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    api_token: str = field(default_factory=lambda: secrets.token_hex(32))
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prepare(cls, cluster: Cluster, root: Path, *, own_namespaces: bool) -> Self:
        """Put what operators apply into the cluster, and write the Hub's files."""
        cluster.kubectl("apply", "-k", str(_MANIFESTS / ("namespaces" if own_namespaces else "shared")))
        files = [_MANIFESTS / "network" / f"{name}.yaml" for name in ("servers", "internet")]
        policies = [cls._beside(cluster), *(yaml.safe_load(file.read_text()) for file in files)]
        (root / "policies.yaml").write_text(yaml.safe_dump_all(policies))
        if not own_namespaces:
            cluster.kubectl("apply", "-n", SHARED, "-f", "-", given=json.dumps(policies[0]))
        hub = cls(cluster, root, own_namespaces)
        hub._write_kubeconfig()
        (root / "profiles.yaml").write_text(PROFILES)
        (root / "people.json").write_text("{}")
        return hub

    @staticmethod
    def _beside(cluster: Cluster) -> dict[str, Any]:
        """Write a policy for a Hub that is beside the cluster instead of in it; nothing else is let through."""
        hub = [{"ipBlock": {"cidr": f"{cluster.address}/32"}}]
        spec = {
            "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "egress": [{"to": hub, "ports": [{"protocol": "TCP", "port": port} for port in (8081, 8082)]}],
            "ingress": [{"from": hub, "ports": [{"protocol": "TCP", "port": 8888}]}],
        }  # fmt: skip
        metadata = {"name": "hub-of-the-tests"}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": spec,
        }

    def _write_kubeconfig(self) -> None:
        """Let the Hub be the service account it is in a cluster, not the administrator."""
        path = self.root / "kubeconfig"
        path.touch(0o600)
        path.write_text(json.dumps(self.cluster.kubeconfig_of("hub")))

    @property
    def port(self) -> int:
        """Of its API; two Hubs of the tests can run at once."""
        return 8082 if self.own_namespaces else 8081

    @property
    def url(self) -> str:
        """The Hub's address, as pods know it."""
        return f"http://{self.cluster.address}:{self.port}"

    def person(self, name: str, *groups: str, enabled: bool = True, account: str = "") -> str:
        """Put a person into the directory, or change them there; give the name."""
        people = json.loads((self.root / "people.json").read_text())
        paths = [f"/cubehub/{group}" for group in groups]
        people[name] = {"id": account or f"id-{name}", "groups": paths, "enabled": enabled}
        partial = self.root / "people.partial"
        partial.write_text(json.dumps(people))
        partial.replace(self.root / "people.json")
        return name

    def start(self) -> None:
        """Start the Hub and wait until it answers."""
        settings = {
            "url": self.url, "password": self.password, "api_token": self.api_token, "image": self.cluster.image,
            "own_namespaces": self.own_namespaces, "namespace": SHARED, "extra": self.extra,
        }  # fmt: skip
        (self.root / "settings.json").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "jupyterhub", "-f", str(_CONFIG)]
        environment = {
            "CUBEHUB_TEST_ROOT": str(self.root),
            "CUBEHUB_TEST_KUBECONFIG": str(self.root / "kubeconfig"),
        }
        launcher = ["env", f"KUBECONFIG={self.root / 'kubeconfig'}", *command]
        self.process = self.cluster.start(launcher, self.root / "hub.log", environment)
        until(self._answers, "the Hub answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(httpx.TransportError), self.cluster.client(self.url) as client:
            return client.get("/hub/health").is_success
        return False

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the Hub; its servers go on."""
        if self.process is not None:
            end_group(self.process, number)
            self.process = None

    def log(self) -> str:
        """What the Hub said."""
        return (self.root / "hub.log").read_text()

    def warnings(self) -> str:
        """What the Hub said that is more than news, the last of it."""
        return "\n".join(line for line in self.log().splitlines() if line.startswith(("[W", "[E")))[-3000:]

    def audit(self, name: str) -> list[dict[str, Any]]:
        """Decisions about a person."""
        lines = (self.root / "audit.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["user"] == name]

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the Hub's API as an administrator's service."""
        with self.cluster.client(self.url, headers={"Authorization": f"token {self.api_token}"}) as client:
            return client.request(method, f"/hub/api/{path}", **options)

    def ask(self, name: str, server: str = "", **options: Any) -> httpx.Response:
        """Ask for a server by REST, with these options."""
        self.api("POST", f"users/{name}")
        return self.api("POST", _path(name, server), json=options)

    def begin(self, name: str, server: str = "", **options: Any) -> dict[str, Any]:
        """Start a server and wait until it is ready; give its pod."""
        answer = self.ask(name, server, **options)
        assert answer.status_code in {201, 202}, f"{answer.text}\n{self.log()}"
        self.ready(name, server)
        return self.pod(name, server)

    def ready(self, name: str, server: str = "") -> None:
        """Wait until a server is ready."""

        def ready() -> bool:
            found = self.api("GET", f"users/{name}").json()["servers"].get(server)
            assert found is not None, f"the start failed:\n{self.log()[-5000:]}"
            return bool(found["ready"])

        until(ready, f"{name}'s server is ready", 120)

    def stop(self, name: str, server: str = "") -> None:
        """Stop a server and wait until it is gone."""
        self.api("DELETE", _path(name, server))
        until(lambda: server not in self.api("GET", f"users/{name}").json()["servers"], "stopped")

    def pods(self, name: str) -> list[dict[str, Any]]:
        """All pods of a person, wherever they are."""
        return [
            pod for pod in self.cluster.get("pods")
            if pod["metadata"].get("annotations", {}).get("hub.jupyter.org/username") == name
            and (pod["metadata"]["namespace"] == SHARED) != self.own_namespaces
        ]  # fmt: skip

    def pod(self, name: str, server: str = "") -> dict[str, Any]:
        """Read a server's pod back from the API server."""
        found = [
            pod for pod in self.pods(name)
            if pod["metadata"]["annotations"].get("hub.jupyter.org/servername", "") == server
        ]  # fmt: skip
        assert len(found) == 1, [pod["metadata"]["name"] for pod in found]
        return found[0]

    def apply(self, name: str) -> list[dict[str, Any]]:
        """Let the Hub bring a person's servers to what the directory says; give what it did."""
        answer = self.api("POST", f"cubehub/users/{name}/apply")
        assert answer.is_success, answer.text
        return list(answer.json()["actions"])

    def notices(self, name: str) -> list[str]:
        """What the person of a server was told, from the Hub's own notes of it."""
        user = self.api("GET", f"users/{name}?include_stopped_servers=1").json()
        board = user["servers"][""]["state"]["board"]
        return [notice["code"] for notice in board["notices"]]

    def browser(self, name: str) -> httpx.Client:
        """Log in as a browser would."""
        client = self.cluster.client(self.url, follow_redirects=True)
        found = re.search(r'name="_xsrf" value="([^"]+)"', client.get("/hub/login").text)
        assert found is not None
        form = {"username": name, "password": self.password, "_xsrf": found[1]}
        client.post("/hub/login?next=/hub/token", data=form).raise_for_status()
        return client

    def server(self, name: str, server: str = "") -> httpx.Client:
        """Give a client for a running server."""
        pod = self.pod(name, server)
        prefix = f"/user/{name}/{server}" if server else f"/user/{name}"
        return self.cluster.client(
            f"http://{pod['status']['podIP']}:8888{prefix}/",
            headers={"Authorization": f"token {self.api_token}"},
        )

    @contextlib.contextmanager
    def kernel(self, name: str) -> Iterator[Kernel]:
        """Start a kernel in a person's server and connect to it."""
        with self.server(name) as client:
            answer = client.post("api/kernels", json={"name": "python3"})
            assert answer.is_success, answer.text
            id_ = answer.json()["id"]
            host = client.base_url.host
            inner = self.cluster.connect(host, 8888)
            connection = websocket.create_connection(
                f"ws://{host}:8888/user/{name}/api/kernels/{id_}/channels",
                socket=inner,
                header={"Authorization": f"token {self.api_token}"}, timeout=60, suppress_origin=True,
            )  # fmt: skip
            try:
                yield Kernel(id_, connection)
            finally:
                connection.close()
                inner.close()  # a connection that was lost does not close it
                with contextlib.suppress(httpx.HTTPError):
                    client.delete(f"api/kernels/{id_}")

    def stop_all(self) -> None:
        """Stop every server."""
        for user in self.api("GET", "users").json():
            for server in user["servers"]:
                self.stop(user["name"], server)


def _path(name: str, server: str) -> str:
    return f"users/{name}/servers/{server}" if server else f"users/{name}/server"


@contextlib.contextmanager
def running_hub(cluster: Cluster, root: Path, *, own_namespaces: bool) -> Iterator[KubeHub]:
    """Give a Hub that runs; afterwards it and its servers are gone."""
    hub = KubeHub.prepare(cluster, root, own_namespaces=own_namespaces)
    try:
        hub.start()
        yield hub
        if hub.process is None:
            hub.start()
        hub.stop_all()
    finally:
        hub.end()
        print(os.linesep.join(line for line in hub.log().splitlines() if "token=" not in line)[-20000:])
