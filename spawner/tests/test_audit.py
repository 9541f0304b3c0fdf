"""The audit log: whole lines or an error."""

import errno
import fcntl
import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cubehub_spawner import audit
from cubehub_spawner.audit_check import verify
from hypothesis import given, settings
from hypothesis import strategies as st


def test_each_decision_is_one_line(tmp_path):
    file = tmp_path / "logs" / "audit.jsonl"
    for user in ("ana", "petra\n", "\ud800"):
        audit.append(file, {"user": user})
    assert [json.loads(line)["user"] for line in file.read_text().splitlines()] == [
        "ana",
        "petra\n",
        "\ud800",
    ]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        audit.append(tmp_path / "audit.jsonl", {})
    assert not (tmp_path / "elsewhere").exists()


CUT = """
import resource, sys
from pathlib import Path
from cubehub_spawner import audit
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
try: audit.append(Path(sys.argv[1]), {"user": "x" * 100})
except OSError as error: print(error.strerror)
"""


def test_a_line_that_is_cut_is_an_error(tmp_path):
    """As on a disk that is full: the kernel takes a part of the line and reports no error."""
    ran = subprocess.run(
        [sys.executable, "-c", CUT, str(tmp_path / "audit.jsonl")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "No space left on device"
    audit.append(tmp_path / "audit.jsonl", {"user": "next"})
    cut, whole = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert cut.startswith('{"user":"xxx')
    assert json.loads(whole) == {"user": "next", "seq": 1, "prev": audit.START}
    report = verify(tmp_path / "audit.jsonl")
    assert (report.whole, report.lines, report.cut) == (True, 1, 1)


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "audit.jsonl"
    for number in range(6):
        audit.append(file, {"user": f"u{number}", "memory_bytes": 5})
    return file


def lines(file):
    return file.read_bytes().splitlines(keepends=True)


def troubles(file, expected=None):
    return [trouble.message for trouble in verify(file, expected).troubles]


def test_what_was_written_is_whole(log):
    report = verify(log)
    assert (report.whole, report.lines, report.first, report.head) == (True, 6, 1, audit.read_head(log))
    assert verify(log, report.head).whole
    audit.append(log, {})
    assert verify(log, report.head).whole, "an earlier end is still there"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda text: [*text[:2], text[2].replace(b"u2", b"uX"), *text[3:]], r"\(line 3\) was changed"),
        (lambda text: [*text[:2], *text[3:]], "line 4 follows line 2"),
        (lambda text: [*text[:3], text[1], *text[3:]], "line 2 follows line 3"),
        (lambda text: [*text[:3], b'{"user":"eve"}\n', *text[3:]], "no number: it was put in"),
        (lambda text: text[:4], "its end is missing"),
        (lambda text: [*text[:5], text[5].replace(b"u5", b"uX")], r"last line \(line 6\) was changed"),
        (lambda text: text[2:], "lines 1 to 2 are missing at the beginning"),
        (lambda text: [*text[:3], b"rubbish\n", *text[4:]], "line 5 follows line 3"),
        (lambda text: text[:0], "log ends with line 0"),
    ],
)
def test_each_kind_of_harm_is_named_with_its_place(log, harm, said):
    log.write_bytes(b"".join(harm(lines(log))))
    assert re.search(said, "; ".join(troubles(log)))


def test_a_log_made_anew_is_told_by_an_end_that_was_written_down(log):
    written_down = verify(log).head
    audit.head_file(log).unlink()
    log.unlink()
    for _ in range(6):
        audit.append(log, {"user": "forged"})
    assert verify(log).whole
    assert troubles(log, written_down) == ["line 6 is not the one that was written down"]
    beyond = audit.Head(99, written_down.digest)
    assert troubles(log, beyond) == ["line 99 was written down, and the log ends with line 6"]


def test_what_a_crash_left_half_done_is_mended(log):
    before = audit.head_file(log).read_bytes()
    audit.append(log, {"user": "after"})
    audit.head_file(log).write_bytes(before)  # the line was written, its head was not
    assert verify(log).whole
    with log.open("ab") as opened:
        opened.write(b'{"user":"cut')  # power went
    audit.append(log, {"user": "next"})
    report = verify(log)
    assert (report.whole, report.lines, report.cut) == (True, 8, 1)
    audit.head_file(log).write_bytes(b"")
    audit.append(log, {"user": "without a head"})
    assert verify(log).lines == 9
    assert verify(log).whole


def test_a_log_without_chain_is_gone_on_with(tmp_path):
    file = tmp_path / "audit.jsonl"
    file.write_text('{"user":"old"}\n{"user":"older"}\n')
    audit.append(file, {"user": "new"})
    report = verify(file)
    assert (report.whole, report.before_chain, report.lines) == (True, 2, 2)
    first, second = (json.loads(line) for line in lines(file)[2:])
    assert (first["event"], first["older_lines"], first["seq"]) == ("chain_begun", 2, 1)
    assert second["user"] == "new"


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: [b'{"user":"eve"}\n', *text],
        lambda text: [text[0].replace(b"old", b"eve"), *text[1:]],
        lambda text: text[1:],
        lambda text: [text[1], text[0], *text[2:]],
    ],
    ids=["one more", "changed", "one less", "in another order"],
)
def test_older_lines_are_those_that_the_chain_was_begun_after(tmp_path, harm):
    file = tmp_path / "audit.jsonl"
    file.write_text('{"user":"old"}\n{"user":"older"}\n')
    audit.append(file, {"user": "new"})
    assert verify(file).whole
    file.write_bytes(b"".join(harm(lines(file))))
    found = verify(file)
    assert (found.whole, found.before_chain) == (False, 0)
    assert found.troubles[0].line == 1
    assert "it was put in" in found.troubles[0].message


