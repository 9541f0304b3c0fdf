"""A clock that jumps ahead makes nothing go before its time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cubehub.storage import clock

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0
NOW = 1_800_000_000.0


def test_a_clock_that_goes_as_it_should_is_believed(tmp_path: Path) -> None:
    for day in range(10):
        assert clock.doubt(tmp_path, (NOW + day * DAY + day * 3600, 100 + day * DAY, "a")) == ""
    assert clock.doubt(tmp_path, (NOW + 40 * DAY, 5, "b")) == "", "it was off for a month"


@pytest.mark.parametrize("days", [365, 30, -30, -3650])
@pytest.mark.parametrize("boot", ["a", "b"])
def test_a_jump_is_seen_and_waited_for(tmp_path: Path, days: int, boot: str) -> None:
    if days == 30 and boot == "b":
        days = 70  # over a start one cannot tell from a machine that was off
    assert clock.doubt(tmp_path, (NOW, 1000.0, "a")) == ""
    then = NOW + days * DAY
    assert "has jumped" in clock.doubt(tmp_path, (then, 2000.0, boot))
    assert "has jumped" in clock.doubt(tmp_path, (then + 2 * DAY, 2000.0 + 2 * DAY, boot))
    assert clock.doubt(tmp_path, (then + 3.1 * DAY, 2000.0 + 3.1 * DAY, boot)) == ""


def test_one_that_was_set_right_again_is_waited_for_no_longer_than_any(tmp_path: Path) -> None:
    clock.doubt(tmp_path, (NOW, 1000.0, "a"))
    assert clock.doubt(tmp_path, (NOW + 3650 * DAY, 1001.0, "a"))
    assert clock.doubt(tmp_path, (NOW, 1002.0, "a"))
    assert clock.doubt(tmp_path, (NOW + 3.1 * DAY, 1002.0 + 3.1 * DAY, "a")) == ""


@pytest.mark.parametrize("content", ["", "[]", "{", '{"clock": "x", "up": null, "doubted_until": 1e300}'])
def test_rubbish_in_its_file_is_no_failure(tmp_path: Path, content: str) -> None:
    (tmp_path / clock.FILE).write_text(content)
    clock.doubt(tmp_path, (NOW, 1000.0, "a"))
    assert json.loads((tmp_path / clock.FILE).read_text())["clock"] == NOW


def test_where_it_cannot_be_written_down_nothing_is_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written down" in clock.doubt(tmp_path / "file")
    assert clock.doubt(tmp_path) == ""
