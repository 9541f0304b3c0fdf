"""The audit log: whole lines or an error, and a chain that shows what was done to it."""

import fcntl
import json
import os
import subprocess
import sys

import pytest
from cubehub_spawner import _chain, audit
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def file(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def fill(file, count, **sizes):
    for number in range(count):
        _chain.append_line(file, {"user": f"u{number}"}, **sizes)


def said(report):
    return [finding.what for finding in report.problems]


def users(path):
    return [line["user"] for line in audit.lines(path) if "user" in line]


def test_each_decision_is_one_line(file):
    for user in ("ana", "petra\n", "\ud800"):
        audit.append(file, {"user": user})
    assert users(file) == ["ana", "petra\n", "\ud800"]
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700
    report = audit.verify(file)
    assert report.whole
    assert (report.lines, report.first, report.head.split(":")[0]) == (3, 1, "3")


def test_nobody_can_choose_a_number_by_what_they_post(file):
    audit.append(file, {"user": "ana", "seq": 99, "prev": "mine"})
    audit.append(file, {"user": "petra"})
    assert audit.verify(file).whole


@pytest.mark.parametrize("name", ["audit.jsonl", "audit.jsonl.head"])
def test_a_link_is_not_followed(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        audit.append(tmp_path / "audit.jsonl", {})
    assert not (tmp_path / "elsewhere").exists()


CUT = """
import resource, sys
from pathlib import Path
from cubehub_spawner import audit
audit.append(Path(sys.argv[1]), {"user": "first"})
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try: audit.append(Path(sys.argv[1]), {"user": "x" * 100})
except OSError as error: print(error.strerror)
"""


def test_a_line_that_is_cut_is_an_error_and_the_next_one_is_whole(file):
    """As on a disk that is full: the kernel takes a part of the line and reports no error."""
    ran = subprocess.run([sys.executable, "-c", CUT, str(file)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "No space left on device"
    report = audit.verify(file)
    assert report.whole, "no decision is missing"
    assert [(cut.file, cut.line) for cut in report.cut] == [("audit.jsonl", 2)]
    audit.append(file, {"user": "next"})
    assert users(file) == ["first", "next"]
    assert audit.verify(file).whole


def test_a_writer_killed_before_it_noted_the_head_left_a_line_that_counts(file):
    fill(file, 2)
    head = _chain.head_file(file).read_bytes()
    fill(file, 1)
    _chain.head_file(file).write_bytes(head)
    assert audit.verify(file).whole
    fill(file, 1)
    assert audit.verify(file).lines == 4
    assert audit.verify(file).whole


def test_a_line_whose_end_alone_is_missing_counts_once(file):
    fill(file, 2)
    head = _chain.head_file(file).read_bytes()
    fill(file, 1)
    _chain.head_file(file).write_bytes(head)
    os.truncate(file, file.stat().st_size - 1)
    fill(file, 1)
    report = audit.verify(file)
    assert (report.whole, report.lines, report.cut) == (True, 4, [])


def edit(file, number, change):
    """Change one line of the log, as an editor would."""
    lines = file.read_bytes().splitlines(keepends=True)
    lines[number - 1 : number] = change(lines[number - 1])
    file.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("number", "change", "told"),
    [
        pytest.param(2, lambda line: [line.replace(b"u1", b"u9")], "line number 2 was changed", id="changed"),
        pytest.param(2, lambda _line: [], "line number 3: lines are missing before it: 2", id="removed"),
        pytest.param(2, lambda line: [line, line], "2 was before it", id="twice"),
        pytest.param(2, lambda line: [b'{"user":"eve"}\n', line], "the Hub did not write", id="added"),
        pytest.param(1, lambda _line: [], "what was before it is missing", id="the first removed"),
        pytest.param(5, lambda _line: [], "missing at the end: 5", id="the last removed"),
        pytest.param(
            5, lambda line: [line.replace(b"u4", b"u9")], "line number 5 was changed", id="last changed"
        ),
        pytest.param(4, lambda _line: [b"torn\n"], "missing before it: 4", id="made to look cut"),
    ],
)
def test_what_was_done_to_a_line_is_told(file, number, change, told):
    fill(file, 5)
    edit(file, number, change)
    report = audit.verify(file)
    assert any(told in what for what in said(report)), said(report)
    assert all(finding.file == "audit.jsonl" for finding in report.problems)


def test_the_hub_goes_on_after_that_and_does_not_cover_it_up(file):
    fill(file, 5)
    edit(file, 5, lambda _line: [])
    fill(file, 1)
    assert said(audit.verify(file)) == ["line number 6: lines are missing before it: 5"]


@pytest.mark.parametrize(
    "change", [lambda head: head.unlink(), lambda head: head.write_text("?")], ids=["lost", "garbled"]
)
def test_a_lost_head_is_told_and_made_anew(file, change):
    fill(file, 3)
    change(_chain.head_file(file))
    assert said(audit.verify(file)) == ["the note of the last line is missing or can't be read"]
    fill(file, 1)
    assert audit.verify(file).whole
    assert audit.verify(file).lines == 4


def test_a_log_written_anew_does_not_have_the_head_that_was_kept_elsewhere(file):
    fill(file, 3)
    kept = audit.read_head(audit.verify(file).head)
    fill(file, 2)
    assert audit.verify(file, kept).whole
    for path in list(file.parent.iterdir()):
        path.unlink()
    fill(file, 1)
    for number in range(4):
        audit.append(file, {"user": f"forged{number}"})
    assert audit.verify(file).whole, "a chain without a secret can be written anew"
    assert "with the expected hash is not in the log" in said(audit.verify(file, kept))[0]


@pytest.mark.parametrize("text", ["", "5", "x:" + "0" * 64, "5:abc", "-1:" + "0" * 64])
def test_what_is_no_head_is_refused(text):
    with pytest.raises(ValueError, match="is no head"):
        audit.read_head(text)


def test_the_chain_goes_over_files_and_says_what_was_dropped(file):
    fill(file, 60, largest=1000, kept=3)
    files = _chain.put_aside(file)
    assert len(files) == 3
    assert all(path.stat().st_size <= 1000 for path in [*files, file])
    report = audit.verify(file)
    assert report.whole, said(report)
    assert 0 < report.dropped == report.first - 1
    assert users(file)[-1] == "u59"
    (files[1]).unlink()
    assert "lines are missing before it" in said(audit.verify(file))[0]


def test_files_dropped_by_hand_are_missed(file):
    fill(file, 60, largest=1000, kept=30)
    assert audit.verify(file).dropped == 0
    for path in _chain.put_aside(file)[:2]:
        path.unlink()
    assert "what was before it is missing" in said(audit.verify(file))[0]


def test_a_file_that_cannot_be_put_aside_grows_on(file, monkeypatch):
    fill(file, 5)
    (file.parent / "audit.jsonl.000000000005").mkdir()
    fill(file, 5, largest=10)
    monkeypatch.undo()
    (file.parent / "audit.jsonl.000000000005").rmdir()
    assert audit.verify(file).whole
    assert audit.verify(file).lines == 10


def test_nothing_but_the_newest_file_can_be_kept(file):
    fill(file, 20, largest=1000, kept=0)
    assert _chain.put_aside(file) == []
    assert audit.verify(file).whole
    assert audit.verify(file).dropped > 0


def test_a_killed_writer_between_two_files_leaves_a_chain(file):
    fill(file, 5)
    file.rename(file.with_name("audit.jsonl.000000000005"))
    fill(file, 2)
    assert audit.verify(file).whole
    assert audit.verify(file).lines == 7


def test_a_log_from_before_the_chain_is_gone_on_with(file):
    file.parent.mkdir()
    file.write_text('{"user":"old"}\n{"user":"older"}\n')
    assert audit.verify(file).whole
    audit.append(file, {"user": "new"})
    report = audit.verify(file)
    assert (report.whole, report.unchained, report.lines) == (True, 2, 1)
    assert users(file) == ["old", "older", "new"]


def test_no_log_is_an_empty_one(file):
    report = audit.verify(file)
    assert (report.whole, report.lines, report.head) == (True, 0, f"0:{'0' * 64}")
    assert list(audit.lines(file)) == []


MANY = """
import os, sys
from pathlib import Path
from cubehub_spawner._chain import append_line
for number in range(300):
    append_line(Path(sys.argv[1]), {"user": f"{os.getpid()}-{number}"}, largest=20_000, kept=100)
"""


def test_two_writers_make_one_chain(file):
    writers = [subprocess.Popen([sys.executable, "-c", MANY, str(file)]) for _ in range(2)]
    looks = [audit.verify(file).whole for _ in range(20)]  # while they write
    for writer in writers:
        assert writer.wait(60) == 0
    assert all(looks)
    report = audit.verify(file)
    assert (said(report), report.lines) == ([], 600)
    assert len(set(users(file))) == 600


def test_a_writer_that_was_stopped_with_the_lock_makes_the_next_one_fail_not_wait(file, monkeypatch):
    monkeypatch.setattr(_chain, "_PATIENCE_S", 0.05)
    fill(file, 1)
    with _chain.head_file(file).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="locked"):
            audit.append(file, {"user": "ana"})
        assert audit.verify(file).lines == 1
    audit.append(file, {"user": "ana"})
    assert audit.verify(file).whole


@given(st.binary(max_size=300))
def test_whatever_stands_in_the_files_the_check_ends(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    file.write_bytes(content)
    audit.verify(file)
    audit.append(file, {"user": "ana"})
    assert users(file)[-1] == "ana"
    assert json.loads(file.read_bytes().splitlines()[-1])["user"] == "ana"
