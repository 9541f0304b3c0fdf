"""Each part is killed in turn while somebody works; then the supervisor itself."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from cubehub_tests.people import Visitor
from cubehub_tests.platform import Whole
from cubehub_tests.servers import Account, Kernel

pytestmark = [pytest.mark.whole, pytest.mark.chaos]
SUPERVISED = ("keycloak", "catalogue", "cubes", "gateway", "console", "accounts", "storage", "hub")
DOORS = {
    "keycloak": None,
    "catalogue": "/services/catalogue/",
    "cubes": "/services/cubes/datasets",
    "gateway": "/services/dask-gateway/health",
    "console": "/services/console/",
    "accounts": "/services/accounts/health",
    "storage": "/services/storage/health",
    "hub": "/hub/api",
}


@pytest.fixture(scope="module")
def working(whole: Whole, ana: Account) -> Iterator[Kernel]:
    """Give a kernel in which somebody has worked."""
    whole.wait_until_healthy()
    ana.start()
    with ana.kernel() as kernel:
        kernel.run("work = list(range(1000)); import os; pid = os.getpid()")
        yield kernel


def work_is_kept(ana: Account, kernel: Kernel) -> bool:
    """Whether the variables are there, looked at over a new connection."""
    again = ana.connect(kernel.id)
    try:
        return again.run("print(sum(work), pid == os.getpid())").text == "499500 True"
    finally:
        again.socket.close()


def restarts(whole: Whole, part: str) -> int:
    return int(whole.status()["parts"][part]["restarts"])


def wait_for_door(whole: Whole, path: str, *, patience_s: float = 60) -> httpx.Response:
    """Wait until a page answers through the one address."""
    visitor = Visitor.arrive(whole)
    try:
        ends = time.monotonic() + patience_s
        while True:
            try:
                answer = visitor.http.get(path)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return answer
            assert time.monotonic() < ends, f"{path} does not come back: {answer}"
            time.sleep(0.5)
    finally:
        visitor.http.close()


@pytest.mark.parametrize("part", SUPERVISED)
def test_a_killed_part_comes_back(whole: Whole, ana: Account, working: Kernel, part: str) -> None:
    before = restarts(whole, part)
    victim = whole.pid(part)
    os.kill(victim, signal.SIGKILL)
    whole.wait_until_healthy(restarted=part, since=before)
    assert whole.pid(part) != victim
    assert re.search(rf"{part} ended with status -9; starting it again", whole.log("up"))
    assert re.search(rf"{part} started \(process {whole.pid(part)}\)", whole.log("up"))
    if DOORS[part]:
        wait_for_door(whole, DOORS[part])
    assert work_is_kept(ana, working)


def test_a_login_works_after_all_that(whole: Whole) -> None:
    visitor = Visitor.login(whole, "petra")
    assert visitor.http.get("/hub/home").status_code == httpx.codes.OK
    visitor.http.close()


def child_named(whole: Whole, word: str) -> psutil.Process:
    """Find one of the platform's processes by a word of its command."""
    return next(
        process for process in whole.processes() if any(word in part for part in process.cmdline()[:3])
    )


def test_the_killed_proxy_comes_back_with_all_routes(whole: Whole, ana: Account, working: Kernel) -> None:
    victim = child_named(whole, "configurable-http-proxy")
    os.kill(victim.pid, signal.SIGKILL)
    wait_for_door(whole, "/services/cubes/datasets")
    wait_for_door(whole, "/services/catalogue/")
    whole.wait_until_healthy()
    ends = time.monotonic() + 60
    while ana.api.get("/user/ana/api/status").is_error:
        assert time.monotonic() < ends, "the route to the server does not come back"
        time.sleep(0.5)
    assert work_is_kept(ana, working)
    assert child_named(whole, "configurable-http-proxy").pid != victim.pid


@pytest.mark.needs("postgis")
def test_the_killed_database_comes_back(whole: Whole, ana: Account, working: Kernel) -> None:
    catalogue = psutil.Process(whole.pid("catalogue"))
    database = next(process for process in catalogue.children(recursive=True) if "postgres" in process.name())
    os.kill(database.pid, signal.SIGKILL)
    ends = time.monotonic() + 90
    visitor = Visitor.arrive(whole)
    found: list[str] = []
    while not found:
        assert time.monotonic() < ends, "the catalogue does not find anything again"
        time.sleep(1)
        try:
            answer = visitor.http.get("/services/catalogue/search", params={"collections": "cubes"})
            found = [item["id"] for item in answer.json()["features"]] if answer.is_success else []
        except httpx.HTTPError:
            continue
    visitor.http.close()
    whole.wait_until_healthy()
    assert work_is_kept(ana, working)


def test_a_killed_server_is_noticed_and_starts_again(petra: Account, whole: Whole) -> None:
    petra.start()
    mine = [process for process in whole.processes() if process.environ().get("JUPYTERHUB_USER") == "petra"]
    assert mine
    for process in mine:
        process.kill()
    ends = time.monotonic() + 60
    while petra.model["servers"]:
        assert time.monotonic() < ends, "the Hub does not notice that a server is gone"
        time.sleep(1)
    petra.start()
    petra.stop()


def test_a_killed_supervisor_leaves_servers_and_the_next_up_takes_over(
    whole: Whole, ana: Account, working: Kernel
) -> None:
    whole.processes()
    before = whole.status()
    supervisor = psutil.Process(before["up"]["pid"])
    server = [process.pid for process in whole.processes() if "CUBEHUB_SERVER_OF" in process.environ()]
    assert server
    os.kill(supervisor.pid, signal.SIGKILL)
    stopped = whole.status()
    assert not stopped["running"]
    assert stopped["phase"] == "stopped"
    assert stopped["servers"]["processes"] > 0
    whole.up()
    after = whole.status()
    assert after["phase"] == "healthy"
    assert not {part["pid"] for part in after["parts"].values()} & {
        part["pid"] for part in before["parts"].values()
    }
    kept = {process.pid for process in whole.processes()}
    assert set(server) & kept, "people's servers stay"
    old = {part["pid"] for part in before["parts"].values()} & kept
    assert not old, f"parts of the killed platform still run: {old}"
    assert work_is_kept(ana, working)


def test_down_ends_everything_and_keeps_the_files(whole: Whole, ana: Account) -> None:
    ana.start()
    with ana.kernel() as kernel:
        kernel.run("open('kept.txt', 'w').write('a line')")
    assert whole.down().json["stopped"] is True
    assert whole.processes() == []
    assert not whole.status()["running"]
    assert whole.run("status", check=False).status == 1
    assert "not running" in whole.run("status", check=False).stdout
    assert whole.down().json["stopped"] is False
    assert [path.read_text() for path in (whole.data / "homes").glob("*/kept.txt")] == ["a line"]


@pytest.mark.needs("network-cut")
def test_a_later_start_needs_no_network(whole: Whole) -> None:
    from cubehub_tests.needs import network_cut  # noqa: PLC0415 - tried anew, it starts a process

    cut = network_cut()
    assert cut is not None
    accounts = (whole.data / "accounts.txt").read_text()
    said = whole.execute([*cut, *whole.up_command()], timeout_s=300)
    assert said.json["url"] == whole.url
    assert whole.status()["phase"] == "healthy"
    steps = [json.loads(line)["step"] for line in said.stderr.splitlines() if line.startswith("{")]
    assert not [step for step in steps if step.endswith("environment")], "nothing is made anew"
    assert (whole.data / "accounts.txt").read_text() == accounts
    whole.down()
    assert whole.processes() == []
