from __future__ import annotations

import os
import socket
import sqlite3
from typing import TYPE_CHECKING

import pytest
from cubehub.cli.up import isolation_remark, port_remark
from cubehub.errors import CubeHubError
from cubehub.local import up
from cubehub.local.data_folder import DataFolder, write_json
from cubehub.local.platform import LOOPBACK, free_port
from cubehub.local.progress import LineProgress
from cubehub.local.up import Request, check_database, get_ready
from cubehub_spawner.isolation import Isolation

if TYPE_CHECKING:
    from pathlib import Path


def test_a_port_that_was_taken_while_things_were_fetched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port(LOOPBACK, set())
    with socket.socket() as other:

        def prepare(*_: object) -> None:
            other.bind((LOOPBACK, port))
            other.listen()

        monkeypatch.setattr(up, "prepare", prepare)
        monkeypatch.setattr(up, "check_cubes", lambda *_: None)  # by an environment that is not made here
        monkeypatch.setattr(up, "check_catalogues", lambda *_: None)  # as above
        monkeypatch.setattr(up, "check_room", lambda *_, **__: None)
        with pytest.raises(CubeHubError) as caught:
            get_ready(Request(tmp_path / "data", LOOPBACK, port, None), LineProgress())
    assert caught.value.code == "port_in_use"


def test_a_foreign_folder_is_told_before_how_full_its_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CubeHubError("The disk is full.", code="too_little_disk")

    monkeypatch.setattr(up, "check_room", full)
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "lake.jpg").touch()
    for name, code in [
        ("photographs", "data_folder_foreign"),
        ("what?", "data_folder_name"),
        ("new", "too_little_disk"),
    ]:
        with pytest.raises(CubeHubError) as caught:
            get_ready(Request(tmp_path / name, LOOPBACK, free_port(LOOPBACK, set()), None), LineProgress())
        assert caught.value.code == code
    assert [path.name for path in tmp_path.iterdir()] == ["photographs"]


@pytest.mark.parametrize("kept_in", ["run/ports.json", "state.json"])
def test_the_port_of_last_time_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_in: str) -> None:
    monkeypatch.setattr(up, "prepare", lambda *_: None)
    monkeypatch.setattr(up, "check_cubes", lambda *_: None)  # as above
    monkeypatch.setattr(up, "check_catalogues", lambda *_: None)  # as above
    monkeypatch.setattr(up, "check_room", lambda *_, **__: None)

    def start(port: int | None) -> int:
        ready = get_ready(Request(tmp_path / "data", LOOPBACK, port, None), LineProgress())
        os.close(ready.lock)
        return ready.platform.port

    first, other = free_port(LOOPBACK, set()), free_port(LOOPBACK, set())
    assert start(first) == first
    data = DataFolder(tmp_path / "data")
    if kept_in == "state.json":  # all that a start before noted
        (data.run / "ports.json").unlink()
        write_json(data.state_file, {"port": first})
    assert start(None) == first
    assert start(other) == other
    assert start(None) == other


@pytest.mark.parametrize(
    ("before", "port", "said"),
    [
        (None, 8710, ""),
        (8000, 8000, ""),
        (8710, 8710, "Port 8710, as at the last start."),
        (8710, 8000, "it was 8710"),
    ],
)
def test_a_port_that_was_not_asked_for_or_is_new_is_said(before: int | None, port: int, said: str) -> None:
    assert (said in port_remark(before, port)) if said else (port_remark(before, port) == "")


def test_a_damaged_database_is_told_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "jupyterhub.sqlite"
    check_database(file)
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE users (name TEXT)")
        database.executemany("INSERT INTO users VALUES (?)", [("x" * 1000,)] * 100)
    database.close()
    check_database(file)
    whole = file.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"rubbish" * 1000,
        whole[:5000] + b"\0" * 30_000 + whole[35_000:],
    ):
        file.write_bytes(damaged)
        with pytest.raises(CubeHubError) as caught:
            check_database(file)
        assert caught.value.code == "database_damaged"
        assert str(file) in caught.value.message
        assert file.read_bytes() == damaged
    assert [path.name for path in tmp_path.iterdir()] == ["jupyterhub.sqlite"]


@pytest.mark.parametrize(
    ("kind", "trust", "said"),
    [
        ("bubblewrap", False, None),
        ("uid", False, "user id per person (why): files are apart"),
        ("none", False, "only one person can have servers"),
        ("none", True, "everyone can read everyone's files"),
    ],
)
def test_the_banner_says_what_does_not_keep_people_apart(kind: str, trust: bool, said: str | None) -> None:
    remarks = isolation_remark(Isolation(kind, "why"), trust_everyone=trust)
    assert [said in remark for remark in remarks if said] == ([True] if said else [])


def test_other_machines_reach_only_servers_that_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "probe_isolation", lambda: Isolation("none", "why"))
    monkeypatch.setattr(up, "check_host", lambda _: None)
    request = Request(tmp_path / "data", "192.0.2.1", 8000, None, trust_everyone=True)
    with pytest.raises(CubeHubError) as caught:
        get_ready(request, LineProgress())
    assert caught.value.code == "no_isolation"
    assert not (tmp_path / "data").exists()
