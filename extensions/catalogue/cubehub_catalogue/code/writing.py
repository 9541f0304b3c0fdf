"""From a task to a cell."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from cubehub_catalogue.assets import Kind, is_for_some
from cubehub_catalogue.code import files, platform, rasters, templates
from cubehub_catalogue.code.blocks import blocks_of, offered
from cubehub_catalogue.code.cell import Cell
from cubehub_catalogue.code.literals import comment
from cubehub_catalogue.code.model import Task, Written
from cubehub_catalogue.code.reaching import fsspec_options, keys_needed, package
from cubehub_catalogue.code.searches import Area, find_again, find_chosen, is_signed, open_catalogue
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.sizes import Estimate, together

if TYPE_CHECKING:
    from cubehub_catalogue.code.blocks import Block
    from cubehub_catalogue.code.files import How
    from cubehub_catalogue.code.model import Place

_LONGEST = 2 * 2**20
"""Characters of a cell; a notebook with a longer one is slow to open, and so is Python to read it."""
_LISTED = "for item in items:\n    print(item.id, item.datetime, list(item.assets))"


def write(task: Task) -> Written:
    """Write a cell.

    Parameters
    ----------
    task : Task
        What is asked for.

    Raises
    ------
    CatalogueError
        It can't be written; says why and what to do.
    """
    warnings: list[str] = []
    area = Area(task.query.aoi if task.query is not None else None)
    if task.options.template is None:
        task = _without_closed(task, warnings)
    blocks = blocks_of(task, area, warnings)
    estimate = (
        together([block.estimate for block in blocks], task.room)
        if blocks
        else Estimate(None, room=task.room)
    )
    bands = tuple(offered(blocks))
    cube = blocks[0].cube if len(blocks) == 1 else None
    if task.options.template is not None:
        return Written(templates.written_by(task.options.template, task), estimate, bands=bands, cube=cube)
    how: How = (
        task.options.compute if task.options.compute != "auto" else "lazy" if estimate.lazy else "memory"
    )
    if how == "memory" and estimate.ratio is not None and estimate.ratio > 1:
        warnings.append(f"This won't fit: {estimate.text}")
    writer = _Writer(task, area, how, warnings)
    for block in blocks:
        if len(blocks) > 1:
            writer.cell.gap()
            writer.cell.line(f"# {comment(f'{block.collection or block.name} ({block.place.title})')}")
        writer.block(block)
    if not blocks:
        writer.search()
    code = writer.cell.text()
    if len(code) > _LONGEST:
        raise InputError(
            "too_large", "This is too much for a cell.", "Draw a simpler area, or choose fewer items."
        )
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CatalogueError(
            "code_failed",
            "The code for this could not be written.",
            "Choose fewer items or a simpler area, and report it.",
        ) from error
    needs = tuple(sorted(writer.cell.needs))
    # what a cube server or a store of xcube hands out is never loaded at once
    lazily = how != "memory" or (cube is not None and task.options.variant in {"auto", "cube", "xcube"})
    estimate = replace(estimate, opened_lazily=lazily and task.options.variant != "build")
    return Written(code, estimate, needs, tuple(dict.fromkeys(warnings)), bands, cube)


def _without_closed(task: Task, warnings: list[str]) -> Task:
    """Leave out cubes that a cell can't open; some others may be left.

    Raises
    ------
    InputError
        None is.
    """
    closed = [
        found
        for found in task.found
        if (place := task.places.get(found.catalogue)) is not None
        and place.platform
        and is_for_some(found.item)
    ]
    if not closed:
        return task
    names = comment(", ".join(str(found.item.get("id")) for found in closed), 200)
    why = (
        f"{names}: published for some people only, so the cube server gives it to the viewer, which is signed in, and "
        "not to a notebook."
    )
    if len(closed) == len(task.found):
        raise InputError(
            "cube_not_public",
            why,
            "Look at it in the viewer. Its publisher can open the data that it was made of, or publish it again with "
            'access="public".',
        )
    warnings.append(why)
    return replace(task, found=tuple(found for found in task.found if found not in closed))


class _Writer:
    """Writes block after block, and remembers which catalogue is open."""

    def __init__(self, task: Task, area: Area, how: How, warnings: list[str]) -> None:
        self.task, self.area, self.how, self.warnings = task, area, how, warnings
        self.clip = area if task.options.clip else Area(None)
        self.cell = Cell()
        self._open: Place | None = None
        if how == "cluster":
            self._cluster()

    def block(self, block: Block) -> None:
        """Write what opens a block, and its variable as the last line."""
        variant = self.task.options.variant
        self._refuse(block)
        if block.cube is not None and variant in {"auto", "cube", "xcube"}:
            self._cube(block, block.cube)
            return
        if variant == "build":
            platform.write_build(self.cell, self.task, block.place, block.collection, block.target)
            self.warnings.append("An administrator runs this, on the platform's machine.")
            if not self.area.is_box:
                self.warnings.append("A recipe takes the box around the area.")
            return
        self._items(block.place, block.collection, block)
        if block.kind is None:
            self.warnings.append(
                f"{block.collection or 'These items'}: nothing in them can be opened here; download what you need."
            )
            self.cell.line(_LISTED)
            return
        keys = keys_needed((item, asset) for item in block.items[:1] for asset in block.assets)
        self.warnings += [keys] if keys else []
        self.cell.gap()
        if variant == "xcube":
            options = fsspec_options(block.items[0], block.assets[0])
            platform.write_xcube(self.cell, block.assets[0], options, block.name)
            if len(block.assets) > 1 or self._several(block):
                self.warnings.append(f"The store opens {block.assets[0].name} of the first item alone.")
            if self.clip.aoi is not None:
                self.warnings.append("The store opens it whole: the area is not cut out.")
            self.warnings.append('Run it with the kernel "Python 3 (xcube)".')
        elif block.kind is Kind.RASTER:
            self._rasters(block)
        else:
            self._files(block)
        if variant == "publish":
            self.cell.gap()
            title = platform.title_of(block.items[0], block.collection, several=self._several(block))
            # xarray itself takes away what is no data in the others
            nodata = platform.no_data(block.assets) if block.kind is Kind.RASTER else None
            platform.write_publish(self.cell, title, block.name, nodata)
        else:
            self.cell.line(block.name)

    def _refuse(self, block: Block) -> None:
        """Refuse what would fail when the cell runs."""
        if self.task.options.variant == "cube" and block.cube is None:
            raise InputError(
                "no_cube", "The cube server does not have this.", "Choose one item of this platform's cubes."
            )

    def search(self) -> None:
        """Write a search of which nobody knows what it finds: it lists the items."""
        query = self.task.query
        if query is None or not self.task.places:
            raise InputError(
                "nothing_chosen", "There is nothing to write code for.", "Search, or choose items."
            )
        for place in self.task.places.values():
            for collection in query.collections.get(place.id) or ("",):
                self.cell.gap()
                self._items(place, collection, None)
                self.cell.line(_LISTED)

    def _items(self, place: Place, collection: str, block: Block | None) -> None:
        if self.task.options.variant == "xcube":
            place = self._for_xcube(place)
        if place != self._open:
            open_catalogue(self.cell, place, self.task)
            self._open = place
        if block is not None and self.task.chosen:
            find_chosen(self.cell, place, collection, block.items)
        else:
            find_again(self.cell, place, collection, self.task, self.area)

    def _for_xcube(self, place: Place) -> Place:
        """Give a catalogue as the kernel of xcube asks it: that has an environment of its own, without our search."""
        query = self.task.query
        plain = self.task.chosen or query is None or not (query.filter or query.text)
        if not place.direct and not (place.public and plain):
            raise InputError(
                "not_for_xcube",
                f"The kernel that has xcube can't search {place.title} the way this needs.",
                "Choose the variant for xarray.",
            )
        return replace(place, direct=True)

    def _several(self, block: Block) -> bool:
        return len(block.items) > 1 or not self.task.chosen

    def _cube(self, block: Block, cube: str) -> None:
        if self.task.options.variant == "xcube":
            platform.write_xcube_cube(self.cell, cube, block.name)
            self.warnings.append('Run it with the kernel "Python 3 (xcube)".')
        else:
            platform.write_cube(self.cell, cube, block.name)
        files.write_cuts(self.cell, block.name, block.items[0], Kind.ZARR, self.clip, self.task.query)
        self.cell.line(block.name)

    def _rasters(self, block: Block) -> None:
        lazy = self.how != "memory"
        item, publish = block.items[0], self.task.options.variant == "publish"
        if publish and block.target is None:
            raise InputError(
                "no_grid", "These items don't say where their pixels are.", "Give a resolution in options."
            )
        if block.single and not publish:
            if self.clip.aoi is not None and not rasters.reaches(block.assets[0], self.clip.aoi):
                grid = block.assets[0].grid
                why = (
                    "The items don't say where their pixels are"
                    if grid is None
                    else "The rows of the file run across its map"
                    if grid.turned
                    else f"{comment(block.assets[0].name)} does not reach the area"
                )
                self.warnings.append(f"{why}, so the area is not cut out.")
            rasters.write_files(
                self.cell, item, block.assets, self.clip, block.name, several=self._several(block), lazy=lazy
            )
        else:
            lazy = lazy or publish  # a time is published after the other
            rasters.write_stack(
                self.cell, block.items, block.assets, block.target, self.clip, block.name, lazy=lazy
            )
        self.cell.needs |= {"dask"} if lazy else set()

    def _files(self, block: Block) -> None:
        several, item = self._several(block), block.items[0]
        signed = is_signed(block.place)
        one = files.write_files(
            self.cell, item, block.assets, block.name, several=several, signed=signed, how=self.how
        )
        if not one and self.task.options.variant == "publish":
            raise InputError(
                "no_cube",
                f"The files of {block.collection or 'these items'} are not one cube.",
                "Choose one file of one item.",
            )
        self.cell.needs |= {name for asset in block.assets if (name := package(asset))}
        self.cell.needs |= {"dask"} if self.how != "memory" else set()
        query, kind = self.task.query, block.assets[0].kind
        cut = one and files.write_cuts(self.cell, block.name, item, kind, self.clip, query)
        if not cut and self.clip.aoi is not None:
            why = "The items don't name their axes" if one else "The files are not one dataset"
            self.warnings.append(f"{why}, so the area is not cut out.")
        if self.how == "cluster" and kind is Kind.GRIB:
            self.warnings.append(
                "GRIB is read from a copy on this server, which workers elsewhere do not see."
            )

    def _cluster(self) -> None:
        if self.task.gateway:
            self.cell.imports("dask_gateway", "Gateway", package="dask-gateway")
            self.cell.line("cluster = Gateway().new_cluster()")
            self.cell.line("cluster.scale(2)")
            self.cell.line("client = cluster.get_client()")
        else:
            self.cell.imports("distributed", package="distributed")
            self.cell.line("client = distributed.Client()")
        self.cell.gap()
