from pathlib import Path

import pytest
from cubehub_gateway.budget import (
    Budget,
    NoBudgetError,
    budget_for,
    check_new_cluster,
    load_budgets,
    parse_size,
    within_machine,
    workers_within,
)
from cubehub_gateway.sandbox import Sandbox, bwrap_prefix

GIB = 2**30
STANDARD = Budget("standard", frozenset({"/cubehub/standard"}), 5 * GIB, 1, 4, 8 * GIB)
PREMIUM = Budget("premium", frozenset({"/cubehub/premium"}), 10 * GIB, 2, 16, 64 * GIB)
NO_DASK = Budget("large", frozenset({"/cubehub/large"}), 20 * GIB, 0)
ALL = [STANDARD, PREMIUM, NO_DASK]


@pytest.mark.parametrize(
    ("text", "size"), [("8G", 8 * GIB), ("512M", 2**29), ("1.5g", 3 * GIB // 2), (7, 7), ("12", 12)]
)
def test_sizes_are_powers_of_1024(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8GB!", "G", "-1G"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


def test_the_largest_profile_counts_and_others_are_refused():
    assert budget_for(["/cubehub/standard"], ALL) is STANDARD
    assert budget_for(["/cubehub/standard", "/cubehub/premium", "/other"], ALL) is PREMIUM
    for groups in ([], ["/cubehub/admin"], ["standard"], ["/cubehub/premium", "/cubehub/large"]):
        with pytest.raises(NoBudgetError, match="administrator"):
            budget_for(groups, ALL)


def test_workers_and_clusters_stay_within():
    assert workers_within(STANDARD, 1, 2 * GIB) == 4
    assert workers_within(STANDARD, 2, GIB) == 2
    assert workers_within(STANDARD, 1, 5 * GIB) == 1
    check_new_cluster(PREMIUM, 1)
    with pytest.raises(NoBudgetError, match="allows 2"):
        check_new_cluster(PREMIUM, 2)


def test_profiles_are_read_and_mistakes_named(tmp_path):
    path = tmp_path / "profiles.yaml"
    path.write_text(
        "profiles: {a: {groups: [/a], memory: 5G, dask: {clusters: 1, cores: 4, memory: 8G}}, b: {groups: [/b], memory: 1G}}"
    )
    first, second = load_budgets(path)
    assert first == Budget("a", frozenset({"/a"}), 5 * GIB, 1, 4, 8 * GIB)
    assert second.clusters == 0
    path.write_text("profiles: {a: {groups: [/a], memory: 5G, dask: {clusters: 1}}}")
    with pytest.raises(ValueError, match="profile 'a'"):
        load_budgets(path)


def test_the_sandbox_shows_only_what_it_is_given():
    prefix = bwrap_prefix(
        Sandbox(("bwrap",), works=True),
        identity=Path("/data/gateway/identity"),
        read_only=[Path("/data/envs/lab")],
        workdir=Path("/data/gateway/clusters/x"),
    )
    shown = [
        prefix[i + 2] for i, word in enumerate(prefix) if word in {"--bind", "--ro-bind", "--ro-bind-try"}
    ]
    assert "/etc" not in shown
    assert not {"/", "/data", "/root", "/home", "/proc", "/sys", "/etc/shadow"}.intersection(shown)
    assert {"--die-with-parent", "--new-session", "--unshare-pid", "--cap-drop", "--disable-userns"} <= set(
        prefix
    )
    assert prefix[-1] == "--"


def test_a_cluster_is_no_larger_than_the_machine():
    large = Budget("premium", frozenset({"/p"}), 10 * GIB, 2, 16, 64 * GIB)
    cut = within_machine(large, 2, 24 * GIB)
    assert (cut.cores, cut.memory_bytes, cut.clusters, cut.rank) == (2, 24 * GIB, 2, 10 * GIB)
    assert within_machine(large, 64, 512 * GIB) == large
