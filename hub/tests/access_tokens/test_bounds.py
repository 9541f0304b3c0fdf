"""How often anybody may have something: never more than the rate, and always again after the wait that is told."""

from cubehub.access_tokens import bounds
from cubehub.access_tokens.bounds import Bound
from hypothesis import given, settings
from hypothesis import strategies as st


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_some_at_once_then_one_now_and_then_and_each_for_themselves():
    clock = Clock()
    bound = Bound(3, 10.0, clock)
    assert [bound.wait_s("ana") for _ in range(4)] == [0, 0, 0, 10]
    assert bound.wait_s("ben") == 0
    clock.now += 4
    assert bound.wait_s("ana") == 6
    clock.now += 6
    assert [bound.wait_s("ana"), bound.wait_s("ana")] == [0, 10]
    clock.now += 1000
    assert [bound.wait_s("ana") for _ in range(4)] == [0, 0, 0, 10]


@settings(deadline=None)
@given(
    st.integers(1, 5),
    st.floats(0.1, 100, allow_nan=False),
    st.lists(st.floats(0, 50, allow_nan=False), min_size=1, max_size=60),
)
def test_never_more_than_the_rate_and_always_after_the_wait(at_once, every_s, steps):
    clock = Clock()
    bound = Bound(at_once, every_s, clock)
    had = []
    for step in steps:
        clock.now += step
        wait = bound.wait_s("ana")
        if wait:
            clock.now += wait
            assert bound.wait_s("ana") == 0
        had.append(clock.now)
    for first in range(len(had)):
        for last in range(first, len(had)):
            assert last - first + 1 <= at_once + (had[last] - had[first]) / every_s + 1e-6


def test_who_has_all_turns_again_is_forgotten(monkeypatch):
    monkeypatch.setattr(bounds, "_TIDIED_FROM", 10)
    clock = Clock()
    bound = Bound(2, 1.0, clock)
    for number in range(500):
        clock.now += 1
        assert bound.wait_s(number) == 0
    assert len(bound._full_at) < 20
