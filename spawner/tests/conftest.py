"""A real Hub with our spawner, and a real environment for its servers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from uv import find_uv_bin

HERE = Path(__file__).resolve().parent
ACCOUNT = HERE.parents[1] / "extensions" / "account"
PROFILES = """
profiles:
  standard: {title: Standard, groups: [/cubehub/standard], memory: 400M, cpu: 2, storage: 1G}
  premium: {title: Premium, groups: [/cubehub/premium], memory: 800M, cpu: 4, storage: 1G}
"""


def make_lab(env, python, *more):
    """Make an environment with the single-user server."""
    uv = find_uv_bin()
    packages = ["jupyterhub>=6.1,<7", "jupyter-server>=2.14", "ipykernel>=7", *more]
    subprocess.run([uv, "venv", "-q", "--clear", "--python", python, env], check=True)
    install = [uv, "pip", "install", "-q", "--python", env / "bin" / "python", *packages, str(ACCOUNT)]
    subprocess.run(install, check=True)


@pytest.fixture(scope="session")
def lab_prefix():
    """An environment with the single-user server, kept in CUBEHUB_TEST_CACHE between runs where that is set."""
    sources = [*ACCOUNT.glob("cubehub_account/*.py"), ACCOUNT / "pyproject.toml"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]
    with contextlib.ExitStack() as stack:
        cache = os.environ.get("CUBEHUB_TEST_CACHE") or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="cubehub-spawner-")
        )
        env = Path(cache) / f"lab-{digest}-{sys.version_info[0]}.{sys.version_info[1]}"
        if not (env / "ready").exists():
            make_lab(env, sys.executable)
            (env / "ready").touch()
        yield env


@pytest.fixture(scope="session")
def jupyterlab_prefix():
    """The same with JupyterLab itself."""
    with contextlib.ExitStack() as stack:
        cache = os.environ.get("CUBEHUB_TEST_CACHE") or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="cubehub-spawner-")
        )
        env = Path(cache) / f"jupyterlab-{sys.version_info[0]}.{sys.version_info[1]}"
        if not (env / "ready").exists():
            make_lab(env, sys.executable, "jupyterlab==4.6.*", "notebook>=7.6,<8")
            (env / "ready").touch()
        yield env


def free_ports(count):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]  # chosen together, so distinct


class Hub:
    """A Hub process that can be killed and started again on the same folder."""

    def __init__(self, root, lab_prefix, **settings):
        self.root = root
        public, inner = free_ports(2)
        self.url = f"http://127.0.0.1:{inner}"
        self.password, self.api_token = secrets.token_hex(16), secrets.token_hex(32)
        self.process = None
        (root / "profiles.yaml").write_text(PROFILES)
        self.people(ana="standard", petra="premium", viktor=None)
        settings = {
            "url": f"http://127.0.0.1:{public}",
            "hub_url": self.url,
            "password": self.password,
            "api_token": self.api_token,
            "lab_prefix": str(lab_prefix),
            "enforcers": ["cgroup_v2", "systemd_scope", "cgroup_v1", "watchdog"],
            **settings,
        }
        (root / "settings.json").write_text(json.dumps(settings))
        (root / "settings.json").chmod(0o600)

    def people(self, **groups):
        """Write the fake directory: name=group or None."""
        people = {name: {"groups": [f"/cubehub/{group}"] if group else []} for name, group in groups.items()}
        (self.root / "people.json").write_text(json.dumps(people))

    def start(self):
        with (self.root / "hub.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", HERE / "hub_config.py"],
                cwd=self.root,
                env={**os.environ, "CUBEHUB_TEST_ROOT": str(self.root)},
                stdout=log,
                stderr=subprocess.STDOUT,
                umask=0o077,  # what it writes is not for its servers
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/hub/health").status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log())

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(30)

    def log(self):
        return (self.root / "hub.log").read_text()

    def audit(self):
        return [json.loads(line) for line in (self.root / "audit.jsonl").read_text().splitlines()]

    def api(self, method, path, **kwargs):
        headers = {"Authorization": f"token {self.api_token}"}
        return httpx.request(method, f"{self.url}/hub/api/{path}", headers=headers, timeout=60, **kwargs)

    def until(self, said, what, timeout_s=90):
        deadline = time.monotonic() + timeout_s
        while not (answer := said()):
            assert time.monotonic() < deadline, f"{what}: {self.log()}"
            time.sleep(0.2)
        return answer

    def start_server(self, name, server="", options=None):
        """Ask for a server by REST; tell the address once it is ready."""
        self.api("POST", f"users/{name}")
        path = f"users/{name}/servers/{server}" if server else f"users/{name}/server"
        answer = self.api("POST", path, json=options or {})
        assert answer.status_code in {201, 202}, answer.text

        def ready():
            servers = self.api("GET", f"users/{name}").json()["servers"]
            return servers.get(server, {}).get("ready")

        self.until(ready, f"{name}'s server is ready")
        return self.server_url(name, server)

    def server_url(self, name, server=""):
        routes = json.loads((self.root / "routes.json").read_text())
        spec = f"/user/{name}/{server}/" if server else f"/user/{name}/"
        return routes[spec]["target"].rstrip("/") + spec

    def stop_server(self, name, server=""):
        path = f"users/{name}/servers/{server}" if server else f"users/{name}/server"
        self.api("DELETE", path)
        self.until(lambda: server not in self.api("GET", f"users/{name}").json()["servers"], "stopped")

    def state(self, name, server=""):
        """What the Hub keeps about a server."""
        with contextlib.closing(sqlite3.connect(self.root / "hub.sqlite")) as database:
            row = database.execute(
                "select spawners.state from spawners join users on users.id = spawners.user_id where users.name = ? and spawners.name = ?",
                (name, server),
            ).fetchone()
        return json.loads(row[0])

    def browser(self, name):
        """A logged-in client, as a browser would be."""
        client = httpx.Client(base_url=self.url, follow_redirects=True, timeout=60)
        page = client.get("/hub/login").text
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page)[1]
        client.post(
            "/hub/login?next=/hub/token", data={"username": name, "password": self.password, "_xsrf": xsrf}
        )
        return client


@contextlib.contextmanager
def running(hub):
    """Run a Hub; end it with all servers."""
    hub.start()
    yield hub
    try:
        if hub.process.poll() is not None:
            hub.start()
        for user in hub.api("GET", "users").json():
            for server in user["servers"]:
                hub.stop_server(user["name"], server)
    finally:
        hub.end()


@pytest.fixture
def hub(lab_prefix, tmp_path):
    with running(Hub(tmp_path, lab_prefix)) as hub:
        yield hub


@pytest.fixture
def jupyterlab_hub(jupyterlab_prefix, tmp_path):
    with running(Hub(tmp_path, jupyterlab_prefix)) as hub:
        yield hub


@pytest.fixture
def uid_hub():
    """A Hub whose servers have user ids of their own, where these can get at what they need: not in pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="cubehub-uids-") as folder:
        Path(folder).chmod(0o711)
        lab = Path(folder) / "lab"
        make_lab(lab, "/usr/bin/python3")
        root = Path(folder) / "root"
        root.mkdir(mode=0o711)
        with running(Hub(root, lab, isolation="uid")) as hub:
            yield hub
