"""The processes in front, by raw bytes: what they hand on, what they refuse, and what they never mix up."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from isal import igzip

from grids import KINDS, write
from xcube_cubehub.access import Access, Identity, Rule
from xcube_cubehub.callers import Caller, Claim
from xcube_cubehub.errors import IssuerUnreachableError, TokenError
from xcube_cubehub.fast import http, published
from xcube_cubehub.fast.colours import Palettes
from xcube_cubehub.fast.forward import rewritten
from xcube_cubehub.fast.front import Front, Places
from xcube_cubehub.fast.http import Connection, Request
from xcube_cubehub.fast.metrics import Metrics, Shared
from xcube_cubehub.fast.objects import object_of, span
from xcube_cubehub.fast.published import Published, Shown
from xcube_cubehub.index import Style

PREFIX = "/services/cubes"
TILE = f"{PREFIX}/tiles/{{}}/value/7/40/65"
POINT = b'{"type":"Point","coordinates":[6.0,53.0]}'


class Callers:
    """Stands for the realm: ``good`` holds, ``over`` does not, ``down`` cannot be judged."""

    async def read(self, authorization, cookie=None):
        token = (authorization or "").removeprefix("Bearer ") or cookie
        if token == "over":
            raise TokenError("the sign-in has expired", "sign in again")
        if token == "down":
            return Claim(token, problem=IssuerUnreachableError("the realm is away", "wait"))
        identity = Identity(
            "id-ana", frozenset({"read:dataset:*"}), frozenset({"/cubehub/premium"}), 9e9, "ana"
        )
        return Claim(token, identity) if token else Claim()

    async def confirm(self, claim):
        return Caller(claim.identity, claim.problem)


@dataclass
class Behind:
    """Stands for xcube: remembers what it was asked, answers as told."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbehind"
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        self.asked.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cubes")
    (folder / "degrees").mkdir()
    write(folder / "degrees", KINDS["degrees"], 2)
    return folder


@pytest.fixture
def talk(cubes, tmp_path, monkeypatch):
    """Send bytes to a front whose neighbours are stand-ins; gives all that comes back until it is quiet."""
    style = {"value": Style("grey", 0.1, 30.0, "log")}
    rules = {
        "open": Rule(Access.PUBLIC), "mine": Rule(Access.OWNER, owner="ana"), "members": Rule(Access.GROUPS, frozenset({"/cubehub/premium"})),
        "others": Rule(Access.OWNER, owner="eve"),
    }  # fmt: skip
    shown = {name: Shown(cubes / "degrees", rule, style) for name, rule in rules.items()}
    published.write(tmp_path / "published.json", Published(shown))
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
    grey[:, 3] = 255
    Palettes.write(tmp_path / "palettes.npz", {"grey": grey})
    monkeypatch.chdir(tmp_path)
    behind = Behind()

    def send(*parts, quiet_s=0.4, pause_s=0.0):
        async def run():
            server = await asyncio.start_unix_server(behind.serve, "xcube.sock")
            places = Places(
                tmp_path / "xcube.sock", tmp_path / "published.json", tmp_path / "palettes.npz", PREFIX
            )
            front = Front(places, Callers(), Metrics(Shared.create(1), 0))
            front._places.socket = type(places.socket)("xcube.sock")
            loop, connections = asyncio.get_running_loop(), set()
            listening = await loop.create_server(
                lambda: Connection(front.answer, connections), "127.0.0.1", 0
            )
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            for part in parts:
                writer.write(part)
                await asyncio.sleep(pause_s)
            got, closed = b"", False
            try:
                while data := await asyncio.wait_for(reader.read(2**20), quiet_s):
                    got += data
                closed = True
            except ConnectionError:
                closed = True
            except TimeoutError:
                pass
            writer.close()
            listening.close()
            server.close()
            front.close()
            return got, closed

        return asyncio.run(run())

    send.behind = behind
    return send


