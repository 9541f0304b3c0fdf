"""The whole way: a real Hub, real servers, a real limit; the directory alone is a fake (see hub_config.py)."""

import asyncio
import contextlib
import json
import os
import signal
import stat
from pathlib import Path

import httpx
import pytest
from cubehub_spawner import enforcers
from cubehub_spawner.enforcers._tree import started_at
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

pytestmark = [pytest.mark.slow, pytest.mark.needs("packages")]
MIB = 2**20
# It goes on holding the memory: the watchdog stops it a moment later, when the allocation is done.
HOG = """
import time
hog = bytearray({mib} * 2**20)
hog[::4096] = b'x' * len(hog[::4096])
time.sleep(45)
print('AFTER')
"""


def holder(hub, name, server=""):
    state = hub.state(name, server)
    (cls,) = enforcers.named([state["enforcer"]])
    return enforcers.choose(hub.root / "servers", [cls]), state


def server_api(hub, url, method, path, body=None):
    headers = {"Authorization": f"token {hub.api_token}"}
    return httpx.request(method, url + path, headers=headers, json=body, timeout=30)


def run_code(hub, url, code, timeout_s=60):
    """Run code in a new kernel; tell everything it printed and whether the kernel was restarted."""
    made = server_api(
        hub,
        url,
        "POST",
        "api/sessions",
        {"path": "flood.ipynb", "name": "flood.ipynb", "type": "notebook", "kernel": {"name": "python3"}},
    )
    assert made.status_code == 201, made.text
    kernel = made.json()["kernel"]["id"]

    async def run():
        address = f"{url}api/kernels/{kernel}/channels?session_id=s".replace("http", "ws", 1)
        socket = await websocket_connect(
            HTTPRequest(address, headers={"Authorization": f"token {hub.api_token}"})
        )
        header = {
            "msg_id": "m",
            "msg_type": "execute_request",
            "username": "",
            "session": "s",
            "version": "5.3",
            "date": "2026-01-01T00:00:00Z",
        }
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        await socket.write_message(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                    "buffers": [],
                }
            )
        )
        text, restarted = "", False
        async with asyncio.timeout(timeout_s):
            while True:
                message = json.loads(await socket.read_message())
                if message["msg_type"] == "stream":
                    text += message["content"]["text"]
                if message["msg_type"] == "error":
                    text += "\n".join(message["content"]["traceback"])
                state = message["content"].get("execution_state")
                restarted = state == "restarting"
                if restarted or (state == "idle" and message["parent_header"].get("msg_id") == "m"):
                    break
        socket.close()
        while await socket.read_message() is not None:
            pass
        return text, restarted

    answer = asyncio.run(run())
    server_api(hub, url, "DELETE", f"api/kernels/{kernel}")
    return answer


