"""The routes in a real Jupyter server, asked as the panel asks them."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from cubehub_catalogue.app import PREFIX
from cubehub_catalogue.context import Context
from cubehub_catalogue.settings import Settings
from cubehub_catalogue.table import all_routes
from cubehub_tests.catalogue_search import StacStandIn
from jupyter_server.serverapp import _has_tornado_web_authenticated
from tornado.web import RequestHandler

pytestmark = pytest.mark.slow

CLOUD = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}


@pytest.fixture(scope="module")
def stands():
    """Two catalogues that are there for all tests, served from a thread; what they do is said by the test."""
    servers = {"one": StacStandIn(), "two": StacStandIn()}
    for name, server in servers.items():
        server.items = [
            server.made(f"{name}{n}", f"2024-05-{n + 1:02}T00:00:00Z", **{"eo:cloud_cover": n * 10})
            for n in range(9)
        ]
        server.queryables = {"": {"properties": {"eo:cloud_cover": {"type": "number"}}}}
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve():
        async with contextlib.AsyncExitStack() as stack:
            for server in servers.values():
                await stack.enter_async_context(server.serving())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    yield SimpleNamespace(**servers, loop=loop)
    loop.call_soon_threadsafe(over.set)
    thread.join(30)
    loop.close()


def answers(url):
    try:
        with urllib.request.urlopen(url + "api", timeout=5):  # noqa: S310 - our own server
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def jupyter(stands, tmp_path_factory):
    """A Jupyter server with the extension, in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    token = secrets.token_hex(16)
    listed = [
        {"id": name, "title": name.title(), "url": getattr(stands, name).url, "private": True, "timeout": 20}
        for name in ("one", "two")
    ]
    (home / "catalogues.yaml").write_text(json.dumps({"catalogues": listed, "user_catalogues": True}))
    log = (home / "server.log").open("w")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(home), "JUPYTER_TOKEN": token,
        "CUBEHUB_CATALOGUES": str(home / "catalogues.yaml"), "JUPYTER_PLATFORM_DIRS": "1",
    }  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", "--port=0", "--no-browser", "--allow-root",
         "--ServerApp.base_url=/user/ana/", "--ServerApp.jpserver_extensions={'cubehub_catalogue': True}"],
        env=environ, cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (
            found := re.search(
                r"(http://(?:localhost|127\.0\.0\.1):\d+/user/ana/)", (home / "server.log").read_text()
            )
        ):
            assert server.poll() is None, (home / "server.log").read_text()
            assert time.monotonic() < deadline, (home / "server.log").read_text()
            time.sleep(0.05)
        while not answers(found[1]):  # the address is written before the server listens
            assert time.monotonic() < deadline, (home / "server.log").read_text()
            time.sleep(0.05)
        yield SimpleNamespace(
            root=f"{found[1]}{PREFIX}/", base=found[1], token=token, home=home, log=home / "server.log"
        )
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


