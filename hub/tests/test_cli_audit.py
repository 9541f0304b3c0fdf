from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.cli.audit import read_since
from cubehub.errors import BadInputError
from cubehub.local.data_folder import DataFolder
from cubehub_spawner import audit

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    for user, event, hours in (("ana", "start", 5), ("petra", "resize", 1), ("ana", "stop", 0)):
        moment = (NOW - timedelta(hours=hours)).isoformat(timespec="milliseconds")
        line = {"time": moment, "event": event, "user": user, "asked_by": "hub", "profile": "standard"}
        audit.append(folder.logs / "audit.jsonl", {**line, "memory_bytes": 5 * 2**30, "outcome": "granted"})
    return folder


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        load_commands(), ["audit", *words, "--data", str(data.root)]
    )


def test_a_whole_log_has_a_head_to_compare_with_later(data: DataFolder) -> None:
    result = run(data, "verify")
    assert result.exit_code == 0, result.output
    assert "3 lines, none missing or changed" in result.stdout
    head = result.stdout.splitlines()[-1].removeprefix("head ")
    audit.append(data.logs / "audit.jsonl", {"user": "ana"})
    later = run(data, "verify", "--json", "--expect-head", head)
    assert later.exit_code == 0
    assert json.loads(later.stdout)["whole"] is True
    assert json.loads(later.stdout)["lines"] == 4


def test_a_broken_log_is_told_by_file_line_and_what(data: DataFolder) -> None:
    file = data.logs / "audit.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], lines[1].replace("petra", "paula"), lines[2]]))
    result = run(data, "verify")
    assert result.exit_code == 1
    assert "audit.jsonl, line 2: line number 2 was changed" in result.stdout
    assert result.stderr.startswith("error: ")
    assert "hint: " in result.stderr
    found = run(data, "verify", "--json")
    assert found.exit_code == 1
    [problem] = json.loads(found.stdout)["problems"]
    assert (problem["file"], problem["line"]) == ("audit.jsonl", 2)


def test_another_head_than_expected_is_a_broken_log(data: DataFolder) -> None:
    assert run(data, "verify", "--expect-head", f"2:{'a' * 64}").exit_code == 1
    assert run(data, "verify", "--expect-head", "nonsense").exit_code == 2


def test_a_log_that_cannot_be_read_is_an_error_of_its_own(data: DataFolder) -> None:
    file = data.logs / "audit.jsonl"
    file.unlink()
    file.mkdir()
    result = run(data, "verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "audit_unreadable"


def test_lines_are_shown_by_person_and_time(data: DataFolder) -> None:
    everything = run(data, "show").stdout
    assert [w for w in everything.split() if w in {"start", "resize", "stop"}] == ["start", "resize", "stop"]
    assert "5 GiB" in everything
    hers = json.loads(run(data, "show", "--user", "ana", "--json").stdout)["lines"]
    assert [line["event"] for line in hers] == ["start", "stop"]
    late = json.loads(run(data, "show", "--since", "2h", "--json").stdout)["lines"]
    assert [line["event"] for line in late] == ["resize", "stop"]
    assert "No decisions." in run(data, "show", "--user", "nobody").stdout


def test_what_somebody_chose_does_not_move_the_cursor(data: DataFolder) -> None:
    audit.append(data.logs / "audit.jsonl", {"user": "\x1b[2Jeve[red]", "server": "a\nb"})
    shown = run(data, "show").stdout
    assert "\x1b[2J" not in shown
    assert "eve[red]" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("1w", NOW - timedelta(weeks=1)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_times_are_read(text: str, expected: datetime) -> None:
    assert read_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "1h30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        read_since(text, NOW)
