"""Cubes damaged in many ways under a running server: each is an answer with a reason, and harms nobody else."""

import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import requests

from grids import KINDS, write
from support import start
from xcube_cubehub.build import STAMP
from xcube_cubehub.errors import CubeError
from xcube_cubehub.index import FORMAT, read_index
from xcube_cubehub.metadata import check_documents

VICTIM, OTHER = "victim", "other"
KIND = KINDS["degrees"]
TIMES = 3
SHARD = "pyramid.levels/0.zarr/value/c/1/0/0"
SERIES = "series.zarr/value/c/0/0/0"
PATIENCE_S = 30
AREA = {"type": "Polygon", "coordinates": [[[2.2, 55.2], [3.5, 55.3], [3.1, 55.9], [2.2, 55.2]]]}
POINT = {"type": "Point", "coordinates": [2.5, 55.5]}
YAML = """
cubes:
  - {id: victim, title: V, access: public, attribution: a, variables: [{name: value, range: [0.1, 30], scale: log}]}
  - {id: other, title: O, access: public, attribution: a, variables: [{name: value}]}
"""
SECRET = "nobody is to read this"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret").write_text(SECRET)
    cubes = folder / "cubes"
    (cubes / OTHER).mkdir(parents=True)
    write(cubes / OTHER, KIND, TIMES)
    (cubes / OTHER / STAMP).write_text(json.dumps({"recipe": "x", "format": FORMAT, "title": "x"}))
    shutil.copytree(cubes / OTHER, cubes / VICTIM)
    shutil.copytree(cubes / OTHER, folder / "whole")
    (folder / "cubes.yaml").write_text(YAML)
    return folder


@pytest.fixture(scope="module")
def served(place, issuer):
    (place / "server").mkdir()
    running = start(place / "server", place / "cubes", issuer.url, place / "cubes.yaml")
    yield running
    running.process.terminate()
    assert running.process.wait(30) == 0, running.log


def workers(running):
    """Resident KiB by process, of those in front: they were forked, so that their command is their parent's."""
    found = {}
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,rss=,args=", "--ppid", str(running.process.pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines():
        pid, rss, arguments = line.split(None, 2)
        if "--behind" not in arguments and "--publishing" not in arguments:
            found[int(pid)] = int(rss)
    return found


def asked(cube):
    """Requests for all that a cube gives: what, method, address, body."""
    yield "tile", "GET", f"/tiles/{cube}/value/7/39/64?time=2017-01-02", None
    yield "live tile", "GET", f"/tiles/{cube}/value/7/39/64?time=2017-01-02&vmax=17", None
    yield (
        "wmts",
        "GET",
        f"/wmts/1.0.0/tile/{cube}/value/WorldWebMercatorQuad/7/39/64.png?time=2017-01-02",
        None,
    )
    yield "point", "POST", f"/timeseries/{cube}/value", POINT
    yield "series", "POST", f"/timeseries/{cube}/value?aggMethods=mean,count", AREA
    yield "value", "GET", f"/statistics/{cube}/value?lon=2.5&lat=55.5&time=2017-01-02", None
    yield "statistics", "POST", f"/statistics/{cube}/value?time=2017-01-02", AREA
    yield "object", "GET", f"/s3/datasets/{cube}.zarr/value/c/1/0/0", None
    yield "document", "GET", f"/s3/datasets/{cube}.zarr/zarr.json", None
    yield "info", "GET", f"/datasets/{cube}", None
    yield "legend", "GET", f"/tiles/{cube}/value/legend", None


def ask(running, method, path, body, **more):
    return requests.request(method, running.base + path, json=body, timeout=PATIENCE_S, **more)


def answers(running, cube):
    return {what: ask(running, method, path, body) for what, method, path, body in asked(cube)}


def file_of(cube, name):
    """A file to be damaged, taken out of any link that others have to it."""
    path = cube / name
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    return path, data


