"""Each room with an environment of its own runs its own suite there."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from cubehub_tests.platform import REPOSITORY
from cubehub_tests.plugin import SUITES, in_ci, tell_left_out
from cubehub_tests.rooms import ROOMS, Suites, files_of, skipped_tests

pytest_plugins = ["pytester"]

_TAIL = 60


@pytest.fixture
def suites(request: pytest.FixtureRequest) -> Suites:
    """Give what runs in the rooms since the session began."""
    return request.config.stash[SUITES]


@pytest.mark.rooms
@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_own_suite_passes(room: str, suites: Suites, request: pytest.FixtureRequest) -> None:
    assert any((REPOSITORY / room / "tests").glob("test_*.py")), f"{room} has no tests"
    status = suites.result(room)
    lines = files_of(room, "log").read_text(errors="replace").splitlines()
    print("\n".join(lines[-3:]))
    assert status == 0, f"{room}\n" + "\n".join(lines[-_TAIL:])
    skipped = skipped_tests(files_of(room, "xml").read_text())
    assert not (skipped and in_ci()), f"{room} left out, though CI leaves nothing out: {skipped}"
    for test in skipped:
        tell_left_out(request.node, test)


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


@pytest.mark.slow
def test_a_session_that_is_cut_short_leaves_no_suite_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cubehub_tests.rooms.ARTEFACTS", tmp_path)
    suites = Suites(["images/gateway", "images/catalogue"])
    log = tmp_path / "images-gateway.log"
    waited = threading.Event()
    while not log.exists():
        waited.wait(0.05)
    suites.close()
    assert suites.result("images/gateway") != 0
    with pytest.raises(CancelledError):
        suites.result("images/catalogue")
