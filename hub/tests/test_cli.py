from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import DataFolder, default_data, runnable, write_json
from cubehub.local.processes import this_process
from cubehub_spawner import SpawnerError


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(load_commands(), [str(word) for word in words])


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


def refused(result: Result, status: int, code: str | None = None) -> str:
    """Check the agreed form of an error and give its two lines."""
    assert result.exit_code == status, result.output
    lines = result.stderr.lstrip().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], result.stderr
    if code:
        assert json.loads(result.stdout)["code"] == code
        assert f"error: {json.loads(result.stdout)['message']}" == lines[0]
    return result.stderr


@pytest.mark.parametrize("command", ["status", "down", "logs"])
def test_no_cubehub_in_the_folder(tmp_path: Path, command: str) -> None:
    assert "cubehub up" in refused(run(command, "--data", tmp_path / "none"), 2)
    assert not (tmp_path / "none").exists()


def test_errors_are_json_where_asked(tmp_path: Path) -> None:
    refused(run("status", "--json", "--data", tmp_path / "none"), 2, "bad_input")
    refused(run("up", "--json", "--port", "70000"), 2, "bad_input")


@pytest.mark.parametrize(
    "words",
    [["nothing"], ["up", "--nothing"], ["up", "--port", "x"], ["logs", "-n", "0"], ["logs", "-n", "9" * 30]],
)
def test_a_wrong_command_line_has_the_same_form(words: list[str]) -> None:
    assert "--help" in refused(run(*words), 2)


def test_status_and_down_when_nothing_runs(data: DataFolder) -> None:
    result = run("status", "--data", data.root)
    assert result.exit_code == 1
    assert "not running" in result.stdout
    result = run("status", "--json", "--data", data.root)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["running"] is False
    result = run("down", "--data", data.root)
    assert result.exit_code == 0
    assert "Nothing was running" in result.stdout


def test_the_command_to_start_with_is_not_cut_in_two(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / ("a" * 70))
    folder.prepare()
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(load_commands(), ["status", "--data", str(folder.root)])
    assert f"cubehub up --data {folder.root}\n" in shown.stdout


@pytest.mark.parametrize("folder", [["--data", "{}"], ["--data={}"]])
def test_commands_in_hints_can_be_typed_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: list[str]
) -> None:
    monkeypatch.setenv("UV", "/bin/uv")
    where = tmp_path / "none"
    hint = refused(run("status", *(word.format(where) for word in folder)), 2)
    assert f"`uv run cubehub up --data {where}`" in hint
    monkeypatch.delenv("UV")
    assert runnable("`cubehub users move ana PROFILE`, then `cubehub up --data /x`", default_data()) == (
        "`cubehub users move ana PROFILE`, then `cubehub up --data /x`"
    )


def test_the_state_of_a_supervisor_that_died_is_not_believed(data: DataFolder) -> None:
    part = {"pid": os.getpid(), "health": "healthy", "since": 1, "restarts": 0, "log": ""}
    gone = {"pid": os.getpid(), "created": this_process()["created"] - 100}
    write_json(data.state_file, {"phase": "healthy", "public_url": "x", "up": gone, "parts": {"hub": part}})
    found = json.loads(run("status", "--json", "--data", data.root).stdout)
    assert found["running"] is False
    assert found["parts"]["hub"]["health"] == "stopped"
    assert found["parts"]["hub"]["pid"] is None
    assert run("down", "--data", data.root).exit_code == 0


def test_a_disk_that_is_nearly_full_is_told(data: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(data.state_file, {"phase": "healthy", "public_url": "x", "up": this_process(), "parts": {}})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=30 * 2**30))
    assert "Note" not in run("status", "--data", data.root).stdout
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))
    assert "3 MiB of disk is free" in run("status", "--data", data.root).stdout
    assert json.loads(run("status", "--json", "--data", data.root).stdout)["disk_free_bytes"] == 3 * 2**20


def test_a_folder_named_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "[red]õ [x]")
    folder.prepare()
    assert "[red]õ [x]" in run("status", "--data", folder.root).stdout.replace("\n", "")


def test_logs_of_an_unknown_part_name_the_known(data: DataFolder) -> None:
    (data.logs / "hub.log").write_text("one\ntwo\n")
    for part in ("quark", "../secrets/x", "", "/etc/passwd"):
        result = run("logs", part, "--data", data.root)
        assert "hub" in refused(result, 2)
    assert run("logs", "hub", "-n", "1", "--data", data.root).stdout == "two\n"


