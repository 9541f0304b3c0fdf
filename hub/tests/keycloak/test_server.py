import stat
import subprocess
from pathlib import Path

import pytest
from cubehub.keycloak import server as module
from cubehub.keycloak.errors import KeycloakBuildError
from cubehub.keycloak.server import BOOTSTRAP_SECRET, KeycloakServer


@pytest.fixture
def server(tmp_path, secrets):
    live = tmp_path / "home" / "lib" / "quarkus"
    live.mkdir(parents=True)
    (live / "application.dat").write_text("delivered")
    return KeycloakServer(
        home=tmp_path / "home",
        data=tmp_path / "data",
        host="127.0.0.1",
        port=8001,
        management_port=9001,
        public_url="http://127.0.0.1:8001",
        log=tmp_path / "keycloak.log",
        secrets=secrets,
    )


class FakeJava:
    """Stands for the build, which takes 15 s: `test_real.py` runs the real one."""

    def __init__(self, server, status=0):
        self.server, self.status, self.started_from = server, status, []

    def __call__(self, command, **_more):
        built = self.server.home / "lib" / "quarkus" / "application.dat"
        self.started_from.append(built.read_text())
        built.write_text("built")
        return subprocess.CompletedProcess(command, self.status, stdout="line\nERROR: no such option\n")


@pytest.fixture
def java(server, monkeypatch):
    fake = FakeJava(server)
    monkeypatch.setattr(module.subprocess, "run", fake)
    return fake


def test_java_itself_is_started(server):
    command = server.command()
    assert Path(command[0]).name == "java"
    assert command[-2:] == ["start", "--optimized"]


def test_no_secret_is_on_the_command_line(server, secrets):
    assert secrets.get(BOOTSTRAP_SECRET) not in " ".join(server.command())
    assert server.environment()["KC_BOOTSTRAP_ADMIN_CLIENT_SECRET"] == secrets.get(BOOTSTRAP_SECRET)


def test_the_database_folder_is_closed_to_others(server):
    server.environment()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_ambient_settings_do_not_leak_in(server, monkeypatch):
    for name in (
        "KC_HTTP_HOST",
        "KC_HTTPS_PORT",
        "JAVA_TOOL_OPTIONS",
        "JAVA_OPTS",
        "_JAVA_OPTIONS",
        "QUARKUS_X",
    ):
        monkeypatch.setenv(name, "ambient")
    monkeypatch.setenv("CUBEHUB_RUN", "mark")
    environment = server.environment()
    assert "ambient" not in environment.values()
    assert environment["KC_HTTP_HOST"] == "127.0.0.1"
    assert environment["CUBEHUB_RUN"] == "mark"


def test_it_is_built_once(server, java):
    server.build()
    server.build()
    assert java.started_from == ["delivered"]
    assert server.log.read_text().startswith("line")


def test_other_options_build_again_from_what_was_delivered(server, java, monkeypatch):
    server.build()
    monkeypatch.setattr(module, "_BUILD_OPTIONS", ("--db=dev-file",))
    server.build()
    assert java.started_from == ["delivered", "delivered"]


def test_a_killed_build_is_repeated_from_what_was_delivered(server, java, monkeypatch):
    def killed(_command, **_more):
        (server.home / "lib" / "quarkus" / "application.dat").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module.subprocess, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        server.build()
    monkeypatch.setattr(module.subprocess, "run", java)
    server.build()
    assert java.started_from == ["delivered"]


def test_a_refused_build_says_where_to_look(server, java):
    java.status = 2
    with pytest.raises(KeycloakBuildError, match="no such option") as caught:
        server.build()
    assert str(server.log) in caught.value.hint
    java.status = 0
    server.build()
    assert len(java.started_from) == 2
