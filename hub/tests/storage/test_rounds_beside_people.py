"""Rounds beside people: who comes while one goes on is not kept waiting for all of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cubehub.storage import journal, rounds
from cubehub.storage.keeping import Keeping
from cubehub.storage.planning import Entry
from cubehub.storage.settings import StorageSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_others_get_in_between_what_is_archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "homes" / "ana"
    home.mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "storage.yaml").write_text(
        f"preset: 'off'\nautomatic: true\narchive: {{to: {tmp_path / 'archives'}}}\n"
    )
    made = StorageSettings(
        data=tmp_path, homes=home.parent, state=tmp_path / "state", audit_log=tmp_path / "audit.jsonl",
        config=tmp_path / "config",
    )  # fmt: skip
    keeping = Keeping(made)
    with keeping.keeper() as (keeper, record):
        run = record.begin_run("", "", 0)
        for number in range(4):
            file = home / f"{number}.nc"
            file.write_text("data")
            os.utime(file, (1, 1))
            entry = Entry(b"ana", file.name.encode(), "large", 1, 1, 1, 100, file.stat().st_ino)
            assert keeper.quarantine(run, entry).why == ""
    at = [0.0]
    states: list[list[str]] = []

    def others(_: float) -> None:
        with journal.opened(made.state) as record:
            states.append([m.state for m in record.moves(*journal.STATES)])

    def clock() -> float:
        at[0] += 15
        return at[0]

    monkeypatch.setattr(rounds.time, "monotonic", clock)
    monkeypatch.setattr(rounds.time, "sleep", others)
    done = rounds.make_round(keeping, "it", lambda *_: None, processes=1)
    assert done.told["archived"] == 4
    assert len(states) >= 2
    assert states[0].count(journal.ARCHIVED) < states[-1].count(journal.ARCHIVED) <= 4
