"""Every state of the directory that a look-up can meet; `test_real.py` meets them with a real Keycloak."""

import asyncio
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpcore
import httpx
import pytest
from cubehub import directory as module
from cubehub.directory import KeycloakDirectory
from cubehub_spawner.entitlement import Account
from cubehub_spawner.errors import DirectoryUnavailableError, UnknownAccountError

ANA = {"id": "1", "username": "ana", "enabled": True, "email": "ana@example.org"}
STANDARD = [{"id": "g", "name": "standard", "path": "/cubehub/standard", "parentId": "root"}]


class Server:
    """Answers as Keycloak does; each answer can be replaced, or be an exception."""

    def __init__(self):
        self.calls = []
        self.tokens = 0
        self.expires_in = 300
        self.people, self.groups, self.login = [ANA], STANDARD, None
        self.refuse = set()
        self.above = {"root": {"id": "root", "name": "cubehub", "path": "/cubehub"}}

    def __call__(self, request):
        path = request.url.path
        if path.endswith("/token"):
            self.calls.append("token")
            self.tokens += 1
            return self.answer(
                self.login or {"access_token": f"t{self.tokens}", "expires_in": self.expires_in}
            )
        self.calls.append(path.removeprefix("/admin/realms/cubehub"))
        if request.headers["authorization"].removeprefix("Bearer ") in self.refuse:
            return httpx.Response(401)
        if "/groups/" in path:
            return self.answer(self.above[path.rpartition("/")[2]])
        if path.endswith("/groups"):
            return self.answer(self.groups)
        assert request.url.params["exact"] == "true"
        assert request.url.params["briefRepresentation"] == "false", "the brief one has no attributes"
        return self.answer(self.people)

    @staticmethod
    def answer(content):
        if isinstance(content, Exception):
            raise content
        if isinstance(content, httpx.Response):
            return content
        return httpx.Response(200, json=content)


class Pool:
    """Stands for httpcore's pool of connections; `test_real.py` has the real one."""

    def __init__(self, answer):
        self.answer = answer

    @contextmanager
    def stream(self, method, url, *, headers, content, extensions):
        assert set(extensions["timeout"]) == {"connect", "read", "write", "pool"}
        answer = self.answer(httpx.Request(method, url, headers=headers, content=content))
        yield SimpleNamespace(status=answer.status_code, iter_stream=answer.iter_bytes)

    def close(self):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_S", 0)
    return Server()


