"""Archives in the life of what is put away: killed at each step and with a store that fails, nothing is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import inside, journal
from cubehub.storage.archive import ChangedError, StoreError, opened
from cubehub.storage.archivist import Archivist
from cubehub.storage.grounds import FOLDER
from cubehub.storage.journal import ARCHIVED, EXPIRED, PURGED, QUARANTINED, RETURNED
from cubehub.storage.places import ARCHIVE, LISTING
from cubehub.storage.planning import Entry
from cubehub.storage.quotas.attributes import project_of, set_all
from cubehub_tests.archived import Place, content, killed_at, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


OLD = 1_000_000
STEPS_IN = ("archiving", "packed", "verified", "archived")
STEPS_OUT = ("unpacking", "unpacked")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_into_the_archive_and_back_after_a_purge(place: Place) -> None:
    assert "no archive" in place.purge().why, "not before it is in an archive"
    assert place.archive().why == ""
    assert place.whole_places() == ["quarantine", "archive"]
    assert place.purge().why == ""
    assert place.whole_places() == ["archive"]
    assert place.move().state == PURGED
    assert place.back().why == ""
    assert content(place.ana / "work") == place.before
    assert place.move().state == RETURNED
    assert place.expire().why == ""
    assert (place.move().state, list(place.store.iterdir())) == (RETURNED, [])


def test_a_whole_home(tmp_path: Path) -> None:
    place = Place(tmp_path, path=".", kind="idle")
    place.archive()
    place.purge()
    assert not place.ana.exists()
    assert place.back().why == ""
    assert content(place.ana / "work") == place.before


@pytest.mark.parametrize("step", STEPS_IN)
def test_killed_while_it_is_archived(place: Place, step: str) -> None:
    killed_at(place, "archive", step)
    place.do(nothing)
    done = step == "archived"
    assert place.move().state == (ARCHIVED if done else QUARANTINED)
    assert place.whole_places() == (["quarantine", "archive"] if done else ["quarantine"])
    if not done:
        assert place.archive().why == ""
    assert place.purge().why == ""
    assert place.back().why == ""
    assert content(place.ana / "work") == place.before


@pytest.mark.parametrize("step", [*STEPS_OUT, "returning", "back", "returned"])
def test_killed_while_it_comes_back(place: Place, step: str) -> None:
    place.archive()
    place.purge()
    killed_at(place, "back", step)
    place.do(nothing)
    assert "archive" in place.whole_places()
    if place.move().state != RETURNED:
        assert place.back().why == ""
    assert content(place.ana / "work") == place.before


@pytest.mark.parametrize("step", ["purging", "removed", "purged"])
def test_killed_while_it_is_purged(place: Place, step: str) -> None:
    place.archive()
    killed_at(place, "purge", step)
    place.do(nothing)
    assert (place.move().state, place.whole_places()) == (PURGED, ["archive"])
    assert place.back().why == ""
    assert content(place.ana / "work") == place.before


@pytest.mark.parametrize("step", ["expiring", "expired"])
def test_killed_while_an_archive_expires(place: Place, step: str) -> None:
    place.archive()
    place.purge()
    killed_at(place, "expire", step)
    place.do(nothing)
    assert (place.move().state, list(place.store.iterdir())) == (EXPIRED, [])
    assert not place.move().restorable


class Failing:
    """A store that does what it should until the call whose turn it is."""

    def __init__(self, store: Any, turn: int) -> None:
        self._store, self.turn, self.calls = store, turn, 0

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.turn:
            raise StoreError("The place for archives is away.", "Look at it.")

    @contextmanager
    def put(self, name: str, **more: Any) -> Iterator[Any]:
        self._count()
        with self._store.put(name, **more) as sink:
            yield sink
            self._count()

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        self._count()
        with self._store.open(name) as source:
            yield source

    def exists(self, name: str) -> bool:
        self._count()
        return bool(self._store.exists(name))

    def bytes_of(self, name: str) -> int | None:
        self._count()
        found: int | None = self._store.bytes_of(name)
        return found

    def sweep(self, keep: Any = ()) -> int:
        self._count()
        return int(self._store.sweep(keep))

    def delete(self, name: str) -> None:
        self._count()
        self._store.delete(name)


def test_a_store_that_fails_at_any_call_costs_nothing(tmp_path: Path) -> None:
    """Each call of each act fails once; afterwards all of it is somewhere, and the same act goes through."""
    turns = 0
    for act in ("archive", "purge", "back"):
        for turn in range(1, 20):
            root = tmp_path / f"{act}{turn}"
            root.mkdir()
            place = Place(root)
            for before in ("archive", "purge", "back"):
                if before == act:
                    break
                assert getattr(place, before)().why == ""
            failing: list[Failing] = []

            def wrap(store: Any, turn: int = turn, failing: list[Failing] = failing) -> Failing:
                failing.append(Failing(store, turn))
                return failing[-1]

            with suppress(StoreError):
                getattr(place, act)(wrap=wrap)
            assert place.whole_places(), (act, turn)
            if place.move().state != {"archive": ARCHIVED, "purge": PURGED, "back": RETURNED}[act]:
                assert getattr(place, act)().why == "", (act, turn)
            if failing[0].calls < turn:
                turns += turn - 1
                break
            shutil.rmtree(root)
    assert turns >= 8, "each act asks the store several times"


def test_what_was_changed_in_quarantine_is_not_purged(place: Place) -> None:
    place.archive()
    item = place.homes / os.fsdecode(FOLDER) / str(place.move().id) / "item"
    (item / "deep" / "new").write_text("came after the archive")
    assert "changed after it was archived" in place.purge().why
    assert (item / "deep" / "new").exists()
    assert place.move().state == QUARANTINED, "so that the next round archives it as it is now"
    assert place.archive().why == ""
    assert place.purge().why == ""
    place.back()
    assert (place.ana / "work" / "deep" / "new").exists()


def test_a_damaged_archive_is_told_and_leaves_nothing_half(place: Place) -> None:
    place.archive()
    place.purge()
    file = place.store / f"{place.move().archive}{ARCHIVE}"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(damaged)
    with pytest.raises(CubeHubError):
        place.back()
    assert place.move().state == PURGED, "what is in the archive may be mended from a backup"
    assert not (place.ana / "work").exists()


@pytest.mark.parametrize("where", ["quarantine", "archive"])
def test_one_notebook_comes_back_and_the_rest_stays(place: Place, where: str) -> None:
    place.archive()
    if where == "archive":
        place.purge()
    state = place.move().state
    done = place.do(lambda _k, a, j: a.copy_out(place.now(j), b"a.ipynb"))
    assert (done.why, done.path) == ("", b"work/a.ipynb")
    again = place.do(lambda _k, a, j: a.copy_out(place.now(j), b"a.ipynb"))
    assert again.path == b"work/a.ipynb.restored-1", "never over what is there"
    folder = place.do(lambda _k, a, j: a.copy_out(place.now(j), b"deep"))
    assert folder.path == b"work/deep"
    found = content(place.ana / "work")
    # its second name stays away, so it has one
    assert found["a.ipynb"][:3] == place.before["a.ipynb"][:3]
    assert found["deep/b.nc"] == place.before["deep/b.nc"]
    assert "link" not in found
    assert place.move().state == state
    with pytest.raises(BadInputError, match="There is no"):
        place.do(lambda _k, a, j: a.copy_out(place.now(j), b"none"))
    assert place.back().path == b"work.restored-1"
    assert content(place.ana / "work.restored-1") == place.before


@pytest.mark.parametrize("where", ["quarantine", "archive"])
def test_what_is_inside_is_told(place: Place, where: str) -> None:
    place.archive()
    if where == "archive":
        place.purge()
    store = opened(place.store)
    try:
        found = inside.look(place.homes, place.move(), store, 100)
        few = inside.look(place.homes, place.move(), store, 2)
    finally:
        store.close()
    assert {(path, folder) for path, _, folder in found} == {
        (b"a.ipynb", False), (b"second", False), (b"link", False), (b"deep", True), (b"deep/b.nc", False),
        ("deep/naïve\n".encode(), False),
    }  # fmt: skip
    assert len(few) == 2


def test_of_a_large_folder_only_what_is_told_is_looked_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bytes] = []
    look = inside.beneath.look

    def counted(folder: int, name: bytes) -> Any:
        looks.append(name)
        return look(folder, name)

    monkeypatch.setattr(inside.beneath, "look", counted)
    assert len(inside.look(place.homes, place.move(), None, 1)) == 1
    assert len(looks) == 2, "the folder, and one in it"


def test_without_a_place_for_archives_it_is_said(place: Place) -> None:
    with pytest.raises(BadInputError, match="No place for archives"):
        place.do(lambda k, _a, j: Archivist(k, j, None).archive(place.now(j)))
    assert place.move().state == QUARANTINED


def test_a_journal_of_the_first_version_is_taken_over(place: Place) -> None:
    import sqlite3  # noqa: PLC0415 - for this test alone

    with sqlite3.connect(place.state / journal.FILE) as made:
        for column in ("archive", "seal", "listing", "archive_bytes", "account"):
            made.execute(f"ALTER TABLE moves DROP COLUMN {column}")
        made.execute("PRAGMA user_version = 1")
    made.close()
    assert journal.read(place.state, QUARANTINED) == [], "not before a keeper has brought it up to date"
    assert place.archive().why == ""
    assert len(journal.read(place.state, ARCHIVED)) == 1


def test_what_was_taken_from_an_earlier_account_of_the_name_goes_to_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "homes").mkdir()
    (tmp_path / "homes" / ".ana.account").write_text("first")
    place = Place(tmp_path)
    (place.homes / ".ana.account").write_text("second")
    assert "another account" in place.back().why
    place.archive()
    place.purge()
    assert "another account" in place.back().why
    only = place.do(lambda _k, a, j: a.copy_out(place.now(j), b"a.ipynb"))
    assert "another account" in only.why
    (place.homes / ".ana.account").write_text("first")
    assert place.back().why == ""


def test_what_has_lost_its_archive_is_not_purged(place: Place) -> None:
    place.archive()
    file = place.store / f"{place.move().archive}{ARCHIVE}"
    file.rename(place.store.with_name("elsewhere"))
    assert "not where it was put" in place.purge().why
    assert place.whole_places() == ["quarantine"]
    place.store.with_name("elsewhere").rename(file)
    assert place.purge().why == ""


def test_a_large_file_that_is_taken_out_does_not_fill_the_keepers_own_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.archive()
    used: list[int] = []
    make = tempfile.TemporaryFile

    def look(**more: Any) -> Any:
        used.append(os.stat(more.get("dir") or "/").st_ino)  # noqa: PTH116 - of a descriptor
        return make(**more)

    monkeypatch.setattr("cubehub.storage.unarchiving.tempfile.TemporaryFile", look)
    assert place.do(lambda _k, a, j: a.copy_out(place.now(j), b"a.ipynb")).why == ""
    assert used
    assert place.state.stat().st_ino not in used


@pytest.mark.needs("root", "mounts", "mkfs")
@pytest.mark.parametrize("path", ["work", "work/deep/b.nc"])
def test_what_comes_out_of_an_archive_goes_into_a_home_that_has_a_limit(
    mounted: Callable[..., Path], path: str
) -> None:
    """A home with a project quota lets nothing of another project be moved into it."""
    root = mounted("xfs")
    place = Place(root, path, "large")
    home = os.open(place.ana, os.O_RDONLY)
    set_all(home, 1000)
    os.close(home)
    place.archive()
    assert place.purge().why == ""
    if path == "work":
        done = place.do(lambda _k, a, j: a.copy_out(place.now(j), b"a.ipynb"))
        assert (done.why, done.path) == ("", b"work/a.ipynb")
    done = place.back()
    assert done.why == ""
    for file in (place.ana / os.fsdecode(done.path), place.ana / "work"):
        at = os.open(file, os.O_RDONLY)
        assert project_of(at).id == 1000, "it counts again"
        os.close(at)


def test_what_cannot_be_packed_does_not_keep_others_from_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [ChangedError("It changes all the time."), OSError(5, "Input/output error")]

    def broken(*_: object, **__: object) -> None:
        raise errors[0]

    monkeypatch.setattr("cubehub.storage.archivist.pack", broken)
    for why in ("It changes all the time", "Input/output error"):
        assert place.archive().why == why
        assert (place.move().state, list(place.store.iterdir())) == (QUARANTINED, [])
        errors.pop(0)
    errors.append(StoreError("The place for archives is away.", ""))
    with pytest.raises(StoreError):
        place.archive()


def test_an_archive_that_is_not_of_this_move_is_left_alone(place: Place) -> None:
    place.archive()
    move = place.move()
    assert place.purge().why == ""
    before = {p.name: p.read_bytes() for p in place.store.iterdir()}
    with journal.opened(
        place.state
    ) as made:  # as after a record that was lost: the same number, and the same inode
        made._made.execute("DELETE FROM moves")
        made._made.commit()
    (place.ana / "work").mkdir()
    (place.ana / "work" / "new").write_text("new")
    os.utime(place.ana / "work" / "new", (OLD, OLD))
    inode = (place.ana / "work").stat().st_ino
    entry = Entry(b"ana", b"work", "scratch", 1, 1, OLD, 2_000_000, inode)
    assert place.do(lambda k, _a, j: k.quarantine(j.begin_run("", "", 0), entry)).why == ""
    with journal.opened(place.state) as made:
        made._made.execute("UPDATE moves SET inode = ?", (move.inode,))
        made._made.commit()
    assert place.move().id == move.id
    assert place.archive().why == ""
    assert before.items() <= {p.name: p.read_bytes() for p in place.store.iterdir()}.items()


@pytest.mark.parametrize("ending", [ARCHIVE, LISTING])
def test_what_has_lost_part_of_its_archive_is_not_purged(place: Place, ending: str) -> None:
    place.archive()
    file = place.store / f"{place.move().archive}{ending}"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert place.purge().why
    assert place.whole_places() == ["quarantine", "archive"]
    file.write_bytes(whole)
    assert place.purge().why == ""
