"""`cubehub storage plan|apply|…` as an administrator uses them, on real homes."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.local.data_folder import DataFolder
from cubehub.storage.results import Results
from cubehub.storage.scan import Scan
from cubehub.storage.tally import LARGE_BYTES, MOST_LARGE, HomeTally, Share
from cubehub_tests.archived import Place

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86400


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    old = time.time() - 200 * DAY_S
    for home in ("ana", "ben"):
        for path, size in (
            (".cache/pip/http/wheel", 300_000),
            ("work/data.bin", 2_000_000),
            ("work/.ipynb_checkpoints/a.ipynb", 9000),
        ):
            file = folder.homes / home / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(size))
            os.utime(file, (old, old))
    (folder.root / "config").mkdir()
    policy(folder, most_of_platform="90")
    assert run(folder, "scan").exit_code == 0
    return folder


def policy(data: DataFolder, **more: str) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in more.items())
    (data.root / "config" / "storage.yaml").write_text(text)


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), ["storage", *words, "--data", str(data.root)])


def cache(data: DataFolder, home: str = "ana") -> Path:
    return data.homes / home / ".cache" / "pip" / "http" / "wheel"


def test_the_whole_way(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    ran = run(data, "plan", str(plan))
    assert ran.exit_code == 0, ran.output
    assert "4 entries" in ran.stdout
    lines = plan.read_text().splitlines()
    assert len([line for line in lines if line.startswith("#")]) == 3
    # edited: ben's are left alone
    plan.write_text("\n".join(line for line in lines if not line.startswith("ben")))
    ran = run(data, "apply", str(plan), "--dry-run")
    assert "2 entries" in ran.stdout
    assert cache(data).exists()
    ran = run(data, "apply", str(plan))
    assert ran.exit_code == 0, ran.output
    assert "2 entries moved into quarantine" in ran.stdout
    assert not cache(data).exists()
    assert cache(data, "ben").exists()
    assert (data.homes / "ana" / "work" / "data.bin").exists()
    listed = json.loads(run(data, "list", "--json").stdout)
    assert {one["path"] for one in listed} == {".cache/pip", "work/.ipynb_checkpoints"}
    ran = run(data, "purge", "--yes")
    assert "has been in quarantine for 14 days" in ran.stdout, "the hold is not over"
    number = next(str(one["number"]) for one in listed if one["kind"] == "pip")
    assert "1 entry put back" in run(data, "restore", number).stdout
    assert cache(data).exists()
    assert "1 entry put back" in run(data, "undo").stdout
    assert (data.homes / "ana" / "work" / ".ipynb_checkpoints" / "a.ipynb").exists()
    assert "Nothing is in quarantine" in run(data, "list").stdout
    events = [json.loads(line) for line in (data.logs / "audit.jsonl").read_text().splitlines()]
    assert [(e["event"], e["user"]) for e in events] == [("storage_quarantine", "ana")] + [
        ("storage_restore", "ana")
    ] * 2
    assert CliRunner().invoke(load_commands(), ["audit", "show", "--data", str(data.root)]).exit_code == 0


def pip(data: DataFolder, home: str = "ana") -> int:
    told = json.loads(run(data, "show", home, "--json").stdout)
    return int(told["caches"].get("pip", {"bytes": 0})["bytes"])


def test_what_was_moved_since_the_scan_is_not_counted_again(data: DataFolder, tmp_path: Path) -> None:
    plan, before = tmp_path / "plan.csv", json.loads(run(data, "show", "--json").stdout)
    assert pip(data) >= 300_000
    run(data, "plan", str(plan))
    lines = plan.read_text().splitlines()
    plan.write_text("\n".join(line for line in lines if not line.startswith("ben")))
    assert "2 entries moved" in run(data, "apply", str(plan)).stdout
    left = json.loads(run(data, "plan", "--json").stdout)
    assert {entry["home"] for entry in left["entries"]} == {"ben"}
    assert (pip(data), pip(data, "ben") >= 300_000) == (0, True)
    ana = json.loads(run(data, "show", "ana", "--json").stdout)
    assert 2_000_000 <= ana["bytes"] < 2_200_000
    assert not [path for path, _ in ana["places"] if path.startswith(".cache/pip")]
    assert dict(ana["places"])[""]["bytes"] < 2_200_000
    told = run(data, "show").stdout
    assert "without 2 entries that were moved away since then" in told
    assert json.loads(run(data, "show", "--json").stdout)["bytes"] < before["bytes"] - 300_000
    assert run(data, "undo").exit_code == 0
    assert json.loads(run(data, "show", "--json").stdout) == before
    assert len(json.loads(run(data, "plan", "--json").stdout)["entries"]) == 4


def test_what_is_new_where_something_was_removed_is_counted(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    policy(data, most_of_platform="90", hold="1h")
    run(data, "plan", str(plan))
    run(data, "apply", str(plan))
    with sqlite3.connect(data.storage / "journal.sqlite") as made:
        made.execute("UPDATE moves SET at = at - 7200")
    made.close()
    assert "removed" in run(data, "purge", "--yes").stdout
    assert pip(data) == 0
    # the file system may give it the same inode
    cache(data).parent.mkdir(parents=True)
    cache(data).write_bytes(bytes(500_000))
    assert run(data, "scan").exit_code == 0
    assert pip(data) >= 500_000


def test_a_mistake_in_storage_yaml_keeps_nothing_away(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    run(data, "plan", str(plan))
    run(data, "apply", str(plan))
    policy(data, hold="soon")
    number = str(json.loads(run(data, "list", "--home", "ana", "--json").stdout)[0]["number"])
    ran = run(data, "list")
    assert ran.exit_code == 0
    assert "not known" in ran.stdout
    assert "storage.yaml" in ran.stderr
    assert json.loads(run(data, "list", "--json").stdout)[0]["kept_until"] == "not known"
    assert run(data, "inside", number).exit_code == 0
    assert "1 entry put back" in run(data, "restore", number).stdout
    assert "3 entries put back" in run(data, "undo").stdout
    assert cache(data).exists()
    # what decides by it still says what is wrong
    assert run(data, "purge", "--yes").exit_code == 2
    assert run(data, "plan").exit_code == 2


def test_what_is_only_in_an_archive_waits_until_the_mistake_is_mended(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.archive().why == ""
    assert place.purge().why == ""
    data = DataFolder(tmp_path / "data")
    data.prepare()
    data.storage.parent.mkdir(parents=True, exist_ok=True)
    place.state.rename(data.storage)
    (data.root / "config").mkdir()
    policy(data, hold="soon")
    homes = ("--homes", str(place.homes))
    for words in (("restore", "1"), ("undo",), ("inside", "1")):
        ran = run(data, *words, *homes)
        assert (ran.exit_code, "storage.yaml" in ran.stderr) == (2, True), ran.output
    policy(data, archive=f"{{to: {place.store}}}")
    assert "1 entry put back" in run(data, "restore", "1", *homes).stdout


def test_what_is_inside_of_something_that_is_away(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    run(data, "plan", str(plan))
    run(data, "apply", str(plan))
    listed = json.loads(run(data, "list", "--home", "ana", "--json").stdout)
    number = next(str(one["number"]) for one in listed if one["kind"] == "pip")
    assert run(data, "inside", number).stdout.split("\n")[0].strip() == "http/"
    assert f"storage restore {number} --only PATH" in run(data, "inside", number).stdout
    told = json.loads(run(data, "inside", number, "--json").stdout)
    assert [(e["path"], e["folder"]) for e in told["entries"]] == [("http", True), ("http/wheel", False)]
    assert told["entries"][1]["bytes"] >= 300_000
    assert not told["more"]
    cut = run(data, "inside", number, "--most", "1").stdout
    assert "http/wheel" not in cut
    assert "--most 10 tells more" in cut
    assert "1 entry put back" in run(data, "restore", number, "--only", "http/wheel").stdout


def test_what_is_inside_of_an_archive(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.archive().why == ""
    assert place.purge().why == ""
    data = DataFolder(tmp_path / "data")
    data.prepare()
    data.storage.parent.mkdir(parents=True, exist_ok=True)
    place.state.rename(data.storage)
    (data.root / "config").mkdir()
    policy(data, archive=f"{{to: {place.store}}}")
    number = str(json.loads(run(data, "list", "--json").stdout)[0]["number"])
    told = json.loads(run(data, "inside", number, "--homes", str(place.homes), "--json").stdout)
    paths = {e["path"]: e["bytes"] for e in told["entries"]}
    assert {*paths} == {"a.ipynb", "deep", "deep/b.nc", "deep/naïve%0A", "link", "second"}
    assert paths["deep/b.nc"] == 4000
    place.store.rename(tmp_path / "elsewhere")
    ran = run(data, "inside", number, "--homes", str(place.homes))
    assert (ran.exit_code, "Traceback" in ran.output) == (1, False), ran.output


def test_days_are_told_with_their_zone(data: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    plan = tmp_path / "plan.csv"
    run(data, "plan", str(plan))
    run(data, "apply", str(plan))
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    try:
        listed, shown = run(data, "list").stdout, run(data, "show").stdout
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "days are those of XYZ" in listed
    assert re.search(r"looked at \d\d\d\d-\d\d-\d\d \d\d:\d\d XYZ", shown)


def test_after_the_hold_it_is_removed_and_written_down(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    run(data, "plan", str(plan))
    run(data, "apply", str(plan))
    policy(data, hold="1s")
    time.sleep(1.1)
    ran = run(data, "purge")
    assert ran.exit_code != 0, "nobody said yes"
    assert len(json.loads(run(data, "list", "--json").stdout)) == 4
    ran = run(data, "purge", "--yes")
    assert "4 entries removed" in ran.stdout
    assert not list((data.homes / ".cubehub-quarantine").glob("[!.]*"))
    assert (data.homes / "ana" / "work" / "data.bin").exists()
    assert '"storage_purge"' in (data.logs / "audit.jsonl").read_text()
    assert run(data, "undo").exit_code == 2


def test_what_would_be_by_a_date(data: DataFolder) -> None:
    policy(data, caches="{pip: 300d, checkpoints: 300d}")
    assert "Nothing would be moved" in run(data, "plan").stdout
    later = time.strftime("%Y-%m-%d", time.localtime(time.time() + 150 * DAY_S))
    assert "4 entries" in run(data, "plan", "--by", later).stdout
    assert run(data, "plan", "--by", "2001-01-01").exit_code == 2
    assert run(data, "plan", "--by", "soon").exit_code == 2


def test_a_home_with_more_large_files_than_a_scan_tells_is_named(data: DataFolder) -> None:
    tally = HomeTally(Share(0, 300, 5), 1, inode=9)
    for number in range(MOST_LARGE + 50):
        tally.count_large(2 * LARGE_BYTES + number, 5, b"%d.nc" % number, number + 1)
    results = Results(data.storage)
    results.add(Scan(data.homes, 1.0, 2.0, {b"ana": tally}, {b"ana": 0}))
    told = "Not all large files of ana can be planned at once"
    policy(data, large="365d", large_from="128M")
    assert told in run(data, "plan").stderr
    policy(data, large="365d", large_from="129M")
    assert told not in run(data, "plan").stderr, "a scan tells all of these"
    policy(data, large_from="128M")
    assert told not in run(data, "plan").stderr, "no large file is moved"


def test_a_plan_that_moves_much_needs_a_word(data: DataFolder, tmp_path: Path) -> None:
    policy(data, most_of_home="1")
    plan = tmp_path / "plan.csv"
    assert "a run may move 1 %" in run(data, "plan", str(plan)).stdout
    ran = run(data, "apply", str(plan))
    assert ran.exit_code == 2
    assert "--yes-really" in ran.stderr
    assert cache(data).exists()
    assert "4 entries moved" in run(data, "apply", str(plan), "--yes-really").stdout


def test_a_running_server_keeps_all_of_its_home(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    run(data, "plan", str(plan))
    with subprocess.Popen(["sleep", "60"], cwd=data.homes / "ana") as process:
        ran = run(data, "apply", str(plan))
        process.kill()
    assert "2 entries moved" in ran.stdout
    assert "2 left alone" in ran.stdout
    assert "ana/.cache/pip: a server or another program of this person runs" in ran.stdout
    assert cache(data).exists()
    assert not cache(data, "ben").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("restore",),
        ("restore", "7"),
        ("restore", "--home", "nobody"),
        ("undo",),
        ("apply", "none.csv"),
        ("restore", "0"),
    ],
)
def test_bad_input_is_told(data: DataFolder, words: tuple[str, ...]) -> None:
    ran = run(data, *words)
    assert ran.exit_code == 2, ran.output
    assert "error:" in ran.stderr
    assert "Traceback" not in ran.output


def test_a_policy_that_cannot_be_read_stops_all_that_decides_by_it(data: DataFolder, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    run(data, "plan", str(plan))
    policy(data, preset="harsh")
    for words in (("plan",), ("apply", str(plan)), ("purge", "--yes")):
        assert run(data, *words).exit_code == 2
    assert cache(data).exists()
