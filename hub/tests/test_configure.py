"""What `configure` sets on a Hub, without starting one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.configure import configure
from cubehub.entitlements import READ_SCOPE, SCOPES, WRITE_SCOPE
from cubehub.local.data_folder import DataFolder, write_json
from cubehub.local.platform import INNER
from cubehub.quiet import quieten_refusals, quieten_rounds
from cubehub.unsafe import unsafe_settings
from jupyterhub.scopes import scope_definitions
from jupyterhub.spawner import SpawnException
from traitlets.config import Config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def configured(tmp_path: Path) -> Any:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    facts = {
        "data": str(data.root),
        "run_id": data.run_id,
        "config": None,
        "host": "127.0.0.1",
        "port": 8000,
        "keycloak_port": 8001,
        "inner": {part: 10_000 + index for index, part in enumerate(INNER)},
    }
    write_json(data.run / "hub.json", facts)
    c = Config()
    configure(c, data.run / "hub.json")
    return c


def test_each_role_is_of_a_service_that_is_there_and_has_scopes_that_are(configured: Any) -> None:
    services = {service["name"] for service in configured.JupyterHub.services}
    known = {*SCOPES, *scope_definitions}
    for role in configured.JupyterHub.load_roles:
        assert set(role.get("services", [])) <= services
        assert {scope.partition("!")[0] for scope in role["scopes"]} <= known


def test_who_may_see_and_who_may_change(configured: Any) -> None:
    holders: dict[str, set[str]] = {READ_SCOPE: set(), WRITE_SCOPE: set()}
    for role in configured.JupyterHub.load_roles:
        for scope in holders:
            if scope in role["scopes"]:
                holders[scope] |= {*role.get("services", []), *role.get("groups", []), *role.get("users", [])}
    assert holders[WRITE_SCOPE] == {"accounts", "cubehub-cli", "/cubehub/admin"}
    assert holders[READ_SCOPE] == {"catalogue", "cubes", "dask-gateway", "storage"}
    people = {role["name"]: role["scopes"] for role in configured.JupyterHub.load_roles}
    for name in ("user", "server"):
        assert {"access:services!service=cubes", "access:services!service=catalogue"} <= set(people[name])


def test_what_is_shipped_is_safe(configured: Any) -> None:
    assert unsafe_settings(configured) == []


def test_rounds_leave_no_line_and_failures_do(caplog: pytest.LogCaptureFixture) -> None:
    quieten_rounds()
    log = logging.getLogger("tornado.access")
    with caplog.at_level(logging.INFO, log.name):
        log.info("200 GET /hub/api/cubehub/servers (accounts@127.0.0.1) 1.00ms")
        log.warning("403 GET /hub/api/cubehub/servers (accounts@127.0.0.1) 1.00ms")
        log.info("200 GET /hub/api/cubehub/servers (adam@127.0.0.1) 1.00ms")
    assert [record.getMessage()[:3] for record in caplog.records] == ["403", "200"]


def test_a_refusal_leaves_one_line_and_a_failure_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    quieten_refusals()
    log = logging.getLogger("JupyterHub")
    refusal = SpawnException("read this", reason="no_profile", log_message="no_profile: in no group")
    refusal.jupyterhub_html_message = "<p>read this</p>"
    with caplog.at_level(logging.INFO, log.name):
        for error in (refusal, SpawnException("another", reason="its own")):
            try:
                raise error
            except SpawnException:
                log.exception("Failed to spawn single-user server with form")
    said = [(record.levelname, record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert said == [
        ("WARNING", "Refused: no_profile: in no group", False),
        ("ERROR", "Failed to spawn single-user server with form", True),
    ]
