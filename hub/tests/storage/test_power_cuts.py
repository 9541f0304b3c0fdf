"""The current fails while the keeper works: what was on the disk by then is enough for nothing to be lost or left."""

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
@pytest.mark.parametrize(
    ("kind", "archives"), [("ext4", "same"), ("xfs", "same"), ("btrfs", "same"), ("ext4", "beside")]
)
def test_each_thing_is_where_the_journal_says(
    tmp_path: Path, in_namespace: InNamespace, kind: str, archives: str
) -> None:
    told = json.loads(in_namespace("power_cut.py", kind, tmp_path, CUTS, SEED, archives))
    if told.get("refused"):
        # a kernel without it, or without one whose files can be copied in an instant
        assert "unknown filesystem type" in told["refused"]
        return
    sys.stdout.write(f"{kind}, archives {archives}: {told['cuts']} cuts: {told['when']}\n")
    assert told["wrong"] == []
    assert told["cuts"] >= CUTS
