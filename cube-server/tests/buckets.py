"""A store that speaks S3 over real sockets, and a connection to it that breaks when it is told to."""

import contextlib
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "cubes"


@dataclass
class Wire:
    """Stands between a client and the store: passes requests on, counts them, and breaks as ``trouble`` says.

    ``trouble`` is given method and path, and gives None to pass on, a status to answer, ``"cut"`` to close the
    connection, or seconds to wait before passing on.
    """

    target: tuple[str, int]
    trouble: object = None
    seen: list = field(default_factory=list)
    port: int = 0

    def start(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def counts(self) -> Counter:
        return Counter(method for method, _ in self.seen)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # A request for each connection: simple, and what is injected meets the request that it is meant for
        with client, contextlib.suppress(OSError, ValueError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            head, _, rest = head.partition(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            missing = (int(length[1]) if length else 0) - len(rest)
            while missing > 0:
                data = client.recv(65536)
                if not data:
                    return
                rest, missing = rest + data, missing - len(data)
            self.seen.append((method, path))
            what = self.trouble(method, path) if callable(self.trouble) else None
            if what == "cut":
                return
            if isinstance(what, float):
                time.sleep(what)
            elif isinstance(what, int):
                code = {403: "AccessDenied", 404: "NoSuchBucket", 503: "SlowDown"}.get(what, "InternalError")
                body = f"<Error><Code>{code}</Code></Error>".encode()
                client.sendall(
                    b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (what, len(body))
                    + body
                )
                return
            head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head) + b"\r\nConnection: close"
            with socket.create_connection(self.target) as store:
                store.sendall(head + b"\r\n\r\n" + rest)
                while data := store.recv(65536):
                    client.sendall(data)


@dataclass
class Store:
    """The store, the wire to it, and an environment that names the wire."""

    wire: Wire
    direct: object
    environment: dict

    def keys(self, prefix: str = "") -> set[str]:
        pages = self.direct.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        return self.direct.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        self.direct.put_object(Bucket=BUCKET, Key=key, Body=data)

    def remove(self, key: str) -> None:
        self.direct.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def running_store() -> Iterator[Store]:
    """A store with one empty bucket; the environment of this process names it meanwhile."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    wire = Wire((host, port))
    wire.start()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{wire.port}", "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    direct = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    direct.create_bucket(Bucket=BUCKET)
    try:
        yield Store(wire, direct, environment)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        direct.close()
        wire.stop()
        server.stop()
