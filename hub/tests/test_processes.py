from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest
from cubehub.local.data_folder import DataFolder, write_json
from cubehub.local.processes import (
    PART_MARK,
    cluster_processes,
    end,
    marked,
    same_process,
    this_process,
    tree_memory,
)
from cubehub.local.up import stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def child(mark: str, code: str = "") -> Iterator[subprocess.Popen[str]]:
    text = f"{code}\nprint('ready', flush=True)\nimport time\ntime.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", text], env={**os.environ, PART_MARK: mark}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_marked_processes_are_found_and_ended(code: str) -> None:
    mark = uuid.uuid4().hex
    with child(mark, code) as ours, child(uuid.uuid4().hex) as other:
        assert [process.pid for process in marked(PART_MARK, mark)] == [ours.pid]
        assert end(marked(PART_MARK, mark), patience_s=0.3) == [ours.pid]
        assert not psutil.pid_exists(ours.pid)
        assert other.poll() is None
    assert marked(PART_MARK, mark) == []


def test_down_ends_a_supervisor_that_hangs(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    with child(uuid.uuid4().hex, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)") as hung:
        up = {"pid": hung.pid, "created": psutil.Process(hung.pid).create_time()}
        write_json(data.state_file, {"phase": "healthy", "up": up})
        assert stop(data, patience_s=0.2)
        assert not psutil.pid_exists(hung.pid)
    assert not stop(data)


def test_ending_what_has_ended_is_no_error() -> None:
    with child(uuid.uuid4().hex) as process:
        found = psutil.Process(process.pid)
        process.kill()
        process.wait()
    assert end([found]) in ([], [process.pid])


def test_an_id_that_was_reused_is_another_process() -> None:
    me = this_process()
    found = same_process(int(me["pid"]), me["created"])
    assert found is not None
    assert found.pid == os.getpid()
    assert same_process(os.getpid(), me["created"] - 5) is None
    assert same_process(2**22 + 1, me["created"]) is None


def test_a_gateways_own_proxy_is_none_of_its_clusters(tmp_path: Path) -> None:
    proxy = tmp_path / "dask-gateway-proxy"
    shutil.copy("/bin/sleep", proxy)
    code = (
        "import subprocess, sys; "
        "children = [subprocess.Popen([program, '60']) for program in sys.argv[1:]]; "
        "print(*(child.pid for child in children), flush=True); sys.stdin.read(); [child.kill() for child in children]"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(proxy), "/bin/sleep"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as gateway:  # fmt: skip
        assert gateway.stdout is not None
        _, worker = map(int, gateway.stdout.readline().split())
        assert cluster_processes(gateway.pid) == {worker}
    assert cluster_processes(2**22 + 1) == set()


def test_memory_of_a_tree_counts_each_process() -> None:
    # a tree of the test's own: below pytest other suites' servers may run, and grow meanwhile
    code = (
        "import subprocess, sys; "
        "child = subprocess.Popen([sys.executable, '-c', \"import sys; x = bytearray(64 * 2**20); print('ready', flush=True); sys.stdin.read()\"],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True); "
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        alone = tree_memory(parent.pid, alone=True)
        assert tree_memory(parent.pid) >= alone + 60 * 2**20
        assert tree_memory(parent.pid, without={grandchild}) < alone + 60 * 2**20
    assert tree_memory(2**22 + 1) == 0
