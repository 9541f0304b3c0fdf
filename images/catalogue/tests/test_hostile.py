"""Every route with values nobody means: each is refused with a reason or answered, none is a server error."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import quote, urlencode, urlsplit

import pytest
from support import PREFIX, get

pytestmark = pytest.mark.slow

HOSTILE = (
    "", "x", "nan", "-1", "0", "1e21", "9" * 5000, "\0", "漢\n字", "../../etc/passwd", "'; select 1 --", "[1]", "null", "{",
    '{"a": 1}', "{" * 60, "a,b,c,d", "%", "$1", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
)  # fmt: skip
"""For each parameter, whatever its type."""
POINT = {"type": "Point", "coordinates": [15, 46]}
SENSIBLE = {
    "bbox": ("1,2,3", "nan,nan,nan,nan", "inf,0,1,1", "0,9,1,1", "-1e300,-1e300,1e300,1e300", "1,2,3,4,5", "999,0,1000,1"),
    "datetime": (
        "never", "2020-13-01T00:00:00Z", "2023-01-01T00:00:00Z/2020-01-01T00:00:00Z", "../..", "/", "99999-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z", "2020-01-01", "2020-01-01T00:00:00Z/2020-02-01T00:00:00Z/x", "infinity", "now",
    ),
    "limit": ("10001", "2147483648", "1.5"),
    "offset": ("-5", "9" * 19, "9" * 20),
    "intersects": (
        json.dumps(POINT), "{}", '{"type": "Point"}', '{"type": "Point", "coordinates": "a"}',
        '{"type": "Point", "coordinates": [NaN, 1]}', '{"type": "Point", "coordinates": [1e400, 1]}',
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}', '{"type": "Circle", "coordinates": [1, 2]}',
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', '{"type": "GeometryCollection", "geometries": []}',
        json.dumps({"type": "Feature", "geometry": POINT, "properties": {}}), '{"type": "LineString", "coordinates": [[0, 0]]}',
        '{"type": "Polygon", "coordinates": []}', '{"type": "Point", "coordinates": []}', '{"type": "Point", "coordinates": [500, 500]}',
    ),
    "filter": (
        "nonsense(", "id=", "id='a' and", "nope = 3", "eo:cloud_cover < 'a'", "s_intersects(geometry, point(1 2))",
        "s_intersects(geometry, POINT(a b))", "t_after(datetime, timestamp('x'))", "id in (1,'a')", "id like 3", "casei(1)=2",
        '{"op": "=", "args": []}', '{"op": "nope", "args": [1, 2]}', '{"op": "and"}', '{"args": 1}', '{"op": 1, "args": 1}',
        '{"op": "<", "args": [{"property": "eo:cloud_cover"}, "a"]}', '{"op": "s_intersects", "args": [{"property": "geometry"}, {}]}',
        '{"op": "in", "args": [{"property": "id"}, 1]}', '{"op": "between", "args": [{"property": "eo:cloud_cover"}, 1]}',
        '{"op": "t_after", "args": [{"property": "datetime"}, "x"]}', '{"op": "not", "args": [1]}', '{"op": "like", "args": [1, 2]}',
        '{"op": "=", "args": [{"property": ""}, 1]}', '{"op": "=", "args": [{"property": 1}, 1]}', '{"op": "/", "args": [1, 0]}',
    ),
    "filter-lang": ("cql-json", "cql2-json", "cql2-text"),
    "query": ('{"id": 1}', '{"id": {"nope": 1}}', '{"": {"eq": 1}}', '{"eo:cloud_cover": {"lt": "a"}}', '{"eo:cloud_cover": {"in": 3}}'),
    "sortby": ("+", "-", "nope", "-eo:cloud_cover,,", "id;drop", "+id,-id", "-nope:x"),
    "fields": ("-", "+id", "-id,-collection,-links,-geometry", "nope.nope", "-nope", "id,-id"),
    "token": ("next:x", "prev:", "next:io-lulc:60W-2020", "next:io-lulc", "next:nope:nope", "x:y:z", "next:'", "prev:a:b"),
    "collections": ("io-lulc,,", ","), "ids": (",",), "q": ("a:*", "!", '"', "a &", "(", "a OR", "water"),
}  # fmt: skip
BODIES = (
    b"", b"{", b"[1]", b"1", b'"x"', b"null", b"\xff\xfe", b"9" * 5000, b'{"limit": NaN}', b'{"bbox": [NaN, 0, 1, 1]}',
    b'{"bbox": [1e400, 0, 1, 1]}', b'{"intersects": {"type": "Point", "coordinates": [NaN, 1]}}', b'{"limit": ' + b"9" * 5000 + b"}",
    b'{"a": "\\ud800"}', b'{"ids": ["\\ud800"]}', b'{"ids": ["\\u0000"]}',
    b'{"filter": {"op": "=", "args": [{"property": "id"}, "\\u0000"]}}',
)  # fmt: skip
WRONG = (None, 1, -1, "x", "", [], {}, [1], [None], {"a": 1}, True, 1e300, [[[[]]]], "2020")
MEMBERS = (
    "bbox", "intersects", "datetime", "limit", "ids", "collections", "filter", "filter-lang", "filter-crs", "query",
    "sortby", "fields", "token", "conf", "q", "nope",
)  # fmt: skip
MORE_MEMBERS = {
    "bbox": ([1, 2, 3], ["a", 0, 1, 1], [0, 9, 1, 1], [-1e300, -1e300, 1e300, 1e300], [1, 2, 3, 4, 5], [999, 0, 1000, 1], [10**400, 0, 1, 1]),
    "sortby": ([{}], [{"field": "id"}], [{"field": "", "direction": "asc"}], [{"field": "nope", "direction": "desc"}],
               [{"field": "id", "direction": "up"}], [{"field": 1, "direction": "asc"}], "-id"),
    "fields": ({"include": "x"}, {"include": [1]}, {"include": [""], "exclude": ["id", "collection", "links"]}, {"exclude": ["nope.a"]}),
    "conf": ({"base_url": 1}, {"nohydrate": "x"}, {"context": "nope"}, {"use_queue": "x"}),
    "query": ({"id": {"eq": 1}}, {"id": {"nope": 1}}, {"eo:cloud_cover": {"lt": "a"}}, {"eo:cloud_cover": {"in": 3}}),
}  # fmt: skip


def reading(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def paths(description):
    for template, methods in description["paths"].items():
        fill = {"{collection_id}": "io-lulc", "{item_id}": "60W-2020"}
        right = template
        for name, value in fill.items():
            right = right.replace(name, value)
        for method, call in methods.items():
            if method == "get":
                yield right
                for name in (n for n in fill if n in template):
                    for value in HOSTILE:
                        yield (
                            template.replace(name, quote(value, safe=""))
                            .replace("{collection_id}", "io-lulc")
                            .replace("{item_id}", "60W-2020")
                        )
                for name in [p["name"] for p in call.get("parameters", []) if p["in"] == "query"]:
                    for value in (*HOSTILE, *SENSIBLE.get(name, ())):
                        more = (
                            {"filter-lang": "cql2-json"} if name == "filter" and value.startswith("{") else {}
                        )
                        yield f"{right}?{urlencode({name: value, **more})}"


def bodies():
    yield from BODIES
    for name in MEMBERS:
        for value in (*WRONG, *MORE_MEMBERS.get(name, ()), *SENSIBLE.get(name, ())):
            member = (
                reading(value)
                if isinstance(value, str) and name in {"intersects", "filter", "query"}
                else value
            )
            yield json.dumps({name: member}).encode()


def requests_of(description, prefix):
    for path in paths(description):
        yield "GET", path, None
    for body in bodies():
        yield "POST", f"{prefix}search", body


def ask(root, requests):
    """Answers (status, text) to all; status 0 where there is none."""
    address, clients = urlsplit(root).netloc, 4

    def some(part):
        connection = http.client.HTTPConnection(address, timeout=20)
        answers = []
        with closing(connection):
            for method, path, body in part:
                try:
                    connection.request(method, path, body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answers.append((answer.status, answer.read().decode(errors="replace")))
                except OSError as error:
                    connection.close()
                    answers.append((0, repr(error)))
        return answers

    parts = [requests[number::clients] for number in range(clients)]
    answers = [None] * len(requests)
    with ThreadPoolExecutor(clients) as pool:
        for number, found in enumerate(pool.map(some, parts)):
            answers[number::clients] = found
    return answers


def try_all(root, requests):
    answers = ask(root, requests)
    failed = [
        f"{status} {method} {path[:160]} {(body or b'')[:100]!r}: {text[:100]}"
        for (method, path, body), (status, text) in zip(requests, answers, strict=True)
        if status == 0 or (status >= 500 and status != 501)
    ]
    print(f"{len(requests)} requests tried, {len(failed)} failed")  # noqa: T201 -- how many were tried is part of the result
    assert failed == []
    return answers


@pytest.mark.needs("postgis")
def test_nothing_that_is_asked_is_a_server_error(database):
    status, description = get(f"{database.root}api")
    assert status == 200
    requests = list(dict.fromkeys(requests_of(description, f"{PREFIX}/")))
    answers = try_all(database.root, requests)
    refusals = [json.loads(text) for status, text in answers if status == 400]
    assert len(refusals) > 500
    for refusal in refusals:
        assert refusal["description"]
        assert refusal["code"]
        assert refusal["hint"]
    assert sum(status == 200 for status, _ in answers) > 200, "what is right is still answered"
    assert "Traceback" not in database.log.read_text()


def test_the_static_catalogue_fails_on_nothing_either(room):
    """What it has no search for is a 501 that says what brings it."""
    service = room(static_only=True).start()
    routes = {
        "/collections/{collection_id}/items": ("limit", "offset", "bbox", "datetime"),
        "/search": ("bbox", "intersects"),
        "/collections": ("bbox", "limit"),
        "/collections/{collection_id}/items/{item_id}": (),
        "/": ("q",),
    }
    description = {
        "paths": {
            f"{PREFIX}{route}": {"get": {"parameters": [{"name": n, "in": "query"} for n in names]}}
            for route, names in routes.items()
        }
    }
    try_all(service.root, list(dict.fromkeys(requests_of(description, f"{PREFIX}/"))))
    assert "Traceback" not in service.log.read_text()


@pytest.mark.needs("postgis")
@pytest.mark.parametrize(
    ("address", "body", "words"),
    [
        ("search?intersects=x", None, "intersects is no JSON"),
        ("search?intersects=%7B%7D", None, "intersects: it must be a GeoJSON geometry such as"),
        ("search?bbox=1,2,3", None, "bbox: a box has four numbers"),
        ("search?bbox=nan,nan,nan,nan", None, "bbox: a box has finite numbers"),
        ("collections?bbox=0,0,999,1", None, "bbox: longitudes go from -180 to 180"),
        ("search?datetime=never", None, "datetime: 'never' is no time"),
        ("search?limit=many", None, "limit: Input should be a valid integer"),
        ("search?limit=0", None, "limit: Input should be greater than 0"),
        ("search?query=x", None, "query is no JSON"),
        ("collections?query=", None, "query is no JSON"),
        ("search?token=x", None, "Invalid paging token: x"),
        ("search?filter=%7B&filter-lang=cql2-json", None, "Invalid filter"),
        ("search?ids=%00", None, "ids holds a NUL character"),
        ("collections?fields=-id", None, "fields can't leave out the id"),
        ("search", b"[1]", "The body must be a JSON object such as"),
        ("search", b"null", "The body must be a JSON object such as"),
        ("search", b"{", "The body is no JSON"),
        ("search", b'{"bbox": [NaN, 0, 1, 1]}', "NaN is no number"),
        ("search", b'{"bbox": [0, 9, 1, 1]}', "bbox: the box's south"),
        ("search", b'{"bbox": 1}', "bbox: it must be four numbers"),
        ("search", b'{"datetime": "2020"}', "datetime: '2020' is no time"),
        ("search", b'{"intersects": {"type": "Circle"}}', "intersects: it must be a GeoJSON geometry"),
        ("search", b'{"filter": [1]}', "filter: it must be a JSON object, not a list"),
        ("search", b'{"limit": "x"}', "limit: Input should be a valid integer"),
        ("search", b'{"q": "water"}', "q is not taken here. Use filter."),
        ("search", b'{"conf": {"nohydrate": true}}', "conf is not taken here"),
        ("search", b'{"ids": ["\\ud800"]}', "surrogates not allowed"),
    ],
)
def test_a_refusal_names_what_was_wrong_and_what_is_allowed(database, address, body, words):
    method = "GET" if body is None else "POST"
    [(status, text)] = ask(database.root, [(method, f"{PREFIX}/{address}", body)])
    answer = json.loads(text)
    assert status == 400, answer
    assert words in answer["description"]
    assert "pydantic" not in text
    assert answer["hint"]
