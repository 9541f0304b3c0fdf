"""A full home: how it is found out, and a real JupyterLab that starts in one all the same."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from cubehub_spawner import Account, Profiles, _rescue
from cubehub_spawner._kube import ProfileKubeSpawner
from cubehub_spawner._kube_pod import faults, fit
from cubehub_spawner._kube_status import pod_command
from cubehub_spawner.running import Announce, Resize, Running, reconcile
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

MIB = 2**20
needs_mounts = pytest.mark.needs("root", "mounts")


# ---- whether a home is full ----------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    """Make small file systems in memory."""
    made = []

    def mount(name, size="4M", **options):
        at = tmp_path / name
        at.mkdir()
        said = ",".join([f"size={size}", *(f"{key}={value}" for key, value in options.items())])
        subprocess.run(["mount", "-t", "tmpfs", "-o", said, "tmpfs", at], check=True)
        made.append(at)
        return at

    yield mount
    for at in made:
        subprocess.run(["umount", "-l", at], check=True)


def fill(folder, name="big"):
    """Write until nothing more goes in; tell how much did."""
    written = 0
    with (folder / name).open("wb", buffering=0) as file:
        try:
            while True:
                written += file.write(bytes(4096))
        except OSError:
            return written


def trial(home, tmp):
    ran = subprocess.run(_rescue.trial_command(sys.executable, home, tmp), check=False, capture_output=True)
    return ran.returncode


@needs_mounts
def test_what_a_trial_finds(small, tmp_path):
    home, tmp = small("home"), small("tmp")
    assert trial(home, tmp) == _rescue.HAS_ROOM
    fill(home)
    assert trial(home, tmp) == _rescue.HOME_FULL
    fill(tmp)
    assert trial(home, tmp) == _rescue.ALL_FULL
    (home / "big").unlink()
    assert trial(home, tmp) == _rescue.HAS_ROOM
    assert list(home.iterdir()) == [], "a trial leaves nothing behind"
    without_inodes = small("inodes", nr_inodes=2)
    (without_inodes / "one").touch()
    assert trial(without_inodes, tmp_path) == _rescue.HOME_FULL
    assert trial(tmp_path / "gone", tmp_path) not in {
        _rescue.HAS_ROOM,
        _rescue.HOME_FULL,
        _rescue.ALL_FULL,
    }, "which counts as room"


# ---- how the server runs then --------------------------------------------------------------------------------------


def test_its_own_files_go_elsewhere_and_what_was_installed_is_still_found():
    env = _rescue.rescue_environment("/run/rescue", "/home/jovyan")
    inside = {key for key, value in env.items() if "/home/jovyan" in value}
    assert inside == {"JUPYTER_PATH"}
    assert all(
        value.startswith("/run/rescue/") for key, value in env.items() if key.endswith(("_DIR", "_HOME"))
    )


PROFILES = Profiles.model_validate(
    {"profiles": {"standard": {"title": "S", "groups": ["/s"], "memory": "2G", "cpu": 1, "storage": "1G"}}}
)


def test_a_rescue_stays_small_until_it_is_started_again():
    ana = Account("ana", "id", True, frozenset({"/s"}))
    now, grace = datetime(2026, 5, 1, tzinfo=UTC), timedelta(hours=1)
    server = Running("", "standard", 512 * MIB, 1.0)
    [grows] = reconcile(ana, [server], PROFILES, now, grace)
    assert isinstance(grows, Resize)
    rescue = replace(server, fixed=True)
    assert reconcile(ana, [rescue], PROFILES, now, grace) == []
    assert reconcile(ana, [Running("a", "standard", 1024 * MIB, 1.0), rescue], PROFILES, now, grace) == []
    [ends] = reconcile(ana, [Running("a", "standard", 2048 * MIB, 1.0), rescue], PROFILES, now, grace)
    assert isinstance(ends, Announce), "it takes no more than the person may have either"
    [stopped] = reconcile(replace(ana, groups=frozenset()), [rescue], PROFILES, now, grace)
    assert stopped.refusal.code == "no_profile"


def shell(home, folder, *command):
    return subprocess.run(
        ["/bin/sh", "-c", _rescue.rescue_script(str(home), str(folder)) + 'exec "$@"\n', "sh", *command],
        capture_output=True, text=True, check=True,
    )  # fmt: skip


SAY = ["/bin/sh", "-c", 'echo "${CUBEHUB_RESCUE-none} ${JUPYTER_RUNTIME_DIR-none} $*"', "server"]


@needs_mounts
def test_a_pod_finds_out_by_itself(small, tmp_path):
    home = small("it's home")
    assert shell(home, "/rescue", *SAY).stdout == "none none \n"
    assert list(home.iterdir()) == []
    fill(home)
    said = shell(home, "/rescue", *SAY)
    assert said.stdout.startswith(
        "untold /rescue/jupyter/runtime --FileContentsManager.delete_to_trash=False"
    )
    assert "the home is full" in said.stderr
    assert [one.name for one in home.iterdir()] == ["big"]
    assert shell(tmp_path / "gone", "/rescue", *SAY).stdout == "none none \n", "another fault is no full home"


def test_a_pods_command_is_wrapped_only_for_what_it_finds_out():
    server = ["jupyterhub-singleuser", "--flag"]
    assert pod_command(server, finds_events=False, rescue="") == server
    both = pod_command(server, finds_events=True, rescue=_rescue.rescue_script("/home/jovyan", "/rescue"))
    assert both[:2] == ["/bin/sh", "-c"]
    assert "CUBEHUB_MEMORY_EVENTS" in both[2]
    assert both[2].endswith('exec "$@"\n')
    assert both[4:] == server


def test_a_pod_has_a_place_for_its_files_and_stays_safe():
    spawner = SimpleNamespace(
        _account_label="id", granted_profile="small", pvc_name="home-id", home_path="/home/jovyan",
        finds_memory_events=True, rescues_full_homes=True,
    )  # fmt: skip
    safe = {
        "runAsUser": 1000,
        "runAsGroup": 100,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    server = {"name": "notebook", "securityContext": safe, "args": ["jupyterhub-singleuser"]}
    spec = {
        "automountServiceAccountToken": False, "enableServiceLinks": False, "containers": [server],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }  # fmt: skip
    pod = {"metadata": {"name": "jupyter-ana", "labels": {}}, "spec": spec}
    ProfileKubeSpawner._add_ours(spawner, pod)
    fit(pod, 2**30, 1.0, 0.25)
    assert faults(pod, 2**30, 1.0) == []
    assert spec["volumes"][1] == {"name": "cubehub-rescue", "emptyDir": {"sizeLimit": "512Mi"}}
    assert [mount["mountPath"] for mount in server["volumeMounts"]] == ["/home/jovyan", "/run/cubehub-rescue"]
    assert server["args"][-1] == "jupyterhub-singleuser"
    assert "/run/cubehub-rescue/jupyter/runtime" in server["args"][2]


# ---- a real JupyterLab ---------------------------------------------------------------------------------------------


class Lab:
    """A person's server, asked as their browser does."""

    def __init__(self, hub, name):
        self.hub, self.name = hub, name
        self.url = hub.start_server(name)
        token = hub.api("POST", f"users/{name}/tokens", json={"note": "test"}).json()["token"]
        self.headers = {"Authorization": f"token {token}"}

    def ask(self, method, path, **more):
        return httpx.request(method, self.url + path, headers=self.headers, timeout=60, **more)

    def execute(self, kernel, code):
        """Run code in a kernel; what it shows."""
        return asyncio.run(asyncio.wait_for(self._execute(kernel, code), 60))

    async def _execute(self, kernel, code):
        url = f"{self.url}api/kernels/{kernel}/channels".replace("http", "ws", 1)
        socket = await websocket_connect(HTTPRequest(url, headers=self.headers))
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        header = {
            "msg_id": "asked",
            "msg_type": "execute_request",
            "session": "s",
            "username": "",
            "version": "5.3",
        }
        asked = {
            "channel": "shell",
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
        }
        await socket.write_message(json.dumps(asked))
        shown = ""
        while True:
            said = json.loads(await socket.read_message())
            if said["parent_header"].get("msg_id") != "asked":
                continue
            if said["msg_type"] == "stream":
                shown += said["content"]["text"]
            elif said["msg_type"] == "execute_result":
                shown += said["content"]["data"]["text/plain"]
            elif said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
                break
        socket.close()
        while await socket.read_message() is not None:
            pass
        await asyncio.sleep(0)
        return shown.strip()


