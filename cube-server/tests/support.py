"""What the tests share: an issuer of our own, and a real cube server on a random port."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "binder" / "data"
CUBES_YAML = ROOT / "config" / "cubes.yaml"
PROTECTED = "peipsi-demo-members"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TEST_DATA = Path(os.environ.get("CUBEHUB_TEST_DATA") or ROOT.parent / "shared" / "data")
"""Real scenes, too large for the repository."""
NEEDS = {
    "chromium": (lambda: CHROMIUM, "sudo apt install chromium"),
    "scenes": (TEST_DATA.is_dir, "the folder of real scenes; set CUBEHUB_TEST_DATA to it"),
}
"""By name, whether this machine has what a test cannot do without, and the line that brings it."""


def require(name: str) -> None:
    """Leave the test out where it has not; where CI is set nothing is left out, and the test fails."""
    present, remedy = NEEDS[name]
    if not present():
        in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        (pytest.fail if in_ci else pytest.skip)(f"there is no {name} here; it comes with: {remedy}")


@dataclass
class Issuer:
    """A stand-in for the realm: serves discovery, keys and userinfo, signs what a test asks for.

    Userinfo repeats what the token says, as Keycloak's does while nothing changes; ``suspended`` holds subjects whose
    tokens count for nothing any more, ``now`` by subject the claims that have changed since.
    """

    url: str = ""
    suspended: set[str] = field(default_factory=set)
    now: dict[str, dict[str, Any]] = field(default_factory=dict)
    down: bool = False
    key: Any = field(default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))
    kid: str = "one"
    asked: int = 0

    def documents(self) -> dict[str, Any]:
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {
            "/realms/cubehub/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/certs",
                "userinfo_endpoint": f"{self.url}/userinfo",
            },
            "/realms/cubehub/certs": {"keys": [{**jwk, "kid": self.kid, "use": "sig", "alg": "RS256"}]},
        }

    def answer(self, path: str, token: str | None) -> tuple[int, bytes]:
        self.asked += 1
        if self.down:
            return 503, b"down"
        if path == "/realms/cubehub/userinfo":
            return self.userinfo(token)
        body = self.documents().get(path)
        return (200, json.dumps(body).encode()) if body else (404, b"")

    def userinfo(self, token: str | None) -> tuple[int, bytes]:
        try:
            claims = jwt.decode(
                token or "",
                self.key.public_key(),
                ["RS256"],
                issuer=self.url,
                options={"verify_aud": False},
            )
        except jwt.PyJWTError:
            return 401, b""
        if claims["sub"] in self.suspended:
            return 401, b""
        told = {
            name: claims[name]
            for name in ("sub", "preferred_username", "groups", "permissions")
            if name in claims
        }
        return 200, json.dumps({**told, **self.now.get(claims["sub"], {})}).encode()

    async def fetch(self, url: str, token: str | None) -> tuple[int, bytes]:
        return self.answer("/" + url.split("/", 3)[3], token)

    def token(
        self, *, key: Any = None, kid: str | None = None, algorithm: str = "RS256", **changes: Any
    ) -> str:
        now = time.time()
        claims = {
            "iss": self.url,
            "aud": ["cubehub-cubes", "account"],
            "sub": "3f6b",
            "preferred_username": "ana",
            "typ": "Bearer",
            "iat": now,
            "exp": now + 300,
            "permissions": ["read:dataset:*"],
            "groups": ["/cubehub/standard"],
        }
        claims.update(changes)
        claims = {k: v for k, v in claims.items() if v is not None}
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers={"kid": kid or self.kid})


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Serve a realm of one's own on a random port."""
    made = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            status, body = made.answer(self.path, token if scheme == "Bearer" else None)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/realms/cubehub"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Running:
    base: str
    process: subprocess.Popen
    folder: Path

    def get(self, path: str, token: str | None = None, **kwargs: Any) -> requests.Response:
        return self.request("GET", path, token, **kwargs)

    def request(self, method: str, path: str, token: str | None = None, **kwargs: Any) -> requests.Response:
        headers = {**kwargs.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return requests.request(method, self.base + path, headers=headers, timeout=60, **kwargs)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def start(
    folder: Path, cubes_dir: Path, issuer_url: str, cubes_yaml: Path = CUBES_YAML, **more: Any
) -> Running:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = {
        "address": "127.0.0.1",
        "port": port,
        "prefix": "/services/cubes",
        "public_url": url,
        "cubes_dir": str(cubes_dir),
        "cubes_yaml": str(cubes_yaml),
        "issuer": issuer_url,
        "client_id": "cubehub-cubes",
        "audience": "cubehub-cubes",
        "state_dir": str(folder / "state"),
        **more,
    }
    (folder / "cubes.json").write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "xcube_cubehub.launcher", "--config", str(folder / "cubes.json")],
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
        )
    running = Running(f"{url}/services/cubes", process, folder)
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(running.log)
        with contextlib.suppress(requests.ConnectionError):
            if running.get("/health").ok:
                return running
        time.sleep(0.2)
    process.kill()
    raise AssertionError(running.log)
