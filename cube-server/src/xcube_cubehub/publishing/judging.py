"""Whether a dataset can be a cube of the platform, and what is wrong with it, all at once. Pure, but for xrlint."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyproj

from xcube_cubehub import __version__
from xcube_cubehub.index import Index, Style, Variable
from xcube_cubehub.publishing import axes, linting
from xcube_cubehub.publishing.model import DataVariable, Problem, StyleKept, StyleWish, Wish
from xcube_cubehub.publishing.settings import Publishing
from xcube_cubehub.writer import levels_for

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
CUBE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
INT16_FILL = -32768
_FLOATS = {"float16", "float32", "float64"}
_SMALL = {"int8", "uint8", "bool"}
_LARGE = {"int16", "uint16", "int32", "uint32", "int64", "uint64"}
_PACKED = {"int8", "uint8", "int16", "uint16"}
MAX_EXPANSION = 20
"""Times the quota: so much may a cube have before it is compressed."""
MAX_TEXT = 4000
_RESERVED = frozenset({"time", "lat", "lon", "x", "y", "crs", "spatial_ref"})


@dataclass(frozen=True)
class Accepted:
    """How a dataset is stored and shown, and the names of its axes there: time, rows, columns."""

    index: Index
    times: tuple[int, ...]
    dims: tuple[str, str, str]
    styles: tuple[StyleKept, ...]
    attributes: dict[str, Any]
    variables: dict[str, dict[str, Any]]


def judge(
    wish: Wish, limits: Publishing, colours: Collection[str], now: float
) -> tuple[Accepted | None, list[Problem]]:
    """Decide how a dataset is stored.

    Parameters
    ----------
    wish : Wish
        What is to be published.
    limits : Publishing
        What the operator allows.
    colours : collection of str
        The colour maps that the server knows.
    now : float
        Unix time.

    Returns
    -------
    Accepted or None
        None where any of the problems is an error.
    list of Problem
        In the order in which a person would look for them: names, axes, variables, styles, sizes, conventions.
    """
    problems: list[Problem] = []
    if not CUBE_NAME.fullmatch(wish.name):
        problems.append(
            Problem(
                "name", f"{wish.name[:80]!r} cannot be the name of a cube",
                "take up to 60 letters, digits, spaces, and . _ -; the first a letter or digit",
            )
        )  # fmt: skip
    grid, times = axes.find(wish.structure, problems)
    dims = None
    if grid is not None and times is not None:
        dims = (times.dim, *grid.dims)
    chosen = _variables(wish, dims, limits, problems)
    if grid is not None and times is not None:
        _sizes(grid.shape, len(times.seconds), len(chosen), limits, problems)
    stored = {name: _stored(name, v, problems) for name, v in chosen.items()}
    styles = _styles(wish, chosen, colours, problems)
    problems += linting.lint(wish.structure)
    if any(p.level == "error" for p in problems) or grid is None or times is None or dims is None:
        return None, problems
    geographic = pyproj.CRS.from_user_input(grid.crs).is_geographic
    kept = tuple(
        StyleKept(name=n, colours=s.colours, range=s.range, scale=s.scale)
        for n, s in styles.items()
        if s.range
    )
    variables = {
        name: Variable(
            v.dtype, v.fill, v.scale_factor, v.add_offset, v.aggregation,
            Style(s.colours, s.range[0], s.range[1], s.scale),
        )
        for (name, v), s in zip(stored.items(), kept, strict=True)
    }  # fmt: skip
    index = Index(
        grid.crs, grid.west, grid.north, grid.dx, grid.dy, grid.shape, levels_for(grid.shape),
        ("lat", "lon") if geographic else ("y", "x"), variables,
    )  # fmt: skip
    described = {name: _variable_attributes(name, v) for name, v in chosen.items()}
    return Accepted(index, times.seconds, dims, kept, _attributes(wish, grid.crs, now), described), problems


def _variables(
    wish: Wish, dims: tuple[str, ...] | None, limits: Publishing, problems: list[Problem]
) -> dict[str, DataVariable]:
    """The variables that can be shown; one that has other dimensions is left out with a warning."""
    mappings = {
        v.encoding.get("grid_mapping") or v.attrs.get("grid_mapping")
        for v in wish.structure.variables.values()
    }
    chosen = {}
    for name, variable in wish.structure.variables.items():
        if (
            name in mappings
            or "grid_mapping_name" in variable.attrs
            or (not variable.dims and "crs" in name.lower())
        ):
            continue
        if dims is not None and set(variable.dims) != set(dims):
            problems.append(
                Problem(
                    name, f"has the dimensions ({', '.join(variable.dims)}), not ({', '.join(dims)})",
                    f'it is left out; to show it: ds["{name}"].expand_dims(…), or .isel(…) for a dimension too many',
                    "warning",
                )
            )  # fmt: skip
            continue
        if not NAME.fullmatch(name) or name in _RESERVED:
            problems.append(
                Problem(
                    name[:80], "cannot be the name of a variable",
                    f'letters, digits and _, not that of a coordinate: ds.rename({{"{name[:40]}": "…"}})',
                )
            )  # fmt: skip
            continue
        chosen[name] = variable
    if not chosen:
        problems.append(
            Problem(
                "dataset",
                "has no variable with time and two axes of a map",
                "publish a Dataset that has one",
            )
        )
    if len(chosen) > limits.max_variables:
        problems.append(
            Problem(
                "dataset", f"has {len(chosen)} variables, {limits.max_variables} are allowed",
                'choose some: ds[["chl", "tsm"]]',
            )
        )  # fmt: skip
    problems += [
        Problem(f"style of {name[:80]}", "there is no such variable", f"there are: {', '.join(chosen)[:200]}")
        for name in wish.style
        if name not in wish.structure.variables
    ]
    return chosen


def _sizes(
    shape: tuple[int, int], times: int, variables: int, limits: Publishing, problems: list[Problem]
) -> None:
    pixels = shape[0] * shape[1]
    if times > limits.max_times:
        problems.append(
            Problem(
                "time", f"has {times:,} steps, {limits.max_times:,} are allowed", "publish a shorter span"
            )
        )
    if pixels > limits.max_pixels:
        problems.append(
            Problem(
                "dataset", f"has {shape[0]:,} x {shape[1]:,} pixels, {limits.max_pixels:,} are allowed",
                "publish a smaller area or coarser pixels: ds.coarsen(…).mean()",
            )
        )  # fmt: skip
    size = pixels * times * variables * 4
    if size > limits.quota * MAX_EXPANSION:
        problems.append(
            Problem(
                "dataset", f"has {size / 2**30:,.0f} GiB before it is compressed; your quota is {limits.quota / 2**30:,.0f} GiB",
                "publish a shorter span, fewer variables or coarser pixels",
            )
        )  # fmt: skip


def _stored(name: str, variable: DataVariable, problems: list[Problem]) -> Variable:
    encoding = variable.encoding
    packed, fill = encoding.get("dtype"), encoding.get("_FillValue")
    if variable.dtype in _FLOATS and packed in _PACKED and isinstance(fill, (int, float)):
        made = _packed(str(packed), fill, encoding)
        if made is not None:
            return made
    if variable.dtype in _FLOATS:
        if variable.dtype == "float64":
            problems.append(Problem(name, "is stored as float32, which keeps seven digits", "", "warning"))
        return Variable("float32")
    if variable.dtype in _SMALL:
        return Variable("int16", INT16_FILL, aggregation="mode")
    if variable.dtype in _LARGE:
        problems.append(
            Problem(name, f"is stored as float32: whole numbers above 16,777,216 are rounded", "", "warning")  # noqa: F541
        )
        return Variable("float32", aggregation="mode" if _is_classes(variable) else "mean")
    problems.append(
        Problem(
            name, f"has values of the type {variable.dtype[:40]}, of which there is no picture",
            f'leave it out: ds.drop_vars("{name}"), or turn it into numbers: ds["{name}"].astype("float32")',
        )
    )  # fmt: skip
    return Variable("float32")


def _is_classes(variable: DataVariable) -> bool:
    return "flag_values" in variable.attrs or "flag_masks" in variable.attrs


def _packed(dtype: str, fill: float, encoding: Mapping[str, Any]) -> Variable | None:
    """The packing that the data came with, if it is one."""
    factor, offset = encoding.get("scale_factor") or 1.0, encoding.get("add_offset") or 0.0
    numbers = [factor, offset, fill]
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers) or factor == 0:
        return None
    bits, unsigned = int(re.sub(r"\D", "", dtype)), dtype.startswith("u")
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not (low <= fill <= high and float(fill).is_integer()):
        return None
    return Variable(dtype, int(fill), float(factor), float(offset))


def _styles(
    wish: Wish, chosen: Mapping[str, DataVariable], colours: Collection[str], problems: list[Problem]
) -> dict[str, StyleWish]:
    made = {}
    for name in chosen:
        style = wish.style.get(name, StyleWish())
        where = f"style of {name}"
        if colours and style.colours not in colours:
            near = sorted(c for c in colours if style.colours.lower() == c.lower())
            problems.append(
                Problem(
                    where, f"there is no colour map {style.colours[:60]!r}",
                    f"did you mean {near[0]}?" if near else "take one of matplotlib or cmocean, such as viridis",
                )
            )  # fmt: skip
        if style.range is None:
            problems.append(Problem(where, "has no range", "give the values at the ends: (0, 30)"))
        elif not (
            all(math.isfinite(v) and abs(v) < 3e38 for v in style.range) and style.range[0] < style.range[1]
        ):
            problems.append(
                Problem(
                    where, f"{style.range[0]:g} to {style.range[1]:g} is not a range", "give two finite numbers, the lower one first"
                )
            )  # fmt: skip
        elif style.scale == "log" and style.range[0] <= 0:
            problems.append(
                Problem(where, f"a log scale starts above 0, not at {style.range[0]:g}", 'raise it, or scale="lin"')
            )  # fmt: skip
        made[name] = style
    return made


def _plain(value: object) -> object:
    """An attribute as it may be kept: a number, a short text, or a few of them."""
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) and abs(value) < 2**63 else None
    if isinstance(value, list) and len(value) <= 256 and all(isinstance(v, (int, float, str)) for v in value):
        return [_plain(v) for v in value]
    return None


_OURS = frozenset(
    {
        "grid_mapping",
        "_FillValue",
        "missing_value",
        "scale_factor",
        "add_offset",
        "coordinates",
        "valid_range",
        "dtype",
    }
)
"""Attributes of a variable that say how it was stored elsewhere."""


def _variable_attributes(name: str, variable: DataVariable) -> dict[str, Any]:
    kept = {k: _plain(v) for k, v in variable.attrs.items() if k not in _OURS and len(k) <= 100}
    kept = {k: v for k, v in kept.items() if v is not None}
    kept.setdefault("long_name", name)
    kept["units"] = str(kept.get("units") or "1")
    kept["long_name"] = str(kept["long_name"])
    return kept


def _attributes(wish: Wish, crs: str, now: float) -> dict[str, Any]:
    kept = {k: _plain(v) for k, v in wish.structure.attrs.items() if len(k) <= 100}
    stamp = datetime.fromtimestamp(now, UTC).replace(microsecond=0).isoformat()
    before = f"{kept.get('history', '')}\n".lstrip("\n")
    ours = {
        "Conventions": "CF-1.11", "title": wish.title or str(kept.get("title") or wish.name),
        "summary": wish.description or kept.get("summary") or kept.get("description") or "",
        "attribution": wish.attribution or kept.get("attribution") or "",
        "license": wish.license or kept.get("license") or "",
        "history": f"{before}{stamp} published with CubeHub {__version__}", "crs": crs,
    }  # fmt: skip
    return {k: v for k, v in {**kept, **ours}.items() if v is not None}
