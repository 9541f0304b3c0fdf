"""No run moves more than it may, whatever a plan says of sizes and however people put one thing into another."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cubehub.storage import journal, planning
from cubehub.storage import scan as scanning
from cubehub.storage.deciding import Found, Owner, decide
from cubehub.storage.planning import Entry, excess
from cubehub.storage.policies import Policy
from cubehub.storage.quarantine import Keeper
from cubehub.storage.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.quarantine import Outcome

OLD, NOW = 1_700_000_000, 4_000_000_000
MIB = 2**20


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    for name, size in (("scratch/a/x", 1), ("scratch/a/.ipynb_checkpoints/y", 4 * MIB), ("work/z", MIB)):
        file = tmp_path / "homes" / "ana" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
        os.utime(file, (OLD, OLD))
    return tmp_path / "homes"


def found(homes: Path) -> Found:
    results = Results(homes.parent / "state")
    results.add(scanning.scan(homes, processes=1, scratch=[b"scratch"]))
    last = results.scans()[0].id
    return Found(NOW, results.homes(last), results.units(last), owners={"ana": Owner("ana", profile="p")})


def planned(homes: Path) -> Entry:
    (entry,) = decide(found(homes), Policy(scratch="30d"), NOW)  # type: ignore[arg-type]
    assert (entry.path, entry.kind) == (b"scratch/a", "scratch")
    return entry


def away(homes: Path, entry: Entry) -> Outcome:
    with journal.opened(homes.parent / "state") as made:
        keeper = Keeper(homes, made, lambda *_: "")
        try:
            return keeper.quarantine(made.begin_run("", "", 0), entry)
        finally:
            keeper.close()


def test_what_is_in_another_thing_is_counted_with_it(homes: Path) -> None:
    entry = planned(homes)
    assert entry.bytes > 4 * MIB
    assert entry.files == 2
    sizes = {b"ana": 6 * MIB}
    assert [x.home for x in excess([entry], sizes, Policy(most_of_platform=100))] == [b"ana"]
    assert away(homes, entry).bytes == entry.bytes


def test_what_is_used_in_it_keeps_it(homes: Path) -> None:
    os.utime(homes / "ana" / "scratch" / "a" / ".ipynb_checkpoints" / "y", (NOW, NOW))
    assert decide(found(homes), Policy(scratch="30d"), NOW) == []  # type: ignore[arg-type]


def test_what_is_larger_than_the_plan_says_stays(homes: Path) -> None:
    entry = planned(homes)
    text = planning.write([replace(entry, bytes=5)], [])
    (cut,) = planning.read(text, "plan.csv")
    assert excess([cut], {b"ana": 6 * MIB}, Policy()) == [], "it says that it is nothing"
    assert away(homes, cut).why == "it is larger than the plan says"
    assert (homes / "ana" / "scratch" / "a" / "x").exists()
    assert away(homes, replace(entry, bytes=entry.bytes - 4096)).why == "", (
        "a block more or less is the file system's"
    )


def test_a_home_is_as_large_as_the_scan_says(homes: Path) -> None:
    entry = Entry(b"ana", b"", "idle", 0, 0, OLD, NOW, homes.joinpath("ana").stat().st_ino)
    assert excess([entry], {b"ana": MIB, b"ben": MIB}, Policy())[0].per_cent == 50
