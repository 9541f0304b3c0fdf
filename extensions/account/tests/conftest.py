"""A real environment, a real server and a real limit for the slow tests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from cubehub_spawner import enforcers
from uv import find_uv_bin

ROOM = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def lab_python():
    """Python of an environment with the room's wheel, kept in CUBEHUB_TEST_CACHE between runs where that is set."""
    uv = find_uv_bin()
    sources = [
        ROOM / "pyproject.toml",
        *ROOM.glob("cubehub_account/*.py"),
        *ROOM.glob("cubehub_account/labextension/built-from"),
        *ROOM.glob("jupyter_server_config.d/*"),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]
    with contextlib.ExitStack() as stack:
        cache = os.environ.get("CUBEHUB_TEST_CACHE") or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="cubehub-account-")
        )
        env = Path(cache) / f"account-{digest}-{sys.version_info[0]}.{sys.version_info[1]}"
        if not (env / "ready").exists():
            subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, env], check=True)
            packages = [str(ROOM), "ipykernel>=7", "jupyter-server>=2.14"]
            subprocess.run(
                [uv, "pip", "install", "-q", "--python", env / "bin" / "python", *packages], check=True
            )
            (env / "ready").touch()
        yield env / "bin" / "python"


@pytest.fixture
def memory_group(tmp_path):
    """A memory cgroup of 300 MiB: the enforcer and its handle."""
    enforcer = enforcers.choose(tmp_path, [enforcers.CgroupV2, enforcers.CgroupV1])
    handle = enforcer.create(f"cubehub-account-test-{os.getpid()}", 300 * 2**20)
    yield enforcer, handle
    assert enforcer.remove(handle)


def answers(url):
    try:
        with urllib.request.urlopen(url + "api", timeout=5):  # noqa: S310 - our own server
            return True
    except urllib.error.URLError:
        return False


@pytest.fixture
def jupyter(lab_python, memory_group, tmp_path):
    """A Jupyter server inside the group, as the spawner starts it: no argument names our classes."""
    enforcer, handle = memory_group
    token = secrets.token_hex(16)
    log = (tmp_path / "server.log").open("w")
    environ = {
        "PATH": f"{lab_python.parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "SHELL": "/bin/bash",
        "JUPYTER_TOKEN": token,
        "MEM_LIMIT": str(300 * 2**20),
        "CUBEHUB_PROFILE": "standard",
        "CUBEHUB_PROFILE_TITLE": "Standard",
        "CUBEHUB_MEMORY_EVENTS": str(enforcer.events_path(handle)),
    }
    server = subprocess.Popen(
        enforcer.command(handle, [str(lab_python), "-m", "jupyter_server", "--port=0", "--no-browser", "--allow-root",
                                  "--ServerApp.log_level=INFO"]),
        env=environ, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    runtime = tmp_path / ".local/share/jupyter/runtime"
    try:
        deadline = time.monotonic() + 60
        while not (found := list(runtime.glob("jpserver-*.json"))):
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
        url = json.loads(found[0].read_text())["url"]
        while not answers(url):  # the file is written before the server listens
            assert time.monotonic() < deadline, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
        yield SimpleNamespace(
            url=url,
            token=token,
            process=server,
            log=tmp_path / "server.log",
            processes=lambda: enforcer.processes(handle),
        )
    finally:
        server.kill()  # what it leaves behind is ended with the group
        server.wait()
        log.close()


@pytest.fixture
def call(jupyter):
    """A call to the server's HTTP API: method, path, body -> answer."""

    def call(method, path, body=None):
        request = urllib.request.Request(  # noqa: S310 - our own server
            jupyter.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {jupyter.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    return call
