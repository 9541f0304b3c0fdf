"""The real service: who finds whose items, by every address there is; with the real PostgreSQL and as a static catalogue."""

import io
import json
import urllib.request
import zipfile
from urllib.parse import quote

import pystac
import pytest
from cubehub_stac.api import create_app
from cubehub_stac.config import Config
from hub_stand_in import SERVICE_TOKEN, running_hub
from support import ITEMS, PREFIX, Service, get, servers_in

pytestmark = pytest.mark.slow

ITEM = json.loads((ITEMS / "60W-2020.json").read_text())
SECRET = "aubergine"
"""Stands in every private item, and nowhere else."""
PRIVATE = {"own.id-ana": {"ana"}, "group._2fwater": {"ana"}, "group._2fall": {"ana", "ben"}, "own.id-ben": {"ben"},
           "account": {"ana", "ben", "cem"}, "own.id-dora": set()}  # fmt: skip
"""Collections and who sees them."""
PEOPLE = (None, "ana", "ben", "cem", "operator")


def secret(name, **more):
    values = {**ITEM["properties"], "title": SECRET, f"{SECRET}:level": 7, **more}
    return {**ITEM, "id": name, "properties": values, "assets": {"a": {"href": f"/{SECRET}"}}}


def as_(person):
    return {"Authorization": f"Bearer {person}"} if person else {}


