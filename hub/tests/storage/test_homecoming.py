"""A home that was put away comes back when its owner does, and is nobody else's."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.errors import CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.storage import homecoming, journal, starting
from cubehub.storage.grounds import FOLDER
from cubehub.storage.homecoming import HomeAwayError, bring_home
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.settings import StorageSettings


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    return settings_of(data)


def put_away(settings: StorageSettings, name: str = "ana", account: str = "1") -> Path:
    home = settings.homes / name
    (home / "work").mkdir(parents=True)
    (home / "work" / "a.ipynb").write_text("{}")
    (settings.homes / f".{name}.account").write_text(account)
    os.utime(home / "work" / "a.ipynb", (1, 1))
    with journal.opened(settings.state) as made:
        keeper = Keeper(settings.homes, made, lambda *_: "")
        entry = Entry(name.encode(), b"", "idle", 1, 1, 1, 100, home.stat().st_ino)
        assert keeper.quarantine(made.begin_run("", "", 0), entry).why == ""
        keeper.close()
    return home


def test_it_is_back_before_a_new_one_is_made(settings: StorageSettings) -> None:
    home = put_away(settings)
    assert bring_home(settings, home)
    assert (home / "work" / "a.ipynb").read_text() == "{}"
    assert not bring_home(settings, home)


def test_who_has_a_home_or_never_had_one_is_left_alone(settings: StorageSettings) -> None:
    assert not bring_home(settings, settings.homes / "ben")
    home = put_away(settings)
    home.mkdir()
    assert not bring_home(settings, home)
    assert list(home.iterdir()) == []


def test_a_new_account_of_the_name_gets_nothing_of_the_earlier_one(settings: StorageSettings) -> None:
    home = put_away(settings)
    (settings.homes / ".ana.account").write_text("2")
    assert not bring_home(settings, home)
    assert not home.exists()


def test_a_keeper_at_work_is_waited_for_and_then_the_start_is_refused(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = put_away(settings)
    monkeypatch.setattr(homecoming, "_PATIENCE_S", 0.6)
    with journal.opened(settings.state), pytest.raises(CubeHubError, match="just now"):
        bring_home(settings, home)
    assert not home.exists(), "an empty one would look as if all were lost"
    assert bring_home(settings, home)


def test_a_quarantine_that_cannot_be_used_refuses_the_start(settings: StorageSettings) -> None:
    home = put_away(settings)
    (settings.homes / os.fsdecode(FOLDER)).chmod(0o777)

    class Spawner:
        log = logging.getLogger("test")
        user: Any = None

    spawner = Spawner()
    spawner.home = str(home)  # type: ignore[attr-defined]
    with pytest.raises(HomeAwayError):
        homecoming.homecoming(DataFolder(settings.data))(spawner)


@pytest.mark.parametrize("state", [journal.INTENDED, journal.ARCHIVING, journal.RETURNING])
def test_a_keeper_that_was_ended_half_way_leaves_nobody_with_an_empty_home(
    settings: StorageSettings, state: str
) -> None:
    home = put_away(settings)
    with journal.opened(settings.state) as made:
        (move,) = made.moves(journal.QUARANTINED)
        made.set(move.id, state, move.at)
    assert bring_home(settings, home)
    assert (home / "work" / "a.ipynb").exists()


def test_a_journal_that_was_left_in_the_middle_of_writing_can_be_read(settings: StorageSettings) -> None:
    home = put_away(settings)
    child = os.fork()
    if not child:
        with journal.opened(settings.state) as made:
            made._made.execute("PRAGMA cache_spill = 1")
            made._made.execute("PRAGMA cache_size = 1")
            made._made.execute("BEGIN IMMEDIATE")
            for number in range(2000):
                made._made.execute(
                    "INSERT INTO runs (started, root, plan) VALUES (0, ?, '')", (f"{number:2000}",)
                )
            os._exit(9)
    os.waitpid(child, 0)
    assert (settings.state / f"{journal.FILE}-journal").stat().st_size > 0
    assert [m.state for m in journal.read(settings.state, *journal.STATES)] == [journal.QUARANTINED]
    assert bring_home(settings, home)


def test_a_full_disk_keeps_nobody_out_of_a_home_that_is_there(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = settings.homes / "ana"
    home.mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(starting, "_open", full)
    assert not bring_home(settings, home)
