"""Filters: what is let through, how it is written, and what holds for an item."""

import math

import pytest
from cubehub_catalogue import cql2, cql2_here
from cubehub_catalogue.cql2 import Row
from cubehub_catalogue.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st

ITEM = {
    "id": "a",
    "collection": "s2",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]},
    "properties": {
        "datetime": "2024-05-01T10:00:00Z",
        "eo:cloud_cover": 12.5,
        "platform": "Sentinel-2A",
        "instruments": ["msi"],
        "title": "Tõrva 100%",
        "nothing": None,
        "nested": {"a": 1},
        "flag": True,
    },
}


def p(name):
    return {"property": name}


def op(name, *args):
    return {"op": name, "args": list(args)}


CLOUD = p("eo:cloud_cover")
AREA = {"type": "Polygon", "coordinates": [[[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]]}


@pytest.mark.parametrize(
    ("expression", "text", "holds"),
    [
        (op("<", CLOUD, 20), "(eo:cloud_cover < 20)", True),
        (op("=", p("platform"), "Sentinel-2A"), "(platform = 'Sentinel-2A')", True),
        (op("<>", p("title"), "it's"), "(title <> 'it''s')", True),
        (op("and", op(">", CLOUD, 1), op("<=", CLOUD, 12)), None, False),
        (op("or", op(">", CLOUD, 90), op("not", op("=", p("id"), "b"))), None, True),
        (op("between", CLOUD, 12, 13), "eo:cloud_cover BETWEEN 12 AND 13", True),
        (op("in", p("id"), ["a", "b"]), "id IN ('a', 'b')", True),
        (op("like", p("platform"), "Sentinel-2_"), "platform LIKE 'Sentinel-2_'", True),
        (op("like", p("platform"), "sentinel%"), None, False),
        (op("like", op("casei", p("platform")), op("casei", "SENTINEL%")), "CASEI(platform) LIKE CASEI('SENTINEL%')", True),
        (op("=", op("accenti", p("title")), "Torva 100%"), None, True),
        (op("like", p("title"), "%100\\%"), None, True),
        (op("isNull", p("nothing")), "nothing IS NULL", True),
        (op("isNull", p("platform")), None, False),
        (op("=", p("missing"), 1), None, False),
        (op("not", op("=", p("missing"), 1)), None, False),
        (op("or", op("=", p("missing"), 1), op("=", p("id"), "a")), None, True),
        (op("and", op("=", p("missing"), 1), op("=", p("id"), "a")), None, False),
        (op("s_intersects", p("geometry"), AREA), None, True),
        (op("s_within", p("geometry"), AREA), None, False),
        (op("s_disjoint", p("geometry"), {"bbox": [5, 5, 6, 6]}), "S_DISJOINT(geometry, BBOX(5, 5, 6, 6))", True),
        (op(">=", p("datetime"), {"timestamp": "2024-05-01T00:00:00Z"}), "(datetime >= TIMESTAMP('2024-05-01T00:00:00Z'))", True),
        (op("<", p("datetime"), {"date": "2024-05-01"}), None, False),
        (op("t_intersects", p("datetime"), {"interval": ["2024-05-01", ".."]}), "T_INTERSECTS(datetime, INTERVAL('2024-05-01', '..'))", True),
        (op("t_before", p("datetime"), {"timestamp": "2024-04-01T00:00:00Z"}), None, False),
        (op("t_during", p("datetime"), {"interval": ["2024-05-01", "2024-05-02"]}), None, True),
        (op("a_contains", p("instruments"), ["msi"]), "A_CONTAINS(instruments, ('msi'))", True),
        (op("a_overlaps", p("instruments"), ["olci"]), None, False),
        (op(">", op("*", CLOUD, 2), 24.5), None, True),
        (op("=", op("div", CLOUD, 5), 2), None, True),
        (op("=", op("/", CLOUD, 0), 2), None, False),
        (op("=", p("nested.a"), 1), None, True),
        (op("=", p("properties.eo:cloud_cover"), 12.5), None, True),
        (op("=", p("flag"), True), "(flag = TRUE)", True),
        (op("<", p("platform"), 5), None, False),
        (op("=", p("collection"), "s2"), None, True),
    ],
)  # fmt: skip
def test_filters_are_written_and_applied(expression, text, holds):
    assert cql2.check(expression) is expression
    if text is not None:
        assert cql2.to_text(expression) == text
    assert cql2_here.can_be_applied(expression)
    assert cql2_here.matches(expression, ITEM) is holds


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("eo:cloud_cover < 20", "JSON object"),
        ([], "JSON object"),
        ({"op": "+", "args": [1, 2]}, "neither true nor false"),
        ({"op": "<", "args": [CLOUD]}, "takes 2 args, not 1"),
        ({"op": "and", "args": [op("<", CLOUD, 1)]}, "takes 2 or more args"),
        ({"op": "and", "args": [op("<", CLOUD, 1), 5]}, "joins conditions"),
        ({"op": "not", "args": [CLOUD]}, "joins conditions"),
        ({"op": "drop table", "args": []}, "no operator"),
        ({"op": "<", "args": {}}, "list of args"),
        ({"op": 5, "args": []}, "is no text"),
        ({"op": "in", "args": [CLOUD, 5]}, "list as its second"),
        ({"op": "like", "args": [CLOUD, 5]}, "pattern"),
        ({"op": "<", "args": [{"property": ""}, 5]}, "no name"),
        ({"op": "<", "args": [CLOUD, None]}, "isNull"),
        ({"op": "<", "args": [CLOUD, math.inf]}, "no finite number"),
        ({"op": "<", "args": [CLOUD, "a\0"]}, "NUL"),
        ({"op": "<", "args": [CLOUD, {"what": 1}]}, "none of CQL2's: what"),
        ({"op": "<", "args": [p("datetime"), {"timestamp": "soon"}]}, "no time"),
        ({"op": "t_during", "args": [p("datetime"), {"interval": ["2024"]}]}, "two ends"),
        ({"op": "s_intersects", "args": [p("geometry"), {"type": "Polygon"}]}, "no coordinates"),
        ({"op": "in", "args": [CLOUD, [0] * 6000]}, "too large"),
    ],
)
def test_what_is_no_filter_is_told(expression, says):
    with pytest.raises(InputError) as caught:
        cql2.check(expression)
    assert says in caught.value.message


