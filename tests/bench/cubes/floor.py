"""What a tile and a series cost without any server: read, decode, look up, compress. Prints CPU milliseconds as JSON.

Run in the cubes' environment: ``floor.py CUBE REQUESTS.json``.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from xcube_cubehub.fast import png, tiles, warp
from xcube_cubehub.fast.colours import scale_of
from xcube_cubehub.index import SERIES_EDGE, SERIES_STEPS, Style, level_array, series_array
from xcube_cubehub.shards import ShardReader


def cpu_ms(calls: list[Callable[[], object]]) -> float:
    """CPU milliseconds of a call; the first few are not counted."""
    for call in calls[:5]:
        call()
    began = time.process_time()
    for call in calls:
        call()
    return 1000 * (time.process_time() - began) / len(calls)


def main() -> None:
    """Measure."""
    cube, asked = tiles.Cube(Path(sys.argv[1])), json.loads(Path(sys.argv[2]).read_text())
    style = Style("viridis", asked["vmin"], asked["vmax"], "log")
    grey = np.arange(256, dtype=np.uint8)
    palette = png.Palette(np.stack([grey, grey, grey, np.full(256, 255, np.uint8)], axis=1))
    scale = scale_of(style, 256)
    out = np.empty((256, 257), np.uint8)
    out[:, 0] = 0

    def tile(z: int, x: int, y: int, step: int) -> object:
        """The four things that cannot be left out, with nothing around them."""
        place = warp.Place(warp.MERCATOR, z, x, y, 256)
        level, footprint = cube.footprint(place)
        if footprint is None:
            return None
        window = cube.window("chl", level, step, footprint.box)
        if window is None:
            return None
        values, top, left = window
        tiles.kernels.paint(
            values, footprint.rows, footprint.columns, 0.0, False, 1.0, 0.0, top, left,
            scale.thresholds, scale.first, scale.factor, scale.table, 255, out,
        )  # fmt: skip
        return png.assemble(256, palette, 255, png.body(out))

    reader = ShardReader(series_array(cube.folder, "chl"), cube.index.series_layout("chl"))
    blocks = range(-(-len(cube.times) // SERIES_STEPS))

    def decode(row: int, column: int) -> object:
        return reader.read([(block, row // SERIES_EDGE, column // SERIES_EDGE) for block in blocks])

    def area(row: int, column: int) -> object:
        """All blocks of a square of pixels, which whoever wants its mean has to read, and the sum of each time."""
        radius = asked["radius"]
        rows = range((row - radius) // SERIES_EDGE, (row + radius) // SERIES_EDGE + 1)
        columns = range((column - radius) // SERIES_EDGE, (column + radius) // SERIES_EDGE + 1)
        total = 0.0
        for y in rows:
            for x in columns:
                for block in reader.read([(block, y, x) for block in blocks]):
                    total += np.nansum(np.asarray(block), axis=(1, 2)).sum()
        return total

    def prepared(z: int, x: int, y: int, step: int) -> object:
        """A tile that was made beforehand: its bytes, and the palette before them."""
        found = cube.packs.read("chl", cube.index.times[step], z, x, y)
        return None if found is None else png.assemble(256, palette, found[1], found[0])

    assert level_array(cube.folder, 0, "chl").is_dir()
    places = [lambda p=p: tile(*p) for p in asked["tiles"]]
    points = [lambda p=p: decode(*p) for p in asked["pixels"]]
    areas = [lambda p=p: area(*p) for p in asked.get("areas", [])]
    made = [lambda p=p: prepared(*p) for p in asked["tiles"]]
    cpu_ms(made)  # whoever comes first waits for the disk
    told = {"tile": cpu_ms(places), "prepared": cpu_ms(made), "series": cpu_ms(points)}
    print(json.dumps({**told, "area": cpu_ms(areas) if areas else 0}))


if __name__ == "__main__":
    main()
