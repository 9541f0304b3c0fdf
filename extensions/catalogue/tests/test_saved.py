"""What a person saved: whole at each instant, never lost, and nothing of it believed."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_catalogue import saved_forms, sharing
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.saved import BrokenError, ChangedError, Store, UnconditionalError
from cubehub_catalogue.saved_forms import NewerError, checked
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
BOX = {"type": "Polygon", "coordinates": [[[26, 58], [28, 58], [28, 59], [26, 59], [26, 58]]]}
QUERY = {"aoi": BOX, "start": "2026-05-01T00:00:00Z", "limit": 20}
SEARCH = {"id": "a", "name": "Peipsi in May", "query": QUERY, "catalogues": ["cubehub"]}
PICKED = {"catalogue": "cubehub", "collection": "s2", "id": "S2A", "title": "A scene"}
ALL = {"searches": [SEARCH], "favourites": [PICKED], "cart": [PICKED | {"item": {"id": "S2A", "assets": {}}}]}


def store(folder: Path) -> Store:
    return Store(folder / "kept", lambda: NOW)


def asides(one: Store) -> list[bytes]:
    return [path.read_bytes() for path in sorted(one.folder.glob("saved.broken-*.json"))]


def test_what_is_saved_is_there_again(tmp_path: Path) -> None:
    one = store(tmp_path)
    nothing = one.read()
    assert (nothing.to_dict(), nothing.version) == ({"searches": [], "favourites": [], "cart": []}, '"none"')
    assert not one.folder.exists()
    kept = one.write(ALL, nothing.version)
    assert kept.to_dict() == ALL
    again = store(tmp_path).read()
    assert (again.to_dict(), again.version) == (ALL, kept.version)
    assert one.folder.stat().st_mode & 0o077 == 0
    assert one.file.stat().st_mode & 0o077 == 0
    assert {path.name for path in one.folder.iterdir()} == {"saved.json", ".lock"}


def test_who_saves_says_what_is_replaced(tmp_path: Path) -> None:
    one = store(tmp_path)
    with pytest.raises(UnconditionalError) as raised:
        one.write(ALL, None)
    assert raised.value.status == 428
    first = one.write(ALL, '"none"')
    second = one.write({**ALL, "cart": []}, first.version)
    with pytest.raises(ChangedError) as changed:
        one.write(ALL, first.version)
    assert changed.value.status == 412
    assert one.read().version == second.version
    assert one.write(ALL, "*").version == first.version


def _save(folder: Path, number: int) -> None:
    one = store(folder)
    while True:
        kept = one.read()
        try:
            one.write({"searches": [*kept.searches, SEARCH | {"id": str(number)}]}, kept.version)
        except ChangedError:
            continue
        return


def test_several_servers_of_a_person_lose_nothing_of_each_other(tmp_path: Path) -> None:
    # each opens the lock for itself, which is what processes do too
    with ThreadPoolExecutor(6) as several:
        list(several.map(lambda number: _save(tmp_path, number), range(6)))
    assert {one["id"] for one in store(tmp_path).read().searches} == set("012345")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00\xff", b"[]", b"null", b'{"version": 1, "searches": [', b"[" * 100_000, b'{"a": NaN}', b'"text"',
        b'{"version": 1, "searches": "' + b"x" * 17 * 2**20 + b'"}',
    ],
    ids=["empty", "bytes", "list", "null", "cut", "deep", "nan", "text", "huge"],
)  # fmt: skip
def test_a_broken_file_is_put_aside_and_not_overwritten(tmp_path: Path, content: bytes) -> None:
    one = store(tmp_path)
    one.folder.mkdir()
    one.file.write_bytes(content)
    kept = one.read()
    assert kept.problem is not None
    assert kept.problem["code"] == "saved_broken"
    assert "saved.broken-20261128T120000.json" in kept.problem["hint"]
    assert kept.searches == []
    assert asides(one) == [content]
    # it is said once, and what follows works
    assert one.read().problem is None
    one.write(ALL, kept.version)
    one.file.write_bytes(content)
    with pytest.raises(ChangedError):
        one.write(ALL, '"other"')
    assert asides(one) == [content, content]


def test_who_saves_over_a_broken_file_is_told_of_it(tmp_path: Path) -> None:
    # the one who reads next finds a mended file, so it is told here or never
    one = store(tmp_path)
    one.folder.mkdir()
    one.file.write_bytes(b"{")
    with pytest.raises(ChangedError) as refused:
        one.write(ALL, '"other"')
    assert refused.value.code == "saved_broken"
    assert "saved.broken-20261128T120000.json" in refused.value.hint
    one.file.write_bytes(b"{")
    kept = one.write(ALL, "*")
    assert kept.cart == ALL["cart"]
    assert kept.problem is not None
    assert asides(one) == [b"{", b"{"]
    assert one.read().problem is None


def test_entries_that_are_whole_stay_where_others_are_broken(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.folder.mkdir()
    content = json.dumps(
        {
            "version": 1,
            "searches": [SEARCH, SEARCH, {"id": "b"}, 3, SEARCH | {"id": "c", "query": {"aoi": 3}}],
            "favourites": [PICKED, None],
            "cart": {"not": "a list"},
        }
    ).encode()
    one.file.write_bytes(content)
    kept = one.read()
    assert (kept.searches, kept.favourites, kept.cart) == ([SEARCH], [PICKED], [])
    assert kept.problem is not None
    assert "searches: 2" in kept.problem["message"]
    assert asides(one) == [content]
    assert store(tmp_path).read() == saved_forms.Kept([SEARCH], [PICKED], [], kept.version)


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.folder.mkdir()
    one.file.write_text('{"version": 2, "boards": []}')
    for doing in (one.read, lambda: one.write(ALL, "*")):
        with pytest.raises(NewerError):
            doing()
    assert one.file.read_text() == '{"version": 2, "boards": []}'
    assert asides(one) == []


def test_what_is_no_file_is_said_so_and_waited_for_by_nobody(tmp_path: Path) -> None:
    for make in (os.mkfifo, os.mkdir):
        one = store(tmp_path / make.__name__)
        one.folder.mkdir(parents=True)
        make(one.file)
        for doing in (one.read, lambda one=one: one.write(ALL, "*")):
            with pytest.raises(BrokenError):
                doing()
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder would be")
    with pytest.raises(BrokenError) as raised:
        Store(blocked).write(ALL, "*")
    assert raised.value.hint


def test_a_file_kept_elsewhere_by_a_link_stays_there(tmp_path: Path) -> None:
    one, elsewhere = store(tmp_path), tmp_path / "dotfiles.json"
    one.folder.mkdir()
    one.file.symlink_to(elsewhere)
    one.write(ALL, '"none"')
    assert one.file.is_symlink()
    assert json.loads(elsewhere.read_bytes())["searches"] == [SEARCH]


@pytest.mark.parametrize(
    "value",
    [
        3,
        {"others": []},
        {"searches": {}},
        {"searches": [SEARCH] * 2},
        {"searches": [SEARCH | {"id": str(n)} for n in range(501)]},
        {"searches": [SEARCH | {"name": " "}]},
        {"searches": [SEARCH | {"name": "x" * 201}]},
        {"searches": [SEARCH | {"query": {"where": "there"}}]},
        {"searches": [SEARCH | {"catalogues": ["https://x"]}]},
        {"cart": [{"catalogue": "../x", "id": "a"}]},
        {"cart": [{"catalogue": "a"}]},
        {"cart": [PICKED | {"item": {"id": 3}}]},
        {"cart": [PICKED | {"more": "x" * 300_000}]},
        {"cart": [PICKED | {"more": float("nan")}]},
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_changes(tmp_path: Path, value: Any) -> None:
    one = store(tmp_path)
    first = one.write(ALL, "*")
    with pytest.raises(InputError) as raised:
        one.write(value, first.version)
    assert raised.value.code == "bad_saved"
    assert one.read().version == first.version


def test_a_search_is_passed_on_as_a_file() -> None:
    name, text = sharing.as_file(SEARCH | {"name": "../Läti / May"})
    assert name == "Läti-May.cubehub-search.json"
    assert sharing.from_file(text) == {"name": "../Läti / May", "query": QUERY, "catalogues": ["cubehub"]}
    # what the panel writes has neither format nor version
    assert sharing.from_file(json.dumps({"query": QUERY, "catalogues": []}))["query"] == QUERY


def test_a_search_is_passed_on_as_a_link_without_a_token() -> None:
    page = "https://ana:secret@hub.example.org/user/ana/lab/tree/a.ipynb?token=secret#old"
    link = sharing.as_link(page, QUERY, ["cubehub"])
    assert link.startswith("https://hub.example.org/user/ana/lab/tree/a.ipynb#cubehub-search=%7B")
    assert "secret" not in link
    assert link.isascii()
    assert sharing.from_link(link) == {"name": "Search", "query": QUERY, "catalogues": ["cubehub"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "x" * 300_000,
        '{"query": 3}',
        '{"format": "other", "query": {}}',
        '{"version": 9, "query": {}}',
        "[" * 9999,
    ],
)
def test_what_is_no_search_is_refused(text: str) -> None:
    for doing in (sharing.from_file, lambda text: sharing.from_link(f"https://x/#cubehub-search={text}")):
        if doing is not sharing.from_file and text.startswith('{"'):
            continue
        with pytest.raises(InputError):
            doing(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_PARTS = st.sampled_from(["version", "searches", "favourites", "cart", "problem"])
_ENTRY = (
    st.dictionaries(st.sampled_from(["id", "name", "query", "catalogues", "catalogue", "item"]), _JSON)
    | _JSON
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=50)
    | st.dictionaries(_PARTS, _JSON | st.lists(_ENTRY)).map(lambda v: json.dumps(v).encode())
)
@example(b'{"version": true}')
@example(b'{"version": 1e999}')
def test_nothing_in_a_file_is_lost_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    one = store(tmp_path_factory.mktemp("home"))
    one.folder.mkdir()
    one.file.write_bytes(content)
    try:
        kept = one.read()
    except CatalogueError:
        assert one.file.read_bytes() == content
        return
    assert kept.problem is None or asides(one) == [content]
    assert checked(kept.to_dict()) == {
        "searches": kept.searches,
        "favourites": kept.favourites,
        "cart": kept.cart,
    }
    again = one.read()
    assert (again.problem, again.version) == (None, kept.version)
