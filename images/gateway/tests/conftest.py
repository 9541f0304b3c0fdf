import contextlib
import json
import secrets
import shutil
import sys
from pathlib import Path

import pytest
from support import Process, free_ports, get, require, wait_for

REPO = Path(__file__).resolve().parents[3]
PREFIX = "/services/dask-gateway"


def entitled(profile, clusters, cores, memory_gib):
    """What the Hub says of somebody with that budget."""
    dask = {"clusters": clusters, "cores": cores, "memory": memory_gib * 2**30}
    return {"profile": {"name": profile, "dask": dask}, "refusal": None}


def not_entitled(code, message):
    """What it says of somebody who may have nothing."""
    return {"profile": None, "refusal": {"code": code, "message": message, "hint": "Ask your administrator."}}


PEOPLE = {
    "ana": entitled("standard", 1, 2, 1),
    "petra": entitled("premium", 2, 4, 4),
    "viktor": not_entitled("no_profile", "Your account is in no group that grants a notebook server."),
}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


def jupyterhub_command():
    """The workspace's JupyterHub: this environment has none, as the product's gateway has none."""
    python = REPO / ".venv" / "bin" / "jupyterhub"
    if python.exists():
        return [python]
    return [shutil.which("uv") or "uv", "run", "--project", REPO, "jupyterhub"]


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """A real JupyterHub; `.token(user)` gives a token as a notebook has one."""
    folder = tmp_path_factory.mktemp("hub")
    port, unused = free_ports(2)
    admin = secrets.token_hex(16)
    settings = {
        "port": port,
        "unused_port": unused,
        "gateway_token": secrets.token_hex(16),
        "admin_token": admin,
        "accounts_token": secrets.token_hex(16),
        "entitlements": str(folder / "entitlements.json"),
    }
    entitlements = folder / "entitlements.json"
    entitlements.write_text(json.dumps(PEOPLE))
    process = Process(
        [*jupyterhub_command(), "-f", Path(__file__).with_name("hub_config.py")],
        folder / "hub.log",
        HUB_TEST_SETTINGS=json.dumps(settings),
    )
    url = f"http://127.0.0.1:{port}/hub/api"

    class Hub:
        api_url = url
        gateway_token = settings["gateway_token"]
        accounts_token = settings["accounts_token"]

        @staticmethod
        @contextlib.contextmanager
        def says(name, answer):
            """Let the Hub answer something else about a person for a while."""
            entitlements.write_text(json.dumps({**PEOPLE, name: answer}))
            try:
                yield
            finally:
                entitlements.write_text(json.dumps(PEOPLE))

        @staticmethod
        def token(user):
            status, _ = get(f"{url}/users/{user}", admin, "POST")
            assert status in {201, 409}
            status, answer = get(f"{url}/users/{user}/tokens", admin, "POST", {})
            assert status == 201, answer
            return answer["token"]

    try:
        wait_for(lambda: get(f"{url}/health")[0] == 200, f"the Hub, see {process.log}")
        yield Hub
    finally:
        process.stop()


@pytest.fixture
def gateway(hub, tmp_path):
    """Start a gateway as `cubehub up` does; returns a function so that a test may kill and start it again."""
    port, scheduler_port = free_ports(2)
    secret = tmp_path / "hub-secret"
    secret.write_text("nobody else reads this")
    config = tmp_path / "gateway.json"
    config.touch(mode=0o600)
    settings = {
        "address": "127.0.0.1",
        "port": port,
        "prefix": PREFIX,
        "hub_api_url": hub.api_url,
        "hub_api_token": hub.gateway_token,
        "scheduler_proxy_port": scheduler_port,
        "state_dir": str(tmp_path / "state"),
        "worker_env_prefix": sys.prefix,
        "read_only_paths": [],
    }
    started = []

    class Gateway:
        url = f"http://127.0.0.1:{port}{PREFIX}"
        proxy_url = f"gateway://127.0.0.1:{scheduler_port}"
        state = tmp_path / "state"
        secret_file = secret
        hub_token = hub.gateway_token

        @staticmethod
        def groups():
            """Folders of the memory cgroups that the gateway has noted."""
            notes = (tmp_path / "state" / "groups").glob("*")
            return [Path(note.read_text()) for note in notes]

        @staticmethod
        def start(**changes):
            config.write_text(json.dumps({**settings, **changes}))
            process = Process(
                [
                    Path(sys.prefix) / "bin" / "dask-gateway-server",
                    "-f",
                    REPO / "config" / "dask_gateway_config.py",
                ],
                tmp_path / "gateway.log",
                CUBEHUB_GATEWAY_CONFIG=str(config),
            )
            started.append(process)
            wait_for(
                lambda: get(f"{Gateway.url}/health")[0] == 200,
                f"the gateway: {process.log.read_text()[-2000:]}",
            )
            return process

    yield Gateway
    for process in started:
        process.stop()