@pytest.mark.needs("bubblewrap")
def test_limit_isolation_and_restart_of_the_hub(hub):
    url = hub.start_server("ana", options={"mem_limit": "64G", "cpu_limit": 99})
    enforcer, state = holder(hub, "ana")
    assert state["granted_bytes"] == 400 * MIB, "what a person posts does not count"

    # The environment says the same as the enforcer.
    code = "import os; print({k: os.environ.get(k) for k in ('MEM_LIMIT', 'CPU_LIMIT', 'MEM_GUARANTEE', 'OMP_NUM_THREADS', 'HOME', 'USER', 'CUBEHUB_PROFILE')})"
    told = run_code(hub, url, code)[0]
    expected = {
        "MEM_LIMIT": str(400 * MIB),
        "CPU_LIMIT": "2.0",
        "MEM_GUARANTEE": None,
        "OMP_NUM_THREADS": "2",
        "HOME": "/home/jovyan",
        "USER": "jovyan",
        "CUBEHUB_PROFILE": "standard",
    }
    assert told.strip() == str(expected)

    # A hostile notebook.
    (hub.root / "homes" / "petra").mkdir(mode=0o700)
    (hub.root / "homes" / "petra" / "private").write_text("secret")
    targets = [
        hub.root / "settings.json",
        hub.root / "homes/petra/private",
        hub.root / "hub.sqlite",
        Path("/etc/shadow"),
    ]
    code = f"""
import os, pathlib
for target in {list(map(str, targets))}:
    try: print("READ", target, len(open(target).read()))
    except OSError as error: print("no", error.strerror)
pids = [p for p in os.listdir("/proc") if p.isdigit()]
print("processes", len(pids))
for pid in ({hub.process.pid}, {os.getpid()}):
    print("hub seen", pathlib.Path(f"/proc/{{pid}}/cmdline").exists() and b"jupyterhub -f" in pathlib.Path(f"/proc/{{pid}}/cmdline").read_bytes())
import sys
try: open(sys.prefix + "/bad", "w"); print("WROTE")
except OSError as error: print("no", error.strerror)
"""
    said = run_code(hub, url, code)[0]
    assert "READ" not in said
    assert "WROTE" not in said
    assert "hub seen True" not in said
    assert int(said.split("processes ")[1].split()[0]) < 10

    # Allocating past the limit stops the kernel, tells why, and the server lives.
    text, restarted = run_code(hub, url, HOG.format(mib=600))
    assert restarted
    assert "AFTER" not in text
    assert "memory limit of 400 MiB (profile Standard)" in text
    assert server_api(hub, url, "GET", "api/status").status_code == 200
    assert enforcers.oom_kills(enforcer.events_path(state["handle"])) >= 1

    # The Hub is killed: the next one adopts the server and its limit.
    hub.end(signal.SIGKILL)
    assert started_at(state["pid"]) == state["started"]
    hub.start()
    assert hub.api("GET", "users/ana").json()["servers"][""]["ready"]
    assert hub.state("ana") == state
    assert run_code(hub, url, HOG.format(mib=600))[1]
    assert server_api(hub, url, "GET", "api/status").status_code == 200

    # Its memory still counts against a second server of the same person.
    answer = hub.api("POST", "users/ana/servers/second")
    assert answer.status_code == 409
    assert "400 MiB" in answer.json()["message"]

    # Stopping removes what held it, and everything in it.
    left = enforcer.processes(state["handle"])
    assert left
    hub.stop_server("ana")
    assert not enforcer.folder(state["handle"]).exists()
    assert [pid for pid in left if started_at(pid) != -1] == []
    assert not list((hub.root / "servers" / "run").iterdir())
    assert "Traceback" not in hub.log()


@pytest.mark.needs("root")
@pytest.mark.needs("system-python")
def test_a_hostile_notebook_under_a_user_id_of_its_own(uid_hub):
    hub = uid_hub
    hub.people(ana="standard", petra="premium")
    petra = hub.start_server("petra")
    run_code(hub, petra, "open('private', 'w').write('secret')")
    url = hub.start_server("ana")
    _, state = holder(hub, "ana")
    targets = [
        hub.root / "settings.json",
        hub.root / "homes/petra/private",
        hub.root / "hub.sqlite",
        hub.root / "audit.jsonl",
        Path("/etc/shadow"),
        *(Path(f"/proc/{pid}/environ") for pid in (hub.process.pid, hub.state("petra")["pid"])),
    ]
    code = f"""
import os, signal, sys
for target in {list(map(str, targets))}:
    try: print("READ", target, len(open(target).read()))
    except OSError as error: print("no", error.strerror)
for place in ({str(hub.root / "homes")!r}, {str(hub.root / "homes/petra")!r}, {str(hub.root / "servers")!r}, "/root"):
    try: print("LISTED", place, os.listdir(place))
    except OSError as error: print("no", error.strerror)
for pid in ({hub.process.pid}, {hub.state("petra")["pid"]}):
    try: os.kill(pid, signal.SIGTERM); print("KILLED", pid)
    except OSError as error: print("no", error.strerror)
for target in (sys.prefix + "/bad", {str(hub.root / "homes/bad")!r}, "/etc/bad", {state["handle"]!r} + "/memory.limit_in_bytes"):
    try: open(target, "w").write("-1"); print("WROTE", target)
    except OSError as error: print("no", error.strerror)
open("mine", "w").write("x")
print("id", os.getuid(), os.stat("mine").st_uid, oct(os.stat("mine").st_mode & 0o777), os.getgroups(), os.getcwd(), os.environ["HOME"])
"""
    said = run_code(hub, url, code)[0]
    assert not {"READ", "LISTED", "KILLED", "WROTE"} & set(said.split()), said
    home = hub.root / "homes" / "ana"
    uid = home.stat().st_uid
    assert f"id {uid} {uid} 0o600 [] {home} {home}" in said, said
    assert uid not in (0, (hub.root / "homes/petra").stat().st_uid)

    # The limit holds, and tells why.
    text, restarted = run_code(hub, url, HOG.format(mib=600))
    assert restarted
    assert "memory limit of 400 MiB (profile Standard)" in text
    hub.stop_server("ana")
    assert "Traceback" not in hub.log()


