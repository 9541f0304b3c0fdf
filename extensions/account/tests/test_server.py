"""A real server, a real kernel and a real limit."""

import asyncio
import contextlib
import itertools
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

pytestmark = [pytest.mark.slow, pytest.mark.needs("packages", "memory-cgroup")]

HOG = "import time; print('before', flush=True); time.sleep(1); hog = bytearray(400 * 2**20); print('after')"


def request_message(number, kind, session, content):
    header = {"msg_id": number, "msg_type": kind, "username": "u", "session": session,
              "version": "5.3", "date": "2026-01-01T00:00:00Z"}  # fmt: skip
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}
    return json.dumps({**message, "channel": "shell"})


async def answering(socket, session):
    """Wait until the kernel answers, by both channels: what is sent while it starts again can be lost.

    A reply says nothing about the other channel, by which output comes: the server may join that a moment later, and
    what was said before is gone.
    """
    async with asyncio.timeout(90):
        for attempt in itertools.count():
            number, heard = f"ping-{session}-{attempt}", set()
            await socket.write_message(request_message(number, "kernel_info_request", session, {}))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while True:
                        raw = await socket.read_message()
                        assert raw is not None, "closed while the kernel starts"
                        message = json.loads(raw)
                        if message["parent_header"].get("msg_id") == number:
                            heard.add(message["channel"])
                        if heard >= {"shell", "iopub"}:
                            return


async def run_cell(jupyter, kernel_id, code, until, subprotocols=None, session="s1", connected=None):
    """Send a cell and collect what comes back until `until` says enough of (messages)."""
    url = f"{jupyter.url}api/kernels/{kernel_id}/channels?session_id={session}".replace("http", "ws", 1)
    request = HTTPRequest(url, headers={"Authorization": f"token {jupyter.token}"})
    socket = await websocket_connect(request, subprotocols=subprotocols)
    seen = []
    if connected is not None:
        connected()
    try:
        if code is not None:
            await answering(socket, session)
            content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
            await socket.write_message(
                request_message(f"cell-{session}", "execute_request", session, content)
            )
        async with asyncio.timeout(60):
            while not until(seen):
                raw = await socket.read_message()
                assert raw is not None, f"closed after {seen}"
                message = json.loads(raw)
                if not message["parent_header"].get("msg_id", "").startswith("ping-"):
                    seen.append(message)
    finally:
        socket.close()
        while await socket.read_message() is not None:
            pass  # until the server has closed its side too
    return seen


def status(message):
    return message["content"].get("execution_state") if message["msg_type"] == "status" else None


def restarted(messages):
    return any(status(message) == "restarting" for message in messages)


def reasons(messages):
    return [m for m in messages if m["msg_type"] == "stream" and "memory limit" in m["content"]["text"]]


def new_session(call, name="flood.ipynb"):
    body = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
    return call("POST", "api/sessions", body)["kernel"]["id"]


def test_the_cell_that_ran_out_says_why_and_the_server_lives(jupyter, call):
    kernel = new_session(call)
    seen = asyncio.run(run_cell(jupyter, kernel, HOG, restarted))
    told = reasons(seen)
    assert len(told) == 1, jupyter.log.read_text()
    assert told[0]["parent_header"]["msg_id"] == "cell-s1"
    assert told[0]["channel"] == "iopub"
    assert told[0]["content"]["name"] == "stderr"
    text = told[0]["content"]["text"]
    assert "flood.ipynb" in text
    assert "300 MiB" in text
    assert "Standard" in text
    order = [m["content"].get("text", "").strip() or status(m) for m in seen]
    assert order.index("before") < seen.index(told[0]) < order.index("restarting")
    assert "after" not in order
    assert jupyter.process.poll() is None
    assert call("GET", "api/status")["kernels"] == 1

    def answered(messages):
        return any(m["msg_type"] == "stream" and "7" in m["content"]["text"] for m in messages)

    again = asyncio.run(run_cell(jupyter, kernel, "print(3 + 4)", answered, session="s2"))
    assert not reasons(again)


def test_the_page_is_told_use_limit_and_which_kernel_was_stopped(jupyter, call, memory_group):
    found = call("GET", "cubehub/account/status")
    assert found["memory_bytes"] == 300 * 2**20
    assert 10 * 2**20 < found["used_bytes"] < 300 * 2**20
    assert (found["title"], found["notices"], found["ended"]) == ("Standard", [], None)
    kernel = new_session(call)
    asyncio.run(run_cell(jupyter, kernel, HOG, restarted))
    [notice] = call("GET", "cubehub/account/status")["notices"]
    assert (notice["kernel"], notice["code"]) == (kernel, "kernel_stopped")
    assert "flood.ipynb" in notice["message"]
    assert "close notebooks" in notice["hint"]
    enforcer, handle = memory_group
    enforcer.limit(handle, 400 * 2**20)
    assert call("GET", "cubehub/account/status")["memory_bytes"] == 400 * 2**20, "as it is now, not as it was"


