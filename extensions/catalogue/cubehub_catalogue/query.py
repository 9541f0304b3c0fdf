"""What is asked for, the same for every type of catalogue; and a page of what came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Item = dict[str, Any]
"""A STAC item (1.0 or 1.1), whatever the catalogue speaks: OData and OpenSearch entries are mapped to it."""


@dataclass(frozen=True)
class Sort:
    """One field to sort by."""

    field: str
    """As in the catalogue's sortables, normally ``properties.datetime`` or ``properties.eo:cloud_cover``."""
    descending: bool = True


@dataclass(frozen=True)
class Query:
    """A search, for one catalogue or many.

    Every part may be left out. `aoi` is right already: cut at ±180°, valid, longitudes in [-180, 180].
    """

    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By catalogue id the collections; a catalogue that is missing is asked for its default ones."""
    aoi: Mapping[str, Any] | None = None
    """GeoJSON Polygon or MultiPolygon in EPSG:4326."""
    start: datetime | None = None
    """UTC; None is open."""
    end: datetime | None = None
    """UTC, included; None is open."""
    filter: Mapping[str, Any] | None = None
    """CQL2-JSON over queryables."""
    text: str | None = None
    ids: tuple[str, ...] = ()
    sort: tuple[Sort, ...] = (Sort("properties.datetime"),)
    limit: int = 50
    """Items per page and catalogue, 1 to 500."""


@dataclass(frozen=True)
class Page:
    """One answer of one catalogue."""

    items: tuple[Item, ...]
    """In the catalogue's order."""
    next: Any = None
    """What its source needs to ask for the following page; None: this was the last. It never leaves the server."""
    matched: int | None = None
    """How many there are in all, where the catalogue said so cheaply."""
    ignored: tuple[str, ...] = ()
    """Parts of the query that this catalogue can't do (``filter``, ``text``, ``sort``, …), told to the person; they
    were done here on the page's items where that is right, and are not listed then."""
    warnings: tuple[str, ...] = ()
    """What else the person should know: records that could not be used, a limit that was met."""


@dataclass(frozen=True)
class Capabilities:
    """What a catalogue can do, from ``conformsTo`` or its type."""

    filter: bool = False
    """CQL2-JSON."""
    sort: bool = False
    text: bool = False
    """Free text (``q``) over items."""
    collections: bool = True
    """Its collections can be listed."""
    post: bool = False
    ids: bool = True
