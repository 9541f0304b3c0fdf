"""What a person does about their own home, more often than anybody would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError
from cubehub.storage.keeping import Keeping
from cubehub.storage.notices import record
from cubehub.storage.planning import Entry
from cubehub.storage.policies import Policy
from cubehub.storage.service import mine
from cubehub.storage.service.mine import Mine
from cubehub.storage.settings import StorageSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ana(tmp_path: Path) -> Mine:
    settings = StorageSettings(
        data=tmp_path,
        homes=tmp_path / "homes",
        state=tmp_path / "state",
        audit_log=tmp_path / "audit.jsonl",
        config=None,
    )
    return Mine(Keeping(settings, now=lambda: 1000.0, policy=Policy()), b"ana", "ana")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mine, "_MOST_KEPT", 3)
    monkeypatch.setattr(mine, "_LONGEST_KEPT", 100)


@pytest.mark.usefixtures("few")
def test_nobody_keeps_so_much_that_rounds_take_for_ever(ana: Mine) -> None:
    for path in (b"a", b"b", b"c"):
        ana.keep(path, 90)
    with pytest.raises(BadInputError, match="no more can be remembered"):
        ana.keep(b"d", 90)
    ana.keep(b"c", 10)
    ana.let_go(b"a")
    with pytest.raises(BadInputError, match="no more can be remembered"):
        ana.keep(b"x" * 99, 90)
    ana.keep(b"d", 90)


@pytest.mark.usefixtures("few")
def test_all_that_somebody_was_told_of_is_kept_at_once(ana: Mine, tmp_path: Path) -> None:
    paths = [b"scratch/%d" % n for n in range(50)]
    with record.opened(tmp_path / "state") as told, told.transaction:
        for number, path in enumerate([*paths, b"other"]):
            told.begin(Entry(b"ana", path, "scratch", 1, 1, 0, 1, number + 1), 0, 1, None)
    ana.keep_all(paths, 90)
    with record.opened(tmp_path / "state") as told:
        assert [one.path for one in told.open_ones()] == [b"other"]
        assert sorted(one.path for one in told.kept(1000.0, b"ana")) == sorted(paths)
