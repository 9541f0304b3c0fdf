"""Policies and plans: what is decided, written, edited by people and read again. No file of a home is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError
from cubehub.resources import resource
from cubehub.storage.caches import KINDS
from cubehub.storage.planning import COLUMNS, Entry, decide, excess, read, write
from cubehub.storage.policies import DAY_S, FILE, PRESETS, Policy, read_policy
from cubehub.storage.results import FoundUnit
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000
PART = st.binary(min_size=1, max_size=12).filter(
    lambda b: b"/" not in b and b"\0" not in b and b not in {b".", b".."}
)
HOME = PART.filter(lambda b: not b.startswith(b"."))
TIME = st.integers(0, 4_000_000_000)
ENTRIES = st.lists(
    st.builds(
        Entry, HOME, st.lists(PART, min_size=1, max_size=4).map(b"/".join), st.sampled_from(sorted(KINDS)), st.integers(0, 2**60),
        st.integers(0, 2**40), TIME, TIME, st.integers(1, 2**64 - 1),
    ),
    max_size=8, unique_by=lambda e: (e.home, e.path),
)  # fmt: skip


def unit(kind: str = "pip", days: float = 100, **more: object) -> FoundUnit:
    made = {
        "home": "ana",
        "path": ".cache/pip",
        "kind": kind,
        "inode": 7,
        "bytes": 1000,
        "files": 3,
        "newest": NOW - int(days * DAY_S),
    }
    return FoundUnit(**(made | more))  # type: ignore[arg-type]


@given(ENTRIES)
def test_a_plan_is_read_as_it_was_written(entries: list[Entry]) -> None:
    text = write(entries, ["one", "two"])
    assert read(text, "plan.csv") == entries
    lines = text.splitlines()
    assert len(lines) == 3 + len(entries), "a line is a line, whatever a folder is called"
    assert all(cell[:1] not in "=+-@" for line in lines[3:] for cell in line.split(",")[:2] if cell)
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
        (f"{','.join(COLUMNS)}\nana,a,thing,1,1,never,2027-01-01T00:00:00Z,7", "no kind"),
        (f"{','.join(COLUMNS)}\nana,a,pip,1,1,never,1st March,7", "no time"),
        (f"{','.join(COLUMNS)}\nana,a,pip,1,1,never,2027-01-01T00:00:00Z,1.2E+10", "line 2"),
        (f"{','.join(COLUMNS)}\n" + "ana,a,pip,1,1,never,2027-01-01T00:00:00Z,7\n" * 2, "twice"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read(text, "plan.csv")


def test_only_what_nobody_used_for_long_enough() -> None:
    policy = Policy(preset="university")
    assert [e.kind for e in decide([unit(days=31), unit("uv", 29), unit("other", 31)], policy, NOW, NOW)] == [
        "pip"
    ]
    later = decide([unit("uv", 29), unit("conda", 5)], policy, NOW + 3 * DAY_S, NOW)
    assert [e.kind for e in later] == ["uv"]
    assert decide([unit(days=31, bytes=0, files=0)], policy, NOW, NOW) == []
    assert decide([unit(days=1000)], Policy(preset="off"), NOW, NOW) == []
    assert decide([unit(days=1000)], Policy(caches={"pip": "off"}), NOW, NOW) == []  # type: ignore[dict-item]


def test_nothing_used_after_the_scan_is_meant() -> None:
    """What happened since is not known; so the cutoff that is checked again is not later than the scan."""
    made = decide([unit(days=2)], Policy(preset="workshop"), NOW + 100 * DAY_S, NOW)
    assert made[0].cutoff == NOW


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.floats(0, 400)), max_size=20),
    st.sampled_from(sorted(PRESETS)),
)
def test_a_cutoff_is_never_before_the_age(found: list[tuple[str, float]], preset: str) -> None:
    policy = Policy(preset=preset)  # type: ignore[arg-type]
    for entry in decide([unit(kind, days) for kind, days in found], policy, NOW, NOW):
        age = policy.age(entry.kind)
        assert age is not None
        assert entry.newest < entry.cutoff <= NOW - age


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
