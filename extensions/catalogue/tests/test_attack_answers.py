"""A catalogue that wants the person's server to stand still, to fill up, or to show what is nobody's business."""

import asyncio
import base64
import json
import random

import pytest
import shapely
from cubehub_catalogue import federation as federation_module
from cubehub_catalogue import searching
from cubehub_catalogue.auth import ApiKey, OAuth2Client
from cubehub_catalogue.errors import CatalogueError
from cubehub_catalogue.federation import Asked, Federation
from cubehub_catalogue.folding import Folding
from cubehub_catalogue.http import Client
from cubehub_catalogue.http.reading import parse_json
from cubehub_catalogue.http.targets import Targets, read_url
from cubehub_catalogue.items import footprint, readable
from cubehub_catalogue.query import Page, Query
from cubehub_catalogue.rows import row_of
from cubehub_catalogue.settings import Catalogue
from cubehub_catalogue.sources.opensearch_atom import _mended
from cubehub_catalogue.sources.stac import StacSource
from cubehub_catalogue.tokens import credentials_for
from cubehub_tests.catalogue_net import answer, answering


def item(name, west=0.0, collection="c"):
    ring = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]
    return {
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2024-05-01T00:00:00Z", "platform": "p"},
        "assets": {},
        "links": [],
    }


class Endless:
    """Always has a next page, each of what `items` gives for its number."""

    def __init__(self, items):
        self.items, self.asked = items, 0

    async def search(self, _query, _following=None):
        self.asked += 1
        return Page(tuple(self.items(self.asked)), self.asked)


def asked(id_, source):
    return Asked(id_, id_.upper(), source, 5)


async def read(federation, **more):
    return [event async for event in federation.page(**more)]


@pytest.mark.parametrize("items", [lambda _: [], lambda _: [item("same")]], ids=["nothing", "the same"])
def test_pages_without_end_and_with_nothing_new_end(items):
    async def go():
        source = Endless(items)
        found = await searching._search(Told(source), ["a"], Query(), 100)
        assert found.errors["a"].code == "endless"
        assert "Try again" in found.errors["a"].hint
        assert source.asked <= 2 * federation_module._MOST_IN_VAIN
        return source, found

    class Told:
        def __init__(self, source):
            self.source = source

        def federation(self, _chosen, query):
            return Federation([asked("a", self.source)], query)

    source, found = asyncio.run(go())
    before = source.asked
    asyncio.run(found._page())
    assert source.asked == before + 1, "who presses for more goes on from there"


def test_copies_count_as_what_is_kept(monkeypatch):
    monkeypatch.setattr(federation_module, "MOST_ROWS", 30)
    name = "S2A_MSIL2A_20240101T000000_N0500_R001_T35VLG_20240101T000000"
    federation = Federation(
        [asked("a", Endless(lambda n: [item(name, collection=f"c{n}-{k}") for k in range(10)]))], Query()
    )

    async def go():
        while federation.more:
            events = await read(federation)
        return events

    events = asyncio.run(go())
    assert len(federation.folding.rows) == 1
    assert federation.folding.kept == 30
    assert events[-1]["full"] is True


def test_a_page_of_a_million_is_cut_and_said_to_be():
    many = [
        item(f"x{n}") | {"geometry": None, "properties": {}}
        for n in range(federation_module._MOST_OF_PAGE + 5)
    ]
    federation = Federation([asked("a", Endless(lambda _: many))], Query())
    events = asyncio.run(read(federation))
    assert len(federation.folding.rows) == federation_module._MOST_OF_PAGE
    (answered,) = [event for event in events if event["event"] == "answered"]
    assert answered["ignored"] == ["items"]


def test_others_have_their_turn_while_a_page_is_put_into_rows(monkeypatch):
    monkeypatch.setattr(federation_module, "_AT_ONCE_S", -1.0)
    federation = Federation([asked("a", Endless(lambda _: [item(f"x{n}") for n in range(200)]))], Query())

    async def go():
        turns = 0
        reading = asyncio.create_task(read(federation))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(go()) >= 200


