from __future__ import annotations

import socket
import sqlite3
from typing import TYPE_CHECKING

import pytest
from cubehub.errors import CubeHubError
from cubehub.local import up
from cubehub.local.platform import LOOPBACK, free_port
from cubehub.local.progress import LineProgress
from cubehub.local.up import Request, check_database, get_ready

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
        monkeypatch.setattr(up, "check_room", lambda *_, **__: None)
        with pytest.raises(CubeHubError) as caught:
            get_ready(Request(tmp_path / "data", LOOPBACK, port, None), LineProgress())
    assert caught.value.code == "port_in_use"


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
