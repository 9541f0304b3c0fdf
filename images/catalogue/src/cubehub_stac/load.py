"""Bring the database to what the files say: a process of its own, so that its memory goes when it is done."""

from __future__ import annotations

import json
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any

import psycopg
from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate

from cubehub_stac.postgres import ADMIN, CHANGES, DATABASE, READER
from cubehub_stac.process import die_with_parent
from cubehub_stac.reading import Source
from cubehub_stac.sources import Contents, queryables
from cubehub_stac.visibility import is_reserved

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("cubehub_stac")

_SETTINGS = {
    # numberMatched in every answer, counted, not guessed.
    "context": "on",
    "context_estimated_count": "100000",
}


def migrate(host: str) -> None:
    """Create database, schema and the role that only reads, whatever of them is missing."""
    with psycopg.connect(host=host, user=ADMIN, dbname="postgres", autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(host=host, user=ADMIN, dbname=DATABASE, autocommit=True) as connection:
        for extension in ("postgis", "btree_gist", "btree_gin"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
    with PgstacDB(dsn=f"host={host} user={ADMIN} dbname={DATABASE}") as database:
        Migrate(database).run_migration()
    with psycopg.connect(host=host, user=ADMIN, dbname=DATABASE) as connection:
        for name, value in _SETTINGS.items():
            connection.execute("UPDATE pgstac.pgstac_settings SET value = %s WHERE name = %s", [value, name])
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone() is None:
            connection.execute(f"CREATE ROLE {READER} LOGIN IN ROLE pgstac_read")
            connection.execute(f"ALTER ROLE {READER} SET search_path TO pgstac, public")


def load(host: str, contents: Contents) -> tuple[int, int]:
    """Write `contents` and delete what it lacks, in one transaction; return (items offered, items left out)."""
    left_out = 0
    with psycopg.connect(
        host=host, user=ADMIN, dbname=DATABASE, options="-c search_path=pgstac,public"
    ) as connection:
        for collection in contents.collections.values():
            left_out += not _write(connection, "upsert_collection", collection)
        left_out += _write_items(connection, list(contents.items.values()))
        rows = connection.execute("SELECT id, collection FROM items").fetchall()
        for item_id, collection_id in rows:
            if (collection_id, item_id) not in contents.items:
                connection.execute("SELECT delete_item(%s, %s)", [item_id, collection_id])
        for (collection_id,) in connection.execute("SELECT id FROM collections").fetchall():
            if collection_id not in contents.collections:
                connection.execute("SELECT delete_collection(%s)", [collection_id])
        # what private items have is nobody else's to know, not even by name
        told = (item for (collection, _), item in contents.items.items() if not is_reserved(collection))
        _offer_queryables(connection, queryables(told))
        row = connection.execute("SELECT count(*) FROM items").fetchone()
    return (int(row[0]) if row else 0), left_out


def _offer_queryables(connection: psycopg.Connection[Any], wanted: dict[str, Any]) -> None:
    """Say what can be filtered and sorted by; without it, sorting by a property fails."""
    known = dict(
        connection.execute("SELECT name, definition FROM queryables WHERE collection_ids IS NULL").fetchall()
    )
    # Each takes the database some 60 ms, so only what changed is written.
    changed = {name: kind for name, kind in wanted.items() if known.get(name) != kind}
    if changed:
        definitions = json.dumps({"type": "object", "properties": changed})
        connection.execute("SELECT upsert_queryables(%s::jsonb)", [definitions])
    connection.execute("SELECT delete_missing_queryables(%s)", [list(wanted)])


def _write_items(connection: psycopg.Connection[Any], items: list[dict[str, Any]]) -> int:
    """Write all items at once, a tenth of the time; if the database refuses, halve until the culprit stands alone."""
    if not items:
        return 0
    if len(items) == 1:
        return int(not _write(connection, "upsert_item", items[0]))
    if _write(connection, "upsert_items", items):
        return 0
    middle = len(items) // 2
    return _write_items(connection, items[:middle]) + _write_items(connection, items[middle:])


def _write(connection: psycopg.Connection[Any], function: str, thing: Any) -> bool:
    try:
        with connection.transaction():
            connection.execute(f"SELECT {function}(%s::jsonb)", [json.dumps(thing)])
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        if isinstance(thing, list):
            return False
        reason = (error.diag.message_primary or str(error)).splitlines()[0]
        log.warning("left out %s: the database refuses it: %s", thing["id"], reason)
        return False
    return True


def main(argv: Iterable[str] | None = None) -> int:
    """Run as `python -m cubehub_stac.load HOST SOURCES`, where SOURCES is a `Source` as JSON."""
    die_with_parent(signal.SIGKILL)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    logging.getLogger("pypgstac").setLevel(logging.WARNING)
    host, sources = list(sys.argv[1:] if argv is None else argv)
    try:
        migrate(host)
        with psycopg.connect(host=host, user=ADMIN, dbname=DATABASE) as connection:
            # An item that is registered while files are read waits, and comes after: else it would be taken away again.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [CHANGES])
            offered, left_out = load(host, Source.decode(sources).read())
    except psycopg.Error as error:
        log.error("loading the catalogue failed: %s", str(error).strip().splitlines()[0])  # noqa: TRY400
        return 1
    log.info("the catalogue offers %d items; left out by the database: %d", offered, left_out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
