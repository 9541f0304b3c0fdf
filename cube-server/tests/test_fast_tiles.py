"""Tiles against a rendering that shares nothing with ours but the rule: xarray, pyproj, matplotlib and Pillow."""

import contextlib
import io
from itertools import product

import matplotlib as mpl
import numpy as np
import pyproj
import pytest
import xarray as xr
from matplotlib.colors import LogNorm, Normalize
from PIL import Image

from grids import FIRST, KINDS, LIN, LOG, Kind, write
from xcube_cubehub.fast import png, tiles, warp
from xcube_cubehub.fast.asked import tile_of
from xcube_cubehub.fast.warp import GEOGRAPHIC, MERCATOR, Place
from xcube_cubehub.index import Style, Variable
from xcube_cubehub.shards import DamagedError
from xcube_cubehub.writer import places

TILES_OF_EACH = 64


@pytest.fixture(scope="module")
def cubes(grid_cubes):
    return grid_cubes


def palette(name):
    colours = mpl.colormaps[name].resampled(256)
    return (255 * colours(np.arange(256))).astype(np.uint8)


def oracle(folder, kind: Kind, step: int, place: Place, style: Style, level: int) -> np.ndarray:
    """RGBA of a tile, each pixel by itself: exact projection, nearest centre, matplotlib's colours."""
    with xr.open_zarr(folder / "pyramid.levels" / f"{level}.zarr", chunks=None) as level_set:
        values = level_set["value"].isel(time=step)
        dims = values.dims
        ys, xs = level_set[dims[0]].values, level_set[dims[1]].values
        stored = values.values.astype(np.float64)
    edge = 2 * np.pi * 6378137.0 if place.crs == MERCATOR else 180.0
    west, north = (-edge / 2, edge / 2) if place.crs == MERCATOR else (-180.0, 90.0)
    pixel = edge / 2**place.z / place.size
    centres = (np.arange(place.size) + 0.5) * pixel
    x, y = np.meshgrid(
        west + place.x * pixel * place.size + centres, north - place.y * pixel * place.size - centres
    )
    to_cube = pyproj.Transformer.from_crs(place.crs, kind.crs, always_xy=True)
    x, y = to_cube.transform(x, y)
    dx, dy = xs[1] - xs[0], ys[1] - ys[0]
    if kind.crs == "EPSG:4326":
        first = xs[0] - dx / 2
        x = first + (x - first) % 360
    with np.errstate(invalid="ignore"):
        column, row = np.rint((x - xs[0]) / dx), np.rint((y - ys[0]) / dy)
        inside = (column >= 0) & (column < len(xs)) & (row >= 0) & (row < len(ys))
    column, row = np.where(inside, column, 0).astype(int), np.where(inside, row, 0).astype(int)
    seen = np.where(inside, stored[row, column], np.nan)
    norm = (LogNorm if style.scale == "log" else Normalize)(style.low, style.high, clip=True)
    missing = np.isnan(seen)
    number = np.clip((norm(np.where(missing, style.high, seen)).data * 256).astype(int), 0, 255)
    rgba = palette(style.colours)[number]
    rgba[missing] = 0
    return rgba


def ours(cube, step, place, style):
    painted = tiles.paint(cube, "value", step, place, style, 256)
    return np.array(
        Image.open(io.BytesIO(tiles.image(painted, png.Palette(palette(style.colours)), place.size))).convert(
            "RGBA"
        )
    )


def some_places(cube, rng, count):
    """Tiles that show some of the cube, on both maps and in both sizes."""
    near = [p for p in places(cube.index, min(max(cube.index.prepared.values()) + 2, 12)) if p.z > 1]
    chosen = [near[n] for n in rng.choice(len(near), min(count, len(near)), replace=False)]
    for number, place in enumerate(chosen):
        size = 512 if number % 7 == 0 else 256
        if number % 5 == 0:
            # the tile of the other map around the same middle, roughly
            across = 2 << place.z
            latitude = np.rad2deg(np.arctan(np.sinh(np.pi * (1 - 2 * (place.y + 0.5) / 2**place.z))))
            column = int((place.x + 0.5) / 2**place.z * across)
            yield Place(GEOGRAPHIC, place.z, column, int((90 - latitude) / 180 * 2**place.z), size)
        else:
            yield Place(MERCATOR, place.z, place.x, place.y, size)


@pytest.mark.slow
def test_five_hundred_tiles_are_as_an_independent_rendering_draws_them(cubes):
    """No pixel there in one and not in the other; one in ten thousand may be off by a colour, by rounding."""
    rng = np.random.default_rng(11)
    tried = pixels = off = 0
    for name, kind in KINDS.items():
        cube = tiles.Cube(cubes[name])
        for place in some_places(cube, rng, TILES_OF_EACH):
            step, style = int(rng.integers(3)), (LOG if rng.random() < 0.5 else LIN)
            level = warp.level_for(cube.index, place)
            expected, got = (
                oracle(cubes[name], kind, step, place, style, level),
                ours(cube, step, place, style),
            )
            where = f"{name} {place}"
            assert got.shape == expected.shape, where
            assert int((got[..., 3] != expected[..., 3]).sum()) == 0, where
            differ = (got != expected).any(axis=-1) & (expected[..., 3] > 0)
            assert np.abs(got.astype(int) - expected)[differ].max(initial=0) <= 16, (
                f"{where}: more than one colour"
            )
            tried, pixels, off = tried + 1, pixels + differ.size, off + int(differ.sum())
    print(f"\n{tried} tiles on {len(KINDS)} grids, {pixels} pixels, {off} off by one colour")
    assert tried >= 500
    assert off <= 1e-4 * pixels


