"""Own items from a notebook and a terminal, against what the catalogue answers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pystac
import pytest
from click.testing import CliRunner
from cubehub import catalogue
from cubehub.cli import load_commands
from cubehub.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ITEM: dict[str, Any] = {
    "type": "Feature", "stac_version": "1.0.0", "id": "a b", "geometry": {"type": "Point", "coordinates": [1, 2]}, "bbox": [1, 2, 1, 2],
    "properties": {"datetime": "2024-05-01T00:00:00Z"}, "links": [], "assets": {},
}  # fmt: skip


class Stand:
    """A catalogue that keeps what it is sent, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuses: tuple[int, Any] | None = None
        self.seen: list[tuple[str, str]] = []

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.seen.append((method, path))
        if self.refuses:
            status, said = self.refuses
            return status, said if isinstance(said, bytes) else json.dumps(said).encode()
        if method == "POST":
            given = json.loads(body)
            collection = f"group.{given['group']}" if given["group"] else "own.ana"
            told = {
                "id": given["item"]["id"], "collection": collection, "group": given["group"], "owner": "ana", "registered": "now",
                "datetime": "2024-05-01T00:00:00Z", "title": "t", "href": "http://x/i",
            }  # fmt: skip
            self.kept[collection, told["id"]] = told
            return 201, json.dumps(told).encode()
        if method == "DELETE":
            return 200, b"{}"
        if path.endswith("/export"):
            made = io.BytesIO()
            with zipfile.ZipFile(made, "w") as archive:
                archive.writestr("catalog.json", '{"id": "x"}')
                archive.writestr("../outside.json", "{}")
            return 200, made.getvalue()
        return 200, json.dumps({"items": list(self.kept.values())}).encode()


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    one = Stand()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers["Authorization"] != "token secret-t":
                one.refuses = (401, {"code": "bad_token", "description": "unknown", "hint": "restart"})
            status, answer = one.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("CUBEHUB_CATALOGUE_URL", f"http://127.0.0.1:{server.server_port}/services/catalogue")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret-t")
    monkeypatch.delenv("CUBEHUB_TOKEN", raising=False)
    yield one
    server.shutdown()
    thread.join()
    server.server_close()


def test_items_of_every_kind_come_and_go(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(json.dumps(ITEM))
    for item in (ITEM, tmp_path / "i.json", str(tmp_path / "i.json"), pystac.Item.from_dict(ITEM)):
        assert catalogue.register(item).id == "a b"
    assert catalogue.register(ITEM, group="/water").group == "/water"
    assert [one.group for one in catalogue.registered()] == [None, "/water"]
    catalogue.unregister("a b", group="/water")
    assert stand.seen[-1] == ("DELETE", "/services/catalogue/own/items/group.%2Fwater/a%20b")
    with pytest.raises(catalogue.CatalogueError, match="no item zzz") as caught:
        catalogue.unregister("zzz")
    assert caught.value.exit_status == 2
    assert catalogue.export(tmp_path / "new" / "out") == tmp_path / "new" / "out" / "catalog.json"
    assert not (tmp_path / "new" / "outside.json").exists()
    with pytest.raises(BadInputError, match="not an empty folder"):
        catalogue.export(tmp_path)


@pytest.mark.usefixtures("stand")
@pytest.mark.parametrize(
    "item", [1, {}, "/nowhere.json", {**ITEM, "x": float("nan")}, {**ITEM, "x": object()}], ids=range(5)
)
def test_what_is_no_item_is_said(item: Any) -> None:
    with pytest.raises(BadInputError) as caught:
        catalogue.register(item)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("status", "said", "leaves"),
    [
        (422, {"code": "invalid_item", "description": "no geometry", "hint": "mend it"}, 2),
        (503, b"<html>", 1),
        (403, [1], 1),
    ],
)
def test_refusals_are_told_with_what_to_do(
    stand: Stand, tmp_path: Path, status: int, said: Any, leaves: int
) -> None:
    stand.refuses = (status, said)
    (tmp_path / "i.json").write_text(json.dumps(ITEM))
    done = CliRunner().invoke(load_commands(), ["catalogue", "add", str(tmp_path / "i.json"), "--json"])
    assert done.exit_code == leaves
    assert {"code", "message", "hint"} == set(json.loads(done.stdout))
    assert "error: " in done.stderr
    assert "hint: " in done.stderr
    assert "secret-t" not in done.output


@pytest.mark.usefixtures("stand")
def test_the_terminal_does_the_same(tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(json.dumps(ITEM))

    def run(*words: str) -> Any:
        done = CliRunner().invoke(load_commands(), ["catalogue", *words])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in words else done.stdout

    assert run("add", str(tmp_path / "i.json"), str(tmp_path / "i.json"), "--json")["items"][1]["id"] == "a b"
    assert "/water" in run("add", str(tmp_path / "i.json"), "--group", "/water")
    assert len(run("list", "--json")["items"]) == 2
    assert run("list").endswith("2 items\n")
    assert run("remove", "a b", "--json")["collection"] == "own.ana"
    assert run("export", str(tmp_path / "out")) == f"{tmp_path / 'out' / 'catalog.json'}\n"


def test_elsewhere_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUBEHUB_CATALOGUE_URL", "CUBEHUB_URL", "CUBEHUB_TOKEN", "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(catalogue.CatalogueError, match="not a server"):
        catalogue.registered()
    monkeypatch.setenv("CUBEHUB_TOKEN", "secret-t")
    monkeypatch.setenv("CUBEHUB_CATALOGUE_URL", "http://127.0.0.1:9/x")
    with pytest.raises(catalogue.CatalogueError, match="does not answer") as caught:
        catalogue.registered()
    assert caught.value.code == "not_reachable"
    monkeypatch.setenv("CUBEHUB_CATALOGUE_URL", "file:///etc")
    with pytest.raises(BadInputError, match="not the address"):
        catalogue.registered()


def test_a_notebook_loads_little() -> None:
    code = "import sys, cubehub.catalogue; print(sorted({'httpx', 'jupyterhub', 'pystac', 'numpy', 'click'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
