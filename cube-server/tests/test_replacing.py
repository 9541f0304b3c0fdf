"""A time that is replaced while others read it: each answer is of the old version or of the new one."""

import threading
import time
import zlib

import numpy as np
import pytest

from test_growing import GRID, Recipe, build
from xcube_cubehub.fast import series, statistics, tiles, warp
from xcube_cubehub.index import Style

DAY = 17_000


@pytest.fixture
def replaced(tmp_path):
    """A cube whose only time is replaced without end."""
    cube, ended = tmp_path / "lake", threading.Event()
    build(Recipe(), {DAY: 1}, cube)

    def go_on():
        number = 1
        while not ended.is_set():
            number = number % 90 + 1
            build(Recipe(), {DAY: number}, cube)

    building = threading.Thread(target=go_on)
    building.start()
    yield cube
    ended.set()
    building.join()


def while_(seen, least_s=0.0, most_s=30.0):
    """Go on until enough was seen, or for a time."""
    began = time.monotonic()
    while time.monotonic() < began + most_s:
        yield
        if time.monotonic() > began + least_s and (least_s or len(seen) > 8):
            return


def everywhere():
    rows, columns = GRID.shape
    return series.Area(np.ones((rows, columns), np.bool_), 0, 0)


def test_an_area_has_one_version(replaced):
    seen = set()
    for _ in while_(seen):
        # as between the exchange and the end of a build
        cube = tiles.Cube(replaced, tiles.Cube(replaced).index.following(series_steps=0))
        found = series.area_values(cube, "chl", everywhere(), series.Span(0, 1), ("min", "max"))
        assert found["min"][0] == found["max"][0]
        seen.add(float(found["min"][0]))
    assert len(seen) > 3


def test_statistics_have_one_version(replaced):
    for _ in while_((), 2):
        found = statistics.area_statistics(tiles.Cube(replaced), "chl", 0, everywhere())
        assert found["minimum"] == found["maximum"]


def test_a_tile_has_one_version(replaced):
    cube, seen = tiles.Cube(replaced), set()
    west, north, step = GRID.west, GRID.north, GRID.resolution
    rows, columns = GRID.shape
    lon, lat = west + columns / 2 * step, north - rows / 2 * step
    zoom = 8
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
    for _ in while_(seen):
        painted = tiles.paint(
            cube, "chl", 0, warp.Place(warp.MERCATOR, zoom, x, y, 256), Style("grey", DAY, DAY + 1), 256
        )
        assert not isinstance(painted, bytes)
        values = np.frombuffer(zlib.decompress(painted.idat[8:-4]), np.uint8).reshape(256, 257)[:, 1:]
        there = set(values[values != painted.clear].tolist())
        assert len(there) <= 1
        seen |= there
    assert len(seen) > 3
