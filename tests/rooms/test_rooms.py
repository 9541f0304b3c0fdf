"""Each room with an environment of its own runs its own suite there."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from cubehub_tests.platform import ARTEFACTS, REPOSITORY
from cubehub_tests.plugin import in_ci, tell_left_out
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]

ROOMS = ("cube-server", "images/catalogue", "images/gateway")
LANES = 2
"""Suites at the same time: each mostly waits for one server of its own. The first takes as long as the others together."""
_TAIL = 60


@pytest.fixture(scope="module")
def suites(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[int]]]:
    """Exit status of the suite of each room that was asked for, as they end."""
    asked = {item.callspec.params["room"] for item in request.session.items if "suites" in item.fixturenames}
    ARTEFACTS.mkdir(exist_ok=True)
    with ThreadPoolExecutor(LANES) as lanes:
        yield {room: lanes.submit(run_suite, room) for room in ROOMS if room in asked}
        lanes.shutdown(cancel_futures=True)


def files_of(room: str, ending: str) -> Path:
    return ARTEFACTS / f"{room.replace('/', '-')}.{ending}"


def run_suite(room: str) -> int:
    # of this environment nothing leads into the other one
    environment = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTEST_ADDOPTS"}
    }
    folder = REPOSITORY / room
    with files_of(room, "log").open("w") as record:
        return subprocess.run(
            [find_uv_bin(), "run", "--project", str(folder), "--frozen", "pytest", "-q", "-p", "no:cacheprovider",
             f"--junitxml={files_of(room, 'xml')}"],
            cwd=folder, env=environment, stdout=record, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip


@pytest.mark.rooms
@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_own_suite_passes(
    room: str, suites: dict[str, Future[int]], request: pytest.FixtureRequest
) -> None:
    assert any((REPOSITORY / room / "tests").glob("test_*.py")), f"{room} has no tests"
    status = suites[room].result()
    lines = files_of(room, "log").read_text(errors="replace").splitlines()
    print("\n".join(lines[-3:]))
    assert status == 0, f"{room}\n" + "\n".join(lines[-_TAIL:])
    skipped = skipped_tests(files_of(room, "xml").read_text())
    assert not (skipped and in_ci()), f"{room} left out, though CI leaves nothing out: {skipped}"
    for test in skipped:
        tell_left_out(request.node, test)


def skipped_tests(junit: str) -> list[str]:
    """Name what a suite skipped by itself, and why; expected failures are none of these."""
    cases = ET.fromstring(junit).iter("testcase")  # noqa: S314 - our own file
    return [
        f"{case.get('name')}: {skip.get('message')}"
        for case in cases
        for skip in case.iter("skipped")
        if skip.get("type") == "pytest.skip"
    ]


def test_what_a_room_skips_is_seen(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    pytester.makepyfile(
        "import pytest\n"
        "def test_skips(): pytest.skip('no wind')\n"
        "def test_passes(): pass\n"
        "@pytest.mark.xfail\ndef test_fails(): assert False\n"
    )
    pytester.runpytest("--junitxml=junit.xml", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    assert skipped_tests((pytester.path / "junit.xml").read_text()) == ["test_skips: no wind"]


def test_every_room_with_a_lock_is_looked_after() -> None:
    locks = {str(path.parent.relative_to(REPOSITORY)) for path in REPOSITORY.glob("*/uv.lock")}
    locks |= {str(path.parent.relative_to(REPOSITORY)) for path in REPOSITORY.glob("images/*/uv.lock")}
    with_tests = {lock for lock in locks if any(Path(REPOSITORY, lock, "tests").glob("test_*.py"))}
    assert with_tests == set(ROOMS), (
        "a room with a suite of its own is missing from ROOMS, or the other way round"
    )
