"""Another limit for processes that run, really allocating before and after."""

import subprocess
import sys

import pytest
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


@pytest.fixture(
    params=[
        pytest.param(CgroupV2, id="cgroup_v2", marks=pytest.mark.needs("cgroup-v2")),
        pytest.param(SystemdScope, id="systemd_scope", marks=pytest.mark.needs("systemd")),
        pytest.param(CgroupV1, id="cgroup_v1", marks=pytest.mark.needs("cgroup-v1")),
        pytest.param(Watchdog, id="watchdog"),
    ]
)
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
    resize(enforcer, server.handle, LIMIT, MORE)
    resize(enforcer, server.handle, LIMIT, MORE)  # again, as after a crash half way
    assert server.hold(110) == ["held", "110"]
    assert server.hold(280) == ["refused", "110"], "the new limit holds"


def test_less_is_refused_while_more_is_in_use_and_ends_nothing(enforcer, server):
    resize(enforcer, server.handle, LIMIT, MORE)
    assert server.hold(110) == ["held", "110"]
    with pytest.raises(ResizeError, match="in use"):
        resize(enforcer, server.handle, MORE, 80 * MIB)
    assert server.process.poll() is None
    assert used_bytes(enforcer, server.handle) > 100 * MIB
    assert server.hold(100) == ["held", "100"], "the old limit holds"
    assert server.hold(5) == ["held", "5"]
    resize(enforcer, server.handle, MORE, LIMIT)
    assert server.hold(200) == ["refused", "5"]


def test_more_than_the_machine_has_is_not_promised(enforcer, server, monkeypatch):
    monkeypatch.setattr(module, "_meminfo", lambda _name: 100 * MIB)
    assert available_bytes(enforcer, server.handle) <= 100 * MIB
    with pytest.raises(NoRoomError, match="available"):
        resize(enforcer, server.handle, LIMIT, MORE)
    assert server.hold(200)[0] == "refused"


def test_a_server_that_has_ended_is_a_failed_change(enforcer):
    with pytest.raises(ResizeError):
        resize(enforcer, "/nowhere/at-all", MORE, LIMIT)
