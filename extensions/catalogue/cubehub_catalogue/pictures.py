"""Thumbnails and quicklooks of items, through the server: fetched within limits, written anew, remembered."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub_catalogue.errors import CatalogueError, UpstreamError
from cubehub_catalogue.picture_links import picture_links
from cubehub_catalogue.rendering import NotAPictureError, render

if TYPE_CHECKING:
    from cubehub_catalogue.http import Client
    from cubehub_catalogue.picture_links import Size
    from cubehub_catalogue.query import Item
    from cubehub_catalogue.rendering import Picture

MOST_BYTES: dict[Size, int] = {"thumbnail": 8 * 2**20, "quicklook": 24 * 2**20}
"""Of a picture as the catalogue sends it."""
_AT_ONCE, _THREADS = 6, 2
_KEPT_BYTES = 24 * 2**20


@dataclass(frozen=True)
class Shown:
    """A picture and the tag by which a browser asks whether it is the same still."""

    picture: Picture
    etag: str


class Pictures:
    """Of one person's server.

    Parameters
    ----------
    kept_bytes
        How much is remembered; what was looked at least lately makes room.
    """

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._most = kept_bytes
        self._kept: OrderedDict[tuple[str, str, Size], Shown] = OrderedDict()
        self._under_way: dict[tuple[str, str, Size], asyncio.Task[Shown]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cubehub-pictures")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.bytes = 0
        """Remembered now."""

    async def of(self, client: Client, item: Item, size: Size) -> Shown:
        """Give an item's picture.

        Parameters
        ----------
        client
            Of the item's catalogue.
        item
            The STAC item.
        size
            Which of both.

        Raises
        ------
        CatalogueError
            It has none, or none of those it names can be had and shown.
        """
        problem: CatalogueError | None = None
        for href in picture_links(item, size):
            try:
                return await self._one(client, href, size)
            except CatalogueError as error:
                # the first fault is the one of the picture that was meant
                problem = problem or error
        assert problem is not None  # noqa: S101 - there is a link, or that raised
        raise problem

    async def _one(self, client: Client, href: str, size: Size) -> Shown:
        key = (client.catalogue.id, href, size)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        task = self._under_way.get(key)
        if task is None:
            # of its own, so that who scrolls on and gives up does not take it from who waits for it too
            task = self._under_way[key] = asyncio.create_task(self._fetch(client, href, size))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: tuple[str, str, Size], task: asyncio.Task[Shown]) -> None:
        self._under_way.pop(key, None)
        if task.cancelled() or task.exception() is not None:
            return
        shown = task.result()
        self._kept[key] = shown
        self.bytes += len(shown.picture.data)
        while self.bytes > self._most:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= len(gone.picture.data)

    async def _fetch(self, client: Client, href: str, size: Size) -> Shown:
        async with self._turns:
            data = await self._read(client, href, size)
            try:
                picture = await asyncio.get_running_loop().run_in_executor(self._threads, render, data, size)
            except NotAPictureError as error:
                raise UpstreamError(
                    "picture_unusable",
                    f"The picture of this item can't be shown: {error}.",
                    "Insert code for the item and look at it in a notebook.",
                ) from None
        return Shown(picture, hashlib.sha256(picture.data).hexdigest()[:32])

    async def _read(self, client: Client, href: str, size: Size) -> bytes:
        async with client.stream(href, most_bytes=MOST_BYTES[size], total_s=client.limits.total_s) as stream:
            return b"".join([piece async for piece in stream.pieces])

    async def close(self) -> None:
        """Give up what is under way and forget the rest."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.clear()
        self.bytes = 0
        self._threads.shutdown(wait=False, cancel_futures=True)
