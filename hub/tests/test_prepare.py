from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from typing import TYPE_CHECKING

import pytest
from cubehub.errors import CubeHubError
from cubehub.local import environments
from cubehub.local.environments import ENVIRONMENTS, Environment, fingerprint, sync
from cubehub.local.prepare import run_lanes
from cubehub.local.processes import PART_MARK, marked
from cubehub.local.progress import LineProgress

if TYPE_CHECKING:
    from pathlib import Path


def test_lanes_run_their_steps_in_order() -> None:
    done: list[str] = []
    run_lanes([lambda: done.append("a1"), lambda: done.append("a2")], [lambda: done.append("b1")], run_id="x")
    assert sorted(done) == ["a1", "a2", "b1"]
    assert done.index("a1") < done.index("a2")
    assert PART_MARK not in os.environ


def test_the_first_failure_is_told_at_once_and_ends_what_works_beside_it() -> None:
    run_id = uuid.uuid4().hex
    started = threading.Event()
    late: list[int] = []
    status: list[int] = []

    def slow() -> None:
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as program:
            started.set()
            status.append(program.wait())

    def fail() -> None:
        started.wait(10)
        raise CubeHubError("no network")

    with pytest.raises(CubeHubError, match="no network"):
        run_lanes([slow, lambda: late.append(1)], [fail], run_id=run_id)
    assert late == []
    # a program that was ended must not look as if it had done its work
    assert status == [-15]
    assert marked(PART_MARK, run_id) == []


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    room = tmp_path / "rooms" / "lab"
    room.mkdir(parents=True)
    (room / "uv.lock").write_text("one")
    (room / "module.py").write_text("x = 1")
    monkeypatch.setattr(environments, "resource", lambda *parts: tmp_path.joinpath("rooms", *parts))
    return Environment("lab", ("lab",), {"lab": ("lab",)})


def test_lock_source_and_interpreter_decide_the_fingerprint(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "rooms" / "lab"
    seen = [fingerprint(environment)]
    assert fingerprint(environment) == seen[0]
    for name, text in (("uv.lock", "two"), ("module.py", "x = 2"), ("new.py", "")):
        (room / name).write_text(text)
        seen.append(fingerprint(environment))
    monkeypatch.setattr(environments, "base_python", lambda: "/other/python")
    seen.append(fingerprint(environment))
    assert len(set(seen)) == len(seen)
    (room / "tests").mkdir()
    (room / "tests" / "test_x.py").touch()
    (room / "__pycache__").mkdir()
    (room / "__pycache__" / "x.pyc").touch()
    assert fingerprint(environment) == seen[-1]


def test_every_environment_has_its_lock() -> None:
    for environment in ENVIRONMENTS:
        assert (environments.resource(*environment.project) / "uv.lock").is_file(), environment.name
        assert len(fingerprint(environment)) == 64


def test_what_uv_refuses_is_told_and_not_stamped(
    environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "prepare.log"
    with pytest.raises(CubeHubError) as caught:
        sync(environment, tmp_path / "env", log, LineProgress())
    assert caught.value.code == "environment_failed"
    assert "lab environment" in caught.value.message
    assert str(log) in caught.value.hint
    assert log.read_text()
    assert "done" not in capsys.readouterr().err
    assert not (tmp_path / "env" / "cubehub-stamp").exists()


def test_an_environment_as_the_lock_says_is_left_alone(environment: Environment, tmp_path: Path) -> None:
    target = tmp_path / "env"
    target.mkdir()
    (target / "cubehub-stamp").write_text(f"{fingerprint(environment)} {target}")
    assert not sync(environment, target, tmp_path / "prepare.log", LineProgress())


def test_an_environment_that_was_moved_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "rooms" / "lab"
    (room / "src" / "hello").mkdir(parents=True)
    (room / "src" / "hello" / "__init__.py").write_text("def main(): print(__file__)")
    (room / "pyproject.toml").write_text(
        '[project]\nname = "hello"\nversion = "1"\nrequires-python = ">=3.11"\nscripts = {hello = "hello:main"}\n'
        '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    )
    monkeypatch.setattr(environments, "resource", lambda *parts: tmp_path.joinpath("rooms", *parts))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    subprocess.run(
        [environments.find_uv_bin(), "lock", "--project", str(room)], check=True, capture_output=True
    )
    environment = Environment("lab", ("lab",), {"hello": ("lab",)})
    before, after, log = tmp_path / "before" / "lab", tmp_path / "after" / "lab", tmp_path / "prepare.log"
    assert sync(environment, before, log, LineProgress())
    assert not sync(environment, before, log, LineProgress())
    (before / "left").touch()
    before.parent.rename(after.parent)
    assert sync(environment, after, log, LineProgress())
    said = subprocess.run([after / "bin" / "hello"], check=True, capture_output=True, text=True).stdout
    assert said.startswith(str(after))
    assert not (after / "left").exists()
    assert [path.name for path in after.parent.iterdir()] == ["lab"]


def test_uv_that_is_missing_is_told(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr(environments, "find_uv_bin", missing)
    with pytest.raises(CubeHubError, match="uv") as caught:
        sync(environment, tmp_path / "env", tmp_path / "prepare.log", LineProgress())
    assert caught.value.code == "uv_missing"
