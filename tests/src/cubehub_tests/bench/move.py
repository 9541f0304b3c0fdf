"""How long a move takes to reach a server that runs: until the kernel holds the new limit, its processes going on."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_tests.bench.frame import Case, say
from cubehub_tests.bench.up import kept_folder
from cubehub_tests.kube.cluster import running_cluster, until, usable
from cubehub_tests.kube.whole import limit_of, pod_of, resize_is_told, running_whole_beside
from cubehub_tests.platform import PREMIUM, STANDARD, Whole, two_free_ports
from cubehub_tests.realm import in_group, realm, user_id
from cubehub_tests.servers import Account

if TYPE_CHECKING:
    from cubehub_tests.kube.cluster import Cluster

MOVES, QUICK_MOVES, POD_MOVES = 10, 3, 5
_PATIENCE_S = 60
_EVERY_S = 0.01
_LIMIT_FILES = ("memory.limit_in_bytes", "memory.max", "limit")


def measure(*, quick: bool) -> list[Case]:
    """Move a person there and back, by the command and in Keycloak itself; where there is a cluster, also with a pod."""
    cases = _on_this_machine(quick=quick)
    if usable() and not quick:
        say("starting a cluster and a platform beside it")
        with running_cluster() as cluster, running_whole_beside(cluster) as whole:
            cases += _in_pods(cluster, whole)
    return cases


def _on_this_machine(*, quick: bool) -> list[Case]:
    kept_folder().mkdir(mode=0o711, parents=True, exist_ok=True)
    whole = Whole.lay_out(kept_folder(), two_free_ports())
    try:
        say("starting the platform")
        whole.up()
        return _measure(whole, QUICK_MOVES if quick else MOVES)
    finally:
        whole.run("down", check=False)
        whole.end_leftovers()
        if whole.relay is not None:
            whole.relay.close()


def _measure(whole: Whole, moves: int) -> list[Case]:
    ana = Account.login(whole, "ana")
    try:
        ana.stop()
        ana.start()
        limit = _limit_file(whole)
        command, console = [], []
        for number in range(moves):
            say(f"move {number + 1} of {moves}")
            command.append(_by_command(whole, "premium", limit, PREMIUM))
            command.append(_by_command(whole, "standard", limit, STANDARD))
        for _ in range(moves):
            with in_group(whole, "ana", "/cubehub/premium"):
                console.append(_until(limit, PREMIUM, time.monotonic()))
            _until(limit, STANDARD, time.monotonic())
        ana.stop()
    finally:
        ana.close()
    return [
        Case("local", statistics.median(command), "s", peer=_by_restart(whole), peer_name="stop and start"),
        Case("local, slowest", max(command), "s"),
        Case("changed in Keycloak", statistics.median(console), "s"),
        Case("changed in Keycloak, slowest", max(console), "s"),
    ]


def _limit_file(whole: Whole) -> Path:
    admin = Account.login(whole, "adam")
    try:
        state = admin.api.get("/hub/api/users/ana").json()["servers"][""]["state"]
    finally:
        admin.close()
    return next(file for name in _LIMIT_FILES if (file := Path(state["handle"]) / name).exists())


def _by_command(whole: Whole, profile: str, limit: Path, wanted: int) -> float:
    """Move by `cubehub users move`; the program's own start counts."""
    began = time.monotonic()
    moving = subprocess.Popen(
        [*whole.program, "users", "move", "ana", profile, "--data", str(whole.data), "--json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ},
    )  # fmt: skip
    took = _until(limit, wanted, began)
    said, _ = moving.communicate(timeout=_PATIENCE_S)
    if moving.returncode:
        raise SystemExit(f"`cubehub users move` failed: {said.decode(errors='replace')}")
    json.loads(said)
    return took


def _until(limit: Path, wanted: int, began: float) -> float:
    while int(limit.read_text()) != wanted:
        if time.monotonic() - began > _PATIENCE_S:
            raise SystemExit(
                f"the limit is {limit.read_text().strip()} and not {wanted} after {_PATIENCE_S} s"
            )
        time.sleep(_EVERY_S)
    return time.monotonic() - began


def _in_pods(cluster: Cluster, whole: Whole) -> list[Case]:
    """Until the kubelet says that the pod has its new limit; each with a new pod."""
    took = []
    for number in range(POD_MOVES):
        say(f"move {number + 1} of {POD_MOVES} in a pod")
        whole.run("users", "move", "ana", "standard")
        ana = Account.login(whole, "ana")
        ana.start()
        pod = pod_of(cluster, "ana")
        began = time.monotonic()
        moving = subprocess.Popen(
            [*whole.program, "users", "move", "ana", "premium", "--data", str(whole.data)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: limit_of(pod_of(cluster, "ana")) == PREMIUM, "Premium", _PATIENCE_S)
        took.append(time.monotonic() - began)
        if moving.wait(_PATIENCE_S):
            raise SystemExit("`cubehub users move` failed")
        resize_is_told(cluster, pod)
        ana.stop()
        ana.close()
    return [
        Case("in a pod, until ResizeCompleted", statistics.median(took), "s"),
        Case("in a pod, slowest", max(took), "s"),
    ]


def _by_restart(whole: Whole) -> float:
    """What every other hub asks for: change the group, stop the server, start it again; the kernel is lost."""
    ana = Account.login(whole, "ana")
    try:
        ana.start()
        with realm(whole) as api:
            membership = f"users/{user_id(api, 'ana')}/groups/{api.group('/cubehub/premium')['id']}"
            began = time.monotonic()
            api.put(membership, {})
            ana.stop()
            ana.start()
            took = time.monotonic() - began
            ana.stop()
            api.delete(membership)
    finally:
        ana.close()
    return took
