"""The list of catalogues is looked at before anybody's server reads it, and given to all of them."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from cubehub.catalogue_list import check_catalogues, check_folders, give_catalogues, given_folders
from cubehub.errors import BadInputError
from cubehub.local.data_folder import DataFolder
from cubehub.local.parts import write_run_files
from cubehub.local.platform import INNER, Platform
from cubehub.resources import resource
from cubehub.secrets import Secrets
from cubehub.settings import ConfigFolder


def test_the_shipped_list_is_right_and_a_wrong_one_is_told_by_file_catalogue_and_key(tmp_path: Path) -> None:
    check_catalogues(Path(sys.executable), resource("config", "catalogues.yaml"))
    wrong = tmp_path / "catalogues.yaml"
    wrong.write_text("catalogues: [{id: other, title: T, url: 'ftp://x'}]")
    with pytest.raises(BadInputError) as caught:
        check_catalogues(Path(sys.executable), wrong)
    assert all(word in caught.value.message for word in (str(wrong), "other", "ftp://x"))
    assert caught.value.hint


def test_people_can_read_the_operators_own_list(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    (own / "catalogues.yaml").write_text("catalogues: []\n")
    (own / "catalogues.yaml").chmod(0o600)
    data = DataFolder(tmp_path / "data")
    data.prepare()
    for _ in range(2):
        given = give_catalogues(data, ConfigFolder(own))
        assert given.read_text() == "catalogues: []\n"
        assert stat.S_IMODE(given.stat().st_mode) == 0o644
    assert [file.name for file in data.catalogue.iterdir()] == ["catalogues.yaml"]


@pytest.fixture
def listed(tmp_path: Path) -> tuple[DataFolder, ConfigFolder, Path]:
    """Give a data folder, the operator's settings, and their list of catalogues."""
    own = tmp_path / "own"
    own.mkdir()
    data = DataFolder(tmp_path / "data")
    data.prepare()
    return data, ConfigFolder(own), own / "catalogues.yaml"


def test_a_folder_that_is_given_out(listed: tuple[DataFolder, ConfigFolder, Path], tmp_path: Path) -> None:
    data, config, file = listed
    (tmp_path / "scenes").mkdir()
    file.write_text(f"files: {{scenes: {tmp_path / 'scenes'}}}\ncatalogues: []\n")
    check_catalogues(Path(sys.executable), file)
    check_folders(data, config)
    assert given_folders(config) == {"scenes": str(tmp_path / "scenes")}
    platform = Platform("127.0.0.1", 8000, 8001, {part: 10_000 + at for at, part in enumerate(INNER)})
    files = write_run_files(data, platform, config, Secrets(data.secrets))
    written = json.loads(files["catalogue"].read_text())["files"]
    assert written.pop("samples").endswith("pixels")
    assert written == {"scenes": str(tmp_path / "scenes")}


@pytest.mark.parametrize("text", ["", "files:", "files: {}", "files: [a]", "[", "files: {"])
def test_a_list_without_folders_gives_none_out(
    listed: tuple[DataFolder, ConfigFolder, Path], text: str
) -> None:
    data, config, file = listed
    file.write_text(text)
    assert given_folders(config) == {}
    check_folders(data, config)


def test_a_folder_that_would_open_the_platform_is_refused(
    listed: tuple[DataFolder, ConfigFolder, Path], tmp_path: Path
) -> None:
    data, config, file = listed
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(data.homes)
    (tmp_path / "loop").symlink_to("loop")
    opens = "would open the platform's own files"
    for folder, words in (
        ("/", opens), (tmp_path, opens), (data.root, opens), (data.homes, opens), (tmp_path / "link", opens),
        (tmp_path / "link" / ".." / ".." / "data", opens), (tmp_path / "none", "is not a folder"),
        (tmp_path / "file", "is not a folder"), (tmp_path / "loop", "is not a folder"),
    ):  # fmt: skip
        file.write_text(f"files: {{x: '{folder}'}}")
        with pytest.raises(BadInputError, match=words) as caught:
            check_folders(data, config)
        assert str(file) in caught.value.message
        assert "files.x" in caught.value.message
        assert caught.value.hint


def test_what_the_platform_keeps_elsewhere_is_not_opened_either(
    listed: tuple[DataFolder, ConfigFolder, Path], tmp_path: Path
) -> None:
    data, config, file = listed
    disk = tmp_path / "disk"
    for name in ("homes/ana", "homes2", "archives/2026", "scenes"):
        (disk / name).mkdir(parents=True)
    data.homes.rmdir()
    data.homes.symlink_to(disk / "homes")
    data.run.rmdir()
    data.run.symlink_to("run")
    (disk / "to").symlink_to(disk / "archives")
    (file.parent / "storage.yaml").write_text(f"archive: {{to: {disk / 'to'}}}")
    for folder in (
        disk, disk / "homes", disk / "homes" / "ana", disk / "archives", disk / "archives" / "2026", file.parent,
    ):  # fmt: skip
        file.write_text(f"files: {{x: '{folder}'}}")
        with pytest.raises(BadInputError, match="would open the platform's own files"):
            check_folders(data, config)
    for folder in (disk / "scenes", disk / "homes2"):
        file.write_text(f"files: {{x: '{folder}'}}")
        for text in (f"archive: {{to: {disk / 'to'}}}", "archive: {to: 's3://homes'}", "archive: ["):
            (file.parent / "storage.yaml").write_text(text)
            check_folders(data, config)
