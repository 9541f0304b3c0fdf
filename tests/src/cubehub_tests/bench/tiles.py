"""What a map tile costs: ours live and made beforehand, stock xcube, xpublish-tiles, and the floor."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cubehub_tests.bench._cubes import (
    FULL,
    PREFIX,
    QUICK,
    RANGE,
    SCRIPTS,
    Ask,
    Load,
    Serving,
    cube_for,
    cubes_python,
    label,
    load,
    ours,
    some_tiles,
    stock,
    written,
    xpublish,
)
from cubehub_tests.bench.frame import Case, say

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = 4
MANY, FEW = 2_000, 60
OTHER, WARMING = (0.2, 25.0), (0.3, 20.0)
"""Ends of colour scales that nobody has prepared, so that tiles are made when they are asked for."""


def measure(*, quick: bool) -> list[Case]:
    """Ask each server for tiles of the same places, times and colours."""
    size = QUICK if quick else FULL
    python = cubes_python()
    cube = cube_for(python, size)
    many, few = (
        some_tiles(size, MANY // (10 if quick else 1)),
        some_tiles(size, FEW // (4 if quick else 1), 2),
    )
    cases = []
    with tempfile.TemporaryDirectory(prefix="cubehub-bench-") as scratch:
        folder = Path(scratch)
        say("measuring the floor")
        asked = written(folder, {"tiles": many, "pixels": [(100, 100)], "vmin": OTHER[0], "vmax": OTHER[1]})
        told = subprocess.run(
            [str(python), str(SCRIPTS / "floor.py"), str(cube), str(asked)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        floors = json.loads(told)
        floor = float(floors["tile"])
        say("measuring CubeHub")
        with ours(python, cube, folder / "one", 1) as serving:
            live = _loaded(serving, [[_ours(t, ends) for t in many] for ends in (WARMING, OTHER, OTHER)])
            prepared = _loaded(serving, [[_ours(t, RANGE) for t in many] * 5] * 4)
            one = _loaded(serving, [[_ours(t, OTHER) for t in many]] * 4, 4 * CLIENTS)
        with ours(python, cube, folder / "two", 2) as serving:
            two = _loaded(serving, [[_ours(t, OTHER) for t in many]] * 4, 4 * CLIENTS)
        say("measuring stock xcube")
        with stock(python, cube, folder / "stock", time_store=False) as serving:
            theirs = _loaded(serving, [[_stock(t, ends) for t in few] for ends in (WARMING, OTHER)], 1)
        cases = [
            Case("live", live.cpu_ms, "ms", theirs.cpu_ms, floor, "xcube"),
            Case("pre-rendered", prepared.cpu_ms, "ms", theirs.cpu_ms, floors["prepared"], "xcube"),
            Case("floor", floor, "ms"),
            Case("two workers", two.wall_ms, "ms", one.wall_ms, None, "one worker"),
        ]
        if not quick:
            say("measuring xpublish-tiles")
            with xpublish(cube, folder / "xpublish") as serving:
                others = _loaded(serving, [[_xpublish(t, ends) for t in few] for ends in (WARMING, OTHER)], 1)
            cases.append(Case("live", live.cpu_ms, "ms", others.cpu_ms, floor, "xpublish-tiles"))
    return cases


def _loaded(serving: Serving, rounds: Sequence[Sequence[Ask]], clients: int = CLIENTS) -> Load:
    """The median of some rounds; the first is not counted, for in it everybody waits for the disk."""
    loads = [load(serving, asks, clients) for asks in rounds][1:]
    return Load(median(one.cpu_ms for one in loads), median(one.wall_ms for one in loads))


def _query(step: int, ends: tuple[float, float]) -> str:
    return urlencode(
        {"vmin": ends[0], "vmax": ends[1], "cmap": "viridis", "norm": "log", "time": label(step)}
    )


def _ours(place: tuple[int, int, int, int], ends: tuple[float, float]) -> Ask:
    z, x, y, step = place
    return Ask(f"{PREFIX}/tiles/sea/chl/{z}/{y}/{x}?{_query(step, ends)}")


def _stock(place: tuple[int, int, int, int], ends: tuple[float, float]) -> Ask:
    z, x, y, step = place
    return Ask(f"/tiles/sea/chl/{z}/{y}/{x}?crs=EPSG:3857&{_query(step, ends)}")


def _xpublish(place: tuple[int, int, int, int], ends: tuple[float, float]) -> Ask:
    z, x, y, step = place
    query = {
        "variables": "chl", "style": "raster/viridis", "colorscalerange": f"{ends[0]},{ends[1]}",
        "width": 256, "height": 256, "time": label(step).removesuffix("Z"), "f": "png",
    }  # fmt: skip
    return Ask(f"/datasets/cube/tiles/WebMercatorQuad/{z}/{y}/{x}?{urlencode(query)}")