@pytest.fixture(scope="module")
def hub():
    with running_hub() as running:
        running.add("dora")
        yield running


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(False, marks=pytest.mark.needs("postgis"), id="database"),
        pytest.param(True, id="static"),
    ],
)
def shared(request, tmp_path_factory, hub):
    """Serve private items of several people."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "shared").mkdir()
    kept = {"readers": "account", "owner_id": "id-ana", "owner_name": "ana", "item": secret("cube")}
    (folder / "shared" / "cube.json").write_text(json.dumps(kept))
    kept = {**kept, "owner_id": "id-dora", "readers": "owner", "item": secret("doras")}
    (folder / "shared" / "doras.json").write_text(json.dumps(kept))
    (folder / "shared" / "bad.json").write_text(json.dumps({**kept, "readers": "everybody"}))
    service = Service(
        folder, static_only=request.param, hub_api_url=hub.url, hub_api_token=SERVICE_TOKEN, shared=[str(folder / "shared")]
    ).start()  # fmt: skip
    for person, name, group in (
        ("ana", "anas", None), ("ana", "waters", "/water"), ("ben", "bens", None), ("ben", "alls", "/all"),
    ):  # fmt: skip
        status, told = post(service, person, secret(name), group)
        assert (status, told.get("id")) == (201, name), told
    yield service
    assert service.stop() == 0
    assert not servers_in(service.state)


def post(service, person, item, group=None):
    return get(f"{service.root}own/items", {"item": item, "group": group}, headers=as_(person))


def sees(person):
    return {name for name, people in PRIVATE.items() if person in people} - {"own.id-dora"}


def addresses():
    """Every address of the application, with the names of private things where it takes names."""
    app = create_app(Config("127.0.0.1", 1, PREFIX, "http://127.0.0.1:1", ITEMS, ()), "/nowhere")
    return sorted(
        (method, path.removeprefix(f"{PREFIX}/"))
        for path, calls in app.openapi()["paths"].items()
        for method in calls
    )


@pytest.mark.parametrize("person", PEOPLE)
def test_nobody_sees_by_any_address_what_is_not_theirs(shared, person):
    seen = sees(person)
    names = {"own.id-ana": "anas", "group._2fwater": "waters", "own.id-ben": "bens", "group._2fall": "alls",
             "account": "cube", "own.id-dora": "doras"}  # fmt: skip
    known = addresses()
    assert len(known) > 8
    for method, path in known:
        if "{" not in path:
            continue
        for collection, item in names.items():
            address = path.replace("{collection_id}", collection).replace("{item_id}", item)
            assert "{" not in address
            status, answer = get(shared.root + address, method=method.upper(), headers=as_(person))
            if collection not in seen:
                nowhere = address.replace(collection, "own.nobody")
                assert (status, answer) == get(
                    shared.root + nowhere, method=method.upper(), headers=as_(person)
                )
                assert status == 404
            elif method == "get" and not path.endswith("queryables"):
                assert status == 200, address
    for address in ("", "collections", "search", "queryables", "conformance", "api", "collections?limit=100", "search?limit=100",
                    "own", "own/items", "collections-queryables"):  # fmt: skip
        text = json.dumps(get(shared.root + address, headers=as_(person)))
        for collection, item in names.items():
            if collection not in seen and not (person == "operator" and address == "own/items"):
                assert f'"{collection}"' not in text, address
                assert f"/{collection}" not in text, address
                assert f'"{item}"' not in text, address
        if not seen and person != "operator":
            assert SECRET not in text
    listed = get(f"{shared.root}collections?limit=100", headers=as_(person))[1]
    assert {c["id"] for c in listed["collections"]} & set(PRIVATE) == seen


@pytest.mark.parametrize("person", PEOPLE)
def test_a_search_finds_what_one_may_see_whatever_is_asked(shared, person):
    if get(f"{shared.root}health")[1]["mode"] == "static":
        assert get(f"{shared.root}search", {"limit": 1}, headers=as_(person))[0] == 501
        return
    seen = sees(person)
    items = {"own.id-ana": "anas", "group._2fwater": "waters", "own.id-ben": "bens", "group._2fall": "alls", "account": "cube",
             "own.id-dora": "doras"}  # fmt: skip
    theirs = {items[name] for name in seen}
    level = {"op": "=", "args": [{"property": f"{SECRET}:level"}, 7]}
    either = {"op": "or", "args": [level, {"op": "=", "args": [{"property": "collection"}, "own.id-dora"]}]}
    not_public = {"op": "not", "args": [{"op": "=", "args": [{"property": "title"}, "x"]}]}
    public = sum(1 for _ in ITEMS.glob("*.json"))
    for body, more in (
        ({}, public), ({"ids": list(items.values())}, 0), ({"collections": list(items)}, 0),
        ({"collections": [*items, "io-lulc"]}, 1), ({"filter": level}, 0), ({"filter": either}, 0),
        ({"query": {"title": {"eq": SECRET}}}, 0), ({"filter": not_public}, None), ({"ids": ["doras"]}, 0),
        ({"collections": ["own.id-dora"]}, 0), ({"bbox": [-180, -90, 180, 90]}, public),
    ):  # fmt: skip
        status, answer = get(f"{shared.root}search", {"limit": 100, **body}, headers=as_(person))
        assert status == 200, (body, answer)
        found = [item["id"] for item in answer["features"]]
        assert answer["numberMatched"] == len(found)
        if (set(body) & {"ids"} and body["ids"] == ["doras"]) or body.get("collections") == ["own.id-dora"]:
            assert found == []
            continue
        assert set(found) & set(items.values()) == theirs, body
        if more is not None:
            assert len(found) == len(theirs) + more, body
    for query in (
        "ids=" + ",".join(items.values()),
        "collections=" + ",".join(items),
        f"filter=title='{SECRET}'&filter-lang=cql2-text",
    ):
        status, answer = get(f"{shared.root}search?limit=100&{quote(query, safe='=&,')}", headers=as_(person))
        assert status == 200, answer
        assert {item["id"] for item in answer["features"]} == theirs, query


@pytest.mark.parametrize("person", PEOPLE)
def test_pages_begin_nowhere_else(shared, person):
    if get(f"{shared.root}health")[1]["mode"] == "static":
        assert get(f"{shared.root}search?token=next:x", headers=as_(person))[0] == 501
        return
    for direction in ("next", "PREV"):
        answers = []
        for collection, item in (("own.id-dora", "doras"), ("own.id-dora", "none"), ("own.nobody", "doras")):
            token = f"{direction}:{collection.encode().hex()}:{item.encode().hex()}"
            answers += [
                get(f"{shared.root}search?token={token}", headers=as_(person)),
                get(f"{shared.root}search", {"token": token}, headers=as_(person)),
                get(f"{shared.root}collections/io-lulc/items?token={token}", headers=as_(person)),
            ]
        assert answers[0][0] == 400
        assert all(answer == answers[0] for answer in answers)
    found, url = [], f"{shared.root}search?limit=2"
    while url:
        status, answer = get(url, headers=as_(person))
        assert status == 200
        found += [(item["collection"], item["id"]) for item in answer["features"]]
        url = next((link["href"] for link in answer["links"] if link["rel"] == "next"), None)
    assert len(found) == len(set(found)) == answer["numberMatched"]
    assert {name for name, _ in found} & set(PRIVATE) == sees(person)


@pytest.mark.parametrize("person", PEOPLE)
def test_lists_of_collections_count_what_is_listed(shared, person):
    if get(f"{shared.root}health")[1]["mode"] == "static":
        root = get(shared.root, headers=as_(person))[1]
        text = json.dumps(root)
        assert {name for name in PRIVATE if name in text} == sees(person)
        return
    every = {c["id"] for c in get(f"{shared.root}collections?limit=100")[1]["collections"]} | sees(person)
    assert len(every) >= 5
    for query in ("", "&bbox=-180,-90,180,90", "&sortby=-id", "&fields=id", "&filter-lang=cql2-text&filter=" + quote("id <> 'x'"),
                  "&query=" + quote(json.dumps({"id": {"neq": "x"}}))):  # fmt: skip
        found, url = [], f"{shared.root}collections?limit=2{query}"
        while url:
            status, answer = get(url, headers=as_(person))
            assert status == 200, (query, answer)
            assert answer["numberMatched"] == len(every), query
            found += [c["id"] for c in answer["collections"]]
            url = next((link["href"] for link in answer["links"] if link["rel"] == "next"), None)
        assert sorted(found) == sorted(every), query


def test_answers_to_somebody_are_not_kept_for_others(shared):
    for headers, private in (({}, None), (as_("ana"), "private")):
        request = urllib.request.Request(f"{shared.root}collections", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            assert "Authorization" in answer.headers.get_all("Vary")
            assert answer.headers["Cache-Control"] == private


def test_who_can_not_be_known_gets_nothing(shared, hub):
    for token, status in (("wrong", 401), ("scopeless", 403)):
        for address in ("", "collections", "search", "own", "own/items"):
            assert get(shared.root + address, headers=as_(token))[0] == status
    hub.add("eva")
    hub.broken = True
    try:
        assert get(f"{shared.root}collections", headers=as_("eva"))[0] == 503
        assert get(f"{shared.root}collections")[0] == 200
        assert get(f"{shared.root}health")[0] == 200
    finally:
        hub.broken = False


def test_own_items_come_and_go_at_once(shared, hub):
    hub.add("fay", "/fish")
    one = secret("mine", datetime="2020-05-01T00:00:00Z")
    assert post(shared, "fay", one)[0] == 201
    where = f"{shared.root}collections/own.id-fay/items/mine"
    assert get(where, headers=as_("fay"))[1]["properties"]["title"] == SECRET
    changed = secret("mine", title="changed")
    assert post(shared, "fay", changed)[0] == 200
    assert get(where, headers=as_("fay"))[1]["properties"]["title"] == "changed"
    status, told = get(f"{shared.root}own", headers=as_("fay"))
    assert (status, told["items"], told["collections"]) == (200, 1, [{"id": "own.id-fay", "items": 1}])
    assert told["own_collection"] == "own.id-fay"
    (listed,) = get(f"{shared.root}own/items", headers=as_("fay"))[1]["items"]
    assert listed["href"] == where
    assert post(shared, "fay", one, "/fish")[0] == 201
    for person in ("ben", None):
        mine = f"{shared.root}own/items/own.id-fay/mine"
        assert get(mine, method="DELETE", headers=as_(person))[0] == (404 if person else 401)
    request = urllib.request.Request(f"{shared.root}own/export", headers=as_("fay"))  # noqa: S310
    with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    archive.extractall(shared.folder / "out")
    catalogue = pystac.Catalog.from_file(shared.folder / "out" / "catalog.json")
    assert sorted(item.id for item in catalogue.get_items(recursive=True)) == ["mine", "mine"]
    assert get(f"{shared.root}own/export?collection=own.id-ben", headers=as_("fay"))[0] == 404
    for collection, person in (("own.id-fay", "fay"), ("group._2ffish", "operator")):
        assert (
            get(f"{shared.root}own/items/{collection}/mine", method="DELETE", headers=as_(person))[0] == 200
        )
    assert get(where, headers=as_("fay"))[0] == 404
    gone = get(f"{shared.root}collections?limit=100", headers=as_("fay"))[1]
    assert not {"own.id-fay", "group._2ffish"} & {c["id"] for c in gone["collections"]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"{", 422), (b"[1]", 400), (b"{}", 400), (b'{"item": 1}', 422), (b'{"item": {}, "group": 3}', 400),
        (b'{"item": NaN}', 422), (b"[" * 100_000, 422), (b" " * 1_000_001, 413), (b'{"item": {}, "group": "/none"}', 403),
        (json.dumps({"item": {**ITEM, "id": "../../x"}}).encode(), 422), (json.dumps({"item": {**ITEM, "geometry": None}}).encode(), 422),
        (json.dumps({"item": secret("n", a="\0")}).encode(), 422),
    ],
    ids=range(13),
)  # fmt: skip
def test_hostile_registrations_are_refused_with_reasons(shared, body, status):
    request = urllib.request.Request(f"{shared.root}own/items", data=body, headers=as_("ana"))  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=15)  # noqa: S310
    with caught.value as error:
        answer = json.loads(error.read())
        assert error.code == status
        assert set(answer) == {"code", "description", "hint"}
    assert "Traceback" not in shared.log.read_text()


def test_other_ways_are_not_there(shared):
    for method, address, status in (
        ("PUT", "own/items", 405),
        ("GET", "own/nothing", 404),
        ("DELETE", "own/items/a", 404),
    ):
        answer = get(shared.root + address, method=method, headers=as_("ana"))
        assert answer[0] == status
        assert set(answer[1]) == {"code", "description", "hint"}
