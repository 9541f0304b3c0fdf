from pathlib import Path

import pytest
from cubehub_gateway.budget import (
    Budget,
    NoBudgetError,
    budget_of,
    check_new_cluster,
    within_machine,
    workers_within,
)
from cubehub_gateway.sandbox import Sandbox, bwrap_prefix

GIB = 2**30
STANDARD = Budget("standard", 1, 4, 8 * GIB)
PREMIUM = Budget("premium", 2, 16, 64 * GIB)


def answer(clusters=1, cores=4.0, memory=8 * GIB, refusal=None):
    dask = {"clusters": clusters, "cores": cores, "memory": memory}
    return {"profile": {"name": "standard", "dask": dask}, "refusal": refusal}


def test_what_the_hub_says_is_the_budget():
    assert budget_of(answer()) == STANDARD


@pytest.mark.parametrize("nothing", [{"clusters": 0}, {"cores": 0.5}, {"memory": 0}, {"clusters": -1}])
def test_a_profile_without_dask_is_refused(nothing):
    with pytest.raises(NoBudgetError, match="includes no Dask"):
        budget_of(answer(**nothing))


def test_a_refusal_is_passed_on_with_its_hint():
    refusal = {"code": "account_disabled", "message": "Your account is suspended.", "hint": "Ask why."}
    with pytest.raises(NoBudgetError, match=r"is suspended\. Ask why"):
        budget_of(answer(refusal=refusal))


@pytest.mark.parametrize(
    "rubbish",
    [None, [], {}, "x", 7, {"refusal": None}, {"refusal": None, "profile": None}, answer(cores="many"),
     answer(memory=None), answer(cores=float("inf")), {"refusal": {"code": "x"}}, answer(cores=float("nan"))],
)  # fmt: skip
def test_what_is_no_answer_is_none(rubbish):
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind: the caller tells people something of its own
        budget_of(rubbish)


def test_workers_and_clusters_stay_within():
    assert workers_within(STANDARD, 1, 2 * GIB) == 4
    assert workers_within(STANDARD, 2, GIB) == 2
    assert workers_within(STANDARD, 1, 5 * GIB) == 1
    check_new_cluster(PREMIUM, 1)
    with pytest.raises(NoBudgetError, match="allows 2"):
        check_new_cluster(PREMIUM, 2)


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
    assert within_machine(PREMIUM, 2, 24 * GIB) == Budget("premium", 2, 2, 24 * GIB)
    assert within_machine(PREMIUM, 64, 512 * GIB) == PREMIUM