def changed_shard(change):
    """Damage a shard of the pyramid and one of the time store alike."""

    def damage(cube, _folder):
        for name in (SHARD, SERIES):
            path, data = file_of(cube, name)
            path.write_bytes(change(data, cube, name))

    return damage


def layout_of(cube, name):
    index = read_index(cube)
    return index.layout("value", 0) if name == SHARD else index.series_layout("value")


def with_entries(offset, length):
    """All entries of the shard's index changed, with a CRC that fits."""

    def change(data, cube, name):
        size = layout_of(cube, name).index_bytes
        body, table = data[:-size], np.frombuffer(data[-size:-4], "<u8").reshape(-1, 2).copy()
        there = table[:, 0] != 2**64 - 1
        table[there, 0], table[there, 1] = (
            offset(table[there, 0], len(body)),
            length(table[there, 1], len(body)),
        )
        raw = table.tobytes()
        return body + raw + struct.pack("<I", google_crc32c.value(raw))

    return change


def bomb(data, cube, name):
    """Every chunk says that it holds 2 GiB."""
    layout = layout_of(cube, name)
    table = np.frombuffer(data[-layout.index_bytes : -4], "<u8").reshape(-1, 2)
    made = bytearray(data)
    for offset in table[table[:, 0] != 2**64 - 1, 0].tolist():
        made[offset + 4 : offset + 8] = struct.pack("<I", 2**31 - 1)
    return bytes(made)


def noise(data, cube, name):
    """Bytes of all chunks changed here and there, their headers left as they are."""
    layout, rng = layout_of(cube, name), np.random.default_rng(9)
    made = np.frombuffer(data, np.uint8).copy()
    table = np.frombuffer(data[-layout.index_bytes : -4], "<u8").reshape(-1, 2)
    for offset, length in table[table[:, 0] != 2**64 - 1].tolist():
        made[rng.integers(offset + 16, offset + length, 40)] = rng.integers(0, 256, 40)
    return made.tobytes()


def instead(make, *names):
    """Put something else in the place of files."""

    def damage(cube, folder):
        for name in names:
            (cube / name).unlink()
            make(cube / name, folder)

    return damage


def document(change):
    """Change ``cube.json``."""

    def damage(cube, _folder):
        path = cube / "cube.json"
        found = json.loads(path.read_text())
        found = change(found) or found
        new = path.with_name("cube.new")
        new.write_text(found if isinstance(found, str) else json.dumps(found))
        new.replace(path)

    return damage


def metadata(change, *names):
    """Change ``zarr.json`` of groups and arrays."""

    def damage(cube, _folder):
        for name in names or ("pyramid.levels/0.zarr", "pyramid.levels/0.zarr/value", "series.zarr/value"):
            path, data = file_of(cube, f"{name}/zarr.json")
            path.write_text(change(json.loads(data)))

    return damage


def said(**changes):
    return lambda found: json.dumps({**found, **changes})


def packed(change):
    def damage(cube, _folder):
        for path in (cube / "tiles" / "value").iterdir():
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(change(data))

    return damage


def of_table(**values):
    """The table of the tiles made beforehand, with other numbers."""

    def change(data):
        from xcube_cubehub.fast.packs import ENTRY

        (count,) = struct.unpack_from("<I", data, 4)
        table = np.frombuffer(data, ENTRY, count, 8).copy()
        for name, value in values.items():
            table[name] = value
        return data[:8] + table.tobytes() + data[8 + table.nbytes :]

    return change


def to_secret(path, folder):
    path.symlink_to(folder / "secret")


