"""A storage service whose answers a test writes: a real server at a real port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "secret-of-this-server"
GIB = 2**30
MINE: dict[str, Any] = {
    "home": "ana",
    "limit_bytes": 5 * GIB,
    "scan": {
        "ended": "2026-11-26T02:10:00+00:00",
        "bytes": 4 * GIB,
        "files": 1200,
        "places": [
            {"path": "data/old", "bytes": 2 * GIB, "files": 200, "newest": 1700000000.5},
            {"path": "", "bytes": 4 * GIB, "files": 1200, "newest": 1764000000},
            {"path": "data", "bytes": 3 * GIB, "files": 900, "newest": -5},
        ],
        "caches": [{"kind": "pip", "bytes": 300 * 2**20, "about": "Packages that pip keeps"}],
        "large": [{"path": "data/old/a.tif", "bytes": GIB, "newest": 1700000000}],
    },
    "noticed": [
        {"path": "data/old", "kind": "large", "reason": "not used for a year", "bytes": 2 * GIB,
         "when": "2026-12-10", "notice": 1},
    ],
    "away": [
        {"number": 3, "path": "scratch/run 7", "kind": "scratch", "bytes": GIB, "state": "archived",
         "since": "2026-11-01T00:00:00Z", "until": "2027-11-01", "archived": True},
    ],
    "kept": [{"path": "models", "until": None, "by": "you"}],
}  # fmt: skip
RESTORED = {"restored": "scratch/run 7/a.ipynb", "bytes": 7}
INSIDE = {"entries": [{"path": "a.ipynb", "bytes": 7, "folder": False}]}


class _Answering(RequestHandler):
    def initialize(self, service: StandIn) -> None:
        self.service = service

    async def answer(self) -> None:
        asked = self.request
        body = json.loads(asked.body) if asked.body else None
        self.service.asked.append((asked.method, asked.uri, body, asked.headers.get("Authorization")))
        status, said = self.service.answers.get(asked.path, (404, "<h1>404</h1>"))
        if said == "wait":
            await asyncio.sleep(60)
        self.set_status(status)
        if 300 <= status < 400:
            self.set_header("Location", f"{self.service.url}/elsewhere")
        self.finish(said if isinstance(said, str | bytes) else json.dumps(said))

    get = post = answer


class StandIn:
    """Notes what it was asked, and answers by path with a status and a body."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str | None, Any, str | None]] = []
        self.answers: dict[str, tuple[int, Any]] = {
            "/services/storage/api/mine": (200, MINE),
            "/services/storage/api/mine/keep": (200, MINE),
            "/services/storage/api/mine/let-go": (200, MINE),
            "/services/storage/api/mine/restore": (200, RESTORED),
            "/services/storage/api/mine/inside": (200, INSIDE),
        }
        self.url = ""

    @property
    def environ(self) -> dict[str, str]:
        """What a server is told of it."""
        return {"CUBEHUB_URL": self.url, "JUPYTERHUB_API_TOKEN": TOKEN}


@contextlib.contextmanager
def serving() -> Iterator[StandIn]:
    """Run a stand-in in a thread of its own."""
    service, ready = StandIn(), threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        socket, port = bind_unused_port()
        service.url = f"http://127.0.0.1:{port}"
        server = HTTPServer(Application([(".*", _Answering, {"service": service})]))
        server.add_socket(socket)
        over = asyncio.Event()
        ends.append((asyncio.get_running_loop(), over))
        ready.set()
        await over.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield service
    finally:
        loop, over = ends[0]
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
