import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cubehub_stac.postgres import HINT, find_installation

NEEDS = {"postgis": (find_installation, HINT)}
"""By name, whether this machine has what a test can't do without, and the line that brings it."""
ITEMS = Path(__file__).parent / "data" / "items"
PREFIX = "/services/catalogue"


def require(name):
    """Leave the test out where it has not; where CI is set nothing is left out, and the test fails."""
    present, remedy = NEEDS[name]
    if not present():
        in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        (pytest.fail if in_ci else pytest.skip)(f"there is no {name} here; it comes with: {remedy}")


def get(url, body=None, method=None, headers=None):
    """Status and JSON of an answer, whatever the status."""
    data = json.dumps(body).encode() if body is not None else None
    assert url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(  # noqa: S310
        url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, text.decode()


def wait_for(check, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := check():
                return result
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"waited {seconds} s for {what}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def servers_in(folder):
    """Ids of PostgreSQL processes that run in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                cwd = str((entry / "cwd").readlink())
            except OSError:
                continue
            if cwd.startswith(str(folder)) and (entry / "comm").read_text().strip() == "postgres":
                found.append(int(entry.name))
    return found


class Service:
    """The service as the Hub starts it, in a folder that only its owner may enter."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.root = f"{self.origin}{PREFIX}/"
        self.state = folder / "state"
        self.log = folder / "log"
        self.config = folder / "config.json"
        values = {
            "address": "127.0.0.1",
            "port": self.port,
            "prefix": PREFIX,
            "public_url": self.origin,
            "state_dir": str(self.state),
            "items": [str(ITEMS)],
        }
        self.config.write_text(json.dumps({**values, **settings}))
        self.process = None

    def start(self, ready=True):
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [Path(sys.prefix) / "bin" / "cubehub-stac", "--config", self.config],
                stdout=output,
                stderr=output,
            )
        if ready:
            wait_for(lambda: get(f"{self.root}health")[0] == 200, f"the service: {self.log}", 60)
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode if self.process else None

    def ids(self, **body):
        status, answer = get(f"{self.root}search", {"limit": 100, **body})
        assert status == 200, answer
        return sorted(item["id"] for item in answer["features"])
