"""What may be published and what is wrong with the rest: pure."""

import hashlib
import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from publisher import IDS, fields, wish
from xcube_cubehub.config import read_cubes
from xcube_cubehub.errors import ConfigError
from xcube_cubehub.publishing import axes, rules
from xcube_cubehub.publishing.judging import judge
from xcube_cubehub.publishing.model import PublishError, Record, Wish, id_of
from xcube_cubehub.publishing.records import (
    Registry,
    settle_items,
    superseded,
    sweep,
    with_published,
    write_record,
)
from xcube_cubehub.publishing.rules import Person
from xcube_cubehub.publishing.settings import Publishing

LIMITS = Publishing()
COLOURS = {"viridis", "YlGn"}


def judged(asked, limits=LIMITS):
    accepted, problems = judge(Wish.model_validate(asked), limits, COLOURS, 0.0)
    return accepted, {p.where: p for p in problems if p.level == "error"}, problems


def changed(part, **more):
    """A wish whose structure has other coordinates or variables."""
    made = wish()
    made["structure"][part] |= more
    return made


def axis(values, **more):
    return {"dims": ["lat"], "dtype": "float64", "values": list(values), **more}


def test_a_cube_of_degrees():
    accepted, errors, _ = judged(wish())
    assert not errors
    index = accepted.index
    assert (index.crs, index.shape, index.dims) == ("EPSG:4326", (300, 400), ("lat", "lon"))
    assert (index.west, index.north, index.dx, index.dy) == pytest.approx((5.0, 56.0, 0.01, -0.01))
    assert accepted.times == (17000 * 86400, 17001 * 86400, 17002 * 86400)
    assert accepted.variables["chl"] == {"units": "mg m-3", "long_name": "Chlorophyll"}


def projected(said, **attrs):
    made = wish()
    coords = made["structure"]["coords"]
    for old, new, first in (("lat", "y", 6.5e6), ("lon", "x", 5e5)):
        coords[new] = {
            "dims": [new],
            "dtype": "float64",
            "values": [first + 10 * i for i in range(len(coords.pop(old)["values"]))],
        }
    made["structure"]["variables"]["chl"]["dims"] = ["time", "y", "x"]
    made["structure"]["sizes"] = {"time": 3, "y": 300, "x": 400}
    if said:
        coords["spatial_ref"] = {"dims": [], "dtype": "int64", "attrs": said}
    made["structure"]["attrs"] = attrs
    return made


def test_a_projection_is_found_wherever_it_is_said():
    import pyproj

    utm = pyproj.CRS.from_epsg(32635)
    for asked in (
        projected({"crs_wkt": utm.to_wkt()}), projected(utm.to_cf()), projected({}, crs="EPSG:32635"),
        projected({"spatial_ref": utm.to_wkt()}),
    ):  # fmt: skip
        accepted, errors, _ = judged(asked)
        assert not errors, errors
        assert (accepted.index.crs, accepted.index.dims) == ("EPSG:32635", ("y", "x"))
        assert accepted.index.dy > 0, "rows may run northwards"
    assert "rio.write_crs" in judged(projected({}))[1]["CRS"].hint
    assert (
        "EPSG number"
        in judged(projected({}, crs=pyproj.CRS("+proj=laea +lat_0=12.3 +lon_0=4.5").to_wkt()))[1][
            "attribute crs"
        ].message
    )
    for nonsense in ("EPSG:9", "PROJCS[", {"a": 1}, "EPSG:4978"):
        assert judged(projected({}, crs=nonsense))[1]


@pytest.mark.parametrize(("asked", "where", "words"), [
    (changed("coords", lat=axis([*np.linspace(50, 49, 299), 40])), "lat", "not evenly spaced"),
    (changed("coords", lat=axis([50] * 300)), "lat", "neither ascends nor descends"),
    (changed("coords", lat=axis(np.linspace(100, 97, 300))), "lat", "degrees"),
    (changed("coords", lat=axis([None] * 300)), "lat", "not finite"),
    (changed("coords", lat=axis([50.0])), "lat", "single place"),
    (changed("coords", lat={"dims": ["lat"], "dtype": "float64"}), "lat", "no values"),
    (changed("coords", lon={"dims": ["lon"], "dtype": "float64", "values": list(np.linspace(30, 20, 400))}), "lon", "east to west"),
    (changed("coords", time={"dims": ["time"], "dtype": "object", "values": None}), "time", "not datetime64"),
    (changed("coords", time={"dims": ["time"], "dtype": "datetime64[ns]", "values": [0, None, 1]}), "time", "NaT"),
    (changed("coords", time={"dims": ["time"], "dtype": "datetime64[ns]", "values": [2 * 10**9, 10**9]}), "time", "not ascend"),
    (changed("coords", time={"dims": ["time"], "dtype": "datetime64[ns]", "values": [1, 2]}), "time", "more than once"),
    (changed("coords", time={"dims": ["time"], "dtype": "datetime64[ns]", "values": [-(9 * 10**18)]}), "time", "1820"),
    (changed("variables", chl={"dims": ["time", "lat", "lon"], "dtype": "<U3"}), "chl", "no picture"),
    (changed("variables", chl={"dims": ["lat", "lon"], "dtype": "float32"}), "dataset", "no variable"),
    (wish(style={}), "style of chl", "no range"),
    (wish(style={"chl": {"range": [1, 1]}}), "style of chl", "not a range"),
    (wish(style={"chl": {"range": [0, 1], "scale": "log"}}), "style of chl", "above 0"),
    (wish(style={"chl": {"range": [0, 1], "colours": "yLgN"}}), "style of chl", "no colour map"),
    (wish("a/b"), "name", "cannot be the name"),
    (wish(times=3, shape=(7000, 7000)), "dataset", "pixels"),
])  # fmt: skip
def test_what_is_wrong_is_said(asked, where, words):
    accepted, errors, _ = judged(asked)
    assert accepted is None
    assert words in errors[where].message
    assert errors[where].hint


def test_two_dimensional_coordinates_get_their_own_hint():
    made = wish()
    made["structure"]["coords"]["lat"] = {"dims": ["j", "i"], "dtype": "float64"}
    made["structure"]["coords"]["lon"] = {"dims": ["j", "i"], "dtype": "float64"}
    assert "two dimensions" in judged(made)[1]["x and y"].hint


@pytest.mark.parametrize(("variable", "stored"), [
    ({"dtype": "float64"}, ("float32", None)),
    ({"dtype": "uint8"}, ("int16", -32768)),
    ({"dtype": "int64"}, ("float32", None)),
    ({"dtype": "float32", "encoding": {"dtype": "uint16", "_FillValue": 65535, "scale_factor": 0.01}}, ("uint16", 65535)),
    ({"dtype": "float32", "encoding": {"dtype": "int16", "_FillValue": 1e9, "scale_factor": 0.01}}, ("float32", None)),
    ({"dtype": "float32", "encoding": {"dtype": "int16", "scale_factor": 0.01}}, ("float32", None)),
])  # fmt: skip
def test_how_values_are_stored(variable, stored):
    accepted, errors, _ = judged(changed("variables", chl={"dims": ["time", "lat", "lon"], **variable}))
    assert not errors
    found = accepted.index.variables["chl"]
    assert (found.dtype, found.fill) == stored


