"""Cubes whose home is a bucket: built, killed and gone on with, read by others meanwhile."""

import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from buckets import BUCKET, running_store
from test_growing import Here, Recipe, plan, values
from xcube_cubehub.bucket import Bucket, BucketError, ChangedError, read_environment, split
from xcube_cubehub.errors import BadInputError, ConfigError
from xcube_cubehub.growing import grow
from xcube_cubehub.index import decode_index
from xcube_cubehub.origin import Origin

NAME = "lake"


@pytest.fixture(scope="module")
def store():
    with running_store() as made:
        yield made


@pytest.fixture
def prefix(store, request):
    """A prefix of the test's own."""
    store.wire.trouble = None
    store.wire.seen.clear()
    return re.sub(r"[^a-z0-9]+", "-", request.node.name)


def build(prefix, days, folder, recipe=None, name=NAME):
    folder.mkdir(exist_ok=True)
    origin = Origin(Bucket(f"s3://{BUCKET}/{prefix}", 5.0), folder / name)
    origin.begin()
    return grow(recipe or Recipe(), plan(days), folder / name, Here(), lambda *_: None, origin=origin)


def address(store, prefix):
    index = decode_index(store.read(f"{prefix}/{NAME}.cube.json"), "index")
    return f"{BUCKET}/{prefix}/{NAME}/{index.place}", index