def get(path, *headers, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def post(path, body, *headers):
    return get(path, f"Content-Length: {len(body)}", *headers, method="POST") + body


def parts(got):
    """Status, headers and body of the first response, and what follows it."""
    head, _, rest = got.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", 0))
    return int(lines[0].split()[1]), headers, rest[:length], rest[length:]


def test_without_the_list_everything_is_handed_on(talk, tmp_path):
    """The server behind takes it away when it cannot tell what has changed: it alone knows then."""
    list_ = tmp_path / "published.json"
    told = list_.read_bytes()
    list_.unlink()
    got, _ = talk(get(TILE.format("open")))
    assert got.endswith(b"behind")
    list_.write_bytes(told)
    got, _ = talk(get(TILE.format("open")))
    assert b"image/png" in got
    assert len(talk.behind.asked) == 1


def test_a_public_tile_needs_nobody(talk):
    got, _ = talk(get(TILE.format("open")))
    status, headers, body, rest = parts(got)
    assert (status, rest) == (200, b"")
    assert body.startswith(b"\x89PNG")
    assert headers["cache-control"] == "public, no-cache"
    assert talk.behind.asked == []
    again, _ = talk(get(TILE.format("open"), f"If-None-Match: {headers['etag']}"))
    assert parts(again)[0] == 304
    assert parts(again)[1]["etag"] == headers["etag"]
    other, _ = talk(get(TILE.format("open") + "?vmax=20", f"If-None-Match: {headers['etag']}"))
    assert parts(other)[0] == 200, "another scale is another image"


@pytest.mark.parametrize(
    ("cube", "header", "served"),
    [
        ("open", "Authorization: Bearer good", True), ("open", "Authorization: Bearer over", False),
        ("open", "Authorization: Bearer down", False), ("open", "Cookie: cubehub-cubes-images=over", True),
        ("mine", "X-A: b", False), ("mine", "Authorization: Bearer good", True), ("mine", "Authorization: Bearer over", False),
        ("mine", "Authorization: Bearer down", False), ("mine", "Cookie: a=b; cubehub-cubes-images=good", True),
        ("mine", "Cookie: cubehub-cubes-images=over", False), ("mine", "Cookie: xcubehub-cubes-images=good", False),
        ("members", "Authorization: Bearer good", True), ("others", "Authorization: Bearer good", False),
        ("unknown", "Authorization: Bearer good", False),
    ],
)  # fmt: skip
def test_what_may_not_be_answered_here_is_handed_on(talk, cube, header, served):
    got, _ = talk(get(TILE.format(cube), header))
    status, headers, body, _ = parts(got)
    assert status == 200
    assert (body != b"behind") == served
    assert len(talk.behind.asked) == (0 if served else 1)
    if served and cube != "open":
        assert headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/s3/datasets/{}.zarr/zarr.json", "/timeseries/{}/value"])
def test_a_cookie_opens_images_only(talk, path):
    ask = get if path.startswith("/s3") else (lambda p, *h: post(p, POINT, *h))
    for cube, header, served in (
        ("open", "X-A: b", True), ("mine", "Cookie: cubehub-cubes-images=good", False),
        ("mine", "Authorization: Bearer good", True), ("others", "Authorization: Bearer good", False),
    ):  # fmt: skip
        got, _ = talk(ask(PREFIX + path.format(cube), header))
        assert (parts(got)[2] != b"behind") == served, cube


def test_requests_sent_at_once_are_answered_in_their_order(talk):
    talk.behind.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    tile, other = get(TILE.format("open")), get(f"{PREFIX}/datasets")
    got, closed = talk(tile + other + tile + other + get(f"{PREFIX}/x", "Connection: close"))
    assert closed
    status, _, _, rest = parts(got)
    assert status == 200
    kinds = []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        if b"chunked" in head:
            body, _, rest = rest.partition(b"0\r\n\r\n")
            assert body == b"3\r\nabc\r\n"
            kinds.append("behind")
        else:
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            rest = rest[length:]
            kinds.append("tile")
    assert kinds == ["behind", "tile", "behind", "behind"]


def test_the_answer_to_head_ends_where_it_ends(talk):
    talk.behind.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n"
    got, closed = talk(get(f"{PREFIX}/datasets", method="HEAD") + get(TILE.format("open")))
    assert not closed
    assert got.count(b"HTTP/1.1 200") == 2


def test_what_is_handed_on_is_the_same_but_for_the_connection(talk):
    talk(
        post(
            f"{PREFIX}/datasets?a=%2F",
            b"body",
            "Authorization: Bearer x",
            "Keep-Alive: 5",
            "Upgrade-Insecure-Requests: 1",
        )
    )
    (asked,) = talk.behind.asked
    lines = asked.split(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert lines[0] == b"post /services/cubes/datasets?a=%2f http/1.1"
    assert b"authorization: bearer x" in lines
    assert b"connection: close" in lines
    assert not any(line.startswith(b"keep-alive") for line in lines)
    assert asked.endswith(b"body")


@pytest.mark.parametrize(
    ("peer", "headers", "told"),
    [
        ("127.0.0.1", [], b"127.0.0.1"), ("10.1.2.3", [b"192.0.2.1"], b"192.0.2.1"),
        ("10.1.2.3", [b"1.1.1.1, 192.0.2.1"], b"192.0.2.1"), ("::1", [b"1.1.1.1", b"192.0.2.1"], b"192.0.2.1"),
        ("8.8.8.8", [b"192.0.2.1"], b"8.8.8.8"), ("2a00::1", [b"192.0.2.1"], b"2a00::1"),
        ("fe80::1%eth0", [b"192.0.2.1"], b"192.0.2.1"), ("10.1.2.3", [b"1.1.1.1,"], b"10.1.2.3"),
    ],
)  # fmt: skip
def test_who_sends_is_what_the_nearest_proxy_heard(peer, headers, told):
    request = Request(b"GET", b"/", [(b"x-forwarded-for", h) for h in headers] + [(b"x-real-ip", b"9.9.9.9")])
    request.peer = peer
    lines = rewritten(request).split(b"\r\n")
    assert [line for line in lines if line.startswith(b"x-")] == [b"x-forwarded-for: " + told]


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"],
)  # fmt: skip
def test_an_answer_that_breaks_off_is_never_taken_for_whole(talk, answer):
    talk.behind.answer = answer
    got, closed = talk(get(f"{PREFIX}/datasets"))
    assert closed
    assert got.startswith(b"HTTP/1.1 503") or not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(80)) + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"a" * 5_000_000, 413),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_is_no_plain_request_is_refused_and_the_connection_ends(talk, sent, status):
    got, closed = talk(sent)
    assert parts(got)[0] == status
    assert closed
    assert "message" in json.loads(parts(got)[2])["error"]
    assert talk.behind.asked == []


