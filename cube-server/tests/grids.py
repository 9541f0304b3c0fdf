"""Small cubes on grids of all kinds, for the tests of what is drawn and summed from them."""

from dataclasses import dataclass

import numpy as np

from xcube_cubehub.index import Index, Style, Variable
from xcube_cubehub.writer import CubeWriter, levels_for

DAY_S = 86400
FIRST = 1_483_228_800
"""2017-01-01 in seconds since 1970."""


@dataclass(frozen=True)
class Kind:
    """A grid and how values are stored on it."""

    crs: str
    west: float
    north: float
    step: float
    shape: tuple[int, int]
    variable: Variable
    upwards: bool = False


LOG = Style("viridis", 0.1, 30.0, "log")
LIN = Style("YlGn", 0.0, 20.0, "lin")
KINDS = {
    "degrees": Kind("EPSG:4326", 2.0, 56.0, 0.01, (700, 900), Variable(style=LOG)),
    "rows northwards": Kind("EPSG:4326", 20.0, 10.0, 0.05, (300, 500), Variable(style=LIN), upwards=True),
    "across 180 degrees": Kind("EPSG:4326", 170.0, 20.0, 0.05, (400, 500), Variable(style=LIN)),
    "0 to 360": Kind("EPSG:4326", 0.0, 90.0, 1.0, (180, 360), Variable("float64", style=LIN)),
    "UTM, packed": Kind(
        "EPSG:32633", 5e5, 5.2e6, 120.0, (600, 500), Variable("int16", -32768, 0.002, style=LOG)
    ),
    "LAEA": Kind(
        "EPSG:3035", 4.0e6, 3.2e6, 1000.0, (500, 600), Variable("uint16", 65535, 0.01, -2.0, style=LIN)
    ),
    "polar": Kind("EPSG:3995", -2e6, 2e6, 8000.0, (500, 500), Variable(style=LIN)),
    "Mercator": Kind("EPSG:3857", 1e6, 7e6, 500.0, (600, 700), Variable("float32", -9999.0, style=LOG)),
    "classes": Kind(
        "EPSG:4326", -10.0, 45.0, 0.01, (300, 300), Variable("uint8", 0, aggregation="first", style=LIN)
    ),
}


def fields(kind: Kind, times: int, seed: int = 7) -> list[np.ndarray]:
    """Values with holes, hills and noise; some beyond every colour scale."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: kind.shape[0], : kind.shape[1]]
    made = []
    for number in range(times):
        base = np.exp(1.5 * np.sin(rows / 61 + number) + np.cos(columns / 43))
        values = base * (1 + 0.2 * rng.standard_normal(kind.shape))
        if kind.variable.dtype == "uint8":
            values = np.clip(np.rint(values), 1, 40)
        values[np.sin(rows / 37 - number) * np.cos(columns / 29) > 0.75] = np.nan
        made.append(values.astype(np.float32))
    return made


def index_of(kind: Kind) -> Index:
    """The kind's cube before it has any time."""
    rows = kind.shape[0]
    dims = ("lat", "lon") if kind.crs == "EPSG:4326" else ("y", "x")
    edge, dy = (kind.north - rows * kind.step, kind.step) if kind.upwards else (kind.north, -kind.step)
    return Index(
        kind.crs, kind.west, edge, kind.step, dy, kind.shape, levels_for(kind.shape), dims, {"value": kind.variable}
    )  # fmt: skip


def write(folder, kind: Kind, times: int = 3) -> CubeWriter:
    """Write such a cube; the writer for more."""
    writer = CubeWriter(
        folder, index_of(kind), {"Conventions": "CF-1.11", "title": "a test"}, {"value": {"units": "1"}}, durable=False
    )  # fmt: skip
    writer.create()
    for number, values in enumerate(fields(kind, times)):
        writer.append(FIRST + number * DAY_S, {"value": values})
    writer.finish()
    return writer
