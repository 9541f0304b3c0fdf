"""Catalogues that speak OData as the Copernicus Data Space and GSS do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from cubehub_catalogue.errors import InputError, UpstreamError
from cubehub_catalogue.query import Capabilities, Page
from cubehub_catalogue.sources import odata_filter
from cubehub_catalogue.sources.odata_attributes import SORTABLE, queryables
from cubehub_catalogue.sources.odata_items import item_of
from cubehub_catalogue.sources.records import MOST_RECORDS, BadRecordError, text
from cubehub_catalogue.sources.remembering import Remembered
from cubehub_catalogue.sources.sieve import Sieve, area_of, asked_for
from cubehub_catalogue.text import left_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    import shapely

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Item, Query
    from cubehub_catalogue.settings import Catalogue

_MOST_ASKS = 5
"""For one page, when nothing of what came passed what is looked at here."""
_MOST_COLLECTIONS = 1000
_LONGEST_LINK = 50_000


class ODataSource:
    """One OData service.

    Parameters
    ----------
    catalogue
        Its settings; `url` is the service's root, such as ``https://catalogue.dataspace.copernicus.eu/odata/v1``.
    client
        How it is asked.
    """

    def __init__(self, catalogue: Catalogue, client: Client) -> None:
        self._catalogue, self._client = catalogue, client
        self._root = catalogue.url.rstrip("/").removesuffix("/Products")
        self._remembered = Remembered()

    async def capabilities(self) -> Capabilities:
        """Give what the dialect can do."""
        return Capabilities(filter=True, sort=True, text=True)

    async def collections(self) -> list[dict[str, Any]]:
        """Give the collections: the catalogue names them where it lists their attributes."""
        listed: dict[str, list[dict[str, str]]] = await self._remembered.get("attributes", self._attributes)
        names = [name for name in listed if text(name) == name][:_MOST_COLLECTIONS]
        return [
            {
                "type": "Collection",
                "stac_version": "1.1.0",
                "id": name,
                "title": name.replace("SENTINEL-", "Sentinel-"),
                "description": f"{name} at {self._catalogue.title}",
                "license": "other",
                "extent": {
                    "spatial": {"bbox": [[-180, -90, 180, 90]]},
                    "temporal": {"interval": [[None, None]]},
                },
                "links": [],
            }
            for name in names or self._catalogue.collections
        ]

    async def queryables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of the attributes that all these collections have."""
        listed: dict[str, list[dict[str, str]]] = await self._remembered.get("attributes", self._attributes)
        schemas = [queryables(listed.get(name, [])) for name in collections or listed]
        if not schemas:
            schemas = [queryables([])]
        shared = [key for key in schemas[0] if all(key in one for one in schemas)]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {key: schemas[0][key] for key in shared},
            "additionalProperties": True,
        }

    async def search(self, query: Query, following: Any = None) -> Page:
        """Give one page; counts are never asked for, for they take minutes at the Data Space."""
        names = asked_for(self._catalogue, query.collections)
        area = area_of(query)
        clauses, rest, ignored, exact = _clauses(query, names, area)
        parts = () if exact else ("aoi",)
        sieve = Sieve(query, parts=parts, filter_=rest)
        parameters = following or _parameters(query, clauses)
        if len(query.sort) > 1 or any(_sorting(one.field) is None for one in query.sort):
            ignored = (*ignored, "sort")
        collection = names[0] if len(names) == 1 else None
        items: list[Item] = []
        skipped = 0
        for _ in range(_MOST_ASKS):
            answer = await self._client.json(f"{self._root}/Products?{_written(parameters)}")
            records = _records(answer.value)
            made, bad = self._items(records, collection)
            skipped += bad + max(0, len(records) - MOST_RECORDS)
            items += [item for item in made if sieve.passes(item)]
            parameters = _following(answer.value, parameters, len(records))
            if items or parameters is None:
                break
        return Page(tuple(items), parameters, None, ignored, _told(skipped))

    def _items(self, records: list[Any], collection: str | None) -> tuple[list[Item], int]:
        made, bad = [], 0
        for record in records[:MOST_RECORDS]:
            try:
                made.append(item_of(record, self._root, collection))
            except BadRecordError:
                bad += 1
        return made, bad

    async def _attributes(self) -> dict[str, list[dict[str, str]]]:
        """Give the attributes by collection; a service without such a list has none (GSS)."""
        try:
            answer = await self._client.json(f"{self._root}/Attributes", cached=True)
        except UpstreamError as error:
            if error.upstream_status in {400, 404, 405, 501}:
                return {}
            raise
        listed = answer.value
        if not isinstance(listed, dict):
            return {}
        return {
            name: [one for one in found if isinstance(one, dict)]
            for name, found in list(listed.items())[:_MOST_COLLECTIONS]
            if isinstance(found, list)
        }


