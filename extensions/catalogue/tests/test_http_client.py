"""The client against servers on loopback: answers, errors, redirects, repetitions, the cache."""

import asyncio
import gzip
import json
import zlib

import pytest
from cubehub_catalogue.errors import CatalogueError, ForbiddenError, SignInError, UpstreamError
from cubehub_catalogue.http import Client, Limits
from cubehub_catalogue.http.credentials import Credentials, Given, hidden
from cubehub_catalogue.settings import Catalogue
from cubehub_tests.catalogue_net import answer, answering

SECRET = "sec-ret-of-the-catalogue"


class Key(Credentials):
    async def given(self):
        return Given(headers={"Authorization": f"Bearer {SECRET}"}, params={"api_key": SECRET})

    def hide(self, text):
        return hidden(text, (SECRET,))


async def no_pause(seconds):
    no_pause.waited.append(seconds)


@pytest.fixture(autouse=True)
def _waited():
    no_pause.waited = []


def ask(handler, use, *, credentials=None, also=(), path="/v1", **limits):
    """Run `use(client, server)` against a server that answers as `handler` says."""

    async def run():
        async with answering(handler) as server:
            catalogue = Catalogue(
                id="a", title="A", url=server.url + path, private=True, also=also, timeout=20,
                sign_in="https://id.example/login",
            )  # fmt: skip
            client = Client(
                catalogue, credentials, limits=Limits(**{"total_s": 20, **limits}), pause=no_pause
            )
            try:
                return await use(client, server), server
            finally:
                await client.close()

    return asyncio.run(run())


def failure(handler, url="search", **more):
    async def use(client, _):
        with pytest.raises(CatalogueError) as error:
            await client.json(url)
        return error.value

    return ask(handler, use, **more)


def test_json_relative_to_the_root():
    async def use(client, _):
        return await client.json("search", params={"limit": "1"}, headers={"X-A": "b"})

    got, server = ask(lambda _: answer({"a": 1}, ETag='"x"'), use)
    assert (got.status, got.value, got.headers["etag"]) == (200, {"a": 1}, '"x"')
    assert got.url == f"{server.url}/v1/search?limit=1"
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["x-a"]) == ("GET", "/v1/search?limit=1", "b")
    assert "authorization" not in asked.headers


def test_post_sends_json_and_keeps_one_connection():
    async def use(client, _):
        for number in range(3):
            await client.json("search", method="POST", body={"n": number})

    _, server = ask(lambda _: answer({}), use)
    assert [one.json for one in server.asked] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert server.connections == 1


def test_links_that_are_whole_and_from_the_root():
    async def use(client, server):
        await client.json(f"{server.url}/other?a=1")
        await client.json("/v2/search")

    _, server = ask(lambda _: answer({}), use)
    assert [one.path for one in server.asked] == ["/other?a=1", "/v2/search"]


def test_text_in_its_charset():
    async def use(client, _):
        return await client.text("osdd.xml")

    got, _ = ask(lambda _: answer("ä".encode("latin-1"), kind="text/xml; charset=ISO-8859-1"), use)
    assert got.value == "ä"


@pytest.mark.parametrize("pack", ["gzip", "deflate", "raw"])
def test_packed_answers(pack):
    data = json.dumps({"a": list(range(1000))}).encode()
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(data),
        "deflate": zlib.compress(data),
        "raw": raw.compress(data) + raw.flush(),
    }

    async def use(client, _):
        return (await client.json("x")).value

    kind = "gzip" if pack == "gzip" else "deflate"
    got, _ = ask(lambda _: answer(packed[pack], Content_Encoding=kind), use)
    assert len(got["a"]) == 1000


def test_an_answer_that_is_cut_is_an_error_after_repetitions():
    def cut(asked):
        asked.writer.write(answer({"a": 1})[:-3])
        return stop()

    async def stop():
        return None

    error, server = failure(cut)
    assert error.code == "answer_cut"
    assert len(server.asked) == 3
    assert no_pause.waited == [0.25, 0.5]


def test_a_packed_answer_that_is_cut():
    error, _ = failure(lambda _: answer(gzip.compress(b'{"a": 1}')[:-4], Content_Encoding="gzip"))
    assert error.code == "answer_unusable"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "upstream_error"), (404, "upstream_error"), (500, "upstream_error")]
)
def test_what_the_catalogue_said_is_told_shortened(status, code):
    body = {"detail": f"no such box, key {SECRET} " + "x" * 500}
    error, server = failure(lambda _: answer(body, status), credentials=Key())
    assert (error.code, error.upstream_status) == (code, status)
    assert "no such box, key …" in error.message
    assert SECRET not in json.dumps(error.to_dict())
    assert len(error.message) < 260
    assert len(server.asked) == 1


