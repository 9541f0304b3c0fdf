from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from cubehub.errors import CubeHubError
from cubehub.local.platform import LOOPBACK, free_port
from cubehub.local.supervisor import Bounds, Part, Supervisor, next_pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

SERVER = """
import http.server, os, sys, time
port, journal, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
open(journal, "a").write(f"{os.getpid()} {time.monotonic()}\\n")
if mode == "exit":
    sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if os.path.exists(journal + ".hang"):
            time.sleep(60)
        self.send_response(503 if mode == "ill" else 200)
        self.end_headers()
    def log_message(self, *args):
        pass
if mode == "stubborn":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
QUICK = Bounds(
    first_pause_s=0.05,
    longest_pause_s=0.2,
    check_every_s=0.2,
    starting_every_s=0.05,
    hung_after_s=2,
    stop_s=1,
)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Part]:
    program = tmp_path / "server.py"
    program.write_text(SERVER)
    taken: set[int] = set()

    def part(name: str, mode: str = "fine", **more: Any) -> Part:
        port = free_port(LOOPBACK, taken)
        taken.add(port)
        command = [sys.executable, "-S", str(program), str(port), str(tmp_path / f"{name}.journal"), mode]
        return Part(
            name,
            more.pop("command", command),
            {},
            tmp_path / f"{name}.log",
            (f"http://{LOOPBACK}:{port}/",),
            **more,
        )

    return part


def starts(tmp_path: Path, name: str) -> list[int]:
    journal = tmp_path / f"{name}.journal"
    return [int(line.split()[0]) for line in journal.read_text().splitlines()] if journal.exists() else []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def state(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "state.json").read_text())


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - other processes bring it about
        await asyncio.sleep(0.02)


def supervise(
    tmp_path: Path,
    parts: list[Part],
    story: Callable[[], Awaitable[None]] | None = None,
    when_ready: Callable[[], None] | None = None,
    bounds: Bounds = QUICK,
) -> None:
    """Run the parts, go through the story once all are healthy, then stop as Ctrl-C does."""

    async def whole() -> None:
        ready = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(ready.set)
            if when_ready:
                when_ready()

        running = asyncio.create_task(
            Supervisor(parts, tmp_path / "state.json", {"version": "1"}, bounds).run(tell)
        )
        told = asyncio.create_task(ready.wait())
        await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not running.done():
            if story is not None:
                await asyncio.wait_for(story(), 60)
            os.kill(os.getpid(), signal.SIGINT)
        await running

    asyncio.run(asyncio.wait_for(whole(), 120))


def test_back_off_doubles_up_to_a_bound_and_is_forgotten() -> None:
    bounds = Bounds(first_pause_s=1, longest_pause_s=5, steady_s=60)
    pauses = [0.0]
    for _ in range(5):
        pauses.append(next_pause(pauses[-1], 0, bounds))
    assert pauses[1:] == [1, 2, 4, 5, 5]
    assert next_pause(5, 61, bounds) == 1


def test_parts_start_in_order_and_all_stop(tmp_path: Path, make: Callable[..., Part]) -> None:
    seen: dict[str, Any] = {}

    async def look() -> None:
        seen.update(state(tmp_path))

    supervise(tmp_path, [make("hub", after=frozenset({"keycloak"})), make("keycloak")], look)
    assert seen["phase"] == "healthy"
    assert seen["version"] == "1"
    assert seen["up"]["pid"] == os.getpid()
    assert {name: part["health"] for name, part in seen["parts"].items()} == {
        "hub": "healthy",
        "keycloak": "healthy",
    }
    assert seen["parts"]["keycloak"]["since"] < seen["parts"]["hub"]["since"]
    assert seen["parts"]["hub"]["pid"] == starts(tmp_path, "hub")[0]
    after = state(tmp_path)
    assert after["phase"] == "stopping"
    assert {(part["pid"], part["health"]) for part in after["parts"].values()} == {(None, "stopped")}
    assert not any(alive(pid) for name in ("hub", "keycloak") for pid in starts(tmp_path, name))
    assert (tmp_path / "hub.log").stat().st_mode & 0o777 == 0o600


def test_a_part_that_crashed_comes_back(
    tmp_path: Path, make: Callable[..., Part], caplog: pytest.LogCaptureFixture
) -> None:
    async def kill() -> None:
        os.kill(starts(tmp_path, "cubes")[0], signal.SIGKILL)
        await until(lambda: len(starts(tmp_path, "cubes")) == 2)
        await until(lambda: state(tmp_path)["parts"]["cubes"]["health"] == "healthy")
        assert state(tmp_path)["parts"]["cubes"]["restarts"] == 1

    with caplog.at_level(logging.INFO, "cubehub.up"):
        supervise(tmp_path, [make("cubes"), make("console")], kill)
    assert "cubes ended with status -9; starting it again" in caplog.text
    assert len(starts(tmp_path, "console")) == 1


def test_a_part_that_hangs_is_ended_and_started_again(
    tmp_path: Path, make: Callable[..., Part], caplog: pytest.LogCaptureFixture
) -> None:
    hang = tmp_path / "cubes.journal.hang"

    async def wait() -> None:
        hang.touch()
        await until(lambda: len(starts(tmp_path, "cubes")) == 2)
        hang.unlink()
        await until(lambda: state(tmp_path)["parts"]["cubes"]["health"] == "healthy")

    supervise(tmp_path, [make("cubes")], wait)
    assert "has not answered" in caplog.text
    assert not any(map(alive, starts(tmp_path, "cubes")))


@pytest.mark.parametrize(
    ("mode", "more", "words"),
    [
        ("exit", {}, ["ended with status 3", "cubehub logs bad"]),
        ("ill", {"start_timeout_s": 0.3}, ["not healthy after"]),
        ("fine", {"command": ["/nowhere/program"]}, ["could not be started", "/nowhere/program"]),
    ],
)
def test_a_part_that_never_comes_up_ends_the_others(
    tmp_path: Path,
    make: Callable[..., Part],
    caplog: pytest.LogCaptureFixture,
    mode: str,
    more: dict[str, Any],
    words: list[str],
) -> None:
    caplog.set_level(logging.INFO, "cubehub.up")
    with pytest.raises(CubeHubError) as caught:
        supervise(tmp_path, [make("good"), make("bad", mode, **more), make("late", after=frozenset({"bad"}))])
    assert caught.value.code == "part_failed"
    for word in ["bad does not start", *words]:
        assert word in f"{caught.value.message} {caught.value.hint}"
    assert state(tmp_path)["phase"] == "failed"
    assert state(tmp_path)["failure"] == caught.value.message
    # not its own journal: on a slow machine it may be ended before it has written a line
    assert caplog.text.count("bad started (process") == (0 if "command" in more else 3)
    assert starts(tmp_path, "late") == []
    assert not any(alive(pid) for name in ("good", "bad") for pid in starts(tmp_path, name))


def test_what_follows_health_may_fail_and_is_tried_again(tmp_path: Path, make: Callable[..., Part]) -> None:
    tries: list[int] = []

    async def provision() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("not yet")

    supervise(tmp_path, [make("keycloak", on_healthy=provision)])
    assert len(tries) == 2


def test_what_follows_health_and_always_fails_is_told_without_another_start(
    tmp_path: Path, make: Callable[..., Part]
) -> None:
    async def provision() -> None:
        raise CubeHubError("the realm file is wrong", "mend it")

    with pytest.raises(CubeHubError, match="could not be set up: the realm file is wrong") as caught:
        supervise(tmp_path, [make("keycloak", on_healthy=provision)], bounds=replace(QUICK, setting_up_s=0.5))
    assert caught.value.hint == "mend it"
    assert len(starts(tmp_path, "keycloak")) == 1
    assert not any(map(alive, starts(tmp_path, "keycloak")))


def test_a_banner_that_fails_and_a_full_disk_stop_nothing(
    tmp_path: Path,
    make: Callable[..., Part],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def broken() -> None:
        raise RuntimeError("no terminal")

    async def kill() -> None:
        monkeypatch.setattr("cubehub.local.supervisor.write_json", full)
        os.kill(starts(tmp_path, "cubes")[0], signal.SIGKILL)
        await until(lambda: len(starts(tmp_path, "cubes")) == 2)

    supervise(tmp_path, [make("cubes")], kill, broken)
    assert "the banner could not be shown" in caplog.text
    assert "No space left" in caplog.text


TALKER = """
import time
number = 0
while True:
    number += 1
    print(f"line {number:08}", flush=True)
    time.sleep(0.0002)
