"""Catalogues that speak OpenSearch with the geo, time and Earth-observation extensions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import shapely

from cubehub_catalogue.errors import InputError
from cubehub_catalogue.query import Capabilities, Page
from cubehub_catalogue.sources.opensearch_answers import Answered, read_geojson
from cubehub_catalogue.sources.opensearch_atom import read_atom
from cubehub_catalogue.sources.opensearch_collections import listed
from cubehub_catalogue.sources.opensearch_description import Description, Template, read
from cubehub_catalogue.sources.opensearch_terms import asked_there, seen_on
from cubehub_catalogue.sources.records import link, stamp
from cubehub_catalogue.sources.remembering import Remembered
from cubehub_catalogue.sources.sieve import Filter, Sieve, area_of, asked_for, properties_in
from cubehub_catalogue.text import left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Item, Query
    from cubehub_catalogue.settings import Catalogue

_MOST_ASKS = 5
_MOST_COLLECTIONS = 1000
_LONGEST_WKT = 2500


@dataclass(frozen=True)
class _Place:
    """Where a search stands."""

    collection: int = 0
    """Which of the collections; they are asked one after the other, for a template has room for one."""
    url: str | None = None
    done: int = 0
    """Records before this page."""
    pages: int = 0
    first: str | None = None
    """Id of the first record of the page before; the same again, and the service does not page."""


class OpenSearchSource:
    """One OpenSearch service.

    Parameters
    ----------
    catalogue
        Its settings; `url` is the one of its description document.
    client
        How it is asked.
    """

    def __init__(self, catalogue: Catalogue, client: Client) -> None:
        self._catalogue, self._client = catalogue, client
        self._remembered = Remembered()

    async def capabilities(self) -> Capabilities:
        """Give what its description has places for."""
        results = (await self._described(self._catalogue.url)).results
        fields = results.fields if results else frozenset()
        return Capabilities(filter=True, text="searchTerms" in fields)

    async def collections(self) -> list[dict[str, Any]]:
        """Give the collections, where the service lists them, or those of the settings."""
        return [
            _collection(id_, title, about) for id_, (title, about, _) in (await self._collections()).items()
        ]

    async def queryables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of what the service can filter by; more can be, on what comes."""
        name = collections[0] if collections else None
        template = await self._template(name)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": seen_on(template.fields),
            "additionalProperties": True,
        }

    async def search(self, query: Query, following: Any = None) -> Page:
        """Give one page; the order is the service's, for OpenSearch has no agreed way to ask for one."""
        names: tuple[str | None, ...] = asked_for(self._catalogue, query.collections) or (None,)
        place = following if isinstance(following, _Place) else _Place()
        ignored = ["sort"] if query.sort else []
        items: list[Item] = []
        skipped, matched, warnings = 0, None, []
        for _ in range(_MOST_ASKS):
            name = names[place.collection]
            template = await self._template(name)
            values, rest = self._values(query, template, name, place)
            url = place.url or template.filled(values)
            answered = await self._answer(url, name)
            skipped += answered.skipped
            matched = answered.total if len(names) == 1 and not place.pages and rest is None else None
            kept, strange = self._passing(query, answered.items, template, name, rest)
            ignored += [f"filter: {one}" for one in strange]
            if query.text and "searchTerms" not in template.fields:
                ignored.append("text")
            items += kept
            after, stuck = self._after(place, url, template, answered, int(values["count"]))
            warnings += [stuck] if stuck else []
            if after is None and place.collection + 1 < len(names):
                after = _Place(place.collection + 1)
            if after is None or items:
                break
            place = after
        if skipped:
            warnings.append(left_out(skipped, "the answer"))
        return Page(tuple(items), after, matched, tuple(dict.fromkeys(ignored)), tuple(warnings))

    def _values(
        self, query: Query, template: Template, name: str | None, place: _Place
    ) -> tuple[dict[str, str], dict[str, Any] | None]:
        count = min(query.limit, template.most or query.limit)
        values = {"count": str(count)} | _position(template, place)
        if query.text:
            values["searchTerms"] = query.text
        area = area_of(query)
        if area is not None:
            values |= _area(area, template)
        if query.start is not None:
            values["time:start"] = stamp(query.start)
        if query.end is not None:
            values["time:end"] = stamp(query.end)
        if len(query.ids) == 1:
            values["geo:uid"] = query.ids[0]
        if name is not None:
            values["eo:parentIdentifier"] = name
        terms, rest = asked_there(query.filter, template.fields)
        return values | terms, rest

    def _passing(
        self,
        query: Query,
        items: list[Item],
        template: Template,
        name: str | None,
        rest: dict[str, Any] | None,
    ) -> tuple[list[Item], list[str]]:
        """Look at everything again that items tell; services take times and areas in many ways."""
        parts = {"time", "ids"}
        spatial = bool(template.fields & {"geo:box", "geo:geometry"})
        sieve = Sieve(query, parts=parts | {"aoi"})
        whole = Sieve(query, parts=parts)
        kept = []
        for item in items:
            if name is not None and item.get("collection") not in {None, name} and not _one_for_all(template):
                continue
            # one without a footprint is the service's own word, where it was asked for an area
            if (whole if item["geometry"] is None and spatial else sieve).passes(item):
                kept.append(item)
        if rest is None:
            return kept, []
        terms, strange = [], []
        for term in rest["args"]:
            missing = [one for one in properties_in(term) if kept and not _anywhere(one, kept)]
            strange += missing
            if not missing:
                terms.append(Filter(term))
        return [item for item in kept if all(term.passes(item) for term in terms)], strange

    def _after(
        self, place: _Place, url: str, template: Template, answered: Answered, count: int
    ) -> tuple[_Place | None, str | None]:
        got = len(answered.items) + answered.skipped
        first = answered.items[0]["id"] if answered.items else None
        if got == 0:
            return None, None
        if first is not None and first == place.first:
            return None, "The service gave the same page again; what follows it can't be had."
        onward = replace(place, url=None, done=place.done + got, pages=place.pages + 1, first=first)
        if answered.following:
            # the log-in is for the service's own addresses, and a link must not lead it elsewhere
            onto = link(answered.following, url)
            if onto and onto != url and _origin(onto) in {_origin(url), _origin(self._catalogue.url)}:
                return replace(onward, url=onto), None
        if answered.total is not None:
            more = onward.done < answered.total
        else:
            more = not answered.following and got >= (answered.per_page or count)
        pages = template.fields & {"startIndex", "startPage"}
        return (onward if more and pages and place.url is None else None), None

    async def _answer(self, url: str, name: str | None) -> Answered:
        answer = await self._client.text(url)
        if not isinstance(answer.value, str):
            return read_geojson("", answer.url, name)
        feed = answer.value.lstrip("\ufeff \t\r\n").startswith("<")
        return (read_atom if feed else read_geojson)(answer.value, answer.url, name)

    async def _described(self, url: str) -> Description:
        found: Description = await self._remembered.get(f"description {url}", partial(self._describe, url))
        return found

    async def _describe(self, url: str) -> Description:
        answer = await self._client.text(url, cached=True)
        return read(str(answer.value), answer.url)

    async def _template(self, name: str | None) -> Template:
        described = await self._described(self._catalogue.url)
        if name is not None and described.collections is not None:
            known = (await self._collections()).get(name)
            if known is not None and known[2]:
                described = await self._described(known[2])
        if described.results is None:
            raise InputError(
                "collection_needed",
                f"{self._catalogue.title} is searched one collection at a time.",
                "Choose a collection.",
            )
        return described.results

    async def _collections(self) -> dict[str, tuple[str, str, str | None]]:
        """By id the title, the description and the address of the collection's own description document."""
        found: dict[str, tuple[str, str, str | None]] = await self._remembered.get("collections", self._list)
        return found

    async def _list(self) -> dict[str, tuple[str, str, str | None]]:
        described = await self._described(self._catalogue.url)
        found: dict[str, tuple[str, str, str | None]] = {}
        if described.collections is not None:
            url = described.collections.filled(
                {"count": str(described.collections.most or _MOST_COLLECTIONS)}
            )
            answer = await self._client.text(url, cached=True)
            for id_, title, about, own in listed(str(answer.value), answer.url)[:_MOST_COLLECTIONS]:
                same = own is not None and _origin(own) in {
                    _origin(answer.url),
                    _origin(self._catalogue.url),
                }
                found.setdefault(id_, (title, about, own if same else None))
        options = described.results.options if described.results else ()
        for id_ in found or self._catalogue.collections or options:
            found.setdefault(id_, (id_, "", None))
        return found


