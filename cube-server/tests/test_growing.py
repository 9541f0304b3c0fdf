"""Cubes that grow: step by step, in any order, killed at any moment, read meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

import numpy as np
import pytest
import xarray as xr

from xcube_cubehub.build import STAMP
from xcube_cubehub.errors import BadInputError, CubeError
from xcube_cubehub.fast import series, tiles
from xcube_cubehub.growing import PROVENANCE, grow, only_builder_of, read_provenance
from xcube_cubehub.index import read_index
from xcube_cubehub.steps import CubeGrid, MadeStep, Plan, PlannedStep, ReportLine, SceneRef, VariableSpec

GRID = CubeGrid("EPSG:4326", 5.0, 55.0, 0.01, (300, 400))
VARIABLES = (
    VariableSpec("chl", "Chlorophyll", None, "mg m-3", value_range=(0.1, 30), scale="log", log_space=True),
)
NOTHING = np.full(GRID.shape, np.nan, np.float32)


class Here(Executor):
    """Makes steps in this thread, when they are asked for."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


@dataclass
class Recipe:
    """Makes fields whose values tell day and version; remembers what it made."""

    name: str = "lake"
    version: int = 1
    title: str = "A lake"
    description: str = "made for a test"
    attribution: str = "nobody"
    license: str = "CC0-1.0"
    made: list = field(default_factory=list)

    def make(self, plan, step):
        del plan
        day, version = step.scenes
        self.made.append((day, version))
        values = NOTHING if version == "empty" else np.full(GRID.shape, day + version / 100, np.float32)
        sensing = np.datetime64(day, "D").astype("datetime64[s]")
        report = (ReportLine(f"S{day}", "skipped", "has no pixel"),) if version == "empty" else ()
        return MadeStep(
            step.time, {"chl": values}, (SceneRef(f"S{day}", str(version), "x", sensing),), report
        )


def plan(days):
    """A plan of days (since 1970), each with the version of its scene."""
    steps = tuple(
        PlannedStep(np.datetime64(day, "D").astype("datetime64[s]"), (day, version), f"{day}/{version}")
        for day, version in sorted(days.items())
    )
    return Plan(GRID, VARIABLES, steps, ())


def build(recipe, days, cube):
    return grow(recipe, plan(days), cube, Here(), lambda *_: None)


def values(cube, *, killed=False):
    """What a cube holds at one pixel, by xarray from the maps, by xarray from the series, and by the server's own way.

    A builder that was killed may have told xarray of a step already, and not yet the server.
    """
    with (
        xr.open_zarr(cube / "pyramid.levels" / "0.zarr", chunks=None) as maps,
        xr.open_zarr(cube / "series.zarr", chunks=None) as times,
    ):
        days = maps.time.values.astype("datetime64[D]").astype(int).tolist()
        from_maps = maps.chl[:, 100, 200].values.tolist()
        from_series = times.chl[:, 100, 200].values.tolist()
    opened = tiles.Cube(cube)
    ours = series.point_values(opened, "chl", 100, 200, series.span_of(opened, None, None)).tolist()
    ahead = len(from_maps) - len(ours)
    assert ahead in ({0, 1} if killed else {0})
    assert from_maps[: len(ours)] == pytest.approx(ours)
    assert not ahead or np.isfinite(from_maps[-1])
    assert from_series == pytest.approx(ours[: len(from_series)])
    assert days[: len(ours)] == [t // 86400 for t in opened.index.times]
    days = days[: len(ours)]
    return dict(zip(days, np.round(ours, 4).tolist(), strict=True))


def test_a_build_again_does_nothing(tmp_path):
    recipe, cube = Recipe(), tmp_path / "lake"
    first = build(recipe, {10: 1, 11: 1, 12: 1}, cube)
    assert (first.added, first.unchanged) == (3, 0)
    version = read_index(cube).version
    again = build(recipe, {10: 1, 11: 1, 12: 1}, cube)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 3)
    assert len(recipe.made) == 3
    assert read_index(cube).version == version, "no tile has to be fetched again"
    assert values(cube) == {10: 10.01, 11: 11.01, 12: 12.01}


def test_new_scenes_come_behind_and_reprocessed_ones_in_their_place(tmp_path):
    recipe, cube = Recipe(), tmp_path / "lake"
    build(recipe, {10: 1, 11: 1}, cube)
    grown = build(recipe, {10: 2, 11: 1, 12: 1}, cube)
    assert (grown.added, grown.replaced, grown.unchanged) == (1, 1, 1)
    assert values(cube) == {10: 10.02, 11: 11.01, 12: 12.01}
    sources = {
        note["time"] // 86400: note["sources"][0]["version"] for note in read_provenance(cube).values()
    }
    assert sources == {10: "2", 11: "1", 12: "1"}


