"""A folder for archives whose disk is not mounted is neither written to nor looked into."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.storage import checkup, journal, places
from cubehub.storage.archive import StoreError
from cubehub.storage.archive.folder import NUMBER, FolderStore
from cubehub.storage.journal import ARCHIVED, PURGED, QUARANTINED, RETURNED
from cubehub.storage.keeping import Keeping
from cubehub.storage.planning import Entry
from cubehub.storage.rounds import History, make_round
from cubehub.storage.settings import StorageSettings, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.quarantine import Outcome

OLD = 1_000_000


class Place:
    """Two things of ana's in quarantine, and a folder for archives on a disk that can be taken away."""

    def __init__(self, root: Path) -> None:
        self.disk, self.away = root / "disk", root / "away"
        self.disk.mkdir()
        self.archives = self.disk / "archives"
        self.data = DataFolder(root / "data")
        self.data.prepare()
        (self.data.root / "config").mkdir()
        self.name(self.archives)
        self.ana = self.data.homes / "ana"
        self.settings = settings_of(self.data)
        self.keeping = Keeping(self.settings)
        earlier = Keeping(self.settings, now=lambda: time.time() - 60 * 86400)
        for name in ("one", "two"):
            file = self.ana / name / "a.nc"
            file.parent.mkdir(parents=True)
            file.write_text(name)
            os.utime(file, (OLD, OLD))
            entry = Entry(b"ana", name.encode(), "scratch", 1, 1, OLD, 2_000_000, file.parent.stat().st_ino)
            with earlier.keeper() as (keeper, made):
                assert keeper.quarantine(made.begin_run("", "", 0), entry).why == ""

    def name(self, folder: Path | str) -> None:
        (self.data.root / "config" / "storage.yaml").write_text(
            f"preset: university\narchive: {{to: {folder}}}\n"
        )

    def act(self, what: str, number: int = 1) -> Outcome:
        keeping = Keeping(self.settings)
        with keeping.keeper() as (keeper, made):
            if what == "back":
                return keeping.bring_back(keeper, made, made.get(number))
            with keeping.archivist(keeper, made) as archivist:
                done: Outcome = getattr(archivist, what)(made.get(number))
                return done

    def unmount(self) -> None:
        self.disk.rename(self.away)
        self.disk.mkdir()

    def mount(self) -> None:
        for folder in (self.archives, self.disk):
            if folder.exists():
                folder.rmdir()
        self.away.rename(self.disk)

    def states(self) -> list[str]:
        return [m.state for m in journal.read(self.settings.state, *journal.STATES)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("bare", [False, True])
def test_without_its_disk_nothing_is_written_or_looked_for(place: Place, *, bare: bool) -> None:
    assert place.act("archive").why == ""
    assert place.act("purge").why == ""
    place.unmount()
    if bare:
        place.archives.mkdir(mode=0o700)
    for what, number in (("archive", 2), ("purge", 2), ("expire", 1), ("back", 1)):
        with pytest.raises(CubeHubError, match="not the folder that archives were put into") as caught:
            place.act(what, number)
        assert "Is its disk mounted?" in caught.value.hint
        assert "--new-folder" in caught.value.hint
    with pytest.raises(CubeHubError, match="not the folder"):
        place.keeping.inside(journal.read(place.settings.state, PURGED)[0], 5)
    assert place.archives.exists() == bare
    assert not bare or list(place.archives.iterdir()) == []
    assert place.states() == [PURGED, QUARANTINED]
    assert place.act("back", 2).why == "", "what is in quarantine is had all the same"
    place.mount()
    assert place.act("back", 1).why == ""
    assert (place.ana / "one" / "a.nc").read_text() == "one"
    assert place.states() == [RETURNED, RETURNED]


def test_a_folder_of_another_number_is_refused(place: Place) -> None:
    place.act("archive")
    number = (place.archives / NUMBER).read_text()
    (place.archives / NUMBER).unlink()
    FolderStore(place.archives).mark()
    assert (place.archives / NUMBER).read_text() != number
    with pytest.raises(CubeHubError, match="not the folder"):
        place.act("archive", 2)


def test_a_folder_that_has_moved_is_known_by_its_number(place: Place) -> None:
    place.act("archive")
    moved = place.disk / "moved"
    place.archives.rename(moved)
    place.name(moved)
    assert place.act("archive", 2).why == ""
    assert place.states() == [ARCHIVED, ARCHIVED]


def of_an_earlier_version(place: Place) -> None:
    """As before folders had numbers."""
    place.act("archive")
    (place.archives / NUMBER).unlink()
    with journal.opened(place.settings.state) as made:
        made._made.execute("DROP TABLE places")
        made._made.commit()


def test_archives_of_an_earlier_version_are_found_and_their_folder_numbered(place: Place) -> None:
    of_an_earlier_version(place)
    assert len(place.keeping.inside(journal.read(place.settings.state, ARCHIVED)[0], 5)) == 1
    assert place.act("archive", 2).why == ""
    assert (place.archives / NUMBER).exists()


@pytest.mark.parametrize("bare", [False, True])
def test_a_bare_folder_is_not_numbered_where_there_should_be_archives(place: Place, *, bare: bool) -> None:
    of_an_earlier_version(place)
    place.unmount()
    if bare:
        place.archives.mkdir(mode=0o700)
    with pytest.raises(CubeHubError, match="not the folder"):
        place.act("archive", 2)
    assert place.archives.exists() == bare
    assert not bare or list(place.archives.iterdir()) == []


def run(place: Place, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), ["storage", *words, "--data", str(place.data.root)])


