"""`cubehub users` and `cubehub doctor`, against a service that answers what the test says."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.cli.users import read_until
from cubehub.errors import BadInputError
from cubehub.local.data_folder import DataFolder, typed, write_json
from cubehub.local.processes import this_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GIB = 2**30
NOW = datetime(2026, 12, 1, 12, tzinfo=timezone(timedelta(hours=1)))
ANA = {
    "name": "ana",
    "id": "1",
    "email": "ana@example.org",
    "full_name": "Ana [red]Analyst",
    "enabled": True,
    "suspended": None,
    "administrator": False,
    "groups": ["/cubehub/standard"],
    "profiles": ["standard"],
    "profile": "standard",
    "until": None,
    "until_profile": None,
}
REACHED = {"access": "granted", "actions": [], "clusters_stopped": 0, "problems": []}


class Answering:
    """An accounts service."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.tokens: set[str | None] = set()
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                world.tokens.add(self.headers["Authorization"])
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path = self.path.removeprefix("/services/accounts/api")
                world.asked.append((f"{self.command} {path}", body))
                status, content = world.answers.get(f"{self.command} {path.partition('?')[0]}", (500, None))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode() if content is not None else b"broken")

            do_POST = do_GET  # noqa: N815 - the base class names it so

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def service() -> Iterator[Answering]:
    answering = Answering()
    thread = threading.Thread(target=answering.server.serve_forever, args=(0.01,))
    thread.start()
    yield answering
    answering.server.shutdown()
    thread.join()
    answering.server.server_close()


@pytest.fixture
def data(tmp_path: Path, service: Answering) -> DataFolder:
    """Give the folder of a platform that runs."""
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    write_json(folder.state_file, {"phase": "healthy", "up": this_process(), "parts": {}})
    write_json(folder.run / "ports.json", {"accounts": service.port})
    (folder.secrets / "cli-token").write_text("the-token")
    return folder


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), [*words, "--data", str(data.root)])


def test_the_token_of_the_folder_is_sent_and_never_said(service: Answering, data: DataFolder) -> None:
    service.answers["GET /users"] = (200, {"users": [ANA], "more": False})
    result = run(data, "users", "list", "--search", "an")
    assert result.exit_code == 0, result.output
    assert service.tokens == {"token the-token"}
    assert service.asked == [("GET /users?search=an&first=0&max=100", None)]
    assert "Ana [red]Analyst" in result.stdout
    assert "the-token" not in result.output


def test_all_pages_are_listed(service: Answering, data: DataFolder) -> None:
    pages = iter([{"users": [ANA], "more": True}, {"users": [{**ANA, "name": "b"}], "more": False}])
    service.answers = {}

    class Pages(dict[str, tuple[int, Any]]):
        def get(self, *_: Any) -> Any:
            return 200, next(pages)

    service.answers = Pages()
    result = run(data, "users", "list", "--json")
    assert [one["name"] for one in json.loads(result.stdout)["users"]] == ["ana", "b"]


