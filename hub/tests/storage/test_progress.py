"""How far a large archive is shows by its bytes: in the terminal, and wherever a round is looked at."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.cli.telling import Bars
from cubehub.local.data_folder import DataFolder, write_json
from cubehub.storage import rounds
from cubehub.storage.archive import opened
from cubehub.storage.archivist import Archivist
from cubehub.storage.keeping import Keeping
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Outcome
from cubehub.storage.service.admin import summary
from cubehub.storage.settings import StorageSettings, settings_of
from rich.console import Console

if TYPE_CHECKING:
    from pathlib import Path

OLD = 1_000_000
SIZE = 5 << 20


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    """Something large of ana's in quarantine."""
    data = DataFolder(tmp_path / "data")
    data.prepare()
    (data.root / "config").mkdir()
    (data.root / "config" / "storage.yaml").write_text(
        f"preset: gentle\nautomatic: true\narchive: {{to: {tmp_path / 'store'}}}\n"
    )
    file = data.homes / "ana" / "work" / "a.nc"
    file.parent.mkdir(parents=True)
    file.write_bytes(os.urandom(SIZE))
    os.utime(file, (OLD, OLD))
    found = settings_of(data)
    entry = Entry(b"ana", b"work", "scratch", SIZE, 1, OLD, 2_000_000, file.parent.stat().st_ino)
    with Keeping(found).keeper() as (keeper, made):
        assert keeper.quarantine(made.begin_run("", "", 0), entry).why == ""
    return found


def test_an_archivist_tells_what_it_does_and_how_many_bytes_are_done(
    settings: StorageSettings, tmp_path: Path
) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    store = opened(tmp_path / "store")

    def tell(what: str, done: int, of: int) -> None:
        told.setdefault(what, []).append((done, of))

    with Keeping(settings).keeper() as (keeper, made):
        archivist = Archivist(keeper, made, store, progress=tell)
        for what in ("archive", "purge"):
            assert getattr(archivist, what)(made.get(1)).why == ""
        only = archivist.copy_out(made.get(1), b"a.nc")
        assert only.why == ""
        copied = told.pop("bringing back")
        assert {of for _, of in copied} == {0}, "of how many is not known"
        assert archivist.bring_back(made.get(1)).why == ""
    store.close()
    assert list(told) == ["archiving", "reading back", "bringing back"]
    for what, lines in told.items():
        done = [one for one, _ in lines]
        assert done == sorted(done)
        assert all(one <= of for one, of in lines)
        assert lines[-1][1] >= SIZE
        assert done[-1] == (SIZE if what != "archiving" else done[-1])
    assert len(told["archiving"]) >= 5


def test_the_terminal_shows_entries_and_bytes() -> None:
    text = io.StringIO()
    bars = Bars(as_json=False, out=Console(file=text, force_terminal=True, width=120))
    items = [Outcome(b"ana", b"[red]work", 1), Outcome(b"ben", b"", 1)]

    def act(item: Outcome) -> Outcome:
        bars.bytes_of("archiving", 1 << 30, 5 << 30)
        bars._bar.refresh()
        bars.bytes_of("reading back", 2 << 30, 0)
        bars._bar.refresh()
        return item

    assert bars.each(items, act, "archiving") == items
    shown = text.getvalue()
    for part in ("archiving ana/[red]work", "1 GiB of 5 GiB", "reading back ben", "2 GiB of ?", "1 of 2"):
        assert part in shown
    assert bars._bar.tasks == []


@pytest.mark.parametrize(("as_json", "terminal"), [(False, False), (True, True)])
def test_nothing_is_shown_where_nobody_looks(*, as_json: bool, terminal: bool) -> None:
    text = io.StringIO()
    bars = Bars(as_json=as_json, out=Console(file=text, force_terminal=terminal))
    bars.each([Outcome(b"ana", b"a", 1)], lambda one: (bars.bytes_of("x", 1, 2), one)[1], "archiving")
    assert text.getvalue() == ""


def test_a_round_tells_bytes_of_the_archive_under_way(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, int, str]] = []
    kept: list[dict[str, object]] = []
    keeping = Keeping(
        StorageSettings(**settings.model_dump() | {"links_secret": "s", "public_url": "https://h"})
    )
    keeping.owners = dict  # type: ignore[method-assign]
    write = rounds.write_json
    monkeypatch.setattr(rounds, "write_json", lambda path, found: (kept.append(found), write(path, found)))

    def report(*one: object) -> None:
        told.append(one)  # type: ignore[arg-type]
        if one[0] == "reading back ana":
            running = summary(keeping)["running"]
            assert running["unit"] == "bytes"

    rounds.make_round(keeping, "test", report)
    steps = [step for step, _, _, unit in told if unit == "bytes"]
    assert list(dict.fromkeys(steps)) == ["archiving ana", "reading back ana"]
    assert {found["unit"] for found in kept if found["step"] == "archiving ana"} == {"bytes"}
    assert {found["unit"] for found in kept if found["step"] == "looking at homes"} == {""}


def test_history_tells_bytes_of_a_round_that_runs(settings: StorageSettings) -> None:
    def history(*words: str) -> str:
        done = CliRunner().invoke(
            load_commands(), ["storage", "history", *words, "--data", str(settings.data)]
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    with rounds._alone(settings.state):
        for found, said in (
            ({"step": "archiving ana", "done": 1 << 30, "of": 5 << 30, "unit": "bytes"}, "archiving ana, 1 GiB of 5 GiB"),
            ({"step": "looking at homes", "done": 1200, "of": 3400, "unit": ""}, "looking at homes, 1,200 of 3,400"),
            ({"step": "telling people", "done": 0, "of": 0}, "telling people, 0 of ?"),
        ):  # fmt: skip
            write_json(settings.state / rounds.PROGRESS, found)
            assert f"Running: {said}" in history()
        assert json.loads(history("--json"))["running"]["step"] == "telling people"