def test_tiles_made_beforehand_are_those_made_when_asked(cubes):
    for name in ("degrees", "UTM, packed", "across 180 degrees"):
        cube = tiles.Cube(cubes[name])
        style = cube.index.variables["value"].style
        colours = png.Palette(palette(style.colours))
        for place in places(cube.index, cube.index.prepared["value"]):
            idat, clear = cube.packs.read("value", cube.index.times[1], place.z, place.x, place.y)
            if clear == tiles.NOT_PREPARED:
                continue
            before = png.assemble(256, colours, clear, idat) if idat else png.transparent(256)
            live = tiles.image(tiles.paint(cube, "value", 1, place, style, 256), colours, 256)
            assert before == live, f"{name} {place}"


def test_a_tile_with_all_colours_and_holes_keeps_both(tmp_path):
    # exactly one map tile of zoom 8, so that each of its columns is a pixel
    pixel = 2 * np.pi * 6378137.0 / 2**8 / 256
    kind = Kind("EPSG:3857", 0.0, 0.0, pixel, (256, 256), Variable(style=LIN))
    writer = write(tmp_path, kind, times=0)
    values = np.tile(np.linspace(0.01, 19.99, 256, dtype=np.float32), (256, 1))
    values[10, :] = np.nan
    writer.append(FIRST, {"value": values})
    place = Place(MERCATOR, 8, 128, 128, 256)
    assert isinstance(tiles.paint(tiles.Cube(tmp_path), "value", 0, place, LIN, 256), bytes)
    assert tiles.Cube(tmp_path).packs.read("value", FIRST, 8, 128, 128)[1] == tiles.NOT_PREPARED
    expected, got = oracle(tmp_path, kind, 0, place, LIN, 0), ours(tiles.Cube(tmp_path), 0, place, LIN)
    assert (got[..., 3] == expected[..., 3]).all()
    assert (got[10] == 0).all()
    assert len(np.unique(got[got[..., 3] > 0], axis=0)) == len(np.unique(palette("YlGn"), axis=0))


@pytest.mark.parametrize(("colours", "name"), [(256, "viridis"), (10, "tab10"), (2, "binary")])
def test_scales_of_few_colours(colours, name):
    from xcube_cubehub.fast.colours import scale_of

    for style in (Style(name, 0.1, 30, "log"), Style(name, -5, 5), Style(name, 7, 7), Style(name, 5, -5)):
        thresholds = scale_of(style, colours).thresholds
        assert len(thresholds) == max(colours, 2) - 1
        assert (np.diff(thresholds) > 0).all()


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/tiles/a/v/1/2/3", ""),
        ("/tiles/a/v/1/2/3", "vmin=0&vmax=1e3&cmap=viridis_r&norm=log&time=2017-01-01T00:00:00Z&retina=1"),
        ("/tiles/a/v/0/0/0", "time=current&crs=EPSG:4326&format=png"),
        ("/wmts/1.0.0/tile/a/v/WorldWebMercatorQuad/1/2/3.png", "TIME=2017-01-01"),
        ("/wmts/1.0.0/tile/a/v/1/2/3.png", ""),
    ],
)
def test_what_is_understood(path, query):
    assert tile_of(path, query) is not None


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/tiles/a/v/1/2/-3", ""), ("/tiles/a/v/01/2/3", ""), ("/tiles/../v/1/2/3", ""), ("/tiles/a/v/99/2/3", ""),
        ("/tiles/a/v%00/1/2/3", ""), ("/tiles/a/v=1/1/2/3", ""), ("/tiles/a/v/1/2/123456789", ""),
        ("/tiles/a/v/1/2/3", "vmin=nan"), ("/tiles/a/v/1/2/3", "vmin=1e400"), ("/tiles/a/v/1/2/3", "vmin=1&vmin=2"),
        ("/tiles/a/v/1/2/3", "cmap=a&cbar=b"), ("/tiles/a/v/1/2/3", "norm=cat"), ("/tiles/a/v/1/2/3", "depth=3"),
        ("/tiles/a/v/1/2/3", "time=yesterday"), ("/tiles/a/v/1/2/3", "time=0001-01-01"),
        ("/tiles/a/v/1/2/3", "retina=2"), ("/tiles/a/v/1/2/3", "crs=EPSG:2056"), ("/tiles/a/v/1/2/3", "format=jpg"),
        ("/wmts/1.0.0/tile/a/v/Moon/1/2/3.png", ""), ("/wmts/1.0.0/tile/a/v/1/2/3.png", "crs=EPSG:3857"),
    ],
)  # fmt: skip
def test_what_is_not_understood_to_the_letter_is_handed_on(path, query):
    assert tile_of(path, query) is None


def test_a_damaged_shard_is_said_and_ends_nothing(tmp_path):
    write(tmp_path, KINDS["degrees"], times=1)
    shard = next((tmp_path / "pyramid.levels" / "0.zarr" / "value" / "c").glob("0/0/0"))
    whole = shard.read_bytes()
    place = next(p for p in places(tiles.Cube(tmp_path).index, 8) if p.z == 8)
    for data in (
        b"",
        whole[:40],
        whole[: len(whole) // 2],
        b"\xff" * len(whole),
        whole[:-4] + b"abcd",
        whole[::-1],
    ):
        shard.write_bytes(data)
        for around in product((-1, 0, 1), repeat=2):
            there = Place(place.crs, place.z, place.x + around[0], place.y + around[1], 256)
            with contextlib.suppress(DamagedError):
                tiles.paint(tiles.Cube(tmp_path), "value", 0, there, LOG, 256)
    shard.write_bytes(b"")
    with pytest.raises(DamagedError, match="is damaged"):
        tiles.paint(tiles.Cube(tmp_path), "value", 0, place, LOG, 256)