def test_address_and_token_from_the_environment(service: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBEHUB_URL", f"http://127.0.0.1:{service.port}/")
    monkeypatch.setenv("CUBEHUB_TOKEN", "mine")
    service.answers["GET /users/ana"] = (200, ANA)
    result = CliRunner().invoke(load_commands(), ["users", "show", "ana"])
    assert result.exit_code == 0, result.output
    assert service.tokens == {"token mine"}


def test_a_move_says_what_it_reached(service: Answering, data: DataFolder) -> None:
    until = (datetime.now(UTC) + timedelta(weeks=2)).isoformat(timespec="seconds")
    moved = {**ANA, "profile": "premium", "until": until, "until_profile": "standard"}
    sizes = {"from_bytes": 5 * GIB, "to_bytes": 10 * GIB}
    action = {"server": "", "kind": "resized", "message": "Your memory limit is now 10 GiB.", **sizes}
    problem = {"code": "gateway_error", "message": "Dask Gateway can't be reached.", "hint": ""}
    reached = REACHED | {"actions": [action], "clusters_stopped": 1, "problems": [problem]}
    service.answers["POST /users/ana/move"] = (200, {"user": moved, "reached": reached})
    result = run(data, "users", "move", "ana", "premium", "--until", "2w")
    assert result.exit_code == 0, result.output
    body = service.asked[0][1]
    assert body["profile"] == "premium"
    assert datetime.fromisoformat(body["until"]).tzinfo is not None
    for words in ("premium until", "then standard", "has 10 GiB now, before 5 GiB", "clusters ended: 1"):
        assert words in result.stdout
    assert "can't be reached" in result.stderr
    assert "Your" not in result.stdout, "what is for the person is not said to somebody else"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            {"kind": "announced", "to_bytes": 5 * GIB},
            "keeps 10 GiB until 02 Dec 2026 12:30 UTC, and is stopped",
        ),
        (
            {"kind": "announced", "to_bytes": 0},
            "keeps 10 GiB until 02 Dec 2026 12:30 UTC and is stopped then.",
        ),
        ({"kind": "stopped", "code": "account_disabled"}, "was stopped"),
        (
            {"kind": "kept", "code": "no_room", "to_bytes": 20 * GIB},
            "keeps 10 GiB: the machine has no room for 20",
        ),
        ({"kind": "kept", "code": "starting"}, "is just starting"),
        ({"kind": "kept", "code": "audit_log"}, "kept: Your words."),
    ],
)
def test_what_became_of_a_server_is_said_to_the_administrator(
    service: Answering, data: DataFolder, in_utc: None, action: dict[str, Any], said: str
) -> None:
    del in_utc
    one = {
        "server": "",
        "message": "Your words.",
        "from_bytes": 10 * GIB,
        "at": "2026-12-02T12:30:00Z",
        **action,
    }
    service.answers["POST /users/ana/move"] = (200, {"user": ANA, "reached": REACHED | {"actions": [one]}})
    result = run(data, "users", "move", "ana", "standard")
    assert f"server default: {said}" in result.stdout


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine into UTC for a test."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_day_ends_with_that_day(service: Answering, data: DataFolder, in_utc: None) -> None:
    del in_utc
    lent = {**ANA, "until": "2027-02-01T00:00:00Z", "until_profile": None}
    service.answers["GET /users/ana"] = (200, lent)
    assert "the end of 31 Jan 2027 UTC, then none" in run(data, "users", "show", "ana").stdout


def test_who_has_no_profile_does_not_have_it_for_good(service: Answering, data: DataFolder) -> None:
    service.answers["GET /users/ana"] = (200, {**ANA, "profiles": [], "profile": None})
    assert "for good" not in run(data, "users", "show", "ana").stdout
    service.answers["GET /users/ana"] = (200, ANA)
    assert "for good" in run(data, "users", "show", "ana").stdout


def test_a_move_of_somebody_suspended_says_so(service: Answering, data: DataFolder) -> None:
    there = {**ANA, "enabled": False, "suspended": "left"}
    service.answers["POST /users/ana/move"] = (200, {"user": there, "reached": REACHED})
    assert "The account is suspended" in run(data, "users", "move", "ana", "standard").stdout


def test_a_second_suspension_says_what_the_first_one_was_for(service: Answering, data: DataFolder) -> None:
    before = {**ANA, "enabled": False, "suspended": "left the institute"}
    answer = {"user": {**before, "suspended": "again"}, "before": before, "reached": REACHED}
    service.answers["POST /users/ana/suspend"] = (200, answer)
    said = run(data, "users", "suspend", "ana", "--reason", "again").stdout
    assert said == "ana was suspended already (left the institute). The reason noted is now: again.\n"


def test_a_reason_of_nothing_is_refused_before_it_is_sent(service: Answering, data: DataFolder) -> None:
    result = run(data, "users", "suspend", "ana", "--reason", " ")
    assert (result.exit_code, service.asked) == (2, [])
    assert "in a few words" in result.stderr


def test_an_address_by_mail_is_likened_to_its_person(service: Answering, data: DataFolder) -> None:
    gone = {
        "code": "unknown_account",
        "message": "Keycloak has no account 'ANA@example.org'.",
        "hint": "See.",
    }
    service.answers["GET /users/ANA%40example.org"] = (404, gone)
    service.answers["GET /users"] = (200, {"users": [ANA], "more": False})
    assert "hint: Did you mean ana?" in run(data, "users", "show", "ANA@example.org").stderr


@pytest.mark.parametrize(
    ("has", "lacks"), [("CUBEHUB_URL", "CUBEHUB_TOKEN"), ("CUBEHUB_TOKEN", "CUBEHUB_URL")]
)
def test_half_of_a_platform_elsewhere_is_told(
    monkeypatch: pytest.MonkeyPatch, data: DataFolder, service: Answering, has: str, lacks: str
) -> None:
    monkeypatch.delenv(lacks, raising=False)
    monkeypatch.setenv(has, "http://127.0.0.1:1")
    for words in (["users", "list"], ["doctor"], ["doctor", "ana"]):
        result = CliRunner().invoke(load_commands(), words)
        assert result.exit_code == 2
        assert f"{has} is set, and {lacks} is not" in result.stderr
    service.answers["GET /users/ana"] = (200, ANA)
    assert run(data, "users", "show", "ana").exit_code == 0, "a folder that is named comes first"


