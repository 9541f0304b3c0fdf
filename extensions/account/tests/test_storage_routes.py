"""What a page gets of a real server, with a stand-in for the storage service behind it."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from cubehub_tests.storage_stand_in import INSIDE, MINE, RESTORED, TOKEN, serving

pytestmark = pytest.mark.slow
API = "/services/storage/api/mine"


@pytest.fixture(scope="module")
def service():
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def jupyter(service, tmp_path_factory):
    """A Jupyter server of this environment with our extension, as the stand-in's person."""
    home, token = tmp_path_factory.mktemp("home"), secrets.token_hex(16)
    (home / "data").mkdir()
    (home / "data" / "x").write_bytes(os.urandom(2**20))
    log = home / "server.log"
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "JUPYTER_TOKEN": token, **service.environ}
    arguments = [
        "--port=0",
        "--no-browser",
        "--allow-root",
        "--ServerApp.jpserver_extensions=cubehub_account=True",
    ]
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *arguments],
            env=environ, cwd=home, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            runtime = home / ".local/share/jupyter/runtime"
            deadline = time.monotonic() + 60
            while not (found := list(runtime.glob("jpserver-*.json"))) or not answers(found[0]):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            url = json.loads(found[0].read_text())["url"]
            yield SimpleNamespace(url=url, token=token, log=log)
        finally:
            server.terminate()
            server.wait(30)


def answers(runtime_file):
    try:
        with urllib.request.urlopen(json.loads(runtime_file.read_text())["url"] + "api", timeout=5):  # noqa: S310
            return True
    except (urllib.error.URLError, ValueError):
        return False


@pytest.fixture
def call(jupyter):
    def call(method, path, body=None, *, token=jupyter.token):
        headers = {"Authorization": f"token {token}"} if token else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        address = f"{jupyter.url}cubehub/account/{path}"
        request = urllib.request.Request(address, method=method, data=data, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        assert TOKEN.encode() not in text
        return status, json.loads(text)

    return call


@pytest.fixture(autouse=True)
def as_always(service):
    """Each test finds the stand-in as it was, and what it was asked empty."""
    before = dict(service.answers)
    service.asked.clear()
    yield
    service.answers = before


def counted(call):
    deadline = time.monotonic() + 30
    while (answer := call("GET", "storage"))[1]["local"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def test_a_page_gets_what_was_counted_and_what_the_service_says(call):
    status, told = counted(call)
    assert status == 200
    assert (told["trouble"], told["service"]["away"]) == (None, MINE["away"])
    by = {place["path"]: place for place in told["local"]["places"]}
    assert by["data"]["bytes"] >= 2**20
    assert by[""]["bytes"] == told["local"]["bytes"]


@pytest.mark.parametrize(("answer", "code"), [
    ((404, "<h1>404</h1>"), "storage_absent"), ((503, "x"), "storage_down"), ((200, "{}"), "storage_unreadable"),
])  # fmt: skip
def test_without_the_service_what_was_counted_stays(call, service, answer, code):
    service.answers[API] = answer
    status, told = counted(call)
    assert (status, told["service"], told["trouble"]["code"]) == (200, None, code)
    assert told["local"]["places"][0]["path"] == ""


def test_what_a_person_does_is_passed_on(call, service):
    assert call("POST", "storage/keep", {"path": "", "days": 90})[1]["kept"] == MINE["kept"]
    assert call("POST", "storage/let-go", {"path": "models"})[0] == 200
    assert call("POST", "storage/restore", {"number": 3, "only": None}) == (200, RESTORED)
    assert call("GET", "storage/inside?number=3") == (200, INSIDE)
    assert [(method, uri, body) for method, uri, body, _ in service.asked] == [
        ("POST", f"{API}/keep", {"path": "", "days": 90}),
        ("POST", f"{API}/let-go", {"path": "models"}),
        ("POST", f"{API}/restore", {"number": 3, "only": None}),
        ("GET", f"{API}/inside?number=3", None),
    ]


def test_a_refusal_is_shown_in_its_own_words(call, service):
    words = {"code": "newer_file", "message": "There is a newer file.", "hint": "Move it first."}
    service.answers[f"{API}/restore"] = (409, words)
    assert call("POST", "storage/restore", {"number": 3, "only": "a"}) == (409, words)
    service.answers[f"{API}/inside"] = (200, {"entries": [7]})
    assert call("GET", "storage/inside?number=3")[1]["code"] == "storage_unreadable"


@pytest.mark.parametrize(("path", "body"), [
    ("keep", b"no JSON"), ("keep", []), ("keep", {"days": 90}), ("keep", {"path": "x", "days": "90"}),
    ("keep", {"path": "x", "days": 0}), ("keep", {"path": "x", "days": True}), ("keep", {"path": 7, "days": 1}),
    ("keep", b"[" * 100_000), ("let-go", {"path": None}), ("let-go", {"path": "x" * 20_000}),
    ("restore", {}), ("restore", {"number": "3"}), ("restore", {"number": -1}), ("restore", {"number": 2**70}),
    ("restore", {"number": 3, "only": ""}), ("restore", {"number": 3, "only": ["a"]}),
])  # fmt: skip
def test_nonsense_is_refused_here(call, service, path, body):
    status, told = call("POST", f"storage/{path}", body)
    assert (status, told["code"]) == (400, "bad_input")
    assert told["message"]
    assert told["hint"]
    assert service.asked == []


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "9" * 30, "3%26x=1"])
def test_so_is_what_is_no_number(call, service, number):
    assert call("GET", f"storage/inside?number={number}")[1]["code"] == "bad_input"
    assert service.asked == []


def test_nobody_else_gets_an_answer(call, service, jupyter):
    for method, path in (("GET", "storage"), ("POST", "storage/keep"), ("POST", "storage/let-go"),
                         ("POST", "storage/restore"), ("GET", "storage/inside?number=3")):  # fmt: skip
        for token in (None, "wrong"):
            status, _ = call(method, path, {} if method == "POST" else None, token=token)
            assert status == 403, path
    assert service.asked == []
    assert TOKEN not in jupyter.log.read_text()
