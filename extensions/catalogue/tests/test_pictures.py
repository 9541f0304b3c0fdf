"""Thumbnails and quicklooks: which is chosen, how it is written anew, and what is never passed on."""

import asyncio
import io
import struct
import zlib

import pytest
from cubehub_catalogue.errors import CatalogueError, ForbiddenError, UnknownError, UpstreamError
from cubehub_catalogue.http import Client
from cubehub_catalogue.picture_links import has_picture, picture_links
from cubehub_catalogue.pictures import Pictures
from cubehub_catalogue.rendering import MOST_PIXELS, NotAPictureError, kind_of, render
from cubehub_catalogue.settings import Catalogue
from cubehub_tests.catalogue_net import answer, answering
from PIL import Image


def drawn(kind="PNG", size=(600, 300), mode="RGB", colour=None, **more):
    written = io.BytesIO()
    made = Image.new(mode, size, colour if colour is not None else 0)
    made.putpixel((0, 0), made.getpixel((1, 1)))
    made.save(written, kind, **more)
    return written.getvalue()


def item(*assets, links=()):
    return {
        "id": "i",
        "assets": {key: {"href": href, **more} for key, href, more in assets},
        "links": list(links),
    }


BOTH = item(
    (
        "visual",
        "https://a.example/v.tif",
        {"roles": ["visual", "overview"], "type": "image/tiff; application=geotiff"},
    ),
    ("ov", "https://a.example/o.jpg", {"roles": ["overview"], "type": "image/jpeg"}),
    ("th", "https://a.example/t.png", {"roles": ["thumbnail"], "type": "image/png"}),
)


def test_the_better_one_comes_first_and_the_other_after_it():
    assert picture_links(BOTH, "thumbnail") == ["https://a.example/t.png", "https://a.example/o.jpg"]
    assert picture_links(BOTH, "quicklook") == ["https://a.example/o.jpg", "https://a.example/t.png"]


def test_names_and_links_where_no_role_says_it():
    assert picture_links(item(("thumbnail", "t.jpg", {})), "thumbnail") == ["t.jpg"]
    links = [
        {"rel": "self", "href": "https://a.example/items/1/item.json"},
        {"rel": "preview", "href": "p.png", "type": "image/png"},
        {"rel": "preview", "href": "p.html", "type": "text/html"},
    ]
    made = item(links=links)
    assert picture_links(made, "quicklook") == ["https://a.example/items/1/p.png"]
    assert has_picture(made)


def test_another_way_to_the_same_asset():
    other = {"roles": ["thumbnail"], "alternate": {"https": {"href": "https://a.example/t.png"}}}
    assert picture_links(item(("t", "s3://b/t.png", other)), "thumbnail") == ["https://a.example/t.png"]


def test_no_picture_and_one_in_a_bucket():
    with pytest.raises(UnknownError) as error:
        picture_links(item(("a", "https://a.example/a.tif", {"type": "image/tiff"})), "thumbnail")
    assert error.value.code == "no_picture"
    with pytest.raises(UnknownError) as error:
        picture_links(item(("thumbnail", "s3://b/k.png", {})), "thumbnail")
    assert (error.value.code, "s3:" in error.value.message) == ("picture_elsewhere", True)


@pytest.mark.parametrize(
    "broken",
    [
        {}, {"assets": None, "links": None}, {"assets": [], "links": {}}, {"assets": {"thumbnail": None}, "links": [1]},
        {"assets": {"thumbnail": {"href": 1, "roles": 2}}}, {"assets": {"thumbnail": {"href": "", "type": 3}}},
    ],
)  # fmt: skip
def test_items_that_are_not_as_they_should_be(broken):
    assert not has_picture(broken)
    with pytest.raises(UnknownError):
        picture_links(broken, "thumbnail")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_each_kind_is_written_anew_and_small(kind):
    made = render(drawn(kind), "thumbnail")
    assert (made.width, made.height) == (256, 128)
    assert kind_of(made.data) in ("PNG", "JPEG")
    assert render(drawn(kind), "quicklook").width == 600


@pytest.mark.parametrize(
    ("mode", "media"),
    [
        ("L", "jpeg"),
        ("LA", "png"),
        ("P", "jpeg"),
        ("RGBA", "png"),
        ("1", "jpeg"),
        ("I;16", "jpeg"),
    ],
)
def test_each_mode(mode, media):
    assert render(drawn(mode=mode), "thumbnail").media_type == f"image/{media}"


def test_what_is_transparent_stays_so_and_what_is_not_becomes_a_jpeg():
    clear = render(drawn(mode="RGBA", colour=(255, 0, 0, 0)), "thumbnail")
    assert Image.open(io.BytesIO(clear.data)).getpixel((5, 5))[3] == 0
    assert render(drawn(mode="RGBA", colour=(255, 0, 0, 255)), "thumbnail").media_type == "image/jpeg"
    assert render(drawn("JPEG", mode="CMYK"), "thumbnail").media_type == "image/jpeg"


def test_16_bits_are_spread():
    image = Image.new("I;16", (10, 10), 1000)
    image.putpixel((5, 5), 3000)
    written = io.BytesIO()
    image.save(written, "PNG")
    made = Image.open(io.BytesIO(render(written.getvalue(), "thumbnail").data))
    assert made.getpixel((5, 5))[0] > 200
    assert made.getpixel((0, 0))[0] < 30


def test_nothing_of_the_original_is_passed_on():
    secret = b"GPS of the photographer"
    made = render(
        drawn("JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00" + secret, comment=secret),
        "thumbnail",
    )
    assert secret not in made.data
    trailing = render(drawn("PNG") + b"<script>alert(1)</script>", "thumbnail")
    assert b"script" not in trailing.data


