"""Homes that are subvolumes of btrfs: moved as a whole only, so nothing else of them is planned, and whoever asks is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cubehub.checkup import home_limits
from cubehub.cli import load_commands
from cubehub.cli.up import home_limits_remark
from cubehub.local.data_folder import DataFolder
from cubehub.storage import beneath, journal
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub.storage.quotas import BtrfsQuota

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD = 1_000_000_000
CAUTION = "an idle home can be moved away as a whole"
needs_btrfs = pytest.mark.needs("root", "mounts", "mkfs")


@pytest.fixture
def data(mounted: Callable[..., Path]) -> DataFolder:
    folder = DataFolder(mounted("btrfs") / "data")
    folder.prepare()
    (folder.root / "config").mkdir()
    return folder


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), ["storage", *words, "--data", str(data.root)])


def old_cache(home: Path) -> Path:
    cache = home / ".cache" / "pip"
    cache.mkdir(parents=True)
    (cache / "wheel").write_bytes(bytes(9000))
    os.utime(cache / "wheel", (OLD, OLD))
    return cache


@needs_btrfs
def test_only_what_can_be_moved_is_planned(data: DataFolder) -> None:
    BtrfsQuota().make(data.homes / "ana")
    (data.homes / "ben").mkdir()
    for name in ("ana", "ben"):
        old_cache(data.homes / name)
    assert beneath.apart(data.homes, [b"ana", b"ben", b"gone"]) == {b"ana"}
    assert run(data, "scan").exit_code == 0
    ran = run(data, "plan", str(data.root / "plan.csv"))
    assert "One home is planned as a whole only" in ran.stderr
    lines = [line for line in (data.root / "plan.csv").read_text().splitlines() if line[0] != "#"]
    assert [line.split(",")[0] for line in lines[1:]] == ["ben"]


@needs_btrfs
def test_out_of_a_subvolume_nothing_goes_and_it_as_a_whole_does(data: DataFolder) -> None:
    home = data.homes / "ana"
    BtrfsQuota().make(home)
    cache = old_cache(home)
    inode = cache.stat().st_ino
    with journal.opened(data.storage) as made:
        keeper = Keeper(data.homes, made, lambda *_: "")
        try:
            number = made.begin_run(str(data.homes), "", 0)
            part = Entry(b"ana", b".cache/pip", "pip", 9000, 1, OLD, OLD + 1, inode)
            assert keeper.quarantine(number, part).why == "it is on another file system"
            assert cache.exists()
            whole = Entry(b"ana", b"", "idle", 9000, 1, OLD, OLD + 1, home.stat().st_ino)
            moved = keeper.quarantine(number, whole)
            assert (moved.why, home.exists()) == ("", False)
        finally:
            keeper.close()


@needs_btrfs
def test_who_asks_for_limits_is_told(data: DataFolder) -> None:
    assert home_limits(data.homes).code == "no_home_limits"
    assert home_limits_remark(data.homes) == []
    assert CAUTION in run(data, "quotas").stdout, "before it is switched on"
    ran = run(data, "quotas", "--switch-on")
    assert "held to limits by btrfs" in ran.stdout
    assert CAUTION in ran.stdout
    found = home_limits(data.homes)
    assert (found.level, found.code) == ("note", "home_limits")
    assert CAUTION in found.message
    assert CAUTION in home_limits_remark(data.homes)[0]
