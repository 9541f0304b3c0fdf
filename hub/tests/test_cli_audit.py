"""`cubehub audit` as an administrator uses it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.local.data_folder import DataFolder
from cubehub_spawner import audit

NOW = datetime.now(UTC)


@pytest.fixture
def data(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


@pytest.fixture
def log(data):
    file = data.logs / "audit.jsonl"
    for hours, user in ((100, "ana"), (3, "petra"), (1, "ana"), (0, "[red]\x1b[2Jx")):
        when = (NOW - timedelta(hours=hours)).isoformat()
        audit.append(
            file,
            {"time": when, "event": "start", "user": user, "asked_by": "hub", "server": "", "profile": "standard",
             "outcome": "granted", "code": None},
        )  # fmt: skip
    return file


def run(data, *words):
    return CliRunner().invoke(load_commands(), ["audit", *words, "--data", str(data.root)])


def test_a_whole_record_tells_its_head_to_be_compared_later(data, log):
    ran = run(data, "verify")
    assert ran.exit_code == 0, ran.output
    assert "The record is whole: 4 lines from number 1." in ran.stdout
    head = ran.stdout.split("head ")[1].strip()
    audit.append(log, {})
    again = run(data, "verify", "--expect-head", head)
    assert (again.exit_code, "the head that you gave is still there" in again.stdout) == (0, True)
    found = json.loads(run(data, "verify", "--json").stdout)
    assert (found["whole"], found["lines"]) == (True, 5)


def test_a_changed_record_is_named_with_its_place(data, log):
    log.write_text(log.read_text().replace("petra", "pedro"))
    ran = run(data, "verify")
    assert ran.exit_code == 1
    assert "audit.jsonl, line 3: the line before it (line 2) was changed" in ran.stderr
    assert "hint: Keep the files as they are" in ran.stderr


def test_lines_that_were_put_in_are_named_with_their_place(data, log):
    whole = log.read_text()
    log.write_text('{"asked_by":"adam","event":"move","user":"ana","to":"premium"}\n' + whole)
    ran = run(data, "verify")
    assert ran.exit_code == 1
    assert "whole" not in ran.stdout
    assert "audit.jsonl, line 1: this line has no number" in ran.stderr
    log.write_text(f"{whole}rubbish\n")
    ran = run(data, "verify")
    assert (ran.exit_code, "audit.jsonl, line 5: this is no line" in ran.stderr) == (1, True)


def test_a_line_that_was_never_finished_is_named_and_no_trouble(data, log):
    log.write_text(f'{log.read_text()}{{"user":"cu')
    ran = run(data, "verify")
    assert ran.exit_code == 0, ran.output
    assert "1 line never finished" in ran.stdout
    assert "audit.jsonl, line 5" in ran.stdout


@pytest.mark.parametrize("head", ["", "5", "5:xyz", f"{10**29}:{0:064}"])
def test_what_is_no_head_is_bad_input(data, log, head):
    assert log.exists()
    ran = run(data, "verify", "--expect-head", head)
    assert ran.exit_code == 2
    assert "no head of the record" in ran.stderr


def test_a_move_is_shown_with_from_to_and_end_in_one_line_each(data):
    file = data.logs / "audit.jsonl"
    line = {"time": NOW.isoformat(), "user": "ana", "asked_by": "adam", "outcome": "begun", "code": None}
    audit.append(
        file,
        {**line, "event": "move", "from": ["standard"], "to": "premium", "until": "2026-12-11T06:17:52Z"},
    )
    audit.append(file, {**line, "event": "move", "from": [], "to": None, "until": None})
    audit.append(
        file, {**line, "event": "suspend", "reason": "left the institute", "asked_by": "service cubehub-cli"}
    )
    found = CliRunner(env={"COLUMNS": "160"}).invoke(
        load_commands(), ["audit", "show", "--data", str(data.root)]
    )
    rows = [" ".join(row.split()) for row in found.stdout.splitlines()]
    when = NOW.strftime("%Y-%m-%d %H:%M:%S")
    assert rows[1:] == [
        f"{when} ana adam move standard → premium until 2026-12-11 06:17 accepted",
        f"{when} ana adam move none → none accepted",
        f"{when} ana command line suspend accepted: left the institute",
    ]
    assert when in run(data, "show").stdout, "time and date stay together where there is less room"


def test_decisions_are_shown_and_move_no_cursor(data, log):
    assert log.exists()
    ran = run(data, "show", "--since", "2h")
    assert ran.exit_code == 0, ran.output
    assert "petra" not in ran.stdout
    assert "\x1b[2J" not in ran.stdout
    assert "[red]" in ran.stdout
    assert "ana" in ran.stdout
    found = json.loads(run(data, "show", "--user", "ana", "--since", "52w", "--json").stdout)
    assert len(found) == 2
    assert "Nothing was decided about nobody" in run(data, "show", "--user", "nobody").stdout
    assert run(data, "show", "--since", "soon").exit_code == 2
