from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local import platform
from cubehub.local.data_folder import read_json, write_json
from cubehub.local.platform import (
    INNER,
    LOOPBACK,
    Platform,
    check_host,
    choose_platform,
    free_port,
    is_free,
    is_private,
)

if TYPE_CHECKING:
    from pathlib import Path


def listener(port: int = 0) -> socket.socket:
    server = socket.socket()
    server.bind((LOOPBACK, port))
    server.listen()
    return server


def test_ports_are_chosen_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = free_port(LOOPBACK, set())
    first = choose_platform(file, LOOPBACK, port)
    assert choose_platform(file, LOOPBACK, port) == first
    assert set(first.inner) == set(INNER)
    assert len({port, first.keycloak_port, *first.inner.values()}) == len(INNER) + 2
    assert first.issuer == f"http://127.0.0.1:{first.keycloak_port}/realms/cubehub"


def test_a_chosen_port_is_none_that_a_connection_could_get(tmp_path: Path) -> None:
    chosen = choose_platform(tmp_path / "ports.json", LOOPBACK, free_port(LOOPBACK, set()))
    # the first that Linux gives, unless it was told otherwise
    assert max(chosen.inner.values()) < 32768


def test_a_kept_port_that_was_taken_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = free_port(LOOPBACK, set())
    first = choose_platform(file, LOOPBACK, port)
    with listener(first.inner["cubes"]), listener(first.keycloak_port):
        second = choose_platform(file, LOOPBACK, port)
    assert second.inner["cubes"] != first.inner["cubes"]
    assert second.keycloak_port != first.keycloak_port
    assert second.inner | {"cubes": 0} == first.inner | {"cubes": 0}
    kept = read_json(file) or {}
    assert kept["cubes"] == second.inner["cubes"]


def test_rubbish_in_the_kept_ports_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    write_json(file, {"keycloak": "x", "cubes": None, "console": -1, "gateway": 10**9})
    chosen = choose_platform(file, LOOPBACK, free_port(LOOPBACK, set()))
    assert all(0 < number < 65536 for number in [chosen.keycloak_port, *chosen.inner.values()])


@pytest.mark.parametrize("nearly_last", [False, True])
def test_a_port_in_use_is_told_with_one_that_can_be_asked_for(tmp_path: Path, nearly_last: bool) -> None:
    wanted = next(n for n in range(65000, 64000, -1) if is_free(LOOPBACK, n)) if nearly_last else 0
    with listener(wanted) as server:
        port = server.getsockname()[1]
        with pytest.raises(CubeHubError) as caught:
            choose_platform(tmp_path / "ports.json", LOOPBACK, port)
    assert caught.value.code == "port_in_use"
    assert str(port) in caught.value.message
    if nearly_last:
        assert int(caught.value.hint.rstrip(".").split()[-1]) <= 65000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "host",
    [
        "203.0.113.7",
        "0.0.0.0",  # noqa: S104
        "0",
        "",
        "::",
        "::1",
        "no such name",
        "x" * 70 + ".ee",
        "*",
    ],
)
def test_a_host_nobody_can_type_is_refused(host: str) -> None:
    with pytest.raises(BadInputError) as caught:
        check_host(host)
    assert "--host: 127.0.0.1" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("192.168.7.7", True),
        ("172.32.0.1", False),
        ("100.64.0.1", False),
        ("192.0.2.2", False),
        ("193.40.5.5", False),
    ],
)
def test_keycloak_takes_passwords_without_tls_from_private_networks_only(host: str, private: bool) -> None:
    assert is_private(host) is private


def test_a_public_address_of_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_obstacle", lambda *_: None)
    with pytest.raises(BadInputError, match="public address") as caught:
        check_host("192.0.2.2")
    assert "192.0.2.2" not in caught.value.hint


def test_own_addresses_are_taken() -> None:
    check_host("127.0.0.1")
    check_host("localhost")


def test_addresses_have_no_slash_at_the_end() -> None:
    one = Platform("hub.example", 8000, 8001, {"hub_api": 1, "cubes": 2})
    assert one.public_url == "http://hub.example:8000"
    assert one.hub_api_url == "http://127.0.0.1:1/hub/api"
    assert one.inner_url("cubes") == "http://127.0.0.1:2"
