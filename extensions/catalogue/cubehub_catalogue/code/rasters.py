"""Lines for rasters: a stack by odc-stac, or one file by rioxarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_catalogue.assets import Asset, Kind, data_assets
from cubehub_catalogue.code.cell import Source, call
from cubehub_catalogue.code.literals import comment, literal
from cubehub_catalogue.code.reaching import gdal_options, scheme
from cubehub_catalogue.code.target import bounds_in, is_bent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cubehub_catalogue.code.cell import Cell
    from cubehub_catalogue.code.searches import Area
    from cubehub_catalogue.code.target import Target
    from cubehub_catalogue.query import Item

_CHUNK = {"x": 2048, "y": 2048}
"""Of a few MiB each: many fit beside one another, and a scene of 10980 pixels is read by 36 tasks."""

_MOST_NAMED = 5


def layers(assets: Sequence[Asset]) -> list[str]:
    """Give the bands' names as odc-stac knows them: of an asset with several, each by its number."""
    names = []
    for asset in assets:
        lists = [asset.extra.get(key) for key in ("bands", "raster:bands")]
        declared = max(len(one) if isinstance(one, list) else 0 for one in lists)
        names += (
            [asset.name] if declared < 2 else [f"{asset.name}.{number}" for number in range(1, declared + 1)]
        )
    return names


def write_stack(
    cell: Cell,
    items: Sequence[Item],
    assets: Sequence[Asset],
    target: Target | None,
    area: Area,
    name: str,
    *,
    lazy: bool,
) -> None:
    """Write the lines that load items onto one grid.

    Notes
    -----
    The grid is written down, with the anchor that makes its pixels the files' own: odc-stac by itself takes the edges at
    multiples of a pixel wherever CRS, resolution or an area are given, which is half a pixel beside Landsat's.
    """
    item, pixels = items[0], rasters_of(items, [asset.name for asset in assets])
    cell.imports("odc.stac", package="odc-stac")
    bent = target is not None and area.aoi is not None and is_bent(target.crs, target.steps, area.aoi)
    by_corners = area.is_box and not bent
    where = area.variable(cell) if by_corners else area.outline(cell)
    _reach(cell, item, assets, by_odc=True)
    names = [asset.name for asset in assets]
    if any(name not in found for found in map(data_assets, items) for name in names):
        cell.line(f"names = {literal(names, column=8)}")
        cell.line("items = [item for item in items if any(name in item.assets for name in names)]")
        cell.line("# odc-stac takes the bands from the first one")
        cell.line("items.sort(key=lambda item: not all(name in item.assets for name in names))")
    if note := _resampled(pixels, target):
        cell.line(f"# {note}")
    asked: dict[str, Any] = {
        "bands": layers(assets),
        "crs": target.crs if target else None,
        "resolution": _resolution(cell, target) if target else None,
        "anchor": _anchor(cell, target) if target else None,
        ("bbox" if by_corners else "geopolygon"): where,
        "groupby": "solar_day",
        "chunks": _CHUNK if lazy else None,
    }
    cell.line(f"{name} = {call('odc.stac.load', Source('items'), before=len(name) + 3, **asked)}")
    if where is not None and not area.is_box:
        cell.line(f"{name} = {name}.odc.mask({where})  # NaN where a pixel does not touch the area")


def _resolution(cell: Cell, target: Target) -> Source | float | int:
    width, height = target.steps
    if width == height:
        return _plain(width)
    cell.imports("odc.geo", "resxy_", package="odc-geo")
    return Source(f"resxy_({literal(_plain(width))}, {literal(-_plain(height))})")


def _anchor(cell: Cell, target: Target) -> Source | str | None:
    """Say where the edges of the pixels are, where that is not at whole multiples of them."""
    if target.offset == (0, 0):
        return None
    if target.offset == (0.5, 0.5):
        return "center"
    cell.imports("odc.geo", "xy_", package="odc-geo")
    return Source(f"xy_({literal(target.offset[0])}, {literal(target.offset[1])})")


