"""What a search costs above the catalogues' own answers, and what bad catalogues cost the good ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
import pystac_client

from cubehub_tests.bench._search_stands import PAGE
from cubehub_tests.bench.frame import Case, say

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 3


def measure(*, quick: bool) -> list[Case]:
    """Search over stand-ins through a real Jupyter server."""
    with (
        tempfile.TemporaryDirectory(prefix="cubehub-bench-") as folder,
        _stands() as urls,
        _jupyter(Path(folder), urls) as lab,
    ):
        return asyncio.run(_measured(lab, urls, quick=quick))


async def _measured(lab: dict[str, Any], urls: dict[str, str], *, quick: bool) -> list[Case]:
    async with aiohttp.ClientSession() as session:
        say("one catalogue, directly and through the server")
        rounds = 40 if quick else 300
        process = psutil.Process(lab["pid"])
        direct, ours, first = [], [], []
        for number in range(rounds + 5):
            began = time.perf_counter()
            async with session.post(f"{urls['at-once']}/search", json={"limit": PAGE}) as answer:
                await answer.read()
            directly = time.perf_counter() - began
            if number == 5:
                busy = _cpu(process)
            events = await _search(session, lab, ["at-once"])
            if number >= 5:  # connections and landing pages are kept by then, as in any session
                direct.append(directly)
                ours.append(events["end"])
                first.append(events["rows"])
        busy = (_cpu(process) - busy) / rounds
        added = sorted(through - alone for through, alone in zip(ours, direct, strict=True))
        peer = _pystac_client(urls["at-once"], rounds) - median(direct)
        say("five catalogues, of which one hangs, one breaks and one answers rubbish")
        firsts, totals = [], []
        for _ in range(3 if quick else 10):
            took = {kind: await _alone(session, urls[kind]) for kind in ("fast", "slow")}
            events = await _search(session, lab, ["hangs", "breaks", "rubbish", "slow", "fast"])
            if events["failed"] != {"hangs", "breaks", "rubbish"} or events["count"] != 2 * PAGE:
                raise RuntimeError(f"the search went wrong: {events}")
            firsts.append(events["rows"] - took["fast"])
            totals.append(events["good"] / took["slow"])
        say("memory over many searches")
        many = 200 if quick else 10_000
        for number in range(many):
            if number == many // 10:
                before = process.memory_info().rss
            await _search(session, lab, ["at-once"], limit=PAGE)
        growth = (process.memory_info().rss - before) / 2**20
    ms = 1000
    return [
        Case("federated first rows", max(0.0, median(firsts)) * ms, "ms"),
        Case("federated total", median(totals), "of the slowest"),
        Case("overhead", median(added) * ms, "ms", peer * ms, None, "pystac-client"),
        Case("overhead p95", quantiles(added, n=20)[-1] * ms, "ms"),
        Case("CPU of a search", busy * ms, "ms"),
        Case("overhead of the first rows", (median(first) - median(direct)) * ms, "ms"),
        Case(f"memory grown over {many - many // 10} searches", max(0.0, growth), "MiB"),
    ]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _alone(session: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with session.post(f"{url}/search", json={"limit": PAGE}) as answer:
        await answer.read()
    return time.perf_counter() - began


async def _search(
    session: aiohttp.ClientSession, lab: dict[str, Any], catalogues: list[str], limit: int = PAGE
) -> dict[str, Any]:
    """Search as the panel does; gives seconds until the first rows, until the last of a good catalogue, and the end."""
    began = time.perf_counter()
    found: dict[str, Any] = {"failed": set(), "count": 0}
    async with session.post(
        f"{lab['url']}cubehub/catalogue/searches",
        json={"catalogues": catalogues, "query": {"limit": limit}},
        headers={"Authorization": f"token {lab['token']}"},
    ) as answer:
        async for line in answer.content:
            event = json.loads(line)
            now = time.perf_counter() - began
            if event["event"] == "rows":
                found.setdefault("rows", now)
                found["count"] += len(event["rows"])
            elif event["event"] == "answered":
                found["good"] = now
            elif event["event"] == "failed":
                found["failed"].add(event["catalogue"])
            elif event["event"] == "end":
                found["end"] = now
    return found


def _pystac_client(url: str, rounds: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = pystac_client.Client.open(url)
        took = []
        for _ in range(rounds):
            began = time.perf_counter()
            list(client.search(limit=PAGE, max_items=PAGE).items_as_dicts())
            took.append(time.perf_counter() - began)
    return median(took)


@contextlib.contextmanager
def _stands() -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "cubehub_tests.bench._search_stands"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}api", timeout=5):  # noqa: S310 - our own server
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _jupyter(home: Path, urls: dict[str, str]) -> Iterator[dict[str, Any]]:
    token = secrets.token_hex(16)
    listed = [
        {"id": kind, "title": kind, "url": url, "private": True, "timeout": TIMEOUT_S}
        for kind, url in urls.items()
    ]
    (home / "catalogues.yaml").write_text(json.dumps({"catalogues": listed}), encoding="utf-8")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(home), "JUPYTER_TOKEN": token,
        "CUBEHUB_CATALOGUES": str(home / "catalogues.yaml"),
    }  # fmt: skip
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--port=0", "--no-browser", "--allow-root",
             "--ServerApp.jpserver_extensions={'cubehub_catalogue': True}"],
            env=environ, cwd=home, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (
            found := re.search(r"(http://localhost:\d+/)", (home / "log").read_text(encoding="utf-8"))
        ):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((home / "log").read_text(encoding="utf-8"))
            time.sleep(0.1)
        while not _answers(found[1]):  # the address is written before the server listens
            time.sleep(0.1)
        yield {"url": found[1].replace("localhost", "127.0.0.1"), "token": token, "pid": process.pid}
    finally:
        process.terminate()
        process.wait()
