"""``cube.json``: what a cube holds, replaced as a whole with each change; whoever reads it sees a cube that is whole."""

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xcube_cubehub.errors import CubeError
from xcube_cubehub.grid import TILE
from xcube_cubehub.shards import Layout, write_whole

INDEX = "cube.json"
FORMAT = 3
"""Raised when cubes are written in another way, so that all are built anew."""
PYRAMID, SERIES, TILES, SEEN = "pyramid.levels", "series.zarr", "tiles", "seen.bin"
SHARD_EDGE = 8 * TILE
SERIES_STEPS, SERIES_EDGE, SERIES_SHARD_EDGE = 256, 8, 256
"""A chunk of the time store: steps, and pixels either way; and pixels of its shard either way."""
AGGREGATIONS = ("mean", "log-mean", "first", "mode")


@dataclass(frozen=True)
class Style:
    """How a variable is shown unless somebody asks for more: a colour map's name, its ends, ``lin`` or ``log``."""

    colours: str = "viridis"
    low: float = 0.0
    high: float = 1.0
    scale: str = "lin"


@dataclass(frozen=True)
class Variable:
    """How a variable is stored.

    Attributes
    ----------
    dtype : str
        Numpy's name; little-endian.
    fill : float or None
        Stored value that says "none"; None for NaN.
    scale_factor, add_offset : float
        ``value = stored * scale_factor + add_offset``.
    aggregation : str
        How coarser levels are made, one of `AGGREGATIONS`.
    style : Style or None
        For which tiles are made beforehand; None for none.
    """

    dtype: str = "float32"
    fill: float | None = None
    scale_factor: float = 1.0
    add_offset: float = 0.0
    aggregation: str = "mean"
    style: Style | None = None

    @property
    def fill_value(self) -> float:
        """What absent chunks are full of."""
        return float("nan") if self.fill is None else self.fill


@dataclass(frozen=True)
class Index:
    """What a cube holds.

    Attributes
    ----------
    crs : str
        As pyproj reads it.
    west, north : float
        Outer corner of the first pixel.
    dx, dy : float
        Step from one pixel to the next, at the finest level; ``dy`` is negative where rows run south.
    shape : tuple of int
        Rows and columns of the finest level; a coarser one has half, rounded up.
    levels : int
        How many there are.
    times : tuple of int
        Seconds since 1970, ascending.
    hidden : tuple of int
        Positions of the times that show next to nothing.
    counts : tuple of int
        How many pixels of the first variable have a value, for the times that were counted so far.
    series_steps : int
        How many of the times the time store holds, from the first on; the rest is in the pyramid only.
    prepared : dict
        By variable the largest zoom of its tiles that are made beforehand; -1 if there are none.
    epoch : str
        Changes when something that was there is written anew, and not when something is added.
    place : str
        Address below which the arrays lie, ``s3://…``; empty if they lie beside the index.
    """

    crs: str
    west: float
    north: float
    dx: float
    dy: float
    shape: tuple[int, int]
    levels: int
    dims: tuple[str, str]
    variables: dict[str, Variable]
    times: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    series_steps: int = 0
    prepared: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    token: str = ""
    epoch: str = ""
    place: str = ""

    @property
    def version(self) -> str:
        """Changes with each change of what the cube holds."""
        return f"{self.revision:x}-{self.token}"

    def following(self, **changes: Any) -> "Index":
        """The next revision."""
        return replace(self, revision=self.revision + 1, token=secrets.token_hex(4), **changes)

    def level_shape(self, level: int) -> tuple[int, int]:
        """Rows and columns of a level."""
        rows, columns = self.shape
        return -(-rows >> level), -(-columns >> level)

    def layout(self, name: str, level: int) -> Layout:
        """How a variable is cut in a level of the pyramid."""
        variable, (rows, columns) = self.variables[name], self.level_shape(level)
        shard = (1, min(_whole(rows, TILE), SHARD_EDGE), min(_whole(columns, TILE), SHARD_EDGE))
        shape = (len(self.times), rows, columns)
        return Layout(shape, shard, (1, TILE, TILE), np.dtype(variable.dtype), variable.fill_value)

    def series_layout(self, name: str) -> Layout:
        """How a variable is cut in the time store."""
        variable, (rows, columns) = self.variables[name], self.shape
        edge = SERIES_EDGE
        shard = (
            SERIES_STEPS,
            min(_whole(rows, edge), SERIES_SHARD_EDGE),
            min(_whole(columns, edge), SERIES_SHARD_EDGE),
        )
        shape = (self.series_steps, rows, columns)
        return Layout(shape, shard, (SERIES_STEPS, edge, edge), np.dtype(variable.dtype), variable.fill_value)


def _whole(size: int, edge: int) -> int:
    return -(-size // edge) * edge


def series_array(cube: Path, name: str) -> Path:
    """Folder of a variable of the time store."""
    return cube / SERIES / name


def level_array(cube: Path, level: int, name: str) -> Path:
    """Folder of a variable of a level."""
    return cube / PYRAMID / f"{level}.zarr" / name


def write_index(cube: Path, index: Index, *, durable: bool = True) -> None:
    """Make what was written visible."""
    write_whole(cube / INDEX, encode_index(index), durable=durable)


def encode_index(index: Index) -> bytes:
    """An index as it is stored."""
    return json.dumps({"format": FORMAT, **asdict(index)}).encode()


def read_index(cube: Path) -> Index:
    """What a cube holds.

    Raises
    ------
    CubeError
        There is none, it is damaged, or of another format.
    """
    path = cube / INDEX
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise CubeError(message, "build the cube anew") from error
    return decode_index(data, str(path))


def decode_index(data: bytes, path: str) -> Index:
    """An index from its bytes; ``path`` is for the message.

    Raises
    ------
    CubeError
        It is damaged, or of another format.
    """
    try:
        found = json.loads(data)
        if found.pop("format") != FORMAT:
            message = f"{path} is of another version"
            raise CubeError(message, "build the cube anew")
        found["variables"] = {
            name: Variable(**{**v, "style": None if v["style"] is None else Style(**v["style"])})
            for name, v in found["variables"].items()
        }
        for name in ("shape", "dims", "times", "hidden", "counts"):
            found[name] = tuple(found[name])
        return Index(**found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is damaged"
        raise CubeError(message, "build the cube anew") from error