def refusal(request):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310 - our own server
    with refused.value as answer:
        return answer.code, json.loads(answer.read())


def test_nobody_is_told_without_logging_in(jupyter):
    for name, body in (("status", None), ("seen", b"{}")):
        url = f"{jupyter.url}cubehub/account/{name}"
        status, said = refusal(urllib.request.Request(url, data=body))  # noqa: S310 - our own server
        assert status == 403
        assert set(said) == {"code", "message", "hint"}
        assert said["code"] == "forbidden"


def test_what_was_shown_is_noted_and_rubbish_is_refused(jupyter, call):
    assert call("POST", "cubehub/account/seen", {"keys": ["1@t"]}) is None
    for body in (b"", b"[]", b'{"keys": 3}', b'{"keys": [3]}', json.dumps({"keys": ["x"] * 201}).encode()):
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{jupyter.url}cubehub/account/seen",
            data=body,
            headers={"Authorization": f"token {jupyter.token}"},
        )
        status, said = refusal(request)
        assert (status, said["code"]) == (400, "bad_input"), body
        assert said["message"] == "These are no keys of notices."


def test_a_cell_that_allocates_in_one_call_is_told_too(jupyter, call):
    """The kernel is gone before its own word about what it executes could leave it."""
    kernel = new_session(call)
    for attempt in range(3):
        session = f"once{attempt}"
        code = "__import__('mmap').mmap(-1, 400 * 2**20, flags=0x8022)"  # MAP_PRIVATE, MAP_ANONYMOUS, MAP_POPULATE
        seen = asyncio.run(run_cell(jupyter, kernel, code, restarted, session=session))
        assert [told["parent_header"]["msg_id"] for told in reasons(seen)] == [f"cell-{session}"]


def test_a_kernel_that_ends_otherwise_gets_no_such_message(jupyter, call):
    kernel = new_session(call)
    seen = asyncio.run(run_cell(jupyter, kernel, "import os; os._exit(3)", restarted))
    assert not reasons(seen)
    kernel = new_session(call, "other.ipynb")
    seen = asyncio.run(run_cell(jupyter, kernel, "import os; os.kill(os.getpid(), 9)", restarted))
    assert not reasons(seen)


def test_every_page_that_shows_the_notebook_is_told(jupyter, call, tmp_path):
    """The second page is opened while the cell runs, so it never saw the cell begin."""
    kernel = new_session(call)
    go_on = tmp_path / "go on"
    code = f"""
import os, time
while not os.path.exists({str(go_on)!r}): time.sleep(0.1)
time.sleep(1)  # the server has the second page on its list
hog = bytearray(400 * 2**20)
"""

    async def both():
        begun = asyncio.Event()

        def until(seen):
            if any(status(message) == "busy" for message in seen if message["parent_header"]):
                begun.set()
            return restarted(seen)

        first = asyncio.create_task(run_cell(jupyter, kernel, code, until))
        async with asyncio.timeout(60):
            await begun.wait()
        second = run_cell(jupyter, kernel, None, restarted, session="s2", connected=go_on.touch)
        return await asyncio.gather(first, second)

    for seen in asyncio.run(both()):
        assert [m["parent_header"]["msg_id"] for m in reasons(seen)] == ["cell-s1"], jupyter.log.read_text()


def test_kernels_and_terminals_go_before_the_server(jupyter, call):
    new_session(call)
    call("POST", "api/terminals")
    deadline = time.monotonic() + 30
    while True:  # a kernel is its shell for a moment
        scores = oom_scores(jupyter.processes())
        server = [score for name, score in scores if "-m jupyter_server" in name]
        kernels = [score for name, score in scores if "ipykernel" in name]
        shells = [score for name, score in scores if "/bin/bash" in name]
        if server == [0] and kernels == [500] and shells == [500]:
            return
        assert time.monotonic() < deadline, scores
        time.sleep(0.2)


def oom_scores(pids):
    """Command line and score of each process that is still there."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            found.append((" ".join(words), int(Path(f"/proc/{pid}/oom_score_adj").read_text())))
    return found
