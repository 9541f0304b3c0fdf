"""The files that items point to: absolute links to what is there, parts of files, and nothing beside them."""

import asyncio
import http.client
import json
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import pystac_client
import pytest
from cubehub_stac.config import ConfigError, read_config
from cubehub_stac.files import AssetFiles, FileFolder, offered_assets
from cubehub_stac.sources import read_contents
from starlette.staticfiles import StaticFiles
from support import ITEMS, PREFIX, get

SAMPLES = Path(__file__).parents[3] / "binder" / "data" / "s2-l2a-33t-crop"
URL = "http://x/files/a/"
MODES = [
    pytest.param(False, marks=pytest.mark.needs("postgis"), id="database"),
    pytest.param(True, id="static"),
]


def asked(service, path, method="GET", **headers):
    """Ask as it is written, without anything put right on the way; gives status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=15)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("href", "offered"),
    [
        ("../pixels/b.tif", f"{URL}b.tif"),
        ("./../pixels/deep/c%20d.tif", f"{URL}deep/c%20d.tif"),
        ("../pixels/deep/../b.tif?x=1", f"{URL}b.tif"),
        ("../pixels/ä#.tif", f"{URL}%C3%A4"),
        ("https://host/b.tif", "https://host/b.tif"),
        ("s3://bucket/b.tif", "s3://bucket/b.tif"),
        ("/services/cubes/s3/datasets/a.zarr", "/services/cubes/s3/datasets/a.zarr"),
        ("//host/b.tif", "//host/b.tif"),
        ("http://[", "http://["),
        ("../pixels", None),
        ("../pixels/", None),
        ("b.tif", None),
        ("../pixels-more/b.tif", None),
        ("../pixels/../secret.tif", None),
        ("../pixels/out/b.tif", None),
        ("../pixels/.hidden/b.tif", None),
        ("../../../../../../../../etc/passwd", None),
        ("../pixels/%00.tif", None),
        ("", None),
    ],
)
def test_links_lead_to_files_that_are_given_out_or_nowhere(tmp_path, href, offered):
    for name in ("items", "pixels", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "pixels" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "pixels")
    given = {"data": {"href": href, "title": "t"}, "odd": "no asset"}
    for folder in ("pixels", "link"):
        found, left_out = offered_assets(
            given, tmp_path / "items" / "i.json", [FileFolder(str(tmp_path / folder), URL)]
        )
        assert found.get("data") == ({"href": offered, "title": "t"} if offered else None)
        assert left_out == ([] if offered else ["data"])
        assert found["odd"] == "no asset"


def test_items_without_their_files_say_what_was_left_out(caplog):
    item = read_contents([ITEMS]).items["sentinel-2-l2a", "S2A_33TWL_20230815_0_L2A"]
    assert set(item["assets"]) == {"aot"}
    line = next(
        text for text in caplog.messages if text.startswith("S2A_33TWL_20230815_0_L2A: left out assets")
    )
    assert line.endswith(": blue")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"a/b": "/"}, "'a/b' is no name"),
        ({"..": "/"}, "'..' is no name"),
        ({"a": "relative"}, "relative is not the absolute path"),
        ({"a": 1}, "c.json"),
        (["/"], "c.json"),
    ],
    ids=range(5),
)
def test_mistakes_in_the_folders_are_named(tmp_path, files, named):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"port": 1, "public_url": "http://x", "state_dir": "/x", "files": files}))
    with pytest.raises(ConfigError, match=named) as caught:
        read_config(path)
    assert caught.value.hint


def test_a_folder_that_is_away_is_left_out_and_the_others_are_given_out(tmp_path, caplog):
    (tmp_path / "here").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    files = {name: str(tmp_path / name) for name in ("here", "none", "file", "loop")}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"port": 1, "public_url": "http://x", "state_dir": "/x", "files": files}))
    assert read_config(path).files == {"here": tmp_path / "here"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    for name, line in zip(("none", "file", "loop"), told, strict=True):
        assert f"files: {name}: {tmp_path / name} is no folder now" in line


def test_the_samples_say_truly_what_their_files_are():
    contents = read_contents([SAMPLES / "items"], [FileFolder(str(SAMPLES / "pixels"), URL)])
    assert len(contents.items) == 5
    described = set()
    for item in contents.items.values():
        assert set(item["assets"]) == {"blue", "green", "red", "nir", "scl", "thumbnail"}
        for asset in item["assets"].values():
            file = SAMPLES / "pixels" / asset["href"].removeprefix(URL)
            assert file.stat().st_size == asset["file:size"]
            described.add(file)
    assert described == {file for file in (SAMPLES / "pixels").rglob("*") if file.is_file()}
    assert "modified Copernicus Sentinel data" in contents.collections["sentinel-2-l2a"]["description"]


@pytest.mark.slow
@pytest.mark.parametrize("static_only", MODES)
def test_what_is_found_is_read_in_parts_from_the_catalogue(room, static_only):
    service = room(
        items=[str(SAMPLES / "items")], files={"samples": str(SAMPLES / "pixels")}, static_only=static_only
    ).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no search, where there is none
        client = pystac_client.Client.open(service.root)
        items = list(client.get_collection("sentinel-2-l2a").get_items())
    assert len(items) == 5
    if not static_only:
        found = client.search(bbox=[13, 45, 17, 48], datetime="2023-08-01/2023-08-31").items()
        assert {item.id for item in found} == {item.id for item in items}
    for item in items:
        for asset in item.assets.values():
            assert asset.href == asset.get_absolute_href()
            assert asset.href.startswith(f"{service.root}files/samples/{item.id}/")
            path = urlsplit(asset.href).path
            content = (SAMPLES / "pixels" / item.id / path.rpartition("/")[2]).read_bytes()
            size = len(content)
            status, headers, body = asked(service, path, "HEAD")
            assert (status, int(headers["content-length"]), body) == (200, size, b"")
            assert headers["accept-ranges"] == "bytes"
            assert asset.media_type.startswith(headers["content-type"])
            half = size // 2
            parts = [
                asked(service, path, Range=f"bytes={span}")
                for span in (f"0-{half - 1}", f"{half}-{half}", f"{half + 1}-")
            ]
            assert [status for status, _, _ in parts] == [206, 206, 206]
            assert parts[0][1]["content-range"] == f"bytes 0-{half - 1}/{size}"
            assert b"".join(body for _, _, body in parts) == content
    assert asked(service, path)[2] == content
    assert asked(service, path, Range=f"bytes={size}-")[0] == 416
    assert asked(service, path, Range="bytes=a-b")[0] == 400
    assert asked(service, path, **{"Accept-Encoding": "br, gzip"})[1].get("content-encoding") is None


@pytest.mark.parametrize("when", ["looked at", "begun"])
def test_a_folder_that_becomes_a_link_meanwhile_gives_out_nothing_else(tmp_path, monkeypatch, when):
    open_, secrets, aside = tmp_path / "open", tmp_path / "secrets", tmp_path / "aside"
    for folder in (open_ / "d", secrets):
        folder.mkdir(parents=True)
    (open_ / "d" / "cookie").write_text("public")
    (secrets / "cookie").write_text("SECRET")

    def exchange():
        if not aside.exists():
            (open_ / "d").rename(aside)
            (open_ / "d").symlink_to(secrets)

    files = AssetFiles(None, "/files/", {"a": open_})
    if when == "looked at":
        looked = StaticFiles.lookup_path

        def lookup_path(self, path):
            found = looked(self, path)
            exchange()
            return found

        monkeypatch.setattr(StaticFiles, "lookup_path", lookup_path)
    told = []

    async def send(message):
        if when == "begun" and message["type"] == "http.response.start":
            exchange()
        told.append(message)

    async def receive():
        await asyncio.sleep(60)

    scope = {
        "type": "http", "method": "GET", "path": "/files/a/d/cookie", "raw_path": b"/files/a/d/cookie",
        "headers": [], "query_string": b"", "root_path": "", "asgi": {"spec_version": "2.4"},
    }  # fmt: skip
    asyncio.run(files(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in told)
    assert b"SECRET" not in body
    assert (told[0]["status"], body) == (200, b"public") if when == "begun" else told[0]["status"] == 404


@pytest.mark.slow
def test_nothing_but_the_files_below_the_folder_is_given_out(room, tmp_path):
    open_, secret = tmp_path / "open", tmp_path / "secret.tif"
    (open_ / "deep").mkdir(parents=True)
    (open_ / ".git").mkdir()
    secret.write_text("SECRET")
    for inside in (open_ / ".env", open_ / ".git" / "config"):
        inside.write_text("SECRET")
    (open_ / "deep" / "page.html").write_text("<script>1</script>")
    (open_ / "link.tif").symlink_to(secret)
    (open_ / "up").symlink_to(tmp_path)
    (open_ / "nowhere").symlink_to(tmp_path / "none")
    (open_ / "loop").symlink_to(open_ / "loop")
    (open_ / "shown").symlink_to(open_ / ".git" / "config")
    service = room(files={"a": str(open_)}, static_only=True).start()
    files = f"{PREFIX}/files"
    page = f"{files}/a/deep/page.html"
    status, headers, body = asked(service, page, Origin="https://elsewhere.example")
    assert (status, body) == (200, b"<script>1</script>")
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
    hostile = (
        "", "/", "/a", "/a/", "/a//", "/a/.", "/a/deep", "/a/deep/", "/a/none.tif", "/b/x.tif",
        "/a/.env", "/a/deep/../.env", "/a/.git/config", "/a/%2eenv", "/a/link.tif", "/a/up/secret.tif", "/a/nowhere", "/a/loop", "/a/shown",
        "/a/../secret.tif", "/a/%2e%2e/secret.tif", "/a/..%2fsecret.tif", "/a/%2e%2e%2fsecret.tif", "/a/deep/../../secret.tif",
        "/../files/a/../../secret.tif", f"/a/{secret}", f"/a//{secret}", f"/a/%2f{str(secret)[1:]}", "/a/..%5csecret.tif",
        "/a/%00", "/a/page%00.tif", "/a/%ff", f"/a/{'x' * 300}", f"/a/{'x/' * 2000}", "/a/%252e%252e/secret.tif", "/a;/secret.tif",
    )  # fmt: skip
    for path in hostile:
        for method in ("GET", "HEAD"):
            status, _, body = asked(service, files + path, method)
            assert status == 404, (path, status, body)
            assert b"SECRET" not in body
            assert str(tmp_path).encode() not in body
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
        status, headers, body = asked(service, page, method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert json.loads(body)["hint"]
    assert asked(service, page, Range="bytes=" + ",".join(["0-1"] * 500))[0] in {200, 400, 416}
    assert get(f"{service.root}health")[0] == 200
    assert "Traceback" not in service.log.read_text()
    assert service.stop() == 0
