"""What a Hub's configuration has for servers that are pods, beside the cluster and in it."""

from __future__ import annotations

import asyncio
import logging
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cubehub import access_tokens, entitlements, hub_in_cluster, servers_as_pods
from cubehub.access_tokens.exchange import NotHandedOutError
from cubehub.configure import configure
from cubehub.errors import BadInputError
from cubehub.kubernetes import TEXT_VARIABLE
from cubehub.local.data_folder import DataFolder, write_json
from cubehub.local.platform import INNER
from cubehub.resources import resource
from cubehub.unsafe import unsafe_settings
from cubehub_catalogue import settings as of_the_panel
from cubehub_spawner import ProfileKubeSpawner
from jupyterhub.app import JupyterHub
from jupyterhub.scopes import scope_definitions
from traitlets.config import Config

if TYPE_CHECKING:
    from pathlib import Path

LIST = """\
catalogues:
  - {id: cubehub, title: "This {platform}", url: /services/catalogue/, auth: {type: hub}}
  - {id: partner, title: "$(HOME) $$(HOME) $$$5 'quoted' ä", url: https://stac.partner.example, auth: {type: person, audience: partner}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "etc"
    made.mkdir()
    (made / "catalogues.yaml").write_text(LIST)
    return made


def in_cluster(folder: Path, **hub: Any) -> Any:
    c = Config()
    c.JupyterHub.services = [
        {"name": "catalogue", "url": "http://c:1", "api_token": "t" * 40},
        {"name": "mine"},
    ]
    c.JupyterHub.update(hub)
    hub_in_cluster(c, config=folder, public_url="https://hub.example.org/", directory=object())
    return c


def variables(c: Any) -> dict[str, str]:
    """Tell what a server is given, as kubespawner makes it of the traits."""
    found = {}
    for name, value in c.ProfileKubeSpawner.environment.items():
        # kubespawner puts values in place of {username} and its like in texts, not in what a function gives
        found[name] = value(None) if callable(value) else str(value).format()
    return found


def expanded(text: str) -> str:
    """Do as the kubelet does with the value of a variable, where HOME is the only other one."""
    return re.sub(r"\$(\$|\(HOME\))", lambda found: "$" if found[1] == "$" else "/home/jovyan", text)


def test_the_hub_has_the_apis_that_servers_ask(folder: Path) -> None:
    c = in_cluster(folder)
    paths = {path for path, _ in c.KeycloakAuthenticator.more_handlers}
    assert {path for path, _ in (*access_tokens.HANDLERS, *entitlements.HANDLERS)} == paths
    held = c.JupyterHub.tornado_settings
    assert isinstance(held[entitlements.SETTINGS_KEY], entitlements.Rules)
    exchange = held[access_tokens.SETTINGS_KEY]
    # of the operator's own list, and as it is when it is asked
    nobody = SimpleNamespace(name="ana", get_auth_state=_no_log_in)
    for audience, code in (("partner", "sign_in"), ("other", "audience_refused")):
        with pytest.raises(NotHandedOutError) as error:
            asyncio.run(exchange.issue(nobody, audience, _no_log_in))
        assert error.value.code == code
    assert c.JupyterHub.custom_scopes == entitlements.SCOPES
    assert c.JupyterHub.spawner_class is ProfileKubeSpawner
    assert c.JupyterHub.cleanup_servers is False
    assert unsafe_settings(c) == []


async def _no_log_in() -> None:
    return None


def test_people_and_servers_may_ask_the_services_that_there_are(folder: Path) -> None:
    c = in_cluster(folder)
    roles = {role["name"]: role for role in c.JupyterHub.load_roles}
    assert set(roles) == {"user", "server", "catalogue"}
    for name in ("user", "server"):
        reached = [scope for scope in roles[name]["scopes"] if scope.startswith("access:services")]
        assert reached == ["access:services!service=catalogue"]
    assert "self" in roles["user"]["scopes"]
    assert "access:servers!server" in roles["server"]["scopes"]
    assert roles["catalogue"] == {
        "name": "catalogue",
        "services": ["catalogue"],
        "scopes": [entitlements.READ_SCOPE],
    }
    known = {*entitlements.SCOPES, *scope_definitions}
    assert {scope.partition("!")[0] for role in roles.values() for scope in role["scopes"]} <= known


def test_roles_of_the_operator_stay(folder: Path) -> None:
    own = [
        {"name": "server", "scopes": ["read:users:name!user"]},
        {"name": "mine", "services": ["mine"], "scopes": []},
    ]
    c = in_cluster(folder, load_roles=own)
    roles = [role["name"] for role in c.JupyterHub.load_roles]
    assert sorted(roles) == ["catalogue", "mine", "server", "user"]
    server = next(role for role in c.JupyterHub.load_roles if role["name"] == "server")
    assert server["scopes"][0] == "read:users:name!user"
    assert "access:services!service=catalogue" in server["scopes"]
    assert own[0]["scopes"] == ["read:users:name!user"]
    added = Config()
    added.JupyterHub.load_roles.append({"name": "mine", "scopes": []})
    hub_in_cluster(added, config=folder, public_url="https://hub.example.org", directory=object())
    assert {role["name"] for role in added.JupyterHub.load_roles} == {"mine", "user", "server"}


def test_a_server_is_told_the_list_and_the_panel_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = in_cluster(folder)
    told = variables(c)
    assert told["CUBEHUB_URL"] == "https://hub.example.org"
    assert told["CUBEHUB_CATALOGUE_URL"] == "https://hub.example.org/services/catalogue"
    assert "CUBEHUB_CUBES_URL" not in told
    monkeypatch.delenv("CUBEHUB_CATALOGUES", raising=False)
    monkeypatch.setenv("CUBEHUB_URL", told["CUBEHUB_URL"])
    monkeypatch.setenv(TEXT_VARIABLE, expanded(told[TEXT_VARIABLE]))
    found = of_the_panel.here()
    assert [one.id for one in found.catalogues] == ["cubehub", "partner"]
    assert found.catalogues[0].url == "https://hub.example.org/services/catalogue/"
    assert found.catalogues[0].title == "This {platform}"
    assert found.catalogues[1].title == "$(HOME) $$(HOME) $$$5 'quoted' ä"
    (folder / "catalogues.yaml").write_text("catalogues: []")
    assert variables(c)[TEXT_VARIABLE] == "catalogues: []"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"# " + b"x" * 100_000])
def test_a_list_that_can_not_be_told_is_an_error_in_the_panel_and_the_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    c = in_cluster(folder)
    (folder / "catalogues.yaml").write_bytes(content)
    with caplog.at_level(logging.ERROR, "cubehub"):
        text = variables(c)[TEXT_VARIABLE]
    assert (text, "does not reach servers" in caplog.text) == ("", True)
    monkeypatch.delenv("CUBEHUB_CATALOGUES", raising=False)
    monkeypatch.setenv(TEXT_VARIABLE, text)
    with pytest.raises(of_the_panel.SettingsError, match="did not reach this server"):
        of_the_panel.here()


def test_what_the_operator_tells_servers_wins(folder: Path) -> None:
    c = Config()
    c.ProfileKubeSpawner.environment = {"CUBEHUB_URL": "https://inner.example.org", "MINE": "1"}
    hub_in_cluster(c, config=folder, public_url="https://hub.example.org", directory=object())
    assert c.ProfileKubeSpawner.environment["CUBEHUB_URL"] == "https://inner.example.org"
    assert c.ProfileKubeSpawner.environment["MINE"] == "1"
    assert TEXT_VARIABLE in c.ProfileKubeSpawner.environment


def test_what_the_operator_tells_servers_by_another_class_or_adds_stays(folder: Path) -> None:
    c = Config()
    c.Spawner.environment = {"A": "1", "B": "1", "CUBEHUB_URL": "https://inner.example.org"}
    c.KubeSpawner.environment = {"B": "2", "C": "2"}
    c.ProfileKubeSpawner.environment.update({"C": "3"})
    hub_in_cluster(c, config=folder, public_url="https://hub.example.org", directory=object())
    told = variables(c)
    assert told.pop(TEXT_VARIABLE)
    assert told == {"A": "1", "B": "2", "C": "3", "CUBEHUB_URL": "https://inner.example.org"}
    assert c.KubeSpawner.environment == {"B": "2", "C": "2"}


def test_jupyterhub_takes_the_configuration(folder: Path) -> None:
    c = in_cluster(folder)
    hub = JupyterHub(config=c)
    try:
        assert {role["name"] for role in hub.load_roles} == {"user", "server", "catalogue"}
        assert hub.spawner_class is ProfileKubeSpawner
        assert access_tokens.SETTINGS_KEY in hub.tornado_settings
    finally:
        JupyterHub.clear_instance()


def test_beside_the_cluster_servers_are_told_what_they_can_reach(tmp_path: Path, folder: Path) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    inner = {part: 10_000 + index for index, part in enumerate(INNER)}
    facts = {"data": str(data.root), "run_id": data.run_id, "config": str(folder), "host": "127.0.0.1", "port": 8000, "keycloak_port": 8001, "inner": inner}  # fmt: skip
    write_json(data.run / "hub.json", facts)
    c = Config()
    with pytest.raises(BadInputError, match="before configure"):
        servers_as_pods(c)
    configure(c, data.run / "hub.json")
    servers_as_pods(c)
    told = variables(c)
    assert set(told) == {"CUBEHUB_URL", "CUBEHUB_CUBES_URL", "CUBEHUB_CATALOGUE_URL", TEXT_VARIABLE}
    assert told[TEXT_VARIABLE] == LIST.replace("$", "$$")
    assert not any(str(data.root) in value for value in told.values())
    assert c.JupyterHub.spawner_class is ProfileKubeSpawner
    for name in ("directory", "profiles_file", "audit_log"):
        assert c.ProfileKubeSpawner[name] == c.ProfileLocalSpawner[name]
    assert access_tokens.SETTINGS_KEY in c.JupyterHub.tornado_settings


def test_servers_may_ask_the_hub_and_a_platform_at_a_private_address() -> None:
    network = resource("config", "kubernetes", "network")
    policies = {file.stem: yaml.safe_load(file.read_text()) for file in network.glob("*.yaml")}
    to_the_hub = [
        port["port"]
        for rule in policies["servers"]["spec"]["egress"]
        for port in rule.get("ports", [])
        if any(to.get("podSelector", {}).get("matchLabels") == {"component": "hub"} for to in rule["to"])
    ]
    assert to_the_hub == [8081]
    platform = policies["platform"]
    assert (platform["kind"], platform["spec"]["podSelector"], platform["spec"]["policyTypes"]) == (
        "NetworkPolicy",
        {},
        ["Egress"],
    )
    # it opens one address until an operator says another, and is not applied before
    assert platform["spec"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "203.0.113.10/32"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
    assert policies["kustomization"]["resources"] == ["servers.yaml", "internet.yaml"]
