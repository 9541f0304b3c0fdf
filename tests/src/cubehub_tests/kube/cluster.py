"""The cluster: one that KUBECONFIG names, else one of this machine's own that the tests start and stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from cubehub_tests.kube.image import TAG, image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).parents[4]
_NODE_IP = "10.250.0.1"
"""Where pods of the own cluster reach what runs in its network."""


def starter() -> Path | None:
    """Find what starts a cluster on this machine: CUBEHUB_KUBE, else beside the checkout."""
    place = os.environ.get("CUBEHUB_KUBE")
    folder = Path(place) if place else CHECKOUT.parent / "shared" / "kube"
    script = folder / "up.sh"
    return script if script.is_file() else None


def usable() -> bool:
    """Whether there is a cluster, or one can be started here."""
    return bool(os.environ.get("KUBECONFIG")) or (starter() is not None and os.geteuid() == 0)


def named() -> bool:
    """Whether anything here says that a cluster should be there."""
    return bool(os.environ.get("KUBECONFIG")) or starter() is not None


@dataclass
class Cluster:
    """A cluster, and how to run what its pods must reach."""

    kubeconfig: Path
    program: str
    """kubectl."""
    enter: list[str]
    """Put before a command, it runs where pods are reached and reach it."""
    address: str
    """Where pods reach it there."""
    image: str
    """With jupyterhub-singleuser, ipykernel and cubehub-account."""
    work: Path
    _relays: dict[tuple[str, int], Path] = field(default_factory=dict)
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Run kubectl as the cluster's administrator; give what it says."""
        done = subprocess.run(
            [self.program, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=given, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def get(self, kind: str, name: str = "", namespace: str = "") -> Any:
        """Read an object, or all of a kind as a list."""
        where = ["-n", namespace] if namespace else ["-A"]
        found = json.loads(self.kubectl("get", kind, *([name] if name else []), *where, "-o", "json"))
        return found if name else found["items"]

    def kubeconfig_of(self, account: str) -> dict[str, Any]:
        """Give a kubeconfig with the rights of a service account of CubeHub's, for what runs where pods are reached."""
        config: dict[str, Any] = json.loads(self.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        token = self.kubectl("create", "token", account, "-n", "cubehub", "--duration=2h").strip()
        config["users"][0]["user"] = {"token": token}
        if self.enter:
            config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:6443"
        return config

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make objects, or change them to this."""
        self.kubectl(
            "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def start(
        self, command: list[str], log: Path, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process where pods reach it, in a group of its own."""
        with log.open("ab") as out:
            return subprocess.Popen(
                [*self.enter, *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})}, start_new_session=True,
            )  # fmt: skip

    def client(self, url: str, **options: Any) -> httpx.Client:
        """Give an HTTP client for an address in the cluster's network."""
        parts = httpx.URL(url)
        transport = (
            httpx.HTTPTransport(uds=str(self._relay(parts.host, parts.port or 80))) if self.enter else None
        )
        return httpx.Client(base_url=url, transport=transport, trust_env=False, timeout=60, **options)

    def connect(self, host: str, port: int) -> socket.socket:
        """Open a connection into the cluster's network."""
        if not self.enter:
            return socket.create_connection((host, port), 60)
        found = socket.socket(socket.AF_UNIX)
        found.settimeout(60)
        found.connect(str(self._relay(host, port)))
        return found

    def _relay(self, host: str, port: int) -> Path:
        """Start what passes connections on into the network; files are common to both sides."""
        if (host, port) not in self._relays:
            path = self.work / f"{len(self._relays)}.sock"
            process = self.start(
                ["socat", f"UNIX-LISTEN:{path},fork", f"TCP:{host}:{port}"], self.work / "relays.log"
            )
            self._running.callback(end_group, process)
            until(path.exists, f"a way to {host}:{port}")
            self._relays[host, port] = path
        return self._relays[host, port]

    @contextlib.contextmanager
    def same_here(self, port: int) -> Iterator[None]:
        """Let a port of the network's loopback be reached at this machine's too, by the same address."""
        if not self.enter:
            yield
            return
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
        command = ["socat", listen, f"UNIX-CONNECT:{self._relay('127.0.0.1', port)}"]
        with (self.work / "relays.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            end_group(process)

    def close(self) -> None:
        """End the relays."""
        self._running.close()


def end_group(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a process of `Cluster.start` with all it started, and wait until they are gone."""
    ends = time.monotonic() + 30
    with contextlib.suppress(ProcessLookupError):
        while True:  # the first one may end before what it started
            os.killpg(process.pid, number)
            process.poll()
            number = 0 if time.monotonic() < ends else signal.SIGKILL
            time.sleep(0.05)
    process.wait(30)


def until(said: Callable[[], Any], what: str, patience_s: float = 60) -> Any:
    """Wait for something to be so, and give what was said.

    Raises
    ------
    AssertionError
        It did not come.
    """
    ends = time.monotonic() + patience_s
    while not (answer := said()):
        if time.monotonic() > ends:
            raise AssertionError(f"waited {patience_s:g} s in vain for: {what}")
        time.sleep(0.2)
    return answer


def _down(script: Path) -> None:
    subprocess.run([script, "down"], check=True, timeout=60, capture_output=True)


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Give the cluster; one that was started here is stopped afterwards."""
    with tempfile.TemporaryDirectory(prefix="cubehub-kube-") as work, contextlib.ExitStack() as stack:
        cluster = _named(Path(work)) if os.environ.get("KUBECONFIG") else _own(Path(work), stack)
        stack.callback(cluster.close)
        yield cluster


def _named(work: Path) -> Cluster:
    program = shutil.which("kubectl")
    found = os.environ.get("CUBEHUB_KUBE_IMAGE", "")
    address = os.environ.get("CUBEHUB_KUBE_ADDRESS", "")
    if program is None or not found or not address:
        raise AssertionError(
            "A cluster named by KUBECONFIG needs kubectl on PATH, CUBEHUB_KUBE_IMAGE (an image its nodes can get, see "
            "docs/how-to/kubernetes.md) and CUBEHUB_KUBE_ADDRESS (an address of this machine that its pods reach)."
        )
    return Cluster(Path(os.environ["KUBECONFIG"]), program, [], address, found, work)


def _own(work: Path, stack: contextlib.ExitStack) -> Cluster:
    script = starter()
    assert script is not None, "the need was met"
    archive = image(script.with_name("mkimage.py"))
    with (work / "up.log").open("wb") as log:
        done = subprocess.run([script, "up"], stdout=subprocess.PIPE, stderr=log, check=False, timeout=600)
    said = (work / "up.log").read_text()
    if done.returncode:
        raise AssertionError(f"{script} up: {said}")
    if "already up" not in said:
        stack.callback(_down, script)
    subprocess.run([script, "load", archive], check=True, timeout=300)
    home = Path(
        os.environ.get("KUBE_HOME")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "one-node-kube"
    )
    kubeconfig = Path(done.stdout.decode().split()[-1])
    return Cluster(kubeconfig, str(home / "bin" / "kubectl"), [str(script), "sh"], _NODE_IP, TAG, work)
