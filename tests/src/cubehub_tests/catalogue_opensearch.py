"""OpenSearch services of several dialects over recorded products."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import shapely
from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

_NAMESPACES = (
    'xmlns="http://a9.com/-/spec/opensearch/1.1/" xmlns:g="http://a9.com/-/opensearch/extensions/geo/1.0/" '
    'xmlns:time="http://a9.com/-/opensearch/extensions/time/1.0/" '
    'xmlns:eo="http://a9.com/-/opensearch/extensions/eo/1.0/" '
    'xmlns:param="http://a9.com/-/spec/opensearch/extensions/parameters/1.0/"'
)
_FEED = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:os="http://a9.com/-/spec/opensearch/1.1/" '
    'xmlns:georss="http://www.georss.org/georss" xmlns:gml="http://www.opengis.net/gml" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:eo="http://a9.com/-/opensearch/extensions/eo/1.0/"'
)


class RecordedOpenSearch:
    """One service.

    Parameters
    ----------
    folder
        With ``products.jsonl``.
    dialect
        ``georss``: Atom, boxes only, paging by index, polygons of GeoRSS;
        ``gml``: Atom, WKT, paging by page, GML;
        ``geojson``: OGC 17-047 with WKT, ranges and next links, and its collections in a first step.
    """

    def __init__(self, folder: Path, dialect: str) -> None:
        self.dialect = dialect
        lines = (folder / "products.jsonl").read_text().splitlines()
        self.products = [(one["Collection"], one["Product"]) for one in map(json.loads, lines)]
        self.asked: list[dict[str, str]] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        asked = dict(request.rel_url.query)
        here = f"http://{request.host}"
        if request.path == "/osdd.xml":
            return web.Response(
                text=self.description(here, asked.get("parent")), content_type="application/xml"
            )
        if request.path == "/collections" and self.dialect == "geojson":
            return web.json_response(self.collections(here))
        if request.path == "/search":
            self.asked.append(asked)
            return self.answer(asked)
        return web.Response(status=404)

    def description(self, here: str, parent: str | None) -> str:
        """Give the description document; the prefix of the geo extension is not the usual one."""
        kind = "application/geo+json" if self.dialect == "geojson" else "application/atom+xml"
        place = "box={g:box?}" if self.dialect == "georss" else "geometry={g:geometry?}"
        paging = "page={startPage?}" if self.dialect == "gml" else "index={startIndex}"
        collection = f"parent={parent}" if parent else "parent={eo:parentIdentifier?}"
        template = (
            f"{here}/search?{place}&start={{time:start?}}&end={{time:end?}}&q={{searchTerms?}}&n={{count?}}&{paging}"
            f"&{collection}&cloud={{eo:cloudCover?}}&id={{g:uid?}}"
        )
        first = ""
        if self.dialect == "geojson" and not parent:
            first = f'<Url type="application/geo+json" rel="collection" template="{here}/collections"/>'
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><OpenSearchDescription {_NAMESPACES}><ShortName>Products</ShortName>'
            f'<Url type="text/html" template="{here}/page?q={{searchTerms}}"/>{first}'
            f'<Url type="{kind}" rel="results" template={quoteattr(template)}>'
            '<param:Parameter name="n" value="{count}" maxInclusive="5"/></Url></OpenSearchDescription>'
        )

    def collections(self, here: str) -> dict[str, Any]:
        """Give the first step's answer."""
        features = [
            {
                "type": "Feature",
                "id": name,
                "properties": {
                    "identifier": name,
                    "title": f"All of {name}",
                    "links": {
                        "search": [
                            {
                                "href": f"{here}/osdd.xml?parent={name}",
                                "type": "application/opensearchdescription+xml",
                            }
                        ]
                    },
                },
            }
            for name in ("SENTINEL-1", "SENTINEL-2", "SENTINEL-3")
        ]
        return {"type": "FeatureCollection", "features": features}

    def answer(self, asked: dict[str, str]) -> web.StreamResponse:
        """Find and write one page."""
        found = [(name, one) for name, one in self.products if _passes(name, one, asked)]
        count = min(int(asked.get("n", "5")), 5)
        first = (int(asked["page"]) - 1) * count if "page" in asked else int(asked.get("index", "1")) - 1
        page = found[first : first + count]
        if self.dialect != "geojson":
            return web.Response(text=self.feed(page, len(found), count), content_type="application/atom+xml")
        links: dict[str, Any] = {}
        if first + count < len(found):
            query = urlencode({**asked, "index": str(first + count + 1)})
            links["next"] = [{"type": "application/geo+json", "href": f"/search?{query}"}]
        features = [_feature(name, one) for name, one in page]
        about = {"totalResults": len(found), "itemsPerPage": count, "links": links}
        return web.json_response({"type": "FeatureCollection", "properties": about, "features": features})

    def feed(self, page: list[tuple[str, dict[str, Any]]], total: int, count: int) -> str:
        """Write an Atom feed."""
        entries = "".join(self.entry(name, one) for name, one in page)
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><feed {_FEED}><title>Products</title>'
            f"<os:totalResults>{total}</os:totalResults><os:itemsPerPage>{count}</os:itemsPerPage>{entries}</feed>"
        )

    def entry(self, name: str, product: dict[str, Any]) -> str:
        """Write an entry."""
        dates = product["ContentDate"]
        cover = _attribute(product, "cloudCover")
        where = ""
        if product["GeoFootprint"]:
            ring = product["GeoFootprint"]["coordinates"][0]
            pairs = " ".join(f"{y!r} {x!r}" for x, y in ring)
            where = f"<georss:polygon>{pairs}</georss:polygon>"
            if self.dialect == "gml":
                where = (
                    "<georss:where><gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>"
                    f"{pairs}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></georss:where>"
                )
        return (
            f"<entry><title>{escape(product['Name'])}</title><id>urn:x:{product['Id']}</id>"
            f"<dc:identifier>{_bare(product['Name'])}</dc:identifier><dc:date>{dates['Start']}/{dates['End']}</dc:date>"
            f"<eo:parentIdentifier>{name}</eo:parentIdentifier>{where}"
            + (f"<eo:cloudCover>{cover}</eo:cloudCover>" if cover is not None else "")
            + f'<link rel="enclosure" type="application/zip" length="{product["ContentLength"]}" '
            f'href="https://example.org/files/{product["Id"]}"/></entry>'
        )