@pytest.fixture
def ask(jupyter):
    """Ask a route; gives status and JSON, or all events of a stream."""

    def ask(method, path, body=None, token=jupyter.token, headers=None):
        request = urllib.request.Request(  # noqa: S310 - our own server
            jupyter.root + path,
            method=method,
            data=None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={**({"Authorization": f"token {token}"} if token else {}), **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, read(error)

    return ask


def read(answer):
    text = answer.read().decode()
    if "ndjson" in (answer.headers.get("Content-Type") or ""):
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text) if text else None


def test_what_the_panel_begins_with(ask):
    status, found = ask("GET", "catalogues")
    assert status == 200
    assert [one["id"] for one in found["catalogues"]] == ["one", "two"]
    assert found["tiles"] == ""
    assert found["user_catalogues"] is True
    assert ask("GET", "catalogues/one/capabilities")[1]["filter"] is True
    assert [one["id"] for one in ask("GET", "catalogues/one/collections")[1]["collections"]] == ["c"]
    assert ask("GET", "catalogues/one/queryables")[1]["properties"]["eo:cloud_cover"] == {"type": "number"}
    assert ask("GET", "catalogues/one/queryables?collection=c&collection=d")[1] == {}
    assert ask("GET", "catalogues/one/sortables?collection=c")[1] == {}
    status, error = ask("GET", "catalogues/three/collections")
    assert (status, error["code"]) == (404, "unknown_catalogue")


def test_a_search_its_pages_and_its_items(ask):
    status, events = ask(
        "POST", "searches", {"catalogues": ["one", "two"], "query": {"limit": 4, "filter": CLOUD}}
    )
    assert status == 200
    assert events[0]["event"] == "search"
    assert [e["event"] for e in events].count("asking") == 2
    rows = [row for event in events for row in event.get("rows", ())]
    assert sorted(row["id"] for row in rows) == ["one0", "one1", "two0", "two1"]
    assert events[-1] == {"event": "end", "more": False, "final": 4}
    search = events[0]["search"]
    status, found = ask("GET", f"searches/{search}/items/{rows[0]['key']}")
    assert found["item"]["id"] == rows[0]["id"]
    assert found["copies"] == []
    assert ask("GET", f"searches/{search}/items/nothing")[0] == 404
    assert ask("POST", f"searches/{search}/more", {})[1] == [{"event": "end", "more": False, "final": 4}]
    assert ask("DELETE", f"searches/{search}")[0] == 204
    assert ask("POST", f"searches/{search}/more", {})[0] == 404


def test_pages_follow_until_the_end(ask):
    _, events = ask("POST", "searches", {"catalogues": ["one", "two"], "query": {"limit": 4}})
    search, found = events[0]["search"], list(events)
    while events[-1]["more"]:
        _, events = ask("POST", f"searches/{search}/more", {})
        found += events
    rows = {row["key"]: row for event in found for row in event.get("rows", ())}
    assert len(rows) == 18
    times = [row["start"] for row in sorted(rows.values(), key=lambda row: row["order"])]
    assert times == sorted(times, reverse=True)


def test_events_come_as_they_happen_and_who_leaves_is_not_served_on(ask, jupyter, stands):
    let_go, arrived = asyncio.Event(), threading.Event()

    async def hang(_number):
        if not arrived.is_set():  # the first time only
            arrived.set()
            await let_go.wait()

    stands.two.before_search = hang
    try:
        request = urllib.request.Request(  # noqa: S310
            jupyter.root + "searches",
            data=json.dumps({"catalogues": ["one", "two"], "query": {}}).encode(),
            headers={"Authorization": f"token {jupyter.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            kinds = []
            while "answered" not in kinds:
                event = json.loads(answer.readline())
                kinds.append(event["event"])
                if event["event"] == "search":
                    search = event["search"]
            assert "rows" in kinds  # while the other is still waited for
            assert arrived.wait(20)
            status, error = ask("POST", f"searches/{search}/more", {})
            assert (status, error["code"]) == (400, "busy")
        # the page is closed: nothing is asked for any more, and the search can go on
        deadline = time.monotonic() + 20
        while (found := ask("POST", f"searches/{search}/more", {}))[0] == 400:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [event["catalogue"] for event in found[1] if event["event"] == "answered"] == ["two"]
    finally:
        stands.two.before_search = None
        stands.loop.call_soon_threadsafe(let_go.set)
    assert "Traceback" not in jupyter.log.read_text()


def test_a_catalogue_that_fails_is_named_and_retried(ask, stands):
    async def broken(_number):
        return web.json_response({"description": "out of order"}, status=500)

    stands.two.before_search = broken
    try:
        _, events = ask("POST", "searches", {"catalogues": ["one", "two"]})
    finally:
        stands.two.before_search = None
    (failed,) = [event for event in events if event["event"] == "failed"]
    assert failed["catalogue"] == "two"
    assert failed["error"]["upstream_status"] == 500
    assert "Traceback" not in json.dumps(events)
    assert len([row for event in events for row in event.get("rows", ())]) == 9
    _, again = ask("POST", f"searches/{events[0]['search']}/more", {"retry": ["two"]})
    assert [event["catalogue"] for event in again if event["event"] == "answered"] == ["two"]


def test_outlines_and_filters_are_read(ask):
    status, found = ask("POST", "aoi", {"text": "170 -10 -170 10"})
    assert status == 200
    assert found["aoi"]["type"] == "MultiPolygon"
    assert found["boxes"] == [[-180, -10, -170, 10], [170, -10, 180, 10]]
    assert ask("POST", "aoi", {"box": [0, 0, 1, 1]})[1]["area_km2"] == pytest.approx(12308.464)
    assert ask("POST", "aoi", {"text": "x"})[1]["code"] == "bad_aoi"
    assert ask("POST", "aoi", {})[0] == 400
    rows = [{"property": "eo:cloud_cover", "op": "<", "value": "20"}]
    schema = {"properties": {"eo:cloud_cover": {"type": "number"}}}
    told = ask("POST", "filter", {"rows": rows, "queryables": schema})[1]
    assert told == {"filter": CLOUD, "warnings": []}
    rows[0]["property"] = "eo:cloud_kover"
    (warning,) = ask("POST", "filter", {"rows": rows, "queryables": schema})[1]["warnings"]
    assert "eo:cloud_kover" in warning
    assert ask("POST", "filter", {"rows": [5]})[0] == 400


def test_own_catalogues_are_added_and_removed(ask, jupyter):
    status, made = ask(
        "POST", "catalogues", {"title": "Mine", "url": "https://stac.example.org/v1", "type": "stac"}
    )
    assert (status, made["own"], made["title"]) == (201, True, "Mine")
    # it is asked at once; what it answered is told, and it stays
    assert made["tried"]["collections"] is None
    assert made["tried"]["error"]["hint"]
    assert made["id"] in [one["id"] for one in ask("GET", "catalogues")[1]["catalogues"]]
    assert (
        ask("POST", "catalogues", {"title": "Mine", "url": "https://stac.example.org/v1/"})[1]["code"]
        == "there_already"
    )
    for bad in (
        "http://stac.example.org/",
        "/services/catalogue/",
        "file:///etc/passwd",
        "https://a:b@c.org/",
        5,
    ):
        status, told, *_ = ask("POST", "catalogues", {"title": "x", "url": bad, "type": "stac"})
        assert (status, told["code"]) == (400, "bad_catalogue")
        assert "private: true" not in told["message"], "the person has a form, and no file"
        assert "a:b" not in told["message"]
    for wrong in ({"title": " "}, {"type": "ftp"}, {"title": "x" * 201}):
        asked = {"title": "x", "url": "https://stac.example.org/v2", "type": "stac"} | wrong
        assert ask("POST", "catalogues", asked)[1]["code"] == "bad_catalogue"
    assert ask("DELETE", f"catalogues/{made['id']}")[0] == 204
    assert ask("DELETE", f"catalogues/{made['id']}")[0] == 404
    assert ask("DELETE", "catalogues/one")[0] == 404
    (file,) = jupyter.home.rglob("catalogues.json")
    assert json.loads(file.read_text()) == []
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("path", "body", "code", "status"),
    [
        ("searches", b"rubbish", "bad_input", 400),
        ("searches", b"[]", "bad_input", 400),
        ("searches", b'{"catalogues": ["one"], "query": {"limit": NaN}}', "bad_input", 400),
        ("searches", {"catalogues": []}, "no_catalogue", 400),
        ("searches", {"catalogues": "one"}, "bad_query", 400),
        ("searches", {"catalogues": ["nowhere"]}, "unknown_catalogue", 404),
        ("searches", {"catalogues": ["https://example.org"]}, "unknown_catalogue", 404),
        ("searches", {"catalogues": ["one"], "query": {"limit": 5000}}, "bad_query", 400),
        ("searches", b"[" * 100_000, "bad_input", 400),
        ("searches/unknown/more", {}, "unknown_search", 404),
        ("filter", b" " * (2**20 + 1), "too_large", 413),
    ],
)
def test_bad_questions_are_refused_in_words(ask, path, body, code, status):
    found = ask("POST", path, body)
    assert found[0] == status
    assert found[1]["code"] == code
    assert set(found[1]) == {"code", "message", "hint", "upstream_status"}
    assert found[1]["hint"]


def table(tmp_path):
    return all_routes(Context(Settings(), tmp_path, tmp_path))


def test_every_method_of_every_route_wants_a_login(tmp_path):
    """What Jupyter Server would look at, were the routes made when the server starts."""
    for pattern, handler, _ in table(tmp_path):
        for method in ("get", "post", "put", "patch", "delete", "head"):
            own = getattr(handler, method)
            if own is not RequestHandler._unimplemented_method:
                assert _has_tornado_web_authenticated(own), (pattern, method)


def test_a_server_that_nobody_searches_in_has_not_loaded_what_a_search_needs():
    said = "import jupyter_server.serverapp, cubehub_catalogue.app, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", said], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"shapely", "numpy", "aiohttp", "PIL", "pydantic", "cubehub_catalogue.routes"} & set(loaded)


