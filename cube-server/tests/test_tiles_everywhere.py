"""Tiles of every cube at every zoom, inside, across and beyond the edge, many at once: never a failure."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, product

import pytest
import xarray as xr

from xcube_cubehub.recipes import RECIPES

pytestmark = pytest.mark.slow


def tile_of(lon, lat, z):
    n = 2**z
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n
    return math.floor((lon + 180) / 360 * n), math.floor(y)


def around(bounds, widest=4):
    """Tiles at each zoom from the world to beyond the finest level, with one more on each side."""
    west, south, east, north = bounds
    for z in range(18):
        (left, top), (right, bottom) = tile_of(west, north, z), tile_of(east, south, z)
        if max(right - left, bottom - top) > widest:
            right, bottom = left + widest, top + widest
        for x in range(max(0, left - 1), min(2**z, right + 2)):
            for y in range(max(0, top - 1), min(2**z, bottom + 2)):
                yield z, x, y


@pytest.mark.parametrize("name", RECIPES)
def test_no_tile_fails(server, issuer, built, name):
    token = issuer.token()
    bounds = json.loads((built / f"{name}.item.json").read_text())["bbox"]
    with xr.open_zarr(built / name / "pyramid.levels" / "0.zarr", chunks=None) as cube:
        variables = [str(v) for v in cube.data_vars if cube[v].ndim == 3]
        days = [f"{str(t)[:19]}Z" for t in cube.time.values[[0, len(cube.time) // 2, -1]]]
    shown = cycle(product(variables, days))
    paths = [
        f"/tiles/{name}/{variable}/{z}/{y}/{x}?crs=EPSG:3857&time={day}"
        for (z, x, y), (variable, day) in zip(around(bounds), shown, strict=False)
    ]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda path: server.get(path, token), paths))
    failed = [(a.status_code, path, a.text[:200]) for path, a in zip(paths, answers, strict=True) if not a.ok]
    assert failed == []