def test_a_person_without_a_group_reads_why(hub):
    with contextlib.closing(hub.browser("viktor")) as browser:
        page = browser.get("/hub/spawn")
        assert page.status_code == 403
        assert "in no group that grants a notebook server" in page.text
        assert "Ask your administrator to add you to one of: Standard, Premium" in page.text
        assert 'href="/hub/spawn/viktor"' in page.text
    assert hub.audit()[-1] | {"time": "", "seq": 0, "prev": ""} == {
        "time": "", "seq": 0, "prev": "", "event": "start", "user": "viktor", "asked_by": "viktor", "server": "", "requested": None, "account": "id-viktor",
        "groups": [], "profile": None, "memory_bytes": None, "outcome": "refused", "code": "no_profile",
    }  # fmt: skip
    assert "Traceback" not in hub.log()
    assert not (hub.root / "homes" / "viktor").exists()


def test_each_refusal_has_its_code(hub):
    for options, code in (
        ({"profile": "premium"}, "profile_not_granted"),
        ({"profile": ["<b>"]}, "profile_not_granted"),
    ):
        hub.api("POST", "users/ana")
        answer = hub.api("POST", "users/ana/server", json=options)
        assert answer.status_code == 403
        assert hub.audit()[-1]["code"] == code
    hub.api("POST", "users/nobody")
    assert hub.api("POST", "users/nobody/server").status_code == 403
    assert hub.audit()[-1]["code"] == "unknown_account"
    (hub.root / "people.json").write_text("null")
    answer = hub.api("POST", "users/ana/server", json={})
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["message"]
    assert hub.audit()[-1]["code"] == "directory_unavailable"
    (hub.root / "people.json").write_text("{ broken")
    assert hub.api("POST", "users/ana/server", json={}).status_code == 503
    assert stat.S_IMODE((hub.root / "audit.jsonl").stat().st_mode) == 0o600


def test_no_enforcer_no_server(hub):
    settings = json.loads((hub.root / "settings.json").read_text())
    hub.end()
    (hub.root / "settings.json").write_text(json.dumps({**settings, "enforcers": []}))
    hub.start()
    hub.api("POST", "users/ana")
    answer = hub.api("POST", "users/ana/server", json={})
    assert answer.status_code == 503
    assert "can't hold a server to its memory limit" in answer.json()["message"]


def test_the_watchdog_holds_a_whole_server_too(hub):
    settings = json.loads((hub.root / "settings.json").read_text())
    hub.end()
    (hub.root / "settings.json").write_text(json.dumps({**settings, "enforcers": ["watchdog"]}))
    hub.start()
    url = hub.start_server("petra")
    enforcer, state = holder(hub, "petra")
    text, restarted = run_code(hub, url, HOG.format(mib=1000))
    assert restarted, text
    assert "memory limit of 800 MiB (profile Premium)" in text
    assert server_api(hub, url, "GET", "api/status").status_code == 200
    left = enforcer.processes(state["handle"])
    hub.stop_server("petra")
    assert not enforcer.folder(state["handle"]).exists()
    assert [pid for pid in left if started_at(pid) != -1] == []