@contextmanager
def serving(server):
    """Answer over a real connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            headers = {"authorization": self.headers.get("authorization", "")}
            answer = server(httpx.Request(self.command, f"http://kc{self.path}", headers=headers))
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815 - the server looks for this name

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()


def look_up(server, *usernames):
    async def run():
        pool = Pool(server)
        async with KeycloakDirectory("http://kc", "cubehub", "dir", "s3cret", pool=pool) as directory:
            return await asyncio.gather(*(directory.lookup(name) for name in usernames))

    return asyncio.run(run())


def refused(server, kind=DirectoryUnavailableError):
    with pytest.raises(kind) as caught:
        look_up(server, "ana")
    return caught.value


def test_an_account_is_what_keycloak_says(server):
    (account,) = look_up(server, "ana")
    assert account == Account(
        "ana", "1", enabled=True, groups=frozenset({"/cubehub/standard"}), email="ana@example.org"
    )
    assert server.calls == ["token", "/users", "/users/1/groups", "/groups/root"]


def test_until_when_a_profile_is_lent_is_read_with_the_account(server):
    attributes = {"cubehub_until": ["2026-12-01T00:00:00Z"], "cubehub_until_profile": ["standard"]}
    server.people = [{**ANA, "attributes": attributes}]
    (account,) = look_up(server, "ana")
    assert (account.until, account.until_profile) == (datetime(2026, 12, 1, tzinfo=UTC), "standard")
    for rubbish in ({"cubehub_until": ["soon"]}, {"cubehub_until": []}, {"cubehub_until": "x"}, [], None):
        server.people = [{**ANA, "attributes": rubbish}]
        (account,) = look_up(server, "ana")
        assert account.until is None, "who it is and what they may have is known all the same"


def test_a_look_up_is_two_requests(server):
    look_up(server, "ana", "ana", "ana")
    assert server.calls == [
        "token",
        "/users",
        "/users/1/groups",
        "/groups/root",
        *["/users", "/users/1/groups"] * 2,
    ]


@pytest.mark.parametrize(
    "namesake",
    [
        {"id": "n", "name": "cubehub/premium", "path": "/cubehub/premium"},
        {"id": "n", "name": "premium", "path": "/cubehub/premium", "parentId": "above"},
        {"id": "n", "name": "premium", "path": "/cubehub/premium"},
    ],
)
def test_a_group_named_as_the_path_of_another_is_not_that_one(server, namesake):
    server.above["above"] = {"id": "above", "name": "a/b", "path": "/a/b", "parentId": "root"}
    server.groups = [*STANDARD, namesake]
    (account,) = look_up(server, "ana")
    assert account.groups == {"/cubehub/standard"}


def test_someone_in_no_group_is_someone(server):
    server.groups = []
    assert look_up(server, "ana")[0].groups == frozenset()


@pytest.mark.parametrize("enabled", [False, None, "true", 1])
def test_only_a_plain_true_is_enabled(server, enabled):
    server.people = [ANA | {"enabled": enabled}]
    assert look_up(server, "ana")[0].enabled is False


def test_nobody_of_that_name(server):
    server.people = []
    refused(server, UnknownAccountError)


def test_a_search_that_finds_more_than_asked_finds_nobody_else(server):
    server.people = [ANA | {"username": "anastasia", "id": "9"}]
    refused(server, UnknownAccountError)


def test_deleted_between_the_two_questions(server):
    server.groups = httpx.Response(404)
    refused(server, UnknownAccountError)


def test_side_by_side_look_ups_sign_in_once(server):
    assert len(look_up(server, *["ana"] * 20)) == 20
    assert server.tokens == 1
    assert len(server.calls) == 1 + 2 * 20 + 1


def test_a_token_near_its_end_is_renewed(server):
    server.expires_in = 29

    async def run():
        async with KeycloakDirectory("http://kc", "cubehub", "d", "s", pool=Pool(server)) as one:
            await one.lookup("ana")
            before = server.tokens
            await one.lookup("ana")
            return server.tokens > before

    assert asyncio.run(run())


def test_a_token_that_keycloak_forgot_is_replaced_once(server):
    server.refuse = {"t1"}
    assert look_up(server, "ana")[0].username == "ana"
    assert server.tokens == 2


def test_an_account_service_that_refuses_every_token(server):
    server.refuse = {f"t{number}" for number in range(9)}
    assert refused(server).code == "directory_token_refused"
    assert server.tokens == 2


@pytest.mark.parametrize(
    ("where", "what", "code", "calls"),
    [
        ("login", httpx.Response(401, json={"error": "unauthorized_client"}), "directory_denied", 1),
        ("login", httpx.Response(400, json={"error": "invalid_client"}), "directory_denied", 1),
        ("login", httpx.Response(503), "directory_error", 1),
        ("login", httpx.Response(404), "directory_realm_missing", 1),
        ("login", {"no": "token"}, "directory_error", 1),
        ("login", httpcore.ConnectError("refused"), "directory_unreachable", 2),
        ("login", httpcore.ConnectTimeout("slow"), "directory_timeout", 2),
        ("people", httpx.Response(403), "directory_forbidden", 2),
        ("people", httpx.Response(500), "directory_error", 2),
        ("people", httpx.Response(404), "directory_error", 2),
        ("people", httpx.Response(200, text="<html>"), "directory_error", 2),
        ("people", {"not": "a list"}, "directory_error", 2),
        ("people", [{"username": "ana"}], "directory_error", 2),
        ("people", httpcore.RemoteProtocolError("closed"), "directory_unreachable", 3),
        ("people", httpcore.ReadTimeout("slow"), "directory_timeout", 3),
        ("groups", httpx.Response(403), "directory_forbidden", 3),
        ("groups", httpx.Response(502), "directory_error", 3),
        ("groups", [{"name": "pathless"}], "directory_error", 3),
        ("groups", httpcore.ReadError("reset"), "directory_unreachable", 4),
    ],
)
def test_every_failure_has_its_code_and_text(server, caplog, where, what, code, calls):
    setattr(server, where, what)
    error = refused(server)
    assert error.code == code
    assert error.message
    assert error.hint
    assert len(server.calls) == calls
    assert code in caplog.text
    for secret in ("s3cret", "t1"):
        assert secret not in f"{error.message} {error.hint} {caplog.text}"


def test_every_code_has_words_of_its_own():
    texts = list(module._TEXTS.values())
    assert len({message for message, _ in texts}) == len(texts) == 7


def test_a_keycloak_that_trickles_is_given_up(server, monkeypatch):
    monkeypatch.setattr(module, "_BUDGET_S", 0.1)

    def slow(request):
        time.sleep(0.06)
        return server(request)

    async def run():
        async with KeycloakDirectory("http://kc", "cubehub", "d", "s", pool=Pool(slow)) as directory:
            await directory.lookup("ana")

    with pytest.raises(DirectoryUnavailableError) as caught:
        asyncio.run(run())
    assert caught.value.code == "directory_timeout"


def test_an_answer_that_comes_byte_by_byte_is_given_up(server, monkeypatch):
    monkeypatch.setattr(module, "_BUDGET_S", 0.1)

    class Trickle(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                time.sleep(0.02)
                yield b" "

    server.people = httpx.Response(200, stream=Trickle())
    assert refused(server).code == "directory_timeout"


@pytest.mark.slow
def test_a_busy_event_loop_is_not_taken_for_a_slow_keycloak(monkeypatch):
    monkeypatch.setattr(module, "_TRY_S", 0.2)
    monkeypatch.setattr(module, "_PAUSE_S", 0)

    async def run(url):
        async with KeycloakDirectory(url, "cubehub", "d", "s") as directory:
            asked = asyncio.create_task(directory.lookup("ana"))
            for _ in range(10):
                await asyncio.sleep(0)
                time.sleep(0.25)  # noqa: ASYNC251 - as a Hub does that works off a crowd
            return await asked

    with serving(Server()) as url:
        assert asyncio.run(run(url)).username == "ana"


def test_a_crowd_does_not_queue_up_behind_a_keycloak_that_is_silent(server, caplog):
    all_came = threading.Event()
    server.login = httpcore.ConnectTimeout("slow")

    def silent(request):
        assert all_came.wait(10)
        return server(request)

    async def run():
        pool = Pool(silent)
        async with KeycloakDirectory("http://kc", "cubehub", "d", "s", pool=pool) as directory:
            asked = [asyncio.create_task(directory.lookup("ana")) for _ in range(200)]
            await asyncio.sleep(0)
            all_came.set()
            return await asyncio.gather(*asked, return_exceptions=True)

    errors = asyncio.run(run())
    assert {error.code for error in errors} == {"directory_timeout"}
    assert server.calls == ["token", "token"]
    assert caplog.text.count("directory_timeout") == 1


def test_whoever_comes_later_asks_again(server):
    server.login = httpcore.ConnectTimeout("slow")

    async def run():
        pool = Pool(server)
        async with KeycloakDirectory("http://kc", "cubehub", "d", "s", pool=pool) as directory:
            with pytest.raises(DirectoryUnavailableError):
                await directory.lookup("ana")
            server.login = None
            return await directory.lookup("ana")

    assert asyncio.run(run()).username == "ana"


def test_one_dropped_connection_is_overcome(server):
    server.people = httpcore.ReadError("reset")

    def people_come_back(request):
        try:
            return server(request)
        finally:
            server.people = [ANA] if "/users" in server.calls else server.people

    async def run():
        pool = Pool(people_come_back)
        async with KeycloakDirectory("http://kc", "cubehub", "d", "s", pool=pool) as directory:
            return await directory.lookup("ana")

    assert asyncio.run(run()).username == "ana"
