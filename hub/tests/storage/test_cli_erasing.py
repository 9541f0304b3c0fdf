"""`cubehub users erase`: what is said before and after, and that an answer of no changes nothing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.cli.common import many, span
from cubehub.local.data_folder import DataFolder
from cubehub.storage import erasing, journal, starting
from cubehub.storage.grounds import FOLDER
from cubehub.storage.keeping import Keeping
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    file = folder.homes / "ana" / "work" / "a.ipynb"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    (folder.homes / ".ana.account").write_text("1")
    (folder.root / "config").mkdir()
    (folder.root / "config" / "storage.yaml").write_text("preset: gentle\nhold: 2h\n")
    return folder


def run(data: DataFolder, *words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(load_commands(), [*words, "--data", str(data.root)], input=answer)


def test_no_is_no(data: DataFolder) -> None:
    ran = run(data, "users", "erase", "ana", answer="n\n")
    assert (ran.exit_code, "Nothing was removed or moved." in ran.stderr) == (0, True), ran.output
    assert (data.homes / "ana" / "work" / "a.ipynb").exists()


def test_it_waits_for_the_hold_can_be_taken_back_and_leaves_a_receipt(data: DataFolder) -> None:
    ran = run(data, "users", "erase", "ana", "--yes")
    assert ran.exit_code == 0, ran.output
    assert "is removed by the first" in ran.stdout
    assert not (data.homes / "ana").exists()
    assert "for 2 hours" in run(data, "storage", "purge", "--yes").stdout
    (one,) = json.loads(run(data, "storage", "list", "--json").stdout)
    assert one["kind"] == erasing.ERASURE
    assert run(data, "storage", "restore", str(one["number"])).exit_code == 0
    assert (data.homes / "ana" / "work" / "a.ipynb").exists()
    ran = run(data, "users", "erase", "ana", "--yes", "--now")
    assert ran.exit_code == 0, ran.output
    assert "removed from quarantine: (whole home)" in ran.stdout
    assert "Not reached by this" in ran.stdout
    (receipt,) = (data.storage / erasing.RECEIPTS).iterdir()
    assert str(receipt) in ran.stdout
    assert json.loads(receipt.read_text())["removed"][0]["path"] == "."
    left = (data.homes / os.fsdecode(FOLDER)).iterdir()
    assert [one.name for one in left] == [".number"]
    assert not any(m.restorable for m in journal.read(data.storage, *journal.STATES))


def test_what_was_moved_earlier_is_counted_before(data: DataFolder) -> None:
    run(data, "users", "erase", "ana", "--yes")
    (data.homes / "ana").mkdir()
    ran = run(data, "users", "erase", "ana", answer="n\n")
    assert "1 entries" not in ran.output
    assert "1 entry of" in ran.output


def test_a_server_that_was_started_just_now_is_told(data: DataFolder) -> None:
    starting.note(data.homes, b"ana", 1)
    ran = run(data, "users", "erase", "ana", "--yes")
    assert (ran.exit_code, "started less than 15 minutes ago" in ran.stderr) == (1, True), ran.output
    assert "until these minutes are over" in ran.stderr
    assert (data.homes / "ana").exists()


def test_an_answer_that_nobody_can_give_is_told(data: DataFolder) -> None:
    ran = run(data, "users", "erase", "ana", answer="")
    assert ran.exit_code == 130
    assert "--yes" in ran.stderr
    assert (data.homes / "ana").exists()


def test_the_home_of_an_earlier_account_is_not_taken_for_that_of_the_present_one(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = {"name": "ana", "id": "2", "email": "ana@example.org"}
    monkeypatch.setattr("cubehub.cli.erasing._about", lambda *_: account)
    out = tmp_path / "out"
    for words in (
        ("erase", "ana", "--yes", "--now"),
        ("erase", "ana", "--yes"),
        ("export", "ana", "--to", str(out)),
    ):
        ran = run(data, "users", *words)
        assert (ran.exit_code, "an earlier account of the name: 1, not 2" in ran.output) == (2, True), (
            ran.output
        )
    assert (data.homes / "ana" / "work" / "a.ipynb").exists()
    assert list(out.iterdir()) == []
    account["id"] = "1"
    assert run(data, "users", "export", "ana", "--to", str(out)).exit_code == 0
    for words in (("--yes", "--now"), ("--yes",)):
        ran = run(data, "users", "erase", "ana", "--earlier", *words)
        assert (ran.exit_code, "is that of the present account of the name: 1" in ran.stderr) == (2, True), (
            ran.output
        )
        assert "Leave --earlier out" in ran.stderr
        assert (data.homes / "ana" / "work" / "a.ipynb").exists()
    account["id"] = "2"
    ran = run(data, "users", "erase", "ana", "--yes", "--earlier")
    assert ran.exit_code == 0, ran.output
    assert not (data.homes / "ana").exists()


def test_an_export_tells_nothing_of_what_an_earlier_account_had(data: DataFolder, tmp_path: Path) -> None:
    run(data, "users", "erase", "ana", "--yes")
    (data.homes / "ana").mkdir()
    for account, count in (("2", 0), ("1", 1)):
        (data.homes / ".ana.account").write_text(account)
        out = tmp_path / account
        out.mkdir()
        erasing.export(Keeping(settings_of(data)), b"ana", out, {"name": "ana"})
        assert len(json.loads((out / "ana.json").read_text())["moved"]) == count


def test_nobody_and_nothing(data: DataFolder) -> None:
    ran = run(data, "users", "erase", "ben", "--yes")
    assert (ran.exit_code, "There is no home 'ben'" in ran.output) == (2, True)
    assert "storage list --home ben" in ran.output


def test_counts_and_spans_as_people_say_them() -> None:
    assert [many(n, "mail") for n in (0, 1, 1200)] == ["0 mails", "1 mail", "1,200 mails"]
    assert many(2, "entry", "entries") == "2 entries"
    assert [span(s) for s in (1, 5, 60, 5400, 86400, 14 * 86400)] == [
        "1 second", "5 seconds", "1 minute", "1.5 hours", "1 day", "14 days",
    ]  # fmt: skip
