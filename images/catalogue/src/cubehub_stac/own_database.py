"""Changes of own items in the database, at once: the rest comes from files, by a process of its own."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from cubehub_stac.own import OwnError
from cubehub_stac.postgres import ADMIN, CHANGES, DATABASE
from cubehub_stac.repair import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("cubehub_stac")


class OwnDatabase:
    """Writes what people register; the only part of the service that does, and no request's text reaches it but as a value.

    Parameters
    ----------
    host : str
        Folder of the database's socket.
    """

    def __init__(self, host: str) -> None:
        self._host = host

    async def put(self, collection: dict[str, Any], item: dict[str, Any]) -> None:
        """Show an item, and its collection as it is described now."""
        async with self._changing() as connection:
            await connection.execute("SELECT upsert_collection($1::text::jsonb)", json.dumps(collection))
            await connection.execute("SELECT upsert_item($1::text::jsonb)", json.dumps(item))

    async def remove(self, collection: str, item_id: str, left: dict[str, Any] | None) -> None:
        """Show an item no longer."""
        async with self._changing() as connection:
            known = await connection.fetchval(
                "SELECT 1 FROM items WHERE id = $1 AND collection = $2", item_id, collection
            )
            if known:
                await connection.execute("SELECT delete_item($1, $2)", item_id, collection)
            if left is not None:
                await connection.execute("SELECT upsert_collection($1::text::jsonb)", json.dumps(left))
                return
            # a cube that was published for the same people may still be in it
            rest = await connection.fetchval("SELECT 1 FROM items WHERE collection = $1 LIMIT 1", collection)
            there = await connection.fetchval("SELECT 1 FROM collections WHERE id = $1", collection)
            if not rest and there:
                await connection.execute("SELECT delete_collection($1)", collection)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await asyncpg.connect(
                host=self._host,
                user=ADMIN,
                database=DATABASE,
                server_settings={"search_path": "pgstac,public"},
                timeout=10,
                command_timeout=60,
            )
            try:
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock($1)", CHANGES)
                    yield connection
            finally:
                await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            log.warning("the database is not reachable: %s", error)
            raise _away() from error
        except asyncpg.OperatorInterventionError as error:
            raise _away() from error
        except asyncpg.PostgresError as error:
            state = getattr(error, "sqlstate", "") or ""
            # class 22 is data that doesn't fit, 23 what breaks a rule, P0 what pgstac itself raises
            if state[:2] in {"22", "23", "P0", "XX"}:
                reason = next(iter(str(error).splitlines()), "")
                raise RefusedError(f"the database refuses it: {reason}") from error
            if state[:2] == "40":  # it got in the way of another change, and was ended
                raise _away() from error
            log.error("a change failed in the database: %s %s", state, error)  # noqa: TRY400
            raise OwnError(
                500, "DatabaseError", "The change failed in the database.", "The service's log says more."
            ) from error


def _away() -> OwnError:
    return OwnError(
        503, "Unavailable", "The catalogue's database is just starting.", "Try again in some seconds."
    )
