"""Mixed load on the real server while cubes grow and parts of it are killed: every answer is whole and of its time."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import requests
import yaml
from matplotlib.colors import LogNorm
from PIL import Image

from support import Running, start

pytestmark = pytest.mark.slow

REQUESTS = int(os.environ.get("CUBEHUB_LOAD_REQUESTS", "1500"))
"""20,000 are what twelve viewers send in half an hour."""
CLIENTS = 6
ROUND = 250
"""After so many requests something is killed."""
LAKE, SEA, POND = "lake", "sea", "pond"
LOW, HIGH = 0.1, 30.0
POINT = {"type": "Point", "coordinates": [7.0, 53.5]}
AREA = {"type": "Polygon", "coordinates": [[[6, 53], [7, 53], [7, 54], [6, 54], [6, 53]]]}
RSS_GROWTH, THINGS_GROWTH = 1.25, 12
"""What a process may have at the end: RSS times this, and so many descriptors and threads more than at warm-up."""


def value(day, version):
    """What a day holds everywhere: neighbouring days and versions are many colours apart."""
    return float(np.float32(LOW * (HIGH / LOW) ** (((day * 37 + version * 61) % 97 + 0.5) / 97)))


BUILDER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
import test_growing, test_load
class Recipe(test_growing.Recipe):
    def make(self, plan, step):
        made = super().make(plan, step)
        made.values["chl"][:] = test_load.value(*step.scenes)
        return made
for line in sys.stdin:
    cube, days = json.loads(line)
    test_growing.build(Recipe(name=cube), {int(d): v for d, v in days.items()}, Path(sys.argv[1]) / cube)
    print("done", flush=True)
"""


class Builder:
    """A process that builds what it is told, is killed, and builds it again."""

    def __init__(self, folder):
        self.folder, self.process, self.killed = folder, None, 0

    def build(self, cube, days):
        while True:
            if self.process is None or self.process.poll() is not None:
                self.close()
                self.process = subprocess.Popen(
                    [sys.executable, "-c", BUILDER, str(self.folder), str(Path(__file__).parent)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps([cube, days]) + "\n")
                self.process.stdin.flush()
                if self.process.stdout.readline() == "done\n":
                    return
            assert self.process.wait() == -signal.SIGKILL, "the builder failed"

    def kill(self):
        self.killed += 1
        self.process.kill()

    def close(self):
        if self.process is not None:
            self.process.kill()
            with contextlib.suppress(BrokenPipeError):
                self.process.__exit__(None, None, None)


@dataclass
class World:
    """What each cube holds: by day the versions that may be seen now (two while a build is on its way)."""

    held: dict = field(default_factory=lambda: {LAKE: {}, SEA: {}, POND: {}})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, cube):
        """Now, as {day: {version or None where it need not be there}}."""
        with self.lock:
            return {day: set(versions) for day, versions in self.held[cube].items()}

    def change(self, builder, cube, day, version):
        with self.lock:
            self.held[cube].setdefault(day, {None}).add(version)
            days = {d: max(v for v in vs if v is not None) for d, vs in self.held[cube].items()}
        builder.build(cube, days)
        with self.lock:
            self.held[cube][day] = {version}


def allowed(before, after, day):
    """The versions that a request between the two looks at the world may have found."""
    return before.get(day, {None}) | after.get(day, {None})


def colour(day, version):
    norm = LogNorm(LOW, HIGH, clip=True)
    number = min(int(norm(value(day, version)) * 256), 255)
    return tuple(int(255 * c) for c in mpl.colormaps["viridis"].resampled(256)(number))


def stamp(day):
    return f"{date(1970, 1, 1) + timedelta(day)}T00:00:00Z"


