"""Ways to make the server ask what it must not, or take more than it can: none may pass."""

import asyncio
import functools
import gzip
import itertools
import json
import zlib
from asyncio.selector_events import BaseSelectorEventLoop

import pytest
from cubehub_catalogue.errors import CatalogueError, ForbiddenError, SignInError, UpstreamError
from cubehub_catalogue.http import Client, Limits
from cubehub_catalogue.http.credentials import Credentials, Given
from cubehub_catalogue.settings import Catalogue
from cubehub_tests.catalogue_net import answer, answering

pytestmark = pytest.mark.attack

SECRET = "sec-ret-of-the-catalogue"
PUBLIC = "93.184.216.34"

INNER_HOSTS = [  # S104: refused, not bound to
    # loopback and what resolvers of systems take for it
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "0", "0.0.0.0", "00000000", "2130706433",  # noqa: S104
    "0x7f000001", "0x7F.0.0.1", "0x7f.1", "017700000001", "0177.0.0.1", "0177.0000.0000.0001", "127.0.0.1.",
    "127.000.000.001", "127.0.0.0x1", "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain",
    "localhost4", "ip6-localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[0000::0001]",
    # IPv4 inside IPv6
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:7f00:1::]",
    "[::ffff:0:127.0.0.1]", "[fe80::5efe:127.0.0.1]", "[2606:4700::5efe:7f00:1]", "[::ffff:169.254.169.254]",
    # inner networks, metadata of clouds, link-local, unique local, multicast, reserved
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.100.100.200", "169.254.169.254",
    "169.254.170.2", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "metadata.google.internal", "instance-data",
    "metadata", "kubernetes.default.svc", "hub", "printer.local", "nas.lan", "router.home.arpa",
    "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fd00:ec2::254]", "[fc00::1]", "[fec0::1]", "[ff02::1]",
    "[2001:db8::1]", "[100::1]", "[::a9fe:a9fe]",
    # letters that become digits, dots and letters of the usual kind
    "\uff11\uff12\uff17.0.0.1", "127\u30020\uff0e0\uff611", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "loc\u00adalhost", "\uff4cocalhost",
    # no hosts at all
    "", ".", "..", "-", "%31%32%37.0.0.1", "127.0.0.1%00.example.org", "127.0.0.1%2f.example.org", "*", "[]", "[::1",
    "a b", "1.2.3.4.5", "256.256.256.256", "0x", "a..b", "a" * 300,
]  # fmt: skip

WHOLE = [
    # other schemes
    "file:///etc/passwd", "file://localhost/etc/passwd", "FILE:///etc/passwd", "ftp://{host}/", "gopher://{host}/_x",
    "dict://{host}/x", "ldap://{host}/", "tftp://{host}/x", "data:text/plain,x", "javascript:alert(1)", "jar:http://{host}!/",
    "netdoc:///etc/passwd", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/x", "ws://{host}/",
    "wss://{host}/", "https+insecure://{host}/", "s3://bucket/key", "view-source:http://{host}/",
    # who is asked hides behind a user name, another part, or a sign that readers take differently
    "https://catalogue.example@{host}/", "https://catalogue.example:pw@{host}/", "https://@{host}/", "https://:@{host}/",
    "https://{host}\\@catalogue.example/", "https://catalogue.example\\@{host}/", "https://{host}#@catalogue.example/",
    "https://{host}?@catalogue.example/", "https://catalogue.example%40{host}/", "https:\\\\{host}\\", "https:/{host}/",
    "https:{host}", "https:///{host}/", "https://{host} .example/", "https://{host}\t/", "https://{host}\r\nX: y/",
    "https://{host}%0d%0aX:%20y/", "ht\ntps://{host}/", "\thttps://{host}/", " https://{host}/", "https://\u200b{host}/",
    "//{host}/", "https://{host};catalogue.example/", "https://{host},catalogue.example/", "https://catalogue.example:{port}@{host}/",
    "HTTPS://{host}/", "http://{host}/", "https://{host}:{port}:443/", "https://[{host}]/",
    # ports that are none, or another service's
    "https://{public}:22/", "https://{public}:25/", "https://{public}:0/", "https://{public}:99999/", "https://{public}:-1/",
    "https://{public}:a/", "https://{public}:636/", "http://{public}/", "http://{public}:443/", "http://catalogue.example/",
    "https://{public}:22/https://x:443",
]  # fmt: skip

