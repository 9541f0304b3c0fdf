"""Which rows of a stac-geoparquet file pass: boxes and times over whole columns, footprints by shapely."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cubehub_catalogue.items import outline
from cubehub_catalogue.sources.geoparquet_rows import TOP, geometry, plain, records, utc
from cubehub_catalogue.sources.records import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubehub_catalogue.sources.sieve import Sieve

STATISTICS = frozenset({"bbox.xmin", "bbox.ymin", "bbox.xmax", "bbox.ymax", "datetime"})


def may_meet(span: dict[str, tuple[Any, Any]], bounds: tuple[float, float, float, float]) -> bool:
    """Say whether a row group can hold what meets a box."""
    west, south, east, north = bounds
    if "bbox.ymin" in span and span["bbox.ymin"][0] > north:
        return False
    if "bbox.ymax" in span and span["bbox.ymax"][1] < south:
        return False
    if "bbox.xmin" not in span or "bbox.xmax" not in span:
        return True
    (least_west, most_west), (least_east, most_east) = span["bbox.xmin"], span["bbox.xmax"]
    if least_east < 0 < most_west:
        return True  # some may cross ±180°, where west is greater than east
    return bool(least_west <= east and most_east >= west)


def passing(table: Any, sieve: Sieve, names: Sequence[str]) -> Any:
    """Give the places of rows that pass, cheap questions first."""
    mask = np.ones(table.num_rows, bool)
    there = set(table.column_names)
    if names:
        mask &= _is_one_of(table, "collection", names) if "collection" in there else False
    if sieve.ids:
        mask &= _is_one_of(table, "id", sorted(sieve.ids))
    if sieve.area is not None and "bbox" in there:
        mask &= _boxes_meet(table.column("bbox"), sieve.area.bounds)
    rows = np.flatnonzero(mask)
    rows = rows[_in_time(table.take(rows), sieve)]
    if sieve.area is not None:
        rows = rows[_shapes_meet(table.column("geometry").take(rows), sieve)]
    if sieve.words or sieve.filter is not None:
        said = [_says(one, sieve) for one in records(table.take(rows))]
        rows = rows[np.array(said, bool)]
    return rows


def _is_one_of(table: Any, name: str, values: Sequence[str]) -> Any:
    column = table.column(name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = pc.cast(column, pa.string())
    return pc.is_in(column, value_set=pa.array(values, column.type)).to_numpy(zero_copy_only=False)


def _boxes_meet(column: Any, bounds: tuple[float, float, float, float]) -> Any:
    """Compare boxes; rows without one stay in."""
    if not pa.types.is_struct(column.type) or not {"xmin", "ymin", "xmax", "ymax"} <= {
        one.name for one in column.type
    }:
        return np.ones(len(column), bool)
    west, south, east, north = bounds
    least_x, least_y, most_x, most_y = (
        pc.cast(pc.struct_field(column, name), pa.float64()).to_numpy(zero_copy_only=False)
        for name in ("xmin", "ymin", "xmax", "ymax")
    )
    with np.errstate(invalid="ignore"):
        across = least_x > most_x
        # float32 boxes, which some writers make, are rounded
        slack = 1e-4
        in_x = np.where(
            across,
            (least_x <= east + slack) | (most_x >= west - slack),
            (least_x <= east + slack) & (most_x >= west - slack),
        )
        found = in_x & (least_y <= north + slack) & (most_y >= south - slack)
    return found | np.isnan(least_x) | np.isnan(least_y) | np.isnan(most_x) | np.isnan(most_y)


def _in_time(table: Any, sieve: Sieve) -> Any:
    if sieve.start is None and sieve.end is None:
        return np.ones(table.num_rows, bool)
    moment, start, end = (_times(table, name) for name in ("datetime", "start_datetime", "end_datetime"))
    start, end = np.where(np.isnat(start), moment, start), np.where(np.isnat(end), moment, end)
    found = ~np.isnat(start) & ~np.isnat(end)
    if sieve.end is not None:
        found &= start <= np.datetime64(sieve.end.astimezone(UTC).replace(tzinfo=None), "us")
    if sieve.start is not None:
        found &= end >= np.datetime64(sieve.start.astimezone(UTC).replace(tzinfo=None), "us")
    return found


def _times(table: Any, name: str) -> Any:
    """Give a column of times, dims (row), datetime64[us]; NaT where there is none."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.datetime64("NaT"), "datetime64[us]")
    column = table.column(name)
    if pa.types.is_timestamp(column.type):
        plain = pc.cast(utc(column), pa.timestamp("us"), safe=False)
        return plain.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    found = [instant(value) for value in column.to_pylist()]
    return np.array([None if one is None else one.replace(tzinfo=None) for one in found], "datetime64[us]")


def _wkb(column: Any) -> Any:
    if hasattr(column.type, "storage_type"):
        column = pa.chunked_array([one.storage for one in column.chunks], column.type.storage_type)
    made = shapely.from_wkb(np.array(column.to_pylist(), object), on_invalid="ignore")
    return np.atleast_1d(made)


def _shapes_meet(column: Any, sieve: Sieve) -> Any:
    if len(column) == 0:
        return np.zeros(0, bool)
    shapes = _wkb(column)
    west, _, east, _ = shapely.bounds(shapes).T
    with np.errstate(invalid="ignore"):
        odd = (east - west > 180) | (east > 180) | (west < -180)
    odd |= ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    for place in np.flatnonzero(odd):
        shapes[place] = outline({"geometry": json.loads(shapely.to_geojson(shapes[place]))})
    return shapely.intersects(sieve.area, shapes)


def _says(record: dict[str, Any], sieve: Sieve) -> bool:
    """Look at text and filter; the rest of the sieve was looked at."""
    properties = {key: value for key, value in record.items() if key not in TOP and value is not None}
    item = {
        "type": "Feature",
        "id": record.get("id") or "",
        "collection": record.get("collection"),
        "geometry": geometry(record.get("geometry")),
        "properties": plain(properties),
    }
    return sieve.says(item) and (sieve.filter is None or sieve.filter.passes(item))
