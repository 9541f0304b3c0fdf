"""The keeper is killed at any moment, on several file systems: each thing is where its journal says, and each archive whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:

    class InNamespace(Protocol):
        def __call__(self, script: str, *words: object) -> str: ...


KILLS = int(os.environ.get("CUBEHUB_KILLS", "160"))
"""On each file system; 2,000 and more by hand."""
SEED = int(os.environ.get("CUBEHUB_KILLS_SEED", "1"))


def told(output: str, kind: str) -> None:
    result = json.loads(output)
    if result.get("refused"):
        assert "unknown filesystem type" in result["refused"]
        return
    sys.stdout.write(f"{kind}: {result}\n")
    assert result["kills"] == KILLS


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(Path(__file__).with_name("kills.py")),
        "here",
        str(tmp_path),
        str(KILLS),
        str(SEED),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told(done.stdout, "here")


@pytest.mark.slow
def test_two_keepers_at_once_killed_again_and_again(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), "two-keepers", str(tmp_path)]
    kills = max(16, KILLS // 10)
    done = subprocess.run([*command, str(kills), str(SEED)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    sys.stdout.write(f"two keepers: {result}\n")
    assert result["kills"] == kills
    assert result["beside"], "one has its turns while the other archives"


@pytest.mark.slow
@pytest.mark.needs("loop-devices")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay"])
def test_on_other_file_systems(tmp_path: Path, in_namespace: InNamespace, kind: str) -> None:
    told(in_namespace("kills.py", kind, tmp_path, KILLS, SEED), kind)
