"""What a time series costs: of a point and of an area, ours, stock xcube's, and the floor."""

from __future__ import annotations

import json
import math
import random
import subprocess
import tempfile
from pathlib import Path

from cubehub_tests.bench._cubes import (
    FULL,
    NORTH,
    PREFIX,
    QUICK,
    SCRIPTS,
    STEP,
    WEST,
    Ask,
    cube_for,
    cubes_python,
    load,
    ours,
    stock,
    written,
)
from cubehub_tests.bench.frame import Case, say

POINTS, AREAS, THEIRS = 400, 20, 5
RADIUS_PIXELS = 50


def measure(*, quick: bool) -> list[Case]:
    """Ask both servers for series at the same places over all times."""
    size = QUICK if quick else FULL
    python = cubes_python()
    cube = cube_for(python, size)
    pixels = _pixels(size, POINTS)
    with tempfile.TemporaryDirectory(prefix="cubehub-bench-") as scratch:
        folder = Path(scratch)
        # The floor reads each place first, so that the disk's share is the same for all: none
        asked = written(
            folder,
            {
                "tiles": [(9, 263, 159, 0)], "pixels": pixels, "areas": pixels[:AREAS], "radius": RADIUS_PIXELS,
                "vmin": 0.1, "vmax": 30,
            },
        )  # fmt: skip
        told = subprocess.run(
            [str(python), str(SCRIPTS / "floor.py"), str(cube), str(asked)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        floor = json.loads(told)
        say("measuring CubeHub")
        path = f"{PREFIX}/timeseries/sea/chl?aggMethods=mean"
        with ours(python, cube, folder / "ours", 1) as serving:
            load(serving, [Ask(path, _point(p)) for p in pixels[:20]], 1)
            point = load(serving, [Ask(path, _point(p)) for p in pixels], 4)
            load(serving, [Ask(path, _area(pixels[0]))], 1)
            area = load(serving, [Ask(path, _area(p)) for p in pixels[:AREAS]], 1)
        say("measuring stock xcube with a time store")
        with stock(python, cube, folder / "stock", time_store=True) as serving:
            path = "/timeseries/sea/chl?aggMethods=mean"
            load(serving, [Ask(path, _point(p)) for p in pixels[:3]], 1)
            their_point = load(serving, [Ask(path, _point(p)) for p in pixels[: 4 * THEIRS]], 1)
            their_area = load(serving, [Ask(path, _area(p)) for p in pixels[:THEIRS]], 1)
    return [
        Case("point", point.cpu_ms, "ms", their_point.cpu_ms, floor["series"], "xcube with a time store"),
        Case("polygon", area.wall_ms, "ms", their_area.wall_ms, floor["area"], "xcube with a time store"),
    ]


def _pixels(size: tuple[int, int, int], count: int) -> list[tuple[int, int]]:
    """Rows and columns far enough from the edges for an area around them."""
    _, rows, columns = size
    rng, edge = random.Random(4), RADIUS_PIXELS + 5  # noqa: S311 - places, not secrets
    return [(rng.randrange(edge, rows - edge), rng.randrange(edge, columns - edge)) for _ in range(count)]


def _place(row: float, column: float) -> list[float]:
    return [WEST + (column + 0.5) * STEP, NORTH - (row + 0.5) * STEP]


def _point(pixel: tuple[int, int]) -> bytes:
    return json.dumps({"type": "Point", "coordinates": _place(*pixel)}).encode()


def _area(pixel: tuple[int, int]) -> bytes:
    """A polygon of 24 corners, some 7,500 pixels large."""
    row, column = pixel
    corners = [
        _place(row + RADIUS_PIXELS * math.sin(a), column + RADIUS_PIXELS * math.cos(a))
        for a in (2 * math.pi * n / 24 for n in range(24))
    ]
    return json.dumps({"type": "Polygon", "coordinates": [[*corners, corners[0]]]}).encode()