NAMES = {
    "loopback": ["127.0.0.1"],
    "loopback of IPv6": ["::1"],
    "private": ["10.0.0.1"],
    "metadata": ["169.254.169.254"],
    "mapped": ["::ffff:127.0.0.1"],
    "mapped metadata": ["::ffff:169.254.169.254"],
    "6to4": ["2002:7f00:1::1"],
    "NAT64": ["64:ff9b::7f00:1"],
    "Teredo": ["2001:0:7f00:1::1"],
    "unspecified": ["0.0.0.0"],  # noqa: S104 - refused, not bound to
    "link-local": ["fe80::1%lo"],
    "unique local": ["fd00::1"],
    "multicast": ["224.0.0.1"],
    "public first": [PUBLIC, "127.0.0.1"],
    "public last": ["127.0.0.1", PUBLIC],
    "public and mapped": [PUBLIC, "::ffff:10.0.0.1"],
    "no address": ["catalogue.example"],
    "octal": ["0177.0.0.1"],
    "shared": ["100.64.0.1"],
    "a socket's path": ["/var/run/docker.sock"],
}

_tried: set[str] = set()


class Key(Credentials):
    async def given(self):
        return Given(headers={"Authorization": f"Bearer {SECRET}"}, params={"key": SECRET})


class Attempts(list):
    def __init__(self):
        super().__init__()
        self.open_ports = set()
        self.outside = {}


@pytest.fixture
def attempts(monkeypatch):
    """Every connection that is attempted; only those to ports in `open_ports` are made, and what stands for outside."""
    made = Attempts()
    real = BaseSelectorEventLoop.sock_connect

    async def connect(loop, sock, address):
        made.append(address)
        if address[0] in made.outside:
            return await real(loop, sock, ("127.0.0.1", made.outside[address[0]]))
        if address[1] not in made.open_ports:
            raise ConnectionRefusedError(111, "refused by the test")
        return await real(loop, sock, address)

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)
    return made


async def no_pause(_):
    pass


def catalogue(url, **more):
    return Catalogue(id="a", title="A", url=url, timeout=20, **more)


def client(url, **more):
    settings = {key: more.pop(key) for key in ("private", "also") if key in more}
    return Client(catalogue(url, **settings), Key(), pause=no_pause, **more)


def tried(kind, forms):
    _tried.update(f"{kind}: {form}" for form in forms)


def forms(port):
    made = {f"https://{host}:{port}/x" for host in INNER_HOSTS} | {f"https://{host}/" for host in INNER_HOSTS}
    made |= {f"http://{host}:{port}/x" for host in INNER_HOSTS}
    for form in WHOLE:
        for host in (f"127.0.0.1:{port}", "127.0.0.1"):
            made.add(form.format(host=host, port=port, public=PUBLIC))
    return sorted(made)


async def outside(*_):
    return [PUBLIC]


async def inner_name(*_):
    """A resolver that takes every name for the own machine, as the worst one would."""
    return ["127.0.0.1"]


def test_no_form_of_an_address_reaches_the_inside(attempts):
    """As a link in a catalogue's answer: `next`, an asset, a picture."""

    async def run():
        async with answering(lambda _: answer({})) as canary:
            attempts.open_ports.add(canary.port)
            for form in forms(canary.port):
                asking = client("https://catalogue.example/v1", lookup=inner_name)
                with pytest.raises(CatalogueError) as error:
                    await asking.json(form)
                assert isinstance(error.value, ForbiddenError), form
                with pytest.raises(CatalogueError):
                    await _drain(asking, form)
                await asking.close()
            tried("address", forms("PORT"))
            assert canary.connections == 0
        assert attempts == []

    asyncio.run(run())


async def _drain(asking, url):
    async with asking.stream(url, most_bytes=1000) as stream:
        return [piece async for piece in stream.pieces]


