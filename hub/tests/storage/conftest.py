from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

HERE = Path(__file__).parent


class InNamespace(Protocol):
    def __call__(self, script: str, *words: object) -> str: ...


@pytest.fixture
def in_namespace() -> InNamespace:
    """Run a script beside the tests among mounts of its own, which end with it: what it printed."""

    def act(script: str, *words: object) -> str:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, str(HERE / script)]
        done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    return act