def test_outlines_are_not_all_compared_with_each_other(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "cubehub_catalogue.folding._overlap",
        lambda one, other, **_: compared.append((one["id"], other["id"])) or 0.0,
    )
    apart = Folding(["a", "b"])
    for number in range(300):
        apart.add(f"a{number}", item(f"x{number}", west=(number % 150) * 2 - 150.0), (number,))
    assert len(compared) == 150, "tiles of one second that lie apart: only those at the same place"
    compared.clear()
    heap = Folding(["a"])
    for number in range(300):
        heap.add(f"a{number}", item(f"x{number}"), (number,))
    assert len(compared) <= 300 * 40


def test_numbers_that_no_browser_reads_are_none():
    huge = "1" + "0" * 400
    said = f'{{"a": 1e999, "b": -1E+9999 , "c": [{huge}], "d": 1e308, "e": "1e999", "f": 12, "g": 2.5}}'
    found = parse_json(said.encode())
    assert found == {"a": None, "b": None, "c": [None], "d": 1e308, "e": "1e999", "f": 12, "g": 2.5}
    json.dumps(found, allow_nan=False)


def test_a_whole_number_that_no_float_holds_costs_nothing():
    hostile = item("x") | {
        "bbox": [10**400] * 4,
        "links": [None, 1, {"rel": "via", "href": "https://e.example"}],
    }
    hostile["properties"]["eo:cloud_cover"] = 10**400
    (found,) = readable([hostile])
    assert (row_of(found)["cloud_cover"], row_of(found)["bbox"]) == (None, [0.0, 0.0, 1.0, 1.0])
    assert found["links"] == [{"rel": "via", "href": "https://e.example"}], (
        "the panel reads what is in a link"
    )


@pytest.mark.parametrize("far", [1e308, -1e308, 1e200, 1e20, 1001.0, float("nan"), 10**400])
@pytest.mark.parametrize("place", [0, 1])
def test_an_outline_out_of_the_world_is_none(far, place):
    hostile = item("x")
    hostile["geometry"]["coordinates"][0][2][place] = far
    assert footprint(hostile) is None, "GEOS would simplify it for ever"


@pytest.mark.parametrize("reach", [80, 170, 900])
@pytest.mark.parametrize("corners", [79, 3000, 30_000])
def test_a_ring_that_crosses_itself_everywhere_is_not_mended(monkeypatch, reach, corners):
    mended = []
    real = shapely.make_valid
    monkeypatch.setattr(
        shapely, "make_valid", lambda one: mended.append(shapely.get_num_coordinates(one)) or real(one)
    )
    places = random.Random(0)  # noqa: S311 - the same each time
    hostile = item("x")
    hostile["geometry"]["coordinates"] = [
        [[places.uniform(-reach, reach), places.uniform(-80, 80)] for _ in range(corners)]
    ]
    found = footprint(hostile)
    assert all(one <= 90 for one in mended), "of 3000 corners it takes minutes"
    if reach == 80 and corners > 80:
        assert found["type"] == "Polygon"


def test_no_shape_of_an_atom_feed_is_mended_for_minutes():
    places = random.Random(0)  # noqa: S311 - the same each time
    ring = [(places.uniform(-80, 80), places.uniform(-80, 80)) for _ in range(3000)]
    assert _mended(shapely.Polygon(ring)).is_valid


@pytest.mark.parametrize("room", range(150, 200, 7))
def test_no_part_of_a_secret_stands_at_the_end_of_what_is_said(monkeypatch, room):
    monkeypatch.setenv("SECRET", "s3cret+" * 12)
    auth = ApiKey(type="api_key", header="X-Key", value_env="SECRET")
    error = _error(auth, lambda sent: answer({"detail": "x" * room + " " + sent.headers["x-key"]}, 500))
    assert "s3cret" not in error.message
    assert "…" in error.message


def test_a_clients_secret_is_hidden_as_it_was_sent(monkeypatch):
    monkeypatch.setenv("SECRET", "very/secret")

    def auth(url):
        return OAuth2Client(
            type="oauth2_client", token_url=f"{url}/t", client_id="c", client_secret_env="SECRET"
        )

    error = _error(
        auth, lambda sent: answer({"error_description": f"not {sent.headers['authorization']}"}, 400)
    )
    assert base64.b64encode(b"c:very%2Fsecret").decode() not in error.message
    assert "not Basic …" in error.message


def test_a_date_that_is_none_at_all():
    text = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    error = _error(None, lambda _: answer({}, 503, Retry_After=text))
    assert error.upstream_status == 503