def seen_by_others(store, prefix):
    """What a reader who knows nothing of CubeHub sees: day by day the one value of the whole field."""
    place, index = address(store, prefix)
    with xr.open_zarr(f"s3://{place}/pyramid.levels/0.zarr", chunks=None) as maps:
        days = maps.time.values.astype("datetime64[D]").astype(int).tolist()
        assert days[: len(index.times)] == [t // 86400 for t in index.times]
        found = {}
        for number, day in enumerate(days[: len(index.times)]):
            field = maps.chl[number].values
            assert (field == field[0, 0]).all(), "half a step"
            found[day] = round(float(field[0, 0]), 4)
    return found


def test_a_cube_in_a_bucket_is_what_a_local_one_is(store, prefix, tmp_path):
    grown = build(prefix, {10: 1, 11: 1, 12: 1}, tmp_path / "work")
    assert grown.added == 3
    assert (
        seen_by_others(store, prefix) == {10: 10.01, 11: 11.01, 12: 12.01} == values(tmp_path / "work" / NAME)
    )
    place, index = address(store, prefix)
    with xr.open_zarr(f"s3://{place}/series.zarr", chunks=None) as series:
        np.testing.assert_allclose(series.chl[:, 100, 200].values, [10.01, 11.01, 12.01], rtol=1e-6)
    local = {
        p.relative_to(tmp_path / "work" / NAME).as_posix()
        for p in (tmp_path / "work" / NAME).rglob("*")
        if p.is_file()
    }
    there = {key.removeprefix(f"{prefix}/{NAME}/{index.place}/") for key in store.keys(f"{prefix}/{NAME}/")}
    assert local - there == {"cube.json", "build.json"}, "which lie beside the folder"
    assert store.keys(f"{prefix}/{NAME}.") == {
        f"{prefix}/{NAME}.{x}" for x in ("cube.json", "build.json", "item.json")
    }


def test_a_build_goes_on_with_an_empty_folder(store, prefix, tmp_path):
    build(prefix, {10: 1, 11: 1}, tmp_path / "one")
    recipe = Recipe()
    grown = build(prefix, {10: 1, 11: 1, 12: 1}, tmp_path / "two", recipe)
    assert (grown.added, grown.unchanged) == (1, 2)
    assert recipe.made == [(12, 1)]
    assert seen_by_others(store, prefix) == {10: 10.01, 11: 11.01, 12: 12.01}
    # the first machine's copy is behind now, and is made to follow
    again = build(prefix, {10: 1, 11: 3, 12: 1}, tmp_path / "one")
    assert (again.added, again.replaced, again.unchanged) == (0, 1, 2)
    assert seen_by_others(store, prefix) == {10: 10.01, 11: 11.03, 12: 12.01}
    place, _ = address(store, prefix)
    with xr.open_zarr(f"s3://{place}/series.zarr", chunks=None) as series:
        np.testing.assert_allclose(series.chl[:, 0, 0].values, [10.01, 11.03, 12.01], rtol=1e-6)


def test_steps_in_between_go_into_a_folder_of_their_own(store, prefix, tmp_path):
    build(prefix, {10: 1, 14: 1}, tmp_path / "one")
    old, _ = address(store, prefix)
    with xr.open_zarr(f"s3://{old}/pyramid.levels/0.zarr", chunks=None) as reading:
        build(prefix, {10: 1, 12: 1, 14: 1}, tmp_path / "two")
        assert address(store, prefix)[0] != old
        assert float(reading.chl[1, 5, 5]) == pytest.approx(14.01), "who reads the old one goes on"
    assert seen_by_others(store, prefix) == {10: 10.01, 12: 12.01, 14: 14.01}
    name = old.rsplit("/", 1)[1]
    store.write(f"{prefix}/{NAME}/retired-{name}", b"2020-01-01T00:00:00+00:00")
    build(prefix, {10: 1, 12: 1, 14: 1}, tmp_path / "two")
    assert not store.keys(f"{prefix}/{NAME}/{name}"), "and later it is taken away"
    assert not store.keys(f"{prefix}/{NAME}/retired-")
    assert seen_by_others(store, prefix) == {10: 10.01, 12: 12.01, 14: 14.01}


def test_a_build_that_ends_at_any_object_leaves_a_whole_cube(store, prefix, tmp_path):
    build(prefix, {10: 1, 11: 1}, tmp_path / "start")
    done, ends = False, 0
    state = {10: 10.01, 11: 11.01}
    while not done:
        # As a kill does: from some object on nothing arrives any more. Each time with a new, empty machine
        left = [9 * ends]

        def trouble(method, path, left=left):
            del path
            if method in {"PUT", "POST", "DELETE"}:
                left[0] -= 1
                return 403 if left[0] < 0 else None
            return None

        store.wire.trouble = trouble
        try:
            build(prefix, {10: 1, 11: 1, 12: 1}, tmp_path / "work")
            done = True
        except BucketError:
            ends += 1
        store.wire.trouble = None
        found = seen_by_others(store, prefix)
        assert found in (state, {**state, 12: 12.01})
        shutil.rmtree(tmp_path / "work")
    assert ends > 3
    assert seen_by_others(store, prefix) == {**state, 12: 12.01}


def test_what_an_ended_build_left_is_not_seen_later(store, prefix, tmp_path):
    build(prefix, {10: 1}, tmp_path / "one")
    _, index = address(store, prefix)
    left = f"{prefix}/{NAME}/{index.place}/pyramid.levels/0.zarr/chl/c/1/0/0"
    store.write(left, b"of another build")
    origin = Origin(Bucket(f"s3://{BUCKET}/{prefix}"), tmp_path / "one" / NAME)
    origin.begin()
    nothing = replace(index, place="", times=(*index.times, 11 * 86400))
    origin.step(nothing, 11 * 86400)
    assert not store.keys(left), "a shard that is not here is not there either"


def test_two_builders_do_not_mix(store, prefix, tmp_path):
    build(prefix, {10: 1}, tmp_path / "one")
    origin = Origin(Bucket(f"s3://{BUCKET}/{prefix}"), tmp_path / "one" / NAME)
    origin.begin()
    build(prefix, {10: 1, 11: 1}, tmp_path / "two")
    with pytest.raises(ChangedError, match="another build has written lake"):
        grow(Recipe(), plan({10: 1, 12: 1}), tmp_path / "one" / NAME, Here(), lambda *_: None, origin=origin)
    assert seen_by_others(store, prefix) == {10: 10.01, 11: 11.01}


@pytest.mark.parametrize("trouble", [500, 503, "cut"])
def test_a_store_that_stumbles_is_asked_again(store, prefix, tmp_path, trouble):
    stumbled = []

    def once_in_a_while(method, path):
        stumbled.append((method, path))
        return trouble if len(stumbled) % 7 == 3 else None

    store.wire.trouble = once_in_a_while
    build(prefix, {10: 1, 11: 1}, tmp_path / "one")
    store.wire.trouble = None
    assert seen_by_others(store, prefix) == {10: 10.01, 11: 11.01}


@pytest.mark.parametrize(
    ("trouble", "message"),
    [(403, r"AccessDenied \(status 403\)"), (500, r"status 500"), (9.0, "no answer"), ("cut", "no answer")],
)
def test_what_is_wrong_is_told_in_words_and_in_time(store, prefix, trouble, message):
    store.wire.trouble = lambda *_: trouble
    with pytest.raises(BucketError, match=message) as failed:
        Bucket(f"s3://{BUCKET}/{prefix}", 0.5).get("x")
    assert not {"test-key", "test-secret"} & set(re.split(r"[^a-z-]", failed.value.message))


def test_a_missing_bucket_is_not_a_missing_object(prefix):
    with pytest.raises(BucketError, match="NoSuchBucket") as failed:
        Bucket("s3://nowhere", 5).get("x")
    assert "name of the bucket" in failed.value.hint
    assert Bucket(f"s3://{BUCKET}/{prefix}").get("x") is None


@pytest.mark.parametrize(
    "text", ["s3://", "s3://A/b", "s3://a_b/c", "s3://key:secret@cubes/x", "s3://cubes/../x", "s3://cubes//x"]
)
def test_what_is_no_address(text):
    with pytest.raises(BadInputError):
        split(text)


def test_credentials_from_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "before")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "before")
    path = tmp_path / "s3.env"
    path.write_text("# for the cubes\nAWS_ACCESS_KEY_ID=one\nexport AWS_SECRET_ACCESS_KEY='two'\n")
    read_environment(path)
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]) == ("one", "two")
    path.write_text("PATH=/tmp\nsecret stuff\n")
    with pytest.raises(ConfigError, match="line 1") as failed:
        read_environment(path)
    assert "secret" not in failed.value.message
    with pytest.raises(ConfigError, match="cannot be read"):
        read_environment(tmp_path / "none")