def _passes(name: str, product: dict[str, Any], asked: dict[str, str]) -> bool:
    dates, footprint = product["ContentDate"], product["GeoFootprint"]
    area = None
    if "box" in asked:
        area = shapely.box(*map(float, asked["box"].split(",")))
    if "geometry" in asked:
        area = shapely.from_wkt(asked["geometry"])
    cover = _attribute(product, "cloudCover")
    return (
        asked.get("parent") in {None, name}
        and ("q" not in asked or all(word in product["Name"] for word in asked["q"].split()))
        and asked.get("id") in {None, _bare(product["Name"])}
        and ("end" not in asked or _time(dates["Start"]) <= _time(asked["end"]))
        and ("start" not in asked or _time(dates["End"]) >= _time(asked["start"]))
        and (area is None or (footprint is not None and shapely.geometry.shape(footprint).intersects(area)))
        and ("cloud" not in asked or (cover is not None and _within(cover, asked["cloud"])))
    )


def _within(value: float, written: str) -> bool:
    """Tell whether a value is in a range; a bracket that is turned leaves its end out."""
    low, high = map(float, written[1:-1].split(","))
    return (low <= value if written[0] == "[" else low < value) and (
        value <= high if written[-1] == "]" else value < high
    )


def _time(written: str) -> datetime:
    return datetime.fromisoformat(written)


def _attribute(product: dict[str, Any], name: str) -> Any:
    return next((one["Value"] for one in product.get("Attributes", []) if one["Name"] == name), None)


def _bare(name: str) -> str:
    return name.removesuffix(".SAFE").removesuffix(".SEN3")


def _feature(name: str, product: dict[str, Any]) -> dict[str, Any]:
    dates = product["ContentDate"]
    return {
        "type": "Feature",
        "id": f"https://example.org/products/{product['Id']}",
        "geometry": product["GeoFootprint"] or {},
        "properties": {
            "identifier": _bare(product["Name"]),
            "parentIdentifier": name,
            "date": f"{dates['Start']}/{dates['End']}",
            "productInformation": {"cloudCover": _attribute(product, "cloudCover")},
            "acquisitionInformation": [
                {
                    "platform": {
                        "platformShortName": _attribute(product, "platformShortName"),
                        "platformSerialIdentifier": _attribute(product, "platformSerialIdentifier"),
                    },
                    "acquisitionParameters": {"orbitNumber": _attribute(product, "orbitNumber")},
                }
            ],
            "links": {
                "data": [
                    {
                        "href": f"https://example.org/files/{product['Id']}",
                        "mediaType": "application/zip",
                        "length": product["ContentLength"],
                    }
                ]
            },
        },
    }
