"""Items that people register: each is kept in a file of its own, which names the account it belongs to."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub_stac.own_checks import check, moment_of
from cubehub_stac.own_files import file_of, put, stamps
from cubehub_stac.repair import RefusedError
from cubehub_stac.sources import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from cubehub_stac.own_files import Stamp

log = logging.getLogger("cubehub_stac")

_LONGEST_TITLE = 200
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """An item that somebody registered."""

    collection: str
    """The one it is kept in, which says who sees it."""
    item_id: str
    owner_id: str
    """Account that registered it."""
    owner_name: str
    group: str | None
    registered: str
    item: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Collection and id."""
        return self.collection, self.item_id

    def entry(self) -> Entry:
        """What is remembered of it."""
        properties = self.item["properties"]
        given = [
            moment_of(key, properties[key])
            for key in ("datetime", "start_datetime", "end_datetime")
            if properties.get(key)
        ]
        return Entry(
            self.collection, self.item_id, self.owner_id, self.owner_name, self.group, self.registered,
            str(properties.get("title") or self.item_id)[:_LONGEST_TITLE], len(self.encode()), tuple(self.item["bbox"]),
            min(given), max(given),
        )  # fmt: skip

    def encode(self) -> bytes:
        """As it is written."""
        kept = {
            "version": _VERSION,
            "owner_id": self.owner_id,
            "owner_name": self.owner_name,
            "group": self.group,
            "registered": self.registered,
            "item": self.item,
        }
        return json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()


@dataclass(frozen=True)
class Entry:
    """What is remembered of an item; the item itself stays in its file."""

    collection: str
    item_id: str
    owner_id: str
    owner_name: str
    group: str | None
    registered: str
    title: str
    size: int
    bbox: tuple[float, ...]
    first: datetime
    last: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Collection and id."""
        return self.collection, self.item_id


def described(entries: Sequence[Entry]) -> dict[str, Any]:
    """Describe a collection by what is in it, which is at least one item."""
    head = entries[0]
    title = f"Items of the group {head.group}" if head.group else f"Items of {head.owner_name}"
    boxes = [e.bbox if e.bbox[0] <= e.bbox[2] else (-180.0, e.bbox[1], 180.0, e.bbox[3]) for e in entries]
    wests, souths, easts, norths = zip(*boxes, strict=True)
    first, last = text_of(min(e.first for e in entries)), text_of(max(e.last for e in entries))
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": head.collection,
        "title": title,
        "description": title,
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[min(wests), min(souths), max(easts), max(norths)]]},
            "temporal": {"interval": [[first, last]]},
        },
        "links": [],
    }


def write(folder: Path, record: Record) -> None:
    """Keep a record; it is there whole or not at all, also after a crash."""
    target = file_of(folder, *record.key)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    put(target, record.encode())


def records(folder: Path) -> Iterator[Record]:
    """Read all that is kept; what can't be used is named in the log, left out, and left where it is."""
    yield from _readable(sorted(folder.glob("*/*.json")))


def changed(folder: Path, before: Mapping[Path, Stamp]) -> tuple[dict[Path, Stamp], list[Record]]:
    """Give the stamps of now, and the records in files that are not as they were before."""
    now = stamps(folder)
    return now, list(_readable(sorted(path for path, stamp in now.items() if before.get(path) != stamp)))


def _readable(paths: Iterable[Path]) -> Iterator[Record]:
    for path in paths:
        try:
            yield _read(path)
        except FileNotFoundError:
            continue
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            RefusedError,
        ) as error:
            log.warning("left out %s: %s", path, error)


def _read(path: Path) -> Record:
    kept = json.loads(path.read_bytes())
    if kept["version"] != _VERSION:
        raise ValueError(f"it is of version {kept['version']}")
    item = kept["item"]
    check(item)  # put right it was before it was kept
    record = Record(
        item["collection"], item["id"], kept["owner_id"], kept["owner_name"], kept["group"],
        kept["registered"], item,
    )  # fmt: skip
    if not record.owner_id or path != file_of(path.parent.parent, *record.key):
        raise ValueError("it is not the file of the item that it holds")
    return record


def text_of(moment: datetime) -> str:
    """Write a time as STAC has it."""
    return moment.isoformat().replace("+00:00", "Z")


def read(folder: Path, entry: Entry) -> Record | None:
    """Read a record again; None when it is gone or can't be used any more."""
    path = file_of(folder, *entry.key)
    return next(_readable([path]), None)


def contents_of(kept: Iterable[Record]) -> Contents:
    """Join records to what the catalogue offers."""
    contents = Contents()
    entries: dict[str, list[Entry]] = {}
    for record in kept:
        contents.items[record.key] = record.item
        entries.setdefault(record.collection, []).append(record.entry())
    for collection, members in entries.items():
        contents.collections[collection] = described(members)
    return contents
