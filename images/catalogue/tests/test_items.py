import asyncio
import copy
import json

import pytest
from cubehub_stac.config import ConfigError, read_config
from cubehub_stac.origin import FixedOrigin
from cubehub_stac.repair import MARKER, RefusedError, repaired_item
from cubehub_stac.sources import fingerprint, queryables, read_contents
from shapely.geometry import shape
from support import ITEMS

GOOD = {
    "type": "Feature",
    "id": "a",
    "collection": "c",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]},
    "bbox": [0, 0, 2, 2],
    "properties": {
        "datetime": "2024-01-01T00:00:00Z",
        "license": "CC-BY-4.0",
        "eo:cloud_cover": 3,
        "platform": "x",
    },
    "links": [
        {"rel": "self", "href": "https://elsewhere/a.json"},
        {"rel": "derived_from", "href": "https://elsewhere/b.json"},
        {"rel": "thumbnail", "href": "../a.png"},
    ],
    "assets": {"cube": {"href": "a.zarr"}},
}


def without(*keys, **changes):
    item = copy.deepcopy(GOOD)
    for key in keys:
        del item[key]
    return {**item, **changes}


def test_a_crossed_outline_becomes_valid_and_links_stay_true():
    item = repaired_item(GOOD)
    assert shape(item["geometry"]).is_valid
    assert item["bbox"] == [0, 0, 2, 2]
    assert [link["rel"] for link in item["links"]] == ["derived_from"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (without(geometry=None), "geometry is null"),
        (without("geometry"), "geometry is null"),
        (without(geometry={"type": "Polygon", "coordinates": []}), "geometry"),
        (without(geometry={"type": "Nonsense"}), "geometry"),
        (without(geometry={"type": "Polygon", "coordinates": [[["a", 0]]]}), "geometry"),
        (without("collection"), "'collection'"),
        (without(id="a/b"), "'id'"),
        (without(properties={"datetime": None}), "datetime"),
        (without("properties"), "properties"),
    ],
    ids=range(9),
)
def test_what_no_search_could_find_is_refused(item, reason):
    with pytest.raises(RefusedError, match=reason):
        repaired_item(item)


def test_markers_go_and_the_rest_stays():
    item = without(assets={"x": MARKER, "y": {"href": "y", "title": MARKER, "roles": ["data", MARKER]}})
    assert repaired_item(item)["assets"] == {"y": {"href": "y", "roles": ["data"]}}


def test_real_items_are_all_usable():
    contents = read_contents([ITEMS])
    assert len(contents.items) == 10
    assert MARKER not in json.dumps(list(contents.items.values()), ensure_ascii=False)
    for item in contents.items.values():
        assert shape(item["geometry"]).is_valid
    boxes = {item["id"]: item["bbox"] for item in contents.items.values()}
    west, _, east, _ = boxes["S2A_OPER_MSI_L2A_TL_2APS_20230730T020155_A042312_T01VCC"]
    assert 170 < west < 180 or -180 <= east < -170
    assert boxes["era5-pds-2020-12-an"] == [-180, -90, 180, 90]


def test_collections_are_given_or_derived(tmp_path):
    (tmp_path / "a.item.json").write_text(json.dumps(GOOD))
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "cube.zarr").mkdir()
    (tmp_path / "cube.zarr" / "hidden.json").write_text(json.dumps(without(id="b")))
    before = fingerprint([tmp_path])
    collection = read_contents([tmp_path]).collections["c"]
    assert collection["license"] == "CC-BY-4.0"
    assert collection["extent"]["spatial"]["bbox"] == [[0, 0, 2, 2]]
    given = {**collection, "title": "Given", "links": []}
    (tmp_path / "collection.json").write_text(json.dumps({"type": "FeatureCollection", "features": [given]}))
    contents = read_contents([tmp_path])
    assert contents.collections["c"]["title"] == "Given"
    assert list(contents.items) == [("c", "a")]
    assert fingerprint([tmp_path]) != before


def test_queryables_know_their_types():
    found = queryables([repaired_item(GOOD)])
    assert found["eo:cloud_cover"]["type"] == "number"
    assert found["platform"] == {"title": "platform", "type": "string"}
    assert "datetime" not in found


def test_mistakes_in_the_configuration_are_named(tmp_path):
    path = tmp_path / "c.json"
    with pytest.raises(ConfigError, match="can't be read"):
        read_config(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="no JSON"):
        read_config(path)
    path.write_text('{"port": 1, "public_url": "http://x"}')
    with pytest.raises(ConfigError, match="state_dir"):
        read_config(path)
    path.write_text('{"port": 1, "public_url": "x", "state_dir": "/x"}')
    with pytest.raises(ConfigError, match="public_url"):
        read_config(path)
    path.write_text('{"port": 1, "public_url": "http://x/services/catalogue/", "state_dir": "/x"}')
    assert read_config(path).root_url == "http://x/services/catalogue/"


def test_no_header_changes_the_origin():
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope)

    headers = [
        (b"host", b"evil"),
        (b"x-forwarded-host", b"evil"),
        (b"forwarded", b"host=evil"),
        (b"accept", b"*/*"),
    ]
    scope = {"type": "http", "scheme": "http", "headers": headers}
    asyncio.run(FixedOrigin(app, "https://hub.example:8443")(scope, None, None))
    assert seen[0]["scheme"] == "https"
    assert seen[0]["headers"] == [(b"host", b"hub.example:8443"), (b"accept", b"*/*")]
