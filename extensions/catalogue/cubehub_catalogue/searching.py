"""The search from Python: ``from cubehub_catalogue import search, catalogues``."""

from __future__ import annotations

import atexit
import html
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapely.geometry import shape

from cubehub_catalogue import aoi as outlines
from cubehub_catalogue import cql2, settings
from cubehub_catalogue.asking import MOST_PER_PAGE
from cubehub_catalogue.asking import ids as names_of
from cubehub_catalogue.context import Context
from cubehub_catalogue.errors import CatalogueError, InputError
from cubehub_catalogue.needing import needed
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.running import Runner
from cubehub_catalogue.times import checked, parse_interval

if TYPE_CHECKING:
    from cubehub_catalogue.federation import Federation
    from cubehub_catalogue.folding import Row
    from cubehub_catalogue.query import Item

_runner = Runner()
_context: Context | None = None
_SHOWN = 20
_NONE_HERE = "No catalogue is set up here."
_HOW_TO_ADD = (
    "Name them in a file, and the file in the environment variable CUBEHUB_CATALOGUES (the README of cubehub-catalogue "
    'shows one), or press "Add a catalogue" in JupyterLab\'s panel.'
)
_LEAVING_S = 5.0
"""So long the end of a program waits for connections to be closed."""


class Catalogues(Sequence[Any]):
    """The catalogues that can be searched here; shown as a table in a notebook."""

    def __init__(self, listed: Sequence[Any]) -> None:
        self._listed = list(listed)

    def __getitem__(self, index: Any) -> Any:
        return self._listed[index]

    def __len__(self) -> int:
        return len(self._listed)

    def __repr__(self) -> str:
        return "\n".join(_shown(f"{one.id}: {one.title} ({one.type})") for one in self) or (
            f"{_NONE_HERE} {_HOW_TO_ADD}"
        )

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{html.escape(repr(self))}</p>"
        return _table(("id", "title", "type"), [(one.id, one.title, one.type) for one in self])


