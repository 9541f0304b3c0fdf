"""A stac-geoparquet file, read by pyarrow: the few columns that a search needs first, whole rows for one page alone.

References
----------
stac-geoparquet 1.1: properties are columns, `bbox` a struct, `geometry` WKB; null stands for what an item lacks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from cubehub_catalogue.errors import UpstreamError
from cubehub_catalogue.sources.geoparquet_match import STATISTICS, may_meet, passing
from cubehub_catalogue.sources.geoparquet_rows import TOP, item_of, records, utc
from cubehub_catalogue.sources.records import BadRecordError, instant
from cubehub_catalogue.sources.stac_files import fit_collection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubehub_catalogue.query import Item, Query, Sort
    from cubehub_catalogue.sources.sieve import Sieve

_KEYS = ("id", "collection", "geometry", "bbox", "datetime", "start_datetime", "end_datetime")
_MOST_ROWS = 20_000_000
_MOST_GROUP_BYTES = 2**30
_MOST_COLLECTIONS = 1000
_FAULTS = (pa.ArrowException, shapely.errors.ShapelyError, ValueError, TypeError, KeyError, OverflowError)
_KINDS = (
    (pa.types.is_boolean, {"type": "boolean"}),
    (pa.types.is_integer, {"type": "integer"}),
    (pa.types.is_floating, {"type": "number"}),
    (pa.types.is_timestamp, {"type": "string", "format": "date-time"}),
    (pa.types.is_string, {"type": "string"}),
    (pa.types.is_large_string, {"type": "string"}),
    (pa.types.is_list, {"type": "array"}),
)


@dataclass(frozen=True)
class Found:
    """Rows that passed, in order."""

    groups: Any
    """ndarray, dims (row), int64; the row group of each."""
    rows: Any
    """ndarray, dims (row), int64; its place in that group."""
    unsorted: bool
    """Whether the order asked for can't be had from this file."""

    def __len__(self) -> int:
        return len(self.rows)


