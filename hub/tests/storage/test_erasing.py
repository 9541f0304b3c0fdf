"""An erasure that is ended or fails in the middle: what is left of it is removed by the next one, and told until then."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.storage import erasing, journal
from cubehub.storage.archive import StoreError
from cubehub.storage.grounds import FOLDER
from cubehub.storage.keeping import Keeping
from cubehub.storage.policies import Policy
from cubehub.storage.settings import StorageSettings
from cubehub_tests.archived import Place, nothing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def keeping(place: Place) -> Keeping:
    settings = StorageSettings(
        data=place.homes.parent, homes=place.homes, state=place.state, audit_log=place.state / "audit.jsonl", config=None,
    )  # fmt: skip
    return Keeping(settings, who="test", policy=Policy())


def erase(place: Place, **more: Any) -> erasing.Receipt:
    return place.do(  # type: ignore[no-any-return]
        lambda keeper, archivist, made: erasing.finish(keeping(place), keeper, archivist, made, b"ana", None),
        **more,
    )


def in_slots(place: Place) -> list[str]:
    return [p.name for p in (place.homes / os.fsdecode(FOLDER)).rglob("*") if p.name != ".number"]


class Stubborn:
    """A store that deletes nothing."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, _: str) -> None:
        raise StoreError("The bucket is away.")


def test_killed_in_the_middle_it_is_finished_by_the_next_keeper(place: Place) -> None:
    child = os.fork()
    if not child:
        with suppress(BaseException):
            erase(place, step=lambda name: os._exit(9) if name == "purging" else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert place.move().state == journal.PURGING
    place.do(nothing)
    assert place.move().state == journal.PURGED
    assert in_slots(place) == []


def test_what_an_earlier_try_could_not_remove_from_quarantine_is_tried_and_told_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_at: int, _name: bytes, _most: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr("cubehub.storage.quarantine.remove", refuse)
        for _ in range(2):
            (told,) = erase(place).left
            assert told == "work in the quarantine: it must not be changed (immutable?)"
    done = erase(place)
    assert done.left == []
    assert in_slots(place) == []


def test_an_archive_that_could_not_be_deleted_is_told_until_it_is(place: Place) -> None:
    assert place.archive().why == ""
    for _ in range(2):
        (told,) = erase(place, wrap=Stubborn).left
        assert told.startswith("work in the archive: ")
    assert len(list(place.store.iterdir())) == 2
    assert erase(place).left == []
    assert list(place.store.iterdir()) == []


def test_what_was_not_finished_of_an_archive_and_is_still_there_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise StoreError("It cannot be read back.")

    with monkeypatch.context() as patched:
        patched.setattr("cubehub.storage.archivist.verify", damaged)
        with suppress(StoreError):
            place.archive(wrap=lambda store: Stubborn(store) if list(store.list()) else Late(store))
    assert list(place.store.iterdir())
    (told,) = erase(place, wrap=Stubborn).left
    assert told.startswith("work in the archive: ")
    assert erase(place).left == []
    assert list(place.store.iterdir()) == []


class Late(Stubborn):
    """One that deletes nothing once something is in it."""

    def delete(self, name: str) -> None:
        if list(self._store.list()):
            super().delete(name)
        self._store.delete(name)
