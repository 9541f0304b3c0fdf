"""Another limit for processes that run, really allocating before and after."""

import asyncio
import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cubehub_spawner import ProfileLocalSpawner, enforcers
from cubehub_spawner.enforcers import CgroupV1, CgroupV2, SystemdScope, Watchdog
from cubehub_spawner.enforcers import resize as module
from cubehub_spawner.enforcers.resize import available_bytes, resize, used_bytes
from cubehub_spawner.errors import NoRoomError, ResizeError

pytestmark = pytest.mark.slow
MIB = 2**20
LIMIT, MORE = 120 * MIB, 300 * MIB
# holds what it is told to, line by line, and says so; a child tries first, so that it lives to tell, for a while,
# since the watchdog looks ten times a second
SERVER = """
import subprocess, sys
held = b""
TRY = "import time; hog = bytearray({0} << 20); hog[::4096] = b'x' * len(hog[::4096]); time.sleep(0.5)"
print("here", flush=True)
for line in sys.stdin:
    mib = int(line)
    status = subprocess.run([sys.executable, "-c", TRY.format(mib)]).returncode
    if status == 0:
        held = bytearray(mib << 20); held[::4096] = b"x" * len(held[::4096])
    print("held" if status == 0 else "refused", len(held) >> 20, flush=True)
"""


CGROUP_V2 = pytest.param(CgroupV2, id="cgroup_v2", marks=pytest.mark.needs("cgroup-v2"))
SYSTEMD = pytest.param(SystemdScope, id="systemd_scope", marks=pytest.mark.needs("systemd"))
CGROUP_V1 = pytest.param(CgroupV1, id="cgroup_v1", marks=pytest.mark.needs("cgroup-v1"))


@pytest.fixture(params=[CGROUP_V2, SYSTEMD, CGROUP_V1, pytest.param(Watchdog, id="watchdog")])
def enforcer(request, tmp_path):
    return request.param.probe(tmp_path)


