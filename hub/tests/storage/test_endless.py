"""Somebody who puts in new things as fast as the keeper goes: it stops, and is there for the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.storage import journal, trees
from cubehub.storage.grounds import FOLDER
from cubehub.storage.planning import Entry
from cubehub_tests.archived import Place, nothing

if TYPE_CHECKING:
    from cubehub.storage.quarantine import Outcome

_TOO_MANY = 300
"""Things that are put in before a test says that there is no end."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def add(folder: int, what: str, name: str) -> None:
    path = Path(f"/proc/self/fd/{folder}/{name}")
    if what == "folder":
        path.mkdir()
    else:
        path.touch()
        os.utime(path, (1, 1))


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_grows_while_it_is_looked_through_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    cache = place.ana / ".cache" / "pip"
    cache.mkdir(parents=True)
    monkeypatch.setattr(trees, "MOST_LOOKED_AT", 100)
    look, looked = trees._look_in, 0

    def growing(found: Any, at: int) -> list[bytes]:
        nonlocal looked
        looked += 1
        assert looked < _TOO_MANY, "it goes on for ever"
        for number in range(2 if what == "folder" else 600):
            add(at, what, f"{looked}-{number}")
        return look(found, at)

    monkeypatch.setattr(trees, "_look_in", growing)
    entry = Entry(b"ana", b".cache/pip", "pip", 2**40, 1, 1, 100, cache.stat().st_ino)
    done: Outcome = place.do(lambda keeper, _, made: keeper.quarantine(made.begin_run("", "", 0), entry))
    assert done.why == "not all of it can be looked into"
    assert cache.exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_grows_while_it_is_removed_is_left_for_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    unlinked, visited = trees._unlinked, 0

    def growing(folder: int, *more: Any) -> bytes | None:
        nonlocal visited
        visited += 1
        assert visited < _TOO_MANY, "it goes on for ever"
        for number in range(1 if what == "folder" else 200):
            add(folder, what, f"new-{visited}-{number}")
        return unlinked(folder, *more)

    with monkeypatch.context() as patched:
        patched.setattr(trees, "MOST_REMOVED", 20)
        patched.setattr(trees, "_DEEPEST", 10)
        patched.setattr(trees, "_unlinked", growing)
        done: Outcome = place.do(lambda keeper, _, made: keeper.purge(place.now(made), erased=True))
    assert done.why == "there is more in it than is removed at once"
    assert place.move().state == journal.PURGING
    place.do(nothing)
    assert place.move().state == journal.PURGED
    assert [p.name for p in (place.homes / os.fsdecode(FOLDER)).iterdir()] == [".number"]
