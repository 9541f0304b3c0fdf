"""Downloads into the home: brought, gone on with, compared, given up; never over anything, never out of the folder."""

import asyncio
import errno
import hashlib
import json
import os
import re

import pytest
from cubehub_catalogue import transfer
from cubehub_catalogue.downloads import Downloads
from cubehub_catalogue.errors import InputError, UnknownError
from cubehub_catalogue.home import folders
from cubehub_catalogue.home.checksums import Checksum, checksum_of
from cubehub_catalogue.home.names import folder_parts, name_of, numbered, safe_name
from cubehub_catalogue.http import Client
from cubehub_catalogue.settings import Catalogue
from cubehub_tests.catalogue_net import answer, answering
from hypothesis import given
from hypothesis import strategies as st

DATA = bytes(range(256)) * 20_000
SHA256 = "1220" + hashlib.sha256(DATA).hexdigest()


@given(st.text())
def test_names_are_harmless(text):
    for made in (safe_name(text), name_of(f"https://a.example/{text}", text)):
        assert made == safe_name(made)
        assert made not in (".", "..", "")
        assert made[0] not in ".-"
        assert len(made.encode()) <= 120
        assert not re.search(r"[/\\\x00-\x1f\x7f\s~*?$`'\";|&<>]", made)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/x/B04.tif", "B04.tif"),
        ("https://a.example/x/B04.tif?sig=secret", "B04.tif"),
        ("https://a.example/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "etc_passwd"),
        ("https://a.example/.bashrc", "bashrc"),
        ("https://a.example/-rf", "rf"),
        ("https://a.example/", "key"),
        ("https://a.example/a%00b.tif", "a_b.tif"),
        ("https://a.example/" + "x" * 300 + ".tif", "x" * 116 + ".tif"),
        ("https://a.example/Peipsi%20j%C3%A4rv.nc", "Peipsi_järv.nc"),
    ],
)
def test_names_by_example(url, name):
    assert name_of(url, "key") == name


def test_numbers():
    assert [numbered("a.tar.gz", 0), numbered("a.tif", 2), numbered("a", 1)] == ["a.tar.gz", "a-2.tif", "a-1"]


@pytest.mark.parametrize(
    "text", ["/etc", "../x", "a/../b", ".ssh", "a/.config", "a\x00", "a\\b", "a\nb", "x/" * 40, "a" * 2000]
)
def test_folders_that_are_not_written_to(text):
    assert folder_parts(text) is None


def test_folders():
    assert folder_parts("") == ()
    assert folder_parts("data//sentinel 2/") == ("data", "sentinel 2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SHA256, Checksum("sha256", SHA256[4:])),
        (SHA256.upper(), Checksum("sha256", SHA256[4:])),
        ("1114" + "a" * 40, Checksum("sha1", "a" * 40)),
        ("d50110" + "b" * 32, Checksum("md5", "b" * 32)),
        ("b" * 32, Checksum("md5", "b" * 32)),
        ("1220" + "a" * 10, None),
        ("zz", None),
        ("", None),
        ("90e40210", None),
        # as the Copernicus Data Space writes some: named MD5, and no MD5
        ("d5012012d5732c771f4b4e069c576203307c9ea3a6155c33945db4eab68c338d7ee623", None),
        ("ff" * 20, Checksum("sha1", "ff" * 20)),
    ],
)
def test_checksums(text, expected):
    assert checksum_of({"file:checksum": text}) == expected
    assert checksum_of({}) is None
    assert checksum_of({"file:checksum": 3}) is None


@given(st.binary(max_size=40))
def test_no_checksum_breaks_it(data):
    checksum_of({"file:checksum": data.hex()})


def item(**assets):
    return {"id": "S2A/../T35", "assets": {key: {"href": "/B04.tif", **more} for key, more in assets.items()}}