def test_a_log_in_that_is_wanted():
    error, _ = failure(lambda _: answer({}, 401))
    assert isinstance(error, SignInError)
    assert (error.code, error.status, error.upstream_status) == ("sign_in", 401, 401)
    assert "https://id.example/login" in error.hint


def test_what_is_not_allowed():
    error, _ = failure(lambda _: answer({}, 403))
    assert (error.code, error.upstream_status) == ("not_allowed", 403)


def test_a_page_instead_of_data():
    error, _ = failure(lambda _: answer(b"<html>", kind="text/html"))
    assert error.code == "answer_unusable"
    assert "log-in" in error.message


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_get_is_repeated(status):
    answers = iter([answer({}, status, Retry_After="2"), answer({}, status), answer({"a": 1})])

    async def use(client, _):
        return (await client.json("x")).value

    assert ask(lambda _: next(answers), use)[0] == {"a": 1}
    assert no_pause.waited == [2.0, 0.5]


def test_not_where_the_time_is_over_before():
    error, server = failure(lambda _: answer({}, 503, Retry_After="3600"))
    assert error.upstream_status == 503
    assert (len(server.asked), no_pause.waited) == (1, [])
    date = "Wed, 21 Oct 2099 07:28:00 GMT"
    assert len(failure(lambda _: answer({}, 503, Retry_After=date))[1].asked) == 1


def test_a_date_that_has_passed_and_one_that_is_none():
    for text in ("Wed, 21 Oct 2015 07:28:00 GMT", "soon"):
        no_pause.waited = []
        failure(lambda _, text=text: answer({}, 503, Retry_After=text))
        assert len(no_pause.waited) == 2


def test_a_post_is_not_repeated():
    async def use(client, _):
        with pytest.raises(UpstreamError):
            await client.json("x", method="POST", body={})

    assert len(ask(lambda _: answer({}, 503), use)[1].asked) == 1


def test_the_time_in_all():
    async def hang(_):
        await asyncio.Event().wait()

    error, _ = failure(hang, total_s=0.05)
    assert error.code == "timeout"
    assert "0.05 s" in error.message


def test_nothing_answers():
    async def run():
        async with answering(lambda _: answer({})) as server:
            pass
        client = Client(Catalogue(id="a", title="A", url=server.url, private=True), pause=no_pause)
        with pytest.raises(UpstreamError) as error:
            await client.json("x")
        await client.close()
        return error.value

    assert asyncio.run(run()).code == "unreachable"


def test_redirects_within_the_catalogue_keep_the_log_in():
    def handler(asked):
        if asked.path.startswith("/v1/old"):
            return answer(b"", 307, Location="new?x=1")
        return answer({})

    async def use(client, server):
        got = await client.json("old", method="POST", body={"q": 1})
        assert got.url == f"{server.url}/v1/new?x=1"

    _, server = ask(handler, use, credentials=Key())
    assert [one.method for one in server.asked] == ["POST", "POST"]
    assert server.asked[1].json == {"q": 1}
    assert all(one.headers["authorization"] == f"Bearer {SECRET}" for one in server.asked)
    assert server.asked[1].path == f"/v1/new?x=1&api_key={SECRET}"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_that_is_sent_on_becomes_a_get(status):
    def handler(asked):
        return answer(b"", status, Location="/end") if asked.method == "POST" else answer({})

    async def use(client, _):
        await client.json("x", method="POST", body={"q": 1})

    _, server = ask(handler, use)
    assert (server.asked[1].method, server.asked[1].body) == ("GET", b"")


def test_five_redirects_and_no_more():
    def handler(asked):
        number = int(asked.path.rpartition("/")[2])
        return answer({}) if number == 5 else answer(b"", 302, Location=f"/{number + 1}")

    async def use(client, _):
        return await client.json("/0")

    ask(handler, use)
    error, server = failure(lambda _: answer(b"", 302, Location="/again"))
    assert error.code == "too_many_redirects"
    assert len(server.asked) == 6


