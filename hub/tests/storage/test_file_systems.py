"""The life of homes on real file systems, with a person who writes meanwhile: each cache, and each file in it, is in one place."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    class InNamespace(Protocol):
        def __call__(self, script: str, *words: object) -> str: ...


LIVES = int(os.environ.get("CUBEHUB_LIVES", "30"))
"""On each file system; hundreds by hand."""


@pytest.mark.slow
@pytest.mark.needs("loop-devices")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "two-mounts"])
def test_each_is_in_one_place(tmp_path: Path, in_namespace: InNamespace, kind: str) -> None:
    told = json.loads(in_namespace("life_on.py", kind, tmp_path, LIVES))
    if told.get("refused"):
        assert "unknown filesystem type" in told["refused"]
        return
    sys.stdout.write(f"{kind}: {told}\n")
    assert told["lives"] >= LIVES
    assert told["away"]
    assert told["away, killed"]
    assert told["files of the person seen"]
    if kind == "two-mounts":
        assert not told["moves"], "something was moved from one file system to another"
    else:
        assert told["moves"]
