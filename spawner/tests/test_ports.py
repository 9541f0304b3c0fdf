"""Whose a port is: nobody answers in the name of somebody else's server."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from cubehub_spawner import Account, ProfileLocalSpawner, _local, enforcers
from cubehub_spawner._ports import belongs_to, duplicate, listeners, tell_who
from cubehub_spawner.enforcers._tree import started_at
from jupyterhub.spawner import SpawnException

LISTEN = """
import socket, sys, time
time.sleep(float(sys.argv[2]))
made = socket.socket()
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
made.bind(("127.0.0.1", int(sys.argv[1])))
made.listen()
print("listening", flush=True)
time.sleep(300)
"""


@contextlib.contextmanager
def listening_child(port):
    """A shell that runs a program that listens: as a server behind what shuts it in."""
    command = f'"{sys.executable}" -c "$0" {port} 0; true'
    child = subprocess.Popen(
        ["/bin/sh", "-c", command, LISTEN], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert child.stdout.readline() == b"listening\n"
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def bound(port):
    """Whether somebody who tries all that one can may have the port."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            made.bind(("127.0.0.1", port))
            made.listen()
        except OSError:
            return False
        return True


def test_a_listener_is_told_from_somebody_elses():
    port = free_port()
    assert listeners(port) == set()
    with listening_child(port) as child:
        started = started_at(child.pid)
        pid, descriptor = belongs_to(port, child.pid, started)
        assert pid != child.pid, "the program, not the shell"
        assert belongs_to(port, os.getpid(), started_at(os.getpid())) is not None, "this process is above it"
        other = subprocess.Popen(["/bin/sleep", "60"])
        try:
            assert belongs_to(port, other.pid, started_at(other.pid)) is None
        finally:
            other.kill()
            other.wait()
        assert belongs_to(port, child.pid, started + 1) is None, "a process id that came round"
        assert f"process {pid} in " in tell_who(port)
        assert descriptor >= 0


def test_a_port_that_is_kept_is_nobody_elses_after_the_server_has_gone():
    port = free_port()
    with listening_child(port) as child:
        held = duplicate(*belongs_to(port, child.pid, started_at(child.pid)))
    with held:
        assert not bound(port)
    # the program was killed with its shell, and may take a moment longer to go
    deadline = time.monotonic() + 10
    while not (free := bound(port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert free, "and free once it is let go"


class Directory:
    async def lookup(self, username):
        return Account(username, "id", True, frozenset({"/small"}))


class Listener(ProfileLocalSpawner):
    """Without a Hub: no tokens in the environment, and a server that listens after a while."""

    def get_env(self):
        return {"PATH": os.environ["PATH"]}

    def server_command(self):
        return [sys.executable, "-c", LISTEN, str(self.port), "0.5"]


@pytest.fixture
def spawner(tmp_path, monkeypatch):
    monkeypatch.setattr(enforcers, "_chosen", {})
    (tmp_path / "profiles.yaml").write_text(
        "profiles: {small: {title: Small, groups: [/small], memory: 200M, cpu: 1, storage: 1G}}"
    )
    user = SimpleNamespace(
        name="ana", escaped_name="ana", spawners={}, db=SimpleNamespace(commit=lambda: None)
    )
    made = Listener(
        orm_spawner=SimpleNamespace(name="", server=None, user_options=None),
        directory=Directory(), profiles_file=str(tmp_path / "profiles.yaml"), audit_log=str(tmp_path / "audit.jsonl"),
        homes_dir=str(tmp_path / "homes"), enforcers=["watchdog"], isolation="none", trust_everyone=True,
    )  # fmt: skip
    made.user, made.hub, made.handler = user, SimpleNamespace(base_url="/hub/"), None
    user.spawners[""] = made
    yield made
    if made.pid:
        asyncio.run(made.stop(now=True))


def squat(monkeypatch, ports):
    """Have the Hub choose these ports, each taken by somebody else by the time the server listens."""
    taken = []

    def choose():
        port = free_port()
        if len(taken) < ports:
            made = socket.socket()
            made.bind(("127.0.0.1", port))
            made.listen()
            taken.append(made)
        return port

    monkeypatch.setattr(_local, "random_port", choose)
    return taken


@pytest.mark.slow
def test_a_server_whose_port_somebody_took_gets_another(spawner, monkeypatch, caplog):
    taken = squat(monkeypatch, 1)
    _, port = asyncio.run(spawner.start())
    assert port != taken[0].getsockname()[1]
    assert listeners(port)
    assert "port_taken: ana's server found port" in caplog.text
    assert f"process {os.getpid()} in " in caplog.text
    asyncio.run(spawner.stop(now=True))
    assert bound(port), "let go with the server"
    taken[0].close()


@pytest.mark.slow
def test_a_server_that_finds_no_port_of_its_own_is_refused(spawner, monkeypatch):
    taken = squat(monkeypatch, 10)
    with pytest.raises(SpawnException) as refused:
        asyncio.run(spawner.start())
    assert (refused.value.reason, refused.value.status_code) == ("port_taken", 503)
    assert not spawner.pid, "nothing is left"
    for one in taken:
        one.close()


@pytest.mark.slow
def test_nobody_is_sent_to_the_port_of_a_server_that_ended(spawner, monkeypatch):
    """Its person's, as long as the Hub has not noticed: what listens there next is not theirs."""
    monkeypatch.setattr(Listener, "server_command", lambda _self: ["/bin/false"])
    with pytest.raises(SpawnException) as refused:
        asyncio.run(spawner.start())
    assert refused.value.reason == "server_ended"
    monkeypatch.undo()

    async def live():
        _, port = await spawner.start()
        os.kill(spawner._server_pid(), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while spawner.proc.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
        assert not bound(port), "until the Hub has noticed"
        assert await spawner.poll() is not None
        assert bound(port)

    asyncio.run(live())
