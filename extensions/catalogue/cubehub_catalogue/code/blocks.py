"""What of a task belongs together: items of one collection, the assets that are opened of them, and their size."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.aoi import whole_box
from cubehub_catalogue.assets import Asset, Kind, cube_name, data_assets, usual_assets
from cubehub_catalogue.code import files, rasters
from cubehub_catalogue.code.model import TAKEN
from cubehub_catalogue.code.target import Target, target_of
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.sizes import Estimate, of_cube, of_files, of_rasters, solar_days, stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cubehub_catalogue.code.model import Found, Place, Task
    from cubehub_catalogue.code.searches import Area
    from cubehub_catalogue.query import Item

MOST_BLOCKS = 6
_MOST_FILES = 12


@dataclass
class Block:
    """Items of one collection of one catalogue."""

    place: Place
    collection: str
    items: list[Item]
    name: str
    assets: list[Asset]
    """What is loaded; all of one kind."""
    target: Target | None
    estimate: Estimate
    cube: str | None
    single: bool
    """Whether files are opened one by one by rioxarray."""

    @property
    def kind(self) -> Kind | None:
        """How they are opened; None where nothing can be."""
        return self.assets[0].kind if self.assets else None


def blocks_of(task: Task, area: Area, warnings: list[str]) -> list[Block]:
    """Sort a task's items into blocks.

    Raises
    ------
    InputError
        They are of too many collections, or none has the bands that the person named.
    """
    grouped: dict[tuple[str, str], list[Item]] = {}
    for found in task.found:
        if isinstance(found.item.get("id"), str):
            grouped.setdefault((found.catalogue, _collection(found)), []).append(found.item)
    if len(grouped) > MOST_BLOCKS:
        raise InputError(
            "too_many_collections",
            f"These are of {len(grouped)} collections; a cell is for at most {MOST_BLOCKS}.",
            "Choose items of fewer collections.",
        )
    blocks: list[Block] = []
    used: set[str] = set()
    for (catalogue, collection), items in grouped.items():
        place = task.places.get(catalogue)
        if place is None:
            raise InputError(
                "unknown_catalogue", f"There is no catalogue {catalogue!r:.60}.", "Search again."
            )
        name = task.options.name if len(grouped) == 1 else _variable(collection or catalogue, used)
        blocks.append(_block(task, place, collection, items, name, area, warnings))
    wanted = set(task.options.bands)
    known = (
        sorted({name for block in blocks for item in block.items for name in data_assets(item)})
        if wanted
        else []
    )
    if wanted and not any(wanted & {asset.name for asset in block.assets} for block in blocks):
        raise InputError(
            "unknown_bands",
            f"None of these items has {', '.join(sorted(wanted))[:200]}.",
            f"They have {', '.join(known)[:500] or 'no data that can be opened'}.",
        )
    if missing := sorted(wanted - set(known)):
        warnings.append(
            f"None of these items has {', '.join(missing)[:200]}, so that is left out; they have {', '.join(known)[:500]}."
        )
    return blocks


def _block(
    task: Task, place: Place, collection: str, items: list[Item], name: str, area: Area, warnings: list[str]
) -> Block:
    options = task.options
    chosen = _chosen(task, collection, items, warnings)
    clip = area.aoi if options.clip else None
    target = None
    single = False
    if chosen and chosen[0].kind is Kind.RASTER:
        pixels = rasters.rasters_of(items, [asset.name for asset in chosen])
        target = target_of(pixels, clip, options.crs, options.resolution)
        alone = len(items) == 1 and len(chosen) == 1 and options.crs is None and options.resolution is None
        single = (
            options.variant == "raster"
            or target is None
            or (alone and options.variant == "auto" and task.chosen)
        )
        if target is None and (options.crs or len(items) > 1):
            warnings.append(
                f"{collection or 'The items'} don't say where their pixels are, so each is opened by itself: "
                "give a resolution to have them on one grid."
            )
        if any(asset.scaled for asset in chosen):
            warnings.append("Values are as stored: scale and offset of the items are not applied.")
        if not single:
            some = _of_one_item(items, chosen, warnings)
            if some != chosen:
                chosen = some
                pixels = rasters.rasters_of(items, [asset.name for asset in chosen])
                target = target_of(pixels, clip, options.crs, options.resolution)
            part = [
                asset.name for asset in chosen if asset.bands > 1 and asset.name in rasters.layers([asset])
            ]
            if part:
                warnings.append(f"Of {', '.join(part)} only the first band is loaded.")
    made = Block(
        place, collection, items, name, chosen, target, Estimate(None),
        cube_name(items[0]) if place.platform and len(items) == 1 else None, single,
    )  # fmt: skip
    made.estimate = _estimate(task, made, clip)
    return made


def _chosen(task: Task, collection: str, items: list[Item], warnings: list[str]) -> list[Asset]:
    """Give the assets that are opened, all of one kind."""
    options = task.options
    union: dict[str, Asset] = {}
    for item in items:
        for asset in data_assets(item).values():
            union.setdefault(asset.name, asset)
    chosen = [union[band] for band in options.bands if band in union] or usual_assets(union)
    if chosen:
        kinds = {asset.kind for asset in chosen}
        if len(kinds) > 1:
            kind = (
                chosen[0].kind
                if options.bands
                else Counter(asset.kind for asset in chosen).most_common(1)[0][0]
            )
            warnings.append(f"Of {collection or 'these items'} only the {kind.value} assets are opened.")
            chosen = [asset for asset in chosen if asset.kind is kind]
        if not options.bands and chosen[0].kind is not Kind.RASTER and len(chosen) > _MOST_FILES:
            warnings.append(
                f"{collection or 'An item'} has {len(chosen)} files; the cell opens the first {_MOST_FILES}."
            )
            chosen = chosen[:_MOST_FILES]
    return chosen


def _of_one_item(items: list[Item], chosen: list[Asset], warnings: list[str]) -> list[Asset]:
    """Give what of the chosen rasters some item has all of, most data first: odc-stac reads the bands of one."""
    names = frozenset(asset.name for asset in chosen)
    having = Counter(names.intersection(data_assets(item)) for item in items)
    if names in having:
        return chosen
    best = max(having, key=lambda some: len(some) * having[some])
    left = ", ".join(asset.name for asset in chosen if asset.name not in best)
    warnings.append(
        f"No item has all of these bands, so {left[:200]} is left out: choose these to load them instead."
    )
    return [asset for asset in chosen if asset.name in best]


def _estimate(task: Task, block: Block, clip: Mapping[str, Any] | None) -> Estimate:
    assets, items = block.assets, block.items
    if not assets:
        return Estimate(None)
    by_store = task.options.variant == "xcube" and block.cube is None
    if by_store:  # it opens one asset of one item, whole
        assets, items, clip = assets[:1], items[:1], None
    several = len(items) > 1 or (not task.chosen and not by_store)
    found_in = [data_assets(item) for item in items]
    all_assets = [found[asset.name] for found in found_in for asset in assets if asset.name in found]
    on_disk = stored(all_assets)
    more = not task.chosen and not by_store and task.more and len(items) < task.options.most_items
    if block.kind is Kind.RASTER:
        if block.single or by_store:
            return Estimate(_single_bytes(block, clip), at_least=more, stored=on_disk)
        whole = [layer for asset in assets for layer in [asset] * len(rasters.layers([asset]))]
        shape = block.target.shape if block.target else None
        held = [
            item
            for item, found in zip(items, found_in, strict=True)
            if any(asset.name in found for asset in assets)
        ]
        size = of_rasters(solar_days(held), shape, whole, masked=clip is not None and whole_box(clip) is None)
        return Estimate(size, at_least=more and size is not None, stored=on_disk)
    named = [asset.name for asset in assets]
    by_server = block.cube is not None and task.options.variant in {"auto", "cube", "xcube"}
    cut = by_server or (not by_store and files.is_one(items[0], assets, several=several))
    shares = files.shares(items, clip, task.query) if cut else [1.0] * len(items)
    sizes = [of_cube(item, share, named) for item, share in zip(items, shares, strict=True)]
    if None not in sizes:
        return Estimate(sum(size or 0 for size in sizes), at_least=more, stored=on_disk)
    return of_files(all_assets)


def _single_bytes(block: Block, clip: Mapping[str, Any] | None) -> int | None:
    """Give bytes of a raster by rioxarray: floats, for what is masked has no value."""
    asset = block.assets[0]
    grid = asset.grid
    if grid is None:
        return None
    rows, columns = grid.shape
    if rasters.reaches(asset, clip):
        own = target_of([asset], clip, grid.crs, None)
        if own is None or own.shape is None:
            return None
        rows, columns = (min(a, b) for a, b in zip(own.shape, grid.shape, strict=True))
    return rows * columns * asset.bands * (8 if asset.itemsize >= 4 and asset.dtype != "float32" else 4)


def _collection(found: Found) -> str:
    collection = found.item.get("collection")
    return collection if isinstance(collection, str) else ""


def _variable(text: str, used: set[str]) -> str:
    """Make a variable's name of a collection's."""
    base = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:30] or "items"
    base = base if base[0].isalpha() else f"c_{base}"
    name, count = base, 1
    while name in used or name in TAKEN or keyword.iskeyword(name):
        count += 1
        name = f"{base}_{count}"
    used.add(name)
    return name


def offered(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Give what could be chosen, as ``{name, title, collection, kind, chosen}``."""
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for block in blocks:
        chosen = {asset.name for asset in block.assets}
        for item in block.items[:1]:
            for asset in data_assets(item).values():
                made.setdefault(
                    (block.collection, asset.name),
                    {
                        "name": asset.name, "title": asset.title, "collection": block.collection,
                        "kind": asset.kind.value, "chosen": asset.name in chosen,
                    },
                )  # fmt: skip
    return list(made.values())