def test_collections_without_end_are_cut(monkeypatch):
    monkeypatch.setattr("cubehub_catalogue.sources.stac._MOST_OF_COLLECTIONS", 10_000)

    def handler(sent):
        if "collections" not in sent.path:
            return answer({"links": [{"rel": "data", "href": "/collections"}]})
        number = int(sent.path.partition("page=")[2] or 0) + 1
        many = [{"id": f"{number}-{k}", "description": "x" * 1000} for k in range(4)]
        return answer(
            {"collections": many, "links": [{"rel": "next", "href": f"/collections?page={number}"}]}
        )

    async def go():
        async with answering(handler) as server:
            catalogue = Catalogue(id="a", title="A", url=server.url, private=True)
            client = Client(catalogue)
            try:
                return await StacSource(catalogue, client).collections()
            finally:
                await client.close()

    assert len(asyncio.run(go())) == 12


@pytest.mark.parametrize(
    ("path", "gets"),
    [
        ("/services/catalogue", True),
        ("/services/catalogue/search?page=2", True),
        ("/user/mallory/proxy/8000/thumb.png", False),
        ("/services/catalogue-2/x", False),
        ("/services/catalogue/../../user/mallory/x", False),
        ("/services/catalogue/%2e%2e/%2e%2e/user/mallory/x", False),
        ("/services/catalogue/..%2f..%2fuser/mallory/x", False),
        ("/services/catalogue/..%5cx", False),
    ],
)
def test_on_the_platform_only_the_catalogue_gets_its_log_in(path, gets):
    """Items that people publish name addresses of their own servers, which stand at the same origin."""
    here = "https://hub.example"
    targets = Targets.of([f"{here}/services/catalogue"], private=True, platform=here)
    assert targets.gets_login(read_url(here + path)) is gets
    assert targets.check(read_url(here + path)), "it may be asked all the same"


def test_elsewhere_the_whole_origin_gets_it():
    everywhere = Targets.of(["https://a.example/stac"], private=False, platform="https://hub.example")
    assert everywhere.gets_login(read_url("https://a.example/files/x"))
    named = Targets.of(
        ["https://hub.example/stac", "https://hub.example"], private=True, platform="https://hub.example"
    )
    assert named.gets_login(read_url("https://hub.example/files/x"))


def test_the_client_knows_the_platform(monkeypatch):
    sent = []

    def handler(asked):
        sent.append((asked.path, "x-key" in asked.headers))
        return answer({})

    monkeypatch.setenv("SECRET", "s3cret")

    async def go():
        async with answering(handler) as server:
            monkeypatch.setenv("CUBEHUB_URL", server.url)
            auth = ApiKey(type="api_key", header="X-Key", value_env="SECRET")
            catalogue = Catalogue(id="a", title="A", url=f"{server.url}/stac", private=True, auth=auth)
            client = Client(catalogue, credentials_for(catalogue))
            await client.json("search")
            await client.json("/user/mallory/x")
            await client.close()

    asyncio.run(go())
    assert sent == [("/stac/search", True), ("/user/mallory/x", False)]


def _error(auth, handler):
    async def no_pause(_):
        pass

    async def go():
        async with answering(handler) as server:
            way = auth(server.url) if callable(auth) else auth
            more = {"auth": way} if way is not None else {}
            catalogue = Catalogue(id="a", title="A", url=server.url, private=True, **more)
            client = Client(catalogue, credentials_for(catalogue), pause=no_pause)
            try:
                with pytest.raises(CatalogueError) as error:
                    await client.json("x")
                return error.value
            finally:
                await client.close()

    return asyncio.run(go())


def test_what_a_catalogue_says_moves_nothing_on_a_screen():
    hostile = item("a\x1b]0;x\x07\u202e\ud800<b>\nfake line")
    federation = Federation([asked("a", Endless(lambda _: [hostile]))], Query())
    asyncio.run(read(federation))
    found = searching.Found(federation)
    found.errors["a"] = CatalogueError("x", "no\x1b[2J", "then")
    for written in (repr(found), found._repr_html_()):
        written.encode()
        assert not set("\x1b\x07\u202e\n") & set(written.replace("\n" + "2024", "").replace("\na: ", ""))
    assert "<b>" not in found._repr_html_()
