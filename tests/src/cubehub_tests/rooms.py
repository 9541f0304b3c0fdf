"""The suites of the rooms that have an environment of their own, run beside the tests of this one.

They use a core that the other tests, which mostly wait for servers, leave idle; so they begin with the session and
their results are asked for late in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from uv import find_uv_bin

from cubehub_tests.platform import ARTEFACTS, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ROOMS = ("cube-server", "images/catalogue", "images/gateway")
NICE = 5
"""How far they stand back behind the tests of this environment."""
_PATIENCE_S = 20


def files_of(room: str, ending: str) -> Path:
    """Where a room's suite leaves its ``log`` and its ``xml``."""
    return ARTEFACTS / f"{room.replace('/', '-')}.{ending}"


class Suites:
    """Suites that run one after the other in the background.

    Parameters
    ----------
    rooms : iterable of str
        Folders below the repository, in the order in which they run.
    """

    def __init__(self, rooms: Iterable[str]) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self._ended = False
        self._running: subprocess.Popen[bytes] | None = None
        self._lane = ThreadPoolExecutor(1, thread_name_prefix="rooms")
        self._results: dict[str, Future[int]] = {room: self._lane.submit(self._run, room) for room in rooms}

    def result(self, room: str) -> int:
        """Wait for a room's suite; its exit status."""
        return self._results[room].result()

    def close(self) -> None:
        """End what still runs, as Ctrl-C does."""
        with self._lock:
            self._ended, running = True, self._running
        self._lane.shutdown(wait=False, cancel_futures=True)
        if running is None or running.poll() is not None:
            return
        os.killpg(running.pid, signal.SIGINT)
        try:
            running.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)

    def _run(self, room: str) -> int:
        # of this environment nothing leads into the other one
        environment = {
            name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTEST_ADDOPTS"}
        }
        folder = REPOSITORY / room
        command = [
            "nice", "-n", str(NICE), find_uv_bin(), "run", "--project", str(folder), "--frozen",
            "pytest", "-q", "-p", "no:cacheprovider", "--durations=10", f"--junitxml={files_of(room, 'xml')}",
        ]  # fmt: skip
        with files_of(room, "log").open("w") as record:
            with self._lock:
                if self._ended:
                    return -signal.SIGINT
                # a group of its own, so that all of it can be ended
                self._running = process = subprocess.Popen(
                    command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=record,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            return process.wait()


def skipped_tests(junit: str) -> list[str]:
    """Name what a suite skipped by itself, and why; expected failures are none of these."""
    cases = ET.fromstring(junit).iter("testcase")  # noqa: S314 - our own file
    return [
        f"{case.get('name')}: {skip.get('message')}"
        for case in cases
        for skip in case.iter("skipped")
        if skip.get("type") == "pytest.skip"
    ]
