"""A cube server, its peers and a client, for measuring what a request costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml
from cubehub.local.platform import free_port
from cubehub.local.processes import die_with_parent
from uv import find_uv_bin

from cubehub_tests.bench.frame import say
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCRIPTS = REPOSITORY / "tests/bench/cubes"
PREFIX = "/services/cubes"
FULL, QUICK = (2_000, 1_500, 2_000), (60, 600, 800)
"""Steps, rows, columns."""
RANGE = (0.1, 30.0)
WEST, NORTH, STEP = 5.0, 56.0, 0.0025
PATIENCE_S = 180
XPUBLISH = "xpublish-tiles==0.4.*"


@dataclass(frozen=True)
class Ask:
    """A request: path with query, and what is posted."""

    path: str
    body: bytes = b""


@dataclass(frozen=True)
class Serving:
    """A server under measurement."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of it and all below it, those that ended included as far as they were waited for."""
        root = psutil.Process(self.pid)
        total = 0.0
        for one in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        return total


def cubes_python() -> Path:
    """The Python of the cubes' environment, made if it is not there."""
    room = REPOSITORY / "cube-server"
    subprocess.run([find_uv_bin(), "sync", "--frozen", "--quiet", "--project", str(room)], check=True)
    return room / ".venv/bin/python"


def cube_for(python: Path, size: tuple[int, int, int]) -> Path:
    """The cube of a size, kept between runs because the large one takes a quarter of an hour."""
    steps, rows, columns = size
    folder = Path(
        os.environ.get("CUBEHUB_BENCH_CACHE") or Path(tempfile.gettempdir()) / "cubehub-bench-cubes"
    )
    cube = folder / f"cube-{steps}-{rows}-{columns}" / "sea"
    if not (cube / "build.json").exists():
        say(f"writing a cube of {steps} steps of {rows} x {columns}")
        subprocess.run([str(python), str(SCRIPTS / "generate.py"), str(cube), *map(str, size)], check=True)
    return cube


@contextlib.contextmanager
def running(name: str, command: Sequence[str], folder: Path, port: int, health: str) -> Iterator[Serving]:
    """Start a server and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            list(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one thread only
        )  # fmt: skip
        try:
            until = time.monotonic() + PATIENCE_S
            while not asyncio.run(_answers(port, health)):
                if process.poll() is not None or time.monotonic() > until:
                    said = (folder / f"{name}.log").read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"{name} did not start:\n{said}")
                time.sleep(0.3)
            yield Serving(name, port, process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def _answers(port: int, path: str) -> bool:
    try:
        async with asyncio.timeout(10):
            return (await _Client(port).ask(Ask(path)))[0] == 200
    except (OSError, TimeoutError, ValueError):
        return False


@contextlib.contextmanager
def ours(python: Path, cube: Path, folder: Path, workers: int) -> Iterator[Serving]:
    """CubeHub's server with one public cube."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port("127.0.0.1", set())
    variable = {"name": "chl", "colours": "viridis", "range": list(RANGE), "scale": "log"}
    listed = {
        "id": cube.name, "title": "sea", "access": "public", "attribution": "made up", "variables": [variable],
    }  # fmt: skip
    (folder / "cubes.yaml").write_text(yaml.safe_dump({"default": cube.name, "cubes": [listed]}))
    settings = {
        "port": port, "public_url": f"http://127.0.0.1:{port}", "cubes_dir": str(cube.parent),
        "cubes_yaml": str(folder / "cubes.yaml"), "issuer": "http://127.0.0.1:9/realms/none",
        "state_dir": str(folder / "state"), "workers": workers,
    }  # fmt: skip
    (folder / "cubes.json").write_text(json.dumps(settings))
    command = [str(python), "-m", "xcube_cubehub.launcher", "--config", str(folder / "cubes.json")]
    with running("cubehub", command, folder, port, f"{PREFIX}/health") as serving:
        yield serving