class Found(Sequence[Any]):
    """What a search found, the same scene of several catalogues as one row; shown as a table in a notebook.

    Indexing and iterating gives the items as STAC dictionaries.
    """

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self.errors: dict[str, CatalogueError] = {}
        """By id the catalogues that failed."""
        self.ignored: dict[str, tuple[str, ...]] = {}
        """By id what a catalogue can't do of the search."""
        self.warnings: dict[str, tuple[str, ...]] = {}
        """By id what else there is to know: records that can't be used, a property that nobody has."""
        self.matched: dict[str, int | None] = {}
        """By id how many items there are in all, where the catalogue says so."""

    @property
    def more(self) -> bool:
        """Whether there is more to be had by `next`."""
        return self._federation.more

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the panel's list shows, in its order."""
        return [row.to_dict() for row in self._sorted()]

    def next(self) -> Found:
        """Get the next page as well; gives the whole again."""
        _runner.run(self._page())
        return self

    def dicts(self) -> list[Item]:
        """Items as STAC dictionaries."""
        return [row.entries[0].item for row in self._sorted()]

    def items(self) -> Any:
        """Items as `pystac.ItemCollection`, which odc-stac and stackstac take."""
        pystac = needed("pystac", "items()", "(dicts() gives them as dictionaries without it)")
        return pystac.ItemCollection([pystac.Item.from_dict(item) for item in self.dicts()])

    def copies(self, index: int) -> list[tuple[str, Item]]:
        """Catalogue and item of all who offer a row's scene, the one that is shown first."""
        return [(entry.catalogue, entry.item) for entry in self._sorted()[index].entries]

    def to_geodataframe(self) -> Any:
        """Rows as `geopandas.GeoDataFrame` with their footprints."""
        geopandas = needed("geopandas", "to_geodataframe()", "(rows has the same as dictionaries)")
        rows = self.rows
        geometry = [None if row["footprint"] is None else shape(row["footprint"]) for row in rows]
        shown = [{k: v for k, v in row.items() if k not in ("footprint", "order", "key")} for row in rows]
        return geopandas.GeoDataFrame(shown, geometry=geometry, crs="EPSG:4326")

    def __getitem__(self, index: Any) -> Any:
        found = self._sorted()[index]
        return [row.entries[0].item for row in found] if isinstance(found, list) else found.entries[0].item

    def __len__(self) -> int:
        return len(self._federation.folding.rows)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.dicts())

    def __repr__(self) -> str:
        lines = [f"{len(self)} scenes{', and more' if self.more else ''}"]
        lines += [f"{row['start'] or '?'}  {row['catalogue']}  {row['id']}" for row in self.rows[:_SHOWN]]
        return "\n".join(map(_shown, [*lines, *self._notes()]))

    def _repr_html_(self) -> str:
        head = ("start", "clouds", "platform", "collection", "id", "catalogues")
        rows = [
            (
                (row["start"] or "")[:19],
                "" if row["cloud_cover"] is None else f"{row['cloud_cover']:.0f} %",
                row["platform"] or "",
                row["collection"] or "",
                row["id"],
                ", ".join(dict.fromkeys([row["catalogue"], *(copy["catalogue"] for copy in row["copies"])])),
            )
            for row in self.rows[:_SHOWN]
        ]
        count = f"{len(self)} scenes" + (", and more: .next()" if self.more else "")
        notes = "".join(f"<p>{html.escape(_shown(note))}</p>" for note in self._notes())
        return f"<p>{count}</p>{_table(head, rows)}{notes}"

    def _notes(self) -> list[str]:
        notes = [f"{name}: {error.message} {error.hint}" for name, error in self.errors.items()]
        notes += [f"{name} can't do: {', '.join(what)}" for name, what in self.ignored.items() if what]
        return notes + [f"{name}: {said}" for name, what in self.warnings.items() for said in what]

    def _sorted(self) -> list[Row]:
        return sorted(self._federation.folding.rows.values(), key=lambda row: row.order)

    async def _page(self) -> None:
        async with aclosing(self._federation.page(tuple(self.errors))) as events:
            async for event in events:
                name = event.get("catalogue", "")
                if event["event"] == "failed":
                    self.errors[name] = CatalogueError(**event["error"])
                elif event["event"] == "answered":
                    self.errors.pop(name, None)
                    self.ignored[name] = tuple(event["ignored"])
                    self.matched[name] = event["matched"]
                    if event["warnings"]:
                        known = self.warnings.get(name, ())
                        self.warnings[name] = tuple(dict.fromkeys((*known, *event["warnings"])))


def catalogues() -> Catalogues:
    """Give the catalogues that can be searched here.

    Raises
    ------
    CatalogueError
        When the settings can't be read.
    """
    return Catalogues(_here().catalogues())


def search(
    catalogues: str | Sequence[str] | None = None,
    *,
    collections: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    bbox: Sequence[float] | None = None,
    aoi: Any = None,
    datetime: str | None = None,
    filter: Mapping[str, Any] | str | None = None,  # noqa: A002 - as in pystac-client
    text: str | None = None,
    ids: str | Sequence[str] | None = None,
    sort: str | Sequence[str] | None = None,
    most: int = 100,
) -> Found:
    """Search catalogues, all at once.

    Parameters
    ----------
    catalogues
        Ids of catalogues, by default all of them; see `catalogues`.
    collections
        For all catalogues, or by catalogue.
    bbox
        West, south, east, north; west > east crosses the antimeridian.
    aoi
        GeoJSON, WKT, or anything with a ``__geo_interface__`` such as a shapely geometry or a GeoDataFrame.
    datetime
        ``2024-05``, ``2024-05-01/2024-06-15``, ``2024/..``; in UTC.
    filter
        CQL2 as text (``eo:cloud_cover < 20``) or JSON.
    text
        Words to look for.
    ids
        Names of items.
    sort
        Fields, with a - in front for the largest first; by default ``-properties.datetime``.
    most
        As many scenes as this are got at once; `Found.next` gets more.

    Returns
    -------
    Found
        With the errors of catalogues that failed in `Found.errors`.

    Raises
    ------
    InputError
        When what is asked for can't be.
    CatalogueError
        When every catalogue failed: the first one's error.
    """
    context = _here()
    chosen = _texts(catalogues) if catalogues is not None else [one.id for one in context.catalogues()]
    if catalogues is None and not chosen:
        raise InputError("no_catalogue", _NONE_HERE, _HOW_TO_ADD)
    query = _query(
        chosen, collections, bbox, aoi, datetime, filter, text=text, names=ids, sort=sort, most=most
    )
    return _runner.run(_search(context, chosen, query, most))


