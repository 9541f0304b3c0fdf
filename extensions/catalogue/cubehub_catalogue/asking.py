"""The query as the browser and files hold it: JSON in, JSON out, everything in it looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_catalogue import aoi, cql2, times
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.query import Query, Sort

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PER_PAGE = 500
_MOST_LISTED, _LONGEST_ID, _LONGEST_TEXT, _MOST_SORTS = 500, 500, 500, 5
_KEYS = {"collections", "aoi", "start", "end", "filter", "text", "ids", "sort", "limit"}


def _wrong(message: str, hint: str = "Look at the query again.") -> InputError:
    return InputError("bad_query", message, hint)


def parse_query(value: Any) -> Query:
    """Read a query from JSON.

    Raises
    ------
    InputError
        When a part of it is not what it should be, or is not known.
    """
    if not isinstance(value, dict):
        raise _wrong("A query is a JSON object.")
    if unknown := sorted(set(value) - _KEYS):
        raise _wrong(f"A query has no {unknown[0][:40]!r}.", f"It has {', '.join(sorted(_KEYS))}.")
    collections = value.get("collections") or {}
    if not isinstance(collections, dict):
        raise _wrong("collections is an object: by catalogue a list of ids.")
    outline, text, limit = value.get("aoi"), value.get("text"), value.get("limit", 50)
    if text is not None and (not isinstance(text, str) or len(text) > _LONGEST_TEXT or "\0" in text):
        raise _wrong(f"text is a text of at most {_LONGEST_TEXT} characters.")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_PER_PAGE:
        raise _wrong(f"limit is a whole number from 1 to {MOST_PER_PAGE}.")
    start, end = times.checked(times.as_utc(value.get("start")), times.as_utc(value.get("end"), last=True))
    condition = value.get("filter")
    return Query(
        collections={
            str(name): ids(listed, f"collections of {name}") for name, listed in collections.items() if listed
        },
        aoi=None if outline is None else aoi.aoi_of(outline),
        start=start,
        end=end,
        filter=None if condition is None else cql2.check(condition),
        text=text.strip() or None if text else None,
        ids=ids(value.get("ids") or (), "ids"),
        sort=_sorts(value["sort"]) if value.get("sort") is not None else Query.sort,
        limit=limit,
    )


def query_dict(query: Query) -> dict[str, Any]:
    """Write a query as JSON that `parse_query` reads."""
    return {
        "collections": {name: list(listed) for name, listed in query.collections.items()},
        "aoi": None if query.aoi is None else dict(query.aoi),
        "start": None if query.start is None else times.time_text(query.start),
        "end": None if query.end is None else times.time_text(query.end),
        "filter": None if query.filter is None else dict(query.filter),
        "text": query.text,
        "ids": list(query.ids),
        "sort": [{"field": sort.field, "descending": sort.descending} for sort in query.sort],
        "limit": query.limit,
    }


def ids(value: Any, what: str) -> tuple[str, ...]:
    """Give a list of names.

    Raises
    ------
    InputError
        When it is none, or too long.
    """
    if not isinstance(value, list | tuple) or len(value) > _MOST_LISTED:
        raise _wrong(f"{what[:80]}: a list of at most {_MOST_LISTED} names is needed.")
    for one in value:
        if not isinstance(one, str) or not one or len(one) > _LONGEST_ID or not one.isprintable():
            raise _wrong(f"{what[:80]}: {str(one)[:60]!r} is no name.")
    return tuple(dict.fromkeys(value))


def _sorts(value: Any) -> tuple[Sort, ...]:
    if not isinstance(value, list) or len(value) > _MOST_SORTS:
        raise _wrong(f"sort is a list of at most {_MOST_SORTS} fields.")
    return tuple(_sort(one) for one in _objects(value))


def _objects(value: Sequence[Any]) -> Sequence[dict[str, Any]]:
    if not all(isinstance(one, dict) for one in value):
        raise _wrong(
            'sort is a list of objects such as {"field": "properties.datetime", "descending": true}.'
        )
    return value


def _sort(value: dict[str, Any]) -> Sort:
    field, descending = value.get("field"), value.get("descending", False)
    if not isinstance(field, str) or not field or len(field) > _LONGEST_ID or not field.isprintable():
        raise _wrong("A field to sort by has no name.")
    if "," in field or not isinstance(descending, bool):
        raise _wrong(f"{field[:60]!r} can't be sorted by like that.")
    return Sort(field, descending)