def png(width, height, data=b""):
    """A PNG whose header promises any size."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


HOSTILE = {
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "HTML": b"<!DOCTYPE html><script>alert(1)</script>",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "GIF and script": b"GIF89a/*" + b"x" * 100 + b"*/=1;alert(1)",
    "TIFF": b"II*\x00" + b"\x00" * 100,
    "BMP": b"BM" + b"\x00" * 100,
    "ICO": b"\x00\x00\x01\x00" + b"\x00" * 50,
    "EPS, which Pillow gives to Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run",
    "PDF": b"%PDF-1.7\n",
    "nothing": b"",
    "zeros": b"\x00" * 1000,
    "a PNG of a picture bomb": png(60_000, 60_000, b"\x00" * 1000),
    "a PNG just too large": png(MOST_PIXELS // 1000 + 1, 1000),
    "a PNG of no width": png(0, 10),
    "a PNG with too little in it": png(100, 100, b"\x00"),
    "a PNG cut": drawn("PNG")[:60],
    "a JPEG cut": drawn("JPEG")[:200],
    "a WebP cut": drawn("WEBP")[:30],
    "a WebP that is none": b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 100,
    "a GIF of a picture bomb": b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08",
    "a JPEG of a picture bomb": b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01\xff\xd9",
    "a PNG text bomb": drawn("PNG")[:33] + struct.pack(">I", 60_000) + b"zTXt" + b"a\x00\x00" + zlib.compress(b" " * 50_000_000)[:59_997] + drawn("PNG")[33:],
}  # fmt: skip


@pytest.mark.attack
@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_picture_is_shown(name):
    with pytest.raises(NotAPictureError):
        render(HOSTILE[name], "thumbnail")


@pytest.mark.attack
def test_how_many_pictures_were_tried(capsys):
    with capsys.disabled():
        print(f"\nhostile pictures: {len(HOSTILE)} forms, 0 shown")  # noqa: T201 - what an attack suite is asked for
    assert len(HOSTILE) >= 20


def ask(handler, use):
    async def run():
        async with answering(handler) as server:
            client = Client(Catalogue(id="a", title="A", url=server.url, private=True))
            pictures = Pictures(kept_bytes=20_000)
            try:
                return await use(pictures, client, server)
            finally:
                await pictures.close()
                await client.close()

    return asyncio.run(run())


def thumbnail(url):
    return item(("thumbnail", url, {}))


def test_a_picture_comes_through_the_server_once():
    async def use(pictures, client, server):
        several = await asyncio.gather(
            *(pictures.of(client, thumbnail(f"{server.url}/t.png"), "thumbnail") for _ in range(5))
        )
        again = await pictures.of(client, thumbnail(f"{server.url}/t.png"), "thumbnail")
        assert {one.etag for one in several} == {again.etag}
        assert len(server.asked) == 1
        assert again.picture.media_type == "image/jpeg"

    ask(lambda _: answer(drawn(), kind="text/html"), use)


def test_what_is_remembered_is_bounded():
    async def use(pictures, client, server):
        for number in range(100):
            await pictures.of(client, thumbnail(f"{server.url}/{number}.png"), "thumbnail")
        assert 0 < pictures.bytes <= 20_000
        assert pictures.bytes == sum(len(one.picture.data) for one in pictures._kept.values())

    ask(lambda _: answer(drawn()), use)


def test_the_next_one_where_the_first_fails_and_the_first_fault_where_all_do():
    made = item(("t", "/missing.png", {"roles": ["thumbnail"]}), ("o", "/there.png", {"roles": ["overview"]}))

    def handler(asked):
        return answer(drawn()) if asked.path == "/there.png" else answer({"detail": "gone"}, 404)

    async def use(pictures, client, _):
        assert (await pictures.of(client, made, "thumbnail")).picture.width == 256
        with pytest.raises(UpstreamError) as error:
            await pictures.of(client, thumbnail("/x.png"), "thumbnail")
        assert error.value.upstream_status == 404

    ask(handler, use)


def test_an_address_inside_is_not_asked():
    async def use(pictures, client, _):
        for url in ("http://169.254.169.254/t.png", "file:///etc/t.png", "https://127.0.0.1/t.png"):
            with pytest.raises(CatalogueError) as error:
                await pictures.of(client, thumbnail(url), "thumbnail")
            assert isinstance(error.value, ForbiddenError | UnknownError)

    ask(lambda _: answer(drawn()), use)


@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml"])
def test_what_is_no_picture_is_said_to_be(kind):
    async def use(pictures, client, _):
        with pytest.raises(UpstreamError) as error:
            await pictures.of(client, thumbnail("/t.png"), "thumbnail")
        assert error.value.code == "picture_unusable"
        assert pictures._kept == {}

    ask(lambda _: answer(HOSTILE["SVG"], kind=kind), use)


def test_one_that_is_too_large():
    async def use(pictures, client, _):
        with pytest.raises(UpstreamError) as error:
            await pictures.of(client, thumbnail("/t.png"), "thumbnail")
        assert error.value.code == "answer_too_large"

    ask(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n", use)


def test_who_scrolls_on_does_not_take_it_from_others():
    came, go = asyncio.Event(), asyncio.Event()

    async def handler(_):
        came.set()
        await go.wait()
        return answer(drawn())

    async def use(pictures, client, _):
        waits = [asyncio.create_task(pictures.of(client, thumbnail("/t.png"), "thumbnail")) for _ in range(2)]
        await came.wait()
        waits[0].cancel()
        go.set()
        assert (await waits[1]).picture.width == 256

    ask(handler, use)
