"""What OpenSearch services answer, as STAC items: GeoJSON (OGC 17-047 and resto), and Atom in opensearch_atom.py."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.errors import UpstreamError
from cubehub_catalogue.sources.records import (
    MOST_RECORDS,
    BadRecordError,
    checksum,
    instant,
    link,
    make_item,
    number,
    stamp,
    text,
    to_shape,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cubehub_catalogue.query import Item

STRINGS = {
    "productType": "product:type",
    "processingLevel": "processing:level",
    "processorVersion": "processing:version",
    "processingCenter": "processing:facility",
    "sensorMode": "sar:instrument_mode",
    "operationalMode": "sar:instrument_mode",
    "title": "title",
    "abstract": "description",
}
LOWER = {"platform": "platform", "platformShortName": "platform", "orbitDirection": "sat:orbit_state"}
NUMBERS = {
    "cloudCover": "eo:cloud_cover",
    "snowCover": "eo:snow_cover",
    "orbitNumber": "sat:absolute_orbit",
    "relativeOrbitNumber": "sat:relative_orbit",
    "resolution": "gsd",
}
INSTRUMENTS = ("instrument", "instrumentShortName")
STARTS = ("beginningDateTime", "beginPosition", "startDate", "dtstart", "start", "sensingStartDate")
ENDS = ("endingDateTime", "endPosition", "completionDate", "dtend", "end", "sensingStopDate")
MOMENTS = {"updated": "updated", "published": "published"}


@dataclass
class Answered:
    """One answer."""

    items: list[Item] = field(default_factory=list)
    skipped: int = 0
    following: str | None = None
    """Address of the following page, where the answer says one."""
    total: int | None = None
    per_page: int | None = None


def read_geojson(written: str, url: str, collection: str | None) -> Answered:
    """Read an answer that is GeoJSON.

    Raises
    ------
    UpstreamError
        It is none.
    """
    try:
        answer = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise no_answer("it is neither XML nor JSON") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("features"), list):
        raise no_answer("it has no list `features`")
    features = answer["features"]
    made = Answered(skipped=max(0, len(features) - MOST_RECORDS))
    for one in features[:MOST_RECORDS]:
        try:
            made.items.append(_item(one, url, collection))
        except BadRecordError:
            made.skipped += 1
    about = answer.get("properties")
    about = {**answer, **about} if isinstance(about, dict) else answer
    made.total, made.per_page = whole(about.get("totalResults")), whole(about.get("itemsPerPage"))
    made.following = next(iter(_hrefs(about.get("links"), "next")), None)
    return made


def whole(value: object) -> int | None:
    """Give a count."""
    found = number(value)
    return int(found) if found is not None and 0 <= found < 1e12 else None


def no_answer(why: str) -> UpstreamError:
    """Make the error for an answer that is no feed."""
    return UpstreamError(
        "bad_answer",
        f"The catalogue's answer can't be used: {why}.",
        "Try again; tell whoever runs the catalogue.",
    )


def _hrefs(links: object, relation: str) -> Iterator[str]:
    """Links stand in a list with their relation (resto), or in lists by relation (OGC 17-047)."""
    listed: Iterable[Any] = ()
    if isinstance(links, list):
        listed = [one for one in links if isinstance(one, dict) and one.get("rel") == relation]
    elif isinstance(links, dict) and isinstance(links.get(relation), list):
        listed = links[relation]
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("href"), str):
            yield one["href"]


def _item(feature: object, url: str, collection: str | None) -> Item:
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        raise BadRecordError("record")
    properties = feature["properties"]
    flat = _flat(properties)
    start, end = period(flat)
    made = described(flat)
    assets = _assets(properties, flat, url)
    name = flat.get("productIdentifier") if "startDate" in flat else None  # resto: a path on its own disk
    name = (
        str(name).rpartition("/")[2] if isinstance(name, str) else flat.get("identifier") or feature.get("id")
    )
    return make_item(
        str(name).removesuffix(".SAFE").removesuffix(".SEN3") if name else None,
        to_shape(feature.get("geometry")),
        start,
        end,
        made,
        assets,
        [
            {"rel": "self", "href": href}
            for href in list(_hrefs(properties.get("links"), "self"))[:1]
            if link(href, url)
        ],
        text(flat.get("parentIdentifier")) or text(flat.get("collection")) or collection,
    )


def _flat(properties: dict[str, Any]) -> dict[str, Any]:
    """Bring what stands in parts of OGC 17-047 to one level; what is outside wins."""
    found: dict[str, Any] = {}
    todo: list[tuple[Any, int]] = [(properties, 0)]
    while todo and len(found) < 500:
        value, depth = todo.pop(0)
        if isinstance(value, list):
            todo += [(one, depth) for one in value[:5]]
        elif isinstance(value, dict):
            for key, inner in list(value.items())[:200]:
                if isinstance(inner, dict | list):
                    if depth < 5 and key not in {"links", "services", "keywords"}:
                        todo.append((inner, depth + 1))
                else:
                    found.setdefault(str(key)[:100], inner)
    return found


def period(flat: dict[str, Any]) -> tuple[Any, Any]:
    """Give beginning and end, from the names that dialects have for them or from ``date: begin/end``."""
    start = next((found for name in STARTS if (found := instant(flat.get(name)))), None)
    end = next((found for name in ENDS if (found := instant(flat.get(name), end=True))), None)
    if start is None and isinstance(flat.get("date"), str):
        first, _, last = flat["date"].partition("/")
        start, end = instant(first), instant(last or first, end=True)
    return start, end


def described(flat: dict[str, Any]) -> dict[str, Any]:
    """Give STAC's properties."""
    found: dict[str, Any] = {}
    for name, key in STRINGS.items():
        found[key] = found.get(key) or text(flat.get(name))
    for name, key in LOWER.items():
        found[key] = found.get(key) or (text(flat.get(name)) or "").lower() or None
    for name, key in NUMBERS.items():
        found[key] = number(flat.get(name))
    for name, key in MOMENTS.items():
        moment = instant(flat.get(name))
        found[key] = stamp(moment) if moment else None
    serial = (text(flat.get("platformSerialIdentifier")) or "").lower()
    if found["platform"] and not found["platform"].endswith(serial):
        found["platform"] += serial
    cover = found["eo:cloud_cover"]
    if cover is not None and not 0 <= cover <= 100:  # resto writes -1 for "not known"
        del found["eo:cloud_cover"]
    instrument = next((value for name in INSTRUMENTS if (value := text(flat.get(name)))), None)
    found["instruments"] = [instrument.lower()] if instrument else None
    return found


