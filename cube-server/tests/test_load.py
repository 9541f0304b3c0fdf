"""Many requests of all kinds while cubes grow and processes are killed: every answer is looked at, not only its status.

``CUBEHUB_LOAD`` is the number of requests; the default is for CI, 20,000 are what 11 viewers ask for in half an hour.
"""

import asyncio
import io
import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import matplotlib as mpl
import numpy as np
import psutil
import pytest
import requests
import yaml
from PIL import Image

from growing_truth import FIRST_DAY, Builder
from publisher import SERVICE_TOKEN, Publisher, fields, running_hub, wish
from support import CUBES_YAML, PROTECTED, start

pytestmark = pytest.mark.slow

REQUESTS = int(os.environ.get("CUBEHUB_LOAD", "3000"))
CLIENTS = 8
DEMO = "olci-water-quality-demo"
PLACE = "7/41/67"
"""Zoom, row and column of a tile that lies within the growing cube."""
POINT_OF_POND = json.dumps({"type": "Point", "coordinates": [7.005, 53.495]})
"""Row 250 and column 200 of what is published."""
POINT = json.dumps({"type": "Point", "coordinates": [7.0, 53.5]})
ROUND = [[6 + np.cos(a) / 2, 53.5 + np.sin(a) / 2] for a in np.linspace(0, 2 * np.pi, 40)]
AREA = json.dumps({"type": "Polygon", "coordinates": [[*ROUND[:-1], ROUND[0]]]})
GROWTH_MIB = 30
"""By how much what a process keeps may grow over the second half of the load: caches are full by then."""


def label(day):
    return time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(day * 86_400))


def day_of(text):
    return int(np.datetime64(text.removesuffix("Z"), "D").astype(int))


def colour_numbers():
    """By colour of the palette its number."""
    rgba = (255 * mpl.colormaps["viridis"](np.arange(256))).astype(np.uint8)
    return {tuple(map(int, c)): n for n, c in enumerate(rgba)}


NUMBERS = colour_numbers()


