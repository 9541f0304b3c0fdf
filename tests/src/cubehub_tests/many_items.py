"""A small STAC API of as many made-up items as one wants, in a thread of this process."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/collections",
]


def made_up_item(n: int) -> dict[str, Any]:
    """Give the n-th item, each a minute older than the one before."""
    day, minute = 28 - n // 1440 % 28, 1439 - n % 1440
    month = 12 - n // 1440 // 28 % 12
    west, south = -170 + n * 7 % 330, -70 + n * 3 % 140
    ring = [
        [west, south],
        [west + 3, south],
        [west + 3, south + 2],
        [west, south + 2],
        [west, south],
    ]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene-{n:06d}",
        "collection": "scenes",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, west + 3, south + 2],
        "properties": {
            "datetime": f"2024-{month:02d}-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:00Z",
            "eo:cloud_cover": n % 101,
            "platform": "made-up-1",
        },
        "links": [],
        "assets": {},
    }


@contextlib.contextmanager
def many_items(count: int) -> Iterator[str]:
    """Serve `count` items; gives the API's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            if self.path.rstrip("/") in {"", "/stac"}:
                links = [
                    {
                        "rel": "search",
                        "href": f"{root}search",
                        "method": "POST",
                        "type": "application/geo+json",
                    }
                ]
                self._say({"type": "Catalog", "id": "many", "stac_version": "1.0.0", "description": "many", "conformsTo": _CONFORMS, "links": links})  # fmt: skip
            elif self.path.startswith("/stac/collections"):
                self._say({"collections": [{"type": "Collection", "id": "scenes", "title": "Scenes", "description": "Made up", "license": "CC0-1.0", "stac_version": "1.0.0", "links": [], "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}}], "links": []})  # fmt: skip
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            first, limit = int(asked.get("token") or 0), int(asked.get("limit", 10))
            last = min(first + limit, count)
            features = [made_up_item(n) for n in range(first, last)]
            links = []
            if last < count:
                body = {**asked, "token": str(last)}
                links = [{"rel": "next", "method": "POST", "href": f"{root}search", "body": body}]
            self._say({"type": "FeatureCollection", "features": features, "links": links})

        def _say(self, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    root = f"http://127.0.0.1:{server.server_address[1]}/stac/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield root
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
