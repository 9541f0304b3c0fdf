"""`up`, `status`, `logs`, `cubes` and what stands in their way, on the running platform."""

import json
import socket
from contextlib import closing

import pytest
from cubehub_tests.platform import Outcome, Whole

pytestmark = pytest.mark.whole
PARTS = {"keycloak", "catalogue", "cubes", "gateway", "console", "accounts", "storage", "hub"}


def said(outcome: Outcome, status: int, code: str) -> str:
    """Check that a command refused in the agreed form; gives what it wrote for people."""
    assert outcome.status == status, outcome
    lines = [line for line in outcome.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], outcome.stderr
    assert "Traceback" not in outcome.stderr
    if outcome.stdout:
        assert outcome.json["code"] == code
    return "\n".join(lines)


def test_status_says_what_runs(whole: Whole) -> None:
    found = whole.status()
    assert found["running"]
    assert found["phase"] == "healthy"
    assert found["public_url"] == whole.url
    assert set(found["parts"]) == PARTS
    for name, part in found["parts"].items():
        assert part["health"] == "healthy", name
        assert part["pid"] > 1
        assert part["memory_bytes"] > 2**20, name
        assert part["since"] > 1.7e9
    table = whole.run("status").stdout
    assert all(name in table for name in PARTS)
    assert "MiB" in table


def test_logs_of_a_part_and_of_the_supervisor(whole: Whole) -> None:
    assert "everything is healthy" in whole.run("logs").stdout
    assert "Keycloak" in whole.run("logs", "keycloak", "-n", "500").stdout
    assert len(whole.run("logs", "hub", "-n", "3").stdout.splitlines()) == 3
    refused = whole.run("logs", "quark", check=False)
    assert "quark" in said(refused, 2, "bad_input")
    assert "keycloak" in refused.stderr


def test_a_second_up_on_the_same_folder_is_refused(whole: Whole) -> None:
    before = whole.status()
    text = said(whole.execute(whole.up_command(), check=False), 1, "already_running")
    assert str(whole.data) in text
    assert "cubehub down" in text
    after = whole.status()
    assert {name: part["pid"] for name, part in after["parts"].items()} == {
        name: part["pid"] for name, part in before["parts"].items()
    }
    assert after["phase"] == "healthy"


def test_a_port_in_use_is_refused_before_anything_is_fetched(whole: Whole) -> None:
    other = whole.data.with_name("other")
    text = said(whole.execute(whole.up_command(data=other), check=False), 1, "port_in_use")
    assert str(whole.port) in text
    assert "--port" in text
    assert not other.exists()
    with closing(socket.create_connection(("127.0.0.1", whole.port), timeout=5)):
        pass
    assert whole.status()["phase"] == "healthy"


def test_a_folder_of_something_else_is_left_alone(whole: Whole) -> None:
    foreign = whole.data.with_name("photographs")
    foreign.mkdir()
    (foreign / "lake.jpg").write_bytes(b"a lake")
    said(whole.execute(whole.up_command(data=foreign, port=1), check=False), 2, "data_folder_foreign")
    assert [path.name for path in foreign.iterdir()] == ["lake.jpg"]


def test_a_folder_of_another_version_is_left_alone(whole: Whole) -> None:
    later = whole.data.with_name("later")
    later.mkdir()
    (later / "version.json").write_text(json.dumps({"layout": 99, "id": "x"}))
    text = said(whole.execute(whole.up_command(data=later, port=1), check=False), 2, "data_folder_version")
    assert "99" in text
    assert [path.name for path in later.iterdir()] == ["version.json"]
    for command in ("status", "down"):
        said(whole.run(command, data=later, check=False), 2, "data_folder_version")


def test_commands_for_a_folder_that_is_none(whole: Whole) -> None:
    nowhere = whole.data.with_name("nowhere")
    for command in ("status", "down", "logs"):
        text = said(whole.run(command, data=nowhere, check=False), 2, "bad_input")
        assert "cubehub up" in text
    assert not nowhere.exists()


def test_a_wrong_setting_names_file_key_and_value(whole: Whole) -> None:
    config = whole.config.with_name("wrong")
    config.mkdir()
    (config / "cubehub.yaml").write_text("idle: {stop_after: 90}\n")
    command = [*whole.up_command(data=whole.data.with_name("unused")), "--config", str(config)]
    text = said(whole.execute(command, check=False), 2, "bad_input")
    assert str(config / "cubehub.yaml") in text
    assert "idle.stop_after" in text
    assert "90" in text


def test_an_address_that_is_not_this_machines_is_refused(whole: Whole) -> None:
    command = [*whole.up_command(data=whole.data.with_name("unused-2")), "--host", "203.0.113.7"]
    assert "203.0.113.7" in said(whole.execute(command, check=False), 2, "bad_input")