@dataclass
class Load:
    """What is asked, what came, and what was wrong."""

    base: str
    builder: Builder
    rng: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 - places and days
    tags: dict = field(default_factory=dict)
    seen: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    kills: list = field(default_factory=list)
    behind_away: list = field(default_factory=list)

    def day(self):
        return self.rng.choice(list(self.builder.truth.days))

    async def one(self, session):
        kind = self.rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        since = time.monotonic()
        try:
            await KINDS[kind][1](self, session, since)
            self.seen[kind] += 1
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
            # what a killed process was answering is lost, and nothing else is
            if not any(since <= at + 0.5 and at <= time.monotonic() for at in self.kills):
                self.wrong.append(f"{kind}: cut without a kill: {error!r}")
            self.seen["cut by a kill"] += 1
        except (AssertionError, ValueError, KeyError, OSError) as error:
            self.wrong.append(f"{kind}: {error!r:.300}")

    async def ask(self, session, method, path, body=None, headers=None, expect=(200,)):
        since = time.monotonic()
        async with session.request(
            method,
            self.base + path,
            data=body,
            headers={"Content-Type": "application/json", **(headers or {})},
        ) as answer:
            content = await answer.read()
        assert b"Traceback" not in content, path
        if answer.status == 503 and any(a <= time.monotonic() and since <= b for a, b in self.behind_away):
            assert json.loads(content)["error"]["message"], path
            self.seen["503 while xcube was away"] += 1
            return None, content, answer.headers
        assert answer.status in expect, f"{method} {path}: {answer.status} {content[:200]!r}"
        return answer.status, content, answer.headers

    def check_version(self, day, version, since, what):
        allowed = self.builder.truth.allowed(day, since, time.monotonic())
        assert version in allowed, (
            f"{what} of day {day} shows version {version}, allowed are {sorted(allowed)}"
        )

    # Kinds of requests

    async def growing_tile(self, session, since):
        day = self.day()
        path = f"/tiles/lake/chl/{PLACE}?vmin={day}&vmax={day + 1}&cmap=viridis&norm=lin&time={label(day)}"
        tag = self.tags.get(path) if self.rng.random() < 0.5 else None
        status, content, headers = await self.ask(
            session, "GET", path, headers={"If-None-Match": tag[0]} if tag else None, expect=(200, 304)
        )
        if status == 304:
            self.seen["304"] += 1
            version = tag[1]
        else:
            image = np.array(Image.open(io.BytesIO(content)).convert("RGBA")).reshape(-1, 4)
            colours = {tuple(map(int, c)) for c in np.unique(image[image[:, 3] > 0], axis=0)}
            # the day may not be there yet, and then the nearest one is shown: beyond one of the ends
            assert len(colours) == 1, f"{path}: {len(colours)} colours in a field that has one value"
            number = NUMBERS[colours.pop()]
            version = None if number in {0, 255} else round((number + 0.5) / 2.56)
            if version is not None:
                self.tags[path] = headers["ETag"], version
        if version is None:
            assert day not in self.builder.truth.settled(since), f"day {day} was done and is not shown"
        else:
            self.check_version(day, version, since, "a tile")

    async def growing_series(self, session, since):
        body = POINT if self.rng.random() < 0.7 else AREA
        _, content, _ = await self.ask(session, "POST", "/timeseries/lake/chl?aggMethods=mean", body)
        rows = {day_of(row["time"]): row["mean"] for row in json.loads(content)["result"]}
        missing = self.builder.truth.settled(since) - set(rows)
        assert not missing, f"a series lacks days that were done: {sorted(missing)[:5]}"
        for day, mean in rows.items():
            self.check_version(day, round((mean - day) * 100), since, "a series")

    async def whole_file(self, session, since):
        del since
        _, content, _ = await self.ask(session, "GET", "/s3/datasets/lake.zarr/zarr.json")
        assert json.loads(content)["node_type"] == "group"

    async def demo_tile(self, session, since):
        del since
        z = self.rng.randint(6, 9)
        x, y = int((self.rng.uniform(22, 28) + 180) / 360 * 2**z), int(0.295 * 2**z) + self.rng.randint(-2, 2)
        day = label(self.rng.randint(16_450, 20_000))
        path = f"/tiles/{DEMO}/conc_chl/{z}/{max(y, 0)}/{x}?time={day}&retina={self.rng.randint(0, 1)}"
        _, content, _ = await self.ask(session, "GET", path)
        Image.open(io.BytesIO(content)).verify()

    async def demo_wmts(self, session, since):
        del since
        path = f"/wmts/1.0.0/tile/{DEMO}/kd489/WorldWebMercatorQuad/7/38/73.png?time=2020-07-01"
        _, content, _ = await self.ask(session, "GET", path)
        Image.open(io.BytesIO(content)).verify()

    async def demo_statistics(self, session, since):
        del since
        lon, lat = self.rng.uniform(27.2, 27.8), self.rng.uniform(58.4, 59)
        body = json.dumps(
            {"type": "Polygon", "coordinates": [[[lon, lat], [lon + 0.2, lat], [lon, lat + 0.1], [lon, lat]]]}
        )
        status, content, _ = await self.ask(
            session, "POST", f"/statistics/{DEMO}/conc_chl?time=2020-07-01", body
        )
        assert status is None or "count" in json.loads(content)["result"]

    async def handed_on(self, session, since):
        del since
        path = self.rng.choice((
            f"/datasets/{DEMO}", "/datasets?details=1", "/ogc/collections", f"/datasets/{DEMO}/coords/time",
            f"/tiles/{DEMO}/conc_chl/legend", "/health", "/viewer/config/config.json",
        ))  # fmt: skip
        status, content, headers = await self.ask(session, "GET", path)
        if status and "json" in headers["Content-Type"]:
            json.loads(content)

    async def published_tile(self, session, since):
        del since
        path = f"/tiles/ana--pond/chl/7/{self.rng.randint(40, 41)}/{self.rng.randint(65, 67)}"
        status, content, _ = await self.ask(session, "GET", path, expect=(200, 404))
        if status == 200:
            Image.open(io.BytesIO(content)).verify()
        self.seen[f"published: {status}"] += 1

    async def refused(self, session, since):
        del since
        method, path, body, expect = self.rng.choice((
            ("GET", f"/tiles/{PROTECTED}/conc_chl/7/38/73", None, (404,)),
            ("GET", f"/s3/datasets/{PROTECTED}.zarr/zarr.json", None, (404,)),
            ("GET", f"/tiles/{DEMO}/conc_chl/x/1/1", None, (400, 404)),
            ("GET", f"/tiles/{DEMO}/nothing/7/38/73", None, (400, 404)),
            ("POST", f"/timeseries/{DEMO}/conc_chl", "{", (400,)),
            ("POST", "/timeseries/lake/chl", json.dumps({"type": "Point", "coordinates": [500, 99]}), (400,)),
        ))  # fmt: skip
        _, content, _ = await self.ask(session, method, path, body, expect=expect)
        # S3's clients read XML
        assert b"<Code>NoSuchKey</Code>" in content or json.loads(content)["error"]["message"]