def test_a_line_before_a_chain_that_begins_with_the_log_was_put_in(log):
    written_down = verify(log).head
    log.write_bytes(b'{"asked_by":"adam","event":"move","user":"eve"}\n' + log.read_bytes())
    (trouble,) = verify(log, written_down).troubles
    assert (trouble.file, trouble.line) == ("audit.jsonl", 1)
    assert "it was put in" in trouble.message


def test_lines_without_any_chain_are_not_called_whole(tmp_path):
    file = tmp_path / "audit.jsonl"
    file.write_text('{"user":"eve"}\n')
    assert [one.line for one in verify(file).troubles] == [1]


@pytest.mark.parametrize("text", [b"rubbish", b"[1]", b"7", b'{"user":"eve"} x', b"{'user'}", b"\xff"])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_what_is_no_line_of_ours_is_named_with_its_place(log, text, place):
    before = lines(log)
    log.write_bytes(b"".join([*before[:place], text + b"\n", *before[place:]]))
    (trouble,) = verify(log).troubles
    assert (trouble.line, "no line of the record" in trouble.message) == (place + 1, True)


@given(st.integers(1, 80))
def test_a_line_of_ours_that_was_cut_anywhere_is_told_and_no_trouble(tmp_path_factory, length):
    file = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    audit.append(file, {"user": "ana", "groups": ["/é"], "memory_bytes": 12, "code": None})
    cut = lines(file)[0][:length]
    with file.open("ab") as opened:
        opened.write(cut)
    audit.append(file, {"user": "next"})
    report = verify(file)
    assert (report.whole, [one.line for one in report.cut_places]) == (True, [2])


def test_the_chain_goes_over_files_and_says_what_went(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "LARGEST_BYTES", 600)
    monkeypatch.setattr(audit, "KEPT_FILES", 3)
    file = tmp_path / "audit.jsonl"
    for number in range(60):
        audit.append(file, {"user": f"u{number}"})
    assert [one.name for one in audit.files(file)] == [
        "audit.jsonl.3", "audit.jsonl.2", "audit.jsonl.1", "audit.jsonl",
    ]  # fmt: skip
    report = verify(file)
    assert report.whole, report.troubles
    assert report.first > 1
    gone = [json.loads(line) for one in audit.files(file) for line in one.read_text().splitlines()]
    assert {"log_rotated"} == {line["event"] for line in gone if "event" in line}
    assert max(line.get("dropped_through", 0) for line in gone) == report.first - 1
    (tmp_path / "audit.jsonl.2").unlink()
    assert any("missing or doubled" in message for message in troubles(file))


WRITER = """
import sys
from pathlib import Path
from cubehub_spawner import audit
for number in range(150): audit.append(Path(sys.argv[1]), {"user": f"{sys.argv[2]}-{number}"})
"""


def test_two_processes_write_one_chain(tmp_path):
    file = tmp_path / "audit.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), name]) for name in "abc"]
    while any(writer.poll() is None for writer in writers):
        assert troubles(file) == [], "whoever looks in the meantime sees no trouble"
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    report = verify(file)
    assert (report.whole, report.lines) == (True, 450)


def test_a_log_that_another_process_holds_is_an_error(log, monkeypatch):
    monkeypatch.setattr(audit, "_PATIENCE_S", 0.05)
    with audit.head_file(log).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process holds"):
            audit.append(log, {})


def test_killed_while_files_are_put_aside_leaves_no_trouble(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "LARGEST_BYTES", 600)
    monkeypatch.setattr(audit, "KEPT_FILES", 3)
    file = tmp_path / "audit.jsonl"
    while not (tmp_path / "audit.jsonl.3").exists() or file.stat().st_size < 600:
        audit.append(file, {"user": "ana"})
    replace = Path.replace
    monkeypatch.setattr(audit, "_PATIENCE_S", 0)  # the check is made while the writer has the lock
    for steps in (0, 1, 2, 99):
        left = iter(range(steps))

        def killed(self, target, left=left):
            assert troubles(file) == []
            if next(left, None) is None:
                raise OSError(errno.EIO, "killed")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", killed)
        with suppress(OSError):
            audit.append(file, {"user": "petra"})
        assert troubles(file) == []
    assert len(audit.files(file)) == 4


@settings(deadline=None)  # it writes files, and waits for whoever else does
@given(st.binary(max_size=300))
def test_whatever_stands_in_the_file_the_next_line_is_whole(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    file.write_bytes(content)
    verify(file)
    audit.append(file, {"user": "ana"})
    assert json.loads(lines(file)[-1])["user"] == "ana"
