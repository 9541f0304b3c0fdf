"""Many processes and busy cores: a fork bomb ends at its own limit, and cores are held."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cubehub_spawner.enforcers import CgroupV1, CgroupV2, SystemdScope, Watchdog
from cubehub_spawner.enforcers.base import held_beside
from cubehub_spawner.enforcers.cgroup_v2 import enable_more
from cubehub_spawner.enforcers.watch import trees

MIB = 2**20
MOST = 60
# each process starts others as long as it is let; none outlives the pipe to the test, nor half a minute. The outer bound,
# for a machine on which nothing holds: a generation doubles 9 times and no more
BOMB = """
import os, sys, time
ends = time.monotonic() + 30
for generation in range(9):
    try:
        pid = os.fork()
    except OSError:
        os.write(1, b"x")
        break
time.sleep(max(0, min(3, ends - time.monotonic())))
"""
KERNELS_OWN = [
    pytest.param(CgroupV2, id="cgroup_v2", marks=pytest.mark.needs("cgroup-v2")),
    pytest.param(SystemdScope, id="systemd_scope", marks=pytest.mark.needs("systemd")),
    pytest.param(CgroupV1, id="cgroup_v1", marks=pytest.mark.needs("cgroup-v1")),
]


@pytest.fixture(params=KERNELS_OWN)
def enforcer(request, tmp_path):
    return request.param.probe(tmp_path)


@pytest.fixture
def group(enforcer, tmp_path):
    handle = enforcer.create(f"cubehub-crowd-{tmp_path.name}", 400 * MIB, cpu=0.5, pids=MOST)
    yield handle
    assert enforcer.remove(handle)
    assert not enforcer.folder(handle).exists()
    left = [base / Path(handle).name for base in getattr(enforcer, "beside", {}).values()]
    assert not any(folder.exists() for folder in left)


def wait_until(said):
    deadline = time.monotonic() + 60
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_fork_bomb_ends_at_the_limit(enforcer, group):
    if "processes" not in enforcer.holds:
        assert "processes" in held_beside(enforcer.holds, 1, MOST).partition("not held here")[2]
        return
    with subprocess.Popen(
        enforcer.command(group, [sys.executable, "-c", BOMB]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as bomb:
        wait_until(lambda: len(enforcer.processes(group)) >= MOST - 5)
        most = max(len(enforcer.processes(group)) for _ in range(20))
        assert most <= MOST
        assert subprocess.run(["/bin/true"], check=False).returncode == 0, "others go on"
        assert b"x" in bomb.stdout.read(), "it was told that there is no more"


SERVER = """
import subprocess, sys
kernel = subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=subprocess.DEVNULL)
print(kernel.returncode, flush=True)
"""
# parents end at once, so their children become the watching process's; who is left to live says so
ORPHANS = """
import os, sys, time
seen, left = os.pipe()
def bomb(generations):
    for _ in range(2 if generations else 0):
        if os.fork() == 0:
            bomb(generations - 1)
    if not generations:
        time.sleep(60)
        os.write(left, b"lived")
    os._exit(0)
if os.fork() == 0:
    bomb(8)
os.close(left)
os._exit(1 if os.read(seen, 9) else 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("bomb", "kernel"), [(BOMB, -9), (ORPHANS, 0)], ids=["tree", "orphans"])
def test_the_watchdog_ends_the_bomb_and_not_the_server(tmp_path, bomb, kernel):
    enforcer = Watchdog.probe(tmp_path)
    group = enforcer.create("one", 3000 * MIB, pids=MOST)
    with subprocess.Popen(
        enforcer.command(group, [sys.executable, "-c", SERVER, bomb]), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline() == f"{kernel}\n"
        assert server.wait(60) == 0
        assert enforcer.remove(group)


A, INIT, LAB, K1, K2, X, Y, Z = os.getpid(), 11, 12, 20, 21, 30, 31, 32


@pytest.mark.parametrize(
    ("families", "found"),
    [
        pytest.param(
            {LAB: [K1, K2], K1: [X], K2: [Y, Z]}, {K1: [K1, X], K2: [K2, Y, Z], 0: []}, id="two kernels"
        ),
        pytest.param({LAB: [K1], K1: [X], X: [Y]}, {K1: [K1, X, Y], 0: []}, id="deep"),
        pytest.param({LAB: [K1], A: [INIT, X], X: [Y, Z]}, {K1: [K1], 0: [X, Y, Z]}, id="orphans"),
        pytest.param({LAB: [K1], INIT: [LAB, X, Y]}, {K1: [K1], 0: [X, Y]}, id="orphans in bubblewrap"),
        pytest.param({LAB: []}, {0: []}, id="the server alone"),
    ],
)
def test_processes_are_sorted_by_who_started_them(families, found):
    assert trees({A: [INIT], INIT: [LAB], **families}, [INIT, LAB]) == found


@pytest.mark.slow
def test_cores_are_held_and_follow_a_change(enforcer, group):
    if "cpu" not in enforcer.holds:
        assert "cpu" in held_beside(enforcer.holds, 1, MOST).partition("not held here")[2]
        return
    beside = getattr(enforcer, "beside", {})
    folder = beside["cpu"] / Path(group).name if beside else enforcer.folder(group)

    def throttled():
        busy = "import time; ends = time.process_time() + 0.5\nwhile time.process_time() < ends: pass"
        subprocess.run(enforcer.command(group, [sys.executable, "-c", busy]), check=True, timeout=120)
        stat = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
        return int(stat["nr_throttled"])

    before = throttled()
    assert before > 0, "half a core is less than it wants"
    enforcer.limit_cpu(group, 0.25)
    assert throttled() > before
    enforcer.limit_cpu(group, 64)
    after = throttled()
    assert throttled() == after, "nothing holds it back"


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ({"memory"}, " (not held here: cpu, processes)"),
        ({"memory", "cpu"}, ", 2 CPU (not held here: processes)"),
        ({"memory", "cpu", "processes"}, ", 2 CPU, 4096 processes"),
    ],
)
def test_the_log_says_what_is_held_and_what_not(holds, said):
    assert held_beside(frozenset(holds), 2.0, 4096) == said


def test_v2_writes_what_was_handed_on(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("memory")
    enable_more(tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids", (
        "a file keeps the last that was written"
    )
    enforcer = CgroupV2(tmp_path)
    (tmp_path / "cgroup.subtree_control").write_text("memory pids")
    handle = Path(enforcer.create("one", 400 * MIB, cpu=1.5, pids=MOST))
    assert (handle / "pids.max").read_text() == str(MOST)
    assert not (handle / "cpu.max").exists()
    (tmp_path / "cgroup.subtree_control").write_text("memory cpu")
    enforcer.limit_cpu(str(handle), 2.5)
    assert (handle / "cpu.max").read_text() == "250000 100000"
    assert enforcer.holds == {"memory", "cpu"}


def test_systemd_is_asked_for_both():
    enforcer = SystemdScope(Path("/sys/fs/cgroup/system.slice"), user=False)
    enforcer._limits["g.scope"] = ["MemoryMax=1", "MemorySwapMax=0", "CPUQuota=150%", "TasksMax=60"]
    command = enforcer.command("g.scope", ["/bin/true"])
    assert {"--property=CPUQuota=150%", "--property=TasksMax=60"} <= set(command)
    assert os.sep in command[0]