def test_a_request_may_come_in_pieces(talk):
    whole = post(f"{PREFIX}/timeseries/open/value", POINT)
    got, _ = talk(*(whole[n : n + 7] for n in range(0, len(whole), 7)), pause_s=0.002)
    rows = json.loads(parts(got)[2])["result"]
    assert [row["time"] for row in rows] == ["2017-01-01T00:00:00Z", "2017-01-02T00:00:00Z"]


def test_series_are_packed_for_those_who_unpack(talk):
    area = json.dumps({"type": "Polygon", "coordinates": [[[5, 52], [6, 52], [6, 53], [5, 52]]]}).encode()
    path = f"{PREFIX}/timeseries/open/value?aggMethods=mean,count"
    plain, _ = talk(post(path, area), quiet_s=3)
    rows = json.loads(parts(plain)[2])["result"]
    assert rows[0]["count"] <= rows[0]["count_tot"]
    feature = json.dumps(
        {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": {}, "geometry": json.loads(area)}] * 20,
        }
    ).encode()
    packed, _ = talk(post(path, feature, "Accept-Encoding: gzip"), quiet_s=6)
    _, headers, body, _ = parts(packed)
    assert headers["content-encoding"] == "gzip"
    assert json.loads(igzip.decompress(body))["result"] == [rows] * 20


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"type":"Point","coordinates":[500,99]}', b'{"type":"Polygon","coordinates":[[[5,52]]]}'],
)
def test_a_bad_place_is_a_message(talk, body):
    got, _ = talk(post(f"{PREFIX}/timeseries/open/value", body), quiet_s=3)
    status, _, told, _ = parts(got)
    assert status == 400
    assert "GeoJSON" in json.loads(told)["error"]["message"]


STATISTICS = f"{PREFIX}/statistics/{{}}/value"


def end_get(*args):
    """A request after which the connection ends, so that no test waits for silence."""
    return get(*args, "Connection: close")


