"""The supervisor of the cube server: one for a state folder, and nothing that outlives it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from grids import KINDS, write
from support import start

pytestmark = pytest.mark.slow


def children(pid):
    """The processes of a supervisor."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, what):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"never came: {what}")


@pytest.fixture
def running(tmp_path, issuer):
    cubes = tmp_path / "cubes"
    (cubes / "degrees").mkdir(parents=True)
    write(cubes / "degrees", KINDS["degrees"], 1)
    (tmp_path / "cubes.yaml").write_text(
        "cubes: [{id: degrees, title: A test, access: public, attribution: nobody, variables: [{name: value}]}]"
    )
    made = start(tmp_path, cubes, issuer.url, tmp_path / "cubes.yaml")
    yield made
    made.process.terminate()
    made.process.wait(20)


def test_a_second_start_leaves_the_first_alone(running):
    second = subprocess.run(
        [sys.executable, "-m", "xcube_cubehub.launcher", "--config", str(running.folder / "cubes.json")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert second.returncode == 2
    assert "another cube server runs" in second.stderr
    assert (running.folder / "state" / "xcube.sock").exists()
    assert running.get("/datasets").ok


def test_nothing_outlives_a_killed_supervisor(running):
    started = children(running.process.pid)
    assert len(started) == 4, "two in front, xcube behind, and what takes cubes in"
    running.process.kill()
    running.process.wait()
    for pid in started:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"the end of {pid}")