KINDS = {
    "tile of the growing cube": (30, Load.growing_tile),
    "series of the growing cube": (15, Load.growing_series),
    "file of the growing cube": (5, Load.whole_file),
    "tile": (25, Load.demo_tile),
    "WMTS tile": (5, Load.demo_wmts),
    "statistics": (4, Load.demo_statistics),
    "handed on": (6, Load.handed_on),
    "refused": (6, Load.refused),
    "published tile": (6, Load.published_tile),
}


def processes(supervisor):
    """Those in front, and those behind, of a server."""
    children = psutil.Process(supervisor).children()
    front = [
        c
        for c in children
        if "--config" in c.cmdline() and len(c.cmdline()) == len(psutil.Process(supervisor).cmdline())
    ]
    return front, [c for c in children if c not in front]


class Growing(threading.Thread):
    """Has the cube grow: at the end, in the past, and in place; with kills if so told."""

    def __init__(self, builder, *, kill):
        super().__init__(daemon=True)
        self.builder, self.kill, self.ended, self.failed = builder, kill, threading.Event(), None
        self._rng = random.Random(9)  # noqa: S311

    def run(self):
        try:
            while not self.ended.is_set():
                wanted, what = self.builder.wanted, self._rng.random()
                if what < 0.5:
                    changes = {max(wanted) + self._rng.choice((1, 2, 4)): 1}
                elif what < 0.85:
                    day = self._rng.choice(list(wanted))
                    changes = {day: wanted[day] % 90 + 7}
                else:
                    free = set(range(min(wanted), max(wanted))) - set(wanted)
                    changes = {self._rng.choice(sorted(free)): 1} if free else {max(wanted) + 2: 1}
                kill = self._rng.uniform(0, 0.4) if self.kill and self._rng.random() < 0.7 else None
                self.builder.build(changes, kill)
                self.ended.wait(0.05)
        except BaseException as error:
            self.failed = error
            raise


class Publishing(threading.Thread):
    """Publishes a cube, sees that it is shown as it was sent, replaces it, takes it back, and begins again."""

    def __init__(self, base):
        super().__init__(daemon=True)
        self.base, self.ana, self.ended = base, Publisher(base, "ana"), threading.Event()
        self.failed, self.done = None, 0

    def run(self):
        try:
            while not self.ended.is_set():
                for seed in (1, 2):
                    values = fields(2, seed=self.done + seed)
                    cube = self.ana.publish(wish("pond", 2), values)
                    told = self.shown()
                    assert told.ok, told.text
                    means = [row["mean"] for row in told.json()["result"]]
                    assert means == pytest.approx(values[:, 250, 200].tolist()), "another version is shown"
                    assert cube["id"] == "ana--pond"
                    self.done += 1
                assert self.ana.ask("DELETE", "/cubes/pond").ok
                assert self.shown().status_code == 404, "what was taken back is shown"
        except BaseException as error:
            self.failed = error
            raise

    def shown(self):
        return requests.post(f"{self.base}/timeseries/ana--pond/chl", data=POINT_OF_POND, timeout=60)


@pytest.fixture(scope="module")
def hub():
    with running_hub() as made:
        yield made


@pytest.fixture(scope="module")
def loaded(built, issuer, hub, tmp_path_factory):
    """A server of a growing cube, a large one and a protected one; its builder."""
    folder = tmp_path_factory.mktemp("load")
    cubes = folder / "cubes"
    cubes.mkdir()
    for name in (DEMO, PROTECTED):
        shutil.copytree(built / name, cubes / name, copy_function=os.link)
    builder = Builder(cubes / "lake")
    builder.build({FIRST_DAY + 2 * n: 1 for n in range(6)})
    listed = yaml.safe_load(CUBES_YAML.read_text())
    lake = {
        "id": "lake", "title": "A lake", "access": "public", "attribution": "nobody",
        "variables": [{"name": "chl", "colours": "viridis", "range": [1, 2]}],
    }  # fmt: skip
    listed["cubes"] = [c for c in listed["cubes"] if c["id"] in {DEMO, PROTECTED}] + [lake]
    listed["places"] = [
        {**p, "file": str(CUBES_YAML.parent / p["file"])} if ":" not in p["file"] else p
        for p in listed["places"]
    ]
    listed["publishing"] = {"keep_free": "1M"}
    (folder / "cubes.yaml").write_text(yaml.safe_dump(listed))
    running = start(
        folder, cubes, issuer.url, folder / "cubes.yaml", hub_api_url=hub.url, hub_api_token=SERVICE_TOKEN
    )
    yield running, builder
    builder.close()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log


