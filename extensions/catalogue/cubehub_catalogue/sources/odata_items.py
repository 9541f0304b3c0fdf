"""Products of the Copernicus dialect of OData as STAC items."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cubehub_catalogue.sources.odata_attributes import PLATFORM, SUFFIXES, property_of
from cubehub_catalogue.sources.records import (
    BadRecordError,
    checksum,
    from_wkt,
    instant,
    link,
    make_item,
    number,
    stamp,
    text,
    to_shape,
)

if TYPE_CHECKING:
    import shapely

    from cubehub_catalogue.query import Item

_SHAPE_OF_ID = re.compile(r"[0-9A-Za-z._-]{1,100}")
_DOWNLOADS = {"catalogue.dataspace.copernicus.eu": "download.dataspace.copernicus.eu"}
"""Where the files are, when the catalogue's own address would only send one on (and lose the log-in)."""


def item_of(record: object, root: str, collection: str | None) -> Item:
    """Make an item of a product.

    Parameters
    ----------
    record
        As in ``value`` of the answer, with ``Attributes`` and ``Assets`` expanded.
    root
        The service's root, without a slash at its end.
    collection
        The collection that was asked for, where it was one; otherwise the attributes tell it.

    Raises
    ------
    BadRecordError
        It has no id, no name or no time, or its footprint can't be one.
    """
    if not isinstance(record, dict):
        raise BadRecordError("record")
    id_, name = record.get("Id"), text(record.get("Name"))
    if not isinstance(id_, str) or not _SHAPE_OF_ID.fullmatch(id_) or name is None:
        raise BadRecordError("id")
    dates = record.get("ContentDate")
    dates = dates if isinstance(dates, dict) else {}
    properties = _properties(record)
    collection = collection or _family(properties)
    here = f"{root}/Products({id_})"
    links = [{"rel": "self", "href": here, "type": "application/json"}]
    if collection:
        target = f"{root}/Attributes({quote(collection, safe='')})"
        links.append({"rel": "collection", "href": target, "type": "application/json"})
    return make_item(
        _without_suffix(name),
        _footprint(record),
        instant(dates.get("Start")),
        instant(dates.get("End")),
        properties,
        _assets(record, name, root, id_),
        links,
        collection,
    )


def _without_suffix(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _footprint(record: dict[str, Any]) -> shapely.Geometry | None:
    """Auxiliary files have none; that is right, and they have their place in a catalogue."""
    made = to_shape(record.get("GeoFootprint"))
    written = record.get("Footprint")
    if made is None and isinstance(written, str):
        inner = re.fullmatch(r"geography'(?:SRID=4326;)?(.+)'", written.strip(), re.DOTALL)
        made = from_wkt(inner[1] if inner else written)
    return made


def _properties(record: dict[str, Any]) -> dict[str, Any]:
    listed = record.get("Attributes")
    found: dict[str, Any] = {"title": text(record.get("Name"))}
    raw: dict[str, Any] = {}
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(one.get("Name"), str) and len(one["Name"]) <= 64:
            value = _value(one.get("Value"), str(one.get("ValueType")))
            if value is not None and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", one["Name"]):
                raw.setdefault(one["Name"], value)
    for name, value in raw.items():
        key, known = property_of(name)
        if known is None:
            found[key] = value
        elif known.kind in {"Integer", "Double"}:
            found[key] = number(value)
        else:
            written = str(value)
            found[key] = known.prefix + (written.lower() if known.lower else written)
    _join(found, raw)
    for key, field in (
        ("created", "OriginDate"),
        ("published", "PublicationDate"),
        ("updated", "ModificationDate"),
    ):
        moment = instant(record.get(field))
        found[key] = stamp(moment) if moment else None
    if isinstance(record.get("Online"), bool):
        found["order:status"] = "succeeded" if record["Online"] else "orderable"
    return found


def _value(value: object, kind: str) -> Any:
    if kind == "Boolean" and isinstance(value, bool):
        return value
    if kind in {"Integer", "Double"}:
        return number(value)
    if kind == "DateTimeOffset":
        moment = instant(value)
        return stamp(moment) if moment else None
    return text(value)


def _join(found: dict[str, Any], raw: dict[str, Any]) -> None:
    """Properties that are made of several attributes, or of a part of one."""
    short, serial = (
        str(raw.get("platformShortName") or "").lower(),
        str(raw.get("platformSerialIdentifier") or ""),
    )
    if PLATFORM.fullmatch(short + serial.lower()):
        found["platform"] = short + serial.lower()
    elif short:
        found["platform"] = short
    if raw.get("instrumentShortName"):
        found["instruments"] = [str(raw["instrumentShortName"]).lower()]
    channels = [one for one in re.split(r"[&, ]+", str(raw.get("polarisationChannels") or "")) if one]
    if channels:
        found["sar:polarizations"] = channels


def _family(properties: dict[str, Any]) -> str | None:
    constellation = properties.get("constellation")
    return constellation.upper() if isinstance(constellation, str) else None


def _assets(record: dict[str, Any], name: str, root: str, id_: str) -> dict[str, dict[str, Any]]:
    kind = text(record.get("ContentType")) or "application/octet-stream"
    if kind == "application/octet-stream" and name.endswith(SUFFIXES):
        kind = "application/zip"  # folders come packed
    host = urlsplit(root).netloc
    product: dict[str, Any] = {
        "href": f"{root.replace(host, _DOWNLOADS.get(host, host), 1)}/Products({id_})/$value",
        "type": kind,
        "title": name,
        "roles": ["data", "archive"] if kind == "application/zip" else ["data"],
    }
    size = number(record.get("ContentLength"))
    if isinstance(size, int) and size > 0:
        product["file:size"] = size
    sums = record.get("Checksum")
    pairs = (
        [(one.get("Algorithm"), one.get("Value")) for one in sums or () if isinstance(one, dict)]
        if isinstance(sums, list)
        else []
    )
    found = checksum(pairs)
    if found:
        product["file:checksum"] = found
    path = text(record.get("S3Path"))
    if path and path.startswith("/"):
        product["alternate"] = {"s3": {"href": f"s3:/{path}"}}
    return {"product": product} | _pictures(record.get("Assets"), root)


def _pictures(listed: object, root: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or str(one.get("Type")).upper() != "QUICKLOOK":
            continue
        href = link(one.get("DownloadLink"), root + "/")
        if href:
            found.setdefault(
                "quicklook",
                {
                    "href": href,
                    "type": "image/jpeg",
                    "title": "Quicklook",
                    "roles": ["overview", "thumbnail"],
                },
            )
    return found
