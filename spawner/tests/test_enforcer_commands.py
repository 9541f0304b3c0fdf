"""What each enforcer would write and run, on folders that only look like the kernel's."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cubehub_spawner import NoEnforcerError, enforcers
from cubehub_spawner.enforcers import CannotHoldError, CgroupV1, CgroupV2, SystemdScope, Watchdog, oom_kills
from cubehub_spawner.enforcers._tree import children, eldest_child
from cubehub_spawner.enforcers.base import kill
from cubehub_spawner.enforcers.cgroup_v2 import candidate_bases, enable_memory

GIB = 2**30


def test_the_shell_joins_before_the_server_runs(tmp_path):
    (tmp_path / "cgroup.procs").touch()
    command = CgroupV2(tmp_path).command(str(tmp_path), ["/bin/sh", "-c", "echo $$"])
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "cgroup.procs").read_text() == ran.stdout, (
        "the server keeps the process id that joined"
    )


def test_a_server_that_cannot_join_does_not_run(tmp_path):
    command = CgroupV2(tmp_path).command(str(tmp_path / "missing"), ["/bin/echo", "ran"])
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (111, "")


def test_v2_limits_ram_and_forbids_swap(tmp_path):
    handle = CgroupV2(tmp_path).create("g", GIB)
    assert Path(handle) == tmp_path / "g"
    assert (tmp_path / "g/memory.max").read_text() == str(GIB)
    assert (tmp_path / "g/memory.swap.max").read_text() == "0"
    CgroupV2(tmp_path).limit(handle, 2 * GIB)
    assert (tmp_path / "g/memory.max").read_text() == str(2 * GIB)


def test_v1_limits_ram_with_swap(tmp_path):
    (tmp_path / "memory.memsw.limit_in_bytes").write_text(str(2**63))
    enforcer = CgroupV1(tmp_path)
    enforcer.limit(str(tmp_path), GIB)
    assert (tmp_path / "memory.limit_in_bytes").read_text() == str(GIB)
    assert (tmp_path / "memory.memsw.limit_in_bytes").read_text() == str(GIB)


def test_v1_without_swap_accounting_does_not_swap(tmp_path):
    CgroupV1(tmp_path).limit(str(tmp_path), GIB)
    assert (tmp_path / "memory.swappiness").read_text() == "0"


def test_v2_hands_the_controller_on(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    enable_memory(tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"


def test_v2_without_the_controller_says_so(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    with pytest.raises(CannotHoldError, match="not delegated"):
        enable_memory(tmp_path)


def test_what_systemd_has_not_delegated_is_left_alone(tmp_path):
    own, root = tmp_path / "own", tmp_path
    own.mkdir()
    assert candidate_bases(own, root, systemd=True) == []
    assert candidate_bases(own, root, systemd=False) == [own, root]
    assert candidate_bases(root, root, systemd=False) == [root]


def test_a_hub_restarted_in_the_leaf_does_not_nest_another(tmp_path):
    leaf = tmp_path / "own" / "cubehub-hub"
    leaf.mkdir(parents=True)
    assert candidate_bases(leaf, tmp_path, systemd=False) == [tmp_path / "own", tmp_path]


def test_scope_command(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    enforcer = SystemdScope(tmp_path / "app.slice")
    handle = enforcer.create("cubehub-x-ana", 5 * GIB)
    assert handle == "cubehub-x-ana.scope"
    assert enforcer.command(handle, ["server"]) == [
        "/usr/bin/env", "XDG_RUNTIME_DIR=/run/user/1000", "systemd-run", "--user", "--scope", "--quiet", "--collect",
        "--unit=cubehub-x-ana", "--slice=app.slice", f"--property=MemoryMax={5 * GIB}", "--property=MemorySwapMax=0",
        "--", "/usr/bin/env", "-u", "XDG_RUNTIME_DIR", "server",
    ]  # fmt: skip
    assert enforcer.events_path(handle) == tmp_path / "app.slice/cubehub-x-ana.scope/memory.events"


def test_counters():
    assert oom_kills(Path(__file__).parent / "no such file") == 0


class Broken(Watchdog):
    name = "broken"

    @classmethod
    def probe(cls, state_dir):
        raise CannotHoldError(f"because of {state_dir.name}")


def test_the_first_that_works_is_taken(tmp_path):
    assert isinstance(enforcers.choose(tmp_path, [Broken, Watchdog]), Watchdog)


def test_servers_that_start_at_once_probe_once(tmp_path):
    """The second probe would find the first one's group in its way, and settle for less."""
    probes = []

    class Slow(Watchdog):
        @classmethod
        def probe(cls, state_dir):
            probes.append(state_dir)
            time.sleep(0.2)
            return cls(state_dir)

    with ThreadPoolExecutor(4) as pool:
        chosen = list(pool.map(lambda _: enforcers.choose(tmp_path, [Slow]), range(4)))
    assert len(probes) == 1
    assert len(set(map(id, chosen))) == 1


def test_a_process_of_another_namespace_is_not_taken_for_our_own_group():
    assert not kill(0, 0)
    assert not kill(-1, 0)
    assert kill(os.getpid(), 0)


ZOMBIE_FIRST = """
import os, sys, time
if os.fork() == 0: os._exit(0)
time.sleep(0.05)
pid = os.fork()
if pid == 0: time.sleep(60)
print(pid, flush=True)
time.sleep(60)
"""


def test_a_child_that_has_ended_is_not_taken_for_the_server():
    with subprocess.Popen([sys.executable, "-c", ZOMBIE_FIRST], stdout=subprocess.PIPE, text=True) as process:
        alive = int(process.stdout.readline())
        assert len(children(process.pid)) == 2
        assert eldest_child(process.pid) == alive
        process.kill()
        kill(alive)
    assert eldest_child(process.pid) is None


def test_when_none_works_no_server_starts(tmp_path):
    with pytest.raises(NoEnforcerError, match="broken: because of"):
        enforcers.choose(tmp_path, [Broken])
