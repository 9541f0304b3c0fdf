"""What somebody registered in the catalogue, when they are erased or want a copy: by the catalogue's own program."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.errors import CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.resources import resource
from cubehub.storage import erasing, registered
from cubehub.storage.keeping import Keeping
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

MENDED = f'PYTHONPATH="{resource("images", "catalogue", "src")}" exec "{sys.executable}" "$@"'


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """Have ana's home, whose account is 1, and items of accounts 1 and 2."""
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    (folder.homes / "ana").mkdir()
    (folder.homes / ".ana.account").write_text("1")
    program(folder, MENDED)
    for account, group in (("1", None), ("1", "/water"), ("2", None), ("2", "/water")):
        keep(folder, account, group)
    return folder


def program(data: DataFolder, line: str) -> None:
    """Have the catalogue's environment run something."""
    python = data.envs / "catalogue" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f"#!/bin/sh\n{line}\n")
    python.chmod(0o755)


def keep(data: DataFolder, account: str, group: str | None) -> Path:
    collection = "group._2fwater" if group else f"own.{account}"
    item = {
        "id": f"scene-{account}",
        "collection": collection,
        "properties": {"title": f"Scene of {account}"},
    }
    file = data.catalogue / "own" / collection / f"{account}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"version": 1, "owner_id": account, "owner_name": f"name-{account}", "group": group, "registered": "2026-01-01T00:00:00Z"}  # fmt: skip
    file.write_text(json.dumps({**about, "item": item}))
    return file


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), [*words, "--data", str(data.root)])


def files(data: DataFolder) -> dict[str, Any]:
    return {
        str(path.relative_to(data.catalogue / "own")): json.loads(path.read_text())
        for path in sorted((data.catalogue / "own").rglob("*.json"))
    }


def receipt_of(data: DataFolder) -> dict[str, Any]:
    (receipt,) = (data.storage / erasing.RECEIPTS).iterdir()
    found: dict[str, Any] = json.loads(receipt.read_text())
    return found


def test_an_erasure_takes_own_items_along_and_the_name_off_those_of_groups(data: DataFolder) -> None:
    ran = run(data, "users", "erase", "ana", "--yes", "--now")
    assert ran.exit_code == 0, ran.output
    assert "removed from the catalogue: own.1/scene-1" in ran.stdout
    assert "kept without the name, for the group /water: group._2fwater/scene-1" in ran.stdout
    left = files(data)
    assert list(left) == ["group._2fwater/1.json", "group._2fwater/2.json", "own.2/2.json"]
    assert left["group._2fwater/1.json"]["item"]["id"] == "scene-1"
    assert left["group._2fwater/1.json"]["owner_id"] not in {"1", "2", ""}
    assert "name-1" not in json.dumps(left)
    assert left["group._2fwater/2.json"]["owner_name"] == "name-2"
    receipt = receipt_of(data)
    assert [one["id"] for one in receipt["items_removed"]] == ["scene-1"]
    assert [one["group"] for one in receipt["items_kept"]] == ["/water"]
    assert erasing.GROUPS_ITEMS in receipt["elsewhere"]
    assert receipt["left"] == []


def test_until_the_hold_is_over_nothing_of_them_is_touched(data: DataFolder) -> None:
    before = files(data)
    assert run(data, "users", "erase", "ana", "--yes").exit_code == 0
    assert files(data) == before
    assert run(data, "users", "erase", "ana", "--yes", "--now").exit_code == 0
    assert len(files(data)) == len(before) - 1


