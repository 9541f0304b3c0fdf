"""Lines for Zarr, NetCDF and GRIB: opened by xarray, cut to area and time where the item names its axes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cubehub_catalogue.aoi import boxes
from cubehub_catalogue.assets import Asset, Kind, number, properties
from cubehub_catalogue.code.cell import Source, call
from cubehub_catalogue.code.literals import literal
from cubehub_catalogue.code.reaching import fsspec_options, scheme
from cubehub_catalogue.code.target import bounds_in
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.times import as_utc, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cubehub_catalogue.code.cell import Cell
    from cubehub_catalogue.code.searches import Area
    from cubehub_catalogue.query import Item, Query

_COPIED = 256 * 2**20
"""A file up to this size is copied and opened; of a larger one only what is needed is read."""
_DEGREES = "EPSG:4326"
_GRIB_AXES = ("longitude", "latitude")


How = Literal["memory", "lazy", "cluster"]


@dataclass(frozen=True)
class Axes:
    """What an item says of its dimensions (datacube extension)."""

    x: str = ""
    y: str = ""
    time: str = ""
    crs: str = _DEGREES
    box: tuple[float, float, float, float] | None = None
    """Left, bottom, right, top."""
    times: tuple[str, str] | None = None

    @classmethod
    def of(cls, item: Item) -> Axes:
        """Read them; all empty where it says nothing."""
        found: dict[str, Any] = {}
        extents = {}
        dimensions = properties(item).get("cube:dimensions")
        for name, dimension in dimensions.items() if isinstance(dimensions, dict) else ():
            if not isinstance(dimension, dict):
                continue
            axis, extent = dimension.get("axis"), dimension.get("extent")
            if dimension.get("type") == "temporal":
                found.setdefault("time", name)
                if (
                    isinstance(extent, list)
                    and len(extent) == 2
                    and all(isinstance(end, str) for end in extent)
                ):
                    found.setdefault("times", (extent[0], extent[1]))
            elif axis in ("x", "y"):
                found.setdefault(axis, name)
                if isinstance(extent, list) and len(extent) == 2:
                    extents[axis] = (number(extent[0]), number(extent[1]))
                system = dimension.get("reference_system", 4326)
                written = str(system).upper().removeprefix("EPSG:") if isinstance(system, int | str) else ""
                found["crs"] = f"EPSG:{written}" if re.fullmatch(r"\d{1,8}", written, re.ASCII) else ""
        (left, right), (bottom, top) = extents.get("x", (None, None)), extents.get("y", (None, None))
        if left is not None and right is not None and bottom is not None and top is not None:
            found["box"] = (left, bottom, right, top)
        return cls(**found)

    def share(self, wanted: tuple[float, float, float, float] | None) -> float:
        """Give the part of the item's area that a box, as `cut` gives it, covers; 1 where that is unknown."""
        if wanted is None or self.box is None:
            return 1.0
        left, bottom, right, top = self.box
        width, height = right - left, top - bottom
        if width <= 0 or height <= 0:
            return 1.0
        if self.crs == _DEGREES:
            across = min(wanted[2] - wanted[0], width)  # longitudes may run to 360, and round
        else:
            across = min(wanted[2], right) - max(wanted[0], left)
        up = min(wanted[3], top) - max(wanted[1], bottom)
        return max(0.0, min(1.0, across / width)) * max(0.0, min(1.0, up / height))

    def cut(self, aoi: Mapping[str, Any] | None) -> tuple[float, float, float, float] | None:
        """Give the box of an area in the item's own CRS; in degrees the right edge may be over 180."""
        if aoi is None or not self.x or not self.y or not self.crs:
            return None
        return around(aoi) if self.crs == _DEGREES else bounds_in(self.crs, aoi)


def shares(items: Sequence[Item], aoi: Mapping[str, Any] | None, query: Query | None) -> list[float]:
    """Give the part of each item that area and range of a search cover; 1 where that is unknown."""
    found, cuts = [], {}
    for axes in map(Axes.of, items):
        key = (axes.crs, bool(axes.x and axes.y))
        if key not in cuts:
            cuts[key] = axes.cut(aoi)
        found.append(axes.share(cuts[key]) * _time_share(axes, query))
    return found


def _time_share(axes: Axes, query: Query | None) -> float:
    times = axes.times
    if times is None or query is None or not (query.start or query.end):
        return 1.0
    try:
        first, last = (as_utc(time) for time in times)
    except InputError:
        return 1.0
    if first is None or last is None or last <= first:
        return 1.0
    begin, end = max(first, query.start or first), min(last, query.end or last)
    return max(0.0, (end - begin) / (last - first))


