"""A store that speaks S3 over real sockets, and a wire to it that breaks as a test says."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "archives"
_MOTOS_TIME = b"2010-11-10T20:48:33.000Z"
"""Told of the beginning of any upload."""
SECRET = "a-secret-of-the-tests"


@dataclass
class Wire:
    """Passes requests on to a store, writes them down, and breaks.

    ``trouble`` is given method and path with query; it gives None to pass on, or

    - a status: answered in the store's place;
    - ``"cut"``: the connection ends without an answer; ``"cut after"``: the store does it, and its answer is lost;
    - ``"half"``: half of the answer arrives;
    - ``"etag"``: the answer has another ETag;
    - seconds to wait before.
    """

    target: tuple[str, int]
    trouble: Callable[[str, str], int | float | str | None] = lambda _method, _path: None
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                wire.pass_on(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 - names of http.server's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """Handle one request; each has a connection of its own."""
        request.close_connection = True
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        method, path = request.command, request.path
        self.seen.append((method, path))
        what = self.trouble(method, path)
        if what == "cut":
            return
        if isinstance(what, float):
            time.sleep(what)
        with contextlib.suppress(OSError):
            if isinstance(what, int):
                text = b"<Error><Code>InternalError</Code></Error>"
                self._answer(request, what, {"Content-Length": str(len(text))}, text)
                return
            store = http.client.HTTPConnection(*self.target)
            store.request(method, path, body, {**dict(request.headers.items()), "Connection": "close"})
            found = store.getresponse()
            headers, data = dict(found.getheaders()), found.read()
            store.close()
            if _MOTOS_TIME in data:
                data = data.replace(
                    _MOTOS_TIME, time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()).encode()
                )
            if what == "cut after":
                return
            if what == "etag":
                headers["ETag"] = '"00000000000000000000000000000000"'
            self._answer(request, found.status, headers, data[: len(data) // 2] if what == "half" else data)

    @staticmethod
    def _answer(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"connection", "transfer-encoding"}:
                request.send_header(name, value)
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body)


@dataclass
class S3:
    """A store with one empty bucket, and the wire to it."""

    wire: Wire
    direct: Any
    """A client that goes past the wire."""

    @property
    def environment(self) -> dict[str, str]:
        """What names the store to a program."""
        return {
            "AWS_ENDPOINT_URL": self.wire.address, "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
        }  # fmt: skip

    def keys(self) -> set[str]:
        """Of all objects."""
        return {item["Key"] for item in self.direct.list_objects_v2(Bucket=BUCKET).get("Contents", ())}

    def uploads(self) -> set[str]:
        """Keys of uploads in parts that have not ended."""
        return {item["Key"] for item in self.direct.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())}

    def empty(self) -> None:
        """Remove all, and let nothing break."""
        self.wire.trouble = lambda _method, _path: None
        self.wire.seen.clear()
        for key in self.keys():
            self.direct.delete_object(Bucket=BUCKET, Key=key)
        for item in self.direct.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
            self.direct.abort_multipart_upload(Bucket=BUCKET, Key=item["Key"], UploadId=item["UploadId"])


@contextmanager
def running_s3() -> Iterator[S3]:
    """Give a store over real sockets."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    direct = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
        aws_access_key_id="test-key", aws_secret_access_key=SECRET,
    )  # fmt: skip
    direct.create_bucket(Bucket=BUCKET)
    wire = Wire((host, port))
    try:
        yield S3(wire, direct)
    finally:
        wire.stop()
        direct.close()
        server.stop()
