"""A real JupyterHub, a real gateway, real clusters."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from dask_gateway import Gateway
from dask_gateway.auth import JupyterHubAuth
from dask_gateway.client import GatewayWarning
from support import LIFT_LIMIT, get, memory_limit, wait_for

pytestmark = [
    pytest.mark.slow,
    # distributed and the client leave sockets to the garbage collector when a cluster is torn down under them.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def client(gateway, token):
    return Gateway(gateway.url, proxy_address=gateway.proxy_url, auth=JupyterHubAuth(api_token=token))


def processes_in(folder):
    """Ids of processes whose command line or folder names `folder`, i.e. schedulers, workers, their sandboxes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                cwd = str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(folder) in command or cwd.startswith(str(folder)):
                found.append(int(entry.name))
    return found


def test_a_cluster_computes_and_sees_nothing_but_itself(hub, gateway):
    process = gateway.start()
    assert get(f"{gateway.url}/api/health") == (200, {"status": "pass"})
    sandbox = get(f"{gateway.url}/health")[1]["sandbox"]
    with client(gateway, hub.token("ana")) as api:
        with api.new_cluster(worker_cores=1, worker_memory=0.5) as cluster:
            cluster.scale(2)
            with cluster.get_client() as dask_client:
                dask_client.wait_for_workers(2, timeout=60)
                parts = dask_client.map(sum, [range(n, n + 1000) for n in range(0, 100_000, 1000)])
                assert dask_client.submit(sum, parts).result(30) == 4_999_950_000

                environment = dask_client.submit(lambda: dict(os.environ)).result(30)
                assert gateway.hub_token not in str(environment)
                if sandbox:
                    assert not dask_client.submit(os.path.exists, str(gateway.secret_file)).result(30)
                    assert not dask_client.submit(os.path.exists, "/etc/shadow").result(30)
                    assert dask_client.submit(os.getuid).result(30) == 1000
                    assert dask_client.run_on_scheduler(os.getuid) == 1000
                    assert dask_client.submit(lambda: len(list(Path("/proc").iterdir()))).result(30) < 100

                # What the profile gives is two cores: a third worker isn't started.
                with pytest.warns(GatewayWarning, match="resource limit of 2 workers"):
                    cluster.scale(5)
                wait_for(lambda: len(dask_client.scheduler_info()["workers"]) == 2, "two workers")
                # distributed's own word for no limit; the profile's holds all the same
                with pytest.warns(GatewayWarning, match="Using `maximum=2"):
                    cluster.adapt(minimum=1, maximum=float("inf"))
                wait_for(lambda: len(dask_client.scheduler_info()["workers"]) == 1, "an idle worker to go")
                assert get(f"{gateway.url}/clusters/{cluster.name}/health") == (200, "ok")
        wait_for(lambda: not processes_in(gateway.state), "scheduler and workers to end")
    assert process.stop() == 0
    assert gateway.hub_token not in process.log.read_text()


def test_limits_refuse_with_a_reason(hub, gateway):
    gateway.start()
    clusters = f"{gateway.url}/api/v1/clusters/"

    def ask(token, method="POST", url=clusters, **options):
        body = {"cluster_options": options} if method == "POST" else None
        return get(url, token, method, body, "jupyterhub")

    ana, viktor = hub.token("ana"), hub.token("viktor")
    for options, reason in [
        ({"worker_cores": 3}, "worker_cores must be <= 2"),
        ({"worker_memory": 64}, "worker_memory must be <= 1"),
        ({"cluster_max_workers": 99}, "cluster_max_workers"),
        ({"environment": {"X": "1"}}, "environment"),
    ]:
        status, answer = ask(ana, **options)
        assert status == 422
        assert reason in answer["error"]
    status, answer = ask(ana, worker_memory=0.5)
    assert status == 201
    status, refusal = ask(ana, worker_memory=0.5)
    assert status == 422
    assert "allows 1 Dask cluster" in refusal["error"]
    assert ask(ana, "DELETE", clusters + answer["name"])[0] == 204

    for url, method in [(clusters, "POST"), (f"{gateway.url}/api/v1/options", "GET")]:
        status, refusal = ask(viktor, method, url)
        assert status == 422
        assert "in no group that grants" in refusal["error"]
    assert get(clusters)[0] == 401
    assert ask("not-a-token")[0] == 401


