"""The watchdog's decision, and real servers that try to pass their limit under its eyes."""

import subprocess
import sys

import pytest
from cubehub_spawner.enforcers import Watchdog, oom_kills
from cubehub_spawner.enforcers._tree import started_at
from cubehub_spawner.enforcers.watch import TOO_OFTEN, to_end
from cubehub_spawner.isolation import isolate, probe_isolation, python_paths

MIB = 2**20
LIMIT = 200 * MIB

BWRAP, INIT, LAB, KERNEL, BIG, SMALL = range(10, 16)
SERVER = [BWRAP, INIT, LAB]


@pytest.mark.parametrize(
    ("sizes", "often", "ended"),
    [
        pytest.param({LAB: 60, KERNEL: 40}, 0, [], id="fits exactly"),
        pytest.param({LAB: 60, KERNEL: 40}, TOO_OFTEN, [], id="fits again after many looks"),
        pytest.param({LAB: 60, SMALL: 1, KERNEL: 30, BIG: 40}, 0, [BIG], id="the biggest is enough"),
        pytest.param({LAB: 60, SMALL: 1, KERNEL: 60, BIG: 70}, 0, [BIG, KERNEL], id="two in one look"),
        pytest.param(
            {LAB: 90, KERNEL: 80, SMALL: 5}, 0, [KERNEL], id="a server bigger than the kernel is spared"
        ),
        pytest.param({LAB: 101, KERNEL: 1}, 0, [*SERVER, KERNEL], id="the server alone is too big"),
        pytest.param({BWRAP: 1, INIT: 70, LAB: 40}, 0, SERVER, id="the chain alone is too big"),
        pytest.param({LAB: 10, KERNEL: 95}, TOO_OFTEN - 1, [KERNEL], id="not yet too often"),
        pytest.param({LAB: 10, KERNEL: 95}, TOO_OFTEN, [*SERVER, KERNEL], id="too often"),
    ],
)
def test_whom_the_watchdog_ends(sizes, often, ended):
    everyone = {BWRAP: 0, INIT: 0, **sizes}
    assert to_end(everyone, SERVER, limit=100, often=often) == ended


def test_the_decision_with_many_processes_leaves_what_fits():
    sizes = {LAB: 50, **{100 + n: 7 + n % 5 for n in range(1000)}}
    ended = to_end(sizes, [LAB], limit=100, often=0)
    assert LAB not in ended
    left = [size for pid, size in sizes.items() if pid not in ended]
    assert 90 < sum(left) <= 100
    assert min(sizes[pid] for pid in ended) >= max(size for size in left if size != sizes[LAB])


# A mother too small to be chosen, whose children come back within milliseconds. All of it ends by itself.
DECOYS = """
import os, sys, time
count, size, end = int(sys.argv[1]), int(sys.argv[2]) * 2**20, time.monotonic() + 30
def decoy():
    if os.fork() == 0:
        hold = bytearray(size); hold[::4096] = b'x' * len(hold[::4096])
        time.sleep(max(0, end - time.monotonic())); os._exit(0)
for _ in range(count): decoy()
while time.monotonic() < end: os.wait(); decoy()
"""
START = """
import os, subprocess, sys, threading, time
def decoys(count, size):
    return subprocess.Popen([sys.executable, "-c", sys.argv[1], str(count), str(size)])
"""
HOG_IN_THE_SERVER = (
    START
    + """
decoys(8, 16)
def hog():
    kept = []
    for _ in range(60):
        kept.append(bytearray(10 * 2**20)); kept[-1][::4096] = b'x' * len(kept[-1][::4096])
        time.sleep(0.05)
    time.sleep(20)
thread = threading.Thread(target=hog); thread.start(); thread.join()
"""
)
OUTRUN = START + "sys.exit(decoys(8, 30).wait())\n"
NAMED_BWRAP = (
    START
    + """
open("/proc/self/comm", "w").write("bwrap")
hog = "import time; kept = bytearray(300 * 2**20); kept[::4096] = b'x' * len(kept[::4096]); time.sleep(20)"
eldest = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.readline()\\n" + hog], stdin=subprocess.PIPE)
others = decoys(4, 5)
time.sleep(0.3)
eldest.communicate(b"go\\n")
print(eldest.returncode, flush=True)
others.kill()
"""
)


@pytest.fixture
def group(tmp_path):
    watchdog = Watchdog.probe(tmp_path)
    handle = watchdog.create("group", LIMIT)
    yield handle
    assert watchdog.remove(handle)


def shut_in(argv):
    isolation = probe_isolation()
    return isolate(
        argv,
        read_only=python_paths(sys.prefix),
        program=isolation.program,
        disables_userns=isolation.disables_userns,
        die_with_parent=True,
    )


def run(tmp_path, group, code, *arguments, wrap=list):
    command = Watchdog(tmp_path).command(group, wrap([sys.executable, "-c", code, *arguments]))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


in_and_out = pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(list, id="plain"),
        pytest.param(shut_in, id="bubblewrap", marks=pytest.mark.needs("bubblewrap")),
    ],
)


@pytest.mark.slow
@in_and_out
@pytest.mark.parametrize("attack", [HOG_IN_THE_SERVER, OUTRUN], ids=["hog-in-the-server", "outrun"])
def test_a_server_behind_respawning_decoys_is_ended_with_them(tmp_path, group, attack, wrap):
    ran = run(tmp_path, group, attack, DECOYS, wrap=wrap)
    assert ran.returncode == 137, ran.stderr
    assert oom_kills(Watchdog(tmp_path).events_path(group)) >= 1


@pytest.mark.slow
@in_and_out
def test_a_server_named_bwrap_does_not_save_its_eldest_child(tmp_path, group, wrap):
    ran = run(tmp_path, group, NAMED_BWRAP, DECOYS, wrap=wrap)
    assert (ran.returncode, ran.stdout.strip()) == (0, "-9"), ran.stderr


@pytest.mark.slow
def test_what_a_server_leaves_behind_ends_with_it(tmp_path, group):
    """The watching process ends with its server; an orphan would then be held by nobody."""
    code = (
        "import subprocess; print(subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=2).pid)"
    )
    ran = run(tmp_path, group, code)
    assert ran.returncode == 0
    assert started_at(int(ran.stdout)) == -1


@pytest.mark.slow
def test_a_full_disk_does_not_save_a_hog(tmp_path, group):
    """Who is ended is counted first; where that can't be written down the limit still holds."""
    events = Watchdog(tmp_path).events_path(group)
    events.unlink()
    events.symlink_to("/dev/full")
    hog = f"hog = bytearray({2 * LIMIT}); hog[::4096] = b'x' * len(hog[::4096]); __import__('time').sleep(20)"
    assert run(tmp_path, group, hog).returncode == 137
