"""Records with anything at any place: an item that is fit for JSON and for STAC, or a record that is skipped."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from xml.sax.saxutils import escape

import pystac
import pytest
from cubehub_catalogue.errors import CatalogueError
from cubehub_catalogue.query import Query
from cubehub_catalogue.sources.odata_items import item_of
from cubehub_catalogue.sources.opensearch_answers import read_geojson
from cubehub_catalogue.sources.opensearch_atom import read_atom
from cubehub_catalogue.sources.opensearch_collections import listed
from cubehub_catalogue.sources.opensearch_description import read
from cubehub_catalogue.sources.records import BadRecordError
from cubehub_catalogue.sources.sieve import Sieve
from cubehub_catalogue.sources.stac_files import fit_collection, fit_item
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = not os.environ.get("CUBEHUB_TEST_RANDOM")  # a landing must not depend on luck
DATA = Path(__file__).parent / "data"
PRODUCT = json.loads((DATA / "odata" / "products.jsonl").read_text().splitlines()[4])["Product"]
FEATURES = json.loads((DATA / "opensearch" / "eumetsat.json").read_text())
ITEM = json.loads(
    (DATA / "antimeridian" / "odc-tools__dep_ls_geomad__dep_ls_geomad_66_20_2023.json").read_text()
)
FEED = (DATA / "opensearch" / "mundi.xml").read_text()
SIEVE = Sieve(
    Query(aoi={"type": "Polygon", "coordinates": [[[0, 0], [180, 0], [180, 80], [0, 0]]]}, text="a")
)

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**400), 10**400),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(
            [
                "2020-01-01",
                "9999-12-31T23:59:59Z",
                "0001-01-01T00:00:00+23:59",
                "Polygon",
                "javascript:x",
                "//[",
                "http://[::1",
                "\ud800",
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value, here=()):
    """Give the paths to all parts."""
    yield here
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*here, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value[:3]):
            yield from places(inner, (*here, place))


def changed(value, path, other):
    if not path:
        return other
    made = copy.deepcopy(value)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = other
    return made


def spoiled(value):
    return st.builds(changed, st.just(value), st.sampled_from(sorted(places(value), key=repr)), anything)


def check(item):
    json.dumps(item, allow_nan=False).encode()
    assert isinstance(item["id"], str)
    pystac.Item.from_dict(item)
    SIEVE.passes(item)


@settings(max_examples=150, deadline=None, derandomize=SAME)
@given(record=spoiled(PRODUCT))
def test_products(record):
    try:
        check(item_of(record, "https://example.org/odata/v1", None))
    except BadRecordError:
        return


@settings(max_examples=150, deadline=None, derandomize=SAME)
@given(answer=spoiled(FEATURES))
def test_features(answer):
    try:
        found = read_geojson(json.dumps(answer), "https://example.org/x", None)
    except CatalogueError:
        return
    for item in found.items:
        check(item)


@settings(max_examples=150, deadline=None, derandomize=SAME)
@given(record=spoiled(ITEM))
def test_items(record):
    try:
        check(fit_item(record, "https://example.org/a/b.json"))
    except BadRecordError:
        return


@settings(max_examples=100, deadline=None, derandomize=SAME)
@given(value=st.dictionaries(st.sampled_from(["id", "title", "links", "extent", "x"]), anything))
def test_collections(value):
    made = fit_collection(value, "https://example.org/a/b.json")
    assert made is None or json.dumps(made, allow_nan=False).encode()


@settings(max_examples=100, deadline=None, derandomize=SAME)
@given(place=st.integers(0, len(FEED)), length=st.integers(0, 60), other=st.text(max_size=20))
def test_feeds(place, length, other):
    for written in (
        FEED[:place] + other + FEED[place + length :],
        FEED[:place] + escape(other) + FEED[place + length :],
    ):
        try:
            found = read_atom(written, "https://example.org/x", None)
        except CatalogueError:
            continue
        for item in found.items:
            check(item)


@settings(max_examples=200, deadline=None, derandomize=SAME)
@given(
    written=st.one_of(st.text(max_size=200), anything.map(lambda value: json.dumps({"features": [value]})))
)
def test_what_is_no_feed_no_list_and_no_description(written):
    for reader in (
        lambda: listed(written, "https://example.org"),
        lambda: read_geojson(written, "https://example.org", None),
    ):
        try:
            reader()
        except CatalogueError:
            continue
    with pytest.raises(CatalogueError):
        read(written, "https://example.org")
