"""Starts that meet, starts that are cut short, stops that come early: nothing is left, and the next start works."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from cubehub.local.data_folder import read_json
from cubehub_tests.platform import Whole
from cubehub_tests.servers import Account

pytestmark = [pytest.mark.whole, pytest.mark.chaos]
PATIENCE_S = 300


@contextmanager
def starting(whole: Whole, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `cubehub up` beside the test, in a group of its own as a shell would."""
    with said.open("wb") as output:
        process = subprocess.Popen(
            whole.up_command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def until(condition: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def parts_start(whole: Whole) -> bool:
    found = read_json(whole.folder.state_file) or {}
    parts = found.get("parts", {})
    return found.get("phase") == "starting" and any(part["pid"] for part in parts.values())


@pytest.fixture
def stopped(whole: Whole) -> Whole:
    """Give the platform, stopped."""
    whole.down()
    assert whole.processes() == []
    return whole


def test_of_two_starts_at_once_one_is_refused(stopped: Whole, tmp_path: Path) -> None:
    texts = [tmp_path / "one", tmp_path / "two"]
    with starting(stopped, texts[0]) as one, starting(stopped, texts[1]) as two:
        statuses = [process.wait(PATIENCE_S) for process in (one, two)]
    assert sorted(statuses) == [0, 1]
    assert '"code": "already_running"' in texts[statuses.index(1)].read_text()
    assert stopped.status()["phase"] == "healthy"


def test_a_supervisor_killed_while_parts_start(stopped: Whole, tmp_path: Path) -> None:
    with starting(stopped, tmp_path / "said") as process:
        until(lambda: parts_start(stopped), "no part starts")
        before = stopped.status()
        os.kill(before["up"]["pid"], signal.SIGKILL)
        assert process.wait(PATIENCE_S) == 1
    assert '"code": "start_failed"' in (tmp_path / "said").read_text()
    stopped.up()
    after = stopped.status()
    assert after["phase"] == "healthy"
    old = {part["pid"] for part in before["parts"].values()} - {None}
    assert not old & {process.pid for process in stopped.processes()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_interrupted_twice_leaves_nothing(
    stopped: Whole, tmp_path: Path, number: signal.Signals
) -> None:
    with starting(stopped, tmp_path / "said") as process:
        until(lambda: parts_start(stopped), "no part starts")
        stopped.processes()
        for _ in range(2):
            os.killpg(process.pid, number)
            time.sleep(0.1)
        assert process.wait(PATIENCE_S) != 0
    until(lambda: stopped.processes() == [], "parts go on")
    assert not stopped.status()["running"]
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_a_stop_while_a_server_starts(whole: Whole) -> None:
    if not whole.status()["running"]:
        whole.up()
    petra = Account.login(whole, "petra")

    def ask() -> None:
        # how it ends is not ours to say: the Hub goes in the middle of it
        with suppress(httpx.HTTPError):
            petra.api.post("/hub/api/users/petra/server")

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: petra.model["servers"].get("", {}).get("pending") == "spawn", "no server starts")
    assert whole.down().json["stopped"] is True
    asking.join()
    petra.close()
    assert whole.processes() == []
    whole.up()
    again = Account.login(whole, "petra")
    again.start()
    again.stop()
    again.close()
