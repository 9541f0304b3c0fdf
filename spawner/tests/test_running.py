"""What a change of group means for servers that run: the pure decision."""

from datetime import UTC, datetime, timedelta

from cubehub_spawner import Account, Grant, Profiles, decide
from cubehub_spawner.entitlement import grant_of, granted_profiles
from cubehub_spawner.running import Announce, Pending, Resize, Running, Stop, Withdraw, reconcile
from hypothesis import given
from hypothesis import strategies as st

GIB = 2**30
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
GRACE = timedelta(hours=24)
PROFILES = Profiles.model_validate(
    {
        "profiles": {
            name: {
                "title": name.title(),
                "groups": [f"/cubehub/{name}"],
                "memory": memory,
                "cpu": cpu,
                "storage": "10G",
            }
            for name, memory, cpu in (("small", "2G", 1), ("standard", "5G", 2), ("premium", "10G", 4))
        }
    }
)
GRANTS = {name: grant_of(profile) for name, profile in PROFILES.profiles.items()}


def person(*groups, enabled=True):
    return Account("ana", "id-1", enabled, frozenset(f"/cubehub/{group}" for group in groups))


def running(profile, server="", **more):
    grant = GRANTS[profile]
    return Running(server, profile, grant.memory_bytes, grant.cpu, **more)


def ask(account, *servers, now=NOW):
    return reconcile(account, servers, PROFILES, now, GRACE)


def test_nothing_changed_nothing_done():
    assert ask(person("standard"), running("standard")) == []
    assert ask(person("standard", "premium"), running("standard", "a", wish="standard")) == []


def test_more_comes_at_once():
    assert ask(person("premium"), running("standard")) == [Resize("", GRANTS["premium"])]
    assert ask(person("standard", "premium"), running("standard")) == [Resize("", GRANTS["premium"])]


def test_less_comes_at_once_where_nobody_notices():
    assert ask(person("standard"), running("premium", used_bytes=3 * GIB)) == [Resize("", GRANTS["standard"])]


def test_less_is_announced_where_it_is_in_use_or_nobody_knows():
    pending = Pending("standard", 5 * GIB, NOW + GRACE)
    for used in (6 * GIB, None):
        assert ask(person("standard"), running("premium", used_bytes=used)) == [
            Announce("", pending, GRANTS["standard"])
        ]
        # said once
        later = NOW + timedelta(hours=2)
        assert ask(person("standard"), running("premium", used_bytes=used, pending=pending), now=later) == []


def test_at_the_end_of_the_grace_period_what_still_uses_more_is_stopped():
    server = running("premium", used_bytes=6 * GIB, pending=Pending("standard", 5 * GIB, NOW))
    [stop] = ask(person("standard"), server)
    assert isinstance(stop, Stop)
    assert stop.refusal.code == "grace_over"
    fits = running("premium", used_bytes=4 * GIB, pending=Pending("standard", 5 * GIB, NOW))
    assert ask(person("standard"), fits) == [Resize("", GRANTS["standard"])]


def test_an_announcement_is_withdrawn_when_the_person_is_moved_back():
    server = running("premium", used_bytes=6 * GIB, pending=Pending("standard", 5 * GIB, NOW + GRACE))
    assert ask(person("premium"), server) == [Withdraw("")]


def test_without_access_everything_stops():
    for account, code in ((person("standard", enabled=False), "account_disabled"), (person(), "no_profile")):
        stops = ask(account, running("standard", "a"), running("small", "b"))
        assert [(stop.server, stop.refusal.code) for stop in stops] == [("a", code), ("b", code)]


def test_what_no_longer_fits_beside_an_older_server_is_announced_to_stop():
    servers = (
        running("standard", "old", wish="standard", used_bytes=GIB),
        running("standard", "new", wish="standard", used_bytes=GIB),
    )
    assert ask(person("standard"), *servers) == [Announce("new", Pending("", 0, NOW + GRACE), None)]


def test_a_server_grows_only_into_room_that_no_other_has():
    servers = (running("standard", "a"), running("standard", "b", wish="standard"))
    # both groups before, only the larger now: together they are within it, so both stay as they are
    assert ask(person("premium"), *servers) == []
    assert ask(person("standard", "premium"), *servers) == []
    assert ask(person("premium", "small"), *servers) == []


def test_more_that_had_no_room_is_tried_again():
    waiting = running("standard", pending=Pending("premium", 10 * GIB, None))
    assert ask(person("premium"), waiting) == [Resize("", GRANTS["premium"])]
    assert ask(person("standard"), waiting) == [Withdraw("")]


groups = st.frozensets(
    st.sampled_from(["/cubehub/small", "/cubehub/standard", "/cubehub/premium", "/cubehub/admin"])
)
accounts = st.builds(Account, st.just("ana"), st.just("id"), st.booleans(), groups)
histories = st.lists(accounts, min_size=1, max_size=5)
wishes = st.lists(st.none() | st.sampled_from(list(PROFILES.profiles)), max_size=5)
uses = st.lists(st.none() | st.integers(0, 12 * GIB), min_size=5, max_size=5)


def carry_out(servers, actions):
    left = dict(servers)
    for action in actions:
        match action:
            case Stop(server=name):
                del left[name]
            case Resize(server=name, grant=grant):
                left[name] = Running(
                    name, grant.profile, grant.memory_bytes, grant.cpu, left[name].wish, left[name].used_bytes
                )
            case Announce(server=name, pending=pending):
                left[name] = Running(**{**vars(left[name]), "pending": pending})
            case Withdraw(server=name):
                left[name] = Running(**{**vars(left[name]), "pending": None})
    return left


@given(accounts, wishes, uses, histories)
def test_ends_within_what_the_person_may_have_and_then_does_nothing(first, wish_of, use, history):
    servers = {}
    best = granted_profiles(first, PROFILES)
    for number, wish in enumerate(wish_of):
        grant = decide(first, wish, [one.memory_bytes for one in servers.values()], PROFILES)
        if isinstance(grant, Grant):
            kept = wish or (grant.profile if grant.profile != best[0].name else None)
            servers[str(number)] = Running(
                str(number), grant.profile, grant.memory_bytes, grant.cpu, kept, use[number]
            )
    now = NOW
    for account in history:
        had = {name: one.memory_bytes for name, one in servers.items()}
        mine = granted_profiles(account, PROFILES)
        ceiling = mine[0].memory if mine else 0
        # twice: what was announced, and the same when the time of grace is over
        for moment in (now, now + GRACE + timedelta(seconds=1)):
            actions = reconcile(account, list(servers.values()), PROFILES, moment, GRACE)
            assert len({action.server for action in actions}) == len(actions)
            grown = [
                action
                for action in actions
                if isinstance(action, Resize) and action.grant.memory_bytes > had[action.server]
            ]
            servers = carry_out(servers, actions)
            if grown:
                assert sum(one.memory_bytes for one in servers.values()) <= ceiling
            again = reconcile(account, list(servers.values()), PROFILES, moment, GRACE)
            assert [a for a in again if not isinstance(a, Resize | Withdraw)] == []
        assert sum(one.memory_bytes for one in servers.values()) <= ceiling
        now += 2 * GRACE
