"""What the server half makes of the storage service: passed on when it has the right form, refused plainly otherwise."""

import asyncio
import copy
import json
import socket

import pytest
from cubehub_account.storage import StorageError, StorageLink
from cubehub_account.storage_answers import UnreadableError, read_inside, read_mine, read_restored
from cubehub_tests.storage_stand_in import INSIDE, MINE, RESTORED, TOKEN, serving

MINE_PATH = "/services/storage/api/mine"


@pytest.fixture
def service():
    with serving() as running:
        yield running


def ask(service, what, *args, **more):
    return asyncio.run(getattr(StorageLink(service.environ, **more), what)(*args))


def refused(service, what="mine", *args, **more):
    with pytest.raises(StorageError) as error:
        ask(service, what, *args, **more)
    told = error.value.told()
    assert all(told.values())
    assert TOKEN not in json.dumps(told)
    return error.value.status, told


def test_each_question_goes_to_its_address_with_the_servers_token(service):
    assert ask(service, "mine")["home"] == "ana"
    assert ask(service, "keep", "data/old", 90)["kept"] == MINE["kept"]
    ask(service, "let_go", "models")
    assert ask(service, "restore", 3, "a.ipynb") == RESTORED
    ask(service, "restore", 3, None)
    assert ask(service, "inside", 3) == INSIDE
    token = f"token {TOKEN}"
    assert service.asked == [
        ("GET", MINE_PATH, None, token),
        ("POST", f"{MINE_PATH}/keep", {"path": "data/old", "days": 90}, token),
        ("POST", f"{MINE_PATH}/let-go", {"path": "models"}, token),
        ("POST", f"{MINE_PATH}/restore", {"number": 3, "only": "a.ipynb"}, token),
        ("POST", f"{MINE_PATH}/restore", {"number": 3, "only": None}, token),
        ("GET", f"{MINE_PATH}/inside?number=3", None, token),
    ]


def test_an_address_of_its_own_wins(service):
    environ = {**service.environ, "CUBEHUB_STORAGE_URL": f"{service.url}/services/storage/"}
    environ["CUBEHUB_URL"] = "http://127.0.0.1:1"
    assert asyncio.run(StorageLink(environ).mine())["home"] == "ana"


def test_without_a_service_it_is_said_that_there_is_none(service):
    service.answers.clear()
    assert refused(service)[1]["code"] == "storage_absent"
    for environ in ({}, {"CUBEHUB_URL": service.url}, {"JUPYTERHUB_API_TOKEN": TOKEN}):
        with pytest.raises(StorageError) as error:
            asyncio.run(StorageLink(environ).mine())
        assert (error.value.status, error.value.code) == (404, "storage_absent")
    assert len(service.asked) == 1, "nobody else is asked"


def test_its_own_words_are_passed_on_but_never_as_an_end_of_the_pages_log_in(service):
    words = {"code": "newer_file", "message": "There is a newer file.", "hint": "Move it first."}
    for status, shown in ((409, 409), (403, 502), (401, 502), (500, 502)):
        service.answers[f"{MINE_PATH}/restore"] = (status, {**words, "more": "x"})
        assert refused(service, "restore", 3, None) == (shown, words)


@pytest.mark.parametrize("words", [
    {"code": "No Code", "message": "m", "hint": "h"}, {"code": "x", "message": "m" * 2000, "hint": "h"},
    {"code": "x", "message": 7, "hint": "h"}, ["x"], "<h1>500</h1>", b"\xff\xfe", "[" * 100_000,
])  # fmt: skip
def test_words_of_another_form_are_not_shown(service, words):
    service.answers[MINE_PATH] = (500, words)
    assert refused(service)[1]["code"] == "storage_down"


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403])
def test_the_token_goes_nowhere_else(service, status):
    service.answers[MINE_PATH] = (status, "x")
    assert refused(service)[1]["code"] == "storage_refused"
    assert [uri for _, uri, _, _ in service.asked] == [MINE_PATH]


