"""What is to be removed and cannot be is told to whoever looks, with the reason, until it is gone."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.local.data_folder import DataFolder
from cubehub.storage import journal, quarantine
from cubehub.storage.archive import StoreError
from cubehub.storage.archive.folder import FolderStore
from cubehub.storage.keeping import Keeping
from cubehub.storage.planning import Entry
from cubehub.storage.service.admin import summary
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from pathlib import Path

OLD = 1_000_000


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A cache and something that ana made, both in quarantine."""
    made = DataFolder(tmp_path / "data")
    made.prepare()
    (made.root / "config").mkdir()
    (made.root / "config" / "storage.yaml").write_text(f"archive: {{to: {tmp_path / 'store'}}}\n")
    for path, kind in (("pip", "pip"), ("work", "scratch")):
        file = made.homes / "ana" / path / "a"
        file.parent.mkdir(parents=True)
        file.write_text("x")
        os.utime(file, (OLD, OLD))
        entry = Entry(b"ana", path.encode(), kind, 1, 1, OLD, 2_000_000, file.parent.stat().st_ino)
        with Keeping(settings_of(made)).keeper() as (keeper, record):
            assert keeper.quarantine(record.begin_run("", "", 0), entry).why == ""
    return made


def listed(data: DataFolder) -> tuple[str, dict[str, Any]]:
    """What the command tells people and programs of what cannot be removed."""
    told = CliRunner().invoke(load_commands(), ["storage", "list", "--data", str(data.root)])
    found = CliRunner().invoke(load_commands(), ["storage", "list", "--json", "--data", str(data.root)])
    (one,) = [m for m in json.loads(found.stdout) if m["state"] in {"purging", "expiring"}] or [{}]
    return told.stdout.partition("To be removed")[2], one


def test_a_purge_that_cannot_end_is_listed_with_its_reason(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = Keeping(settings_of(data))
    assert listed(data) == ("", {})
    with monkeypatch.context() as broken:

        def refused(_at: int, _name: bytes, _most: int) -> None:
            raise OSError(errno.EPERM, "no")

        broken.setattr(quarantine, "remove", refused)
        with keeping.keeper() as (keeper, made):
            assert "immutable" in keeper.purge(made.get(1)).why
        text, one = listed(data)
        assert "1  ana/pip, " in text
        assert "it must not be changed (immutable?)" in text
        assert (one["state"], one["why"]) == ("purging", "it must not be changed (immutable?)")
        with keeping.keeper():
            pass
        (stuck,) = summary(keeping)["stuck"]
        assert (stuck["home"], stuck["path"], "immutable" in stuck["why"]) == ("ana", "pip", True)
        assert [m["path"] for m in summary(keeping)["away"]] == ["work"]
    with keeping.keeper():
        pass
    assert listed(data) == ("", {}), "the next keeper has removed it"
    assert summary(keeping)["stuck"] == []


def test_an_archive_that_cannot_be_removed_is_listed_too(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = Keeping(settings_of(data))

    def do(what: str) -> Any:
        with keeping.keeper() as (keeper, made), keeping.archivist(keeper, made) as archivist:
            return getattr(archivist, what)(made.get(2))

    for what in ("archive", "purge"):
        assert do(what).why == ""

    def refused(_self: FolderStore, _name: str) -> None:
        raise StoreError("The disk is read-only.", "")

    with monkeypatch.context() as broken:
        broken.setattr(FolderStore, "delete", refused)
        assert "read-only" in do("expire").why
        text, one = listed(data)
        assert "2  ana/work, " in text
        assert (one["state"], one["why"]) == ("expiring", "The disk is read-only")
    with keeping.keeper() as (keeper, made), keeping.archivist(keeper, made):
        pass
    assert listed(data) == ("", {})


def test_a_record_without_reasons_tells_what_is_under_way(data: DataFolder) -> None:
    state = settings_of(data).state
    with journal.opened(state) as made:
        made.set(1, journal.PURGING, 0)
        made._made.execute("DROP TABLE troubles")
        made._made.commit()
    assert [(m.id, why) for m, why in journal.read_stuck(state)] == [(1, "")]
    text, one = listed(data)
    assert "being removed just now" in text
    assert one["why"] == ""