"""


def test_a_log_is_kept_small_while_the_part_writes(tmp_path: Path, make: Callable[..., Part]) -> None:
    """Few lines are lost, none is cut, and the part never notices."""
    bounds = replace(QUICK, trim_every_s=0.05, log_limit=4000)
    old, log = tmp_path / "cubes.log.1", tmp_path / "cubes.log"
    # the part that is asked for its health is another than the one that writes
    healthy = make("healthy")
    talks = Part("cubes", [sys.executable, "-S", "-c", TALKER], {}, log, healthy.health_urls)
    sizes: list[int] = []

    async def watch() -> None:
        while sum(later < earlier for earlier, later in pairwise(sizes)) < 3:
            sizes.append(log.stat().st_size)
            await asyncio.sleep(0.01)

    supervise(tmp_path, [healthy, talks], watch, bounds=bounds)
    assert old.exists()
    assert old.stat().st_mode & 0o777 == 0o600
    lines = [*old.read_text().splitlines(), *log.read_text().splitlines()]
    assert all(len(line) == 13 for line in lines), lines
    assert lines == sorted(lines)


def test_a_part_that_ignores_the_stop_is_killed(
    tmp_path: Path, make: Callable[..., Part], caplog: pytest.LogCaptureFixture
) -> None:
    supervise(tmp_path, [make("stubborn", "stubborn")])
    assert "it is killed" in caplog.text
    assert not any(map(alive, starts(tmp_path, "stubborn")))


DRIVER = """
import asyncio, sys
from pathlib import Path
from cubehub.local.supervisor import Part, Supervisor
folder, port = Path(sys.argv[1]), sys.argv[2]
command = [sys.executable, "-S", str(folder / "server.py"), port, str(folder / "part.journal"), "fine"]
part = Part("part", command, {}, folder / "part.log", (f"http://127.0.0.1:{port}/",))
asyncio.run(Supervisor([part], folder / "state.json", {}).run(lambda: print("ready", flush=True)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_supervisor_that_is_told_to_end_or_killed_leaves_nothing(
    tmp_path: Path, make: Callable[..., Part], number: signal.Signals
) -> None:
    make("unused")
    port = free_port(LOOPBACK, set())
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
        driver.send_signal(number)
        status = driver.wait(timeout=60)
    assert status == (-9 if number == signal.SIGKILL else 0)
    ends = time.monotonic() + 60
    pids = starts(tmp_path, "part")
    while any(map(alive, pids)) and time.monotonic() < ends:
        time.sleep(0.05)
    assert len(pids) == 1
    assert not alive(pids[0])
    with closing(socket.socket()) as probe:
        assert probe.connect_ex((LOOPBACK, port)) != 0
