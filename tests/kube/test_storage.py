"""Rounds of the storage keeper as jobs: two at once, one that is killed, and what an administrator does at the desk."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from cubehub_tests.kube.keeper import DESK, Keeper, running_keeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubehub_tests.kube.cluster import Cluster

pytestmark = pytest.mark.kube
HOMES, IOPS = 120, 120
"""People, each with a cache; and a bound by which a scan of them takes longer than two pods at once need to start."""
POLICY = """\
preset: gentle
most_of_home: 100
most_of_platform: 100
automatic: true
"""
DAC_OVERRIDE, FOWNER = 1, 3
_KEEPER = """
import json, os, signal, time
pid = None
while pid is None:
    for name in os.listdir("/proc"):
        if name.isdigit() and open(f"/proc/{name}/cmdline", "rb").read().split(b"\\0")[2:4] == [b"storage", b"run"]:
            pid = min(pid or int(name), int(name))
"""
LOOK = f"""{_KEEPER}
status = dict(line.split(":\\t", 1) for line in open(f"/proc/{{pid}}/status") if ":\\t" in line)
try:
    open("/written", "w")
    root = "written"
except OSError as error:
    root = error.strerror
print(json.dumps({{
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapBnd")],
    "new_privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"), "root": root,
}}))
"""
KILL = f"""{_KEEPER}
def moved():
    try:
        return len(os.listdir("/homes/.cubehub-quarantine"))
    except FileNotFoundError:
        return 0
while moved() < 20:
    time.sleep(0.001)
os.kill(pid, signal.SIGKILL)
"""


@pytest.fixture
def keeper(cluster: Cluster, tmp_path: Path) -> Iterator[Keeper]:
    """Give a keeper over homes that nobody else may look into, each with a cache that nobody used for long."""
    with running_keeper(cluster, tmp_path, POLICY, IOPS) as found:
        for number in range(HOMES):
            make_home(found.homes, number)
        yield found


def make_home(homes: Path, number: int) -> None:
    home, user = homes / f"p{number:03}", 5000 + number
    cache = home / ".cache" / "pip"
    cache.mkdir(parents=True)
    files = {cache / "wheel": f"cache of {number}", home / "work.ipynb": f"work of {number}"}
    old = time.time() - 200 * 86400
    for file, text in files.items():
        file.write_text(text)
        file.chmod(0o600)
        os.utime(file, (old, old))
    for path in (*files, cache, cache.parent, home):
        os.chown(path, user, user)
    for folder, mode in ((cache, 0o500), (cache.parent, 0o700), (home, 0o700)):
        folder.chmod(mode)


def read(path: Path) -> str:
    """A file's content, without it counting as used."""
    with open(path, opener=lambda name, flags: os.open(name, flags | os.O_NOATIME)) as file:
        return file.read()


def where(keeper: Keeper) -> tuple[set[str], set[str]]:
    """The caches that are in homes, and those in quarantine, by their content; all work is in its home."""
    home = [read(path) for path in keeper.homes.glob("*/.cache/pip/wheel")]
    away = [read(path) for path in keeper.homes.glob(".cubehub-quarantine/*/item/wheel")]
    assert len(home) + len(away) == HOMES, "each is in one place"
    assert {*home, *away} == {f"cache of {number}" for number in range(HOMES)}
    for number in range(HOMES):
        assert (keeper.homes / f"p{number:03}" / "work.ipynb").read_text() == f"work of {number}"
    return set(home), set(away)


def test_two_jobs_and_a_killed_one_lose_nothing(keeper: Keeper) -> None:
    keeper.begin("killed")
    pod = keeper.running("killed")
    found = json.loads(keeper.inside(pod, "python3", "-c", LOOK))
    assert found == {
        "capabilities": [1 << DAC_OVERRIDE | 1 << FOWNER] * 2,
        "new_privileges": "1", "seccomp": "2", "token": False, "root": "Read-only file system",
    }  # fmt: skip
    keeper.inside(pod, "python3", "-c", KILL, check=False)  # it is ended with the pod
    assert keeper.ended("killed")[0] == 137
    left, away = where(keeper)
    assert left, "it was killed in the middle"
    assert len(away) >= 19

    for name in ("one", "another"):
        keeper.begin(name)
    ended = {name: keeper.ended(name) for name in ("one", "another")}
    codes = sorted(code for code, _ in ended.values())
    assert codes == [0, 1], ended
    won, lost = sorted(ended, key=lambda name: ended[name][0])
    assert f"{len(left)} moved into quarantine" in ended[won][1]
    assert "Another round is being made just now" in ended[lost][1]
    assert keeper.job(lost)["status"]["failed"] == 1, "it is not tried again"
    assert where(keeper)[0] == set()

    with keeper.desk():
        at_the_desk(keeper, won)


def at_the_desk(keeper: Keeper, won: str) -> None:
    """See what was done, and bring something back whose place has gone."""
    rounds = keeper.cubehub("history")["rounds"]
    assert [(one["by"], one["outcome"]) for one in rounds] == [(won, "done"), ("killed", "running")]
    log = [json.loads(line) for line in (keeper.state / "audit.jsonl").read_text().splitlines()]
    assert {line["asked_by"] for line in log} == {won}
    home = keeper.homes / "p007"
    (home / ".cache").rmdir()
    keeper.inside(DESK, "cubehub", "storage", "restore", "--home", "p007")
    back = home / ".cache" / "pip"
    assert (back / "wheel").read_text() == "cache of 7"
    assert {path.stat().st_uid for path in (home, back.parent, back, back / "wheel")} == {5007}
    keeper.inside(DESK, "cubehub", "storage", "pause", "we move to another disk")
    keeper.begin("paused")
    code, said = keeper.ended("paused")
    assert code == 1
    assert "Rounds are paused" in said
    assert "we move to another disk" in said