def test_kill_9_leaves_nothing_and_the_next_start_works(hub, gateway):
    process = gateway.start()
    token = hub.token("petra")
    clusters = f"{gateway.url}/api/v1/clusters/"
    status, answer = get(clusters, token, "POST", {"cluster_options": {"worker_memory": 0.5}}, "jupyterhub")
    assert status == 201
    own = clusters + answer["name"]
    wait_for(lambda: get(own, token, scheme="jupyterhub")[1]["status"] == "RUNNING", "the cluster")
    assert get(f"{own}/scale", token, "POST", {"count": 1}, "jupyterhub")[0] == 200
    wait_for(lambda: len(processes_in(gateway.state)) >= 4, "scheduler and worker")
    groups = gateway.groups()
    process.stop(signal.SIGKILL)
    wait_for(lambda: not processes_in(gateway.state), "everything to die with the gateway", 20)

    again = gateway.start()
    assert list((gateway.state / "clusters").iterdir()) == []
    assert [group for group in groups if group.exists()] == []
    assert gateway.groups() == []
    assert again.stop() == 0


def test_a_worker_that_takes_too_much_is_stopped_at_its_limit(hub, gateway):
    gateway.start()
    with client(gateway, hub.token("ana")) as api, api.new_cluster(worker_memory=0.25) as cluster:
        cluster.scale(1)
        with cluster.get_client() as dask_client:
            dask_client.wait_for_workers(1, timeout=60)
            with pytest.raises(Exception, match="all those workers died"):
                dask_client.submit(
                    lambda: len(bytearray(600 * 2**20)), retries=0, allow_other_workers=False
                ).result(120)


@pytest.mark.needs("memory-cgroup", "userns-ban")
def test_neither_worker_nor_scheduler_lifts_its_own_limit(hub, gateway):
    def attack():
        done = subprocess.run([sys.executable, "-c", LIFT_LIMIT], check=False, capture_output=True, text=True)
        return done.stdout, done.stderr

    gateway.start()
    with client(gateway, hub.token("ana")) as api, api.new_cluster(worker_memory=0.5) as cluster:
        cluster.scale(1)
        with cluster.get_client() as dask_client:
            dask_client.wait_for_workers(1, timeout=60)
            limits = {group: memory_limit(group) for group in gateway.groups()}
            assert sorted(limits.values()) == [2**29, 2**30]
            for lifted, failure in (
                dask_client.submit(attack).result(30),
                dask_client.run_on_scheduler(attack),
            ):
                assert lifted == ""
                assert "unshare" in failure
            assert {group: memory_limit(group) for group in limits} == limits


@pytest.mark.needs("bubblewrap")
def test_no_cluster_is_started_until_the_sandbox_works(hub, gateway, tmp_path):
    shortage, program = tmp_path / "shortage", tmp_path / "bwrap"
    shortage.write_text("bwrap: Can't fork: Cannot allocate memory\n")
    program.write_text(f"#!/bin/sh\nif cat '{shortage}' >&2; then exit 1; fi\nexec bwrap \"$@\"\n")
    program.chmod(0o755)
    process = gateway.start(isolation=[str(program)])
    assert get(f"{gateway.url}/health")[1]["sandbox"] is False
    token = hub.token("petra")
    clusters = f"{gateway.url}/api/v1/clusters/"

    def create():
        return get(clusters, token, "POST", {"cluster_options": {"worker_memory": 0.5}}, "jupyterhub")

    status, refusal = create()
    assert status == 422
    assert "can't shut a cluster into a sandbox at the moment" in refusal["error"]
    assert processes_in(gateway.state) == []
    assert "Cannot allocate memory" in process.log.read_text()

    shortage.unlink()
    status, answer = create()
    assert status == 201
    own = clusters + answer["name"]
    wait_for(lambda: get(own, token, scheme="jupyterhub")[1]["status"] == "RUNNING", "the cluster")
    assert get(f"{gateway.url}/health")[1]["sandbox"] is True
    assert get(own, token, "DELETE", scheme="jupyterhub")[0] == 204
    assert process.stop() == 0


