"""Hostile trees and people: nothing outside a home is read, moved, changed or removed, and the keeper ends with a clear outcome."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import TYPE_CHECKING, Protocol

import pytest
from cubehub.storage import journal
from cubehub.storage.journal import QUARANTINED
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub.storage.scan import scan

if TYPE_CHECKING:
    from pathlib import Path

    class InNamespace(Protocol):
        def __call__(self, script: str, *words: object) -> str: ...


ENTRIES = int(os.environ.get("CUBEHUB_ENTRIES", "100000"))
"""Of one folder; a million by hand."""
RACE_S = float(os.environ.get("CUBEHUB_RACE_S", "0.2"))
"""How long each race goes on; longer by hand."""
CASES = 100
BEN = 21002


@pytest.mark.slow
@pytest.mark.needs("loop-devices")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_nothing_outside_is_touched(tmp_path: Path, in_namespace: InNamespace, kind: str) -> None:
    entries = ENTRIES if kind == "tmpfs" else 2000
    found = json.loads(in_namespace("hostile.py", kind, tmp_path, entries, RACE_S))
    if found.get("refused"):
        assert "unknown filesystem type" in found["refused"]
        return
    for name, outcome in found["told"].items():
        sys.stdout.write(f"{name}: {outcome}\n")
    sys.stdout.write(f"{kind}: {len(found['told'])} hostile trees and races\n")
    assert not found["fallen"], "\n".join(f"{name}: {why}" for name, why in found["fallen"].items())
    assert len(found["told"]) >= CASES


@pytest.mark.needs("root")
def test_a_folder_that_is_put_where_one_is_made_again_keeps_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making and the giving, ana puts a folder of ben's there."""
    home = tmp_path / "homes" / "ana"
    (home / ".cache" / "pip").mkdir(parents=True)
    (home / "of-ben" / "x").mkdir(parents=True)
    os.chown(home / "of-ben", BEN, BEN)
    inode = (home / ".cache" / "pip").lstat().st_ino
    make = os.mkdir
    libc = ctypes.CDLL(None)

    def making(path: bytes, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make(path, mode, dir_fd=dir_fd)
        if path == b".cache":
            one, other = os.fsencode(home / ".cache"), os.fsencode(home / "of-ben")
            assert libc.renameat2(-100, one, -100, other, 2) == 0

    with journal.opened(tmp_path / "state") as made:
        keeper = Keeper(tmp_path / "homes", made, lambda _home, _inodes: "")
        run = made.begin_run("", "", 0)
        assert not keeper.quarantine(run, Entry(b"ana", b".cache/pip", "pip", 1, 1, 0, 2**32, inode)).why
        (home / ".cache").rmdir()
        monkeypatch.setattr(os, "mkdir", making)
        (move,) = made.moves(QUARANTINED)
        assert "exchanges folders" in keeper.put_back(move).why
        keeper.close()
    assert (home / ".cache" / "x").is_dir(), "it is ben's that is there"
    assert (home / ".cache").lstat().st_uid == BEN


def test_paths_without_end_take_no_memory(tmp_path: Path) -> None:
    """Caches at the end of a path of 100,000 bytes, and two folders at each step of the way: what is told of them is short."""
    at = os.open(tmp_path, os.O_RDONLY)
    for name in (b"ana", *(b"d" * 255,) * 400):
        os.mkdir(name, dir_fd=at)
        os.mkdir(b"beside", dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    for number in range(50):
        os.mkdir(f"{number}", dir_fd=at)
        os.mkdir(f"{number}/.ipynb_checkpoints", dir_fd=at)
        with os.fdopen(os.open(f"{number}/.cubehub-keep", os.O_CREAT | os.O_WRONLY, dir_fd=at), "w") as file:
            file.write("x")
    os.close(at)
    found = scan(tmp_path, processes=1).homes[b"ana"]
    # beside it another home was made
    assert found.own.files == 50
    assert found.folders == 1 + 400 * 2 - 1 + 50 * 2 + 1
    told = [*found.units, *found.places, *found.kept, *(path for path, _ in found.unread)]
    assert max(map(len, told)) < 4096
