"""What has to be done, from what runs and what Keycloak says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cubehub.accounts.compare import Running, compare, has_access, read_running
from cubehub.accounts.membership import Snapshot
from cubehub.accounts.people import Person, read_moment, write_moment
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
STANDARD, PREMIUM, OTHER = "/cubehub/standard", "/cubehub/premium", "/elsewhere"
GRANTING = frozenset({STANDARD, PREMIUM})


def member(name: str = "ana", *groups: str, enabled: bool = True, until: datetime | None = None) -> Person:
    return Person(f"id-{name}", name, enabled, frozenset(groups or (STANDARD,)), until=until)


def snapshot(*people: Person) -> Snapshot:
    return Snapshot({one.key: one for one in people}, {one.key: one.id for one in people if not one.enabled})


def running(
    *groups: str, name: str = "ana", enabled: bool = True, pending: bool = False, account: str | None = None
) -> Running:
    return Running(name, account, (enabled, frozenset(groups)), pending)


@pytest.mark.parametrize(
    ("one", "account", "follow", "ended"),
    [
        (running(STANDARD), member(), False, False),
        (running(STANDARD, OTHER), member(), False, False),
        (running(STANDARD), member("Ana"), False, False),
        (running(STANDARD), member("ana", PREMIUM), True, False),
        (running(STANDARD), member("ana", STANDARD, PREMIUM), True, False),
        (running(STANDARD), member(enabled=False), True, True),
        (running(STANDARD), member("petra"), True, True),
        (running(STANDARD, account="another"), member(), True, False),
        (running(STANDARD, account="id-ana"), member(), False, False),
        (running(STANDARD, enabled=False), member(), True, False),
        (Running("ana", None, None, pending=False), member(), True, False),
        # seen without access, and still there: its stop failed
        (running(OTHER), member("petra"), True, True),
        (running(STANDARD, enabled=False), member(enabled=False), True, True),
    ],
)
def test_whoever_differs_is_looked_at(one: Running, account: Person, follow: bool, ended: bool) -> None:
    todo = compare([one], {}, snapshot(account), GRANTING, NOW)
    assert ("ana" in todo.follow, "ana" in todo.ended) == (follow, ended)


def test_waiting_servers_are_looked_at_once() -> None:
    todo = compare([running(STANDARD, pending=True)], {}, snapshot(member()), GRANTING, NOW)
    assert (todo.pending, todo.follow) == ({"ana"}, frozenset())
    todo = compare([running(PREMIUM, pending=True)], {}, snapshot(member()), GRANTING, NOW)
    assert (todo.pending, todo.follow) == (frozenset(), {"ana"})


def test_clusters_end_with_the_access_and_not_before() -> None:
    people = snapshot(member(), member("petra", enabled=False))
    todo = compare([], {"ana": 1, "petra": 2, "viktor": 1}, people, GRANTING, NOW)
    assert todo.ended == {"petra", "viktor"}
    assert todo.off == {"petra"}


@pytest.mark.parametrize(
    ("until", "due"),
    [(None, False), (NOW - timedelta(seconds=1), True), (NOW, True), (NOW + timedelta(seconds=1), False)],
)
def test_a_time_is_over_when_it_is(until: datetime | None, due: bool) -> None:
    assert bool(compare([], {}, snapshot(member(until=until)), GRANTING, NOW).due) is due


@given(
    st.sets(st.sampled_from([STANDARD, PREMIUM, OTHER])),
    st.sets(st.sampled_from([STANDARD, PREMIUM])),
    st.booleans(),
)
def test_nothing_is_left_alone_that_runs_with_more(seen: set[str], now: set[str], enabled: bool) -> None:
    """Whoever saw a grant that the account no longer has is looked at."""
    account = [Person("id-ana", "ana", enabled, frozenset(now))] if now else []
    todo = compare([running(*seen)], {}, snapshot(*account), GRANTING, NOW)
    lost = seen & GRANTING and (not enabled or not now or seen & GRANTING != now)
    assert not lost or "ana" in todo.follow
    if "ana" in todo.ended:
        assert not has_access("ana", snapshot(*account))


def test_the_hubs_list_is_read() -> None:
    answer = {
        "people": [
            {
                "name": "ana",
                "account_id": "1",
                "seen": {"enabled": True, "groups": [STANDARD]},
                "servers": [{"pending": None}, {"pending": {"at": None}}],
            },
            {"name": "petra", "account_id": None, "seen": None, "servers": [{"pending": None}]},
        ]
    }
    assert read_running(answer) == [
        Running("ana", "1", (True, frozenset({STANDARD})), pending=True),
        Running("petra", None, None, pending=False),
    ]


@pytest.mark.parametrize("text", ["2026-12-01T12:00:00Z", "2026-12-01T12:00:00", "2026-12-01T13:00:00+01:00"])
def test_moments_are_in_utc(text: str) -> None:
    moment = read_moment(text)
    assert moment == NOW
    assert write_moment(NOW) == "2026-12-01T12:00:00Z"


@pytest.mark.parametrize("text", [None, "", "soon", "2026-13-01"])
def test_what_is_no_moment_is_none(text: str | None) -> None:
    assert read_moment(text) is None