def around(aoi: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Give the box of an area in degrees; of one that crosses ±180° the right edge is over 180."""
    found = boxes(aoi)
    left = [box for box in found if box[2] >= 180]
    right = [box for box in found if box[0] <= -180]
    if len(found) > 1 and left and right:
        found = [
            box if box[0] + box[2] >= 0 else (box[0] + 360, box[1], box[2] + 360, box[3]) for box in found
        ]
    wests, souths, easts, norths = zip(*found, strict=True)
    return min(wests), min(souths), max(easts), max(norths)


def write_files(
    cell: Cell, item: Item, assets: Sequence[Asset], name: str, *, several: bool, signed: bool, how: How
) -> bool:
    """Write the lines that make one dataset of files; where nothing says how they fit together, a dictionary of them.

    Parameters
    ----------
    cell : Cell
        What is written to.
    item : dict
        One of the items, for what is common to them.
    assets : sequence of Asset
        What is opened of each item.
    name : str
        The variable.
    several : bool
        Whether there is more than one item.
    signed : bool
        Whether links are signed when the cell runs.
    how : How
        In memory, in parts, or on a cluster.

    Returns
    -------
    bool
        Whether it is one dataset.
    """
    kind = assets[0].kind
    cell.imports("xarray as xr", package="xarray")
    joined, time = _is_joined(item, assets), _time_axis(item, kind)
    opened = _opened(cell, item, assets[0], signed=signed, how=how)
    if not several and len(assets) == 1:
        cell.line(f"asset = items[0].assets[{literal(assets[0].name)}]")
        if kind is Kind.GRIB:
            cell.line(f"datasets = {opened.removesuffix('[0]')}")
            chunked = "" if how == "memory" else ".chunk()"
            cell.line(
                f"{name} = datasets[0]{chunked}  # one for each kind of level; the others are in datasets"
            )
        else:
            cell.line(f"{name} = {opened}")
        return True
    cell.function(f"def opened(asset):\n    return {_indented(opened)}")
    # items of one collection need not all have the same
    if len(assets) == 1:
        first = literal(assets[0].name)
        one, having = f"opened(item.assets[{first}])", f"{first} in item.assets"
    else:
        cell.line(f"names = {literal([asset.name for asset in assets], column=8)}")
        owner, having = "item" if several else "items[0]", "any(name in item.assets for name in names)"
        each = f"opened({owner}.assets[name]) for name in names if name in {owner}.assets"
        one = f"xr.merge([{each}])" if joined else f"{{name: {each}}}"
    if not several:
        cell.line(f"{name} = {one}")
        return joined
    cell.line(f"items = [item for item in items if {having}]")
    if joined and time:
        cell.line(f"parts = [{one} for item in items]")
        cell.line(f"{name} = {call('xr.concat', Source('parts'), dim=time)}.sortby({literal(time)})")
        return True
    cell.line(f"{name} = {{item.id: {one} for item in items}}")
    return False


def is_one(item: Item, assets: Sequence[Asset], *, several: bool) -> bool:
    """Tell whether `write_files` makes one dataset, which can be cut, and no dictionary."""
    return _is_joined(item, assets) and (not several or bool(_time_axis(item, assets[0].kind)))


def _is_joined(item: Item, assets: Sequence[Asset]) -> bool:
    return len(assets) == 1 or isinstance(properties(item).get("cube:variables"), dict)


def _time_axis(item: Item, kind: Kind) -> str:
    return "time" if kind is Kind.GRIB else Axes.of(item).time


def write_cuts(cell: Cell, name: str, item: Item, kind: Kind, area: Area, query: Query | None) -> bool:
    """Write the lines that cut a dataset to area and time; tell whether the area was."""
    axes, aoi = Axes.of(item), area.aoi
    if axes.time and query is not None and (query.start or query.end):
        start, end = _naive(query.start), _naive(query.end)
        cell.line(f"{name} = {name}.sel({_keyword(axes.time, f'slice({start}, {end})')})")
    if aoi is None:
        return True
    box, x, y = axes.cut(aoi), axes.x, axes.y
    if box is None and kind is Kind.GRIB:
        x, y = _GRIB_AXES
        where = area.variable(cell) if not area.is_box else None
        cell.line(f'if {{"{x}", "{y}"}} <= set({name}.dims):')
        cell.line(f"    {name} = {_selected(name, _degrees(name, x, y, around(aoi)), indent=1)}")
        if where is not None:
            _mask(cell, name, x, y, _DEGREES, where, indent=1)
        return True
    if box is None:
        return False
    if axes.crs == _DEGREES:
        within = _degrees(name, x, y, box)
    else:
        left, bottom, right, top = box
        within = [(y, _between(name, y, bottom, top)), (x, _between(name, x, left, right))]
    cell.line(f"{name} = {_selected(name, within)}")
    if not area.is_box:
        where = area.variable(cell) if axes.crs == _DEGREES else area.outline(cell)
        if where is not None:
            _mask(cell, name, x, y, axes.crs, where)
    return True


def _mask(cell: Cell, name: str, x: str, y: str, crs: str, where: Source, indent: int = 0) -> None:
    """Write the lines that leave nothing of a dataset but what has its middle in an area, as a box does.

    Notes
    -----
    By the coordinates, not by a regular grid: latitudes of some models are not, and longitudes of others run to 360.
    """
    cell.imports("shapely.geometry", package="shapely")
    xs, ys = f"{name}[{literal(x)}].values", f"{name}[{literal(y)}].values[:, None]"
    shape = f"shapely.geometry.shape({where})"
    if crs == _DEGREES:
        xs = f"({xs} + 180) % 360 - 180"
    else:
        shape = f"{where}.to_crs({literal(crs)}).geom"
    dims = literal([y, x])
    test = call("shapely.intersects_xy", Source(shape), Source(xs), Source(ys), before=9 + 4 * indent)
    lines = f"""\
inside = {test}
inside = xr.DataArray(inside, dims={dims})
{name} = {name}.map(
    lambda values: values.where(inside) if set({dims}) <= set(values.dims) else values,
    keep_attrs=True,
)  # NaN where the middle of a pixel is not in the area"""
    cell.line("\n".join("    " * indent + line for line in lines.splitlines()))


def _degrees(name: str, x: str, y: str, box: tuple[float, float, float, float]) -> list[tuple[str, str]]:
    """Select by longitude whether it runs from -180 to 180 or from 0 to 360."""
    west, south, east, north = box
    span = literal(round(east - west, 8))
    shifted = f"- {literal(round(west, 8))}" if west >= 0 else f"+ {literal(round(-west, 8))}"
    return [
        (y, _between(name, y, south, north)),
        (x, f"(({name}[{literal(x)}] {shifted}) % 360 <= {span}).values"),
    ]


def _between(name: str, axis: str, low: float, high: float) -> str:
    values = f"{name}[{literal(axis)}]"
    return f"(({values} >= {literal(round(low, 8))}) & ({values} <= {literal(round(high, 8))})).values"


def _selected(name: str, within: Sequence[tuple[str, str]], indent: int = 0) -> str:
    """Write a selection over several lines."""
    space = "    " * (indent + 1)
    rows = "".join(f"{space}{_keyword(axis, value)},\n" for axis, value in within)
    return f"{name}.isel(\n{rows}{'    ' * indent})"


def _keyword(name: str, value: str) -> str:
    """Write an argument whose name a catalogue chose."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,60}", name, re.ASCII) and name not in _TAKEN:
        return f"{name}={value}"
    return f"**{{{literal(name)}: {value}}}"


_TAKEN = frozenset(
    {"indexers", "drop", "missing_dims", "method", "tolerance", "self", "and", "as", "assert", "async", "await", "break",
     "class", "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in",
     "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield", "None", "True",
     "False"}
)  # fmt: skip


def _naive(moment: datetime | None) -> str:
    return "None" if moment is None else literal(time_text(moment).removesuffix("Z"))


def _opened(cell: Cell, item: Item, asset: Asset, *, signed: bool, how: How) -> Source:
    """Write the call that opens ``asset``."""
    options = fsspec_options(item, asset)
    if signed and isinstance(asset.extra.get("xarray:open_kwargs"), dict):
        # what signing adds to them is there only when the cell runs
        return Source('xr.open_dataset(asset.href, **asset.extra_fields["xarray:open_kwargs"])')
    href = Source("asset.href" if scheme(asset) else "asset.get_absolute_href()")
    chunks: dict[str, int] | None = None if how == "memory" else {}
    if asset.kind is Kind.ZARR:
        cell.needs.add("zarr")
        unread = Source("None") if how == "memory" else None
        return call("xr.open_zarr", href, storage_options=options, chunks=unread)
    if asset.kind is Kind.GRIB:
        cell.imports("cfgrib", package="cfgrib")
        return Source(f"{call('cfgrib.open_datasets', _copied(cell, asset, href, options), indexpath='')}[0]")
    # workers elsewhere don't see a copy
    if how != "cluster" and asset.size is not None and asset.size <= _COPIED:
        cell.needs.add("netcdf4")
        return call("xr.open_dataset", _copied(cell, asset, href, options), chunks=chunks)
    cell.imports("fsspec", package="fsspec")
    cell.needs |= {"h5netcdf", "h5py"}
    remote = Source(f"{call('fsspec.open', href, **(options or {}))}.open()")
    return call("xr.open_dataset", remote, engine="h5netcdf", chunks=chunks)


def _copied(cell: Cell, asset: Asset, href: Source, options: Mapping[str, Any] | None) -> Source:
    """Write what gives the path of a local copy, which is removed when the kernel ends."""
    cell.imports("fsspec", package="fsspec")
    extra: dict[str, Any] = {scheme(asset): dict(options)} if options else {}
    return call("fsspec.open_local", Source(f'"simplecache::" + {href}'), **extra)


def _indented(source: str) -> str:
    return source.replace("\n", "\n    ")
