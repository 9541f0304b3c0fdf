"""Atom feeds with GeoRSS, GML and Earth-observation elements as STAC items.

References
----------
OGC 10-032r8, OGC 13-026r8; GeoRSS 1.1: pairs are latitude, longitude. GML 3: so too, unless ``srsName`` is CRS84.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import shapely

from cubehub_catalogue.sources.opensearch_answers import Answered, described, no_answer, period, whole
from cubehub_catalogue.sources.opensearch_xml import ATOM, local, namespace, parse
from cubehub_catalogue.sources.records import MOST_RECORDS, BadRecordError, link, make_item, on_earth, text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from cubehub_catalogue.query import Item

_MOST_ELEMENTS = 5000
_MOST_MENDED = 80
_MOST_PARTS = 200
_KINDS = {"QUICKLOOK": ("quicklook", ["overview"]), "THUMBNAIL": ("thumbnail", ["thumbnail"])}


def read_atom(written: str, url: str, collection: str | None) -> Answered:
    """Read an answer that is an Atom feed.

    Raises
    ------
    UpstreamError
        It is none.
    """
    root, _ = parse(written)
    if root.tag != f"{ATOM}feed":
        raise no_answer(f"it is <{local(root)[:40]}>, not an Atom feed")
    entries = root.findall(f"{ATOM}entry")
    made = Answered(skipped=max(0, len(entries) - MOST_RECORDS))
    for entry in entries[:MOST_RECORDS]:
        try:
            made.items.append(_item(entry, url, collection))
        except BadRecordError:
            made.skipped += 1
    about = {local(one): one.text for one in root if "opensearch" in namespace(one).lower()}
    made.total, made.per_page = whole(about.get("totalResults")), whole(about.get("itemsPerPage"))
    made.following = next(
        (one.get("href") for one in root.findall(f"{ATOM}link") if one.get("rel") == "next"), None
    )
    return made


def _item(entry: Element, url: str, collection: str | None) -> Item:
    elements = [one for one, _ in zip(entry.iter(), range(_MOST_ELEMENTS), strict=False)]
    flat: dict[str, Any] = {}
    for one in elements:
        if one is not entry and one.text and one.text.strip():
            flat.setdefault(local(one), one.text.strip())
    start, end = period(flat)
    assets, links = _linked(entry, elements, url)
    return make_item(
        _name(entry, flat),
        _footprint(elements),
        start,
        end,
        described(flat),
        assets,
        links,
        text(flat.get("parentIdentifier")) if _is_collection(flat) else collection,
    )


def _is_collection(flat: dict[str, Any]) -> bool:
    """Some services write the product's own name where its collection's should be."""
    return bool(flat.get("parentIdentifier")) and flat["parentIdentifier"] != flat.get("identifier")


def _name(entry: Element, flat: dict[str, Any]) -> str | None:
    identifier = flat.get("identifier")
    if identifier:
        return str(identifier)
    written = (entry.findtext(f"{ATOM}id") or "").strip()
    if not written.startswith(("http://", "https://")):
        return written or None
    try:
        parts = urlsplit(written)
    except ValueError:
        return written
    asked = dict(parse_qsl(parts.query))
    return asked.get("uid") or asked.get("id") or parts.path.rstrip("/").rpartition("/")[2] or None


def _linked(entry: Element, elements: list[Element], url: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    assets: dict[str, Any] = {}
    links: list[dict[str, str]] = []
    for one in entry.findall(f"{ATOM}link")[:100]:
        href, relation, kind = (
            link(one.get("href"), url),
            one.get("rel") or "alternate",
            text(one.get("type")),
        )
        if href is None:
            continue
        if relation == "enclosure":
            _add(assets, "product", href, kind, ["data"], whole(one.get("length")), text(one.get("title")))
        elif relation in {"icon", "preview"}:
            _add(assets, "quicklook", href, kind, ["overview", "thumbnail"])
        elif relation in {"alternate", "via", "describedby", "self"} and len(links) < 20:
            links.append({"rel": relation, "href": href} | ({"type": kind} if kind else {}))
    for one in elements:
        if local(one) != "content" or "mrss" not in namespace(one):
            continue
        category = next((text(inner.text) for inner in one if local(inner) == "category"), None)
        key, roles = _KINDS.get((category or "").upper(), (None, []))
        href = link(one.get("url"), url)
        if key and href:
            _add(assets, key, href, text(one.get("type")) or "image/jpeg", roles)
    return assets, links


def _add(  # the parts of an asset
    assets: dict[str, Any],
    key: str,
    href: str,
    kind: str | None,
    roles: list[str],
    size: int | None = None,
    title: str | None = None,
) -> None:
    name = key if key not in assets else f"{key}-{len(assets) + 1}"
    found = {"href": href, "type": kind, "roles": roles, "title": title, "file:size": size or None}
    assets.setdefault(name, {name: value for name, value in found.items() if value is not None})


def _footprint(elements: list[Element]) -> shapely.Geometry | None:
    """Give the most exact one that is there: GML before polygons, those before boxes and points."""
    found: dict[str, list[shapely.Geometry]] = {"gml": [], "polygon": [], "box": [], "line": [], "point": []}
    for one in elements:
        name, space = local(one), namespace(one)
        if "georss" in space and name in found and name != "gml":
            found[name].append(_georss(name, _numbers(one.text)))
        elif "gml" in space and name == "Polygon":
            found["gml"].append(_gml_polygon(one))
        elif "gml" in space and name == "Envelope" and not found["box"]:
            corners = {local(inner): inner.text for inner in one}
            numbers = _numbers(corners.get("lowerCorner")) + _numbers(corners.get("upperCorner"))
            found["box"].append(_georss("box", numbers))
        if sum(map(len, found.values())) > _MOST_PARTS:
            raise BadRecordError("geometry")
    shapes = next((shapes for shapes in found.values() if shapes), None)
    if shapes is None:
        return None
    return on_earth(shapes[0] if len(shapes) == 1 else shapely.union_all(list(map(_mended, shapes))))


def _mended(one: shapely.Geometry) -> shapely.Geometry:
    """Make a shape valid; of one that takes minutes for that, since it crosses itself everywhere, take the hull."""
    if one.is_valid:
        return one
    return shapely.make_valid(one) if shapely.get_num_coordinates(one) <= _MOST_MENDED else one.convex_hull


def _numbers(written: str | None) -> list[float]:
    try:
        return [float(one) for one in (written or "").replace(",", " ").split()]
    except ValueError as error:
        raise BadRecordError("geometry") from error


def _pairs(numbers: list[float], *, swapped: bool = True, size: int = 2) -> list[tuple[float, float]]:
    if not numbers or len(numbers) % size:
        raise BadRecordError("geometry")
    first, second = (1, 0) if swapped else (0, 1)
    return [(numbers[place + first], numbers[place + second]) for place in range(0, len(numbers), size)]


def _georss(name: str, numbers: list[float]) -> shapely.Geometry:
    pairs = _pairs(numbers)
    try:
        if name == "box" and len(pairs) == 2:
            (west, south), (east, north) = pairs
            if west > east:
                east += 360
            return shapely.box(west, south, east, north)
        if name == "polygon":
            return shapely.Polygon(pairs)
        if name == "line":
            return shapely.LineString(pairs)
        if name == "point" and len(pairs) == 1:
            return shapely.Point(pairs[0])
    except (ValueError, shapely.errors.ShapelyError) as error:
        raise BadRecordError("geometry") from error
    raise BadRecordError("geometry")


def _gml_polygon(element: Element) -> shapely.Geometry:
    swapped = "CRS84" not in (element.get("srsName") or "")
    rings: dict[str, list[list[tuple[float, float]]]] = {"exterior": [], "interior": []}
    for side in element:
        kind = {"outerBoundaryIs": "exterior", "innerBoundaryIs": "interior"}.get(local(side), local(side))
        if kind not in rings:
            continue
        numbers: list[float] = []
        size = 2
        for one in side.iter():
            if local(one) in {"posList", "pos", "coordinates"}:
                size = 3 if (one.get("srsDimension") or element.get("srsDimension")) == "3" else 2
                numbers += _numbers(one.text)
        rings[kind].append(_pairs(numbers, swapped=swapped, size=size))
    try:
        return shapely.Polygon(rings["exterior"][0], rings["interior"])
    except (IndexError, ValueError, shapely.errors.ShapelyError) as error:
        raise BadRecordError("geometry") from error