def _assets(properties: dict[str, Any], flat: dict[str, Any], url: str) -> dict[str, dict[str, Any]]:
    assets: dict[str, dict[str, Any]] = {}
    links = properties.get("links")
    if isinstance(links, dict):
        for relation, key, roles in (
            ("data", "product", ["data"]),
            ("previews", "quicklook", ["overview", "thumbnail"]),
        ):
            listed = links.get(relation)
            for place, one in enumerate(listed[:50] if isinstance(listed, list) else ()):
                if isinstance(one, dict):
                    _add(assets, key if place == 0 else f"{key}-{place + 1}", one, roles, url)
    services = properties.get("services")
    download = services.get("download") if isinstance(services, dict) else None
    if isinstance(download, dict):
        _add(
            assets,
            "product",
            {**download, "href": download.get("url"), "type": download.get("mimeType")},
            ["data"],
            url,
        )
    for name, roles in (("quicklook", ["overview"]), ("thumbnail", ["thumbnail"])):
        _add(assets, name, {"href": properties.get(name), "type": "image/jpeg"}, roles, url)
    digest = checksum([("MD5", flat.get("md5"))])
    if digest and "product" in assets:
        assets["product"]["file:checksum"] = digest
    return assets


def _add(
    assets: dict[str, dict[str, Any]], key: str, found: dict[str, Any], roles: list[str], url: str
) -> None:
    href = link(found.get("href"), url)
    if href is None or key in assets:
        return
    kind = text(found.get("mediaType")) or text(found.get("type"))
    asset = {
        "href": href,
        "roles": roles,
        "type": kind if kind and "/" in kind else None,
        "title": text(found.get("title")),
        "file:size": whole(found.get("length")) or whole(found.get("size")) or None,
    }
    assets[key] = {name: value for name, value in asset.items() if value is not None}
