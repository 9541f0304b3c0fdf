"""`cubehub-cubes build` from scenes: names, areas without scenes, what is told, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from scenes import catalogue, make_s2
from xcube_cubehub import cli

SIZE = 40


@pytest.fixture
def scenes(tmp_path):
    folder = tmp_path / "scenes"
    path = make_s2(
        folder,
        np.full((SIZE, SIZE), 2000, np.uint16),
        np.full((SIZE, SIZE), 5000, np.uint16),
        np.full((SIZE, SIZE), 4, np.uint8),
    )
    catalogue(folder, [path])
    return folder


def build(scenes, output, *more, area="15.0,46.03,15.01,46.05"):
    return cli.main([
        "build", "msi-ndvi", "--source", str(scenes), "--output", str(output), f"--area={area}", "--workers", "1", *more,
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["../../evil", "My NDVI", "a/b", ".hidden", "-x", "", "x" * 64, "é"])
def test_a_name_that_is_none_builds_nothing(scenes, tmp_path, capsys, name):
    assert build(scenes, tmp_path / "out", f"--name={name}" if name else "--name= ") == 2
    assert "cannot be the name of a cube" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scenes"]


def test_an_area_without_scenes_is_an_error_and_leaves_nothing(scenes, tmp_path, capsys):
    assert build(scenes, tmp_path / "out", "--name", "far", area="16.0,46.03,16.01,46.05") == 2
    told = capsys.readouterr()
    assert "has no scene in this area and time" in told.err
    assert "outside the area" in told.out
    assert not (tmp_path / "out" / "far").exists()


@pytest.mark.parametrize("grid", ["32633", "utm@0", "EPSG:1@20", "utm@x"])
def test_a_grid_that_is_none_is_told_in_one_line(scenes, tmp_path, capsys, grid):
    assert build(scenes, tmp_path / "out", "--grid", grid) == 2
    told = capsys.readouterr().err
    assert "validation error" not in told
    assert len(told.strip().splitlines()) <= 2


def test_a_built_cube_is_listed_under_its_name(scenes, tmp_path, capsys):
    assert build(scenes, tmp_path / "out", "--name", "my-ndvi") == 0
    told = capsys.readouterr().out
    assert "1 added" in told
    assert "with the id my-ndvi" in told
    assert cli.main(["list", "--output", str(tmp_path / "out"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["cubes"]
    assert [row["name"] for row in rows if row.get("built")] == ["my-ndvi"]
    assert build(scenes, tmp_path / "out", "--name", "my-ndvi") == 0
    told = capsys.readouterr().out
    assert "1 unchanged" in told
    assert "with the id" not in told


def test_no_worker_outlives_a_build_that_is_killed(scenes, tmp_path):
    command = [
        sys.executable, "-m", "xcube_cubehub.cli", "build", "msi-ndvi", "--source", str(scenes), "--output", str(tmp_path / "out"),
        "--area=15.0,46.03,15.01,46.05", "--workers", "2",
    ]  # fmt: skip
    process = psutil.Popen(
        command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}, stdout=subprocess.DEVNULL
    )
    workers = []
    until = time.monotonic() + 60
    while time.monotonic() < until and not workers:
        time.sleep(0.05)
        workers = [c for c in process.children() if "spawn_main" in " ".join(c.cmdline())]
    time.sleep(0.5)
    workers = process.children(recursive=True) or workers
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