def test_no_redirect_reaches_the_inside(attempts):
    """From a catalogue that is itself private, and so may be asked: nothing but its own address is."""

    async def run():
        async with answering(lambda _: answer({})) as canary:
            for status in (301, 302, 303, 307, 308):
                todo = [form for form in forms(canary.port) if form.isascii() and form.isprintable()]
                todo = todo if status == 302 else todo[::7]
                where = iter(todo)

                def handler(asked, status=status, where=where):
                    # a form that is a path comes back to the catalogue itself, which is no way inside
                    return (
                        answer(b"", status, Location=next(where))
                        if asked.path == "/x?key=" + SECRET
                        else answer({}, 404)
                    )

                async with answering(handler) as server:
                    attempts.open_ports = attempts.open_ports | {server.port}
                    asking = client(server.url, private=True, lookup=inner_name)
                    for form in todo:
                        with pytest.raises(CatalogueError) as error:
                            await asking.json("x")
                        assert SECRET not in json.dumps(error.value.to_dict()), form
                    await asking.close()
                    assert {address[1] for address in attempts} == {server.port}
                    attempts.clear()
                tried(f"redirect {status}", [form.replace(str(canary.port), "PORT") for form in todo])
            assert canary.connections == 0

    asyncio.run(run())


@pytest.mark.parametrize("kind", NAMES)
def test_no_name_that_stands_for_the_inside(attempts, kind):
    async def lookup(*_):
        return NAMES[kind]

    async def run():
        asking = client("https://catalogue.example/v1", lookup=lookup)
        with pytest.raises(ForbiddenError):
            await asking.json("search")
        await asking.close()
        assert attempts == []

    asyncio.run(run())
    tried("name", [kind])


