"""Fixtures: the issuer, the built cubes, a running server."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support import SAMPLES, Issuer, require, start


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


@pytest.fixture(scope="session")
def issuer():
    made = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            status, body = made.answer(self.path, token if scheme == "Bearer" else None)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/realms/cubehub"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """All cubes, built from the shipped samples."""
    from xcube_cubehub import cli

    output = tmp_path_factory.mktemp("cubes")
    assert cli.main(["build", "--source", str(SAMPLES), "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="session")
def server(built, issuer, tmp_path_factory):
    running = start(tmp_path_factory.mktemp("server"), built, issuer.url)
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log
