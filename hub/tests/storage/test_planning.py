"""Policies and plans: what is decided, written, edited by people and read again. No file of a home is touched."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError
from cubehub.resources import resource
from cubehub.storage.kinds import CACHES, MADE
from cubehub.storage.notices.texts import Item
from cubehub.storage.planning import COLUMNS, OF_HOMES, Entry, excess, read, write
from cubehub.storage.policies import FILE, Policy, read_policy
from cubehub.storage.tally import HomeTally
from hypothesis import example, given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

PART = st.binary(min_size=1, max_size=12).filter(
    lambda b: b"/" not in b and b"\0" not in b and b not in {b".", b".."}
)
HOME = PART.filter(lambda b: not b.startswith(b"."))
TIME = st.integers(0, 4_000_000_000)


def placed(path: bytes, kind: str) -> bytes:
    """A path at which something of a kind can be."""
    if kind in OF_HOMES:
        return b""
    return b".cache/pip/" + path if kind in CACHES else path


ENTRIES = st.lists(
    st.builds(
        lambda home, path, kind, *rest: Entry(home, placed(path, kind), kind, *rest),
        HOME, st.lists(PART, min_size=1, max_size=4).map(b"/".join), st.sampled_from(sorted(CACHES | MADE)), st.integers(0, 2**60),
        st.integers(0, 2**40), TIME, TIME, st.integers(1, 2**64 - 1),
    ),
    max_size=8, unique_by=lambda e: (e.home, e.path),
)  # fmt: skip


@given(ENTRIES)
@example([Entry(b",=", b".cache/pip/a", "pip", 0, 0, 0, 0, 1)])
def test_a_plan_is_read_as_it_was_written(entries: list[Entry]) -> None:
    text = write(entries, ["one", "two"])
    assert read(text, "plan.csv") == entries
    lines = text.splitlines()
    assert len(lines) == 3 + len(entries), "a line is a line, whatever a folder is called"
    assert all(cell[:1] not in "=+-@" for row in csv.reader(lines[3:]) for cell in row[:2] if cell)
    # sorted by hand, and columns changed round
    assert read("\n".join([lines[2], *sorted(lines[3:], reverse=True)]), "plan.csv") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("home,path\nana,x", "no column bytes"),
        (f"{','.join(COLUMNS)}\nana,.cache/pip", "line 2"),
        (f"# x\n{','.join(COLUMNS)}\n../ben,.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7", "no home"),
        (f"{','.join(COLUMNS)}\n.cubehub-quarantine,1,pip,1,1,never,2027-01-01T00:00:00Z,7", "no home"),
        (
            f"{','.join(COLUMNS)}\nana,a/../../ben,pip,1,1,never,2027-01-01T00:00:00Z,7",
            "no path below a home",
        ),
        (f"{','.join(COLUMNS)}\nana,,pip,1,1,never,2027-01-01T00:00:00Z,7", "no path below a home"),
        (
            f"{','.join(COLUMNS)}\nana,a%2F..%2F..,pip,1,1,never,2027-01-01T00:00:00Z,7",
            "no path below a home",
        ),
        (f"{','.join(COLUMNS)}\nana,.,pip,1,1,never,2027-01-01T00:00:00Z,7", "does not go with"),
        (f"{','.join(COLUMNS)}\nana,work,idle,1,1,never,2027-01-01T00:00:00Z,7", "does not go with"),
        (f"{','.join(COLUMNS)}\nana,.,erasure,1,1,never,2027-01-01T00:00:00Z,7", "not done by a plan"),
        (f"{','.join(COLUMNS)}\nana,papers,trash,1,1,never,2027-01-01T00:00:00Z,7", "no cache and no trash"),
        (
            f"{','.join(COLUMNS)}\nana,work/.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7",
            "no cache and no trash",
        ),
        (f"{','.join(COLUMNS)}\nana,a,thing,1,1,never,2027-01-01T00:00:00Z,7", "no kind"),
        (f"{','.join(COLUMNS)}\nana,.cache/pip,pip,1,1,never,1st March,7", "no time"),
        (f"{','.join(COLUMNS)}\nana,a,pip,1,1,never,2027-01-01T00:00:00Z,1.2E+10", "line 2"),
        (f"{','.join(COLUMNS)}\n" + "ana,.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7\n" * 2, "twice"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read(text, "plan.csv")


def test_a_plan_may_be_sorted_with_its_head_in_it() -> None:
    row = "ana,.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7"
    names = ",".join(COLUMNS)
    # a folder that is called like the head, between all signs that there are
    called = ";".join(("", *COLUMNS, "")) + names
    trap = f'ben,"scratch/{called}",scratch,1,1,never,2027-01-01T00:00:00Z,8'
    read_again = read(f"{row}\n{trap}\n{names}\n# a remark", "plan.csv")
    first, second = sorted(read_again, key=lambda e: e.inode)
    assert (first.home, first.path, first.inode) == (b"ana", b".cache/pip", 7)
    assert (second.home, second.kind) == (b"ben", "scratch")
    assert read("\n".join([row, names.replace(",", ";")]).replace(",", ";"), "plan.csv") == [first]
    with pytest.raises(BadInputError, match="line 2"):
        read(f"{names}\nana,x", "plan.csv")


def test_a_run_that_moves_much_is_told() -> None:
    entries = [Entry(b"ana", b"a", "pip", 600, 1, 0, 1, 1), Entry(b"ben", b"b", "pip", 10, 1, 0, 1, 2)]
    over = excess(entries, {b"ana": 1000, b"ben": 9000}, Policy())
    assert [(x.home, round(x.per_cent)) for x in over] == [(b"ana", 60)]
    over = excess(entries, {b"ana": 1000, b"ben": 1000}, Policy())
    assert [x.home for x in over] == [b"", b"ana"]
    assert excess([Entry(b"new", b"a", "pip", 0, 1, 0, 1, 1)], {}, Policy())[0].home == b"new"


def test_the_shipped_policy_is_gentle() -> None:
    policy = read_policy(resource("config", FILE))
    assert policy == Policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("preset: harsh", "preset"),
        ("caches: {pip: 30}", "duration"),
        ("caches: {pipp: 30d}", "pipp"),
        ("hold: 0d", "more than nothing"),
        ("most_of_home: 200", "most_of_home"),
        ("keep: yes", "keep"),
        ("a: [", "cannot be read"),
        ("[1]", "storage.yaml"),
    ],
)
def test_a_policy_that_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadInputError, match=said):
        read_policy(tmp_path / FILE)


def test_a_file_that_is_dated_before_all_times_stops_no_plan() -> None:
    tally = HomeTally()
    tally.count_large(20 * 2**30, -(2**61), b"big", 7)
    ((size, newest, path, inode),) = tally.large
    text = write([Entry(b"ana", path, "large", size, 1, newest, 100, inode)], [])
    assert read(text, "plan")[0].newest == 0
    assert Item("big", "large", size, newest).used == ""