DAMAGES = {
    "shards without bytes": changed_shard(lambda *_: b""),
    "shards cut short": changed_shard(lambda data, *_: data[: len(data) // 2]),
    "shards without their last byte": changed_shard(lambda data, *_: data[:-1]),
    "shards of noise": changed_shard(lambda data, *_: np.random.default_rng(1).bytes(len(data))),
    "entries outside of the file": changed_shard(with_entries(lambda o, n: o + n, lambda c, _: c)),
    "entries beyond all numbers": changed_shard(with_entries(lambda o, _: o | np.uint64(2**63), lambda c, _: c)),
    "huge lengths": changed_shard(with_entries(lambda o, _: o, lambda c, _: c | np.uint64(2**40))),
    "lengths of nothing": changed_shard(with_entries(lambda o, _: o, lambda c, _: c * 0)),
    "entries that overlap": changed_shard(with_entries(lambda o, _: o * 0, lambda c, n: c * 0 + n)),
    "chunks that swell": changed_shard(bomb),
    "chunks of noise": changed_shard(noise),
    "links in place of shards": instead(to_secret, SHARD, SERIES),
    "pipes in place of shards": instead(lambda path, _: os.mkfifo(path), SHARD, SERIES),
    "folders in place of shards": instead(lambda path, _: path.mkdir(), SHARD, SERIES),
    "no index": lambda cube, _: (cube / "cube.json").unlink(),
    "an index without bytes": document(lambda _: " "),
    "half an index": document(lambda found: json.dumps(found)[:200]),
    "an index nested deeply": document(lambda _: "[" * 200_000),
    "an index that is a list": document(lambda _: "[1]"),
    "an index that is a link": instead(to_secret, "cube.json"),
    "an index that is a pipe": instead(lambda path, _: os.mkfifo(path), "cube.json"),
    **{
        f"an index of {next(iter(changes))} {str(next(iter(changes.values())))[:30]}": document(lambda f, c=changes: {**f, **c})
        for changes in (
            {"shape": [10**9, 10**9]}, {"shape": ["a", "b"]}, {"levels": 10**9}, {"crs": "+init=/etc/passwd:x"},
            {"times": None}, {"series_steps": 10**9}, {"dims": ["../x", "y"]},
        )
    },
    "another type": document(lambda f: f["variables"]["value"].update(dtype="float64")),
    "a type that is none": document(lambda f: f["variables"]["value"].update(dtype="float128")),
    "times that are not there": document(lambda f: f.update(times=[*f["times"], *range(10**10, 10**10 + 500)], series_steps=500)),
    "documents without bytes": metadata(lambda _: ""),
    "documents of 10⁹ chunks": metadata(said(shape=[10**9, 10**9, 10**9])),
    "documents of negative sizes": metadata(said(shape=[-1, -1, -1])),
    "documents of another type": metadata(said(data_type="complex128")),
    "documents that are groups of themselves": metadata(said(node_type="group", consolidated_metadata={"kind": "inline", "metadata": {"value": {}}})),
    "tiles without bytes": packed(lambda _: b""),
    "tiles cut short": packed(lambda data: data[: len(data) // 3]),
    "tiles of noise": packed(lambda data: data[:8] + np.random.default_rng(2).bytes(len(data) - 8)),
    "tiles of 10⁹": packed(lambda data: data[:4] + struct.pack("<I", 10**9) + data[8:]),
    "tiles far away": packed(of_table(offset=2**63 + 1)),
    "tiles too long": packed(of_table(length=2**32 - 1)),
    "tiles of a palette beyond all": packed(of_table(clear=2**31 - 1)),
    "tiles of others": packed(of_table(offset=20)),
}  # fmt: skip


def restore(place):
    """All but the stamp anew: without it the cube would be taken off, and published again some seconds later."""
    victim = place / "cubes" / VICTIM
    for path in victim.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != STAMP:
            path.unlink()
    shutil.copytree(place / "whole", victim, dirs_exist_ok=True, ignore=shutil.ignore_patterns(STAMP))


def told(what, name, answer):  # noqa: PLR0911 - one for each way to be wrong
    """What is wrong with an answer; empty if nothing is."""
    if SECRET.encode() in answer.content or b"Traceback" in answer.content or b"root:" in answer.content:
        return f"{what}: {name} tells too much"
    if answer.status_code == 200:
        if name == "tile" and not answer.content.startswith(b"\x89PNG"):
            return f"{what}: no image"
        return ""
    if answer.headers["Content-Type"].startswith("application/xml") and b"<Message>" in answer.content:
        return ""  # the object store's own form
    try:
        error = answer.json()["error"]
    except ValueError:
        return f"{what}: {name} is {answer.status_code} {answer.content[:80]!r}"
    if not error["message"] or (answer.status_code >= 500 and not error["hint"]):
        return f"{what}: {name} says nothing"
    return ""


def test_a_damaged_cube_is_told_and_harms_nobody(served, place):
    """What cannot be read is a message; the other cube's answers stay the same to the byte, the processes alive and small."""
    usual = {name: a.content for name, a in answers(served, OTHER).items()}
    assert all(a.status_code == 200 for a in answers(served, VICTIM).values())
    before, problems, statuses = workers(served), [], []
    assert len(before) == 2
    for what, damage in DAMAGES.items():
        restore(place)
        damage(place / "cubes" / VICTIM, place)
        for name, answer in answers(served, VICTIM).items():
            statuses.append(answer.status_code)
            problems.append(told(what, name, answer))
            if "pipe" not in what and "link" not in what and answer.status_code == 500:
                problems.append(f"{what}: {name} is a 500: {served.log[-600:]}")
        sample = ask(served, *list(asked(OTHER))[len(statuses) % 11][1:])
        if sample.content not in usual.values():
            problems.append(f"{what}: the other cube changed: {sample.content[:80]!r}")
    restore(place)
    assert [p for p in problems if p] == []
    assert {name: a.content for name, a in answers(served, OTHER).items()} == usual
    assert all(a.status_code == 200 for a in answers(served, VICTIM).values()), (
        "what was mended is served again"
    )
    after = workers(served)
    assert after.keys() == before.keys(), "a process has ended"
    grown = max(after[pid] - before[pid] for pid in before)
    print(
        f"{len(DAMAGES)} damages, {len(statuses)} requests, {statuses.count(503)} of them 503, grown by {grown} KiB"
    )
    assert grown < 100 * 1024
    assert statuses.count(503) > 30
    assert f"cubes/{VICTIM}/{SHARD} is damaged" in served.log, "the operator is told the file"


@pytest.mark.parametrize("what", ["shards cut short", "chunks that swell", "huge lengths", "tiles too long"])
def test_asking_again_and_again_costs_no_memory(served, place, what):
    restore(place)
    DAMAGES[what](place / "cubes" / VICTIM, place)
    session = requests.Session()
    calls = [c for c in asked(VICTIM) if c[0] in {"tile", "live tile", "point", "value", "statistics"}]

    def many(times):
        for _ in range(times):
            for _, method, path, body in calls:
                session.request(method, served.base + path, json=body, timeout=PATIENCE_S)

    many(20)
    before = workers(served)
    many(60)
    after = workers(served)
    restore(place)
    assert after.keys() == before.keys()
    assert max(after[pid] - before[pid] for pid in before) < 16 * 1024


def test_a_file_that_shrinks_while_it_is_read(served, place):
    """No process reads by mapping memory, where that would be its end."""
    restore(place)
    victim = place / "cubes" / VICTIM
    before, statuses = workers(served), set()
    path, data = file_of(victim, SHARD)
    for size in np.linspace(len(data), 0, 40).astype(int).tolist():
        os.truncate(path, size)
        for _, method, address, body in list(asked(VICTIM))[:8]:
            statuses.add(ask(served, method, address, body).status_code)
        path.write_bytes(data)
    restore(place)
    assert statuses <= {200, 503}
    assert workers(served).keys() == before.keys()


def test_links_lead_nowhere(served, place):
    """A link in a cube's folder, to a file or to a folder, gives nothing of what it points to."""
    restore(place)
    array = place / "cubes" / VICTIM / "pyramid.levels" / "0.zarr" / "value"
    (array / "file").symlink_to(place / "secret")
    (array / "folder").symlink_to(place)
    os.mkfifo(array / "pipe")
    for key in ("file", "folder/secret", "pipe", "folder/cubes/other/cube.json"):
        for method in ("GET", "HEAD"):
            answer = ask(served, method, f"/s3/datasets/{VICTIM}.zarr/value/{key}", None)
            assert answer.status_code == 404, key
            assert SECRET not in answer.text
    restore(place)


@pytest.mark.parametrize(
    "path",
    [
        "/tiles/victim/value/24/16777216/0", "/tiles/victim/value/24/99999999/99999999", "/tiles/victim/value/0/5/5",
        "/tiles/victim/value/30/1/1", "/tiles/victim/value/99/1/1", "/tiles/victim/value/7/-1/-1", "/tiles/victim/value/7/1e9/1",
        "/tiles/victim/value/7/39/" + "9" * 400, "/tiles/..%2f..%2fother/value/0/0/0", "/statistics/..%2fother/value?lon=1&lat=1",
        "/statistics/victim/..%2fvalue?lon=1&lat=1", "/statistics/victim/value?lon=1e308&lat=-1e308", "/statistics/victim/value?lon=inf&lat=1",
        "/tiles/victim/value/legend?width=99999999", "/tiles/victim/value/legend?vmin=nan", "/datasets/..%2fother", "/s3/datasets/..%2fother.zarr/zarr.json",
    ],
)  # fmt: skip
def test_absurd_addresses_are_answered(served, path):
    answer = ask(served, "GET", path, None)
    assert answer.status_code < 500
    assert told(path, "it", answer) == ""


def test_documents_of_too_many_chunks_are_not_opened(served, place):
    """Published anew with them, the cube is left out, and named; the server behind goes on with the others."""
    restore(place)
    victim = place / "cubes" / VICTIM
    DAMAGES["documents of 10⁹ chunks"](victim, place)
    for folder in ("pyramid.levels", "series.zarr"):
        with pytest.raises(CubeError, match=r"zarr\.json is damaged"):
            check_documents(victim / folder)
    check_documents(place / "cubes" / OTHER / "pyramid.levels")
    behind = served.log.count("published anew")
    (victim / STAMP).write_text((victim / STAMP).read_text() + " ")
    for _ in range(300):
        if served.log.count("published anew") > behind:
            break
        time.sleep(0.1)
    assert "dataset victim cannot be opened and is left out" in served.log
    assert ask(served, "GET", f"/datasets/{OTHER}", None).status_code == 200
    assert ask(served, "GET", f"/datasets/{VICTIM}", None).status_code == 404
    assert all(a.status_code == 200 for a in answers(served, OTHER).values())


def test_an_index_of_anything_is_no_traceback(tmp_path):
    """Each value of ``cube.json`` exchanged for others: it is read as it is, or refused by name."""
    write(tmp_path, KINDS["classes"], 1)
    path = Path(tmp_path / "cube.json")
    right = json.loads(path.read_text())
    others = (
        None,
        -1,
        0,
        10**30,
        1.5,
        "",
        "a",
        "../..",
        [],
        [[]],
        {},
        {"a": 1},
        True,
        [None],
        float("nan"),
        1e308,
    )
    variable = right["variables"]["value"]
    documents = [{**right, key: other} for key in right for other in others]
    documents += [
        {**right, "variables": {"value": {**variable, key: other}}} for key in variable for other in others
    ]
    refusals = []
    for changed in documents:
        path.write_text(json.dumps(changed))
        try:
            read_index(tmp_path)
        except CubeError as refused:
            refusals.append(refused.message)
    assert all("cube.json" in message for message in refusals)
    print(f"{len(documents)} documents tried, {len(refusals)} refused")
    assert len(documents) // 2 < len(refusals) < len(documents)
