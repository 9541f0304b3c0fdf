"""A person who tries: what their notebook reaches, what it can become, and what happens past the limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_tests.kube.cluster import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.kube.hub import KubeHub
    from cubehub_tests.servers import Kernel

pytestmark = pytest.mark.kube

REACH = """
import socket
def reach(host, port):
    try:
        socket.create_connection((host, port), 3).close()
    except OSError as error:
        return type(error).__name__
    return "reached"
"""


@pytest.fixture(scope="module", params=["hub", "own"], ids=["shared namespace", "own namespaces"])
def people(request: pytest.FixtureRequest) -> Iterator[KubeHub]:
    """Give a Hub with a victim whose server runs, and somebody else."""
    hub: KubeHub = request.getfixturevalue(request.param)
    for name in ("victor", "eve"):
        hub.begin(hub.person(name, "standard"))
    yield hub
    for name in ("victor", "eve"):
        hub.stop(name)


def test_it_reaches_the_hub_and_nobody_else(people: KubeHub) -> None:
    cluster = people.cluster
    victim = people.pod("victor")["status"]["podIP"]
    service = cluster.get("service", "kubernetes", "default")["spec"]["clusterIP"]
    endpoints = cluster.get("endpointslices", "", "default")
    addresses = {
        (address, port["port"])
        for one in endpoints if one["metadata"]["labels"].get("kubernetes.io/service-name") == "kubernetes"
        for endpoint in one["endpoints"] for address in endpoint["addresses"] for port in one["ports"]
    }  # fmt: skip
    with people.kernel("eve") as kernel:
        kernel.run(REACH)
        hub = cluster.address, people.port
        assert reached(kernel, *hub)
        assert (
            kernel.run("print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))").text == service
        )
        assert not reached(kernel, victim, 8888), "another person's server"
        assert not reached(kernel, service, 443), "the API server"
        assert addresses
        assert not any(reached(kernel, *address) for address in addresses), "the API server behind it"
        assert not reached(kernel, "169.254.169.254", 80), "the cloud's metadata"
    # the same victim answers whoever may ask
    with people.server("victor") as client:
        assert client.get("api").is_success


def reached(kernel: Kernel, host: str, port: int) -> bool:
    """Whether a notebook can connect."""
    return kernel.run(f"print(reach({host!r}, {port}))").text == "reached"


def test_it_is_nobody_and_cannot_become_root(people: KubeHub) -> None:
    look = """
import ctypes, json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def tried(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        return error.errno
    return 0
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "setuid": tried(os.setuid, 0), "setgid": tried(os.setgid, 0),
    "capabilities": [int(status[name].strip(), 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "new_privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
    "unshare": ctypes.CDLL(None).unshare(0x10000000),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "cluster": [name for name in os.environ if name.startswith("KUBERNETES_")],
}))
"""
    with people.kernel("eve") as kernel:
        found: dict[str, Any] = json.loads(kernel.run(look).text)
    assert found["uid"] == [1000] * 3
    assert found["gid"] == [100] * 3
    assert found["setuid"] == found["setgid"] == 1, "not permitted"
    assert found["capabilities"] == [0] * 4
    assert (found["new_privileges"], found["seccomp"]) == ("1", "2")
    assert found["unshare"] == -1, "no user namespace, in which it would be root"
    assert not found["token"]
    # enableServiceLinks leaves the API server's address in; the network does not lead there
    assert all("_SERVICE_" in name or "_PORT" in name for name in found["cluster"])


def test_past_the_limit_it_is_stopped_and_told_why(people: KubeHub) -> None:
    """By the cell's own output where one process is stopped; else, all at once, by a notice."""
    with people.kernel("eve") as kernel:
        events = kernel.run("import os; print(os.environ['CUBEHUB_MEMORY_EVENTS'])").text
        assert kernel.run(f"print('oom_kill ' in open({events!r}).read())").text == "True"
        group = kernel.run(
            "import os; f = '/sys/fs/cgroup/memory.oom.group'; print(open(f).read() if os.path.exists(f) else 0)"
        )
        kernel.run("open('/proc/self/oom_score_adj', 'w').write('1000')")
        hog = "hog = bytearray(900 << 20); hog[::4096] = b'x' * len(hog[::4096])"
        if group.text == "0":
            said = kernel.run(hog, check=False)
            assert said.restarted
            assert "reached its memory limit of 600 MiB (profile Standard)" in said.stderr
            return
        with pytest.raises(Exception, match=r"lost|closed"):
            kernel.run(hog, check=False)
    until(lambda: "out_of_memory" in people.notices("eve"), "the notice")
