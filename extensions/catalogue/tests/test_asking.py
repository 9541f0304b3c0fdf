"""A query as JSON: what comes in is what goes out, and nothing else gets in."""

import json
from datetime import UTC, datetime

import pytest
from cubehub_catalogue.asking import parse_query, query_dict
from cubehub_catalogue.errors import InputError, UnknownError
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.searches import KEPT_S, MOST, Searches

FULL = {
    "collections": {"a": ["s2", "s1"]},
    "aoi": {"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]]},
    "start": "2024-05-01T00:00:00Z",
    "end": "2024-05-31T23:59:59.999999Z",
    "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
    "text": "lake",
    "ids": ["x"],
    "sort": [{"field": "properties.eo:cloud_cover", "descending": False}],
    "limit": 7,
}


def test_a_query_survives():
    query = parse_query(FULL)
    assert query.end == datetime(2024, 5, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert query.sort == (Sort("properties.eo:cloud_cover", descending=False),)
    again = query_dict(query)
    assert parse_query(json.loads(json.dumps(again))) == query
    assert {**again, "aoi": None} == {**FULL, "aoi": None}


def test_days_are_whole_and_what_is_left_out_is_open():
    query = parse_query({"start": "2024-05-01", "end": "2024-05-01"})
    assert (query.end - query.start).total_seconds() == pytest.approx(86400)
    assert parse_query({}) == Query()
    nothing = dict.fromkeys(("aoi", "start", "end", "filter", "text", "ids", "sort", "collections"))
    assert parse_query({**nothing, "collections": {"a": []}, "text": " "}) == Query()


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"what": 1}, "no 'what'"),
        ({"collections": ["s2"]}, "by catalogue"),
        ({"collections": {"a": "s2"}}, "collections of a"),
        ({"collections": {"a": [5]}}, "is no name"),
        ({"ids": ["a\nb"]}, "is no name"),
        ({"ids": ["a"] * 501}, "at most 500"),
        ({"aoi": {"type": "Point", "coordinates": [0, 0]}}, "no area"),
        ({"aoi": 5}, "object with a type"),
        ({"start": "soon"}, "no time"),
        ({"start": "2025", "end": "2024"}, "before it starts"),
        ({"filter": "x < 5"}, "JSON object"),
        ({"text": 5}, "text is a text"),
        ({"text": "x" * 501}, "text is a text"),
        ({"limit": 0}, "1 to 500"),
        ({"limit": True}, "1 to 500"),
        ({"limit": 501}, "1 to 500"),
        ({"sort": "datetime"}, "list of at most"),
        ({"sort": ["datetime"]}, "list of objects"),
        ({"sort": [{"field": ""}]}, "no name"),
        ({"sort": [{"field": "a,b"}]}, "sorted by"),
        ({"sort": [{"field": "a", "descending": "yes"}]}, "sorted by"),
    ],
)
def test_what_is_no_query_is_told(part, says):
    with pytest.raises(InputError) as caught:
        parse_query(part)
    assert says in caught.value.message
    with pytest.raises(InputError):
        parse_query([part])


def test_searches_are_forgotten_in_time_and_never_too_many():
    now = [0.0]
    searches = Searches(lambda: now[0])
    first = searches.open(None)
    now[0] = 10
    second = searches.open(None)
    assert len({first.id, second.id}) == 2
    now[0] = KEPT_S + 5
    with pytest.raises(UnknownError):
        searches.get(first.id)
    assert searches.get(second.id) is second
    now[0] += KEPT_S - 5
    assert searches.get(second.id) is second
    for _ in range(MOST + 5):
        now[0] += 1
        searches.open(None)
    assert len(searches) == MOST
    with pytest.raises(UnknownError):
        searches.get(second.id)
    searches.close("never there")
    searches.close_all()
    assert len(searches) == 0
