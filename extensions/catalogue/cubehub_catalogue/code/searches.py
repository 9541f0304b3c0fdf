"""Lines that open a catalogue and find items in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cubehub_catalogue.aoi import whole_box
from cubehub_catalogue.code.cell import Source, call
from cubehub_catalogue.code.literals import literal
from cubehub_catalogue.code.target import segment
from cubehub_catalogue.query import Query
from cubehub_catalogue.times import interval_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cubehub_catalogue.code.cell import Cell
    from cubehub_catalogue.code.model import Place, Task
    from cubehub_catalogue.query import Item

_SIGNED = frozenset({"planetarycomputer.microsoft.com"})
"""Hosts whose links have to be signed, which their own package does when the cell runs."""


@dataclass
class Area:
    """The area of a search: a variable of the cell, written where it is first used."""

    aoi: Mapping[str, Any] | None
    _written: bool = False
    _outlined: bool = False

    @property
    def is_box(self) -> bool:
        """Whether it is one box."""
        return self.aoi is not None and whole_box(self.aoi) is not None

    def variable(self, cell: Cell) -> Source | None:
        """Give its name, and write it down once; None without an area."""
        if self.aoi is None:
            return None
        box = whole_box(self.aoi)
        if not self._written:
            if box is None:
                cell.line(f"aoi = {literal(plain(self.aoi), column=6)}")
            else:
                cell.line(f"bbox = {literal(list(box))}  # west, south, east, north")
            self._written = True
        return Source(self.name)

    def outline(self, cell: Cell) -> Source | None:
        """Give the name of its outline as odc-geo has it, and write that down once; None without an area."""
        where = self.variable(cell)
        if where is None or self.aoi is None:
            return None
        if not self._outlined:
            cell.imports("shapely" if self.is_box else "shapely.geometry", package="shapely")
            made = f"shapely.box(*{where})" if self.is_box else f"shapely.geometry.shape({where})"
            cell.imports("odc.geo.geom", "Geometry", package="odc-geo")
            # edges are straight in degrees, so on the map of another projection they are bent
            cell.line(f"outline = shapely.segmentize({made}, {literal(segment(self.aoi))})")
            cell.line('outline = Geometry(outline, "EPSG:4326")')
            self._outlined = True
        return Source("outline")

    @property
    def name(self) -> str:
        """The variable."""
        return "bbox" if self.is_box else "aoi"


def plain(value: Any) -> Any:
    """Give GeoJSON or CQL2 with lists for tuples and plain dictionaries."""
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if hasattr(value, "items"):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value]


def is_signed(place: Place) -> bool:
    """Tell whether a catalogue's links are signed when the cell runs."""
    return place.direct and urlsplit(place.url).hostname in _SIGNED


def open_catalogue(cell: Cell, place: Place, task: Task) -> None:
    """Write the lines that make ``catalogue``."""
    if not place.direct:
        return
    cell.imports("pystac_client", "Client", package="pystac-client")
    modifier = None
    if is_signed(place):
        cell.imports("planetary_computer", package="planetary-computer")
        modifier = Source("planetary_computer.sign_inplace")
    where: str | Source = place.url
    if place.platform:
        cell.imports("os")
        path = place.url.removeprefix(task.platform_url.rstrip("/"))
        where = (
            Source('os.environ["CUBEHUB_CATALOGUE_URL"]')
            if path.rstrip("/") == "/services/catalogue"
            else Source(f'os.environ["CUBEHUB_URL"] + {literal(path)}')
        )
    cell.line(f"catalogue = {call('Client.open', where, before=12, modifier=modifier)}")


def find_chosen(cell: Cell, place: Place, collection: str, items: Sequence[Item]) -> None:
    """Write the lines that make ``items`` of certain ones."""
    ids = list(dict.fromkeys(str(item.get("id")) for item in items))
    collections = [collection] if collection else None
    if place.direct:
        cell.line(f"search = {call('catalogue.search', before=9, collections=collections, ids=ids)}")
        cell.line("items = list(search.items())")
        return
    _through_platform(cell, place, {"collections": collections, "ids": ids, "most": len(ids)})


def find_again(cell: Cell, place: Place, collection: str, task: Task, area: Area) -> None:
    """Write the lines that make ``items`` by searching."""
    query = task.query or Query()
    where = area.variable(cell)
    asked: dict[str, Any] = {
        "collections": [collection] if collection else None,
        ("bbox" if area.is_box else "intersects"): where,
        "datetime": interval_text(query.start, query.end),
        "ids": list(query.ids) or None,
        "filter": plain(query.filter) if query.filter else None,
        "q": query.text or None,
        "sortby": _sorting(query),
        "max_items": task.options.most_items,
    }
    if place.direct:
        cell.line(f"search = {call('catalogue.search', before=9, **asked)}")
        cell.line("items = list(search.items())")
        return
    _through_platform(cell, place, asked)


def _through_platform(cell: Cell, place: Place, asked: dict[str, Any]) -> None:
    """Search by our own Python API, which speaks what the catalogue speaks and logs in when it runs."""
    cell.imports("cubehub_catalogue", package="cubehub-catalogue")
    renamed = {_OURS.get(name, name): value for name, value in asked.items()}
    cell.line(f"found = {call('cubehub_catalogue.search', place.id, before=8, **renamed)}")
    cell.line("items = list(found.items())")


_OURS = {"intersects": "aoi", "q": "text", "max_items": "most", "sortby": "sort"}
"""Names of pystac-client, and what `cubehub_catalogue.search` calls the same."""


def _sorting(query: Query) -> list[str] | None:
    if query.sort == Query().sort:
        return None  # it is every API's own order, and some refuse to be told
    return [("-" if one.descending else "+") + one.field for one in query.sort] or None
