"""cubes.yaml, the command line and the STAC items."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import yaml
from pydantic import ValidationError

from support import CUBES_YAML, PROTECTED, SAMPLES
from xcube_cubehub import cli, config, render
from xcube_cubehub.access import Access
from xcube_cubehub.build import fingerprint
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.errors import ConfigError
from xcube_cubehub.fast.disk import Disk
from xcube_cubehub.index import SERIES_EDGE, SERIES_STEPS
from xcube_cubehub.recipes import RECIPES


def test_the_shipped_file_publishes_every_recipe_and_its_places_exist():
    cubes = config.read_cubes(CUBES_YAML)
    assert {c.id for c in cubes.cubes} == set(RECIPES)
    assert [c.id for c in cubes.cubes if c.rule.access is not Access.PUBLIC] == [PROTECTED]
    for cube in cubes.cubes:
        if RECIPES[cube.id].synthetic:
            assert "synthetic demonstration, not a measurement" in cube.title
        else:
            assert "contains modified Copernicus Sentinel data" in cube.attribution
    for places in cubes.places:
        assert json.loads(render.place_file(places.file, CUBES_YAML.parent).read_text())["features"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["cubes"][0].update(acces="public"), "cubes.olci-water-quality-demo.acces"),
        (lambda d: d["cubes"][0].pop("access"), "cubes.olci-water-quality-demo.access"),
        (lambda d: d["cubes"][0].update(access="everybody"), "access"),
        (lambda d: d["cubes"][0].update(access="owner"), "takes owner: the Keycloak id or user name"),
        (lambda d: d["cubes"][0].update(access="owner", owner="a b"), "owner"),
        (lambda d: d["cubes"][0].update(owner="ana"), "an owner means nothing beside access: public"),
        (lambda d: d["cubes"][0].update(access="account", owner="ana"), "beside access: account"),
        (
            lambda d: d["cubes"][0]["variables"][0].update(range=[0, 1], scale="log"),
            "log scale starts above 0",
        ),
        (lambda d: d["cubes"][0]["variables"][0].update(range=[2, 1]), "is not below"),
        (lambda d: d["cubes"].append(d["cubes"][0]), "listed twice"),
        (lambda d: d["cubes"][0].update(places=["nowhere"]), "unknown place group"),
        (lambda d: d["cubes"][0].update(id="../x"), "cubes.number 1.id"),
        (lambda d: d.update(default="nothing"), "unknown cube"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, says):
    data = yaml.safe_load(CUBES_YAML.read_text())
    change(data)
    path = tmp_path / "cubes.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as caught:
        config.read_cubes(path)
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")
    for path in (tmp_path / "none.yaml", tmp_path / "bad.yaml"):
        with pytest.raises(ConfigError, match=path.name):
            config.read_cubes(path)


def test_the_command_line_names_what_is_wrong(tmp_path, capsys):
    cases = [
        (["build", "nothing", "--output", str(tmp_path)], "no cube is called 'nothing'"),
        (["build", "--output", str(tmp_path), "--source", str(tmp_path / "none")], "is not a folder"),
        (["build", "msi-ndvi", "--output", str(tmp_path), "--source", str(tmp_path)], "s2-ndvi-slovenia"),
        (["build", "msi-ndvi", "--output", str(tmp_path)], "no source folder was named"),
    ]
    for argv, says in cases:
        assert cli.main(argv) == 2
        err = capsys.readouterr().err
        assert says in err
        assert err.startswith("error: ")
        assert "hint: " in err


@pytest.mark.slow
def test_what_an_operator_built_from_more_data_stays(built, tmp_path, capsys):
    """As at each start of the platform, which builds from the sample data."""
    more, stamp = tmp_path / "more", built / "msi-ndvi" / "build.json"
    shutil.copytree(SAMPLES / "s2-ndvi-slovenia", more / "s2-ndvi-slovenia")
    (more / "s2-ndvi-slovenia" / "ndvi_utm33.zarr" / "note").write_text("other bytes")
    argv = ["build", "msi-ndvi", "--output", str(built), "--json", "--source"]
    try:
        assert cli.main([*argv, str(more)]) == 0
        own = stamp.read_bytes()
        capsys.readouterr()
        assert cli.main([*argv, str(SAMPLES), "--only-missing"]) == 0
        assert json.loads(capsys.readouterr().out)["event"] == "unchanged"
        assert stamp.read_bytes() == own
        stamp.write_bytes(own.replace(b'"version": 1', b'"version": 0'))
        assert cli.main([*argv, str(SAMPLES), "--only-missing"]) == 0
        assert stamp.read_bytes() != own
    finally:
        assert cli.main([*argv, str(SAMPLES)]) == 0


@pytest.mark.slow
def test_building_again_changes_nothing_and_a_failure_keeps_the_old_cube(built, capsys, monkeypatch):
    argv = ["build", "msi-ndvi", "--source", str(SAMPLES), "--output", str(built), "--json"]
    stamp = built / "msi-ndvi" / "build.json"
    before = stamp.stat().st_mtime_ns
    capsys.readouterr()
    assert cli.main(argv) == 0
    assert json.loads(capsys.readouterr().out)["event"] == "unchanged"
    assert stamp.stat().st_mtime_ns == before

    def broken(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xcube_cubehub.build.write_cube", broken)
    monkeypatch.setattr("xcube_cubehub.build.fingerprint", lambda *_: "changed")
    assert cli.main(argv) == 1
    assert "No space left" in capsys.readouterr().err
    assert stamp.stat().st_mtime_ns == before
    assert not list(built.glob(".building*"))


def test_the_fingerprint_follows_every_byte(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    recipe = RECIPES["msi-ndvi"]
    first = fingerprint(recipe, tmp_path)
    assert fingerprint(recipe, tmp_path) == first
    (tmp_path / "a").write_bytes(b"2")
    assert fingerprint(recipe, tmp_path) != first


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_built_cube_has_what_it_should(built, name):
    with (
        xr.open_zarr(built / name / "pyramid.levels" / "0.zarr") as cube,
        xr.open_zarr(built / name / "series.zarr") as series,
    ):
        assert cube.attrs["title"] == RECIPES[name].title
        assert cube.attrs["attribution"]
        for variable in (v for v in cube.data_vars.values() if v.ndim == 3):
            assert variable.encoding["chunks"][0] == 1
            assert max(variable.encoding["chunks"]) <= 256
            assert series[variable.name].encoding["chunks"] == (SERIES_STEPS, SERIES_EDGE, SERIES_EDGE)
            step = slice(None, None, max(1, cube.sizes["time"] // 5))
            np.testing.assert_array_equal(variable[step].values, series[variable.name][step].values)
            assert variable.attrs["units"]
            if RECIPES[name].synthetic:
                assert "synthetic demonstration, not a measurement" in variable.attrs["long_name"]
    item = json.loads((built / f"{name}.item.json").read_text())
    assert item["id"] == name
    assert item["properties"]["start_datetime"] < item["properties"]["end_datetime"]
    assert all(asset["href"].startswith("/services/cubes/") for asset in item["assets"].values())
    west, south, east, north = item["bbox"]
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90


@pytest.mark.slow
def test_the_water_quality_cube_is_its_source_where_the_flags_allow(built):
    with (
        xr.open_zarr(SAMPLES / "olci-north-sea" / "cube.zarr") as source,
        xr.open_zarr(built / "olci-water-quality" / "pyramid.levels" / "0.zarr") as cube,
    ):
        words = source.c2rcc_flags.values.astype("int64")
        good = (
            (words // 2**31 % 2 == 1)
            & (words % 2 == 0)
            & (words // 2**4 % 2 == 0)
            & (words // 2**15 % 2 == 0)
        )
        quality = source.quality_flags.values.astype("int64")
        good &= (quality // 2**31 % 2 == 0) & (quality // 2**25 % 2 == 0)
        expected = np.where(good, source.conc_chl.values, np.nan)
        np.testing.assert_array_equal(cube.conc_chl.values, expected)
        assert 0.05 < np.isfinite(expected).mean() < 0.2


def test_the_viewer_configuration_names_no_other_host(tmp_path):
    settings = config.ServerSettings(
        port=1,
        public_url="http://127.0.0.1:8000/",
        cubes_dir=tmp_path,
        cubes_yaml=CUBES_YAML,
        issuer="http://127.0.0.1:8001/realms/cubehub/",
        state_dir=tmp_path,
    )
    text = json.dumps(render.viewer_config(settings, "http://127.0.0.1:8000"))
    rest = text.replace("http://127.0.0.1:8000", "").replace("http://127.0.0.1:8001/realms/cubehub", "")
    assert "http" not in rest


def test_where_cubes_lie(tmp_path):
    def settings(**changes):
        return ServerSettings(
            port=1,
            public_url="http://h",
            cubes_yaml=tmp_path,
            issuer="http://h/r",
            state_dir=tmp_path,
            **changes,
        )

    local = settings(cubes_dir=str(tmp_path / "cubes"))
    assert (local.bucket, local.folder) == (None, tmp_path / "cubes")
    far = settings(cubes_dir="s3://cubes/of/all/", bucket_cache="20GiB")
    assert (far.bucket, far.folder, far.bucket_cache) == (
        "s3://cubes/of/all",
        tmp_path / "bucket",
        20 * 2**30,
    )
    for wrong in ("s3://", "s3://key:secret@cubes", "s3://cubes/../x"):
        with pytest.raises(ValidationError, match="names no bucket"):
            settings(cubes_dir=wrong)


def test_parts_are_kept_within_a_limit_and_the_last_used_longest(tmp_path):
    disk = Disk(tmp_path / "parts")
    assert disk.shrink(100) == 0
    for number in range(20):
        disk.write(f"{number:02}", bytes([number]) * 4096)
        os.utime(tmp_path / "parts" / f"{number:02}" / f"{number:02}", (0, 1000 + number))
    assert disk.read("00") == bytes(4096), "which is noted as its last use"
    assert disk.shrink(10 * 4096) <= 10 * 4096
    assert disk.read("00") == bytes(4096)
    assert disk.read("01") is None
    assert disk.read("19") == bytes([19]) * 4096
    disk.remove("19")
    assert disk.read("19") is None
    blocked = Disk(tmp_path / "parts" / "00" / "00")  # a file, where a folder should be
    blocked.write("x", b"1")
    assert blocked.read("x") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cubes: [{id: lake, title: L, access: public, variables: [{name: v, range: [0, 1]}]}]", "cubes.lake.attribution: Field required"),
        ("cubes: [{title: L}]", "cubes.number 1.id: Field required"),
        (
            "cubes: [{id: lake, title: L, access: public, attribution: a, variables: [{name: v, range: [0]}]}]",
            "cubes.lake.variables.v.range",
        ),
        ("cubes: [", "not valid"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_list_is_named_as_people_find_it(tmp_path, text, said):
    file = tmp_path / "cubes.yaml"
    file.write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "xcube_cubehub.check", str(file)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, said in ran.stderr) == (2, True), ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_shipped_list_is_right():
    command = [sys.executable, "-m", "xcube_cubehub.check", str(CUBES_YAML)]
    assert subprocess.run(command, check=False).returncode == 0
