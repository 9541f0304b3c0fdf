"""Names, caches and sums of the storage keeper: no file is touched."""

from __future__ import annotations

import pytest
from cubehub.storage.kinds import KINDS, kind_of
from cubehub.storage.names import original, readable
from cubehub.storage.tally import MOST_FOLDERS, MOST_LARGE, HomeTally, Share, biggest, linked_bytes, totals
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=80))
def test_a_readable_name_is_one_line_and_gives_the_bytes_back(name: bytes) -> None:
    text = readable(name)
    assert original(text) == name
    assert text.isprintable() or not text.isascii()
    assert len(text.splitlines()) <= 1
    text.encode()


@given(st.lists(st.binary(max_size=8), max_size=6, unique=True))
def test_different_names_stay_different(names: list[bytes]) -> None:
    assert len({readable(name) for name in names}) == len(names)


def test_what_moves_the_cursor_or_turns_the_line_is_escaped() -> None:
    assert readable(b"a\nb\x1b[2J%") == "a%0Ab%1B[2J%25"
    assert readable("weiß\u202etxt.exe".encode()) == "weiß%E2%80%AEtxt.exe"
    assert readable(b"\xff") == "%FF"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b".cache", "other"),
        (b".cache/pip", "pip"),
        (b".cache/pip/http", "pip"),
        (b".cache/matplotlib", "other"),
        (b"work/a/.ipynb_checkpoints", "checkpoints"),
        (b".Trash-1000", "trash"),
        (b".Trash-of-mine", None),
        (b"work/.cache", None),
        (b"work/miniconda3/pkgs", None),
        (b"miniconda3/pkgs", "conda"),
        (b"miniconda3/envs", None),
    ],
)
def test_kinds(path: bytes, kind: str | None) -> None:
    found, way = None, b""
    for name in path.split(b"/"):
        way = way + b"/" + name if way else name
        found = kind_of(way, name, found)
    assert found == kind
    assert found is None or found in KINDS


PLACES = st.dictionaries(
    st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=4).map(b"/".join),
    st.integers(0, 1000),
    max_size=12,
)


@given(PLACES)
def test_sums_of_folders(own: dict[bytes, int]) -> None:
    places = {path: Share(size, 1, size) for path, size in own.items()}
    for path, share in totals(places).items():
        below = [s for p, s in own.items() if p == path or not path or p.startswith(path + b"/")]
        assert (share.bytes, share.files) == (sum(below), len(below))
    found = biggest(places)
    assert found[0][0] == b""
    assert found[0][1].bytes == sum(own.values())


@given(st.lists(PLACES, min_size=1, max_size=4))
def test_parts_add_up_in_any_order(parts: list[dict[bytes, int]]) -> None:
    def told(order: list[dict[bytes, int]]) -> tuple[object, ...]:
        whole = HomeTally()
        for part in order:
            tally = HomeTally()
            for path, size in part.items():
                tally.count(path, "pip" if path == b"a" else None, Share(size, 1, size))
                tally.count_large(size, 0, path, 1)
            whole.add(tally)
        return whole.own, whole.folders, whole.caches, whole.places, sorted(whole.large)

    assert told(parts) == told(parts[::-1])


def test_a_home_of_very_many_folders_stays_small() -> None:
    tally = HomeTally()
    for number in range(MOST_FOLDERS + 5000):
        tally.count(b"a/%d" % number, None, Share(1, 1, 1))
        tally.count_large(number, 0, b"%d" % number, number)
    assert len(tally.places) <= MOST_FOLDERS + 1
    assert totals(tally.places)[b""].bytes == MOST_FOLDERS + 5000
    assert len(tally.large) == MOST_LARGE
    assert min(tally.large)[0] == MOST_FOLDERS + 5000 - MOST_LARGE


def test_a_file_with_several_names_counts_once() -> None:
    inside, shared, other = HomeTally(), HomeTally(), HomeTally()
    inside.linked.extend((1, 100, 2, 1, 100, 2, 7, 50, 3))
    shared.linked.extend((7, 50, 3, 9, 10, 2))
    other.linked.extend((7, 50, 3, 9, 10, 2))
    assert linked_bytes([inside, shared, other]) == [150, 10, 0]
