"""Pictures and downloads of items that were found, asked of a Jupyter server as the panel asks."""

import asyncio
import io
import json

import aiohttp
from cubehub_catalogue.context import Context
from cubehub_catalogue.download_routes import handlers as download_handlers
from cubehub_catalogue.federation import Federation
from cubehub_catalogue.picture_routes import handlers as picture_handlers
from cubehub_catalogue.settings import Catalogue, Settings
from cubehub_tests.catalogue_net import answer, answering
from jupyter_server.serverapp import ServerApp
from PIL import Image
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

TOKEN = "token-of-the-test"


class Found:
    """A search with one item."""

    def __init__(self, item):
        self.made = type("Entry", (), {"catalogue": "a", "item": item})

    def item(self, key):
        return (self.made, []) if key == "k" else None


def picture():
    written = io.BytesIO()
    Image.new("RGB", (600, 300), (0, 90, 0)).save(written, "PNG")
    return written.getvalue()


def run(tmp_path, monkeypatch, use):
    """Run `use(ask, search, upstream, home)`."""
    for name in ("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "home").mkdir()

    def handler(asked):
        return answer(b"data of the file", ETag='"1"') if "B04" in asked.path else answer(picture())

    async def go():
        async with answering(handler) as upstream:
            settings = Settings(catalogues=(Catalogue(id="a", title="A", url=upstream.url, private=True),))
            context = Context(settings, tmp_path / "home", tmp_path / "data")
            item = {
                "id": "S2A",
                "assets": {
                    "thumbnail": {"href": "/t.png"},
                    "B04": {"href": "/B04.tif?sig=1"},
                    "s3": {"href": "s3://b/k"},
                },
            }
            federation = Federation([context._asked("a")], None)
            federation.item = Found(item).item
            search = context.searches.open(federation).id
            server = ServerApp(
                token=TOKEN, root_dir=str(tmp_path / "home"), base_url="/user/ana/", log_level=50
            )
            server.initialize(argv=[], find_extensions=False, new_httpserver=False)
            routes = [*picture_handlers(context), *download_handlers(context)]
            server.web_app.add_handlers(
                ".*$", [(f"/user/ana/cubehub/catalogue/{pattern}", *rest) for pattern, *rest in routes]
            )
            http = HTTPServer(server.web_app)
            sockets = bind_sockets(0, "127.0.0.1")
            http.add_sockets(sockets)
            root = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/user/ana/cubehub/catalogue/"
            async with aiohttp.ClientSession(headers={"Authorization": f"token {TOKEN}"}) as session:

                async def ask(method, path, body=None, **headers):
                    named = {name.replace("_", "-"): value for name, value in headers.items()}
                    async with session.request(method, root + path, json=body, headers=named) as got:
                        data = await got.read()
                        return (
                            got.status,
                            json.loads(data) if "json" in got.content_type and data else data,
                            got.headers,
                        )

                try:
                    await use(ask, search, upstream, tmp_path / "home")
                finally:
                    http.stop()
                    await http.close_all_connections()
                    await routes[0][2]["pictures"].close()
                    await routes[1][2]["downloads"].close()
                    await context.close()
                    await server.kernel_manager.shutdown_all()
                    ServerApp.clear_instance()

    asyncio.run(go())


def test_a_picture(tmp_path, monkeypatch):
    async def use(ask, search, upstream, _home):
        path = f"searches/{search}/items/k/picture"
        status, data, headers = await ask("GET", path)
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(data)).size == (256, 128)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "private" in headers["Cache-Control"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        status, data, _ = await ask("GET", path, If_None_Match=headers["Etag"])
        assert (status, data) == (304, b"")
        status, data, _ = await ask("GET", f"{path}?size=quicklook")
        assert Image.open(io.BytesIO(data)).size == (600, 300)
        assert len(upstream.asked) == 2
        for path_, expected, code in (
            (f"{path}?size=huge", 400, "bad_size"),
            (f"searches/{search}/items/other/picture", 404, "unknown_item"),
            ("searches/other/items/k/picture", 404, "unknown_search"),
        ):
            status, told, _ = await ask("GET", path_)
            assert (status, told["code"]) == (expected, code)
        status, _, _ = await ask("GET", path, Authorization="token wrong")
        assert status == 403

    run(tmp_path, monkeypatch, use)


def test_downloads(tmp_path, monkeypatch):
    async def use(ask, search, _upstream, home):
        begin = {"search": search, "key": "k", "assets": ["B04"], "folder": "data"}
        status, told, _ = await ask("POST", "downloads", begin)
        assert status == 201
        (one,) = told["downloads"]
        # a link may hold a key, and the panel does not need it
        assert "B04.tif?" not in json.dumps(told)
        assert "127.0.0.1" not in json.dumps(told)
        assert set(one) == {"id", "state", "name", "bytes", "total", "checked", "error", "warning", "path"}
        while (told := (await ask("GET", "downloads"))[1]["downloads"])[0]["state"] in ("waiting", "running"):
            pass
        assert (told[0]["state"], told[0]["path"]) == ("done", "data/S2A/B04.tif")
        assert (home / "data/S2A/B04.tif").read_bytes() == b"data of the file"
        assert (await ask("POST", f"downloads/{one['id']}/resume", {}))[0] == 400
        assert (await ask("DELETE", f"downloads/{one['id']}"))[0] == 204
        assert (await ask("GET", "downloads"))[1] == {"downloads": []}
        assert (home / "data/S2A/B04.tif").exists()
        for change, code in (
            ({"folder": "../x"}, "bad_folder"), ({"folder": ".ssh"}, "bad_folder"), ({"folder": 3}, "bad_input"),
            ({"assets": []}, "bad_assets"), ({"assets": "B04"}, "bad_query"), ({"assets": ["s3"]}, "asset_elsewhere"),
        ):  # fmt: skip
            status, told, _ = await ask("POST", "downloads", {**begin, **change})
            assert (status, told["code"]) == (400, code)
        assert (await ask("POST", "downloads", {**begin, "assets": ["B99"]}))[0] == 404
        assert (await ask("DELETE", "downloads/unknown"))[0] == 404
        assert (await ask("POST", "downloads", begin, Authorization="token wrong"))[0] == 403

    run(tmp_path, monkeypatch, use)