def test_plain_doctor_looks_at_no_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBEHUB_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CUBEHUB_TOKEN", "mine")
    result = CliRunner().invoke(load_commands(), ["doctor"])
    assert result.exit_code == 2
    assert "looks at the machine it runs on" in result.stderr


def test_suspend_and_resume(service: Answering, data: DataFolder) -> None:
    for action in ("suspend", "resume"):
        service.answers[f"POST /users/a%2Fb/{action}"] = (200, {"user": ANA, "reached": REACHED})
    assert run(data, "users", "suspend", "a/b", "--reason", "left").exit_code == 0
    assert run(data, "users", "resume", "a/b").exit_code == 0
    assert [body for _, body in service.asked] == [{"reason": "left"}, {}]
    assert run(data, "users", "suspend", "ana").exit_code == 2


def test_a_name_that_is_nobodys_is_likened(service: Answering, data: DataFolder) -> None:
    gone = {"code": "unknown_account", "message": "Keycloak has no account 'anna'.", "hint": "See."}
    service.answers["GET /users/anna"] = (404, gone)
    service.answers["GET /users"] = (200, {"users": [ANA], "more": False})
    result = run(data, "users", "show", "anna", "--json")
    assert result.exit_code == 2
    assert result.stderr == "error: Keycloak has no account 'anna'.\nhint: Did you mean ana?\n"
    assert json.loads(result.stdout)["code"] == "unknown_account"


@pytest.mark.parametrize(
    ("status", "content", "exit_status", "code"),
    [
        (
            503,
            {"code": "directory_unreachable", "message": "Keycloak.", "hint": "Wait."},
            1,
            "directory_unreachable",
        ),
        (409, {"code": "administrator", "message": "Adam.", "hint": "Do it there."}, 1, "administrator"),
        (409, {"code": "unknown_profile", "message": "No.", "hint": "Profiles: a."}, 2, "unknown_profile"),
        (502, None, 1, "not_running"),
        (200, None, 1, "not_running"),
    ],
)
def test_refusals_are_passed_on(
    service: Answering, data: DataFolder, status: int, content: Any, exit_status: int, code: str
) -> None:
    service.answers["POST /users/ana/move"] = (status, content)
    result = run(data, "users", "move", "ana", "premium", "--json")
    assert (result.exit_code, json.loads(result.stdout)["code"]) == (exit_status, code)
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]


def test_a_platform_that_does_not_run(data: DataFolder) -> None:
    write_json(data.state_file, {"phase": "healthy", "up": {"pid": 1, "created": 1.0}, "parts": {}})
    (data.root / "up.lock").unlink(missing_ok=True)
    for words in (("users", "list"), ("doctor", "ana")):
        result = run(data, *words)
        assert result.exit_code == 1
        assert "does not run" in result.stderr
        assert "cubehub up" in result.stderr


def test_a_token_that_is_missing(data: DataFolder) -> None:
    (data.secrets / "cli-token").unlink()
    result = run(data, "users", "list", "--json")
    assert (result.exit_code, json.loads(result.stdout)["code"]) == (1, "no_token")


def test_doctor_prints_its_findings(service: Answering, data: DataFolder) -> None:
    hint = "`cubehub users move ana PROFILE` does."
    found = {"level": "problem", "code": "no_profile", "message": "No [group].", "hint": hint}
    service.answers["GET /users/ana/doctor"] = (200, {"user": ANA, "findings": [found]})
    result = run(data, "doctor", "ana")
    assert result.exit_code == 0
    command = typed("users move ana PROFILE", data.root)
    assert str(data.root) in command
    assert result.stdout == f"✗ No [group].\n  `{command}` does.\n"


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2w", "2026-12-15T11:00"),
        ("3d", "2026-12-04T11:00"),
        ("12h", "2026-12-01T23:00"),
        ("30m", "2026-12-01T11:30"),
        ("60s", "2026-12-01T11:01"),
        # to the end of that day
        ("2026-12-24", "2026-12-24T23:00"),
        ("2026-12-24T18:00", "2026-12-24T17:00"),
        ("2026-12-24T18:00Z", "2026-12-24T18:00"),
    ],
)
def test_ends_are_read(text: str, until: str) -> None:
    assert read_until(text, NOW) == datetime.fromisoformat(until).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "2", "2x", "-2w", "0d", "tomorrow", "2026-11-30", "2026-13-01", "99999w", "3000-01-01"]
)
def test_ends_that_are_none(text: str) -> None:
    with pytest.raises(BadInputError):
        read_until(text, NOW)
