"""Own items as a catalogue that needs no server: a ZIP of JSON files with relative links, as PySTAC reads and writes them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import IO, TYPE_CHECKING, Any

from cubehub_stac.own_items import described
from cubehub_stac.visibility import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub_stac.own import Registry

_LONGEST = 100
_JSON, _GEOJSON = "application/json", "application/geo+json"


def write_zip(
    file: IO[bytes], name: str, registry: Registry, collections: Iterable[str], public_url: str
) -> None:
    """Write the catalogue of one person.

    Parameters
    ----------
    file
        To write to.
    name : str
        Of the person.
    registry
        Has the items.
    collections : iterable of str
        Ids of those that are written, but for empty ones.
    public_url : str
        Address of the platform: what an item names relative to it is absolute in the file.
    """
    title = f"Items of {name}"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        links = [_link("root", "./catalog.json", _JSON)]
        for collection in collections:
            folder = _plain(collection)
            if _write_collection(archive, folder, collection, registry, public_url):
                links.append(_link("child", f"./{folder}/collection.json", _JSON))
        root = {
            "type": "Catalog", "stac_version": "1.0.0", "id": "cubehub-own", "title": title, "description": title,
            "links": links,
        }  # fmt: skip
        _write(archive, "catalog.json", root)


def _write_collection(
    archive: zipfile.ZipFile, folder: str, collection: str, registry: Registry, public_url: str
) -> bool:
    links = [_link("root", "../catalog.json", _JSON), _link("parent", "../catalog.json", _JSON)]
    written = []
    for entry in registry.within(collection):
        # one after the other: a group's may be many
        if (record := registry.read(entry)) is None:
            continue
        written.append(entry)
        path = f"items/{_plain(record.item_id)}.json"
        links.append(_link("item", f"./{path}", _GEOJSON))
        item = _absolute(record.item, public_url)
        own = [
            _link("root", "../../catalog.json", _JSON),
            _link("parent", "../collection.json", _JSON),
            _link("collection", "../collection.json", _JSON),
        ]
        _write(archive, f"{folder}/{path}", {**item, "links": [*own, *item["links"]]})
    if written:
        _write(archive, f"{folder}/collection.json", {**described(written), "links": links})
    return bool(written)


def _absolute(item: dict[str, Any], public_url: str) -> dict[str, Any]:
    assets = {
        name: {**asset, "href": public_url + asset["href"]}
        if asset["href"].startswith("/services/")
        else asset
        for name, asset in item["assets"].items()
    }
    return {**item, "assets": assets}


def _link(rel: str, href: str, kind: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind}


def _plain(name: str) -> str:
    """Name of a file, whatever the name of the item."""
    plain = escape(name)
    return plain if len(plain) <= _LONGEST else "_" + hashlib.sha256(name.encode()).hexdigest()[:40]


def _write(archive: zipfile.ZipFile, path: str, document: dict[str, Any]) -> None:
    archive.writestr(path, json.dumps(document, ensure_ascii=False, indent=1))
