"""The routes of code and of what is saved, in a real Jupyter server."""

from __future__ import annotations

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
from cubehub_catalogue.app import PREFIX
from cubehub_tests.catalogue_search import StacStandIn

pytestmark = pytest.mark.slow

SCENE = json.loads((Path(__file__).parent / "data/code/sentinel-2-earth-search.json").read_text())
CLOUD = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}


ADDRESS = re.compile(r"(http://(?:localhost|127\.0\.0\.1):\d+/)")


def answers(url):
    """Tell whether a server is there: it says its address before it listens."""
    try:
        with urllib.request.urlopen(url + "api", timeout=5):  # noqa: S310 - our own server
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def stand():
    """A catalogue, served from a thread, with one real scene of which there are three days."""
    server = StacStandIn()
    server.items = [
        {**SCENE, "id": f"S{day}", "properties": {**SCENE["properties"], "datetime": f"2020-03-0{day}T10:00:00Z", "eo:cloud_cover": 1}}
        for day in (1, 2, 3)
    ]  # fmt: skip
    ready, over, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(server.serving())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    yield server
    loop.call_soon_threadsafe(over.set)
    thread.join(30)
    loop.close()


@pytest.fixture(scope="module")
def jupyter(stand, tmp_path_factory):
    """A Jupyter server with the extension, in a home of its own, with 5 GiB."""
    home, token = tmp_path_factory.mktemp("home"), secrets.token_hex(16)
    listed = [{"id": "one", "title": "One", "url": stand.url, "private": True}]
    (home / "catalogues.yaml").write_text(json.dumps({"catalogues": listed}))
    log = home / "server.log"
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(home), "JUPYTER_TOKEN": token, "JUPYTER_PLATFORM_DIRS": "1",
        "CUBEHUB_CATALOGUES": str(home / "catalogues.yaml"), "MEM_LIMIT": str(5 * 2**30), "CUBEHUB_PROFILE_TITLE": "Standard",
    }  # fmt: skip
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--port=0", "--no-browser", "--allow-root",
             "--ServerApp.jpserver_extensions={'cubehub_catalogue': True}"],
            env=environ, cwd=home, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not ((found := ADDRESS.search(log.read_text())) and answers(found[1])):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield SimpleNamespace(root=f"{found[1]}{PREFIX}/", token=token, home=home)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture
def ask(jupyter):
    """Ask a route; gives status, JSON (all events of a stream) and ETag."""

    def ask(method, path, body=None, token=jupyter.token, **headers):
        request = urllib.request.Request(  # noqa: S310 - our own server
            jupyter.root + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"token {token}",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        try:
            answer = urllib.request.urlopen(request, timeout=30)  # noqa: S310
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
            if "ndjson" in (answer.headers.get("Content-Type") or ""):
                return answer.status, [json.loads(line) for line in text.splitlines()], None
            return answer.status, json.loads(text), answer.headers.get("ETag")

    return ask


@pytest.fixture
def search(ask):
    """Search, and give the search's id and its rows."""
    query = {
        "filter": CLOUD,
        "aoi": {
            "type": "Polygon",
            "coordinates": [[[8, 48.5], [8.1, 48.5], [8.1, 48.6], [8, 48.6], [8, 48.5]]],
        },
    }
    _, events, _ = ask("POST", "searches", {"catalogues": ["one"], "query": query})
    rows = [row for event in events for row in event.get("rows", ())]
    assert events[-1]["event"] == "end", events
    return SimpleNamespace(id=events[0]["search"], rows=rows, query=query)


def test_code_for_chosen_items(ask, search, stand):
    keys = [row["key"] for row in search.rows[:2]]
    status, told, _ = ask(
        "POST", "code", {"search": search.id, "keys": keys, "options": {"bands": ["red", "nir"]}}
    )
    assert status == 200, told
    assert stand.url in told["code"]
    assert '"S3", "S2"' in told["code"]
    assert 'bands=["red", "nir"]' in told["code"]
    assert told["estimate"]["profile"] == "Standard"
    assert told["estimate"]["profile_bytes"] == 5 * 2**30
    assert told["estimate"]["lazy"] is False
    assert told["needs"] == ["odc-stac", "pystac-client"]
    # of the environment of the tests
    assert told["missing"] == ["odc-stac"]
    assert {band["name"] for band in told["bands"] if band["chosen"]} == {"red", "nir"}


def test_code_for_the_whole_search(ask, search):
    status, told, _ = ask("POST", "code", {"search": search.id, "options": {"variant": "dask"}})
    assert status == 200, told
    assert "bbox=bbox" in told["code"]
    assert "filter=" in told["code"]
    assert "chunks=" in told["code"]
    assert not told["estimate"]["at_least"]
    _, anew, _ = ask("POST", "code", {"query": search.query, "catalogues": ["one"]})
    assert "for item in items" in anew["code"]
    assert anew["estimate"]["bytes"] is None


def test_what_the_catalogue_cannot_do_is_searched_for_by_our_own(ask):
    _, told, _ = ask("POST", "code", {"query": {"text": "lake"}, "catalogues": ["one"]})
    assert 'cubehub_catalogue.search("one"' in told["code"]
    assert 'text="lake"' in told["code"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "nothing_chosen"),
        ({"keys": ["r0"]}, 400, "bad_input"),
        ({"search": "no-such", "keys": ["r0"]}, 404, "unknown_search"),
        ({"search": 3}, 400, "bad_input"),
        ({"query": {}, "catalogues": ["two"]}, 404, "unknown_catalogue"),
        ({"query": {}, "catalogues": ["one"], "options": {"variant": "magic"}}, 400, "bad_options"),
        ({"query": {}, "catalogues": ["one"], "options": {"template": "none"}}, 404, "unknown_template"),
        ([], 400, "bad_input"),
    ],
)
def test_what_no_code_can_be_written_for_is_refused(ask, body, status, code):
    found, told, _ = ask("POST", "code", body)
    assert (found, told["code"]) == (status, code)
    assert told["hint"]


def test_templates_are_listed(ask):
    assert ask("GET", "code/templates")[:2] == (200, [])


def test_saved_things_have_a_version(ask, jupyter, search):
    status, told, version = ask("GET", "saved")
    assert (status, told) == (200, {"searches": [], "favourites": [], "cart": []})
    wanted = {
        "searches": [{"id": "1", "name": "Mine", "query": search.query, "catalogues": ["one"]}],
        "favourites": [], "cart": [{"catalogue": "one", "collection": "c", "id": "S1", "title": "S1"}],
    }  # fmt: skip
    assert ask("PUT", "saved", wanted)[1]["code"] == "no_version"
    status, told, newer = ask("PUT", "saved", wanted, If_Match=version)
    assert (status, told) == (200, wanted)
    assert ask("GET", "saved") == (200, wanted, newer)
    assert ask("PUT", "saved", wanted, If_Match=version)[0] == 412
    assert ask("PUT", "saved", {"cart": [{}]}, If_Match=newer)[1]["code"] == "bad_saved"
    (file,) = jupyter.home.rglob("saved.json")
    file.write_text("{")
    status, told, _ = ask("GET", "saved")
    assert status == 200
    assert told["problem"]["code"] == "saved_broken"
    assert "~/" in told["problem"]["hint"]


def test_a_search_is_passed_on_and_comes_back(ask, search):
    kept = {"name": "Mine", "query": search.query, "catalogues": ["one"]}
    status, told, _ = ask("POST", "saved/export", kept)
    assert (status, told["file"]["name"]) == (200, "Mine.cubehub-search.json")
    assert ask("POST", "saved/import", {"text": told["file"]["text"]})[1] == kept
    link = f"https://hub.example.org/lab#{told['fragment']}"
    assert ask("POST", "saved/import", {"link": link})[1] == kept | {"name": "Search"}
    assert ask("POST", "saved/import", {})[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "code"),
        ("GET", "code/templates"),
        ("GET", "saved"),
        ("PUT", "saved"),
        ("POST", "saved/export"),
        ("POST", "saved/import"),
    ],
)
def test_nobody_is_answered_without_a_token(ask, method, path):
    assert ask(method, path, {} if method != "GET" else None, token="none")[0] == 403