class GeoParquetFile:
    """One file that is open.

    Parameters
    ----------
    source
        What pyarrow reads.
    url
        What relative links in it are relative to.

    Raises
    ------
    UpstreamError
        It is no stac-geoparquet, or one too large.
    """

    def __init__(self, source: Any, url: str) -> None:
        self._url = url
        try:
            self._file = pq.ParquetFile(source)
            self._schema = self._file.schema_arrow
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _no_file("it is no Parquet") from error
        self._check()

    def _check(self) -> None:
        names = self._schema.names
        if not {"id", "geometry"} <= set(names) or len(names) != len(set(names)):
            raise _no_file("it has no columns `id` and `geometry`")
        metadata = self._file.metadata
        kind = self._schema.field("geometry").type
        kind = getattr(kind, "storage_type", kind)
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise _no_file("its geometry is not WKB")
        groups = (metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        if metadata.num_rows > _MOST_ROWS or max(groups, default=0) > _MOST_GROUP_BYTES:
            raise _no_file("it is too large, or its row groups are")

    def schema(self) -> dict[str, Any]:
        """Give the queryables: the columns that can be compared."""
        found: dict[str, Any] = {
            "id": {"type": "string"},
            "geometry": {"$ref": "https://geojson.org/schema/Geometry.json"},
        }
        for field in self._schema:
            if field.name not in TOP:
                kind = next((kind for test, kind in _KINDS if test(field.type)), None)
                if kind:
                    found[field.name] = dict(kind)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": found,
            "additionalProperties": True,
        }

    def collections(self) -> list[dict[str, Any]]:
        """Give the collections that the file describes, and those its rows name."""
        found = {one["id"]: one for one in self._described()}
        if "collection" in self._schema.names:
            for number in range(self._file.num_row_groups):
                column = self._read(number, ["collection"]).column("collection")
                for name in pc.unique(column).to_pylist():
                    if isinstance(name, str) and len(found) < _MOST_COLLECTIONS:
                        found.setdefault(name, _plain_collection(name))
        return list(found.values())

    def _described(self) -> list[dict[str, Any]]:
        written = (self._file.metadata.metadata or {}).get(b"stac-geoparquet", b"{}")
        try:
            about = json.loads(written)
        except (ValueError, RecursionError):
            return []
        several = about.get("collections") if isinstance(about, dict) else None
        listed = (
            list(several.values())
            if isinstance(several, dict)
            else several
            if isinstance(several, list)
            else []
        )
        if isinstance(about, dict) and isinstance(about.get("collection"), dict):
            listed.append(about["collection"])
        made = [fit_collection(one, self._url) for one in listed[:_MOST_COLLECTIONS] if isinstance(one, dict)]
        return [one for one in made if one is not None]

    def find(self, query: Query, sieve: Sieve, names: Sequence[str], filtered: Sequence[str]) -> Found:
        """Find rows.

        Parameters
        ----------
        query
            The search.
        sieve
            The same, to look at rows with.
        names
            Collections; empty, all.
        filtered
            Properties that the filter names.

        Raises
        ------
        UpstreamError
            The columns are not of the types that they should be.
        """
        try:
            return self._find(query, sieve, names, filtered)
        except _FAULTS as error:
            raise _no_file("its columns are not of the types that stac-geoparquet has") from error

    def _find(self, query: Query, sieve: Sieve, names: Sequence[str], filtered: Sequence[str]) -> Found:
        there = set(self._schema.names)
        by = [(one.field.removeprefix("properties."), one) for one in query.sort]
        sortable = [
            (name, one) for name, one in by if name in there and _orders(self._schema.field(name).type)
        ]
        wanted = {*_KEYS, *(name.removeprefix("properties.") for name in filtered)}
        if sieve.words:
            wanted |= {"title", "description", "keywords", "platform", "constellation", "instruments"}
        columns = [name for name in self._schema.names if name in wanted | {name for name, _ in sortable}]
        parts = []
        for number in range(self._file.num_row_groups):
            if self._may_hold(number, sieve):
                table = self._read(number, columns)
                rows = passing(table, sieve, names)
                kept = {"group": np.full(len(rows), number), "row": rows}
                kept |= {f"by {name}": _comparable(table.column(name).take(rows)) for name, _ in sortable}
                parts.append(pa.table(kept))
        if not parts:
            return Found(np.array([], "int64"), np.array([], "int64"), len(sortable) < len(by))
        return _sorted(pa.concat_tables(parts), sortable, unsorted=len(sortable) < len(by))

    def items(self, found: Found, first: int, count: int) -> tuple[list[Item], int]:
        """Give the items of some rows, and how many can't be used."""
        groups, rows = found.groups[first : first + count], found.rows[first : first + count]
        made: dict[int, Item] = {}
        bad = 0
        for number in dict.fromkeys(groups.tolist()):
            places = np.flatnonzero(groups == number)
            try:
                read = records(self._read(int(number), None).take(rows[places]))
            except _FAULTS as error:
                raise _no_file("some of its rows can't be read") from error
            for place, record in zip(places.tolist(), read, strict=True):
                try:
                    made[place] = item_of(record, self._url)
                except BadRecordError:
                    bad += 1
        return [made[place] for place in sorted(made)], bad

    def _read(self, number: int, columns: Sequence[str] | None) -> Any:
        try:
            table = self._file.read_row_group(number, columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _no_file("a part of it can't be read") from error
        # `columns` are paths, and "a.b" is also the member b of a struct a
        return (
            table
            if columns is None
            else table.select([name for name in columns if name in table.column_names])
        )

    def _may_hold(self, number: int, sieve: Sieve) -> bool:
        """Say whether a row group can hold what is searched for, by the least and the greatest of its values."""
        group = self._file.metadata.row_group(number)
        span: dict[str, tuple[Any, Any]] = {}
        for place in range(group.num_columns):
            column = group.column(place)
            about = column.statistics
            known = about is not None and about.has_min_max and about.null_count == 0
            if known and column.path_in_schema in STATISTICS:
                span[column.path_in_schema] = (about.min, about.max)
        if sieve.area is not None and not may_meet(span, sieve.area.bounds):
            return False
        if "start_datetime" in self._schema.names or "end_datetime" in self._schema.names:
            return True  # an interval may be longer than its datetime says
        least, greatest = (instant(value) for value in span.get("datetime", (None, None)))
        return least is None or greatest is None or sieve.in_time(least, greatest)


def _orders(kind: Any) -> bool:
    tests = (
        pa.types.is_timestamp,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_boolean,
    )
    return any(test(kind) for test in tests)


def _comparable(column: Any) -> Any:
    """Have all row groups give one type, and no-number no place of its own."""
    if pa.types.is_timestamp(column.type):
        return pc.cast(utc(column), pa.int64())
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, column)
    return column


def _sorted(table: Any, by: Sequence[tuple[str, Sort]], *, unsorted: bool) -> Found:
    # one key after the other, the last first: the sort is stable, and nulls come last in both directions
    for name, one in reversed(by):
        keys = [(f"by {name}", "descending" if one.descending else "ascending")]
        table = table.take(pc.sort_indices(table, sort_keys=keys))
    group, row = (table.column(name).to_numpy() for name in ("group", "row"))
    return Found(group.astype("int64"), row.astype("int64"), unsorted)


def _plain_collection(name: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": name,
        "title": name,
        "description": name,
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }


def _no_file(why: str) -> UpstreamError:
    return UpstreamError(
        "bad_file",
        f"The catalogue's file can't be searched: {why}.",
        "It must be stac-geoparquet, as stac-geoparquet and rustac write it.",
    )