def test_xrlint_tells_what_could_be_better():
    problems = judged(changed("variables", chl={"dims": ["time", "lat", "lon"], "dtype": "float32"}))[2]
    assert {(p.where, p.rule) for p in problems if p.level == "warning"} >= {
        ("chl", "var-units"),
        ("chl", "var-desc"),
    }
    assert all('ds["chl"]' in p.hint for p in problems if p.rule == "var-units")


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_ids_are_safe_and_differ(person, name, other, another):
    import re

    made = id_of(person, name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", made)
    if (person, name) != (other, another):
        assert made != id_of(other, another)


def test_rules():
    ana = Person("ana", "1", frozenset({"/cubehub/standard"}), may_publish=True)
    admin = Person("kim", "2", frozenset({rules.ADMINISTRATORS}), may_publish=True)
    public = Wish.model_validate(wish())
    for allowed, who in (
        ("administrators", admin),
        (["/cubehub/premium"], admin),
        ("everyone", ana),
        (["/cubehub/standard"], ana),
    ):
        rules.check_access(public, who, Publishing(public_by=allowed))
    for allowed in ("administrators", ["/cubehub/premium"]):
        with pytest.raises(PublishError, match="for everybody"):
            rules.check_access(public, ana, Publishing(public_by=allowed))
    with pytest.raises(PublishError, match="empty list"):
        rules.check_access(Wish.model_validate(wish(access=[])), ana, LIMITS)
    with pytest.raises(PublishError, match="switched off"):
        rules.check_person(ana, Publishing(enabled=False))
    assert rules.expiry(None, LIMITS, 0.0) == 90 * 86400
    with pytest.raises(ValidationError):
        Publishing(quota="20 apples")
    assert Publishing(quota="1.5K", grace="12h").grace == 12 * 3600


def record(name="ana--x", **more):
    made = {
        "id": name, "name": "x", "folder": f"{name}.1", "owner_id": IDS["ana"], "owner_name": "ana", "title": "X", "access": "owner",
        "styles": [{"name": "chl", "colours": "viridis", "range": [0, 1], "scale": "lin"}],
        "published": 0.0, "expires": 100.0, "bytes": 10, "times": 1,
    }  # fmt: skip
    return Record.model_validate(made | more)


def test_records_that_are_damaged_or_name_other_places_are_left_out(tmp_path):
    registry = Registry(tmp_path / "published")
    write_record(registry.folders, record())
    for name, text in (
        ("a", "{"), ("b", record("b", folder="../../etc").model_dump_json()), ("c", record("other").model_dump_json()),
    ):  # fmt: skip
        (registry.folders.root / f"{name}.json").write_text(text)
    assert [r.id for r in registry.records()] == ["ana--x"]
    assert registry.live(50.0)
    assert not registry.live(100.0)
    assert registry.signature(50.0) != registry.signature(100.0)
    (tmp_path / "cubes.yaml").write_text(
        "cubes: [{id: ana--x, title: O, access: public, attribution: n, variables: [{name: v, range: [0, 1]}]}]"
    )
    cubes = read_cubes(tmp_path / "cubes.yaml")
    assert [c.title for c in with_published(cubes, registry.records(), registry.folders).cubes] == ["O"]
    text = (tmp_path / "cubes.yaml").read_text()
    (tmp_path / "cubes.yaml").write_text("publishing: {quota: much}\n" + text)
    with pytest.raises(ConfigError, match="quota"):
        read_cubes(tmp_path / "cubes.yaml")


def test_the_sweep_takes_what_is_over_and_nothing_else(tmp_path):
    registry = Registry(tmp_path / "published")
    folders = registry.folders
    for made in (record("ana--old", expires=1.0), record("ana--new", expires=1e12)):
        write_record(folders, made)
    (folders.root / "ana--damaged.json").write_text("{")
    for name in ("ana--old.1", "ana--new.1", "ana--new.0", "ana--damaged.7"):
        (folders.cubes / name).mkdir(parents=True)
    os.utime(folders.cubes / "ana--new.0", (0, 0))
    os.utime(folders.cubes / "ana--damaged.7", (0, 0))
    assert sweep(registry, 10.0, 5.0) == []
    assert sweep(registry, 10.0, 20.0) == ["ana--old"]
    assert sorted(p.name for p in folders.cubes.iterdir()) == ["ana--damaged.7", "ana--new.1"]


FULL = """
import sys
sys.path.insert(0, {here!r})
from test_judging import full_disk
full_disk(sys.argv[1])
"""


def full_disk(folder):
    """On a disk of 8 MB: a cube, then one that is too large for it; prints what was said and what is there."""
    from pathlib import Path

    from xcube_cubehub.config import ServerSettings
    from xcube_cubehub.publishing import desk, shelf

    root = Path(folder)
    (root / "cubes.yaml").write_text(
        "publishing: {keep_free: 0}\ncubes: [{id: a, title: O, access: public, attribution: n, variables: [{name: v, range: [0, 1]}]}]"
    )
    settings = ServerSettings(
        port=0,
        public_url="http://h",
        cubes_dir=root / "cubes",
        cubes_yaml=root / "cubes.yaml",
        issuer="http://k",
        state_dir=root / "state",
    )
    shelf.SHOWN_WITHIN_S = 0.0
    made = desk.Desk(settings)
    ana = Person("ana", IDS["ana"], frozenset(), may_publish=True)

    def publish(values, times):
        begun = made.begin(Wish.model_validate(wish(times=times)), ana)
        for step in range(begun["next"], times):
            for part, first in enumerate(range(0, len(values[step]), begun["rows"])):
                band = values[step][first : first + begun["rows"]].tobytes()
                made.put(
                    begun["upload"],
                    ana,
                    step,
                    "chl",
                    part,
                    hashlib.sha256(band).hexdigest(),
                    zlib.compress(band),
                )
            made.commit(begun["upload"], ana, step, None)
        assert made.finish(made.start_finish(begun["upload"], ana))

    publish(fields(1), 1)
    before = made.shelf.listing(ana, everybody=False)["cubes"]
    said = ""
    try:
        publish(fields(40, seed=3), 40)
    except PublishError as error:
        said = error.code
    # nothing at all fits any more
    filler = (root / "filler").open("wb", buffering=0)
    for size in (65536, 1):
        try:
            while filler.write(bytes(size)):
                pass
        except OSError:
            pass
    taken = made.shelf.take_back("my-lake", ana, now=False)
    kept = desk.Desk(settings).shelf
    withdrawn = (taken["live"], kept.registry.live(0.0), len(kept.listing(ana, everybody=False)["cubes"]))
    filler.truncate(0)
    made.shelf.registry.folders.withdrawn("ana--my-lake").rename(
        made.shelf.registry.folders.record("ana--my-lake")
    )
    # as after a kill
    again = desk.Desk(settings)
    begun = again.begin(Wish.model_validate(wish(times=40)), ana)
    print(json.dumps({
        "withdrawn": withdrawn, "said": said, "same": before == again.shelf.listing(ana, everybody=False)["cubes"], "resumed": begun["resumed"], "next": begun["next"],
        "there": sorted(p.name for p in (root / "cubes/published/cubes").iterdir()) == [f"{before[0]['id']}.{p}" for p in [made.shelf.registry.get("ana--my-lake").folder.split(".")[1]]],
    }))  # fmt: skip


def test_a_full_disk_is_said_and_the_old_version_stays(tmp_path):
    code = FULL.format(here=os.path.dirname(__file__))  # noqa: PTH120
    script = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found.pop("next") > 0
    assert found == {
        "withdrawn": [False, [], 1],
        "said": "disk_full",
        "same": True,
        "resumed": True,
        "there": True,
    }


@pytest.mark.parametrize(
    ("first", "step"),
    [(5.0, 1e-13), (5.0, 1e-300), (1e300, 1e300), (-1.7e308, 1e308), (5.0, 0.0), (1e12, 1.0)],
)
def test_axes_of_which_no_map_can_be_made_are_said(first, step):
    asked = wish(shape=(4, 5))
    asked["structure"]["coords"]["lat"]["values"] = [first + step * n for n in range(4)]
    accepted, problems = judge(Wish.model_validate(asked), LIMITS, (), 0.0)
    assert accepted is None
    assert [p.where for p in problems if p.level == "error"] == ["lat"]


def test_the_operator_s_cube_of_the_same_id_is_the_one_that_counts(tmp_path):
    registry = Registry(tmp_path / "published")
    folders = registry.folders
    write_record(folders, record(access="public"))
    (folders.cubes / "ana--x.1").mkdir(parents=True)
    (folders.cubes / "ana--x.1" / "item.json").write_text("{}")
    settle_items(folders, registry.records(), 50.0)
    assert [p.name for p in folders.items.iterdir()] == ["ana--x.item.json"]
    settle_items(folders, registry.records(), 50.0, {"ana--x"})
    assert not list(folders.items.iterdir())
    settle_items(folders, registry.records(), 50.0)
    assert [p.name for p in folders.items.iterdir()] == ["ana--x.item.json"]


@pytest.mark.parametrize("access", ["owner", "account", ["/water", "/all"]], ids=str)
def test_the_catalogue_is_told_who_sees_a_cube(tmp_path, access):
    registry = Registry(tmp_path / "published")
    folders = registry.folders
    (folders.cubes / "ana--x.1").mkdir(parents=True)
    (folders.cubes / "ana--x.1" / "item.json").write_text('{"id": "ana--x"}')
    write_record(folders, record(access="public"))
    settle_items(folders, registry.records(), 50.0)
    assert not list(folders.items_for_some.iterdir())
    write_record(folders, record(access=access))
    settle_items(folders, registry.records(), 50.0)
    assert not list(folders.items.iterdir())
    (path,) = folders.items_for_some.iterdir()
    kept = json.loads(path.read_text())
    one = registry.records()[0]
    assert kept == {
        "readers": access,
        "owner_id": one.owner_id,
        "owner_name": one.owner_name,
        "item": {"id": "ana--x"},
    }
    settle_items(folders, registry.records(), 50.0, {"ana--x"})
    assert not list(folders.items_for_some.iterdir())
    settle_items(folders, registry.records(), 50.0)
    (folders.cubes / "ana--x.1" / "item.json").write_text("{")
    settle_items(folders, registry.records(), 50.0)
    assert not list(folders.items_for_some.iterdir())


def test_earlier_versions_count_until_they_are_gone(tmp_path):
    registry = Registry(tmp_path / "published")
    write_record(registry.folders, record())
    write_record(registry.folders, record("kim--y", owner_id=IDS["kim"]))
    for name in ("ana--x.0", "ana--x.1", "kim--y.0"):
        (registry.folders.cubes / name).mkdir(parents=True)
        (registry.folders.cubes / name / "data").write_bytes(bytes(1000))
    assert 1000 <= superseded(registry, IDS["ana"]) < 10_000
    with pytest.raises(PublishError, match="earlier versions"):
        rules.check_versions(LIMITS.quota + 1, IDS["ana"], LIMITS)
    rules.check_versions(LIMITS.quota, IDS["ana"], LIMITS)


@pytest.mark.parametrize(
    "said",
    [
        "+init=/tmp/fifo:x",
        "+proj=longlat",
        "/etc/passwd",
        "urn:x",
        "EPSG:4326 +init=/a:b",
        "X" * 30_000,
        None,
    ],
)
def test_a_crs_is_a_number_or_wkt_and_no_name_of_a_file(said):
    problems = []
    assert axes._code("CRS", said, problems) is None
    assert "EPSG" in problems[0].hint


def test_a_crs_by_number_and_by_wkt_is_found():
    for said in (
        "EPSG:32633",
        "epsg:3857",
        3035,
        pyproj.CRS(32633).to_wkt(),
        pyproj.CRS(3857).to_wkt("WKT1_GDAL"),
    ):
        assert axes._code("CRS", said, []).startswith("EPSG:")
    assert axes._code("CRS", pyproj.CRS(32633).to_cf(), []) == "EPSG:32633"