@pytest.mark.needs("memory-cgroup")
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_no_memory_cgroup_outlives_its_cluster(hub, gateway, end):
    process = gateway.start()
    token = hub.token("petra")
    clusters = f"{gateway.url}/api/v1/clusters/"
    status, answer = get(clusters, token, "POST", {"cluster_options": {"worker_memory": 0.5}}, "jupyterhub")
    assert status == 201
    own = clusters + answer["name"]

    def is_now(status):
        return get(own, token, scheme="jupyterhub")[1]["status"] == status

    wait_for(lambda: is_now("RUNNING"), "the cluster")
    assert get(f"{own}/scale", token, "POST", {"count": 2}, "jupyterhub")[0] == 200
    wait_for(lambda: len(gateway.groups()) == 3, "groups of the scheduler and two workers")
    groups = gateway.groups()
    assert all(group.exists() for group in groups)
    if end == "killed":
        for group in groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    assert get(own, token, "DELETE", scheme="jupyterhub")[0] == 204
    wait_for(lambda: is_now("STOPPED"), "the cluster to stop")
    assert [group for group in groups if group.exists()] == []
    assert gateway.groups() == []
    assert process.stop() == 0


@pytest.mark.needs("memory-cgroup")
def test_no_memory_cgroup_is_left_of_a_cluster_that_is_stopped_while_it_starts(hub, gateway):
    """Bubblewrap goes at the first signal then, what is in its sandbox a moment later."""
    process = gateway.start()
    token = hub.token("petra")
    clusters = f"{gateway.url}/api/v1/clusters/"
    seen = []
    for _ in range(6):
        status, answer = get(
            clusters, token, "POST", {"cluster_options": {"worker_memory": 0.5}}, "jupyterhub"
        )
        assert status == 201
        own = clusters + answer["name"]
        wait_for(
            lambda: any((group / "cgroup.procs").read_text() for group in gateway.groups()), "a scheduler"
        )
        seen += gateway.groups()
        assert get(own, token, "DELETE", scheme="jupyterhub")[0] == 204
        wait_for(
            lambda url=own: get(url, token, scheme="jupyterhub")[1]["status"] == "STOPPED",
            "the cluster to stop",
        )
    assert len(set(seen)) == 6
    assert [group for group in seen if group.exists()] == []
    assert process.stop() == 0


@pytest.mark.needs("memory-cgroup")
def test_no_memory_cgroup_is_left_of_a_cluster_that_fails_to_start(hub, gateway, tmp_path):
    process = gateway.start(worker_env_prefix=str(tmp_path / "no-environment"))
    token = hub.token("petra")
    clusters = f"{gateway.url}/api/v1/clusters/"
    status, answer = get(clusters, token, "POST", {"cluster_options": {"worker_memory": 0.5}}, "jupyterhub")
    assert status == 201
    own = clusters + answer["name"]
    wait_for(lambda: get(own, token, scheme="jupyterhub")[1]["status"] == "FAILED", "the cluster to fail")
    assert gateway.groups() == []
    assert not list(_cgroups(answer["name"]))
    assert process.stop() == 0


@pytest.mark.needs("memory-cgroup")
def test_no_memory_cgroup_outlives_a_gateway_that_is_stopped(hub, gateway):
    process = gateway.start()
    token = hub.token("petra")
    clusters = f"{gateway.url}/api/v1/clusters/"
    status, _ = get(clusters, token, "POST", {"cluster_options": {"worker_memory": 0.5}}, "jupyterhub")
    assert status == 201
    wait_for(gateway.groups, "the scheduler's group")
    groups = gateway.groups()
    assert process.stop() == 0
    assert [group for group in groups if group.exists()] == []
    assert gateway.groups() == []


def _cgroups(name):
    return (path for path in Path("/sys/fs/cgroup").rglob(f"cubehub-dask-*{name}*") if path.is_dir())