@contextlib.contextmanager
def stock(python: Path, cube: Path, folder: Path, *, time_store: bool) -> Iterator[Serving]:
    """Stock xcube with the same files; with the time store for series or without."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port("127.0.0.1", set())
    mapping = {"chl": {"ColorBar": "viridis", "ValueRange": list(RANGE)}}
    maps = {
        "Identifier": cube.name, "FileSystem": "file", "Path": str(cube / "pyramid.levels"), "Style": "own",
    }  # fmt: skip
    datasets = [maps]
    if time_store:
        maps["TimeSeriesDataset"] = "series"
        series = {
            "Identifier": "series",
            "FileSystem": "file",
            "Path": str(cube / "series.zarr"),
            "Style": "own",
        }
        datasets.append(series | {"Hidden": True})  # type: ignore[arg-type]
    config = {"Styles": [{"Identifier": "own", "ColorMappings": mapping}], "Datasets": datasets}
    (folder / "xcube.yaml").write_text(yaml.safe_dump(config))
    command = [str(python), str(SCRIPTS / "stock.py"), str(folder / "xcube.yaml"), str(port)]
    with running("xcube", command, folder, port, "/datasets") as serving:
        yield serving


@contextlib.contextmanager
def xpublish(cube: Path, folder: Path) -> Iterator[Serving]:
    """xpublish-tiles with the finest level, in an environment of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    port, env = free_port("127.0.0.1", set()), folder / "env"
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--clear", str(env)], check=True)
    packages = [XPUBLISH, "xpublish", "uvicorn", "zarr", "xarray", "dask"]
    python = str(env / "bin/python")
    subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", python, *packages], check=True)
    command = [python, str(SCRIPTS / "xpublish_app.py"), str(cube / "pyramid.levels/0.zarr"), str(port)]
    with running("xpublish", command, folder, port, "/datasets") as serving:
        yield serving


class _Client(asyncio.Protocol):
    """One connection that is kept; it takes little of the CPU that the server is measured on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._got = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._got += data
        answer, end = self._answer, self._got.find(b"\r\n\r\n")
        if answer is None or answer.done() or end < 0:
            return
        head = bytes(self._got[:end]).lower() + b"\r\n"
        if b"transfer-encoding: chunked" in head:
            body = _joined(bytes(self._got[end + 4 :]))
        else:
            length = int(_told(head, b"content-length") or 0)
            body = bytes(self._got[end + 4 :]) if len(self._got) >= end + 4 + length else None
        if body is None:
            return
        self._got.clear()
        if _told(head, b"connection") == b"close" and self._transport is not None:
            self._transport.close()
            self._transport = None
        answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """What is not whole never will be."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the connection ended"))

    async def ask(self, ask: Ask) -> tuple[int, bytes]:
        """Status and body."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        head = (b"POST " if ask.body else b"GET ") + ask.path.encode() + b" HTTP/1.1\r\nHost: bench\r\n"
        if ask.body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(ask.body)
        self._answer = loop.create_future()
        self._transport.write(head + b"\r\n" + ask.body)
        return await self._answer


def _told(head: bytes, name: bytes) -> bytes | None:
    """The value of a header."""
    begin = head.find(b"\r\n" + name + b": ")
    if begin < 0:
        return None
    begin += len(name) + 4
    return head[begin : head.find(b"\r\n", begin)].strip()


def _joined(data: bytes) -> bytes | None:
    """A body that came in chunks; None if it is not whole yet."""
    parts: list[bytes] = []
    begin = 0
    while (end := data.find(b"\r\n", begin)) >= 0:
        size = int(data[begin:end], 16)
        begin = end + 2 + size + 2
        if len(data) < begin:
            return None
        if not size:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
    return None


@dataclass(frozen=True)
class Load:
    """What a number of requests took: CPU milliseconds and wall milliseconds a request."""

    cpu_ms: float
    wall_ms: float


def load(serving: Serving, asks: Sequence[Ask], clients: int) -> Load:
    """Send requests over some connections, each after the answer to the one before.

    Raises
    ------
    RuntimeError
        An answer is not 200.
    """

    async def run() -> None:
        left = iter(asks)

        async def one() -> None:
            client = _Client(serving.port)
            for ask in left:
                status, body = await client.ask(ask)
                if status != 200:
                    raise RuntimeError(f"{serving.name}: {ask.path}: {status} {body[:300]!r}")

        await asyncio.gather(*(one() for _ in range(clients)))

    cpu, began = serving.cpu_s(), time.perf_counter()
    asyncio.run(run())
    wall, cpu = time.perf_counter() - began, serving.cpu_s() - cpu
    return Load(1000 * cpu / len(asks), 1000 * wall / len(asks))


def some_tiles(size: tuple[int, int, int], count: int, seed: int = 1) -> list[tuple[int, int, int, int]]:
    """Zoom, column, row and step of tiles all over the cube, near its own resolution as a viewer asks for them."""
    steps, rows, columns = size
    rng, found = random.Random(seed), []  # noqa: S311 - places, not secrets
    for _ in range(count):
        z = rng.choice((7, 8, 8, 9, 9, 9))
        lon = WEST + STEP * columns * rng.uniform(0.05, 0.95)
        lat = NORTH - STEP * rows * rng.uniform(0.05, 0.95)
        x = int((lon + 180) / 360 * 2**z)
        y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
        found.append((z, x, y, rng.randrange(steps)))
    return found


def label(step: int) -> str:
    """The time of a step."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_420_070_400 + step * 86_400))


def written(folder: Path, value: Any) -> Path:
    """A JSON file."""
    path = folder / "asked.json"
    path.write_text(json.dumps(value))
    return path
