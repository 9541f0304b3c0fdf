from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING

import httpx
import pytest
from cubehub.console.app import ConsoleSettings, make_app
from cubehub.resources import resource
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '<script>alert("x")</script>'


def settings(tmp_path: Path, **more: object) -> ConsoleSettings:
    values = {
        "address": "127.0.0.1",
        "port": 0,
        "prefix": "/services/console",
        "public_url": "http://127.0.0.1:8000",
        "issuer": "http://127.0.0.1:8001/realms/cubehub",
        "title": "CubeHub",
        "profiles_yaml": resource("config", "profiles.yaml"),
        "cubes_yaml": resource("config", "cubes.yaml"),
        "state_dir": tmp_path,
    }
    return ConsoleSettings.model_validate(values | more)


def get(told: ConsoleSettings, path: str) -> httpx.Response:
    """Ask a real server on a port of its own."""

    async def ask() -> httpx.Response:
        server = HTTPServer(make_app(told))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                return await client.get(f"http://127.0.0.1:{sockets[0].getsockname()[1]}{path}")
        finally:
            server.stop()
            await server.close_all_connections()

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/services/console/", "/services/console"])
def test_the_page_lists_profiles_and_cubes_and_opens_the_doors(tmp_path: Path, path: str) -> None:
    page = get(settings(tmp_path), path)
    assert page.status_code == 200
    text = html.unescape(page.text)
    for words in (
        "Standard",
        "5 GiB",
        "Premium",
        "10 GiB",
        "synthetic demonstration",
        "sign in",
    ):
        assert words in text
    assert "members only" not in text
    for door in ("/services/cubes/viewer/", "/hub/spawn", "/services/catalogue/", "/realms/cubehub/account/"):
        assert f'{door}"' in text


def test_nothing_comes_from_elsewhere_and_nobody_may_frame_it(tmp_path: Path) -> None:
    for path in ("/services/console/", "/services/console/nothing", "/elsewhere"):
        headers = get(settings(tmp_path), path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers


def test_hostile_titles_are_shown_as_text(tmp_path: Path) -> None:
    cubes = tmp_path / "cubes.yaml"
    cubes.write_text(f"cubes: [{{id: a, title: '{HOSTILE}'}}]")
    page = get(settings(tmp_path, title=HOSTILE, cubes_yaml=cubes), "/services/console/")
    assert HOSTILE not in page.text
    assert HOSTILE in html.unescape(page.text)


def test_an_unknown_page_is_404(tmp_path: Path) -> None:
    page = get(settings(tmp_path), "/services/console/nothing")
    assert page.status_code == 404
    assert "Traceback" not in page.text
    assert get(settings(tmp_path), "/services/console/static/../app.py").status_code in (403, 404)


@pytest.mark.parametrize(
    "content", ["cubes: [", "cubes: 5", "[]", "", "cubes: [{title: x}]", "cubes: [7]", "\x00"]
)
def test_a_broken_cubes_file_keeps_the_doors_open(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    cubes = tmp_path / "cubes.yaml"
    cubes.write_text(content)
    page = get(settings(tmp_path, cubes_yaml=cubes), "/services/console/")
    assert page.status_code == 200
    assert "cannot be shown now" in page.text
    assert "/hub/spawn" in page.text
    assert "Traceback" not in page.text
    assert str(cubes) not in page.text
    assert str(cubes) in caplog.text


def test_missing_files_keep_the_doors_open(tmp_path: Path) -> None:
    gone = tmp_path / "gone.yaml"
    page = get(settings(tmp_path, cubes_yaml=gone, profiles_yaml=gone), "/services/console/")
    assert page.text.count("cannot be shown now") == 2


def test_health_and_static_files(tmp_path: Path) -> None:
    assert get(settings(tmp_path), "/services/console/health").json() == {"status": "ok"}
    assert get(settings(tmp_path), "/services/console/static/landing.css").status_code == 200
