"""Write a large cube for measuring: a sea with noise, clouds and land, which compresses about as real data do.

Run in the cubes' environment: ``generate.py FOLDER STEPS ROWS COLUMNS``. Goes on where an earlier run stopped.
"""

import sys
import time
from pathlib import Path

import numpy as np
from xcube_cubehub.index import Index, Style, Variable, read_index
from xcube_cubehub.writer import CubeWriter, levels_for

FIRST, DAY_S = 1_420_070_400, 86_400
KINDS = 16
"""Fields that are made; each step is one of them, shifted, so that making them is not what takes the time."""


def fields(rows: int, columns: int) -> list[np.ndarray]:
    """Fields of which steps are made, with holes where land and clouds are."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:rows, :columns]
    sea = np.exp(1.2 * np.sin(y / 310) + np.cos(x / 270))
    land = np.sin(y / 400 + 1) * np.cos(x / 500) > 0.6
    made = []
    for number in range(KINDS):
        noise = 1 + 0.1 * rng.standard_normal((rows, columns))
        clouds = np.sin(y / 90 + number) + np.cos(x / 70 - number) > 0.5
        # three digits, as products have them
        field = np.round(sea * noise, 3).astype(np.float32)
        field[land | clouds] = np.nan
        made.append(field)
    return made


def main() -> None:
    """Write."""
    folder, (steps, rows, columns) = Path(sys.argv[1]), (int(n) for n in sys.argv[2:5])
    attributes = {"Conventions": "CF-1.11", "title": "for measuring, not a measurement"}
    variables = {"chl": {"long_name": "made up", "units": "mg m-3"}}
    if (folder / "cube.json").exists():
        writer = CubeWriter(folder, read_index(folder), attributes, variables, durable=False)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        # Not styled: what is made beforehand is measured on a cube of its own
        index = Index(
            "EPSG:4326", 5.0, 56.0, 0.0025, -0.0025, (rows, columns), levels_for((rows, columns)), ("lat", "lon"),
            {"chl": Variable(style=Style("viridis", 0.1, 30.0, "log"))},
        )  # fmt: skip
        writer = CubeWriter(folder, index, attributes, variables, durable=False)
        writer.create()
    kinds, began = fields(rows, columns), time.monotonic()
    for step in range(len(writer.index.times), steps):
        field = np.roll(kinds[step % KINDS], 7 * step, axis=1)
        writer.append(FIRST + step * DAY_S, {"chl": field})
        if step % 100 == 99:
            print(
                f"{step + 1} of {steps} steps, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
            )
    writer.finish()
    (folder / "build.json").write_text('{"format": 3, "title": "for measuring"}')


if __name__ == "__main__":
    main()
