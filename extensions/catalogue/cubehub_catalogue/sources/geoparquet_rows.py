"""Rows of a stac-geoparquet file as STAC items."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cubehub_catalogue.sources.records import BadRecordError, stamp
from cubehub_catalogue.sources.stac_files import fit_item

if TYPE_CHECKING:
    from cubehub_catalogue.query import Item

TOP = frozenset(
    {"type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "links", "assets", "collection"}
)
"""Columns that are no properties."""
_DEEPEST = 32
_TIME = pa.timestamp("us", "UTC")


def item_of(record: dict[str, Any], url: str) -> Item:
    """Make an item of a row.

    Raises
    ------
    BadRecordError
    It can't be one.
    """
    value: dict[str, Any] = {
        "id": record.get("id"),
        "geometry": geometry(record.get("geometry")),
        "properties": {key: inner for key, inner in record.items() if key not in TOP and inner is not None},
    }
    for key in ("stac_version", "stac_extensions", "links", "assets", "collection"):
        if record.get(key) is not None:
            value[key] = record[key]
    box = record.get("bbox")
    if isinstance(box, dict):
        box = [
            box.get(key)
            for key in ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")
            if box.get(key) is not None
        ]
    if box:
        value["bbox"] = box
    shape = value["properties"].get("proj:geometry")
    if isinstance(shape, bytes):
        value["properties"]["proj:geometry"] = geometry(shape)
    return fit_item(plain(value), url)


def records(table: Any) -> list[dict[str, Any]]:
    """Give rows as Python has them."""
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = utc(column)
        try:
            columns[name] = column.to_pylist()
        except (pa.ArrowException, ValueError, ImportError, OverflowError):
            columns[name] = [None] * len(column)  # a type that Python has no value for
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def geometry(value: object) -> dict[str, Any] | None:
    """Give GeoJSON of WKB.

    Raises
    ------
    BadRecordError
        It is none.
    """
    if not isinstance(value, bytes):
        return None
    made = shapely.from_wkb(value, on_invalid="ignore")
    if made is None:
        raise BadRecordError("geometry")
    found: dict[str, Any] = json.loads(shapely.to_geojson(made))
    return found


def plain(value: Any, depth: int = 0) -> Any:
    """Give what JSON has; members of structs that are null are what this row lacks."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {key: plain(inner, depth + 1) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [plain(inner, depth + 1) for inner in value]
    if isinstance(value, date):
        return _written(value)
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, str | int | float | bool) else None


def _written(value: date) -> str:
    if isinstance(value, datetime):
        return stamp(value if value.tzinfo else value.replace(tzinfo=UTC))
    return value.isoformat()


def utc(column: Any) -> Any:
    """Give a column of times in microseconds, in UTC where it says a zone."""
    return (
        pc.cast(column, _TIME, safe=False)
        if column.type.tz
        else pc.cast(column, pa.timestamp("us"), safe=False)
    )