class Server:
    def __init__(self, enforcer, handle):
        self.process = subprocess.Popen(
            enforcer.command(handle, [sys.executable, "-c", SERVER]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "here\n"

    def hold(self, mib):
        self.process.stdin.write(f"{mib}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()


@pytest.fixture
def server(enforcer, tmp_path):
    handle = enforcer.create(f"cubehub-resize-{tmp_path.name}", LIMIT)
    one = Server(enforcer, handle)
    one.handle = handle
    yield one
    assert enforcer.remove(handle)
    one.process.communicate(timeout=30)


def test_what_was_refused_succeeds_after_the_change_in_the_same_process(enforcer, server):
    assert server.hold(20) == ["held", "20"]
    assert server.hold(200) == ["refused", "20"]
    resize(enforcer, server.handle, MORE)
    resize(enforcer, server.handle, MORE)  # again, as after a crash half way
    assert enforcer.limit_now(server.handle) == MORE
    assert server.hold(110) == ["held", "110"]
    assert server.hold(280) == ["refused", "110"], "the new limit holds"


FORKS = """
import os, signal, sys, time
children = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        hog = bytearray({0} << 18); hog[::4096] = b"x" * len(hog[::4096]); time.sleep(1); os._exit(0)
    children.append(pid)
ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print("held" if ended == [0, 0, 0, 0] else "refused")
"""
SETSID = """
import os, sys, time
away = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        hog = bytearray({0} << 20); hog[::4096] = b"x" * len(hog[::4096]); time.sleep(1)
        os.write(away[1], b"held"); os._exit(0)
    os._exit(0)
os.close(away[1]); os.wait()
print(os.read(away[0], 10).decode() or "refused")
"""


@pytest.mark.parametrize("code", [FORKS, SETSID], ids=["forks", "setsid"])
def test_forks_and_children_of_their_own_session_have_the_new_limit_too(enforcer, tmp_path, code):
    group = enforcer.create(f"cubehub-resize-tree-{tmp_path.name}", LIMIT)

    def tried(mib):
        command = [sys.executable, "-c", code.replace("{0}", str(mib))]
        ran = subprocess.run(enforcer.command(group, command), capture_output=True, text=True, check=False)
        return ran.stdout.strip() or "refused"

    try:
        assert tried(200) == "refused"
        resize(enforcer, group, MORE)
        assert tried(200) == "held"
        assert tried(400) == "refused"
        resize(enforcer, group, LIMIT)
        assert tried(200) == "refused"
    finally:
        assert enforcer.remove(group)


def test_less_is_refused_while_more_is_in_use_and_ends_nothing(enforcer, server):
    resize(enforcer, server.handle, MORE)
    assert server.hold(110) == ["held", "110"]
    with pytest.raises(ResizeError, match="in use"):
        resize(enforcer, server.handle, 80 * MIB)
    assert server.process.poll() is None
    assert used_bytes(enforcer, server.handle) > 100 * MIB
    assert server.hold(100) == ["held", "100"], "the old limit holds"
    assert server.hold(5) == ["held", "5"]
    resize(enforcer, server.handle, LIMIT)
    assert server.hold(200) == ["refused", "5"]


def test_more_than_the_machine_has_is_not_promised(enforcer, server, monkeypatch):
    monkeypatch.setattr(module, "_meminfo", lambda _name: (256 + 250) * MIB)
    assert available_bytes(enforcer, server.handle) <= 250 * MIB
    with pytest.raises(NoRoomError, match="to give"):
        resize(enforcer, server.handle, MORE)
    assert server.hold(200)[0] == "refused"


def test_a_server_that_has_ended_is_a_failed_change(enforcer):
    with pytest.raises(ResizeError):
        resize(enforcer, "/nowhere/at-all", LIMIT)


def test_limits_may_add_up_to_more_than_the_machine(enforcer, server, tmp_path):
    """What counts is what is in use: two servers may both be given what only one of them can fill."""
    free = module._meminfo("MemAvailable")
    other = enforcer.create(f"cubehub-resize-other-{tmp_path.name}", LIMIT)
    try:
        for handle in (server.handle, other):
            resize(enforcer, handle, free * 3 // 4)
    finally:
        assert enforcer.remove(other)


def test_a_limit_around_the_server_counts(enforcer, server, monkeypatch):
    monkeypatch.setattr(enforcer, "around", lambda _handle: [(600 * MIB, 200 * MIB)])
    with pytest.raises(NoRoomError):
        resize(enforcer, server.handle, MORE)
    assert server.hold(200)[0] == "refused"


def test_a_restarted_hub_changes_the_limit_of_a_server_it_did_not_start(
    enforcer, server, tmp_path, monkeypatch
):
    monkeypatch.setattr(enforcers, "_chosen", {})  # as in a new process
    user = SimpleNamespace(name="ana", escaped_name="ana", spawners={})
    spawner = ProfileLocalSpawner(
        orm_spawner=SimpleNamespace(name="", server=None, user_options=None),
        user=user,
        state_dir=str(tmp_path),
    )
    pid = server.process.pid
    spawner.load_state(
        {"pid": pid, "started": 1, "enforcer": enforcer.name, "handle": server.handle, "granted_bytes": LIMIT}
    )
    assert server.hold(200)[0] == "refused"
    asyncio.run(spawner.resize_server(MORE, 2.0))
    assert server.hold(110) == ["held", "110"]
    assert 100 * MIB < asyncio.run(spawner.memory_used()) < MORE


@pytest.mark.parametrize("enforcer", [CGROUP_V2, SYSTEMD, CGROUP_V1], indirect=True)
def test_files_that_can_be_dropped_are_no_reason_to_refuse_less(enforcer, server, tmp_path):
    resize(enforcer, server.handle, MORE)
    write = "import sys; f = open(sys.argv[1], 'wb'); [f.write(bytes(2**20)) for _ in range(220)]; f.flush(); import os; os.fsync(f)"
    command = [sys.executable, "-c", write, str(tmp_path / "big")]
    subprocess.run(enforcer.command(server.handle, command), check=True)
    assert enforcer.usage(server.handle) > LIMIT
    assert used_bytes(enforcer, server.handle) < LIMIT
    resize(enforcer, server.handle, LIMIT)
    assert enforcer.usage(server.handle) <= LIMIT
    assert server.hold(20) == ["held", "20"]


class Pretended(CgroupV2):
    """cgroup v2 in a folder, with a kernel that drops nothing."""

    written: list[str]

    def hold_back(self, handle, memory_bytes):
        self.written.append(f"high {memory_bytes and memory_bytes // MIB}")
        super().hold_back(handle, memory_bytes)

    def _write_limit(self, folder, memory_bytes):
        self.written.append(f"max {memory_bytes // MIB}")
        super()._write_limit(folder, memory_bytes)


@pytest.fixture
def pretended(tmp_path):
    enforcer = Pretended(tmp_path)
    enforcer.written = []
    handle = enforcer.create("g", 500 * MIB)
    (Path(handle) / "memory.current").write_text(str(290 * MIB))
    (Path(handle) / "memory.stat").write_text(f"anon 0\ninactive_file {100 * MIB}\n")
    return enforcer, handle


def test_v2_is_held_back_before_a_limit_that_would_end_processes_is_written(pretended):
    enforcer, handle = pretended
    resize(enforcer, handle, 300 * MIB)
    assert enforcer.written[1:] == ["high 300", "max 300", "high None"]
    assert (Path(handle) / "memory.high").read_text() == "max"


def test_v2_gets_no_limit_that_what_is_in_use_did_not_come_down_to(pretended):
    enforcer, handle = pretended
    with pytest.raises(ResizeError, match="in use"):
        resize(enforcer, handle, 200 * MIB)  # 190 could be left, and the kernel did not get there
    assert enforcer.written[1:] == ["high 200", "high None"]
    assert enforcer.limit_now(handle) == 500 * MIB


def test_what_was_written_by_half_is_taken_back(pretended, monkeypatch):
    enforcer, handle = pretended
    write = enforcer._write_limit

    def by_half(folder, memory_bytes):
        write(folder, memory_bytes)
        if memory_bytes == 400 * MIB:
            raise OSError(errno.EBUSY, "the second file")

    monkeypatch.setattr(enforcer, "_write_limit", by_half)
    with pytest.raises(ResizeError, match="second file"):
        resize(enforcer, handle, 400 * MIB)
    assert enforcer.limit_now(handle) == 500 * MIB
