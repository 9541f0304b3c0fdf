"""Scenes into steps, without any file."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_recipe_files import MINIMAL, changed
from xcube_cubehub.making.planning import label_of, make_plan, utm_of, without_duplicates
from xcube_cubehub.making.spec import TimeSpec, parse_recipe
from xcube_cubehub.sources import Asset, Found, SceneHandle
from xcube_cubehub.steps import Area, SceneRef, TimeRange

AREA = Area(15.0, 46.0, 15.5, 46.4)
NOW = np.datetime64("2023-09-01T00:00:00")
ASSETS = {name: Asset(f"{name}.tif") for name in ("B04", "B08", "SCL")}


def scene(name="a", sensing="2023-08-15T09:57:57", *, key=None, rank=("05.09", ""), **changes):
    ref = SceneRef(name, rank[0], "sentinel-2a", np.datetime64(sensing, "s"))
    made = SceneHandle(
        ref,
        f"fingerprint {name}",
        "s2-l2a",
        name,
        key or f"key {name}",
        rank,
        ASSETS,
        (14.9, 45.9, 16, 47),
        10.0,
        "EPSG:32633",
    )
    return dataclasses.replace(made, **changes)


ALWAYS = TimeRange()


def plan(*scenes, recipe=MINIMAL, area=AREA, time=ALWAYS, now=NOW):
    return make_plan(parse_recipe(recipe, "x"), "digest", Found(scenes), area, time, now)


def outcomes(made):
    return {line.scene: (line.outcome, line.reason) for line in made.report}


def test_a_step_a_day_in_order():
    made = plan(scene("b", "2023-08-16T09:00:00"), scene("a"), scene("c", "2023-08-15T10:07:00"))
    assert [str(step.time) for step in made.steps] == ["2023-08-15T00:00:00", "2023-08-16T00:00:00"]
    assert {line.outcome for line in made.report} == {"used"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "olci-c2rcc"}, "of kind olci-c2rcc"),
        ({"sensing": "2023-09-01T00:00:01"}, "from the future"),
        ({"sensing": "2022-12-31T23:59:59"}, "outside the time"),
        ({"sensing": "2023-08-20T00:00:00"}, "outside the time"),
        ({"bounds": (16.0, 45.9, 17, 47)}, "outside the area"),
        ({"assets": {"B04": Asset("x")}}, "it has no B08"),
        (
            {"assets": {**ASSETS, "SCL": Asset("x", problem="SCL.tif has 3 of 9 bytes: no pixels")}},
            "3 of 9 bytes",
        ),
    ],
)
def test_why_a_scene_is_left_out(changes, reason):
    time = TimeRange(np.datetime64("2023-01-01T00:00:00"), np.datetime64("2023-08-20T00:00:00"))
    if "future" in reason:
        time = TimeRange()
    made = plan(scene("a"), scene("odd", **changes), time=time)
    assert [len(step.scenes) for step in made.steps] == [1]
    assert outcomes(made)["odd"][0] == "skipped"
    assert reason in outcomes(made)["odd"][1]


def test_scenes_of_another_zone_are_merged_or_left_out():
    west = scene("w", crs="EPSG:32632")
    assert len(plan(scene("a"), west).steps[0].scenes) == 2
    kept = plan(scene("a"), west, recipe=changed(grid={"crs": "utm", "resolution": 20, "zones": "keep"}))
    assert kept.grid.crs == "EPSG:32633"
    assert "another projection" in outcomes(kept)["w"][1]


def test_the_newest_baseline_wins_in_any_order():
    versions = [
        scene("old", key="k", rank=("02.14", "2")),
        scene("new", key="k", rank=("05.00", "1")),
        scene("mid", key="k", rank=("04.00", "3")),
    ]
    for order in itertools.permutations(versions):
        made = plan(*order)
        assert [handle.name for handle in made.steps[0].scenes] == ["new"]
        assert outcomes(made)["old"] == (
            "replaced",
            "duplicate of new: its newer baseline 05.00 wins over 02.14",
        )


def test_a_provider_that_does_not_tell_the_strip_is_a_duplicate_where_there_is_one_strip():
    bare, one, two = (
        scene("bare", key="s2 x t "),
        scene("one", key="s2 x t S1"),
        scene("two", key="s2 x t S2"),
    )
    assert len(without_duplicates([bare, one])) == 1
    assert len(without_duplicates([one, two])) == 2
    assert len(without_duplicates([bare, one, two])) == 3


def test_the_clearest_comes_first_and_unknown_cloud_last():
    made = plan(
        scene("a", cloud_cover=None),
        scene("b", cloud_cover=50.0),
        scene("c", cloud_cover=5.0),
        scene("d", cloud_cover=50.0, sensing="2023-08-15T10:00:00"),
    )
    assert [handle.name for handle in made.steps[0].scenes] == ["c", "d", "b", "a"]


def test_the_fingerprint_knows_scenes_recipe_and_grid():
    def fingerprint(*scenes, digest="digest", area=AREA):
        return (
            make_plan(parse_recipe(MINIMAL, "x"), digest, Found(scenes), area, TimeRange(), NOW)
            .steps[0]
            .fingerprint
        )

    same = fingerprint(scene("a"), scene("b"))
    assert same == fingerprint(scene("b"), scene("a"))
    others = {
        fingerprint(scene("a")),
        fingerprint(scene("a"), scene("b", fingerprint="rewritten")),
        fingerprint(scene("a"), scene("b"), digest="other"),
        fingerprint(scene("a"), scene("b"), area=Area(15.0, 46.0, 15.4, 46.4)),
    }
    assert same not in others
    assert len(others) == 4


def test_periods_stay_where_they_are():
    spec = TimeSpec(period_days=5, anchor="2015-06-23")
    label = label_of(np.datetime64("2023-08-15T09:57:57"), 15, spec)
    assert str(label) == "2023-08-15T00:00:00"  # 2975 days after the anchor: 595 periods
    assert str(label_of(np.datetime64("2023-08-14T09:57:57"), 15, spec)) == "2023-08-10T00:00:00"
    assert str(label_of(np.datetime64("2015-06-22T12:00:00"), 0, spec)) == "2015-06-18T00:00:00"


@pytest.mark.parametrize("lon", [179, -179])
def test_a_pass_over_the_antimeridian_is_one_day(lon):
    """The overpass at 10 h local time is at 22 h UTC; an hour of orbits around must not fall into two days."""
    labels = {
        str(label_of(np.datetime64(time), lon, TimeSpec()))
        for time in ("2023-06-10T21:10:00", "2023-06-10T23:55:00")
    }
    assert len(labels) == 1


@given(st.integers(-(10**9), 4 * 10**9), st.floats(-540, 540), st.integers(1, 366))
def test_a_scene_lies_in_its_step(seconds, lon, period):
    sensing = np.datetime64(seconds, "s")
    label = label_of(sensing, lon, TimeSpec(period_days=period))
    since = (sensing - label) / np.timedelta64(1, "D")
    assert -0.5 <= since <= period + 0.5


@pytest.mark.parametrize(
    ("area", "crs"),
    [
        (AREA, "EPSG:32633"),
        (Area(-72, -20, -71, -19), "EPSG:32719"),
        (Area(179, 1, -179.5, 2), "EPSG:32660"),
        (Area(179.9, -2, -179, -1), "EPSG:32701"),
    ],
)
def test_the_zone_of_an_area(area, crs):
    assert utm_of(area) == crs