def end_post(*args):
    return post(*args, "Connection: close")


def test_statistics_are_answered_here(talk):
    got, _ = talk(end_get(STATISTICS.format("open") + "?lon=6&lat=53&time=2017-01-02"))
    status, headers, body, _ = parts(got)
    assert (status, headers["cache-control"]) == (200, "no-store")
    value = json.loads(body)["result"]["value"]
    got, _ = talk(end_post(STATISTICS.format("open") + "?time=last", POINT))
    assert json.loads(parts(got)[2])["result"] == {
        "count": 1, "minimum": value, "maximum": value, "mean": value, "deviation": 0.0,
    }  # fmt: skip
    got, _ = talk(end_get(STATISTICS.format("open") + "?lon=170&lat=53"))
    assert json.loads(parts(got)[2]) == {"result": {}}
    area = json.dumps({"type": "Polygon", "coordinates": [[[5, 52], [6, 52], [6, 53], [5, 52]]]}).encode()
    got, _ = talk(end_post(STATISTICS.format("open"), area, "Accept-Encoding: gzip"))
    _, headers, body, _ = parts(got)
    found = json.loads(igzip.decompress(body))["result"]
    assert headers["content-encoding"] == "gzip"
    assert len(found["histogram"]["values"]) + 1 == len(found["histogram"]["edges"]) == 101
    away = json.dumps({"type": "Polygon", "coordinates": [[[50, 2], [60, 2], [60, 3], [50, 2]]]}).encode()
    got, _ = talk(end_post(STATISTICS.format("open"), away))
    assert json.loads(parts(got)[2]) == {"result": {"count": 0}}
    assert talk.behind.asked == []


@pytest.mark.parametrize(
    ("cube", "header", "served"),
    [
        ("mine", "X-A: b", False), ("mine", "Authorization: Bearer good", True), ("mine", "Authorization: Bearer over", False),
        ("mine", "Cookie: cubehub-cubes-images=good", False), ("others", "Authorization: Bearer good", False),
        ("unknown", "Authorization: Bearer good", False), ("open", "Authorization: Bearer over", False),
    ],
)  # fmt: skip
def test_statistics_are_for_whom_the_cube_is(talk, cube, header, served):
    for ask in (
        end_get(STATISTICS.format(cube) + "?lon=6&lat=53", header),
        end_post(STATISTICS.format(cube), POINT, header),
    ):
        got, _ = talk(ask)
        assert (parts(got)[2] != b"behind") == served


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[" * 100_000, b'{"type":"Point","coordinates":[500,99]}', b'{"type":"Point","coordinates":[1e400,1]}',
        b'{"type":"Polygon","coordinates":[[[5,52]]]}', b'{"type":"Feature","geometry":null}', b'{"type":"Feature"}',
        b'{"type":"MultiPolygon","coordinates":[[[1]]]}', b'{"type":"Circle","coordinates":[1,2]}', b'{"type":"GeometryCollection","geometries":[]}',
    ],
)  # fmt: skip
def test_statistics_of_no_place_are_a_message(talk, body):
    got, _ = talk(end_post(STATISTICS.format("open"), body))
    status, _, told, _ = parts(got)
    assert status == 400
    assert "GeoJSON" in json.loads(told)["error"]["message"]


@pytest.mark.parametrize(
    "query", ["", "?lon=6", "?lon=6&lat=nan", "?lon=6&lat=53&time=soon", "?lon=6&lat=53&debug=1"]
)
def test_statistics_that_are_not_understood_are_handed_on(talk, query):
    assert parts(talk(end_get(STATISTICS.format("open") + query))[0])[2] == b"behind"


PNG = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n\x89PNG-data"


def test_a_legend_is_drawn_once(talk):
    talk.behind.answer = PNG
    path = f"{PREFIX}/tiles/open/value/legend?vmax=9&vmin=1"
    other = f"{PREFIX}/datasets/open/vars/value/legend.png?vmin=1&vmax=9"
    got, _ = talk(get(path, 'If-None-Match: "x"', "Accept-Encoding: gzip") + get(path) + end_get(other))
    status, headers, body, rest = parts(got)
    assert (status, body) == (200, b"\x89PNG-data")
    assert headers["cache-control"] == "public, no-cache"
    assert len(talk.behind.asked) == 1
    assert b"if-none-match" not in talk.behind.asked[0]
    for _ in range(2):
        status, _, body, rest = parts(rest)
        assert (status, body) == (200, b"\x89PNG-data")
    again, _ = talk(end_get(path, f"If-None-Match: {headers['etag']}"))
    assert parts(again)[0] == 304


