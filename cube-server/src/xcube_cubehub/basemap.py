"""Map tiles of land and water, drawn from bundled outlines: no tile server of others is ever asked."""

import io
import json
import math
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from xcube_cubehub.land import outlines

SIZE = 256
MAX_ZOOM = 16
"""Beyond this a tile is drawn all the same by the client stretching it; outlines are good to about zoom 10."""
_OVERSAMPLING = 2
SEA = (214, 226, 234)
_LAND = (243, 241, 235)
_SHORE = (176, 190, 200)
_MERCATOR_LIMIT = 85.0511287798066


def tile_bounds(z: int, x: int, y: int) -> tuple[float, float, float, float]:
    """West, south, east, north in degrees of a tile of the web-mercator tile matrix set."""
    n = 2**z

    def latitude(row: float) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / n))))

    return x / n * 360 - 180, latitude(y + 1), (x + 1) / n * 360 - 180, latitude(y)


def to_pixels(lonlat: npt.NDArray[np.float64], z: int, x: int, y: int, size: int) -> npt.NDArray[np.float64]:
    """Pixel positions, from the tile's upper left corner, of longitudes and latitudes; shape (n, 2)."""
    n = 2**z
    latitude = np.deg2rad(np.clip(lonlat[:, 1], -_MERCATOR_LIMIT, _MERCATOR_LIMIT))
    columns = (lonlat[:, 0] + 180) / 360 * n - x
    rows = (1 - np.arcsinh(np.tan(latitude)) / math.pi) / 2 * n - y
    pixels: npt.NDArray[np.float64] = np.stack([columns, rows], axis=1) * size
    return pixels


@lru_cache(maxsize=1)
def _lakes() -> list[npt.NDArray[np.float64]]:
    text = (resources.files(__package__) / "places" / "estonian-lakes.geojson").read_text(encoding="utf-8")
    shapes = [feature["geometry"] for feature in json.loads(text)["features"]]
    return [np.array(shape["coordinates"][0], float) for shape in shapes if shape["type"] == "Polygon"]


@lru_cache(maxsize=1024)
def render(z: int, x: int, y: int) -> bytes:
    """One PNG tile of 256 x 256 pixels.

    Raises
    ------
    ValueError
        A tile that does not exist at this zoom, or a zoom above `MAX_ZOOM`.
    """
    if not (0 <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z):
        msg = f"no tile {z}/{x}/{y}"
        raise ValueError(msg)
    size = SIZE * _OVERSAMPLING
    image = Image.new("RGB", (size, size), SEA)
    draw = ImageDraw.Draw(image)
    bounds = tile_bounds(z, x, y)
    land = outlines(0 if z <= 2 else 1 if z <= 5 else 2)
    for number in land.within(*bounds):
        _polygon(draw, to_pixels(land.rings[number], z, x, y, size), SEA if land.holes[number] else _LAND)
    if z >= 5:
        for lake in _lakes():
            _polygon(draw, to_pixels(lake, z, x, y, size), SEA)
    small = image.resize((SIZE, SIZE), Image.Resampling.BOX).quantize(16, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()


def _polygon(draw: ImageDraw.ImageDraw, pixels: npt.NDArray[np.float64], fill: tuple[int, int, int]) -> None:
    clipped = _clip(pixels, -8.0, SIZE * _OVERSAMPLING + 8.0)
    if len(clipped) >= 3:
        draw.polygon([tuple(p) for p in clipped], fill=fill)


def _clip(points: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.float64]:
    """Clip a ring to the square [low, high]² (Sutherland and Hodgman 1974), so that Pillow never sees huge numbers."""
    for axis, limit, sign in ((0, low, 1.0), (0, high, -1.0), (1, low, 1.0), (1, high, -1.0)):
        if len(points) == 0:
            return points
        inside = sign * (points[:, axis] - limit) >= 0
        if inside.all():
            continue
        previous, was_inside = np.roll(points, 1, axis=0), np.roll(inside, 1)
        kept: list[npt.NDArray[np.float64]] = []
        for point, before, now, then in zip(points, previous, inside, was_inside, strict=True):
            if now != then:
                share = (limit - before[axis]) / (point[axis] - before[axis])
                kept.append(before + share * (point - before))
            if now:
                kept.append(point)
        points = np.array(kept).reshape(-1, 2)
    return points
