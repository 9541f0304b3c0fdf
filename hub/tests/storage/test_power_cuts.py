"""The current fails while the keeper works: what was on the disk by then is enough for every folder to be in one place."""

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


CUTS = int(os.environ.get("CUBEHUB_CUTS", "60"))
"""Of each file system; hundreds by hand."""
SEED = int(os.environ.get("CUBEHUB_CUTS_SEED", "7"))


@pytest.mark.slow
@pytest.mark.needs("loop-devices")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_each_folder_is_in_one_place(tmp_path: Path, in_namespace: InNamespace, kind: str) -> None:
    told = json.loads(in_namespace("power_cut.py", kind, tmp_path, CUTS, SEED))
    if told.get("refused"):
        # a kernel without it, or without one whose files can be copied in an instant
        assert "unknown filesystem type" in told["refused"]
        return
    sys.stdout.write(f"{kind}: {told['cuts']} cuts: {told['when']}\n")
    assert told["wrong"] == []
    assert told["cuts"] >= CUTS