class Files:
    """A server with one file, whose behaviour tests change."""

    def __init__(self):
        self.data, self.tag, self.ranges = DATA, '"1"', True
        self.cut_after, self.status = [], []
        self.waits = None
        self.started = asyncio.Event()

    async def __call__(self, asked):
        if self.status:
            return answer(b"", self.status.pop(0))
        start = 0
        found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        fits = asked.headers.get("if-range") == self.tag
        if found and fits and self.ranges:
            start = int(found[1])
            if start >= len(self.data):
                return answer(b"", 416, Content_Range=f"bytes */{len(self.data)}")
        head = {"ETag": self.tag} if self.tag else {}
        if start:
            head["Content_Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        whole = answer(self.data[start:], 206 if start else 200, kind="image/tiff", **head)
        if self.cut_after:
            kept = len(whole) - len(self.data[start:]) + self.cut_after.pop(0)
            asked.writer.write(whole[:kept])
            await asked.writer.drain()
            self.started.set()
            if self.waits is not None:
                await self.waits.wait()
            return None
        return whole


async def no_pause(_):
    pass


def run(tmp_path, use, files=None, **more):
    """Run `use(downloads, files, server, home)`."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)

    async def go():
        made = files() if files is not None else Files()
        async with answering(made) as server:
            client = Client(Catalogue(id="a", title="A", url=server.url, private=True), pause=no_pause)
            downloads = Downloads(home, tmp_path / "kept", lambda _: client, pause=no_pause, **more)
            try:
                return await use(downloads, made, server, home)
            finally:
                await downloads.close()
                await client.close()

    return asyncio.run(go())


async def over(downloads):
    """Wait until nothing is under way."""
    while downloads._tasks:
        await asyncio.gather(*downloads._tasks.values(), return_exceptions=True)
    return downloads.told()


def tree(home):
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_a_file_is_brought_and_compared(tmp_path):
    async def use(downloads, _, server, home):
        (one,) = downloads.start("a", item(B04={"file:checksum": SHA256, "file:size": 9}), ["B04"], "data/s2")
        assert (one["state"], one["bytes"], one["total"]) == ("waiting", 0, 9)
        (one,) = await over(downloads)
        assert one == {
            "id": one["id"], "state": "done", "name": "B04.tif", "bytes": len(DATA), "total": len(DATA), "checked": True,
            "error": None, "warning": None, "path": "data/s2/S2A_._T35/B04.tif",
        }  # fmt: skip
        assert (home / one["path"]).read_bytes() == DATA
        assert tree(home) == [one["path"]]
        assert len(server.asked) == 1

    run(tmp_path, use)


def test_what_breaks_off_is_gone_on_with(tmp_path):
    async def use(downloads, files, server, home):
        files.cut_after = [3_000_000, 500_000]
        downloads.start("a", item(B04={"file:checksum": SHA256}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["state"], one["checked"]) == ("done", True)
        assert (home / one["path"]).read_bytes() == DATA
        assert [asked.headers.get("range") for asked in server.asked] == [
            None,
            "bytes=3000000-",
            "bytes=3500000-",
        ]
        assert server.asked[1].headers["if-range"] == '"1"'

    run(tmp_path, use)


def test_what_changed_meanwhile_is_brought_anew(tmp_path):
    async def use(downloads, files, server, home):
        files.cut_after = [3_000_000]

        async def change(_):
            files.data, files.tag = DATA[::-1], '"2"'

        downloads._pause = change
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        assert one["state"] == "done"
        assert (home / one["path"]).read_bytes() == DATA[::-1]
        assert server.asked[1].headers["range"] == "bytes=3000000-"

    run(tmp_path, use)


@pytest.mark.parametrize("tag", ["", 'W/"1"'])
def test_without_a_strong_tag_it_is_begun_anew(tmp_path, tag):
    async def use(downloads, files, server, _home):
        files.tag, files.cut_after = tag, [3_000_000]
        downloads.start("a", item(B04={"file:checksum": SHA256}), ["B04"], "")
        (one,) = await over(downloads)
        assert one["state"] == "done"
        assert [asked.headers.get("range") for asked in server.asked] == [None, None]

    run(tmp_path, use)


def test_a_server_that_fails_for_a_while(tmp_path):
    async def use(downloads, files, server, _):
        files.status = [503, 500, 429]
        downloads.start("a", item(B04={}), ["B04"], "")
        assert (await over(downloads))[0]["state"] == "done"
        assert len(server.asked) == 4

    run(tmp_path, use)


def test_a_server_that_goes_on_failing_and_resume_by_hand(tmp_path):
    async def use(downloads, files, server, home):
        files.cut_after = [1_000_000, 0, 0, 0, 0]
        downloads.start("a", item(B04={"file:checksum": SHA256}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["state"], one["error"]["code"]) == ("failed", "answer_cut")
        assert one["bytes"] == 1_000_000
        assert tree(home) == ["S2A_._T35/B04.tif.part", "S2A_._T35/B04.tif.part.json"]
        asked = len(server.asked)
        assert downloads.resume(one["id"])["state"] == "waiting"
        (one,) = await over(downloads)
        assert one["state"] == "done"
        assert server.asked[asked].headers["range"] == "bytes=1000000-"
        with pytest.raises(InputError, match="is done"):
            downloads.resume(one["id"])

    run(tmp_path, use)


def test_an_error_that_stays_is_told_at_once(tmp_path):
    async def use(downloads, files, server, home):
        files.status = [404]
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["error"]["upstream_status"], len(server.asked)) == (404, 1)
        assert tree(home) == [], "nothing of it is left in the home"
        downloads.resume(one["id"])
        assert (await over(downloads))[0]["state"] == "done"
        assert tree(home) == ["S2A_._T35/B04.tif"]

    run(tmp_path, use)


def test_all_of_it_is_there_already(tmp_path):
    """Stopped between the last byte and the end."""

    async def use(downloads, files, _server, home):
        files.cut_after = [0] * 5
        downloads.start("a", item(B04={"file:checksum": SHA256}), ["B04"], "")
        (one,) = await over(downloads)
        folder = home / "S2A_._T35"
        (folder / "B04.tif.part").write_bytes(DATA)
        note = json.loads((folder / "B04.tif.part.json").read_text())
        (folder / "B04.tif.part.json").write_text(json.dumps({**note, "validator": '"1"'}))
        downloads.resume(one["id"])
        assert (await over(downloads))[0]["state"] == "done"

    run(tmp_path, use)


def test_a_file_that_is_not_what_it_should_be_is_not_kept(tmp_path):
    async def use(downloads, _files, _server, home):
        downloads.start("a", item(B04={"file:checksum": "1220" + "0" * 64}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["state"], one["error"]["code"]) == ("failed", "checksum_mismatch")
        assert not (home / one["path"]).exists()
        assert (home / (one["path"] + ".part")).stat().st_size == 0

    run(tmp_path, use)


def test_a_size_that_is_not_the_catalogues_is_told(tmp_path):
    async def use(downloads, _files, _server, _home):
        downloads.start("a", item(B04={"file:size": 90 * 2**40}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["state"], one["bytes"]) == ("done", len(DATA))
        assert "says that it has 90 TiB" in one["warning"]
        # where its checksum holds it is the right file, and where the size fits there is nothing to say
        for said in ({"file:size": 1, "file:checksum": SHA256}, {"file:size": len(DATA)}, {}):
            (made,) = downloads.start("a", item(B04=said), ["B04"], "")
            told = next(found for found in await over(downloads) if found["id"] == made["id"])
            assert (told["state"], told["warning"]) == ("done", None)

    run(tmp_path, use)


def test_nothing_is_overwritten(tmp_path):
    async def use(downloads, _files, _server, home):
        folder = home / "S2A_._T35"
        folder.mkdir()
        (folder / "B04.tif").write_text("mine")
        (folder / "B04-1.tif.part").write_text("mine too")
        downloads.start("a", item(a={}, b={}), ["a", "b", "a"], "")
        first, second = await over(downloads)
        assert {first["name"], second["name"]} == {"B04-2.tif", "B04-3.tif"}
        assert (folder / "B04.tif").read_text() == "mine"
        assert (folder / "B04-1.tif.part").read_text() == "mine too"

    run(tmp_path, use)


def test_a_name_that_is_taken_meanwhile(tmp_path):
    async def use(downloads, _files, _server, home):
        downloads.start("a", item(B04={}), ["B04"], "")
        (home / "S2A_._T35" / "B04.tif").write_text("mine")
        (one,) = await over(downloads)
        assert (one["name"], (home / "S2A_._T35" / "B04.tif").read_text()) == ("B04-1.tif", "mine")
        assert (home / one["path"]).read_bytes() == DATA

    run(tmp_path, use)


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)
    test_a_name_that_is_taken_meanwhile(tmp_path)


@pytest.mark.parametrize("where", ["folder", "item", "part"])
def test_no_link_leads_out_of_the_folder(tmp_path, where):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "B04.tif.part").write_text("theirs")

    async def use(downloads, _files, _server, home):
        if where == "folder":
            (home / "data").symlink_to(outside)
        elif where == "item":
            (home / "data").mkdir()
            (home / "data" / "S2A_._T35").symlink_to(outside)
        if where != "part":
            with pytest.raises(InputError, match="not a folder"):
                downloads.start("a", item(B04={}), ["B04"], "data")
            assert downloads.told() == []
        else:
            downloads.start("a", item(B04={}), ["B04"], "data")
            part = home / "data" / "S2A_._T35" / "B04.tif.part"
            part.unlink()
            part.symlink_to(outside / "B04.tif.part")
            (one,) = await over(downloads)
            assert one["error"]["code"] == "bad_folder"
        assert (outside / "B04.tif.part").read_text() == "theirs"
        assert tree(outside) == ["B04.tif.part"]

    run(tmp_path, use)


@pytest.mark.parametrize("what", ["fifo", "folder", "hard link", "stranger"])
def test_a_part_that_is_something_else_on_resume(tmp_path, what):
    async def use(downloads, files, _server, home):
        files.cut_after = [0] * 5
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        part = home / "S2A_._T35" / "B04.tif.part"
        part.unlink()
        mine = home / "mine"
        mine.write_text("mine")
        if what == "fifo":
            os.mkfifo(part)
        elif what == "folder":
            part.mkdir()
        elif what == "hard link":
            os.link(mine, part)
        else:
            part.write_text("mine")
            part.with_name("B04.tif.part.json").write_text("{}")
        downloads.resume(one["id"])
        (one,) = await over(downloads)
        if what == "stranger":
            assert (one["state"], one["name"], part.read_text()) == ("done", "B04-1.tif", "mine")
        else:
            assert one["error"]["code"] == "bad_folder"
        assert mine.read_text() == "mine"

    run(tmp_path, use)


def test_cancel_removes_what_there_is(tmp_path):
    async def use(downloads, files, _server, home):
        files.cut_after, files.waits = [3_000_000], asyncio.Event()
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = downloads.told()
        await files.started.wait()
        await downloads.cancel(one["id"])
        (one,) = downloads.told()
        assert (one["state"], one["bytes"]) == ("cancelled", 0)
        assert tree(home) == []
        files.waits.set()
        downloads.resume(one["id"])
        assert (await over(downloads))[0]["state"] == "done"
        await downloads.cancel(one["id"])
        assert downloads.told() == []
        assert len(tree(home)) == 1
        with pytest.raises(UnknownError):
            await downloads.cancel(one["id"])

    run(tmp_path, use)


def test_a_restart_of_the_server_in_the_middle(tmp_path):
    async def use(downloads, files, _server, _home):
        files.cut_after, files.waits = [3_000_000], asyncio.Event()
        downloads.start("a", item(B04={"file:checksum": SHA256}), ["B04"], "d")
        await files.started.wait()
        while downloads.told()[0]["bytes"] < 2_000_000:  # noqa: ASYNC110 - until what came is written
            await asyncio.sleep(0)

    run(tmp_path, use)

    async def after(downloads, _files, server, home):
        (one,) = downloads.told()
        assert (one["state"], one["error"]["code"]) == ("failed", "interrupted")
        downloads.resume(one["id"])
        (one,) = await over(downloads)
        assert one["state"] == "done"
        assert (home / one["path"]).read_bytes() == DATA
        start = int(server.asked[0].headers["range"][6:-1])
        assert start >= 2_000_000

    # another port is another address, so the list is told of it
    kept = tmp_path / "kept" / "downloads.json"
    assert "href" in json.loads(kept.read_text())["downloads"][0]
    run(tmp_path, after)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"downloads": 3}', '{"downloads": [{"id": 1}, null, {"name": "../x"}]}', "\x00"]
)
def test_a_list_that_is_broken(tmp_path, content):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "downloads.json").write_text(content)

    async def use(downloads, *_):
        assert downloads.told() == []

    run(tmp_path, use)


class Left:
    def __init__(self, *rooms):
        self.rooms, self.written = list(rooms), 0

    async def left(self):
        return self.rooms.pop(0) if len(self.rooms) > 1 else self.rooms[0]

    def wrote(self, count):
        self.written += count


def test_no_room_is_said_before_anything_is_written(tmp_path):
    async def use(downloads, _files, _server, _home):
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["error"]["code"], one["bytes"]) == ("no_space", 0)
        assert "it needs 4.9 MiB, and 977 KiB may still be used" in one["error"]["message"]

    run(tmp_path, use, quota=Left(1_000_000))


def test_room_that_goes_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_LOOK_EVERY", 2**20)

    async def use(downloads, _files, _server, _home):
        downloads.start("a", item(B04={"file:checksum": SHA256}), ["B04"], "")
        (one,) = await over(downloads)
        assert one["error"]["code"] == "no_space"
        assert 0 < one["bytes"] < len(DATA)
        downloads.resume(one["id"])
        (one,) = await over(downloads)
        assert one["state"] == "done"

    run(tmp_path, use, quota=Left(10_000_000, 0, 10_000_000))


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "no_space"), (errno.EDQUOT, "no_space"), (errno.EIO, "cannot_write")]
)
def test_what_the_file_system_says(tmp_path, monkeypatch, number, code):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    async def use(downloads, *_):
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["state"], one["error"]["code"]) == ("failed", code)

    monkeypatch.setattr(os, "pwrite", refuse)
    run(tmp_path, use)


def test_an_answer_without_end_stops_where_the_room_ends(tmp_path):
    async def use(downloads, *_):
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        assert one["error"]["code"] == "no_space"
        assert one["bytes"] <= 3_000_001

    async def endless(asked):
        asked.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            asked.writer.write(b"x" * 65536)
            await asked.writer.drain()

    run(tmp_path, use, files=lambda: endless, quota=Left(3_000_000))


def test_what_only_drips_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_WINDOW_S", 0)

    async def drip(asked):
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx")
        await asked.writer.drain()
        await asyncio.Event().wait()

    async def use(downloads, *_):
        downloads.start("a", item(B04={}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["error"]["code"], one["bytes"]) == ("too_slow", 1)

    run(tmp_path, use, files=lambda: drip)


def test_what_can_not_be_downloaded(tmp_path):
    async def use(downloads, _files, server, home):
        made = item(
            s3={"href": "s3://bucket/key"}, zarr={"href": "https://a.example/x.zarr"}, good={},
            kind={"type": "application/vnd+zarr"}, none={"href": None},
        )  # fmt: skip
        for key in ("s3", "zarr", "kind", "none"):
            with pytest.raises(InputError):
                downloads.start("a", made, ["good", key], "")
        with pytest.raises(UnknownError):
            downloads.start("a", made, ["nothing"], "")
        for names in ([], [str(number) for number in range(101)]):
            with pytest.raises(InputError):
                downloads.start("a", made, names, "")
        with pytest.raises(InputError):
            downloads.start("a", made, ["good"], "../x")
        assert (downloads.told(), tree(home), server.connections) == ([], [], 0)

    run(tmp_path, use)


@pytest.mark.parametrize(
    "href", ["http://169.254.169.254/x", "https://127.0.0.1/x", "http://10.0.0.1/x", "//localhost/x"]
)
def test_an_address_inside_is_not_asked(tmp_path, href):
    async def use(downloads, *_):
        downloads.start("a", item(B04={"href": href}), ["B04"], "")
        assert (await over(downloads))[0]["error"]["code"] == "address_refused"

    run(tmp_path, use)


def test_two_at_a_time(tmp_path):
    async def use(downloads, files, server, _home):
        files.cut_after, files.waits = [0] * 4, asyncio.Event()
        downloads.start("a", item(a={}, b={}, c={}, d={}), ["a", "b", "c", "d"], "")
        await files.started.wait()
        assert [one["state"] for one in downloads.told()].count("waiting") == 2
        files.waits.set()
        assert {one["state"] for one in await over(downloads)} == {"done"}
        assert len(server.asked) == 8

    run(tmp_path, use)


def test_notes_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    with folders.opened_folder(tmp_path, ()) as opened:
        folders.write_note(opened, "n", {"a": 1})

        def refuse(_):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="full"):
            folders.write_note(opened, "n", {"a": 2})
        assert folders.read_note(opened, "n") == {"a": 1}
    assert tree(tmp_path) == ["n"]


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize(
    ("status", "form"), [(206, "bytes 0-{0}/{0}"), (206, "bytes {0}-1/2"), (416, "bytes */{0}")]
)
def test_sizes_that_are_none_end_it(tmp_path, digits, status, form):
    async def use(downloads, _, __, ___):
        downloads.start("a", item(B04={"file:size": 10**400}), ["B04"], "")
        (one,) = await over(downloads)
        assert (one["state"], one["total"]) == ("failed", None)
        assert one["error"]["code"] in ("not_resumable", "answer_unusable")

    head = {"Content_Range": form.format("9" * digits)}
    run(tmp_path, use, lambda: lambda _: answer(b"x", status, **head))


def test_a_list_of_what_failed_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("cubehub_catalogue.downloads._MOST", 3)

    async def use(downloads, files, _, __):
        files.status = [404] * 5
        for _ in range(5):
            downloads.start("a", item(B04={}), ["B04"], "")
            await over(downloads)
        downloads.start("a", item(B04={}), ["B04"], "")
        assert [one["state"] for one in await over(downloads)] == ["failed", "failed", "done"]

    run(tmp_path, use)