def test_a_filter_nested_without_end_is_refused():
    expression = op("<", CLOUD, 1)
    for _ in range(200):
        expression = op("not", expression)
    with pytest.raises(InputError, match="too deeply"):
        cql2.check(expression)


def test_functions_of_a_server_go_there_but_are_not_done_here():
    expression = op("=", op("my_function", CLOUD), 1)
    cql2.check(expression)
    assert not cql2_here.can_be_applied(expression)
    assert not cql2_here.can_be_applied(op("t_meets", p("datetime"), {"interval": ["2024", ".."]}))


def test_rows_of_a_form_become_a_filter_with_the_types_of_the_properties():
    schema = {
        "properties": {
            "eo:cloud_cover": {"type": ["number", "null"]},
            "orbit": {"type": "integer"},
            "created": {"type": "string", "format": "date-time"},
            "flag": {"type": "boolean"},
        }
    }
    rows = [
        Row("eo:cloud_cover", "<=", "20.5"),
        Row("orbit", "in", ["1", "2"]),
        Row("created", ">=", "2024-05-01"),
        Row("flag", "=", "true"),
        Row("platform", "like", "Sentinel%"),
        Row("title", "isNull"),
        Row("gsd", "between", [10, 20]),
    ]
    assert cql2.from_rows(rows, schema) == op(
        "and",
        op("<=", CLOUD, 20.5),
        op("in", p("orbit"), [1, 2]),
        op(">=", p("created"), {"timestamp": "2024-05-01T00:00:00Z"}),
        op("=", p("flag"), True),
        op("like", p("platform"), "Sentinel%"),
        op("isNull", p("title")),
        op("between", p("gsd"), 10, 20),
    )
    assert cql2.from_rows([]) is None
    assert cql2.from_rows([Row("a", "=", 1)]) == op("=", p("a"), 1)
    for bad in (Row("orbit", "=", "many"), Row("a", "between", [1]), Row("a", "in", "x"), Row("a", "~", 1)):
        with pytest.raises(InputError):
            cql2.from_rows([bad], schema)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
TREES = st.recursive(
    VALUES
    | st.builds(
        p, st.sampled_from(["id", "eo:cloud_cover", "missing", "geometry", "datetime", "instruments"])
    ),
    lambda inner: st.builds(
        lambda name, args: op(name, *args),
        st.sampled_from(sorted(cql2._ARITY)),
        st.lists(inner | st.lists(inner, max_size=2), min_size=1, max_size=3),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(TREES)
def test_whatever_is_let_through_is_written_and_applied_without_a_fault(tree):
    try:
        cql2.check(tree)
    except InputError:
        return
    assert isinstance(cql2.to_text(tree), str)
    if cql2_here.can_be_applied(tree):
        assert cql2_here.matches(tree, ITEM) in (True, False)