def _clauses(
    query: Query, names: Sequence[str], area: shapely.Geometry | None
) -> tuple[list[str], dict[str, Any] | None, tuple[str, ...], bool]:
    clauses: list[str] = []
    exact = True
    if names:
        clauses.append(odata_filter.in_collections(names))
    if area is not None:
        clause, exact = odata_filter.area(area)
        clauses.append(clause)
    clauses += odata_filter.dates(query.start, query.end)
    clauses += odata_filter.words(query.text)
    if query.ids:
        clauses.append(odata_filter.named(query.ids))
    there, rest, unknown = odata_filter.split(query.filter)
    return clauses + there, rest, tuple(f"filter: {name}" for name in unknown), exact


def _parameters(query: Query, clauses: list[str]) -> list[tuple[str, str]]:
    parameters = [("$filter", " and ".join(clauses))] if clauses else []
    for one in query.sort:
        path = _sorting(one.field)
        if path:
            parameters.append(("$orderby", f"{path} {'desc' if one.descending else 'asc'}"))
            break
    # one address each time: the Data Space joins several $expand, and GSS takes them so too
    return [
        *parameters,
        ("$top", str(max(1, min(query.limit, MOST_RECORDS)))),
        ("$expand", "Attributes"),
        ("$expand", "Assets"),
    ]


def _sorting(field: str) -> str | None:
    return SORTABLE.get(field.removeprefix("properties."))


def _written(parameters: list[tuple[str, str]]) -> str:
    written = urlencode(parameters, quote_via=quote, safe="$/(),:;=")
    if len(written) > 7500:
        raise InputError(
            "search_too_long",
            "This search is longer than an address may be.",
            "Draw a simpler area, or take fewer ids, words and filters.",
        )
    return written


def _records(answer: object) -> list[Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("value"), list):
        raise UpstreamError(
            "bad_answer",
            "The catalogue's answer is no OData: it has no list `value`.",
            "Look at its address in the settings; it ends in /odata/v1.",
        )
    found: list[Any] = answer["value"]
    return found


def _following(
    answer: dict[str, Any], asked: list[tuple[str, str]], count: int
) -> list[tuple[str, str]] | None:
    """Give the parameters of the following page.

    Notes
    -----
    Of a next link the parameters alone are taken: its host is whatever the service thinks it is called, and
    the log-in belongs to the catalogue's own address.
    """
    link = answer.get("@odata.nextLink")
    if isinstance(link, str) and link and len(link) <= _LONGEST_LINK:
        query = link.partition("?")[2].partition("#")[0]
        found = [(key, value) for key, value in parse_qsl(query) if key.startswith("$")]
        missing = [(key, value) for key, value in asked if key not in dict(found) and key != "$skip"]
        onward = dict(found).get("$skiptoken") or _skip(found) > _skip(asked)
        return found + missing if onward and found + missing != asked else None
    given = dict(asked)
    top = int(given["$top"]) if re.fullmatch(r"\d{1,9}", given.get("$top", "")) else MOST_RECORDS
    if count < top or "$skiptoken" in given:
        return None
    return [(key, value) for key, value in asked if key != "$skip"] + [("$skip", str(_skip(asked) + count))]


def _skip(parameters: list[tuple[str, str]]) -> int:
    written = dict(parameters).get("$skip", "")
    return int(written) if re.fullmatch(r"\d{1,12}", written) else 0


def _told(skipped: int) -> tuple[str, ...]:
    return (left_out(skipped, "the answer"),) if skipped else ()
