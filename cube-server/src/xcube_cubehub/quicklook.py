"""A small picture of a cube: land and water, and over them a variable at one time in its own colours."""

import io
import math
from dataclasses import dataclass

import numpy as np
import pyproj
from PIL import Image

from xcube_cubehub import basemap
from xcube_cubehub.errors import NotThereError
from xcube_cubehub.fast import png, tiles
from xcube_cubehub.fast.warp import HALF_WORLD_M, MERCATOR, Place
from xcube_cubehub.grid import TILE
from xcube_cubehub.index import Index, Style

WIDTH, HEIGHT = 480, 300
MARGIN = 1.08
"""How much more than the cube is shown."""
WELL_FILLED = 0.5
"""A time is well filled that shows at least this share of what the best one shows."""
_EDGE_POINTS = 21
_SMALLEST_M = 200.0
"""A picture is at least so wide: a cube of one pixel has no extent to speak of."""


@dataclass(frozen=True)
class View:
    """What a picture shows: west, south, east, north in metres of web mercator, and the zoom of its tiles."""

    west: float
    south: float
    east: float
    north: float
    zoom: int


def best_step(index: Index) -> int:
    """Position of the newest time that shows much; of the newest at all where none was counted.

    Raises
    ------
    NotThereError
        The cube has no times yet.
    """
    if not index.times:
        raise NotThereError("this cube has no times yet", "wait until its first time is built")
    hidden = set(index.hidden)
    steps = [step for step in range(len(index.times)) if step not in hidden] or [len(index.times) - 1]
    counts = index.counts
    counted = [step for step in steps if step < len(counts)]
    if not counted:
        return steps[-1]
    most = max(counts[step] for step in counted)
    return max(step for step in counted if counts[step] >= WELL_FILLED * most)


def nearest_step(index: Index, seconds: int) -> int:
    """Position of the time nearest to one, the earlier of two."""
    times = np.array(index.times, dtype=np.int64)
    return int(np.argmin(np.abs(times - seconds)))


def view_of(index: Index) -> View:
    """What a picture of the whole cube shows.

    Raises
    ------
    NotThereError
        The cube lies where web mercator cannot show it.
    """
    rows, columns = index.shape
    across = np.linspace(index.west, index.west + index.dx * columns, _EDGE_POINTS)
    down = np.linspace(index.north, index.north + index.dy * rows, _EDGE_POINTS)
    x, y = np.meshgrid(across, down)
    found = pyproj.Transformer.from_crs(index.crs, "EPSG:4326", always_xy=True).transform(
        x.ravel(), y.ravel()
    )
    lon, lat = (np.asarray(values, float) for values in found)
    there = np.isfinite(lon) & np.isfinite(lat)
    if not there.any():
        raise NotThereError("this cube cannot be shown on a map", "read it with xarray instead")
    lon, lat = np.clip(lon[there], -180, 180), np.clip(lat[there], -85.05, 85.05)
    east = np.deg2rad(lon) * HALF_WORLD_M / math.pi
    north = np.arcsinh(np.tan(np.deg2rad(lat))) * HALF_WORLD_M / math.pi
    middle = ((east.min() + east.max()) / 2, (north.min() + north.max()) / 2)
    wide = max(float(np.ptp(east)), float(np.ptp(north)) * WIDTH / HEIGHT, _SMALLEST_M) * MARGIN
    wide = min(wide, 2 * HALF_WORLD_M)
    high = wide * HEIGHT / WIDTH
    # one to two pixels of a tile under each of the picture
    zoom = math.ceil(math.log2(max(2 * HALF_WORLD_M / wide * WIDTH / TILE, 1)))
    half = wide / 2, high / 2
    x_middle = float(min(max(middle[0], half[0] - HALF_WORLD_M), HALF_WORLD_M - half[0]))
    return View(
        x_middle - half[0], float(middle[1]) - half[1], x_middle + half[0], float(middle[1]) + half[1],
        min(zoom, basemap.MAX_ZOOM),
    )  # fmt: skip


def render(cube: tiles.Cube, name: str, step: int, style: Style, palette: png.Palette) -> bytes:
    """A PNG of `WIDTH` x `HEIGHT` pixels.

    Parameters
    ----------
    cube : Cube
        Where from.
    name, step : str, int
        Variable, and position of the time.
    style : Style
        Ends and scale of the colours.
    palette : Palette
        The colours.

    Raises
    ------
    CubeError
        The cube cannot be read, or has no place on a map.

    Notes
    -----
    Made of map tiles, some twenty at most, and so of the level of the pyramid whose pixels are about as large: however
    large a cube is, the work is the same.
    """
    view = view_of(cube.index)
    metres = 2 * HALF_WORLD_M / (TILE << view.zoom)
    left, right = ((x + HALF_WORLD_M) / metres for x in (view.west, view.east))
    top, bottom = ((HALF_WORLD_M - y) / metres for y in (view.north, view.south))
    first_x, first_y = math.floor(left / TILE), math.floor(top / TILE)
    size = (
        (math.ceil(right / TILE) - first_x) * TILE,
        (math.ceil(bottom / TILE) - first_y) * TILE,
    )
    canvas = Image.new("RGB", size, basemap.SEA)
    last = (1 << view.zoom) - 1
    for row in range(max(first_y, 0), min(first_y + size[1] // TILE, last + 1)):
        for column in range(max(first_x, 0), min(first_x + size[0] // TILE, last + 1)):
            at = (column - first_x) * TILE, (row - first_y) * TILE
            with Image.open(io.BytesIO(basemap.render(view.zoom, column, row))) as land:
                canvas.paste(land.convert("RGB"), at)
            place = Place(MERCATOR, view.zoom, column, row, TILE)
            painted = tiles.paint(cube, name, step, place, style, len(palette.rgba))
            if isinstance(painted, bytes) or painted.idat:
                with Image.open(io.BytesIO(tiles.image(painted, palette, TILE))) as data:
                    over = data.convert("RGBA")
                canvas.paste(over, at, over)
    box = (left - first_x * TILE, top - first_y * TILE, right - first_x * TILE, bottom - first_y * TILE)
    picture = canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX, box=box)
    out = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def style_fits(style: Style) -> bool:
    """Whether a style can be drawn: a logarithm has no value at or below 0."""
    return style.scale != "log" or min(style.low, style.high) > 0
