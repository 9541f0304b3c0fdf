"""What a policy would have moved at a date: no file and nobody is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.storage.deciding import Found, Keeps, Kept, Owner, decide, over_since
from cubehub.storage.kinds import CACHES, MADE
from cubehub.storage.policies import DAY_S, PRESETS, Policy
from cubehub.storage.results import FoundFile, FoundUnit, Home
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from cubehub.storage.planning import Entry

NOW = 1_800_000_000
GIB = 2**30


def unit(kind: str = "pip", days: float = 100, **more: object) -> FoundUnit:
    made = {
        "home": "ana", "path": ".cache/pip", "kind": kind, "inode": 7, "bytes": 1000, "files": 3,
        "newest": NOW - int(days * DAY_S),
    }  # fmt: skip
    return FoundUnit(**(made | more))  # type: ignore[arg-type]


def file(days: float = 400, size: int = 20 * GIB, path: str = "work/big.nc", home: str = "ana") -> FoundFile:
    return FoundFile(home, path, 9, size, NOW - int(days * DAY_S))


def home(name: str = "ana", days: float = 400, size: int = 30 * GIB) -> Home:
    return Home(name, size, 10, 3, NOW - int(days * DAY_S), 0, {}, inode=5)


def ana(days: float = 400, **more: object) -> Owner:
    made = {
        "username": "ana", "email": "ana@example.org", "profile": "standard", "storage": 10 * GIB,
        "last_seen": NOW - days * DAY_S,
    }  # fmt: skip
    return Owner(**(made | more))  # type: ignore[arg-type]


def entries(policy: Policy, at: float = NOW, lead: float = 0, **more: object) -> list[Entry]:
    made = {"scanned": NOW, "homes": [], "owners": {"ana": ana()}}
    return decide(Found(**(made | more)), policy, at, lead)  # type: ignore[arg-type]


def kinds(policy: Policy, at: float = NOW, **more: object) -> list[str]:
    return [e.kind for e in entries(policy, at, **more)]


def test_only_what_nobody_used_for_long_enough() -> None:
    university = Policy(preset="university")
    assert kinds(university, units=[unit(days=31), unit("uv", 29), unit("other", 31)]) == ["pip"]
    assert kinds(university, NOW + 3 * DAY_S, units=[unit("uv", 29), unit("conda", 5)]) == ["uv"]
    assert kinds(university, units=[unit(days=31, bytes=0, files=0)]) == []
    assert kinds(Policy(preset="off"), units=[unit(days=1000)]) == []
    assert kinds(Policy(caches={"pip": "off"}), units=[unit(days=1000)]) == []  # type: ignore[dict-item]


def test_nothing_used_after_the_scan_is_meant() -> None:
    """What happened since is not known; so the cutoff that is checked again is not later than the scan."""
    made = entries(Policy(preset="workshop"), NOW + 100 * DAY_S, units=[unit(days=2)])
    assert made[0].cutoff == NOW


@given(
    st.lists(st.tuples(st.sampled_from([*CACHES, "scratch"]), st.floats(0, 400)), max_size=20),
    st.sampled_from(sorted(PRESETS)),
)
def test_a_cutoff_is_never_before_the_age(found: list[tuple[str, float]], preset: str) -> None:
    policy = Policy(preset=preset)  # type: ignore[arg-type]
    units = [unit(kind, days, path=f"{n}/x") for n, (kind, days) in enumerate(found)]
    for entry in entries(policy, units=units):
        age = policy.age(entry.kind)
        assert age is not None
        assert entry.newest < entry.cutoff <= NOW - age


def test_homes_of_whom_has_not_been_here() -> None:
    policy = Policy(idle="365d")  # type: ignore[arg-type]
    assert [(e.path, e.kind) for e in entries(policy, homes=[home()])] == [(b"", "idle")]
    for owner in (ana(10), ana(running=True)):
        assert kinds(policy, homes=[home()], owners={"ana": owner}) == []
    assert kinds(policy, homes=[home(days=10)]) == []
    assert kinds(policy, homes=[home("gone")], owners={}) == ["idle"], "a home of nobody is idle by its files"
    assert kinds(policy, homes=[home()], owners=None) == [], "nobody knows who logged in"
    # a home that goes as a whole has no entries of its own
    assert kinds(policy, homes=[home()], units=[unit()], large=[file()]) == ["idle"]


def test_out_of_a_home_on_a_device_of_its_own_nothing_is_meant() -> None:
    policy = Policy(idle="365d", large="365d", scratch="30d")  # type: ignore[arg-type]
    found = {"units": [unit(), unit("scratch", path="scratch/a"), unit(home="ben")], "large": [file()]}
    assert len(entries(policy, **found)) == 4
    assert [e.home for e in entries(policy, apart={b"ana"}, **found)] == [b"ben"]
    assert kinds(policy, apart={b"ana"}, homes=[home()], large=[file()]) == ["idle"]


def test_large_files_and_scratch() -> None:
    policy = Policy(large="365d", scratch="30d")  # type: ignore[arg-type]
    assert kinds(policy, large=[file(), file(10), file(size=GIB)]) == ["large"]
    assert kinds(policy, large=[file(path=".cache/pip/x")], units=[unit(days=1)]) == [], (
        "caches have their own rules"
    )
    assert kinds(
        policy, units=[unit("scratch", 31, path="scratch/a"), unit("scratch", 29, path="scratch/b")]
    ) == ["scratch"]
    assert kinds(policy, large=[file()], units=[unit("scratch", 31)], owners=None) == []
    inside = entries(
        policy, units=[unit("scratch", 90, path="scratch/a"), unit("checkpoints", 90, path="scratch/a/c")]
    )
    assert [e.path for e in inside] == [b"scratch/a"], "nothing is in another entry"


def test_what_is_kept_stays_and_so_does_what_it_is_in() -> None:
    policy = Policy(idle="365d", large="365d")  # type: ignore[arg-type]

    def kept(path: bytes, until: float | None = None) -> list[Kept]:
        return [Kept(b"ana", path, until, "you")]

    assert kinds(policy, homes=[home()], large=[file()], kept=kept(b"work")) == []
    assert kinds(policy, homes=[home()], kept=kept(b"work/deep")) == [], "not the home around it"
    assert kinds(policy, homes=[home()], kept=kept(b"", NOW - 1)) == ["idle"]
    assert kinds(policy, homes=[home()], kept=[Kept(b"ben", b"", None, "admin")]) == ["idle"]
    assert kinds(Policy(), units=[unit()], kept=kept(b".cache")) == []
    assert kinds(Policy(), units=[unit()], kept=kept(b".cach")) == ["pip"]


PATHS = st.lists(st.sampled_from(["a", "b", "a-", "a\x00"]), max_size=3).map(
    lambda parts: "/".join(parts).encode()
)
KEPT = st.builds(
    Kept, st.sampled_from([b"ana", b"ben"]), PATHS, st.sampled_from([None, NOW - 1, NOW, NOW + 1]), st.just("you")
)  # fmt: skip


@given(st.lists(KEPT, max_size=4), PATHS)
def test_all_that_is_kept_says_what_each_of_it_says(kept: list[Kept], path: bytes) -> None:
    assert Keeps(kept, NOW).cover(b"ana", path) == any(one.covers(b"ana", path, NOW) for one in kept)


def test_rules_by_profile() -> None:
    policy = Policy.model_validate(
        {"idle": "100d", "profiles": {"standard": {"preset": "university"}, "premium": {"idle": False}}}
    )
    assert policy.age("idle", "standard") == 365 * DAY_S
    assert policy.age("idle", "premium") is None
    assert policy.age("idle") == 100 * DAY_S
    assert policy.age("pip", "premium") == PRESETS["gentle"]["pip"]
    assert kinds(policy, homes=[home()], owners={"ana": ana(profile="premium")}) == []
    assert kinds(policy, units=[unit()], owners=None) == [], "whose it is decides"
    assert policy.needs_people()
    assert not Policy().needs_people()


def test_a_home_over_its_storage_for_long_loses_its_caches_first() -> None:
    policy = Policy(over_quota="14d")  # type: ignore[arg-type]
    full = {"homes": [home(days=0)], "units": [unit(days=2), unit("trash", 0.5, path=".Trash")]}
    assert kinds(policy, over_since={"ana": NOW - 15 * DAY_S}, **full) == ["pip"]
    assert kinds(policy, over_since={"ana": NOW - 13 * DAY_S}, **full) == []
    assert kinds(policy, **full) == []


def test_since_when_a_home_is_over() -> None:
    fill = [
        (1.0, "ana", 20 * GIB),
        (2.0, "ana", GIB),
        (3.0, "ana", 20 * GIB),
        (4.0, "ana", 30 * GIB),
        (4.0, "x", 1),
    ]
    assert over_since(fill, {"ana": ana()}) == {"ana": 3.0}


def test_homes_of_a_workshop_that_is_over() -> None:
    policy = Policy.model_validate({"workshops": [{"homes": "ws-*", "ends": "2027-01-10"}]})
    over = 1_799_625_600.0  # 2027-01-11T00:00Z
    homes = [home("ws-1", days=30), home("ana", days=30)]
    assert [e.home for e in entries(policy, over, homes=homes, scanned=over)] == [b"ws-1"]
    assert entries(policy, over - 1, homes=homes, scanned=over) == []


@pytest.mark.parametrize(("days", "told"), [(31, True), (20, True), (16, True), (14, False), (1, False)])
def test_people_are_told_before_but_not_of_what_was_just_used(days: float, told: bool) -> None:
    """An age of 30 days and notices 40 days ahead: half of the age is as far as one looks."""
    policy = Policy(scratch="30d")  # type: ignore[arg-type]
    found = entries(policy, lead=40 * DAY_S, units=[unit("scratch", days, path="scratch/a")])
    assert bool(found) == told


@pytest.mark.slow
def test_ten_thousand_homes() -> None:
    homes = [home(f"u{n}", days=n % 800) for n in range(10_000)]
    units = [
        unit(home=f"u{n}", path=f".cache/{k}", days=(n * 7 + k) % 300)
        for n in range(10_000)
        for k in range(10)
    ]
    owners = {f"u{n}": ana(n % 800, username=f"u{n}") for n in range(10_000)}
    found = entries(Policy(preset="university"), homes=homes, units=units, owners=owners)
    idle = {f"u{n}".encode() for n in range(10_000) if n % 800 > 365}
    assert {e.home for e in found if e.kind == "idle"} == idle
    assert {e.kind for e in found} <= {"idle", "pip"} <= CACHES.keys() | MADE.keys()


def test_a_workshop_that_ends_on_the_last_day_there_is_stops_no_plan() -> None:
    policy = Policy.model_validate({"workshops": [{"homes": "*", "ends": "9999-12-31"}], "idle": "365d"})
    assert kinds(policy, homes=[home()]) == ["idle"]