def test_logs_cannot_steer_the_terminal(data: DataFolder) -> None:
    (data.logs / "hub.log").write_bytes(b"user \x1b]0;x\x07 \xff\tend\n")
    shown = run("logs", "hub", "--data", data.root).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.endswith("\tend\n")


def test_logs_of_a_part_that_colours_its_file_are_plain(data: DataFolder) -> None:
    (data.logs / "hub.log").write_text("at 9 \x1b[32minfo\x1b[39m: \x1b[1;31mred\x1b[0m\n")
    assert run("logs", "hub", "--data", data.root).stdout == "at 9 info: red\n"


def test_following_goes_on_when_the_file_is_emptied(data: DataFolder) -> None:
    file = data.logs / "hub.log"
    file.write_text("a long line before\n")
    command = [str(Path(sys.executable).with_name("cubehub")), "logs", "hub", "-f", "--data", str(data.root)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "a long line before\n"
        os.truncate(file, 0)
        with file.open("a") as more:
            more.write("after\n")
        assert following.stdout.readline() == "after\n"
        following.terminate()


def test_cubes_before_the_first_start(data: DataFolder) -> None:
    assert "cubehub up" in refused(run("cubes", "list", "--data", data.root), 1)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (CubeHubError("wrong", "do this", code="x_failed"), 1, "x_failed"),
        (BadInputError("wrong", "do this"), 2, "bad_input"),
        (SpawnerError("wrong", "do this"), 1, "spawner_error"),
        (RuntimeError("wrong"), 1, "internal"),
    ],
)
def test_any_error_has_the_same_form(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("cubehub.cli.status.stop", fail)
    assert "wrong" in refused(run("down", "--json", "--data", data.root), status, code)


def test_an_interruption_has_the_same_form(data: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cubehub.cli.status.stop", interrupt)
    refused(run("down", "--json", "--data", data.root), 130, "interrupted")


def up_in(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("cubehub")), "up", "--detach", "--json", *words]
    return subprocess.run(
        command, cwd=folder, env=environment or None, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--host", "0.0.0.0"], "bad_input"),  # noqa: S104
        (["--host", "::1"], "bad_input"),
        (["--data", "photographs"], "data_folder_foreign"),
        (["--data", "what?"], "data_folder_name"),
        (["--data", "new", "--config", "own"], "bad_input"),
    ],
)
def test_up_refuses_before_anything_is_fetched(tmp_path: Path, words: list[str], code: str) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "lake.jpg").touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cubehub.yaml").write_text("colour: blue")
    where = [] if "--data" in words else ["--data", "new"]
    ended = up_in(tmp_path, *words, *where)
    assert ended.returncode == 2, ended
    assert json.loads(ended.stdout)["code"] == code
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == ["error", "hint"]
    envs = tmp_path / "new" / "envs"
    assert not envs.exists() or not list(envs.iterdir())


def test_output_that_goes_nowhere_is_an_error_and_no_traceback(data: DataFolder) -> None:
    command = [str(Path(sys.executable).with_name("cubehub")), "status", "--json", "--data", str(data.root)]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == ["error", "hint"], ended.stderr


@pytest.mark.parametrize(
    "state",
    [
        '{"up": 5}',
        '{"up": {"pid": -1, "created": 0}}',
        '{"up": {"pid": 1, "created": null}}',
        '{"parts": [1]}',
        "",
    ],
)
def test_a_state_of_another_shape_is_no_state(data: DataFolder, state: str) -> None:
    data.state_file.write_text(state)
    assert json.loads(run("status", "--json", "--data", data.root).stdout)["running"] is False
    assert run("down", "--data", data.root).exit_code == 0


def test_a_port_in_use_leaves_no_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = up_in(tmp_path, "--data", "new", "--port", str(server.getsockname()[1]))
    assert ended.returncode == 1, ended
    assert json.loads(ended.stdout)["code"] == "port_in_use"
    assert not (tmp_path / "new").exists()


def test_the_light_half_says_what_is_missing(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['psutil'] = None; from cubehub.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", hide, "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 1
    assert "error: psutil is not installed here." in ended.stderr
    assert "cubehub[server]" in ended.stderr
