"""Whether the platform is well, and which settings take protection away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cubehub.authenticator import KeycloakAuthenticator
from cubehub.checkup import home_limits, parts, profiles, service_accounts
from cubehub.entitlements import HANDLERS, SETTINGS_KEY
from cubehub.keycloak.realm import ACCOUNTS_SECRET, DIRECTORY_SECRET
from cubehub.resources import resource
from cubehub.unsafe import unsafe_settings
from cubehub_spawner import ProfileLocalSpawner
from jupyterhub.spawner import LocalProcessSpawner
from traitlets.config import Config

if TYPE_CHECKING:
    from pathlib import Path


def config() -> Any:
    c: Any = Config()
    c.JupyterHub.authenticator_class = KeycloakAuthenticator
    c.JupyterHub.spawner_class = ProfileLocalSpawner
    c.JupyterHub.tornado_settings = {SETTINGS_KEY: object()}
    c.KeycloakAuthenticator.more_handlers = HANDLERS
    c.KeycloakAuthenticator.keycloak_url = "http://127.0.0.1:1"
    c.KeycloakAuthenticator.public_url = "http://127.0.0.1:2"
    c.KeycloakAuthenticator.client_secret = "x"
    return c


def test_the_shipped_settings_are_safe() -> None:
    assert unsafe_settings(config()) == []


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("Authenticator", "auth_refresh_strict", False),
        ("Authenticator", "enable_auth_state", False),
        ("KeycloakAuthenticator", "manage_groups", False),
        ("Authenticator", "auth_refresh_age", 3600),
        ("Authenticator", "admin_users", {"eve"}),
        ("KeycloakAuthenticator", "more_handlers", []),
        ("JupyterHub", "spawner_class", LocalProcessSpawner),
        ("JupyterHub", "authenticator_class", "dummy"),
        ("JupyterHub", "tornado_settings", {"headers": {}}),
    ],
)
def test_what_takes_protection_away_is_named(section: str, name: str, value: Any) -> None:
    c = config()
    c[section][name] = value
    (found,) = unsafe_settings(c)
    assert (found.level, found.code) == ("problem", "unsafe_setting")
    assert name in found.message


def test_an_interval_of_nothing_is_refused_by_the_authenticator() -> None:
    c = config()
    c.Authenticator.auth_refresh_age = 0
    (found,) = unsafe_settings(c)
    assert "auth_refresh_age" in found.message


def test_a_line_of_the_profiles_that_is_wrong_is_named(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    text = resource("config", "profiles.yaml").read_text()
    file.write_text(text)
    assert profiles(file).level == "ok"
    file.write_text(text.replace("memory: 5G", "memory: 2 Gigs"))
    found = profiles(file)
    line = text[: text.index("memory: 5G")].count("\n") + 1
    assert found.level == "problem"
    assert f"{file}" in found.message
    assert f"line {line}" in found.message
    assert "by itself" in found.hint
    assert "start again" not in found.hint


def test_parts_that_are_ill_are_named() -> None:
    status = {"running": True, "parts": {"hub": {"health": "healthy"}, "cubes": {"health": "restarting"}}}
    (found,) = parts(status, "/data", "cubehub up")
    assert (found.level, "cubes is restarting" in found.message) == ("problem", True)
    (found,) = parts(status | {"running": False}, "/data", "cubehub up")
    assert found.code == "not_running"


def test_a_keycloak_that_does_not_answer_is_said(tmp_path: Path) -> None:
    for name in (ACCOUNTS_SECRET, DIRECTORY_SECRET):
        (tmp_path / name).write_text("secret-words")
    (found,) = service_accounts("http://127.0.0.1:1", tmp_path)
    assert found.code == "keycloak"
    assert "secret-words" not in found.message


def test_secrets_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    assert {one.code for one in service_accounts("http://127.0.0.1:1", tmp_path)} == {"secret"}


def test_homes_that_nothing_limits_are_a_note(tmp_path: Path) -> None:
    found = home_limits(tmp_path / "gone")
    assert (found.level, found.code) == ("note", "no_home_limits")
    assert "`cubehub storage quotas`" in found.hint