def _resampled(pixels: Sequence[Asset], target: Target | None) -> str | None:
    """Say which bands are not on the grid that is loaded; None where all pixels are the files' own."""
    if target is None:
        return None
    beside = list(dict.fromkeys(asset.name for asset in pixels if not target.holds(asset.grid)))
    if not beside:
        return None
    which = ", ".join(beside) if len(beside) <= _MOST_NAMED else f"{len(beside)} bands"
    return comment(f"Not in every item on this grid, so resampled to it (nearest pixel): {which}", 120)


def write_files(
    cell: Cell, item: Item, assets: Sequence[Asset], area: Area, name: str, *, several: bool, lazy: bool
) -> None:
    """Write the lines that open single files, each on the grid it has; of several the first is shown."""
    cell.imports("rioxarray", package="rioxarray")
    grid, aoi = assets[0].grid, area.aoi
    reached = reaches(assets[0], aoi)
    bent = reached and grid is not None and aoi is not None and is_bent(grid.crs, grid.steps, aoi)
    by_corners = area.is_box and not bent
    where = None if not reached else area.variable(cell) if by_corners else area.outline(cell)
    _reach(cell, item, assets, by_odc=False)
    href = f"asset.{'href' if scheme(assets[0]) else 'get_absolute_href()'}"
    opened = call("rioxarray.open_rasterio", Source(href), masked=True, chunks=_CHUNK if lazy else None)
    if not several and len(assets) == 1:
        cell.line(f"asset = items[0].assets[{literal(assets[0].name)}]")
        cell.line(f"{name} = {opened}")
    else:
        cell.function(f"def opened(asset):\n    return {opened}")
        first = literal(assets[0].name)
        if len(assets) == 1:
            each = f"opened(item.assets[{first}]) for item in items if {first} in item.assets"
            cell.line(f"rasters = {{item.id: {each}}}")
        else:
            cell.line(f"names = {literal([asset.name for asset in assets], column=8)}")
            cell.line("item = next(item for item in items if any(name in item.assets for name in names))")
            cell.line("rasters = {name: opened(item.assets[name]) for name in names if name in item.assets}")
        cell.line(f"{name} = next(iter(rasters.values()))  # each is on a grid of its own")
    if where is not None and bent:
        cell.line(f"{name} = {name}.rio.clip_box(*{where}.to_crs({name}.rio.crs).boundingbox)")
    elif where is not None and area.is_box:
        cell.line(f'{name} = {name}.rio.clip_box(*{where}, crs="EPSG:4326")')
    elif where is not None:
        cell.line(f'{name} = {name}.rio.clip([{where}.json], crs="EPSG:4326", all_touched=True)')


def reaches(asset: Asset, aoi: Mapping[str, Any] | None) -> bool:
    """Tell whether a raster can be cut to an area: rioxarray refuses to where it does not lie on it, or is turned."""
    if aoi is None or asset.grid is None or asset.grid.turned:
        return False
    box = bounds_in(asset.grid.crs, aoi)
    if box is None:
        return False
    left, bottom, right, top = asset.grid.bounds
    return box[0] < right and box[2] > left and box[1] < top and box[3] > bottom


def _reach(cell: Cell, item: Item, assets: Sequence[Asset], *, by_odc: bool) -> None:
    """Have GDAL ask for what is needed and nothing else, and know the bucket."""
    options: dict[str, Any] = {}
    for asset in assets:
        options |= gdal_options(item, asset)
    if not options and not any(scheme(asset) in {"http", "https"} for asset in assets):
        return
    if by_odc:
        cell.line(call("odc.stac.configure_rio", cloud_defaults=True, **options))
    else:
        cell.imports("os")
        cell.line(call("os.environ.update", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", **options))


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) and abs(number) < 10**9 else number


def rasters_of(items: Sequence[Item], names: Sequence[str]) -> list[Asset]:
    """Give the rasters of these names of all items."""
    return [
        asset
        for item in items
        for asset in data_assets(item).values()
        if asset.name in names and asset.kind is Kind.RASTER
    ]
