"""Whatever is given to `cubehub storage …`, it says what is wrong, with status 2 or 1, and never as something unexpected."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.local.data_folder import DataFolder
from cubehub.storage import clock, journal, rounds, turns
from cubehub.storage.notices import record
from cubehub.storage.planning import COLUMNS
from cubehub.storage.results import FILE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HEAD = ",".join(COLUMNS)
ROW = "ana,.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7"


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    (folder.homes / "ana" / "work").mkdir(parents=True)
    (folder.root / "config").mkdir()
    (folder.root / "config" / "storage.yaml").write_text("preset: gentle\n")
    assert run(folder, "scan").exit_code == 0
    return folder


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), ["storage", *words, "--data", str(data.root)])


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--by", "soon"), ("plan", "--by", "0001-01-01"), ("plan", "--by", ""), ("plan", "--by", "\udcff"), ("plan", "/no/such/plan"),
        ("restore",), ("restore", "0"), ("restore", "-1"), ("restore", "9" * 30), ("restore", "1", "--only", "../x"), ("restore", "1", "--only", "/"),
        ("restore", "--home", "nobody"), ("restore", "--home", "\udcff"), ("restore", "1", "2", "--only", "a"),
        ("hold", "nobody"), ("hold", "ana", "--until", "9999-99-99"), ("hold", "ana", "--until", "2001-01-01"), ("hold", "../ana"),
        ("release", "ana"), ("release", "\udcff"), ("undo",), ("archive",), ("inside",), ("inside", "0"), ("inside", "7"), ("inside", "ana"), ("inside", "1", "--most", "0"), ("resume",), ("run", "--iops", "-1"), ("run", "--iops", "0"),
        ("apply", "/no/such/plan"), ("apply", "/dev/null"), ("apply", "/proc/self/mem"),
    ],
)  # fmt: skip
def test_bad_words(data: DataFolder, words: tuple[str, ...]) -> None:
    ran = run(data, *words)
    assert (ran.exit_code, "did not expect" in ran.output) == (2, False), ran.output
    assert ran.exception is None or isinstance(ran.exception, SystemExit)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff\xfe\x00", HEAD.encode() + b'\n"' + ROW.encode(), HEAD.encode() + b"\nx" + b"," * 5000, ROW.encode(), b"\0" * 5000,
        HEAD.encode() + b"\n" + ROW.replace(",1,1,", "," + "9" * 5000 + ",1,").encode(), HEAD.encode() + b"\n" + ROW.replace(",1,1,", ",-1,1,").encode(),
    ],
)  # fmt: skip
def test_rubbish_for_a_plan(data: DataFolder, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "plan.csv").write_bytes(text)
    ran = run(data, "apply", str(tmp_path / "plan.csv"))
    assert (ran.exit_code, "did not expect" in ran.output) == (2, False), ran.output


def test_the_last_day_there_is(data: DataFolder) -> None:
    assert run(data, "plan", "--by", "9999-12-31").exit_code == 0
    assert run(data, "hold", "ana", "--until", "9999-12-31").exit_code == 0
    assert run(data, "release", "ana").exit_code == 0


@pytest.mark.parametrize("file", [FILE, journal.FILE, record.FILE, rounds.FILE])
@pytest.mark.parametrize("rubbish", [b"rubbish" * 2000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_of_the_keeper_is_named(data: DataFolder, file: str, rubbish: bytes) -> None:
    (data.storage / file).write_bytes(rubbish)
    told = []
    for words in (("plan",), ("list",), ("restore", "1"), ("undo",), ("history",), ("mails",), ("run",), ("show", "--all"), ("hold", "ana")):  # fmt: skip
        ran = run(data, *words)
        assert "did not expect" not in ran.output, (words, ran.output)
        told.append(ran.exit_code == 1 and file in ran.output)
    assert any(told)


@pytest.mark.parametrize(
    "file",
    [
        FILE,
        journal.FILE,
        record.FILE,
        rounds.FILE,
        rounds.LOCK,
        rounds.PROGRESS,
        rounds.PAUSED,
        turns.LOCK,
        turns.CLAIMS,
    ],
)
def test_a_folder_where_a_file_of_the_keeper_should_be(data: DataFolder, file: str) -> None:
    (data.storage / file).unlink(missing_ok=True)
    (data.storage / file).mkdir()
    for words in (("plan",), ("list",), ("restore", "1"), ("history",), ("run",), ("hold", "ana")):
        ran = run(data, *words)
        assert "did not expect" not in ran.output, (words, ran.output)


def test_a_round_after_a_clock_went_wrong_is_listed(data: DataFolder) -> None:
    rounds.History(data.storage).begin("it", 1e13)
    rounds.History(data.storage).begin("it", time.time())
    assert run(data, "history").exit_code == 0


def test_a_clock_that_jumped_removes_nothing(data: DataFolder) -> None:
    (data.root / "config" / "storage.yaml").write_text("preset: gentle\nautomatic: true\n")
    assert run(data, "run").exit_code == 0
    said = json.loads((data.storage / clock.FILE).read_text())
    (data.storage / clock.FILE).write_text(json.dumps(said | {"clock": said["clock"] - 365 * 86400}))
    ran = run(data, "run", "--json")
    assert ran.exit_code == 0, ran.output
    assert "has jumped" in json.loads(ran.stdout)["told"]["left"]
    ran = run(data, "purge", "--yes")
    assert (ran.exit_code, "has jumped" in ran.output, clock.FILE in ran.output) == (2, True, True)