async def drive(load, count, beside=None):
    """Send so many requests over some connections, and run something beside them."""
    left = iter(range(count))
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=CLIENTS)
    ) as session:

        async def client():
            for _ in left:
                await load.one(session)

        task = asyncio.create_task(beside(session)) if beside else None
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def run(load, count, beside=None, *, kill=False):
    growing = Growing(load.builder, kill=kill)
    growing.start()
    try:
        asyncio.run(drive(load, count, beside))
    finally:
        growing.ended.set()
        growing.join(120)
    assert growing.failed is None


def memory(supervisor):
    front, behind = processes(supervisor)
    return {p.pid: p.memory_info().rss / 2**20 for p in (*front, *behind)}, {
        p.pid: p.num_fds() for p in (*front, *behind)
    }


class Watched(threading.Thread):
    """What each process *keeps*: the least that it had while a load went on.

    A single look falls into the middle of a publish or of a series at times, which take 70 MiB and give them back.
    """

    def __init__(self, supervisor):
        super().__init__(daemon=True)
        self.supervisor, self.ended, self.seen = supervisor, threading.Event(), []

    def run(self):
        while not self.ended.wait(0.1):
            self.seen.append(memory(self.supervisor)[0])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(30)

    def kept(self):
        """MiB by process over the later half of the time; a process that was not there all along is missing."""
        late = self.seen[len(self.seen) // 2 :]
        assert len(late) >= 5, "the load was over before it could be watched"
        return {
            pid: min(look[pid] for look in late) for pid in set.intersection(*(set(look) for look in late))
        }


def test_a_mixed_load_finds_nothing_stale_and_memory_flat_while_the_cube_grows(loaded):
    running, builder = loaded
    load, publishing = Load(running.base, builder), Publishing(running.base)
    publishing.start()
    with Watched(running.process.pid) as first:
        run(load, REQUESTS // 2)
    _, files = memory(running.process.pid)
    with Watched(running.process.pid) as second:
        run(load, REQUESTS // 2)
    _, files_after = memory(running.process.pid)
    before, after = first.kept(), second.kept()
    publishing.ended.set()
    publishing.join(120)
    print(
        f"\n{sum(load.seen.values())} answers: {dict(load.seen)}; {builder.builds} builds, {len(builder.wanted)} days, {publishing.done} publishes"
    )
    print("MiB kept by process in the first half and in the second:", before, after)
    assert not load.wrong, "\n".join(load.wrong[:20])
    assert publishing.failed is None, publishing.failed
    assert publishing.done >= 2
    assert set(after) == set(before), "a process ended and was started again"
    # one in front may have had nothing to do before, and then has filled its caches since
    fronts = {p.pid for p in processes(running.process.pid)[0]}
    usual = max(before[pid] for pid in fronts)
    assert all(after[pid] - (usual if pid in fronts else before[pid]) < GROWTH_MIB for pid in before), (
        "a process grows"
    )
    assert all(files_after[pid] - files[pid] < 40 for pid in files), "descriptors are not given back"
    assert "Traceback" not in running.log


def test_killed_builders_and_workers_cost_nothing_but_what_they_were_answering(loaded):
    running, builder = loaded
    load = Load(running.base, builder)
    rng = random.Random(3)  # noqa: S311

    async def killer(_session):
        for number in range(10_000):
            await asyncio.sleep(rng.uniform(0.5, 1.5))
            front, behind = processes(running.process.pid)
            if number % 12 == 3:
                away = [time.monotonic() - 0.5, float("inf")]
                load.behind_away.append(away)
                for process in behind:
                    process.kill()
                load.kills.append(time.monotonic())
                while away[1] == float("inf"):
                    await asyncio.sleep(0.5)
                    async with (
                        aiohttp.ClientSession() as other,
                        other.get(f"{running.base}/health") as answer,
                    ):
                        if answer.status == 200:
                            away[1] = time.monotonic()
            elif len(front) > 1:
                rng.choice(front).kill()
                load.kills.append(time.monotonic())

    run(load, REQUESTS // 2, killer, kill=True)
    print(
        f"\n{sum(load.seen.values())} answers: {dict(load.seen)}; {len(load.kills)} kills of processes, {builder.kills} of the builder"
    )
    assert not load.wrong, "\n".join(load.wrong[:20])
    assert len(load.kills) > 2
    assert builder.kills
    until = time.monotonic() + 120
    while not (running.get("/health").ok and len(processes(running.process.pid)[0]) == 2):
        assert time.monotonic() < until, "what was killed is not back"
        time.sleep(0.2)
