"""Lines for what the platform itself offers: its cubes, publishing, its recipes; and stores of xcube."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.assets import Asset, Kind, properties
from cubehub_catalogue.code.cell import Source, call
from cubehub_catalogue.code.files import around
from cubehub_catalogue.code.literals import literal
from cubehub_catalogue.code.reaching import scheme
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.reserved import is_reserved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cubehub_catalogue.code.cell import Cell
    from cubehub_catalogue.code.model import Place, Task
    from cubehub_catalogue.code.target import Target
    from cubehub_catalogue.query import Item

_CUBES = 'os.environ["CUBEHUB_CUBES_URL"]'
_FORMS = {Kind.ZARR: "zarr", Kind.NETCDF: "netcdf", Kind.RASTER: "geotiff"}
_STORES = frozenset({"https", "s3", "file", "abfs"})
"""Schemes for which xcube 1.14 has a store of the same name."""
_RECIPES = (
    (re.compile(r"sentinel.?2.*l2a|s2.?l2a|s2_msi_l2a", re.IGNORECASE), "msi-ndvi"),
    (re.compile(r"sentinel.?3.*olci.*wfr|s3.?olci.*wfr|ol.?2.?wfr", re.IGNORECASE), "olci-water-quality"),
)
_COLLECTION = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)


def write_cube(cell: Cell, cube: str, name: str) -> None:
    """Write the lines that open a cube of the platform at its cube server."""
    cell.imports("os")
    cell.imports("xarray as xr", package="xarray")
    cell.needs |= {"zarr", "aiohttp"}
    # level 0 is full resolution; each next one has half the pixels along x and y
    path = literal(f"/s3/pyramids/{cube}.levels/0.zarr")
    cell.line(f"{name} = {call('xr.open_zarr', Source(f'{_CUBES} + {path}'), before=len(name) + 3)}")


def write_xcube_cube(cell: Cell, cube: str, name: str) -> None:
    """Write the lines that open a cube of the platform by a store of xcube."""
    cell.imports("os")
    cell.imports("xcube.core.store", "new_data_store", package="xcube-core")
    endpoint = Source(f'{{"anon": True, "client_kwargs": {{"endpoint_url": {_CUBES} + "/s3"}}}}')
    cell.line(f"store = {call('new_data_store', 's3', before=8, root='datasets', storage_options=endpoint)}")
    cell.line(f"{name} = store.open_data({literal(f'{cube}.zarr')})")


def write_xcube(cell: Cell, asset: Asset, options: Mapping[str, Any] | None, name: str) -> None:
    """Write the lines that open an asset by a store of xcube."""
    cell.imports("xcube.core.store", "new_data_store", package="xcube-core")
    form = _FORMS.get(asset.kind)
    if asset.kind is Kind.RASTER and "jp2" in str(asset.extra.get("type")):
        form = "j2k"
    if form is None or scheme(asset) not in _STORES:
        raise InputError(
            "not_for_xcube",
            f"xcube does not open {asset.kind.value} by {scheme(asset) or 'a path'}.",
            "Choose the variant for xarray.",
        )
    if form == "j2k":
        cell.imports("dask", package="dask")
        cell.line('dask.config.set(scheduler="single-threaded")  # else xcube opens no JPEG 2000')
    cell.line(f"asset = items[0].assets[{literal(asset.name)}]")
    cell.line('protocol, _, path = asset.get_absolute_href().partition("://")')
    cell.line('root, _, data_id = path.rpartition("/")')
    cell.line(
        f"store = {call('new_data_store', Source('protocol'), before=8, root=Source('root'), storage_options=options)}"
    )
    cell.line(f'{name} = store.open_data(data_id, opener_id=f"dataset:{form}:{{protocol}}")')


def write_publish(cell: Cell, title: str, name: str, nodata: float | None) -> None:
    """Write the lines that publish a dataset as a cube."""
    cell.imports("cubehub", package="cubehub")
    if nodata is not None:
        number = int(nodata) if nodata == int(nodata) else nodata
        cell.line(f"{name} = {name}.where({name} != {literal(number)})  # no data")
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "my-cube"
    cell.line(f"made = {call('cubehub.publish', Source(name), slug, before=7, title=title or None)}")
    cell.line("made.url")


def write_build(cell: Cell, task: Task, place: Place, collection: str, target: Target | None) -> None:
    """Write the line that has the platform's recipe build a cube of what a search finds.

    Raises
    ------
    InputError
        There is no recipe for these items, or area or catalogue are missing.
    """
    recipe = next((name for pattern, name in _RECIPES if pattern.search(collection)), None)
    if recipe is None:
        raise InputError(
            "no_recipe",
            f"The platform has no recipe for {collection or 'these items'}.",
            "Load them, and publish what you make.",
        )
    # the platform's command reads a comma as the end of it, and what follows as more collections
    if not _COLLECTION.fullmatch(collection):
        raise InputError(
            "not_for_recipe",
            f"A recipe takes no collection with the name {collection!r:.100}.",
            "Load the items, and publish what you make.",
        )
    if task.query is None or task.query.aoi is None:
        raise InputError("no_area", "A recipe needs an area.", "Draw one, then search again.")
    if not (place.direct or place.public):
        raise InputError(
            "not_for_recipe",
            "A recipe reads STAC APIs that need no log-in.",
            "Load the items, and publish what you make.",
        )
    west, south, east, north = around(task.query.aoi)
    # beside the recipe's own cube, which the platform's samples make; the same area goes on with the same cube
    middle = (("s", "n"), (south + north) / 2), (("w", "e"), ((west + east) / 2 + 180) % 360 - 180)
    where = "-".join(f"{sides[value >= 0]}{abs(value):.2f}".replace(".", "-") for sides, value in middle)
    area = ",".join(f"{edge:.10g}" for edge in (west, south, east - 360 if east > 180 else east, north))
    grid = ["--grid", f"{target.crs}@{target.resolution:.10g}"] if target else []
    times = _days(task)
    cell.imports("subprocess")
    cell.needs.add("cubehub")
    command = [
        "cubehub", "cubes", "build", recipe, "--source", f"stac+{place.url}#{collection}", f"--area={area}",
        "--name", f"{recipe}-{where}", *(["--time", times] if times else []), *grid,
    ]  # fmt: skip
    cell.line("# on the platform's machine, as its administrator; then list the cube in cubes.yaml")
    cell.line(call("subprocess.run", command, check=True))


def _days(task: Task) -> str:
    query = task.query
    if query is None or not (query.start or query.end):
        return ""
    return f"{_day(query.start)}/{_day(query.end)}"


def _day(moment: Any) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S}"


def title_of(item: Item, collection: str, *, several: bool) -> str:
    """Give a title for what is made of items: of one its own, of several their collection's."""
    if several and collection and not is_reserved(collection):
        return collection
    names = (properties(item).get("title"), item.get("id"), collection)
    return next((name for name in names if isinstance(name, str) and name.strip()), "")


def no_data(assets: Sequence[Asset]) -> float | None:
    """Give the number that stands for nothing in all of these; None where they differ."""
    numbers = {asset.nodata for asset in assets}
    return numbers.pop() if len(numbers) == 1 else None