class Viewer:
    """One client in a closed loop; keeps count of what it was told."""

    def __init__(self, running: Running, world: World, number: int):
        self.base, self.world, self.rng = running.base, world, np.random.default_rng(number)
        self.session, self.counts = requests.Session(), Counter()

    def ask(self, kind, method, path, may_be_away=False, **kwargs):
        """The answer and how the world was before and after; None where a kill cut it off or xcube is away."""
        self.counts[kind] += 1
        try:
            got = self.session.request(method, self.base + path, timeout=60, **kwargs)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            self.counts["cut"] += 1
            return None
        self.counts[f"status {got.status_code}"] += 1
        assert b"Traceback" not in got.content, path
        if got.status_code == 503 and may_be_away:
            assert got.headers["Retry-After"]
            assert got.json()["error"]["message"]
            self.counts["xcube away"] += 1
            return None
        assert got.status_code < 500, f"{path}: {got.status_code} {got.text[:300]}"
        return got

    def once(self):
        kinds = (self.tile, self.tile, self.tile, self.series, self.objects, self.refused, self.behind)
        kinds[self.rng.choice(len(kinds), p=[0.3, 0.2, 0.14, 0.2, 0.1, 0.04, 0.02])]()

    def tile(self):
        cube = str(self.rng.choice([LAKE, SEA, POND]))
        before = self.world.seen(cube)
        certain = [d for d, vs in before.items() if None not in vs]
        day = int(self.rng.choice(certain))
        z = int(self.rng.integers(5, 10))
        # over 7 E, 53.5 N
        x, y = (
            int((7.0 + 180) / 360 * 2**z),
            int((1 - np.arcsinh(np.tan(np.deg2rad(53.5))) / np.pi) / 2 * 2**z),
        )
        size = "&retina=1" if self.rng.random() < 0.2 else ""
        path = f"/tiles/{cube}/chl/{z}/{y}/{x}?crs=EPSG:3857&time={stamp(day)}{size}"
        if self.rng.random() < 0.4:
            path = f"/wmts/1.0.0/tile/{cube}/chl/WorldWebMercatorQuad/{z}/{y}/{x}.png?time={stamp(day)}"
        got = self.ask("tile", "GET", path)
        if got is None:
            return
        assert got.status_code == 200, f"{path} {got.text[:200]}"
        pixels = np.array(Image.open(io.BytesIO(got.content)).convert("RGBA"))
        after = self.world.seen(cube)
        opaque = np.unique(pixels[pixels[..., 3] > 0], axis=0)
        expected = {tuple(colour(day, v)) for v in allowed(before, after, day) - {None}}
        assert len(opaque) == 1, f"{path}: a mix of {len(opaque)} colours"
        assert min(np.abs(opaque[0].astype(int) - np.array(e, int)).max() for e in expected) <= 16, (
            f"{path}: {opaque[0]}, not {expected}: stale or another day's"
        )
        again = self.ask("conditional", "GET", path, headers={"If-None-Match": got.headers["ETag"]})
        if again is not None and again.status_code == 304:
            # unchanged since: what may be seen now has what was sent then
            held = {tuple(colour(day, v)) for v in allowed(after, self.world.seen(cube), day) - {None}}
            assert min(np.abs(opaque[0].astype(int) - np.array(e, int)).max() for e in held) <= 16, path

    def series(self):
        cube = str(self.rng.choice([LAKE, SEA, POND]))
        place = POINT if self.rng.random() < 0.7 else AREA
        before = self.world.seen(cube)
        got = self.ask("series", "POST", f"/timeseries/{cube}/chl?aggMethods=mean", json=place)
        if got is None:
            return
        after = self.world.seen(cube)
        assert got.status_code == 200, got.text[:300]
        told = {row["time"]: row["mean"] for row in got.json()["result"]}
        for day in before.keys() | after.keys():
            may = allowed(before, after, day)
            if stamp(day) not in told:
                assert None in may, f"{cube} {stamp(day)} is missing"
                continue
            mean = told.pop(stamp(day))
            assert any(abs(mean / value(day, v) - 1) < 1e-4 for v in may - {None}), f"{cube} {day}: {mean}"
        assert not told, "days that nobody built"

    def objects(self):
        path = f"/s3/datasets/{self.rng.choice([LAKE, SEA])}.zarr/zarr.json"
        got = self.ask("object", "GET", path, headers={"Range": "bytes=0-0"})
        if got is not None:
            assert (got.status_code, got.content) == (206, b"{")

    def refused(self):
        for path, statuses in (
            ("/tiles/lake/chl/5/99999/1", {400, 404}), ("/tiles/none/chl/5/10/16", {401, 404}),
            ("/tiles/lake/chl/5/10/16?vmin=x", {400}),
        ):  # fmt: skip
            got = self.ask("refused", "GET", path, may_be_away=True)
            if got is not None:
                assert got.status_code in statuses, f"{path} {got.status_code}"
                assert got.json()["error"]["message"]

    def behind(self):
        path = str(self.rng.choice(["/datasets", "/datasets/lake", "/datasets/sea"]))
        got = self.ask("behind", "GET", path, may_be_away=True)
        if got is not None:
            assert got.status_code == 200, f"{path} {got.text[:200]}"
            assert got.json()


def children(pid):
    """The processes of a supervisor: those in front, and xcube's."""
    front, behind = [], []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        (behind if b"--behind" in command else front).append(int(child))
    return front, behind


