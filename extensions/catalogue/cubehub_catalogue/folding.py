"""The same scene from several providers, folded into one row with its copies."""

from __future__ import annotations

import marshal
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import shape

from cubehub_catalogue.reserved import is_reserved
from cubehub_catalogue.rows import Order, row_of
from cubehub_catalogue.scenes import Scene, plain, scene_of, weak_key

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cubehub_catalogue.query import Item

_SAME_SCENE, _SAME_OUTLINE = 0.8, 0.9
"""Least share of the smaller outline that two of one scene have in common (providers draw them differently), and
least share of both together where only time and platform say that they are the same."""


_MOST_OF_KEY, _MOST_COMPARED, _MOST_CORNERS, _MOST_IN_ROW = 400, 40, 2_000, 50
"""Rows of one scene or second that are remembered, that an item's outline is compared with, corners of an outline, and
items of one row.
Tiles of a second are hundreds but lie apart. More there are where somebody wants the comparing to take minutes; such
items stay rows of their own."""


@dataclass
class Entry:
    """An item as one catalogue gave it."""

    key: str
    catalogue: str
    shown: dict[str, Any]
    """What a list shows of it."""
    scene: Scene | None
    _item: Item | bytes
    box: tuple[float, float, float, float] | None
    """Around its outline; None where that is not known."""

    @property
    def version(self) -> str | None:
        """How it was processed; None where it does not say."""
        return self.scene.version if self.scene else None

    @property
    def rank(self) -> str:
        """Of two versions the better one sorts after."""
        return self.scene.rank if self.scene else ""

    @property
    def item(self) -> Item:
        """The whole STAC item."""
        if isinstance(self._item, bytes):
            found: Item = marshal.loads(zlib.decompress(self._item))  # noqa: S302 - packed by us, in this process
            return found
        return self._item

    def pack(self) -> None:
        """Keep it in a tenth of the memory; thousands of them may be kept for as long as a search is open."""
        if not isinstance(self._item, bytes):
            self._item = zlib.compress(marshal.dumps(self._item), 1)


@dataclass
class Row:
    """One scene, and all who offer it."""

    key: str
    order: Order
    """Of the one that came first: a row does not move when it gets a copy."""
    entries: list[Entry] = field(default_factory=list)
    """The one that is shown comes first."""

    def to_dict(self) -> dict[str, Any]:
        """Give the row as the browser reads it."""
        first = self.entries[0]
        return {
            "key": self.key,
            "order": list(self.order),
            "catalogue": first.catalogue,
            **first.shown,
            "version": first.version,
            "copies": [copy_of(entry, first) for entry in self.entries[1:]],
        }


def copy_of(entry: Entry, first: Entry) -> dict[str, Any]:
    """Give what is said of a copy of what is shown.

    Where `version` differs it is the scene processed otherwise, not the same data; `earlier` where it was before.
    """
    shown, one, other = entry.shown, entry.scene, first.scene
    same = (
        one is not None
        and other is not None
        and one.mark
        and (one.mark, one.form) == (other.mark, other.form)
    )
    return {
        "key": entry.key,
        "catalogue": entry.catalogue,
        "collection": shown["collection"],
        "collection_title": shown["collection_title"],
        "id": shown["id"],
        "version": first.version if same else entry.version,
        "earlier": one is not None and other is not None and one.is_earlier_than(other),
    }


_Key = tuple[str, ...]


class Folding:
    """All rows of a search.

    Parameters
    ----------
    catalogues
        Their ids, the preferred ones first.
    platform
        Those of the platform itself: elsewhere a collection that is called ``own.…`` is nobody's own.

    Notes
    -----
    Two processing baselines of one scene are not the same data, but nobody wants to load both: they are one row, the
    newest is shown, and the others stand among its copies with their version. Of the same version, the catalogue
    that comes first in the list is shown. One catalogue's collection never has an item twice, so two of its items
    that say the same scene and version are two parts of it and stay two rows.
    """

    def __init__(self, catalogues: Sequence[str], platform: Collection[str] = ()) -> None:
        self._platform = frozenset(platform)
        self._preferred = {name: number for number, name in enumerate(catalogues)}
        self.rows: dict[str, Row] = {}
        self._entries: dict[str, Entry] = {}
        self._index: dict[_Key, dict[str, Row]] = {}
        self._seen: dict[tuple[str, Any, str], Row] = {}
        self._to_pack: list[Entry] = []

    @property
    def kept(self) -> int:
        """Number of items, copies among them."""
        return len(self._entries)

    def add(self, catalogue: str, item: Item, order: Order) -> Row | None:
        """Put an item into a new row, or into that of the same scene; None where it was there already.

        Parameters
        ----------
        catalogue
            Who gave it.
        item
            The STAC item.
        order
            Where a new row stands.
        """
        shown = row_of(item)
        if catalogue not in self._platform:
            shown["collection_title"] = None
        name = (catalogue, shown["collection"], shown["id"])
        if name in self._seen:
            return None  # pages overlap while a catalogue gets new items
        scene = scene_of(item)
        entry = Entry(
            f"i{len(self._entries)}",
            catalogue,
            shown,
            scene,
            item,
            _box(shown["footprint"]),
        )
        self._entries[entry.key] = entry
        self._to_pack.append(entry)
        keys = _keys(item, scene)
        row = self._same(entry, scene, keys)
        if row is None:
            row = Row(f"r{len(self.rows)}", order)
            self.rows[row.key] = row
        row.entries.append(entry)
        ranks = _ranks(row.entries)
        row.entries = sorted(row.entries, key=lambda one: self._preference(one, ranks))
        for key in keys:
            listed = self._index.setdefault(key, {})
            if len(listed) < _MOST_OF_KEY:
                listed[row.key] = row
        self._seen[name] = row
        return row

    def entry(self, key: str) -> tuple[Entry, list[Entry]] | None:
        """Give what a row shows, or one copy, and the others of its row; None where there is no such key."""
        if (row := self.rows.get(key)) is not None:
            return row.entries[0], row.entries[1:]
        found = self._entries.get(key)
        if found is None:
            return None
        row = self._seen[found.catalogue, found.shown["collection"], found.shown["id"]]
        return found, [entry for entry in row.entries if entry is not found]

    def pack(self) -> None:
        """Keep what has come so far in little memory."""
        for entry in self._to_pack:
            entry.pack()
        self._to_pack.clear()

    def _same(self, entry: Entry, scene: Scene | None, keys: Sequence[_Key]) -> Row | None:
        """Row of the same scene, where there is one already."""
        compared = 0
        for key in keys:
            for row in self._index.get(key, {}).values():
                if len(row.entries) >= _MOST_IN_ROW:
                    continue
                may = _may_be_copy(entry, row) if scene is not None else _may_be_same(entry, row, key)
                if not may or _apart(entry.box, row.entries[0].box):
                    continue
                if _overlap(row.entries[0].shown, entry.shown, of_smaller=scene is not None) >= (
                    _SAME_SCENE if scene is not None else _SAME_OUTLINE
                ):
                    return row
                compared += 1
                if compared >= _MOST_COMPARED:
                    return None
        return None

    def _preference(self, entry: Entry, ranks: Mapping[_Key, str]) -> tuple[Any, ...]:
        rank = ranks.get(_product(entry), entry.rank)
        turned = tuple(-ord(character) for character in rank) or (0,)
        return turned, self._preferred.get(entry.catalogue, len(self._preferred)), int(entry.key[1:])


