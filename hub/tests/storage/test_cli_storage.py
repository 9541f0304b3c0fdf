"""`cubehub storage` as an administrator uses it."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.local.data_folder import DataFolder
from cubehub.storage.results import KEPT_WHOLE, Results

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    for home, size in (("ana", 300_000), ("ben", 10), (b"e\x1bve", 5000)):
        at = os.path.join(os.fsencode(folder.homes), os.fsencode(home))  # noqa: PTH118 - bytes
        os.makedirs(at + b"/work/big")  # noqa: PTH103 - as above
        with open(at + b"/work/big/data.bin", "wb") as file:  # noqa: PTH123 - as above
            file.write(bytes(size))
    (folder.homes / "ana" / ".cache" / "pip").mkdir(parents=True)
    (folder.homes / "ana" / ".cache" / "pip" / "x").write_bytes(bytes(50_000))
    return folder


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), ["storage", *words, "--data", str(data.root)])


def test_what_fills_the_homes_is_shown(data: DataFolder) -> None:
    ran = run(data, "scan")
    assert ran.exit_code == 0, ran.output
    first, second, third = [line.split()[0] for line in ran.stdout.splitlines()[1:4]]
    assert (first, second, third) == ("ana", "e%1Bve", "ben")
    assert "3 homes, 4 files" in ran.stdout
    shown = run(data, "show", "ana").stdout
    assert "data.bin" not in shown, "small files are not told by name"
    assert "work" in shown
    assert "big" in shown
    assert "pip: packages that pip downloaded" in shown
    found = json.loads(run(data, "show", "ana", "--json").stdout)
    assert found["caches"]["pip"]["files"] == 1
    assert {place for place, _ in found["places"]} == {"", "work", "work/big", ".cache", ".cache/pip"}


def test_nothing_is_shown_before_the_first_scan(data: DataFolder) -> None:
    ran = run(data, "show")
    assert ran.exit_code == 2
    assert "cubehub storage scan" in ran.stderr


def test_a_home_that_is_not_there_is_an_error(data: DataFolder) -> None:
    run(data, "scan")
    ran = run(data, "show", "nobody")
    assert ran.exit_code == 2
    assert "'nobody'" in ran.stderr


def test_a_folder_of_homes_that_is_not_there_is_an_error(data: DataFolder) -> None:
    ran = run(data, "scan", "--homes", str(data.root / "none"))
    assert ran.exit_code == 2
    assert "hint: Name their folder with --homes" in ran.stderr


def test_metrics_are_for_prometheus(data: DataFolder) -> None:
    file = data.root / "homes.prom"
    assert run(data, "scan", "--metrics", str(file)).exit_code == 0
    lines = file.read_text().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values["cubehub_storage_homes"]) == 3
    assert float(values['cubehub_storage_home_bytes{home="ana"}']) > 350_000
    assert run(data, "scan", "--metrics", str(data.root / "none" / "x")).exit_code == 2


def test_earlier_scans_keep_their_sums_only(data: DataFolder) -> None:
    for _ in range(KEPT_WHOLE + 2):
        assert run(data, "scan", "--json").exit_code == 0
    results = Results(data.storage)
    scans = results.scans()
    assert len(scans) == KEPT_WHOLE + 2
    assert results.details(scans[0].id, "ana").places
    assert not results.details(scans[-1].id, "ana").places
    assert len(results.homes(scans[-1].id)) == 3
    assert (data.storage / "storage.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["rubbish", "version"])
def test_a_file_that_cannot_be_used_is_told(data: DataFolder, damage: str) -> None:
    run(data, "scan")
    file = data.storage / "storage.sqlite"
    if damage == "rubbish":
        file.write_bytes(b"x" * 5000)
    else:
        with sqlite3.connect(file) as made:
            made.execute("PRAGMA user_version = 99")
        made.close()
    ran = run(data, "show")
    assert ran.exit_code == 1
    assert "Traceback" not in ran.output
    assert "Move it away" in ran.stderr or "may be moved away" in ran.stderr


def test_a_page_with_a_treemap(data: DataFolder) -> None:
    run(data, "scan")
    file = data.root / "homes.html"
    assert run(data, "show", "--html", str(file)).exit_code == 0
    told = file.read_text()
    assert told.count("<rect") >= 5
    assert "e%1Bve" in told
    assert "\x1b" not in told
    assert run(data, "show", "--html", str(data.root / "none" / "x.html")).exit_code == 2