def test_an_administrator_takes_a_new_folder(place: Place) -> None:
    place.act("archive")
    new = place.disk / "new"
    place.name(new)
    refused = run(place, "archive")
    assert (refused.exit_code, new.exists()) == (1, False)
    assert "hint: Is its disk mounted?" in refused.output
    taken = run(place, "archive", "--new-folder")
    assert taken.exit_code == 0, taken.output
    assert f"Archives are put into {new} from now on." in taken.output
    assert "1 earlier archive is not in it" in taken.output
    assert "1 entry archived" in taken.output
    assert "1 entry" in run(place, "purge", "--yes").output, "of the other the archive is not there"
    assert place.states() == [ARCHIVED, PURGED]
    for file in place.archives.glob("[!.]*"):
        file.rename(new / file.name)
    assert place.act("purge").why == ""


@pytest.mark.parametrize("where", ["''", "s3://bucket/kept"])
def test_only_a_folder_can_be_a_new_one(place: Place, where: str) -> None:
    place.name(where)
    assert run(place, "archive", "--new-folder").exit_code == 2


def test_rounds_and_the_doctor_tell_it(place: Place) -> None:
    place.act("archive")
    config = place.data.root / "config" / "storage.yaml"
    config.write_text(f"preset: gentle\nautomatic: true\narchive: {{to: {place.archives}}}\n")
    assert "archives_away" not in [one.code for one in checkup.findings(place.data)]
    place.unmount()
    assert "archives_away" in [one.code for one in checkup.findings(place.data)]
    more = {"links_secret": "s", "public_url": "https://h"}
    keeping = Keeping(StorageSettings(**place.settings.model_dump() | more))
    keeping.owners = dict  # type: ignore[method-assign]
    with pytest.raises(CubeHubError, match="not the folder"):
        make_round(keeping, "test", lambda *_: None)
    (last,) = History(place.settings.state).newest()
    assert "not the folder" in last.told["failed"]
    assert list(place.disk.iterdir()) == []


def test_a_number_that_cannot_be_read_stops_the_keeper(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "kept")
    assert store.number() is None
    number = store.mark()
    assert (store.mark(), store.number()) == (number, number), "it is given once"
    assert store.sweep() == 0
    (tmp_path / "kept" / NUMBER).write_text("")
    with pytest.raises(StoreError, match="has no number"):
        store.number()
    store.close()


def test_a_folder_that_others_get_into_is_no_new_one(place: Place) -> None:
    place.archives.mkdir(mode=0o755)
    with journal.opened(place.settings.state) as made, pytest.raises(BadInputError, match="Others than"):
        places.accept(str(place.archives), made)