def _product(entry: Entry) -> _Key:
    """Give what tells a product from others of its scene, whoever offers it; () where that is not known."""
    return (entry.scene.mark, entry.scene.form) if entry.scene is not None and entry.scene.mark else ()


def _ranks(entries: Sequence[Entry]) -> dict[_Key, str]:
    """Give the best rank of each product: of one some providers tell when its processing began, others when it ended."""
    found: dict[_Key, str] = {}
    for entry in entries:
        if product := _product(entry):
            found[product] = max(found.get(product, ""), entry.rank)
    return found


def _keys(item: Item, scene: Scene | None) -> list[_Key]:
    if scene is not None:
        return [scene.key]
    weak = weak_key(item)
    return [("id", item["id"]), *([weak] if weak is not None else [])]


def _may_be_copy(entry: Entry, row: Row) -> bool:
    """Tell whether an item of the row's scene is no other part of it: the same version in one collection."""
    return not any(
        other.catalogue == entry.catalogue
        and other.shown["collection"] == entry.shown["collection"]
        and other.version == entry.version
        and (other.scene is None or entry.scene is None or other.scene.form == entry.scene.form)
        for other in row.entries
    )


def _may_be_same(entry: Entry, row: Row, key: _Key) -> bool:
    """Tell whether an item whose name says nothing may be what another catalogue shows in a row."""
    shown = row.entries[0].shown
    return (
        all(other.catalogue != entry.catalogue or _is_shared(entry, other) for other in row.entries)
        and _same_time(shown, entry.shown)
        and (key[0] != "id" or _same_kind(shown, entry.shown))
    )


def _is_shared(one: Entry, other: Entry) -> bool:
    """Tell whether two items are what a person published for a group: it is in their own collection, and in the group's."""
    mine, theirs = one.shown["collection"], other.shown["collection"]
    return (
        one.shown["id"] == other.shown["id"]
        and mine != theirs
        and is_reserved(mine)
        and is_reserved(theirs)
        and _addresses(one.item) == _addresses(other.item)
    )


def _addresses(item: Item) -> dict[str, Any]:
    return {name: asset.get("href") for name, asset in item["assets"].items()}


def _box(footprint: dict[str, Any] | None) -> tuple[float, float, float, float] | None:
    try:
        box = shape(footprint).bounds if footprint is not None else None
    except (ValueError, TypeError, shapely.errors.ShapelyError):
        return None
    return (box[0], box[1], box[2], box[3]) if box else None


def _apart(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    """Tell, at no cost, whether two outlines have nothing in common."""
    if one is None or other is None:
        return False
    return one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


def _same_time(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether both are of the same second; providers round differently."""
    return bool((one["start"] or "")[:19] == (other["start"] or "")[:19])


def _same_kind(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether nothing speaks against two items of the same name being the same."""
    return not (one["platform"] and other["platform"]) or plain(one["platform"]) == plain(other["platform"])


def _overlap(one: dict[str, Any], other: dict[str, Any], *, of_smaller: bool) -> float:
    """Share that two outlines have in common; 1 where one of them is not known."""
    if one["footprint"] is None or other["footprint"] is None:
        return 1.0
    try:
        first, second = _outline(one["footprint"]), _outline(other["footprint"])
        if first.equals(second):
            return 1.0
        common = shapely.intersection(first, second).area
        whole = min(first.area, second.area) if of_smaller else shapely.union(first, second).area
    except (ValueError, shapely.errors.ShapelyError):
        return 0.0
    return float(common / whole) if whole else 0.0


def _outline(footprint: dict[str, Any]) -> Any:
    found = shape(footprint)
    if shapely.get_num_coordinates(found) > _MOST_CORNERS:
        return found.convex_hull
    return shapely.make_valid(found)
