"""A stand-in for the Hub, and a publisher that speaks the API by hand."""

import hashlib
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import requests

SCOPE = "access:services!service=cubes"
SERVICE_TOKEN = "of-the-cubes"
IDS = {
    "ana": "11111111-1111-4111-8111-111111111111", "petra": "22222222-2222-4222-8222-222222222222",
    "viktor": "33333333-3333-4333-8333-333333333333", "kim": "44444444-4444-4444-8444-444444444444",
}  # fmt: skip


@dataclass
class Hub:
    """Answers what the publisher asks; ``tokens`` by name, others it does not know."""

    url: str = ""
    scopes: dict[str, list[str]] = field(default_factory=lambda: {name: [SCOPE] for name in IDS})
    groups: dict[str, list[str]] = field(
        default_factory=lambda: {
            "ana": ["/cubehub/standard"],
            "petra": ["/cubehub/premium"],
            "kim": ["/cubehub/standard", "/cubehub/admin"],
            "viktor": [],
        }
    )
    suspended: set[str] = field(default_factory=set)
    down: bool = False
    asked: int = 0

    def answer(self, path: str, token: str) -> tuple[int, Any]:
        self.asked += 1
        if self.down:
            return 503, {}
        if path == "/hub/api/user":
            if token == "operator":
                return 200, {"kind": "service", "name": "cubehub-cli", "scopes": ["custom:cubehub:users"]}
            # several tokens of a person: what follows the point
            name = token.removeprefix("token-of-").partition(".")[0]
            if not token.startswith("token-of-") or name not in IDS:
                return 403, {"message": "no"}
            return 200, {"kind": "user", "name": name, "scopes": self.scopes[name]}
        if token != SERVICE_TOKEN:
            return 403, {}
        name = path.split("/")[5]
        off = name in self.suspended
        refusal = {"code": "account_disabled", "message": "Your account is suspended."} if off else None
        if not self.groups[name]:
            refusal = {"code": "no_profile", "message": "Your account has no profile."}
        account = {"id": IDS[name], "enabled": not off, "groups": self.groups[name]}
        return 200, {
            "account": account,
            "profile": None if refusal else {"name": "standard"},
            "refusal": refusal,
        }


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = hub.answer(self.path, self.headers.get("Authorization", "").partition(" ")[2])
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}/hub/api"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    server.shutdown()
    server.server_close()


def wish(
    name: str = "my-lake", times: int = 3, shape: tuple[int, int] = (300, 400), **more: Any
) -> dict[str, Any]:
    """What begins an upload of one variable."""
    rows, columns = shape
    day = 86400 * 10**9
    return {
        "name": name,
        "structure": {
            "sizes": {"time": times, "lat": rows, "lon": columns},
            "coords": {
                "time": {"dims": ["time"], "dtype": "datetime64[ns]", "values": [(17000 + n) * day for n in range(times)]},
                "lat": {"dims": ["lat"], "dtype": "float64", "values": (55.995 - 0.01 * np.arange(rows)).tolist()},
                "lon": {"dims": ["lon"], "dtype": "float64", "values": (5.005 + 0.01 * np.arange(columns)).tolist()},
            },
            "variables": {
                "chl": {"dims": ["time", "lat", "lon"], "dtype": "float32", "attrs": {"units": "mg m-3", "long_name": "Chlorophyll"}}
            },
        },
        "style": {"chl": {"colours": "viridis", "range": [0.1, 30], "scale": "log"}},
        "access": "public",
        **more,
    }  # fmt: skip


def fields(times: int = 3, shape: tuple[int, int] = (300, 400), seed: int = 0) -> np.ndarray:
    """Values for it."""
    rng = np.random.default_rng(seed)
    return (0.5 + 20 * rng.random((times, *shape))).astype("<f4")


@dataclass
class Publisher:
    """Publishes in the name of somebody."""

    base: str
    name: str

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"token token-of-{self.name}"} | more.pop("headers", {})
        return requests.request(method, f"{self.base}/publishing{path}", headers=headers, timeout=60, **more)

    def begin(self, asked: dict[str, Any]) -> dict[str, Any]:
        answer = self.ask("POST", "/uploads", json=asked)
        assert answer.ok, answer.text
        return answer.json()

    def step(self, begun: dict[str, Any], step: int, field: np.ndarray) -> str:
        """Send a step; its fingerprint."""
        digests, rows = [], begun["rows"]
        for part, first in enumerate(range(0, len(field), rows)):
            band = np.ascontiguousarray(field[first : first + rows]).tobytes()
            digests.append(hashlib.sha256(band).digest())
            path = f"/uploads/{begun['upload']}/steps/{step}/chl/{part}?sha256={digests[-1].hex()}"
            answer = self.ask("PUT", path, data=zlib.compress(band, 1))
            assert answer.ok, answer.text
        answer = self.ask("POST", f"/uploads/{begun['upload']}/steps/{step}")
        assert answer.ok, answer.text
        return hashlib.sha256(b"".join(digests)).hexdigest()

    def steps(self, begun: dict[str, Any], values: np.ndarray) -> None:
        """Send all that are missing."""
        for step in range(begun["next"], begun["steps"]):
            self.step(begun, step, values[step])

    def finish(self, begun: dict[str, Any]) -> dict[str, Any]:
        upload = f"/uploads/{begun['upload']}"
        assert self.ask("POST", f"{upload}/finish").ok
        until = time.monotonic() + 90
        while time.monotonic() < until:
            answer = self.ask("GET", upload)
            assert answer.ok, answer.text
            if answer.json()["state"] == "published":
                return answer.json()["cube"]
            time.sleep(0.05)
        raise AssertionError("it is not published")

    def publish(self, asked: dict[str, Any], values: np.ndarray) -> dict[str, Any]:
        begun = self.begin(asked)
        self.steps(begun, values)
        return self.finish(begun)