def test_what_is_no_route_is_not_found(ask):
    assert ask("GET", "nothing")[0] == 404
    assert ask("GET", "catalogues/a/b/c")[0] == 404


def test_no_route_answers_who_is_not_logged_in(ask, tmp_path, jupyter):
    tried = 0
    for pattern, handler, _ in table(tmp_path):
        path = re.sub(r"\(.*?\)", "x", pattern)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            own = getattr(handler, method.lower())
            body = b"{}" if method in ("POST", "PUT", "PATCH") else None
            status, said = ask(method, path, body, token=None)
            # a method that the route has is refused before it runs; one that it has not does nothing
            expected = {403} if "_unimplemented_method" not in own.__qualname__ else {403, 405}
            assert status in expected, (method, path, status)
            assert "catalogues" not in str(said).lower() or "code" in said
            tried += 1
    assert tried >= 60
    assert ask("GET", "catalogues", token="wrong")[0] == 403
    assert "Traceback" not in jupyter.log.read_text()


def test_a_page_of_another_site_cannot_post_with_the_persons_cookie(jupyter):
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(f"{jupyter.base}api/status?token={jupyter.token}", timeout=30):
        pass  # the cookie of the log-in is set now
    with opener.open(jupyter.root + "catalogues", timeout=30) as answer:
        assert answer.status == 200
    request = urllib.request.Request(jupyter.root + "aoi", data=b'{"box": [0, 0, 1, 1]}')  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(request, timeout=30)
    with caught.value as error:
        assert error.code == 403
        assert json.loads(error.read())["code"] == "forbidden"


def test_settings_that_are_wrong_are_told_by_every_route(tmp_path):
    from cubehub_catalogue.errors import CatalogueError  # noqa: PLC0415
    from cubehub_catalogue.settings import load_settings  # noqa: PLC0415

    (tmp_path / "catalogues.yaml").write_text("catalogues: [{id: A}]")
    with pytest.raises(CatalogueError) as caught:
        load_settings(tmp_path / "catalogues.yaml")
    context = Context(caught.value, Path(tmp_path), tmp_path)
    with pytest.raises(CatalogueError, match=r"catalogues\.yaml"):
        context.catalogues()