def test_another_address_of_the_catalogue_gets_the_log_in_and_nobody_else():
    async def run():
        async with answering(lambda _: answer({})) as files, answering(lambda _: answer({})) as stranger:

            def handler(asked):
                where = files if "files" in asked.path else stranger
                return answer(b"", 302, Location=f"{where.url}/x")

            async with answering(handler) as server:
                made = Catalogue(id="a", title="A", url=server.url, private=True, also=(files.url,))
                client = Client(made, Key())
                await client.json("files")
                with pytest.raises(ForbiddenError) as error:
                    await client.json("stranger")
                await client.close()
                assert SECRET not in json.dumps(error.value.to_dict())
                assert files.asked[0].headers["authorization"] == f"Bearer {SECRET}"
                assert stranger.connections == 0

    asyncio.run(run())


def test_an_answer_is_kept_and_asked_for_by_its_validator():
    def handler(asked):
        if asked.headers.get("if-none-match") == '"1"':
            return answer(b"", 304, ETag='"1"')
        return answer({"a": 1}, ETag='"1"')

    async def use(client, _):
        first = await client.json("collections", cached=True)
        second = await client.json("collections", cached=True)
        third = await client.json("collections")
        first.value["a"] = 2
        assert (await client.json("collections", cached=True)).value == {"a": 1}
        return first.status, second.status, third.status

    got, server = ask(handler, use)
    assert got == (200, 200, 200)
    assert ["if-none-match" in one.headers for one in server.asked] == [False, True, False, True]


def test_a_fresh_answer_is_not_asked_for():
    async def use(client, _):
        for _number in range(3):
            await client.json("queryables", cached=True)

    assert len(ask(lambda _: answer({}, Cache_Control="public, max-age=60"), use)[1].asked) == 1
    assert len(ask(lambda _: answer({}, Cache_Control="no-store, max-age=60"), use)[1].asked) == 3
    assert len(ask(lambda _: answer({}, Cache_Control="max-age=0"), use)[1].asked) == 3
    modified = "Wed, 21 Oct 2015 07:28:00 GMT"
    _, server = ask(lambda _: answer({}, Last_Modified=modified), use)
    assert server.asked[1].headers["if-modified-since"] == modified


def test_what_is_kept_is_bounded():
    async def use(client, _):
        for number in range(50):
            await client.json(f"collections/{number}", cached=True)
        return client._cache.bytes, len(client._cache._kept)

    big = {"a": "x" * 10_000}
    (held, count), _ = ask(
        lambda _: answer(big, ETag='"1"'), use, cache_bytes=100_000, cached_answer_bytes=20_000
    )
    assert held <= 100_000
    assert 5 < count < 10
    (held, count), _ = ask(lambda _: answer(big, ETag='"1"'), use, cached_answer_bytes=5000)
    assert (held, count) == (0, 0)


async def read(client, most_bytes):
    async with client.stream("f", most_bytes=most_bytes) as stream:
        return [piece async for piece in stream.pieces]


def test_a_stream_comes_in_pieces_and_ends_at_the_limit():
    async def use(client, _):
        got = b""
        async with client.stream("f", most_bytes=200_000, headers={"Range": "bytes=5-"}) as stream:
            async for piece in stream.pieces:
                got += piece
        assert not stream.packed
        with pytest.raises(UpstreamError) as error:
            await read(client, 99_999)
        return got, error.value.code

    (got, code), server = ask(lambda _: answer(b"z" * 100_000, 206, Content_Range="bytes 5-6/7"), use)
    assert got == b"z" * 100_000
    assert code == "answer_too_large"
    assert server.asked[0].headers["range"] == "bytes=5-"
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_what_happens_to_the_reader_is_not_the_catalogues_fault():
    async def use(client, _):
        async with client.stream("f", most_bytes=1000) as stream:
            async for _piece in stream.pieces:
                raise OSError(28, "disk is full")

    with pytest.raises(OSError, match="disk is full"):
        ask(lambda _: answer(b"abc"), use)


def test_a_status_that_the_reader_wants_to_see():
    async def use(client, _):
        async with client.stream("f", most_bytes=1000, accepted=frozenset({416})) as stream:
            return stream.status

    assert ask(lambda _: answer(b"", 416), use)[0] == 416


def test_who_gives_up_leaves_nothing_open():
    came = asyncio.Event()

    async def hang(_):
        came.set()
        await asyncio.Event().wait()

    async def use(client, _):
        task = asyncio.create_task(client.json("x"))
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    ask(hang, use)
