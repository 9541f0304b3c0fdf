"""The treemap and its page: areas in proportion, nothing of a name is taken for HTML."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from cubehub.storage.page import page
from cubehub.storage.results import Details, Home, Summary
from cubehub.storage.tally import Share
from cubehub.storage.treemap import Box, squarified
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = st.lists(st.floats(1, 1e6), min_size=1, max_size=30).map(lambda sizes: sorted(sizes, reverse=True))


@given(SIZES, st.floats(10, 2000), st.floats(10, 2000))
def test_areas_fill_the_room_in_proportion(sizes: Sequence[float], width: float, height: float) -> None:
    room = Box(3, 5, width, height)
    boxes = squarified(sizes, room)
    whole = sum(sizes)
    for size, box in zip(sizes, boxes, strict=True):
        assert abs(box.width * box.height - size / whole * width * height) <= 1e-6 * width * height
        assert box.x >= 3 - 1e-6
        assert box.y >= 5 - 1e-6
        assert box.x + box.width <= 3 + width * (1 + 1e-6)
        assert box.y + box.height <= 5 + height * (1 + 1e-6)
    for one, other in combinations(boxes, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert min(across, down) <= 1e-6 * max(width, height)


def test_equal_sizes_are_nearly_square() -> None:
    for box in squarified([1.0] * 12, Box(0, 0, 400, 300)):
        assert 0.5 <= box.width / box.height <= 2


def test_nothing_of_nothing() -> None:
    assert squarified([], Box(0, 0, 10, 10)) == []
    assert squarified([1.0], Box(0, 0, 0, 10)) == [Box(0, 0, 0.0, 0.0)]


def test_the_page_is_whole_and_names_are_text() -> None:
    evil = "<script>alert(1)</script>\"&'"
    homes = [
        Home(evil, 9_000_000, 7, 3, 1_700_000_000, 0, {"pip": Share(10, 1, 0)}),
        Home("ben", 1_000_000, 1, 1, 0, 0, {}),
        Home("empty", 0, 0, 1, 0, 0, {}),
    ]
    places = [
        ("", Share(9_000_000, 7, 0)),
        (evil.replace("/", ""), Share(8_000_000, 6, 0)),
        ("a/b", Share(1, 1, 0)),
    ]
    told = page(
        Summary(1, "homes", 0, 1_800_000_000, 3, 8, 10_000_000), homes, {evil: Details(places, [], [])}
    )
    assert "<script" not in told
    svg = re.search("<svg.*</svg>", told, re.DOTALL)
    assert svg is not None
    drawn = ET.fromstring(svg[0])  # noqa: S314 - made here
    titles = [e.text or "" for e in drawn.iter("title")]
    assert any(evil in title for title in titles)
    areas = {e.text: r for e, r in zip(drawn.iter("title"), drawn.iter("rect"), strict=True)}
    ben = next(r for title, r in areas.items() if title and title.startswith("ben"))
    assert 0.08 < float(ben.get("width", 0)) * float(ben.get("height", 0)) / (1200 * 760) < 0.12