def test_a_service_that_is_down_slow_or_endless_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        environ = {"CUBEHUB_URL": f"http://127.0.0.1:{taken.getsockname()[1]}", "JUPYTERHUB_API_TOKEN": TOKEN}
        with pytest.raises(StorageError) as error:
            asyncio.run(StorageLink(environ).mine())
        assert (error.value.status, error.value.code) == (502, "storage_down")
    with serving() as service:
        service.answers[MINE_PATH] = (200, "wait")
        assert refused(service, answers_within_s=0.2)[1]["code"] == "storage_slow"
        service.answers[MINE_PATH] = (200, b" " * (9 * 2**20))
        assert refused(service)[1]["code"] == "storage_down"


def changed(*path_and_value):
    *path, last, value = path_and_value
    found = copy.deepcopy(MINE)
    part = found
    for step in path:
        part = part[step]
    part[last] = value
    return found


HOSTILE = [
    None, [], "x", 7, {}, changed("home", 7), changed("home", "x" * 2000), changed("limit_bytes", "5 GiB"),
    changed("limit_bytes", -1), changed("limit_bytes", True), changed("limit_bytes", 1.5), changed("scan", []),
    changed("scan", "ended", "yesterday"), changed("scan", "bytes", None), changed("scan", "places", {}),
    changed("scan", "places", [["data", 1]]), changed("scan", "places", 0, "path", None),
    changed("scan", "places", 0, "path", "x" * 20_000), changed("scan", "places", 0, "bytes", 2**63),
    changed("scan", "places", 0, "newest", "x"), changed("scan", "places", 0, "newest", float("nan")),
    changed("scan", "places", 0, "newest", float("inf")), changed("scan", "places", 0, "newest", 10**400),
    changed("scan", "caches", 0, "about", {"html": "<b>"}), changed("scan", "large", 0, "bytes", False),
    changed("noticed", None), changed("noticed", 0, "notice", 3), changed("noticed", 0, "notice", True),
    changed("noticed", 0, "notice", [1]), changed("noticed", 0, "when", 7),
    changed("noticed", 0, "reason", ["x"]), changed("away", 0, "number", "3"), changed("away", 0, "state", "gone"),
    changed("away", 0, "state", ["purged"]), changed("away", 0, "archived", 1), changed("away", 0, "until", "x"),
    changed("kept", 0, "by", "root"), changed("kept", "x"), changed("kept", [None]),
]  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_an_answer_of_another_form_is_refused_whole(answer):
    with pytest.raises(UnreadableError):
        read_mine(answer)


@pytest.mark.parametrize(
    "answer", [None, {"entries": [{"path": 1, "bytes": 1, "folder": True}]}, {"entries": 7}]
)
def test_so_is_what_is_inside(answer):
    with pytest.raises(UnreadableError):
        read_inside(answer)


@pytest.mark.parametrize("answer", [None, {"restored": None, "bytes": 1}, {"restored": "x", "bytes": "1"}])
def test_so_is_what_was_restored(answer):
    with pytest.raises(UnreadableError):
        read_restored(answer)


def test_refusing_repeats_nothing_of_the_answer(service):
    service.answers[MINE_PATH] = (200, changed("away", 0, "state", "<script>"))
    status, told = refused(service)
    assert (status, told["code"]) == (502, "storage_unreadable")
    assert "script" not in json.dumps(told)
    assert "state" in told["message"]
    service.answers[MINE_PATH] = (200, "[" * 100_000)
    assert refused(service)[1]["code"] == "storage_unreadable"


def test_what_is_not_known_of_is_left_out_and_a_long_list_keeps_its_largest():
    found = read_mine({**MINE, "token": "x", "scan": None, "limit_bytes": None})
    assert "token" not in found
    assert (found["scan"], found["limit_bytes"]) == (None, None)
    places = [{"path": f"p{size}", "bytes": size, "files": 1, "newest": 0} for size in range(5000)]
    kept = read_mine(changed("scan", "places", places))["scan"]["places"]
    assert [kept[0]["bytes"], kept[-1]["bytes"], len(kept)] == [4999, 4000, 1000]
    assert read_mine(MINE)["left_out"] == {"noticed": 0, "away": 0, "kept": 0}
    many = read_mine({**MINE, "kept": MINE["kept"] * 1007})
    assert (len(many["kept"]), many["left_out"]["kept"]) == (1000, 7)
    assert json.loads(json.dumps(read_mine(MINE)))["scan"]["places"][0]["path"] == ""
