from cubehub_spawner import Account, Grant, Profiles, Refusal, decide
from cubehub_spawner.entitlement import format_bytes
from hypothesis import given
from hypothesis import strategies as st

GIB = 2**30
PROFILES = Profiles.model_validate(
    {
        "profiles": {
            "standard": {
                "title": "Standard",
                "groups": ["/cubehub/standard"],
                "memory": "5G",
                "cpu": 2,
                "storage": "10G",
            },
            "premium": {
                "title": "Premium",
                "groups": ["/cubehub/premium"],
                "memory": "10G",
                "cpu": 4,
                "storage": "50G",
                "dask": {"clusters": 2, "cores": 16, "memory": "64G"},
            },
        }
    }
)


def person(*groups, enabled=True):
    return Account("ana", "id-1", enabled, frozenset(f"/cubehub/{group}" for group in groups))


def refused(decision):
    assert isinstance(decision, Refusal)
    assert decision.message
    assert decision.hint
    return decision.code


def test_group_decides():
    grant = decide(person("standard"), None, [], PROFILES)
    assert grant == Grant("standard", "Standard", 5 * GIB, 2, 10 * GIB, PROFILES.profiles["standard"].dask)


def test_both_groups_give_the_best():
    assert decide(person("standard", "premium"), None, [], PROFILES).profile == "premium"
    assert decide(person("standard", "premium"), "standard", [], PROFILES).profile == "standard"


def test_between_equals_the_first_in_the_file():
    line = {"title": "T", "memory": "1G", "cpu": 1, "storage": "1G"}
    twins = Profiles.model_validate(
        {"profiles": {"b": {**line, "groups": ["/b"]}, "a": {**line, "groups": ["/a"]}}}
    )
    assert decide(Account("x", "1", True, frozenset({"/a", "/b"})), None, [], twins).profile == "b"


def test_refusals():
    assert refused(decide(person("standard", enabled=False), None, [], PROFILES)) == "account_disabled"
    assert refused(decide(person(), None, [], PROFILES)) == "no_profile"
    assert refused(decide(person("admin"), None, [], PROFILES)) == "no_profile"
    assert refused(decide(person("standard"), "premium", [], PROFILES)) == "profile_not_granted"
    assert refused(decide(person("standard"), "no-such", [], PROFILES)) == "profile_not_granted"
    assert refused(decide(person("standard"), None, [5 * GIB], PROFILES)) == "memory_in_use"


def test_a_group_is_its_whole_path():
    for path in (
        "standard",
        "/standard",
        "/other/cubehub/standard",
        "/cubehub/standard/sub",
        "/CubeHub/Standard",
    ):
        account = Account("ana", "1", True, frozenset({path}))
        assert refused(decide(account, None, [], PROFILES)) == "no_profile"


def test_second_server_gets_the_best_that_fits():
    both = person("standard", "premium")
    assert decide(both, None, [5 * GIB], PROFILES).profile == "standard"
    assert refused(decide(both, "premium", [5 * GIB], PROFILES)) == "memory_in_use"


groups = st.frozensets(st.sampled_from(["/cubehub/standard", "/cubehub/premium", "/cubehub/admin", "/x", ""]))
accounts = st.builds(Account, st.text(), st.text(), st.booleans(), groups)
wishes = st.none() | st.sampled_from(["standard", "premium", "", "root"]) | st.text()
sizes = st.lists(st.integers(min_value=-GIB, max_value=20 * GIB), max_size=5)


@given(accounts, wishes, sizes)
def test_never_more_than_granted(account, wish, running):
    decision = decide(account, wish, running, PROFILES)
    if isinstance(decision, Refusal):
        return
    profile = PROFILES.profiles[decision.profile]
    assert account.enabled
    assert profile.groups & account.groups
    assert not wish or wish == decision.profile
    assert (decision.memory_bytes, decision.cpu) == (profile.memory, profile.cpu)
    ceiling = max(p.memory for p in PROFILES.profiles.values() if p.groups & account.groups)
    assert sum(max(0, size) for size in running) + decision.memory_bytes <= ceiling


@given(accounts, wishes)
def test_servers_started_one_after_another_stay_within_the_best(account, wish):
    running = []
    for _ in range(5):
        decision = decide(account, wish, running, PROFILES)
        if isinstance(decision, Grant):
            running.append(decision.memory_bytes)
    assert sum(running) <= 10 * GIB
    if "/cubehub/premium" not in account.groups:
        assert sum(running) <= 5 * GIB


def test_sizes_for_people():
    assert [format_bytes(n) for n in (5 * GIB, 3 * GIB // 2, 300 * 2**20, 12)] == [
        "5 GiB",
        "1.5 GiB",
        "300 MiB",
        "12 B",
    ]