def usage(pid):
    """RSS in MiB, descriptors and threads."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return int(status["VmRSS"].split()[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])  # noqa: PTH208


def wait_for(condition, what):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"never came: {what}")


@pytest.fixture
def built(tmp_path):
    cubes, world, builder = tmp_path / "cubes", World(), Builder(tmp_path / "cubes")
    cubes.mkdir()
    for cube in (LAKE, SEA, POND):
        for day in (17_000, 17_001, 17_002):
            world.change(builder, cube, day, 1)
    yield cubes, world, builder
    builder.close()


@pytest.fixture
def running(tmp_path, built, issuer):
    listed = [
        {"id": cube, "title": cube, "access": "public", "attribution": "a test",
         "variables": [{"name": "chl", "colours": "viridis", "range": [LOW, HIGH], "scale": "log"}]}
        for cube in (LAKE, SEA, POND)
    ]  # fmt: skip
    (tmp_path / "cubes.yaml").write_text(yaml.safe_dump({"cubes": listed}))
    made = start(tmp_path, built[0], issuer.url, tmp_path / "cubes.yaml")
    yield made
    made.process.terminate()
    made.process.wait(20)


def changes(world, builder, stop, done):
    """Days appended to one, a day replaced in another, days put in front of the third; a publish loop joins here."""
    number = 0
    while not stop.is_set():
        number += 1
        world.change(builder, LAKE, 17_002 + number, 1)
        world.change(builder, SEA, 17_000 + number % 3, 1 + number)
        world.change(builder, POND, 17_000 - number, 1)
        done.append(number)
        stop.wait(1)


def test_every_answer_is_whole_while_cubes_grow_and_parts_are_killed(running, built):  # noqa: C901 - one story
    _, world, builder = built
    rng, kills = np.random.default_rng(5), Counter()
    stop, rounds = threading.Event(), []
    viewers = [Viewer(running, world, n) for n in range(CLIENTS)]
    first = viewers[0]
    wait_for(lambda: first.session.get(f"{running.base}/datasets/lake").ok, "xcube")

    def some(viewer):
        for _ in range(ROUND // CLIENTS):
            viewer.once()

    with ThreadPoolExecutor(CLIENTS + 1) as threads:
        building = threads.submit(changes, world, builder, stop, rounds)
        before: dict = {}
        try:
            for number in range(max(REQUESTS // ROUND, 4)):
                work = [threads.submit(some, viewer) for viewer in viewers]
                what = ("nothing", "front", "builder", "front", "behind")[number % 5]
                front, behind = children(running.process.pid)
                if what == "front" and front:
                    os.kill(int(rng.choice(front)), signal.SIGKILL)
                elif what == "behind" and behind:
                    os.kill(behind[0], signal.SIGKILL)
                elif what == "builder":
                    builder.kill()
                kills[what] += 1
                for one in work:
                    one.result()
                wait_for(lambda: sum(map(len, children(running.process.pid))) == 3, "what was killed")
                for pid in [pid for kind in children(running.process.pid) for pid in kind]:
                    before.setdefault(pid, []).append(usage(pid))
        finally:
            stop.set()
        building.result()
    total = sum((v.counts for v in viewers), Counter())
    print(f"\n{dict(total)}\nkills {dict(kills)}, rounds of builds {len(rounds)}")
    for pid, samples in before.items():
        print(pid, "RSS MiB, descriptors, threads:", [tuple(round(n) for n in s) for s in samples])
    assert rounds, "no build ended meanwhile"
    assert total["cut"] <= 2 * CLIENTS * kills["front"], "more cut off than were under way"
    for pid, samples in before.items():
        if len(samples) > 8:
            warm, last = samples[len(samples) // 4], samples[-1]
            assert last[0] <= warm[0] * RSS_GROWTH, f"{pid} grows"
            assert last[1] + last[2] <= warm[1] + warm[2] + THINGS_GROWTH, (
                f"{pid} keeps descriptors or threads"
            )
    assert "Traceback" not in running.log


def test_a_second_start_leaves_the_first_alone(running):
    second = subprocess.run(
        [sys.executable, "-m", "xcube_cubehub.launcher", "--config", str(running.folder / "cubes.json")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert second.returncode == 2
    assert "another cube server runs" in second.stderr
    assert (running.folder / "state" / "xcube.sock").exists()
    assert running.get("/datasets").ok


def test_nothing_outlives_a_killed_supervisor(running):
    front, behind = children(running.process.pid)
    assert (len(front), len(behind)) == (2, 1)
    running.process.kill()
    running.process.wait()
    for pid in front + behind:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"the end of {pid}")
