"""What of a scan is still in the homes once some of it was moved away: homes, nested folders, single files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.storage import journal
from cubehub.storage.journal import ARCHIVED, EXPIRED, PURGED, QUARANTINED, RETURNED, RETURNING
from cubehub.storage.keeping import Keeping
from cubehub.storage.policies import Policy
from cubehub.storage.results import Results
from cubehub.storage.scan import scan
from cubehub.storage.service.mine import Mine
from cubehub.storage.settings import StorageSettings
from cubehub.storage.since import Since
from cubehub.storage.tally import LARGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.results import Summary

FILES = {
    "scratch/run/data": 200_000,
    "scratch/run/.ipynb_checkpoints/a.ipynb": 50_000,
    ".cache/pip/wheel": 300_000,
    "work/a.ipynb": 10_000,
}


class World:
    def __init__(self, root: Path) -> None:
        self.homes, self.state = root / "homes", root / "state"
        for home in ("ana", "ben"):
            for path, size in FILES.items():
                file = self.homes / home / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(bytes(size))
        with (self.homes / "ana" / "work" / "big.nc").open("wb") as big:
            big.write(bytes(LARGE_BYTES))
        results = Results(self.state)
        results.add(scan(self.homes, processes=1, scratch=[b"scratch"]))
        self.scan: Summary = results.scans()[0]

    def moved(self, home: str, path: str, state: str, at: float, back: str | None = None) -> None:
        inode = (self.homes / home / path).lstat().st_ino
        with journal.opened(self.state) as made:
            run = made.begin_run("", "", at)
            number = made.intend(run, home.encode(), path.encode(), "pip", 1, 1, inode, at, None)
            made.set(number, state, at, back.encode() if back is not None else None)

    def since(self, only: str | None = None) -> Since:
        return Since(self.state, self.scan, only)

    def bytes_of(self, home: str) -> int:
        return next(h.bytes for h in self.since().homes if h.name == home)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_home_as_a_whole(world: World) -> None:
    world.moved("ben", "", QUARANTINED, 5.0)
    still = world.since()
    assert [home.name for home in still.homes] == ["ana"]
    assert {unit.home for unit in still.units()} == {"ana"}
    assert (still.summary.homes, still.summary.bytes) == (1, still.homes[0].bytes)
    assert not world.since("ben").homes
    assert world.since("ana").homes == still.homes


def test_a_folder_with_others_in_it_goes_with_them(world: World) -> None:
    before, details = world.since().homes, world.since().details("ana")
    world.moved("ana", "scratch/run", ARCHIVED, 5.0)
    still = world.since()
    assert [unit.path for unit in still.units() if unit.home == "ana"] == [".cache/pip"]
    ana, was = (next(h for h in homes if h.name == "ana") for homes in (still.homes, before))
    assert 250_000 <= was.bytes - ana.bytes < 400_000
    assert was.files - ana.files == 2
    assert ("checkpoints" in was.caches, "checkpoints" in ana.caches) == (True, False)
    assert dict(still.details("ana").places)[""].files == dict(details.places)[""].files - 2
    assert still.details("ben") == Results(world.state).details(world.scan.id, "ben")


def test_a_single_file(world: World) -> None:
    before = world.bytes_of("ana")
    assert [file.path for file in world.since().large()] == ["work/big.nc"]
    world.moved("ana", "work/big.nc", QUARANTINED, 5.0)
    assert not world.since().large()
    assert not world.since().details("ana").large
    assert before - world.bytes_of("ana") >= LARGE_BYTES


@pytest.mark.parametrize(
    ("state", "after", "back", "counted"),
    [
        (QUARANTINED, -10, None, False),
        (PURGED, 10, None, False),
        # its inode was free for another one when the scan came by
        (PURGED, -10, None, True),
        (RETURNING, 10, ".cache/pip", True),
        (RETURNED, 10, ".cache/pip", True),
        # of what is back, the archive has gone
        (EXPIRED, 10, ".cache/pip", True),
    ],
)
def test_what_is_counted(world: World, state: str, after: float, back: str | None, *, counted: bool) -> None:
    world.moved("ana", ".cache/pip", state, world.scan.started + after, back)
    units = {unit.path for unit in world.since().units() if unit.home == "ana"}
    assert (".cache/pip" in units) == counted
    assert (world.since().summary == world.scan) == counted


def test_another_one_of_the_same_path_is_counted(world: World) -> None:
    world.moved("ana", "work", QUARANTINED, 5.0)
    with journal.opened(world.state) as made:
        run = made.begin_run("", "", 5.0)
        made.set(made.intend(run, b"ana", b".cache/pip", "pip", 1, 1, 2**40, 5.0, None), QUARANTINED, 5.0)
    assert ".cache/pip" in {unit.path for unit in world.since("ana").units()}


def test_lab_is_told_of_no_cache_that_was_moved(world: World) -> None:
    settings = StorageSettings(
        data=world.state, homes=world.homes, state=world.state, audit_log=world.state / "audit.jsonl", config=None,
    )  # fmt: skip
    mine = Mine(Keeping(settings, policy=Policy()), b"ana", "ana")
    assert "pip" in {one["kind"] for one in mine.describe(None)["scan"]["caches"]}
    world.moved("ana", ".cache/pip", QUARANTINED, 5.0)
    told = mine.describe(None)["scan"]
    assert "pip" not in {one["kind"] for one in told["caches"]}
    assert told["bytes"] == world.bytes_of("ana")
    world.moved("ana", "", QUARANTINED, 5.0)
    assert mine.describe(None)["scan"] is None
