"""Read STAC files from folders into one consistent set of collections and items."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_stac.files import offered_assets
from cubehub_stac.repair import RefusedError, kept_links, repaired_item, without_markers
from cubehub_stac.visibility import is_reserved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cubehub_stac.files import FileFolder

log = logging.getLogger("cubehub_stac")

_DEPTH = 4
_MAX_BYTES = 20_000_000


@dataclass
class Contents:
    """What the catalogue offers: collections by id, items by (collection, id)."""

    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


def stac_files(sources: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """JSON files in `sources` (files or folders), sorted; folders of cubes (`*.zarr`, `*.levels`) are not entered."""
    for source in sources:
        path = Path(source)
        if path.is_dir():
            yield from _walk(path, _DEPTH)
        elif path.is_file():
            yield path


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        log.warning("%s can't be read: %s", folder, error.strerror)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file() and entry.name.endswith(".json"):
            yield Path(entry.path)
        elif depth and entry.is_dir() and not entry.name.endswith((".zarr", ".levels")):
            yield from _walk(Path(entry.path), depth - 1)


def fingerprint(sources: Iterable[str | os.PathLike[str]]) -> frozenset[tuple[str, int, int]]:
    """Name, change time and size of every source file: differs when one appears, changes or goes."""
    found = set()
    for path in stac_files(sources):
        try:
            status = path.stat()
        except OSError:
            continue
        found.add((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)


def read_contents(sources: Iterable[str | os.PathLike[str]], folders: Sequence[FileFolder] = ()) -> Contents:
    """Read, repair and join everything in `sources`; what can't be used is logged with its reason and left out.

    Relative links of assets lead to the files in `folders`; assets that lie elsewhere are left out.
    """
    contents = Contents()
    for path in stac_files(sources):
        for thing in _things(path):
            kind = thing.get("type")
            try:
                if kind in {"Feature", "Collection"}:
                    _check_free(thing.get("collection" if kind == "Feature" else "id"))
                if kind == "Feature":
                    item = _reachable(repaired_item(thing), path, folders)
                    contents.items[item["collection"], item["id"]] = item
                elif kind == "Collection":
                    collection = _reachable(_given(thing), path, folders)
                    contents.collections[collection["id"]] = collection
            except RefusedError as refusal:
                log.warning("left out %s (%s): %s", path, thing.get("id", "no id"), refusal)
    for collection_id in sorted({collection for collection, _ in contents.items}):
        if collection_id not in contents.collections:
            members = [item for (owner, _), item in contents.items.items() if owner == collection_id]
            contents.collections[collection_id] = derived_collection(collection_id, members)
    return contents


def _reachable(thing: dict[str, Any], path: Path, folders: Sequence[FileFolder]) -> dict[str, Any]:
    if not isinstance(thing.get("assets"), dict):
        return thing
    assets, left_out = offered_assets(thing["assets"], path, folders)
    if left_out:
        names = ", ".join(sorted(left_out))
        log.warning("%s: left out assets whose files are in no folder of 'files': %s", thing["id"], names)
    return {**thing, "assets": assets}


def _things(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            log.warning("left out %s: larger than %d bytes", path, _MAX_BYTES)
            return
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        log.warning("left out %s: %s", path, error)
        return
    if not isinstance(document, dict):
        return
    things = document.get("features", []) if document.get("type") == "FeatureCollection" else [document]
    yield from (thing for thing in things if isinstance(thing, dict))


def _check_free(collection: Any) -> None:
    if isinstance(collection, str) and is_reserved(collection):
        raise RefusedError(
            f"its collection {collection!r} is kept for items that are not for everybody; give it another name"
        )


def _given(collection: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(collection.get("id"), str) or not collection["id"] or "/" in collection["id"]:
        raise RefusedError("its 'id' is missing or no plain name")
    extent = collection.get("extent")
    try:
        complete = bool(extent["spatial"]["bbox"][0]) and bool(extent["temporal"]["interval"][0])
    except (TypeError, KeyError, IndexError):
        complete = False
    if not complete:
        raise RefusedError("its extent is missing")
    return {
        **without_markers(collection),
        "type": "Collection",
        "stac_version": collection.get("stac_version", "1.0.0"),
        "description": collection.get("description") or collection["id"],
        "license": collection.get("license") or "other",
        "links": kept_links(collection),
    }


def derived_collection(collection_id: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe items whose collection nobody described: extent, licence, providers as the items give them."""
    wests, souths, easts, norths = zip(*(_plain_box(item["bbox"]) for item in items), strict=True)
    times = sorted(
        time
        for item in items
        for key in ("datetime", "start_datetime", "end_datetime")
        if (time := item["properties"].get(key))
    )
    first = items[0]["properties"]
    licences = {item["properties"].get("license") for item in items}
    collection: dict[str, Any] = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": collection_id,
        "title": _title(collection_id),
        "description": f"Items of {collection_id} offered by this platform.",
        "license": (licences.pop() if len(licences) == 1 else None) or "other",
        "extent": {
            "spatial": {"bbox": [[min(wests), min(souths), max(easts), max(norths)]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [],
    }
    for key in ("providers", "attribution"):
        if first.get(key):
            collection[key] = first[key]
    return collection


def _title(collection_id: str) -> str:
    words = collection_id.replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def _plain_box(bbox: list[float]) -> list[float]:
    """Widen a box over the antimeridian to the whole circle, so that a minimum over boxes stays true."""
    west, south, east, north = bbox
    return bbox if west <= east else [-180.0, south, 180.0, north]


def queryables(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """JSON Schema properties of the items: what can be filtered and sorted by, with its type."""
    found: dict[str, Any] = {}
    for item in items:
        for name, value in item["properties"].items():
            kind = _kind(name, value)
            if kind is None or name == "datetime":
                continue
            known = found.get(name)
            if known and known["type"] != kind["type"]:
                kind = {"type": "string"}
            found[name] = {"title": name, **kind}
    return found


def _kind(name: str, value: Any) -> dict[str, str] | None:
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "number"}
    if isinstance(value, str):
        dated = name.endswith("datetime") or name in {"created", "updated", "published", "expires"}
        return {"type": "string", "format": "date-time"} if dated else {"type": "string"}
    return None