def test_a_home_of_no_known_account_says_what_was_not_reached(data: DataFolder) -> None:
    (data.homes / ".ana.account").unlink()
    before = files(data)
    assert run(data, "users", "erase", "ana", "--yes", "--now").exit_code == 0
    assert files(data) == before
    assert erasing.UNKNOWN_ACCOUNT in receipt_of(data)["elsewhere"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo it is broken >&2; exit 1", "ended with 1; its last words: it is broken"),
        ("echo '{}'", "ended with 0"),
        ("echo '['", "ended with 0"),
    ],
)
def test_a_program_that_fails_is_told_and_the_rest_goes_on(data: DataFolder, line: str, words: str) -> None:
    program(data, line)
    ran = run(data, "users", "erase", "ana", "--yes", "--now")
    assert ran.exit_code == 1
    assert words in ran.stderr
    assert not (data.homes / "ana").exists()
    (told,) = receipt_of(data)["left"]
    assert words in told
    # mended, the same command does the rest
    program(data, MENDED)
    assert run(data, "users", "erase", "ana", "--yes", "--now").exit_code == 0
    assert "own.1/1.json" not in files(data)


def test_an_erasure_waits_for_the_catalogues_part_and_the_next_purge_goes_on_with_it(
    data: DataFolder,
) -> None:
    (data.root / "config").mkdir()
    (data.root / "config" / "storage.yaml").write_text("hold: 1s\n")
    assert run(data, "users", "erase", "ana", "--yes").exit_code == 0
    keeping = Keeping(settings_of(data), now=lambda: time.time() + 10)
    program(data, "exit 1")
    for _ in range(2):
        (told,) = purge(keeping)
        assert "program ended with 1; until that is done the home waits in quarantine" in told
    assert "own.1/1.json" in files(data)
    program(data, MENDED)
    assert purge(keeping) == [""]
    assert "own.1/1.json" not in files(data)
    assert purge(keeping) == []


def purge(keeping: Keeping) -> list[str]:
    """Finish the erasures that are due; why each could not be."""
    with keeping.keeper() as (keeper, made), keeping.archivist(keeper, made) as archivist:
        return [
            outcome.why
            for one in erasing.due(keeping, made)
            for outcome in erasing.finished(keeping, keeper, archivist, made, one)
        ]


def test_without_the_environment_it_says_what_to_do(data: DataFolder) -> None:
    (data.envs / "catalogue" / "bin" / "python").unlink()
    assert "its environment is not there" in registered.erase(data.root, "1").left[0]
    with pytest.raises(CubeHubError, match="its environment is not there") as error:
        registered.items_of(data.root, "1")
    assert "cubehub up" in error.value.hint


def test_where_nobody_registered_anything_nothing_is_run(tmp_path: Path) -> None:
    assert registered.erase(tmp_path, "1") == registered.Erased()
    assert registered.items_of(tmp_path, "1") == []


def test_an_export_has_them(data: DataFolder, tmp_path: Path) -> None:
    keeping = Keeping(settings_of(data))
    own = data.catalogue / "own" / "own.1" / "1.json"
    own.write_text(own.read_text().replace("Scene of 1", "\\ud800 Göl"))
    for name in ("out", "again"):
        (tmp_path / name).mkdir()
    erasing.export(keeping, b"ana", tmp_path / "out", {"name": "ana"})
    told = json.loads((tmp_path / "out" / "ana.json").read_text())
    kept = [(one["item"]["id"], one["group"]) for one in told["registered"]]
    assert kept == [("scene-1", "/water"), ("scene-1", None)]
    assert told["registered"][1]["item"]["properties"]["title"] == "\ud800 Göl"
    (data.catalogue / "own" / "own.2" / "bad.json").write_text("{")
    with pytest.raises(CubeHubError, match=r"own\.2/bad\.json can't be read"):
        erasing.export(keeping, b"ana", tmp_path / "again", {"name": "ana"})
    assert list((tmp_path / "again").iterdir()) == []


@pytest.fixture
def passable() -> Iterator[Path]:
    """Give a folder that other users may pass, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="cubehub-registered-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder


@pytest.mark.needs("root")
def test_root_works_as_the_owner_of_the_files(passable: Path) -> None:
    data = DataFolder(passable)
    keep(data, "1", None)
    program(
        data,
        """printf '{"removed": [{"ids": "%s %s %s"}], "kept": [], "left": []}' $(id -u) $(id -g) "$(id -G)" """,
    )
    for path in passable.rglob("*"):
        os.chown(path, 12345, 12345)
    assert registered.erase(data.root, "1").removed == ({"ids": "12345 12345 12345"},)
