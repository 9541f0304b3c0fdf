"""``cube.json``: what a cube holds, replaced as a whole with each change; whoever reads it sees a cube that is whole."""

import json
import math
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from xcube_cubehub.errors import CubeError
from xcube_cubehub.grid import TILE
from xcube_cubehub.shards import Layout, damaged, read_whole, write_whole

INDEX = "cube.json"
FORMAT = 3
"""Raised when cubes are written in another way, so that all are built anew."""
PYRAMID, SERIES, TILES, SEEN = "pyramid.levels", "series.zarr", "tiles", "seen.bin"
STATISTICS = "statistics"
SHARD_EDGE = 8 * TILE
SERIES_STEPS, SERIES_EDGE, SERIES_SHARD_EDGE = 256, 8, 256
"""A chunk of the time store: steps, and pixels either way; and pixels of its shard either way."""
MAX_INDEX_BYTES = 64 * 2**20
"""Of ``cube.json``; ten thousand times take a quarter of a MiB."""
MAX_EDGE = 2**24
MAX_LEVELS, MAX_ZOOM, MAX_VARIABLES = 24, 24, 1000
MAX_SECONDS = 10**11
"""Of a time since 1970: some three thousand years."""
DTYPES = frozenset(
    {
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    }
)
_NAME = re.compile(r"\w{1,100}", re.ASCII)
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
class Statistics:
    """What the finite values of a variable amount to, at all times of the finest level.

    Attributes
    ----------
    count : int
        How many there are.
    minimum, maximum, mean, deviation : float
        In the variable's unit; ``deviation`` is that of all values, divided by their number.
    low, high : float
        Below these are 2 and 98 of 100 values, to one part in 512 of the value.
    histogram : tuple of int
        How many values lie in equal parts from ``low`` to ``high``, evened out within one part in 512 of a value.
    """

    count: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    low: float
    high: float
    histogram: tuple[int, ...]


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
    statistics : dict
        By variable what its values amount to; none where there is no value.
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
    statistics: dict[str, Statistics] = field(default_factory=dict)
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


def is_sound(index: Index) -> bool:
    """Whether what an index says can be computed with, whoever wrote it: types, sizes, order."""
    numbers = (index.west, index.north, index.dx, index.dy)
    names = (*index.variables, *index.dims)
    return (
        isinstance(index.crs, str)
        and _is_crs(index.crs)
        and all(type(n) in {int, float} and math.isfinite(n) for n in numbers)
        and index.dx > 0
        and index.dy != 0
        and len(index.shape) == len(index.dims) == 2
        and all(type(n) is int and 0 < n <= MAX_EDGE for n in index.shape)
        and type(index.levels) is int
        and 0 < index.levels <= MAX_LEVELS
        and 0 < len(index.variables) <= MAX_VARIABLES
        and all(isinstance(name, str) and _NAME.fullmatch(name) is not None for name in names)
        and all(map(_is_sound, index.variables.values()))
        and all(type(t) is int for t in (*index.times, *index.hidden, *index.counts))
        and all(a < b for a, b in pairwise(index.times))
        and (not index.times or (abs(index.times[0]) < MAX_SECONDS and abs(index.times[-1]) < MAX_SECONDS))
        and type(index.series_steps) is int
        and 0 <= index.series_steps <= len(index.times)
        and all(type(z) is int and z <= MAX_ZOOM for z in index.prepared.values())
        and type(index.revision) is int
        and all(isinstance(text, str) for text in (index.token, index.epoch, index.place))
    )


@lru_cache(maxsize=64)
def _is_crs(text: str) -> bool:
    try:
        pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError:
        return False
    return True


def _is_sound(variable: Variable) -> bool:
    numbers = [variable.scale_factor, variable.add_offset]
    numbers += [] if variable.fill is None else [variable.fill]
    style = variable.style
    if style is not None:
        numbers += [style.low, style.high]
    return (
        variable.dtype in DTYPES
        and all(type(n) in {int, float} and math.isfinite(n) for n in numbers)
        and variable.scale_factor != 0
        and variable.aggregation in AGGREGATIONS
        and (style is None or (isinstance(style.colours, str) and style.scale in {"lin", "log"}))
        and (style is None or style.scale != "log" or min(style.low, style.high) > 0)
    )


def read_index(cube: Path) -> Index:
    """What a cube holds.

    Raises
    ------
    CubeError
        There is none, it is damaged, or of another format.
    """
    path = cube / INDEX
    try:
        data = read_whole(path, MAX_INDEX_BYTES)
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
        found["statistics"] = {
            name: Statistics(**{**s, "histogram": tuple(s["histogram"])})
            for name, s in found.get("statistics", {}).items()
        }
        for name in ("shape", "dims", "times", "hidden", "counts"):
            found[name] = tuple(found[name])
        index = Index(**found)
        sound = is_sound(index)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path) from error
    if not sound:
        raise damaged(path)
    return index