def test_json_of_the_command_tells_where_it_lies(prefix, tmp_path, capsys):
    from support import SAMPLES
    from xcube_cubehub import cli

    arguments = ["--output", f"s3://{BUCKET}/{prefix}"]
    build = [
        "build",
        "peipsi-demo-members",
        "--source",
        str(SAMPLES),
        *arguments,
        "--work",
        str(tmp_path / "w"),
        "--json",
    ]
    assert cli.main(build) == 0
    capsys.readouterr()
    shutil.rmtree(tmp_path / "w")
    assert cli.main(build) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[-1]["event"] == "unchanged"
    assert cli.main(["list", *arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["cubes"]
    assert [row["name"] for row in rows if row["built"] and row["bytes"] > 1000] == ["peipsi-demo-members"]
    assert cli.main(["build", "--output", "s3://A/b"]) == 2
    assert "names no bucket" in capsys.readouterr().err


def test_scenes_and_cubes_in_a_bucket_are_sources(store, prefix, tmp_path):
    from scenes import WQSF, make_wfr
    from xcube_cubehub.making import load_recipe
    from xcube_cubehub.sources import open_source
    from xcube_cubehub.steps import Area, TimeRange

    lon, lat = np.meshgrid(np.linspace(1, 1.3, 40), np.linspace(52, 51.8, 30))
    make_wfr(
        tmp_path, lon, lat, np.full(lon.shape, 100, np.uint8), np.full(lon.shape, WQSF["WATER"], np.uint64)
    )
    for path in tmp_path.rglob("*"):
        if path.is_file():
            store.write(f"{prefix}/scenes/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    area, now = Area(1.05, 51.85, 1.25, 51.95), np.datetime64("2024-01-01T00:00:00")
    recipe = load_recipe("olci-water-quality")
    made = []
    for source in (str(tmp_path), f"s3://{BUCKET}/{prefix}/scenes"):
        planned = recipe.plan(open_source(source), area, TimeRange(), now)
        made.append(recipe.make(planned, planned.steps[0]).values)
    assert made[0].keys() == made[1].keys()
    for name, field in made[0].items():
        np.testing.assert_array_equal(field, made[1][name])
        assert np.isfinite(field).any()

    build(prefix, {10: 1, 11: 1}, tmp_path / "work")
    place, _ = address(store, prefix)
    root, data_id = f"{place}/pyramid.levels".split("/", 1)
    found = open_source(f"store:s3/{data_id}/0.zarr?root={root}").find(Area(-180, -90, 180, 90), TimeRange())
    assert [str(scene.ref.sensing.astype("datetime64[D]")) for scene in found.scenes] == [
        "1970-01-11",
        "1970-01-12",
    ]
    with pytest.raises(BadInputError, match="belongs into the environment"):
        open_source('store:s3/a.zarr?root=b&storage_options={"secret":"x"}')
    with pytest.raises(BadInputError, match="NAME=VALUE"):
        open_source("store:s3/a.zarr?root")
