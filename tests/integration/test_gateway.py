"""Dask Gateway from a notebook: within the profile's budget, and gone when it is closed."""

import contextlib
import time

import psutil
import pytest
from cubehub_tests.people import Visitor
from cubehub_tests.platform import Whole
from cubehub_tests.servers import Account

pytestmark = pytest.mark.whole
SUM = """
from dask_gateway import Gateway
gateway = Gateway()
cluster = gateway.new_cluster(worker_cores=1, worker_memory=0.75)
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=120)
import dask.array as da
print(int(da.arange(1_000_000, chunks=100_000).sum().compute()))
"""


def test_a_cluster_computes_and_goes(whole: Whole, ana: Account) -> None:
    ana.start()
    with ana.kernel() as kernel:
        assert kernel.run(SUM, timeout_s=240).text.splitlines()[-1] == str(999_999 * 1_000_000 // 2)
        second = kernel.run("gateway.new_cluster()", check=False, timeout_s=120)
        assert "1" in second.error, "Standard allows one cluster"
        assert "Traceback" not in second.error
        kernel.run("client.close(); cluster.close()", timeout_s=60)
        assert kernel.run("print(gateway.list_clusters())").text == "[]"
        # what a person asks for is held against the profile, not taken from the request
        refused = kernel.run("gateway.new_cluster(worker_memory=64)", check=False, timeout_s=120)
        assert refused.error
        kernel.run("gateway.close()")
    ends = time.monotonic() + 60
    while left := workers(whole):
        assert time.monotonic() < ends, f"workers of a closed cluster go on: {left}"
        time.sleep(0.5)


def workers(whole: Whole) -> list[list[str]]:
    """Give the commands of the Dask workers that run."""
    commands = []
    for process in whole.processes():
        with contextlib.suppress(psutil.Error):  # it has just ended
            commands.append(process.cmdline())
    return [command for command in commands if "worker" in command and "dask" in " ".join(command)]


def test_somebody_without_a_profile_gets_no_cluster(viktor: Account) -> None:
    answer = viktor.api.post("/services/dask-gateway/api/v1/clusters/", json={"cluster_options": {}})
    assert answer.is_client_error
    assert "Traceback" not in answer.text


def test_nobody_gets_in_without_a_token(whole: Whole) -> None:
    visitor = Visitor.arrive(whole)
    answer = visitor.http.get("/services/dask-gateway/api/v1/clusters/", follow_redirects=False)
    visitor.http.close()
    assert answer.status_code in {401, 403}
