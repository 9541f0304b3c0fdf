"""The server over a bucket: what is there is seen, what is read is kept, and what goes wrong stays where it is."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from buckets import BUCKET, running_store
from support import start
from test_bucket import NAME, address, build

pytestmark = pytest.mark.slow
OTHER, COLD = "river", "pond"
TROUBLES = (500, 403, 404, "cut", 30.0)
CUBES_YAML = """
cubes:
""" + "".join(
    f"""
  - {{id: {name}, title: {name}, access: public, attribution: nobody,
     variables: [{{name: chl, colours: viridis, range: [0.1, 30], scale: log}}]}}
"""
    for name in (NAME, OTHER, COLD)
)
POINT = {"type": "Point", "coordinates": [7.0, 53.5]}
AREA = {"type": "Polygon", "coordinates": [[[6, 53], [7, 53], [7, 54], [6, 54], [6, 53]]]}
BUILDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_bucket import build
build(sys.argv[2], {int(k): 1 for k in sys.argv[4].split(",")}, Path(sys.argv[3]), name=sys.argv[5])
"""


@pytest.fixture(scope="module")
def store():
    with running_store() as made:
        yield made


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def server(store, issuer, work, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    (folder / "cubes.yaml").write_text(CUBES_YAML)
    build("s", {10: 1, 11: 1, 12: 1}, work)
    build("s", {10: 1, 11: 1}, work, name=OTHER)
    build("s", dict.fromkeys(range(20, 29), 1), work, name=COLD)
    running = start(folder, f"s3://{BUCKET}/s", issuer.url, folder / "cubes.yaml")
    yield running
    store.wire.trouble = None
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log
    assert "test-secret" not in running.log
    assert "test-key" not in running.log
    assert "Traceback" not in running.log


@pytest.fixture(autouse=True)
def calm(store):
    yield
    store.wire.trouble = None


def steps(server, name):
    """Times of a cube as xcube knows them."""
    dimensions = server.get(f"/datasets/{name}").json()["dimensions"]
    return next(len(d["coordinates"]) for d in dimensions if d["name"] == "time")


def wait_for(look, timeout_s=20):
    until = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


def day(number):
    return str(np.datetime64(number, "D")) + "T00:00:00Z"


def tile(server, number, z=7, y=41, x=66, name=NAME, **query):
    return server.get(
        f"/tiles/{name}/chl/{z}/{y}/{x}", params={"crs": "EPSG:3857", "time": day(number), **query}
    )


def values(server, name=NAME, place=POINT):
    answer = server.request("POST", f"/timeseries/{name}/chl?aggMethods=mean", json=place)
    assert answer.status_code == 200, answer.text
    return {
        int(np.datetime64(v["time"][:10]).astype(int)): round(v["mean"], 4) for v in answer.json()["result"]
    }


def asked(store):
    return [(method, path) for method, path in store.wire.seen if "list-type" not in path]


def test_tiles_and_series_as_of_a_local_cube_and_nothing_is_asked_for_twice(store, server):
    first = {}
    for number, query in ((10, {}), (11, {"vmin": "1", "vmax": "20"}), (12, {})):
        answer = tile(server, number, **query)
        assert answer.status_code == 200, answer.text
        image = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
        assert image[..., 3].min() == 255
        assert len(np.unique(image.reshape(-1, 4), axis=0)) == 1
        first[number] = answer
    assert values(server) == {10: 10.01, 11: 11.01, 12: 12.01} == values(server, place=AREA)
    for _ in range(6):  # whichever of the two processes answers
        tile(server, 11, vmin="1", vmax="20")
        values(server)
    store.wire.seen.clear()
    for _ in range(4):
        assert tile(server, 10).content == first[10].content
        assert tile(server, 11, vmin="1", vmax="20").headers["ETag"] == first[11].headers["ETag"]
        values(server)
    assert not asked(store)
    again = server.get(
        f"/tiles/{NAME}/chl/7/41/66",
        params={"crs": "EPSG:3857", "time": day(10)},
        headers={"If-None-Match": first[10].headers["ETag"]},
    )
    assert again.status_code == 304


def test_xcube_behind_reads_the_bucket_too(server):
    listed = wait_for(lambda: server.get("/datasets").json()["datasets"])
    assert {d["id"] for d in listed} == {NAME, OTHER, COLD}
    assert steps(server, NAME) == 3
    statistics = server.request("POST", f"/statistics/{NAME}/chl?time={day(12)}", json=AREA)
    assert statistics.json()["result"]["mean"] == pytest.approx(12.01, abs=1e-4)


def test_files_of_the_zarr_whole_and_in_part(store, server):
    place, _ = address(store, "s")
    key = place.removeprefix(f"{BUCKET}/") + "/pyramid.levels/0.zarr/chl/c/0/0/0"
    whole = store.read(key)
    got = server.get(f"/s3/datasets/{NAME}.zarr/chl/c/0/0/0")
    assert (got.status_code, got.content) == (200, whole)
    part = server.get(f"/s3/datasets/{NAME}.zarr/chl/c/0/0/0", headers={"Range": "bytes=-20"})
    assert (part.status_code, part.content) == (206, whole[-20:])
    assert part.headers["Content-Range"] == f"bytes {len(whole) - 20}-{len(whole) - 1}/{len(whole)}"
    assert (
        server.get(
            f"/s3/datasets/{NAME}.zarr/chl/c/0/0/0", headers={"Range": f"bytes={len(whole)}-"}
        ).status_code
        == 416
    )
    assert json.loads(server.get(f"/s3/datasets/{NAME}.zarr/zarr.json").content)["zarr_format"] == 3
    assert server.get(f"/s3/datasets/{NAME}.zarr/chl/c/9/0/0").status_code == 404


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_bucket_in_trouble_costs_only_what_is_not_here(store, server, trouble):
    number = 20 + TROUBLES.index(trouble)  # a step that nobody has read yet
    warm, other = tile(server, 10), tile(server, 10, name=OTHER)
    store.wire.trouble = lambda _, path: trouble if COLD in path else None
    begun = time.monotonic()
    refused = tile(server, number, name=COLD)
    assert refused.status_code == 503, refused.text
    assert refused.headers["Retry-After"] == "5"
    assert refused.json()["error"]["message"] == "the store of this cube does not answer now"
    assert "raceback" not in refused.text
    series = server.request("POST", f"/timeseries/{COLD}/chl?startDate={day(number)}", json=POINT)
    assert series.status_code == 503, series.text
    assert time.monotonic() - begun < 60, "it is given up"
    store.wire.trouble = lambda *_: trouble
    assert tile(server, 10).content == warm.content
    assert tile(server, 10, name=OTHER).content == other.content
    store.wire.trouble = None
    wait_for(lambda: tile(server, number, name=COLD).status_code == 200)


def test_days_are_seen_when_they_come_and_reprocessed_ones_when_they_change(server, work):
    before = tile(server, 12)
    build("s", {10: 1, 11: 1, 12: 2, 13: 1}, work)
    wait_for(lambda: values(server) == {10: 10.01, 11: 11.01, 12: 12.02, 13: 13.01})
    wait_for(lambda: tile(server, 12).headers["ETag"] != before.headers["ETag"])
    wait_for(lambda: steps(server, NAME) == 4)
    # one in between, from a machine that has nothing yet
    build("s", {10: 1, 11: 1, 12: 2, 13: 1, 9: 1}, work / "new")
    wait_for(lambda: values(server) == {9: 9.01, 10: 10.01, 11: 11.01, 12: 12.02, 13: 13.01})
    wait_for(lambda: steps(server, NAME) == 5)


def code_of(answer):
    return None if answer.status_code == 200 else answer.json()["error"]["code"]


def test_a_damaged_object_is_told_and_read_again_when_it_is_repaired(store, server):
    index = json.loads(store.read(f"s/{COLD}.cube.json"))
    for step, harm in (
        (5, lambda b: b[:0]),
        (6, lambda b: b[:40]),
        (7, lambda b: bytes(len(b) // 2) + b[len(b) // 2 :]),
    ):
        key = f"s/{COLD}/{index['place']}/pyramid.levels/0.zarr/chl/c/{step}/0/0"
        whole = store.read(key)
        store.write(key, harm(whole))
        place = {"z": 9, "y": 41 * 4, "x": 66 * 4, "vmin": "3", "name": COLD}
        # A process that was refused a moment ago waits two seconds before it asks again
        (broken,) = wait_for(
            lambda s=step, p=place: [a for a in (tile(server, 20 + s, **p),) if code_of(a) == "damaged"]
        )
        assert broken.status_code == 503, broken.text
        assert "Traceback" not in broken.text
        store.write(key, whole)
        wait_for(lambda s=step, p=place: tile(server, 20 + s, **p).status_code == 200)


def test_a_builder_that_is_killed_leaves_what_was_there(store, server, work):
    expected = values(server, OTHER)
    store.wire.seen.clear()
    build("s", dict.fromkeys([*expected, 14], 1), work, name=OTHER)
    puts = sum(method == "PUT" for method, _ in store.wire.seen)
    expected[14] = 14.01
    for new, share in ((15, 0.6),):
        victim = [None, int(share * puts)]

        def kill(method, path, victim=victim):
            del path
            if method == "PUT" and victim[0] is not None:
                victim[1] -= 1
                if victim[1] == 0:
                    os.kill(victim[0].pid, signal.SIGKILL)
            return "cut" if victim[1] <= 0 else None

        store.wire.trouble = kill
        wanted = ",".join(str(d) for d in [*expected, new])
        command = [
            sys.executable,
            "-c",
            BUILDER,
            str(Path(__file__).parent),
            "s",
            str(server.folder / f"k{new}"),
        ]
        victim[0] = subprocess.Popen([*command, wanted, OTHER], stderr=subprocess.DEVNULL)
        states = (expected, {**expected, new: new + 0.01})
        while victim[0].poll() is None:
            answer = server.request("POST", f"/timeseries/{OTHER}/chl?aggMethods=mean", json=POINT)
            assert answer.status_code in {200, 503}
            time.sleep(0.2)  # the machine is for the builder
        store.wire.trouble = None
        assert victim[0].returncode == -signal.SIGKILL
        index = json.loads(store.read(f"s/{OTHER}.cube.json"))
        there = len(index["times"])
        found = wait_for(lambda n=there: (v := settled(server)) and len(v) == n and v)
        assert found in states
        expected = found


def settled(server):
    """The series, once the bucket has answered again."""
    answer = server.request("POST", f"/timeseries/{OTHER}/chl?aggMethods=mean", json=POINT)
    return answer.status_code == 200 and values(server, OTHER)
