"""Reading within limits: depth, packing, and what is told of an error."""

import json
import tracemalloc

import pytest
from cubehub_catalogue.http.reading import RubbishError, TooMuchError, decode_text, parse_json, said, too_deep
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(['"', "\\", '\\"', "[[[", "{", "\\\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def depth(value):
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(JSON, st.booleans())
def test_depth_is_counted_without_what_stands_in_strings(value, ascii_only):
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    real = depth(value)
    assert not too_deep(data, max(real, 1))
    wrapped = b"[" * 300 + data + b"]" * 300
    assert too_deep(wrapped, 254)


def _in_64_bits(value):
    if isinstance(value, list):
        return all(map(_in_64_bits, value))
    if isinstance(value, dict):
        return all(map(_in_64_bits, value.values()))
    return isinstance(value, bool) or not isinstance(value, int) or -(2**63) <= value < 2**64


@given(JSON | st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_what_is_parsed_is_what_python_reads(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    found = parse_json(text.encode())
    if _in_64_bits(value):
        assert found == value
        assert type(found) is type(value)
    else:
        assert json.dumps(found) == json.dumps(json.loads(text, parse_int=_as_parsed))


def _as_parsed(text):
    return int(text) if _in_64_bits(int(text)) else float(text)


@pytest.mark.parametrize("inside", ["1", "NaN", '"\\ud800"'])  # JSON, and what is none to the letter
def test_as_deep_as_the_limit_is_read_and_no_deeper(inside):
    found = parse_json(("[" * 254 + inside + "]" * 254).encode())
    assert depth(found) == 254
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        with pytest.raises(TooMuchError, match="254 levels"):
            parse_json((opening * 255 + inside + closing * 255).encode())


@pytest.mark.parametrize("unit", [b"[" * 250 + b"]" * 250, b'"', b'\\"', b"[]"])
def test_counting_takes_memory_for_a_piece_at_a_time(unit):
    data = unit * (2**25 // len(unit))
    tracemalloc.start()
    try:
        assert not too_deep(data, 254)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_deep_json_is_refused(data):
    with pytest.raises(TooMuchError):
        parse_json(data)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"{", b"\xff\xfe{\x00}\x00", b"\x00\x00\x00{", b'"\xff"', b"1" * 5000]
)
def test_rubbish_is_said_to_be(data):
    with pytest.raises(RubbishError):
        parse_json(data)


def test_numbers_that_are_none():
    assert parse_json(b'\xef\xbb\xbf{"a": NaN, "b": -Infinity}') == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b'{"code": "X", "description": "Bad box."}', "application/json", "Bad box."),
        (b'{"detail": [{"loc": ["a"], "msg": "no number"}]}', "application/json", "no number"),
        (b'{"error": {"message": "quota"}}', "text/plain", "quota"),
        (b"<html>secret page</html>", "text/html", ""),
        (b"<!DOCTYPE html><p>x", "text/plain", ""),
        (b"plain \x1b[31m words\r\nmore", "text/plain", "plain [31m words more"),
        (b"Traceback (most recent call last):\n  File x", "text/plain", ""),
        (b'{"detail": "Traceback (most recent call last): x"}', "application/json", ""),
        (b"{", "application/json", ""),
        (b"[1, 2]", "application/json", ""),
    ],
)
def test_what_a_catalogue_said_is_one_plain_line(body, kind, text):
    assert said(body, kind) == text


def test_what_a_catalogue_said_is_short():
    assert len(said(b"x" * 10_000, "text/plain")) == 200
    assert said(b"[" * 10_000, "application/json") == ""


def test_a_charset_that_is_not_known():
    assert decode_text("ä".encode(), "no-such") == "ä"
    assert decode_text("ä".encode("latin-1"), "iso-8859-1") == "ä"
    assert decode_text(b"\xff", None) == "\ufffd"


def test_numbers_that_no_float_holds_are_found_wherever_they_stand():
    for written in ("1e999", "-1E+9999", "9" * 400):
        for around in ("{}", "[{}]", '{{"a": {}}}', '{{"a": {} }}', "[1,{},2]"):
            text = around.format(written)
            assert None in _values(parse_json(text.encode())), text
    # digests look like exponents
    text = b'{"a": "3e1234ab", "b": "0e0000", "c": 1e300, "d": [12]}'
    assert parse_json(text) == {"a": "3e1234ab", "b": "0e0000", "c": 1e300, "d": [12]}


def _values(found):
    return list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else [found]
