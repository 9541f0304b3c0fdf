from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub.local.logfiles import trim

if TYPE_CHECKING:
    import pytest


def test_only_what_is_too_large_is_moved_and_the_writer_keeps_its_file(tmp_path: Path) -> None:
    (tmp_path / "small.log").write_text("small")
    (tmp_path / "audit.jsonl").write_text("x" * 99)
    large = tmp_path / "large.log"
    with large.open("a") as writer:
        writer.write("first " * 10)
        writer.flush()
        assert trim(tmp_path, 50) == ["large.log"]
        writer.write("second")
    assert large.read_text() == "second"
    assert (tmp_path / "large.log.1").read_text() == ("first " * 10)[-50:], "a line longer than the bound"
    assert (tmp_path / "small.log").read_text() == "small"
    assert (tmp_path / "audit.jsonl").read_text() == "x" * 99
    assert trim(tmp_path, 50) == []
    large.write_text("third " * 10)
    assert trim(tmp_path, 50) == ["large.log"]
    assert (tmp_path / "large.log.1").read_text() == ("third " * 10)[-50:]
    assert len(list(tmp_path.iterdir())) == 4


def test_of_a_file_that_grew_far_too_large_the_newest_lines_are_kept(tmp_path: Path) -> None:
    lines = [f"line {number:04}\n" for number in range(1000)]
    (tmp_path / "hub.log").write_text("".join(lines))
    assert trim(tmp_path, 100) == ["hub.log"]
    assert (tmp_path / "hub.log.1").read_text() == "".join(lines[-10:])
    (tmp_path / "hub.log").write_text("".join(lines))
    assert trim(tmp_path, 99) == ["hub.log"]
    assert (tmp_path / "hub.log.1").read_text() == "".join(lines[-9:])


def test_on_a_full_disk_the_bound_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: Path, _: bytes) -> None:
        file.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    (tmp_path / "hub.log").write_text("x" * 99)
    assert trim(tmp_path, 50) == ["hub.log"]
    assert [path.name for path in tmp_path.iterdir()] == ["hub.log"]
    assert (tmp_path / "hub.log").read_text() == ""
    assert "No space left" in caplog.text