@pytest.mark.parametrize("inner", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"])
def test_no_name_that_changes(attempts, inner):
    """Public when it is looked at, inner when it is looked at again: only what was looked at is connected to."""
    answers = itertools.cycle([[PUBLIC], [inner]])
    looked_up = []

    async def lookup(*_):
        looked_up.append(next(answers))
        return looked_up[-1]

    async def run():
        asking = client("https://catalogue.example/v1", lookup=lookup)
        for _ in range(4):
            with pytest.raises(CatalogueError):
                await asking.json("search")
        await asking.close()

    asyncio.run(run())
    assert len(looked_up) >= 4
    assert {address[0] for address in attempts} == {PUBLIC}
    tried("changing name", [inner])


def test_a_public_catalogue_is_asked_and_keeps_its_log_in_for_itself(attempts, authority):
    """The one way that must work, and what happens when it leads to a stranger."""

    def handler(asked):
        own = asked.headers["host"] == "catalogue.example"
        if own and asked.path.startswith("/v1/away"):
            return answer(b"", 302, Location="https://stranger.example:8443/x")
        if own and asked.path.startswith("/v1/back"):
            return answer(b"", 302, Location="https://stranger.example:8443/back")
        if not own and asked.path == "/back":
            return answer(b"", 302, Location="https://catalogue.example/v1/x")
        return answer({"own": own})

    async def run():
        trusts, shows = authority("catalogue.example", "stranger.example")
        async with answering(handler, ssl=shows) as server:
            attempts.outside[PUBLIC] = server.port
            asking = client("https://catalogue.example/v1", lookup=outside, ssl=trusts)
            assert (await asking.json("x")).value == {"own": True}
            assert (await asking.json("away")).value == {"own": False}
            assert (await asking.json("back")).value == {"own": True}
            await asking.json("https://stranger.example/y", headers={"Authorization": "Bearer mine"})
            await asking.close()
            sent = [
                (one.headers["host"], SECRET in str(one), "authorization" in one.headers)
                for one in server.asked
            ]
        own, stranger = ("catalogue.example", True, True), ("stranger.example:8443", False, False)
        once_away = ("catalogue.example", False, False)
        assert sent == [own, own, stranger, own, stranger, once_away, ("stranger.example", False, False)]

    asyncio.run(run())
    tried("redirect", ["the log-in to a stranger", "the log-in by way of a stranger", "a log-in in a header"])


@pytest.mark.parametrize(
    "where",
    ["http://catalogue.example/", "http://stranger.example/", "https://127.0.0.1/", "https://inner.example/"],
)
def test_no_public_catalogue_leads_inside_or_to_plain_http(attempts, authority, where):
    async def lookup(host, *_):
        return ["127.0.0.1"] if host == "inner.example" else [PUBLIC]

    async def run():
        trusts, shows = authority("catalogue.example")
        async with answering(lambda _: answer(b"", 302, Location=where), ssl=shows) as server:
            attempts.outside[PUBLIC] = server.port
            asking = client("https://catalogue.example", lookup=lookup, ssl=trusts)
            with pytest.raises(ForbiddenError):
                await asking.json("x")
            await asking.close()
            assert len(server.asked) == 1
        assert {address[0] for address in attempts} == {PUBLIC}

    asyncio.run(run())
    tried("redirect of a public one", [where])


def test_no_way_back_inside_from_outside(attempts, authority):
    """A stranger may not send the request on to the private catalogue, though that is asked directly."""

    async def run():
        trusts, shows = authority("stranger.example")
        async with answering(lambda _: answer(b"", 307, Location="https://stranger.example/x")) as inside:

            def handler(_):
                return answer(b"", 307, Location=f"{inside.url}/admin")

            async with answering(handler, ssl=shows) as stranger:
                attempts.outside[PUBLIC] = stranger.port
                attempts.open_ports.add(inside.port)
                asking = client(inside.url, private=True, lookup=outside, ssl=trusts)
                with pytest.raises(ForbiddenError):
                    await asking.json("x", method="POST", body={})
                await asking.close()
                assert [one.path for one in stranger.asked] == ["/x"]
                assert len(inside.asked) == 1

    asyncio.run(run())
    tried("redirect", ["back inside"])


def test_a_host_that_fails_is_named_and_not_the_catalogue_for_it(attempts, authority):
    async def lookup(host, *_):
        return [PUBLIC] if host != "gone.example" else []

    async def run():
        trusts, shows = authority("catalogue.example", "stranger.example")
        async with answering(lambda _: answer({}, 404), ssl=shows) as server:
            attempts.outside[PUBLIC] = server.port
            asking = client("https://catalogue.example", lookup=lookup, ssl=trusts)
            said = []
            for url in ("x", "https://stranger.example/t.png?key=k-1", "https://gone.example/t.png?key=k-1"):
                with pytest.raises(UpstreamError) as error:
                    await asking.json(url)
                said.append(error.value.message)
            await asking.close()
        assert said[0].startswith("A answered with 404")
        assert said[1].startswith("stranger.example, which A names, answered with 404")
        assert said[2].startswith("gone.example, which A names, can't be asked")
        assert "k-1" not in "".join(said)

    asyncio.run(run())
    tried("error", ["a key in a link"])


def test_no_certificate_of_somebody_else(attempts, authority):
    async def run():
        trusts, shows = authority("stranger.example")
        async with answering(lambda _: answer({}), ssl=shows) as server:
            attempts.outside[PUBLIC] = server.port
            for ssl in (trusts, None):
                asking = client("https://catalogue.example", lookup=outside, ssl=ssl)
                with pytest.raises(UpstreamError) as error:
                    await asking.json("x")
                await asking.close()
                assert error.value.code == "bad_certificate"
            assert server.asked == []

    asyncio.run(run())
    tried("certificate", ["another's", "nobody's"])


def test_no_private_address_of_another_catalogue(attempts):
    async def run():
        async with answering(lambda _: answer({})) as other, answering(lambda _: answer({})) as own:
            attempts.open_ports.update((other.port, own.port))
            asking = client(own.url, private=True)
            await asking.json("x")
            for url in (
                other.url,
                f"http://localhost:{own.port}/",
                f"http://[::1]:{own.port}/",
                f"https://127.0.0.1:{own.port}/",
            ):
                with pytest.raises(ForbiddenError):
                    await asking.json(url)
            await asking.close()
            assert other.connections == 0
            assert own.connections == 1

    asyncio.run(run())
    tried("private", ["another port", "another name", "another family", "another scheme"])


def test_no_metadata_even_where_private(attempts):
    async def lookup(*_):
        return ["169.254.169.254"]

    async def run():
        for url in (
            "http://169.254.169.254",
            "http://[fe80::1]",
            "http://0.0.0.0:8000",
            "http://inner.example",
            "http://2852039166",
        ):
            asking = client(url, private=True, lookup=lookup)
            with pytest.raises(ForbiddenError):
                await asking.json("latest/meta-data")
            await asking.close()
        assert attempts == []

    asyncio.run(run())
    tried("private", ["metadata", "link-local", "unspecified", "a name of metadata", "a number"])


@functools.cache
def bomb(wbits=31):
    """64 MiB in 64 KiB."""
    packer = zlib.compressobj(6, wbits=wbits)
    return packer.compress(b" " * 2**26) + packer.flush()


async def forever(asked, begin, piece):
    asked.writer.write(begin)
    while True:
        asked.writer.write(piece)
        await asked.writer.drain()


async def drip(asked, begin, piece, released):
    asked.writer.write(begin)
    for _ in range(3):
        asked.writer.write(piece)
        await asked.writer.drain()
    await released.wait()


BROKEN = "answer_unusable, answer_cut or unreachable"
"""Where the parser stops depends on how the bytes come."""
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def hostile(released):
    """By name, how a catalogue answers, and what the error must be."""
    return {
        "a length that is huge": (lambda _: OK + b"Content-Length: 99999999999\r\n\r\n", "answer_too_large"),
        "a body without end": (lambda a: forever(a, OK + b"\r\n", b" " * 65536), "answer_too_large"),
        "chunks without end": (lambda a: forever(a, CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), "answer_too_large"),
        "a zip bomb": (lambda _: answer(bomb(), Content_Encoding="gzip"), "answer_too_large"),
        "a zip bomb of deflate": (
            lambda _: answer(bomb(15), Content_Encoding="deflate"),
            "answer_too_large",
        ),
        "a zip bomb in a zip bomb": (
            lambda _: answer(gzip.compress(bomb()), Content_Encoding="gzip, gzip"),
            "answer_unusable",
        ),
        "a zip bomb as an error": (lambda _: answer(bomb(), 400, Content_Encoding="gzip"), "upstream_error"),
        "an error without end": (
            lambda a: forever(a, b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\n\r\n", b"x" * 65536),
            "upstream_error",
        ),
        "another packing": (lambda _: answer(b"x", Content_Encoding="br"), "answer_unusable"),
        "what is not packed": (lambda _: answer(b"{}", Content_Encoding="gzip"), "answer_unusable"),
        "members of gzip after the first": (
            lambda _: answer(gzip.compress(b"[") + gzip.compress(b"]"), Content_Encoding="gzip"),
            "answer_unusable",
        ),
        "a body that drips": (lambda a: drip(a, OK + b"Content-Length: 1000\r\n\r\n", b" ", released), "timeout"),
        "headers that drip": (lambda a: drip(a, OK, b"A: b\r\n", released), "timeout"),
        "no answer": (lambda a: drip(a, b"", b"", released), "timeout"),
        "headers without end": (lambda a: forever(a, OK, b"X-A: " + b"b" * 100 + b"\r\n"), BROKEN),
        "a header without end": (lambda a: forever(a, OK + b"X-A: ", b"b" * 65536), BROKEN),
        "a status without end": (lambda a: forever(a, b"HTTP/1.1 200 ", b"b" * 65536), BROKEN),
        "a thousand headers": (
            lambda _: OK + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"Content-Length: 2\r\n\r\n{}",
            BROKEN,
        ),
        "continue without end": (lambda a: forever(a, b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
        "no HTTP": (lambda a: forever(a, b"SSH-2.0-OpenSSH_9.9\r\n", b"x" * 65536), BROKEN),
        "two lengths": (
            lambda _: OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
            BROKEN,
        ),
        "a length that is none": (lambda _: OK + b"Content-Length: -1\r\n\r\n{}", BROKEN),
        "a chunk that is none": (lambda _: CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", BROKEN),
        "a chunk that is huge": (
            lambda a: forever(a, CHUNKED + b"fffffffffffffff\r\n", b" " * 65536),
            "answer_too_large",
        ),
        "a line of a chunk without end": (lambda a: forever(a, CHUNKED + b"2;", b"x" * 65536), "timeout"),
        "trailers without end": (lambda a: forever(a, CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n" * 1000), BROKEN),
        "JSON that is deep": (lambda _: answer(b"[" * 10**6 + b"]" * 10**6), "answer_too_large"),
        "JSON that is deep and cut": (lambda _: answer(b'{"a":' * 10**5), "answer_too_large"),
        "a number that is long": (lambda _: answer(b"1" * 10**6), "answer_unusable"),
        "two zeros": (lambda _: answer(b"\x00{}"), "answer_unusable"),
        "nothing changed": (lambda _: answer(b"", 304), "answer_unusable"),
        "a redirect without end": (lambda _: answer(b"", 302, Location="/x"), "too_many_redirects"),
        "a redirect that is long": (lambda _: answer(b"", 302, Location="/" + "x" * 8000), "too_many_redirects"),
        "a redirect to nothing": (lambda _: answer(b"{", 302), "answer_unusable"),
        "a log-in page": (lambda _: answer(b"<html>", kind="text/html"), "answer_unusable"),
        "a traceback": (lambda _: answer(b"Traceback (most recent call last):\n x", 500, "text/plain"), "upstream_error"),
    }  # fmt: skip


@pytest.mark.parametrize("name", hostile(None))
def test_no_answer_takes_more_than_it_may(name):
    async def run():
        released = asyncio.Event()
        handler, code = hostile(released)[name]
        async with answering(handler) as server:
            # what must end by the clock ends soon; everything else has more time than it needs
            total_s = 0.2 if code == "timeout" else 60
            limits = Limits(total_s=total_s, idle_s=60, repeats=0, bytes=2**20, packed_bytes=2**20)
            asking = client(server.url, private=True, limits=limits)
            with pytest.raises(UpstreamError) as error:
                await asking.json("x")
            await asking.close()
            released.set()
            assert error.value.code in code
            told = json.dumps(error.value.to_dict())
            assert SECRET not in told
            assert "Traceback" not in told
            assert len(told) < 1000

    asyncio.run(run())
    tried("answer", [name])


def test_no_cookie_is_sent_back_and_none_upgrades():
    async def run():
        async with answering(lambda _: answer({}, Set_Cookie="a=b; Path=/")) as server:
            asking = client(server.url, private=True)
            await asking.json("x")
            await asking.json(
                "x", headers={"Cookie": "c=d", "Host": "inner.example", "Transfer-Encoding": "chunked"}
            )
            await asking.close()
            assert all("cookie" not in one.headers for one in server.asked)
            assert all(one.headers["host"] == f"127.0.0.1:{server.port}" for one in server.asked)
            assert "transfer-encoding" not in server.asked[1].headers

    asyncio.run(run())
    tried("header", ["a cookie", "a host", "an encoding"])


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    async def run():
        async with answering(lambda _: answer({})) as proxy, answering(lambda _: answer({})) as server:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            asking = client(server.url, private=True)
            await asking.json("x")
            await asking.close()
            assert proxy.connections == 0

    asyncio.run(run())
    tried("environment", ["a proxy"])


@pytest.mark.usefixtures("attempts")
def test_no_key_is_told():
    """Where nothing answers, the library's own words would hold the address with the key in it."""

    async def run():
        asking = client("http://127.0.0.1:9", private=True)
        with pytest.raises(UpstreamError) as error:
            await asking.json("x")
        await asking.close()
        assert SECRET not in json.dumps(error.value.to_dict())
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__

    asyncio.run(run())
    tried("error", ["a key in an address"])


def test_no_log_in_is_sent_to_a_stranger_by_a_401(attempts):
    async def run():
        async with answering(lambda _: answer({"detail": SECRET}, 401, WWW_Authenticate="Bearer")) as server:
            attempts.open_ports.add(server.port)
            asking = Client(catalogue(server.url, private=True), pause=no_pause)
            with pytest.raises(SignInError):
                await asking.json("x")
            await asking.close()
            assert "authorization" not in server.asked[0].headers

    asyncio.run(run())
    tried("error", ["a challenge"])


def test_how_many_were_tried(capsys):
    """Says the number; the lists are part of the suite, so they can't shrink unseen."""
    made = len(set(forms("PORT"))) + len(NAMES) + len(hostile(None))
    with capsys.disabled():
        print(  # noqa: T201 - what an attack suite is asked for
            f"\nattacks on the catalogue's client: {made} forms, {len(_tried)} ways tried, 0 passed"
        )
    assert made >= 400
