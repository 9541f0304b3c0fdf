"""Values survive their way through source, whatever is in them."""

from __future__ import annotations

import ast
import math

import pytest
from cubehub_catalogue.code.literals import MOST_DEPTH, comment, literal
from cubehub_catalogue.errors import InputError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

_ANY_TEXT = st.text(st.characters(exclude_categories=[]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_ANY_TEXT, inner) | st.lists(inner).map(tuple),
    max_leaves=60,
)


def back(source: str) -> object:
    tree = ast.parse(source, mode="eval")
    # nothing but values: the only call there may be is that of float, for what has no literal
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.func.id == "float"
        assert not isinstance(node, ast.Attribute | ast.BinOp | ast.Lambda | ast.JoinedStr)
    return eval(compile(tree, "cell", "eval"), {"__builtins__": {}, "float": float})  # noqa: S307 - looked at above


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return type(one) is type(other) and one == other


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES, st.integers(0, 99), st.integers(0, 5))
@example("'\"\\\n\r\t\x00\"\"\"'''", 0, 0)
@example("\ud800 lone \udfff", 0, 0)
@example("\u202e\u2066reversed\u2069\u200b\ufeff\u2028\u2029\x85\x0c", 0, 0)
@example("{x} {{y}} %s \\N{BULLET} \\u0041 \\", 0, 0)
@example(["\\", "\\'", '\\"', "'", '"', "'\""], 0, 0)
@example([math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324], 0, 0)
@example(10**5000, 0, 0)
@example(-(10**5000), 0, 0)
@example([10**4299, 10**4000, -(10**4000), 10**3999], 0, 0)
@example(((1,), (), [], {}, ((1.5,) * 100,)), 0, 0)
def test_a_value_comes_back(value: object, column: int, indent: int) -> None:
    source = literal(value, column=column, indent=indent)
    assert same(back(source), value)
    assert all(character.isprintable() or character == "\n" for character in source)


def test_what_is_nested_goes_over_lines_and_corners_side_by_side() -> None:
    ring = [[float(n), 58.25] for n in range(40)]
    source = literal({"type": "Polygon", "coordinates": [ring]})
    assert back(source) == {"type": "Polygon", "coordinates": [ring]}
    assert len(source.splitlines()) < 20
    assert max(map(len, source.splitlines())) <= 100


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (object(), "not_a_value"),
        ({1: 2}, "not_a_value"),
        (b"bytes", "not_a_value"),
        ([[0] * 1000] * 50, "too_large"),
    ],
)
def test_what_cannot_be_a_value_is_refused(value: object, code: str) -> None:
    with pytest.raises(InputError) as raised:
        literal(value)
    assert raised.value.code == code


def test_what_is_nested_beyond_reading_is_refused() -> None:
    value: list[object] = []
    for _ in range(MOST_DEPTH):
        value = [value]
    assert back(literal(value)) == value
    with pytest.raises(InputError):
        literal([value])
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InputError):
        literal(endless)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_ANY_TEXT, st.integers(2, 200))
@example("innocent\nimport os", 80)
@example("a\u2028b\x0cc\x85d\x1ce\rf", 80)
@example("\u202e", 80)
def test_a_comment_stays_one(text: str, most: int) -> None:
    line = f"# {comment(text, most)}"
    assert ast.parse(line).body == []
    assert line.isprintable()
    assert len(line) <= most + 2