def test_a_legend_that_is_refused_is_told_and_not_kept(talk):
    talk.behind.answer = (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    bad = f"{PREFIX}/tiles/open/value/legend?vmax=a"
    got, _ = talk(get(bad) + end_get(bad))
    assert got.count(b"400 Bad Request") == 2
    assert len(talk.behind.asked) == 2
    talk.behind.answer = b""
    got, closed = talk(end_get(f"{PREFIX}/tiles/open/value/legend"))
    assert (parts(got)[0], closed) == (503, True)


def test_a_legend_is_for_whom_the_cube_is(talk):
    talk.behind.answer = PNG
    path = f"{PREFIX}/tiles/mine/value/legend"
    got, _ = talk(
        get(path, "Authorization: Bearer good")
        + get(path)
        + end_get(path, "Cookie: cubehub-cubes-images=good")
    )
    assert b"private, no-cache" in got
    assert len(talk.behind.asked) == 2, "a visitor's request goes behind, where it is refused"


def test_counts_are_for_the_machine_only(talk):
    got, _ = talk(get(TILE.format("open")) + get(f"{PREFIX}/metrics"))
    assert b"cubehub_cubes_tiles_total 1" in got
    got, _ = talk(get(f"{PREFIX}/metrics", "X-Forwarded-For: 10.0.0.1"))
    assert parts(got)[0] == 404


def test_parts_of_files(talk, cubes):
    document = (cubes / "degrees/pyramid.levels/0.zarr/zarr.json").read_bytes()
    path = f"{PREFIX}/s3/datasets/open.zarr/zarr.json"
    assert parts(talk(get(path))[0])[2] == document
    status, headers, body, _ = parts(talk(get(path, "Range: bytes=-20"))[0])
    assert (status, body) == (206, document[-20:])
    assert headers["content-range"].endswith(f"/{len(document)}")
    assert parts(talk(get(path, f"Range: bytes={len(document)}-"))[0])[0] == 416


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, (0, 100)), (b"bytes=0-9", (0, 10)), (b"bytes=90-", (90, 10)), (b"bytes=-5", (95, 5)), (b"bytes=-500", (0, 100)),
        (b"bytes=50-500", (50, 50)), (b"bytes=100-", None), (b"bytes=-0", None), (b"bytes=5-4", (0, 100)),
        (b"bytes=1-2,4-5", (0, 100)), (b"items=1-2", (0, 100)), (b"bytes=-", (0, 100)),
    ],
)  # fmt: skip
def test_ranges(header, wanted):
    assert span(header, 100) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "/s3/datasets/a.zarr/../x", "/s3/datasets/a.zarr//x", "/s3/datasets/a.zarr/.", "/s3/datasets/a.levels/x",
        "/s3/pyramids/a.zarr/x", "/s3/datasets/a.zarr/%2e%2e/x", "/s3/datasets/A.zarr/x", "/s3/datasets/a.zarr/",
        "/s3/datasets/a.zarr/.0.new", "/s3/pyramids/a:series.levels/x",
    ],
)  # fmt: skip
def test_addresses_of_no_file(path):
    assert object_of(path) is None


@pytest.mark.parametrize(
    ("given", "packed"),
    [
        (b"gzip", True), (b"br, GZIP;q=0.5", True), (b"gzip;q=0", False), (b"gzip; q=0.000, br", False), (b"br", False),
        (b"gzip;q=0.01", True), (b"", False),
    ],
)  # fmt: skip
def test_who_takes_gzip(given, packed):
    assert http.takes_gzip(http.Request(headers=[(b"accept-encoding", given)])) == packed


def test_an_error_says_the_same_as_behind():
    got = http.error(413, "too large")
    body = json.loads(got.partition(b"\r\n\r\n")[2])
    assert set(body["error"]) == {"status_code", "code", "message", "reason", "hint"}