@needs_mounts
@pytest.mark.slow
@pytest.mark.needs("packages", "memory-cgroup")
def test_jupyterlab_starts_in_a_full_home_and_makes_room(tmp_path, small, jupyterlab_hub):
    hub = jupyterlab_hub
    (tmp_path / "homes").mkdir(mode=0o700)
    home = small("homes/petra", "40M")
    (home / "work").mkdir()
    (home / "work" / "notes.txt").write_text("mine")
    (home / "book.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    (home / "other").write_bytes(bytes(2 * MIB))
    fill(home)
    before = sorted(path.name for path in home.rglob("*"))
    lab = Lab(hub, "petra")
    state = hub.state("petra")
    assert state["rescue"] is True
    assert state["granted_bytes"] == 512 * MIB, "of the 800 MiB that she may have"
    [notice] = state["board"]["notices"]
    assert (notice["code"], notice["level"]) == ("home_full", "warning")
    assert "full" in notice["message"]
    assert "Delete" in notice["hint"]
    assert lab.ask("GET", "lab").status_code == 200
    assert lab.ask("GET", "lab/api/settings").status_code == 200
    saved = lab.ask(
        "PUT", "lab/api/workspaces/default", content=json.dumps({"data": {}, "metadata": {"id": "default"}})
    )
    assert saved.status_code == 204, saved.text
    assert lab.ask("GET", "api/contents/book.ipynb").status_code == 200
    kernel = lab.ask("POST", "api/kernels", json={"name": "python3"}).json()
    assert lab.execute(kernel["id"], "6 * 7") == "42"
    tried = "try: open('new', 'w').write('x' * 9999)\nexcept OSError as error: print(error.strerror)"
    assert lab.execute(kernel["id"], tried) == "No space left on device"
    (home / "new").unlink()
    assert sorted(path.name for path in home.rglob("*")) == before, "nothing was written"
    refused = lab.ask(
        "PUT", "api/contents/new.txt", json={"type": "file", "format": "text", "content": "x" * 9999}
    )
    assert refused.status_code == 500
    # both free room at once: neither a full folder nor the trash is in the way
    assert lab.ask("DELETE", "api/contents/work").status_code == 204
    assert lab.ask("DELETE", "api/contents/other").status_code == 204
    assert not (home / "work").exists()
    assert os.statvfs(home).f_bavail * os.statvfs(home).f_frsize >= 2 * MIB
    assert not list(home.rglob("*Trash*"))
    hub.stop_server("petra")
    lab = Lab(hub, "petra")
    state = hub.state("petra")
    assert "rescue" not in state
    assert state["granted_bytes"] == 800 * MIB
    assert state["board"]["notices"] == []
