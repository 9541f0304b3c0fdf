import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cubehub_gateway.sandbox import MemoryGroup, probe_sandbox, remove_memory_group


def _memory_cgroup():
    with tempfile.TemporaryDirectory() as notes:
        group = MemoryGroup("test-probe", 2**30, Path(notes))
        if group.path is not None:
            remove_memory_group(group.note)
        return group.path is not None


def _bans_user_namespaces():
    found = probe_sandbox(["bwrap"])
    return found.works and found.disables_userns


NEEDS = {
    "memory-cgroup": (_memory_cgroup, "systemd-run --user --scope -p Delegate=yes uv run pytest"),
    "bubblewrap": (lambda: probe_sandbox(["bwrap"]).works, "sudo apt install bubblewrap"),
    "userns-ban": (_bans_user_namespaces, "bubblewrap 0.8 or later"),
}
"""By name, whether this machine has what a test can't do without, and the line that brings it."""

LIFT_LIMIT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)

call("unshare", 0x10000000 | 0x00020000 | 0x02000000)  # NEWUSER | NEWNS | NEWCGROUP
os.makedirs("/tmp/cg")
for kind, data, file in ((b"cgroup", b"memory", "memory.limit_in_bytes"), (b"cgroup2", None, "memory.max")):
    try:
        call("mount", b"cgroup", b"/tmp/cg", kind, 0, data)
        with open(f"/tmp/cg/{file}", "w") as limit:
            limit.write(str(2**40))
        print("lifted")
    except OSError as error:
        print(error)
"""
"""What a hostile task of a worker would do: mount its own memory cgroup, in a user namespace, and write its limit."""


def memory_limit(group):
    """Bytes that the processes of a memory cgroup may use together (v1 or v2)."""
    v1 = group / "memory.limit_in_bytes"
    return int((v1 if v1.exists() else group / "memory.max").read_text())


def require(name):
    """Leave the test out where it has not; where CI is set nothing is left out, and the test fails."""
    present, remedy = NEEDS[name]
    if not present():
        in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        (pytest.fail if in_ci else pytest.skip)(f"there is no {name} here; it comes with: {remedy}")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


WAIT_S = 10


def get(url, token=None, method="GET", body=None, scheme="token"):
    """Status and JSON of an answer, whatever the status."""
    headers = {"Authorization": f"{scheme} {token}"} if token else {}
    data = json.dumps(body).encode() if body is not None else None
    assert url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(url, headers=headers, method=method, data=data)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def wait_for(check, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := check():
                return result
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s for {what}")


class Process:
    """A child with its output in a file, ended by its own id whatever the test does."""

    def __init__(self, command, log, **env):
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdout=output,
                stderr=output,
                cwd=log.parent,
                env={**os.environ, **env},
            )

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
