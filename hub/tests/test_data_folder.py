from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local import data_folder
from cubehub.local.data_folder import DataFolder, cache_folder, default_data, full_path, read_json, write_json
from cubehub.local.processes import this_process


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_closed_to_others_and_keeps_its_id(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "Tere õhtust" / "data")
    data.prepare()
    assert mode(data.root) == 0o711
    assert mode(data.root / "version.json") == 0o600
    assert {mode(getattr(data, name)) for name in ("secrets", "run", "homes", "logs", "hub", "keycloak")} == {
        0o700
    }
    again = DataFolder(data.root)
    again.prepare()
    assert again.run_id == data.run_id
    assert len(data.run_id) == 32


def test_two_that_start_together_agree_on_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2)
    ids = []

    def slow(path: Path, content: Any) -> None:
        # where nothing keeps them apart, both come here before either has written
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        ids.append(content["id"])
        write_json(path, content)

    monkeypatch.setattr(data_folder, "write_json", slow)
    both = [threading.Thread(target=DataFolder(tmp_path / "data").prepare) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    assert ids == [DataFolder(tmp_path / "data").run_id]


def test_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text('{"layout": 7, "id": "x"}')
    with pytest.raises(BadInputError, match="layout 7") as caught:
        DataFolder(tmp_path).prepare()
    assert caught.value.code == "data_folder_version"
    assert [path.name for path in tmp_path.iterdir()] == ["version.json"]


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lake.jpg").touch()
    with pytest.raises(BadInputError) as caught:
        DataFolder(tmp_path).prepare()
    assert caught.value.code == "data_folder_foreign"
    assert [path.name for path in tmp_path.iterdir()] == ["lake.jpg"]


@pytest.mark.parametrize("rubbish", ["", "\0\0\0", "[1]", '{"layout": 1}'])
def test_a_damaged_version_file_is_not_overwritten(tmp_path: Path, rubbish: str) -> None:
    (tmp_path / "version.json").write_text(rubbish)
    with pytest.raises(BadInputError):
        DataFolder(tmp_path).prepare()
    assert (tmp_path / "version.json").read_text() == rubbish


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInputError, match="Cannot use"):
            DataFolder(root).prepare()


def test_a_folder_that_cannot_be_written_is_told() -> None:
    with pytest.raises(BadInputError, match="Cannot use /proc/cubehub"):
        DataFolder(Path("/proc/cubehub")).prepare()


@pytest.mark.parametrize("name", ["a:b", "a;b", "why?", "100%", 'a"b', "a\nb", "a\udcff"])
def test_a_path_that_java_or_a_database_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError) as caught:
        DataFolder(tmp_path / name).prepare()
    assert caught.value.code == "data_folder_name"
    assert not list(tmp_path.iterdir())
    caught.value.message.encode()


def test_one_up_at_a_time(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    held = data.lock()
    with pytest.raises(CubeHubError) as caught:
        data.lock()
    assert caught.value.code == "already_running"
    os.close(held)
    os.close(data.lock())


def test_who_holds_the_folder_is_known_without_the_state(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    assert data.state()["up"] is None
    held = data.lock()
    assert data.state()["up"] == this_process()
    for state in ("", "{", '{"up": 5}', '{"up": {"pid": 0, "created": 1}}'):
        data.state_file.write_text(state)
        assert data.state()["up"] == this_process()
    other = {"pid": 7, "created": 1.5}
    write_json(data.state_file, {"up": other, "parts": {"hub": {"pid": 1}}})
    assert data.state() == {"up": other, "parts": {"hub": {"pid": 1}}}
    os.close(held)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, {"a": 1})
    assert mode(file) == 0o600
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"7", b"\xff\xfe", b"\0" * 100])
def test_rubbish_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "none.json") is None
    assert read_json(tmp_path) is None


def test_places_follow_xdg_and_ignore_relative_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_data() == tmp_path / ".local/share/cubehub"
    assert cache_folder() == tmp_path / ".cache/cubehub"
    monkeypatch.setenv("XDG_DATA_HOME", "/srv")
    assert default_data() == Path("/srv/cubehub")


def test_no_home_is_told() -> None:
    with pytest.raises(BadInputError, match="leads nowhere"):
        full_path(Path("~nobody-of-this-name/x"))