async def _search(context: Context, chosen: Sequence[str], query: Query, most: int) -> Found:
    found = Found(context.federation(chosen, query))
    await found._page()  # noqa: SLF001 - it is ours
    if found.errors and len(found.errors) == len(set(chosen)):
        raise next(iter(found.errors.values()))
    while len(found) < most and found.more and not found.errors:
        await found._page()  # noqa: SLF001
    return found


def _query(
    chosen: Sequence[str],
    collections: Any,
    bbox: Sequence[float] | None,
    aoi: Any,
    datetime: str | None,
    condition: Mapping[str, Any] | str | None,
    *,
    text: str | None,
    names: str | Sequence[str] | None,
    sort: str | Sequence[str] | None,
    most: int,
) -> Query:
    if bbox is not None and aoi is not None:
        raise InputError("bad_aoi", "bbox and aoi were both given.", "Leave one of them out.")
    if isinstance(collections, Mapping):
        by_catalogue = {name: names_of(_texts(listed), "collections") for name, listed in collections.items()}
    else:
        listed = names_of(_texts(collections), "collections") if collections is not None else ()
        by_catalogue = dict.fromkeys(chosen, listed) if listed else {}
    start, end = parse_interval(datetime) if datetime else (None, None)
    if most < 1:
        raise InputError("bad_query", "most is at least 1.", "Ask for one scene or more.")
    return Query(
        collections=by_catalogue,
        aoi=_outline(bbox, aoi),
        start=checked(start, end)[0],
        end=end,
        filter=cql2.from_text(condition)
        if isinstance(condition, str)
        else None
        if condition is None
        else cql2.check(dict(condition)),
        text=text or None,
        ids=names_of(_texts(names), "ids") if names is not None else (),
        sort=tuple(Sort(one.lstrip("+-"), one.startswith("-")) for one in _texts(sort))
        if sort
        else Query.sort,
        limit=min(most, MOST_PER_PAGE),
    )


def _outline(bbox: Sequence[float] | None, aoi: Any) -> dict[str, Any] | None:
    if bbox is not None:
        return outlines.box_aoi(bbox)
    if aoi is None:
        return None
    if isinstance(aoi, str):
        return outlines.parse_aoi(aoi)
    if hasattr(aoi, "__geo_interface__"):
        crs = getattr(aoi, "crs", None)
        if crs is not None and getattr(crs, "to_epsg", lambda: 4326)() != 4326:
            aoi = aoi.to_crs("EPSG:4326")
        aoi = aoi.__geo_interface__
    if isinstance(aoi, Mapping):
        return outlines.aoi_of(aoi)
    return outlines.box_aoi(aoi)


def _here() -> Context:
    """State of the search in this process, made when it is needed."""
    global _context  # noqa: PLW0603 - as one server has one, one kernel has one
    if _context is None:
        from jupyter_core.paths import jupyter_data_dir  # noqa: PLC0415

        _context = Context(settings.here(), Path.home(), Path(jupyter_data_dir()) / "cubehub-catalogue")
        atexit.unregister(_leave)
        atexit.register(_leave, os.getpid())
    return _context


def _leave(process: int) -> None:
    """Close what is open when the program ends, so that nothing complains of it; a forked child has none of it."""
    if _context is not None and os.getpid() == process:
        with suppress(Exception):
            _runner.run(_context.close(), _LEAVING_S)


def close() -> None:
    """Close all connections and forget the settings; the next search begins anew."""
    global _context  # noqa: PLW0603 - as above
    if _context is not None:
        _runner.run(_context.close())
        _context = None
    _runner.stop()


def _shown(text: str) -> str:
    """Give a text of a catalogue with nothing in it that moves a terminal's cursor, turns a line or can't be sent."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _texts(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_shown(str(cell)))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