def _position(template: Template, place: _Place) -> dict[str, str]:
    """Give where a page begins; the first one is where a service starts by itself, unless it wants to be told."""
    values = {
        "startIndex": str(template.first_index + place.done),
        "startPage": str(template.first_page + place.pages),
    }
    if place.done and "startIndex" in template.fields:
        del values["startPage"]
    if not place.done:
        values = {name: value for name, value in values.items() if f"{{{name}?}}" not in template.address}
    return values


def _area(area: shapely.Geometry, template: Template) -> dict[str, str]:
    """Give the area; a superset will do, for what comes is looked at again."""
    west, south, east, north = area.bounds
    values = {
        "geo:box": ",".join(f"{value:.9f}".rstrip("0").rstrip(".") for value in (west, south, east, north))
    }
    if "geo:geometry" in template.fields:
        for candidate in (area, area.convex_hull, area.envelope):
            written = shapely.to_wkt(candidate, rounding_precision=9)
            if len(written) <= _LONGEST_WKT:
                # two ways to say it at once would be two conditions
                asked = {"geo:geometry": written, "geo:relation": "intersects"}
                return asked if "{geo:box}" not in template.address else asked | values
    return values


def _one_for_all(template: Template) -> bool:
    return "eo:parentIdentifier" in template.fields


def _anywhere(name: str, items: list[Item]) -> bool:
    plain = name.removeprefix("properties.")
    return plain in {"id", "collection", "geometry"} or any(plain in item["properties"] for item in items)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _collection(id_: str, title: str, about: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": id_,
        "title": title or id_,
        "description": about or title or id_,
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }
