"""Signs of life of the server's processes: what hangs is ended, and connections are shared out."""

import asyncio
import socket
import subprocess
import threading
import time

import pytest
import uvloop

from xcube_cubehub import launcher
from xcube_cubehub.beats import FIRST_WORKER, PUBLISHING, SUPERVISOR, UNATTENDED_S, Beats
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.fast.http import Connection, response
from xcube_cubehub.fast.worker import Accepting, Sign


@pytest.fixture
def supervisor(tmp_path):
    settings = ServerSettings(
        port=1, public_url="http://127.0.0.1:1", cubes_dir=tmp_path, cubes_yaml=tmp_path / "cubes.yaml",
        issuer="http://127.0.0.1:9/realms/none", state_dir=tmp_path, workers=2,
    )  # fmt: skip
    return launcher.Supervisor(settings, tmp_path / "cubes.json")


def test_only_what_hangs_is_ended(supervisor, monkeypatch, caplog):
    monkeypatch.setattr(launcher, "HUNG_S", 0.5)
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    publishing, hangs, works = started
    supervisor._publishing = publishing
    supervisor._workers = {hangs.pid: (0, 0.0), works.pid: (1, 0.0)}
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        supervisor._beats.beat(FIRST_WORKER + 1)
        supervisor._end_what_hangs()
        time.sleep(0.05)
    try:
        assert hangs.wait(5) == publishing.wait(5) == -9
        assert works.poll() is None
        assert "has hung" in caplog.text
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_nobody_is_ended_for_what_a_stop_of_all_did(supervisor, monkeypatch):
    monkeypatch.setattr(launcher, "HUNG_S", 0.5)
    with subprocess.Popen(["sleep", "60"]) as process:
        supervisor._workers = {process.pid: (0, 0.0)}
        supervisor._end_what_hangs()
        time.sleep(1)
        supervisor._end_what_hangs()
        assert process.poll() is None
        process.kill()


def test_a_supervisor_without_signs_is_told():
    beats = Beats.create(1)
    sign = Sign(beats, FIRST_WORKER)
    assert sign.attended()
    assert beats.silent_s(SUPERVISOR, time.monotonic() + 1 - UNATTENDED_S) < UNATTENDED_S
    again = Beats(beats.file)
    again.beat(PUBLISHING, 7)
    assert beats.silent_s(PUBLISHING) < 1


def test_one_alone_leaves_nothing_to_others():
    beats = Beats.create(1)
    assert Sign(beats, FIRST_WORKER).fewest() is None


def test_connections_are_shared_out():
    beats, counts, ready = Beats.create(2), [0, 0], threading.Barrier(3)
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    listening.setblocking(False)
    ended = threading.Event()

    def serve(number):
        async def run():
            connections = set()
            sign = Sign(beats, FIRST_WORKER + number)
            answer = lambda _connection, _request: response(200, b"", b"x")  # noqa: E731
            loop = asyncio.get_running_loop()
            accepting = Accepting(loop, listening, lambda: Connection(answer, connections), connections, sign)
            await asyncio.to_thread(ready.wait)
            while not ended.is_set():
                sign.give(len(connections))
                await asyncio.sleep(0.2)
            counts[number] = len(connections)
            accepting.stop()
            for connection in list(connections):
                connection.close()

        uvloop.run(run())

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    clients = [socket.create_connection(listening.getsockname()) for _ in range(16)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    ended.set()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    listening.close()
    assert sum(counts) == 16
    assert min(counts) >= 3, counts
