"""What is checked before anything is fetched; pure, so without a platform."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local import preflight
from cubehub.local.preflight import GIB, check_room, check_system


def machine(monkeypatch: pytest.MonkeyPatch, *, memory: float, disk: float) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(memory * GIB)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(disk * GIB)))


def test_room_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, memory=4, disk=20)
    check_room(tmp_path, first=True)
    machine(monkeypatch, memory=4, disk=1)
    check_room(tmp_path, first=False)


def test_too_little_memory_names_both_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, memory=1.2, disk=20)
    with pytest.raises(CubeHubError, match=r"1\.2 GiB of memory .* needs 2\.5 GiB") as caught:
        check_room(tmp_path, first=True)
    assert caught.value.code == "too_little_memory"
    assert caught.value.exit_status == 1
    assert caught.value.hint


def test_too_little_disk_names_the_folder_that_exists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, memory=8, disk=3)
    with pytest.raises(CubeHubError, match=r"3\.0 GiB of disk") as caught:
        check_room(tmp_path / "not" / "made" / "yet", first=True)
    assert caught.value.code == "too_little_disk"
    assert str(tmp_path) in caught.value.message
    assert "--data" in caught.value.hint
    assert not (tmp_path / "not").exists()


def test_another_system_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    check_system()
    monkeypatch.setattr(preflight.system, "system", lambda: "Darwin")
    with pytest.raises(BadInputError, match="runs on Linux; this is Darwin") as caught:
        check_system()
    assert caught.value.code == "unsupported_system"
