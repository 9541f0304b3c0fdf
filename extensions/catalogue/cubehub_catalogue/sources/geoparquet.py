"""Catalogues that are one stac-geoparquet file, at an address or in a folder that the settings name."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from cubehub_catalogue.errors import CatalogueError, ForbiddenError, UnknownError, UpstreamError
from cubehub_catalogue.query import Capabilities, Page
from cubehub_catalogue.sources.sieve import Sieve, asked_for, properties_in
from cubehub_catalogue.text import left_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Query
    from cubehub_catalogue.settings import Catalogue
    from cubehub_catalogue.sources.geoparquet_file import Found, GeoParquetFile

MOST_BYTES = 2**30
REMEMBERED_S = 600.0
LONGEST_S = 900.0
"""For fetching the file."""


@dataclass(frozen=True)
class _Rest:
    """The rest of a search: the rows are known."""

    file: GeoParquetFile
    found: Found
    done: int


class GeoParquetSource:
    """One stac-geoparquet file.

    Parameters
    ----------
    catalogue
        Its settings; `url` is the file's address, or ``file:///name`` below `folder`.
    client
        How it is had.
    folder
        Where files of this machine may be read; None, nowhere.
    most_bytes
        A larger one is refused.
    clock
        Gives seconds.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        client: Client,
        *,
        folder: Path | None = None,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue, self._client = catalogue, client
        self._folder, self._most_bytes, self._clock = folder, most_bytes, clock
        self._file: GeoParquetFile | None = None
        self._since = 0.0
        self._opening: asyncio.Task[GeoParquetFile] | None = None
        self._lock = asyncio.Lock()

    async def capabilities(self) -> Capabilities:
        """Give what is done here."""
        return Capabilities(filter=True, sort=True, text=True)

    async def collections(self) -> list[dict[str, Any]]:
        """Give the collections that the file describes, or its rows name."""
        file = await self._open()
        async with self._lock:
            return await asyncio.to_thread(file.collections)

    async def queryables(self, collections: Sequence[str]) -> dict[str, Any]:
        """Give the JSON Schema of the file's columns, which are those of all of its collections."""
        del collections
        return (await self._open()).schema()

    async def search(self, query: Query, following: Any = None) -> Page:
        """Give one page; the rows of all pages are found with the first one."""
        if isinstance(following, _Rest):
            file, found, done = following.file, following.found, following.done
        else:
            file, done = await self._open(), 0
            names = asked_for(self._catalogue, query.collections)
            sieve = Sieve(query, collections=names, filter_=query.filter)
            filtered = properties_in(query.filter)
            async with self._lock:
                found = await asyncio.to_thread(file.find, query, sieve, names, filtered)
        async with self._lock:
            items, bad = await asyncio.to_thread(file.items, found, done, query.limit)
        after = done + query.limit
        return Page(
            tuple(items),
            _Rest(file, found, after) if after < len(found) else None,
            len(found),
            ("sort",) if found.unsorted else (),
            (left_out(bad, "the file"),) if bad else (),
        )

    async def _open(self) -> GeoParquetFile:
        """Give the file; fetching it goes on when a search is given up, so that the next one finds it."""
        if self._file is not None and self._clock() - self._since <= REMEMBERED_S:
            return self._file
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._load())
            self._opening.add_done_callback(_looked_at)
        self._file = await asyncio.shield(self._opening)
        return self._file

    async def _load(self) -> GeoParquetFile:
        _needed()
        parts = urlsplit(self._catalogue.url)
        try:
            async with asyncio.timeout(LONGEST_S):
                file = await (self._local(parts.path) if parts.scheme == "file" else self._had())
        except TimeoutError as error:
            raise UpstreamError(
                "timeout",
                f"The catalogue's file was not there after {LONGEST_S / 60:.0f} minutes.",
                "Try again later.",
            ) from error
        self._since = self._clock()
        return file

    async def _local(self, path: str) -> GeoParquetFile:
        from cubehub_catalogue.sources.geoparquet_file import GeoParquetFile  # noqa: PLC0415 - an extra

        if self._folder is None:
            raise ForbiddenError(
                "no_folder", "No folder is set from which files may be read.", "Use an https address."
            )
        folder = self._folder.resolve()
        try:
            file = (folder / unquote(path).lstrip("/")).resolve()
            if not file.is_relative_to(folder):
                raise ForbiddenError(
                    "outside_folder", "The file is outside the folder that is set.", "Move it there."
                )
            if not file.is_file():
                raise UnknownError("no_file", f"There is no file {file.name}.", "Look at its name.")
        except (OSError, ValueError) as error:
            raise UnknownError("no_file", "There is no such file.", "Look at its name.") from error
        return await asyncio.to_thread(GeoParquetFile, str(file), self._catalogue.url)

    async def _had(self) -> GeoParquetFile:
        """Have the file, in one without a name that goes with the last reader."""
        from cubehub_catalogue.sources.geoparquet_file import GeoParquetFile  # noqa: PLC0415 - an extra

        with tempfile.NamedTemporaryFile(prefix="cubehub-catalogue-") as file:
            try:
                async with self._client.stream(self._catalogue.url, most_bytes=self._most_bytes) as answer:
                    async for piece in answer.pieces:
                        await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(file.flush)
            except OSError as error:
                raise UpstreamError(
                    "no_room",
                    "The catalogue's file could not be kept.",
                    "Make room, or ask your administrator.",
                ) from error
            return await asyncio.to_thread(_mapped, file.name, self._catalogue.url, GeoParquetFile)


def _looked_at(task: asyncio.Task[GeoParquetFile]) -> None:
    """Take a failure that nobody waited for any more."""
    if not task.cancelled():
        task.exception()


def _mapped(name: str, url: str, kind: type[GeoParquetFile]) -> GeoParquetFile:
    """Open a file so that it stays readable when its name goes."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    if Path(name).stat().st_size == 0:
        return kind(pa.BufferReader(b""), url)
    return kind(pa.memory_map(name), url)


def _needed() -> None:
    try:
        import pyarrow  # noqa: F401, ICN001, PLC0415 - only whether it is there
    except ImportError as error:
        raise CatalogueError(
            "needs_pyarrow",
            "Searching stac-geoparquet needs pyarrow, which is not installed.",
            "Install it: pip install 'cubehub-catalogue[geoparquet]'",
        ) from error