def test_scenes_of_the_past_find_their_place(tmp_path):
    recipe, cube = Recipe(), tmp_path / "lake"
    build(recipe, {10: 1, 14: 1, 18: 1}, cube)
    grown = build(recipe, {9: 1, 10: 1, 12: 1, 14: 2, 18: 1, 20: 1}, cube)
    assert (grown.added, grown.replaced, grown.unchanged) == (3, 1, 2)
    assert values(cube) == {9: 9.01, 10: 10.01, 12: 12.01, 14: 14.02, 18: 18.01, 20: 20.01}
    assert not list(tmp_path.glob(".building*")), "nothing is left beside"
    assert build(recipe, {9: 1, 10: 1, 12: 1, 14: 2, 18: 1, 20: 1}, cube).unchanged == 6


def test_a_step_without_values_is_told_and_not_made_again(tmp_path):
    recipe, cube = Recipe(), tmp_path / "lake"
    grown = build(recipe, {10: 1, 11: "empty", 12: 1}, cube)
    assert (grown.added, grown.empty) == (2, 1)
    assert [line.reason for line in grown.report] == ["has no pixel"]
    assert json.loads((cube / "report.json").read_text())[0]["scene"] == "S11"
    assert build(recipe, {10: 1, 11: "empty", 12: 1}, cube).unchanged == 3
    assert values(cube) == {10: 10.01, 12: 12.01}


def test_a_cube_of_nothing_is_not_published(tmp_path):
    build(Recipe(), {11: "empty"}, tmp_path / "lake")
    assert not (tmp_path / "lake" / STAMP).exists()


def test_another_grid_is_refused_and_nothing_lost(tmp_path):
    cube = tmp_path / "lake"
    build(Recipe(), {10: 1}, cube)
    other = Plan(CubeGrid("EPSG:4326", 6.0, 55.0, 0.01, (300, 400)), VARIABLES, (), ())
    with pytest.raises(BadInputError, match="another grid") as refused:
        grow(Recipe(), other, cube, Here(), lambda *_: None)
    assert "--name" in refused.value.hint
    assert values(cube) == {10: 10.01}


def test_one_builder_at_a_time(tmp_path):
    with (
        only_builder_of(tmp_path / "lake"),
        pytest.raises(BadInputError, match="another build"),
        only_builder_of(tmp_path / "lake"),
    ):
        pass
    with only_builder_of(tmp_path / "sea"), only_builder_of(tmp_path / "lake"):
        pass


def test_what_a_killed_writer_left_is_made_once_more(tmp_path):
    recipe, cube = Recipe(), tmp_path / "lake"
    build(recipe, {10: 1, 11: 1}, cube)
    lines = (cube / PROVENANCE).read_text().splitlines()
    # killed after the step was visible, and before it was noted; the note before was cut off
    (cube / PROVENANCE).write_text(lines[0] + "\n" + lines[1][:20])
    grown = build(recipe, {10: 1, 11: 1}, cube)
    assert (grown.replaced, grown.unchanged) == (1, 1)
    assert values(cube) == {10: 10.01, 11: 11.01}


def test_what_had_no_index_yet_is_begun_anew(tmp_path):
    cube = tmp_path / "lake"
    (cube / "pyramid.levels").mkdir(parents=True)
    (cube / "pyramid.levels" / "zarr.json").write_text("{")
    assert build(Recipe(), {10: 1}, cube).added == 1


def test_a_damaged_index_is_said(tmp_path):
    cube = tmp_path / "lake"
    build(Recipe(), {10: 1}, cube)
    for text in ("", "{", "[]", '{"format": 99}', '{"format": 3}'):
        (cube / "cube.json").write_text(text)
        with pytest.raises(CubeError, match=r"cube\.json"):
            read_index(cube)


FOREVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_growing import Recipe, build
days = {}
for day in range(10, 10_000):
    days[day] = 1
    build(Recipe(), days, Path(sys.argv[1]))
    print(day, flush=True)
"""


@pytest.mark.slow
def test_a_builder_killed_at_any_moment_leaves_a_whole_cube(tmp_path):
    """And loses at most the step in work. Meanwhile readers never see half a step."""
    cube, here, rng = tmp_path / "lake", os.path.dirname(__file__), np.random.default_rng(3)  # noqa: PTH120
    said, kills = 9, 0
    while kills < 12:
        with subprocess.Popen(
            [sys.executable, "-c", FOREVER, str(cube), here], stdout=subprocess.PIPE, text=True
        ) as process:
            said = max(said, int(process.stdout.readline()))
            until = time.monotonic() + float(rng.uniform(0.05, 3.0))
            while time.monotonic() < until:
                opened = tiles.Cube(cube)
                span = series.span_of(opened, None, None)
                seen = series.point_values(opened, "chl", 100, 200, span)
                assert np.isfinite(seen).all(), "a time without its values"
            process.send_signal(signal.SIGKILL)
            said = max([said, *map(int, process.stdout.read().split())])
        kills += 1
        held = values(cube, killed=True)
        assert list(held) == list(range(10, 10 + len(held)))
        assert len(held) >= said - 9, "a step that was done is lost"
        assert all(abs(value - (day + 0.01)) < 1e-3 for day, value in held.items())
    print(f"\n{kills} kills, {len(held)} steps")
