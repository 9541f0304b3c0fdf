"""What a kill or a store that fails leaves behind: neither half an archive nor half a copy stays where nobody knows of it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.storage.archive import StoreError
from cubehub.storage.grounds import FOLDER
from cubehub.storage.journal import ARCHIVED, PURGED, QUARANTINED, RETURNED, Journal
from cubehub_tests.archived import Place, content, killed_at, nothing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def kept(place: Place) -> list[str]:
    return sorted(path.name for path in place.store.iterdir())


def slots(place: Place) -> list[str]:
    """All that is in quarantine, one level deep."""
    quarantine = place.homes / os.fsdecode(FOLDER)
    return sorted(str(path.relative_to(quarantine)) for path in quarantine.glob("[!.]*/*"))


def back_without_a_store(place: Place) -> None:
    """As when somebody logs in: nobody asks the store."""
    done = place.do(lambda k, _a, j: k.put_back(place.now(j)), wrap=lambda _store: None)
    assert done.why == ""


@pytest.mark.parametrize("step", ["packed", "verified"])
def test_what_a_kill_left_in_the_store_goes_though_the_thing_is_back_by_then(place: Place, step: str) -> None:
    killed_at(place, "archive", step)
    assert len(kept(place)) == 2
    back_without_a_store(place)
    place.do(nothing)
    assert kept(place) == [], "whoever has their things erased must not have them there"
    assert (place.move().state, place.move().archive) == (RETURNED, None)
    assert content(place.ana / "work") == place.before


class Away:
    """A store that takes an archive, and is away when it is to be read back."""

    def __init__(self, store: Any) -> None:
        self._store, self._away = store, False

    def put(self, name: str, **more: Any) -> Any:
        return self._store.put(name, **more)

    @contextmanager
    def open(self, _name: str) -> Iterator[Any]:
        self._away = True
        raise StoreError("The place for archives is away.", "Look at it.")
        yield

    def delete(self, name: str) -> None:
        if self._away:
            raise StoreError("The place for archives is away.", "Look at it.")
        self._store.delete(name)

    def sweep(self, keep: Any = ()) -> int:
        return int(self._store.sweep(keep))


def test_what_could_not_be_deleted_after_an_error_is_deleted_later(place: Place) -> None:
    with pytest.raises(StoreError):
        place.archive(wrap=Away)
    assert place.move().state == QUARANTINED
    assert len(kept(place)) == 2
    back_without_a_store(place)
    place.do(nothing)
    assert kept(place) == []


def test_an_archive_of_what_was_changed_goes_though_the_thing_is_back_by_then(place: Place) -> None:
    place.archive()
    item = place.homes / os.fsdecode(FOLDER) / str(place.move().id) / "item"
    (item / "new").write_text("came after the archive")
    assert "changed after it was archived" in place.purge().why
    back_without_a_store(place)
    place.do(nothing)
    assert kept(place) == []
    assert (place.ana / "work" / "new").exists()


@pytest.mark.parametrize("step", ["scratch", "synced", "moved"])
def test_nothing_is_left_beside_what_was_unpacked(place: Place, step: str) -> None:
    place.archive()
    place.purge()
    killed_at(place, "back", step)
    place.do(nothing)
    number = place.move().id
    assert slots(place) == ([f"{number}/item"] if step == "moved" else [])
    assert place.back().why == ""
    assert slots(place) == []
    assert not (place.homes / os.fsdecode(FOLDER) / str(number)).exists()
    assert content(place.ana / "work") == place.before


def test_no_seal_is_left_of_an_archive_that_was_deleted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just when it is written down that it has none."""
    place.archive()
    assert place.back().why == ""
    child = os.fork()
    if not child:
        monkeypatch.setattr(Journal, "archive", lambda *_: os._exit(9))
        place.expire()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert kept(place) == []
    place.do(nothing)
    assert (place.move().state, place.move().seal) == (RETURNED, None)


def test_what_came_out_of_its_archive_and_did_not_get_home_is_purged_without_another_archive(
    place: Place,
) -> None:
    place.archive()
    place.purge()
    before = (place.move().seal, kept(place))
    killed_at(place, "back", "returning")
    place.do(nothing)
    assert place.move().state == ARCHIVED
    assert place.purge().why == "", (
        "it is what is in the archive, though its times of last change are younger"
    )
    assert (place.move().seal, kept(place)) == before
    assert place.move().state == PURGED
    assert place.back().why == ""
    assert content(place.ana / "work") == place.before


def test_what_came_out_of_its_archive_and_was_changed_is_archived_again(place: Place) -> None:
    place.archive()
    place.purge()
    killed_at(place, "back", "returning")
    item = place.homes / os.fsdecode(FOLDER) / str(place.move().id) / "item"
    with (item / "deep" / "b.nc").open("a") as file:
        file.write("more")
    place.do(nothing)
    assert "changed after it was archived" in place.purge().why
    assert place.archive().why == ""
    assert len(kept(place)) == 2, "the earlier one is deleted"
    assert place.purge().why == ""
    assert place.back().why == ""
    assert (place.ana / "work" / "deep" / "b.nc").read_text().endswith("more")
