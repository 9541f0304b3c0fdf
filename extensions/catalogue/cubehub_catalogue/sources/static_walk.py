"""A walk through a static catalogue, from link to link, that can stop anywhere and go on later."""

from __future__ import annotations

import asyncio
import heapq
import json
import zlib
from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from cubehub_catalogue.errors import CatalogueError, SignInError, UpstreamError
from cubehub_catalogue.sources.records import BadRecordError
from cubehub_catalogue.sources.stac_files import fit_collection, fit_item
from cubehub_catalogue.text import left_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Item

_AT_ONCE, _NAMES_OF_BAD = 16, 3
_KINDS = {"child": "catalog", "item": "item", "items": "items"}
_API = "https://api.stacspec.org/"


@dataclass(frozen=True)
class Limits:
    """How far a walk goes."""

    depth: int = 32
    documents: int = 20_000
    items: int = 100_000
    """Lists of items hold many in one document."""
    links: int = 200_000
    bytes: int = 128 * 2**20
    """Of all items, packed."""
    item_bytes: int = 4 * 2**20
    document_s: float = 10.0
    """For one document; those that hang must not hold up the others."""


@dataclass(order=True, frozen=True)
class Node:
    """A document that was not read yet."""

    key: tuple[int, ...]
    """Places of the links that lead to it: the catalogue's own order."""
    url: str = field(compare=False)
    kind: str = field(compare=False)
    """``catalog``, ``item`` or ``items``, as the link says."""
    collection: str | None = field(compare=False, default=None)
    """The nearest collection above."""


@dataclass(order=True, frozen=True)
class Kept:
    """An item that was read."""

    key: tuple[int, ...]
    collection: str | None = field(compare=False)
    packed: bytes = field(compare=False, repr=False)

    def item(self) -> Item:
        """Unpack it."""
        found: Item = json.loads(zlib.decompress(self.packed))
        return found


class Walk:
    """What is known of a catalogue so far.

    Parameters
    ----------
    client
        How documents are had.
    root
        Address of the first one.
    clock
        Gives seconds.
    limits
        How far it goes.
    """

    def __init__(
        self, client: Client, root: str, clock: Callable[[], float], limits: Limits | None = None
    ) -> None:
        self._client, self._clock = client, clock
        self.limits = limits or Limits()
        self.items: list[Kept] = []
        """In the catalogue's order."""
        self.collections: dict[str, dict[str, Any]] = {}
        self.pending: dict[tuple[int, ...], Node] = {(): Node((), root, "catalog")}
        self.started = clock()
        self._root = root
        self._origin = _origin(root)
        self._seen = {urldefrag(root)[0]}
        self._lock = asyncio.Lock()
        self._documents = self._bytes = 0
        self.unread = self.elsewhere = self.deep = 0
        self.bad = 0
        """Records that can't be used; of some the name of their file is kept."""
        self._bad_names: list[str] = []
        self.stopped = False
        """Whether a limit was met."""

    async def go(self, wanted: Callable[[Node], bool], until: float, enough: Callable[[], bool]) -> None:
        """Read on, in order, what is wanted.

        Parameters
        ----------
        wanted
            Says whether a document matters.
        until
            When to stop, by the clock; what is under way is still read.
        enough
            Asked between documents.

        Raises
        ------
        UpstreamError
            The catalogue's first document can't be read.
        """
        async with self._lock:
            todo = [node for node in self.pending.values() if wanted(node)]
            heapq.heapify(todo)
            while todo and not self.stopped and not enough():
                batch = [heapq.heappop(todo) for _ in range(min(_AT_ONCE, len(todo)))]
                # should this be cancelled, the batch is still pending and read the next time
                answers = await asyncio.gather(*map(self._read, batch), return_exceptions=True)
                for node, answer in zip(batch, answers, strict=True):
                    if isinstance(answer, BaseException):
                        raise answer
                    del self.pending[node.key]
                    for found in self._take(node, answer):
                        self.pending[found.key] = found
                        if wanted(found):
                            heapq.heappush(todo, found)
                if self._clock() >= until:
                    return  # after something was read, so that asking again always leads on

    def horizon(self, wanted: Callable[[Node], bool]) -> tuple[int, ...] | None:
        """Give the place up to which nothing can come any more; None where all was read."""
        if self.stopped:
            return None
        return min((node.key for node in self.pending.values() if wanted(node)), default=None)

    def warnings(self) -> tuple[str, ...]:
        """Tell what is missing."""
        told = (
            (self.unread, "documents of this catalogue could not be read."),
            (self.deep, "catalogues in this catalogue stand too deep and were not read."),
            (self.elsewhere, "links of this catalogue lead to another host and were not followed."),
        )
        limit = (f"This catalogue is too large to be walked through; {self._documents} documents were read.",)
        bad = (left_out(self.bad, "this catalogue", self._bad_names),) if self.bad else ()
        return (
            *(f"{count} {what}" for count, what in told if count), *bad, *(limit if self.stopped else ())
        )  # fmt: skip

    def _is_bad(self, url: str) -> None:
        self.bad += 1
        name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2][:60]
        if (
            name.isprintable()
            and name
            and name not in self._bad_names
            and len(self._bad_names) < _NAMES_OF_BAD
        ):
            self._bad_names.append(name)

    async def _read(self, node: Node) -> tuple[str, Any] | None:
        try:
            async with asyncio.timeout(self.limits.document_s):
                answer = await self._client.json(node.url, cached=True)
        except SignInError:
            raise
        except TimeoutError as error:
            if node.key:
                return None
            raise UpstreamError(
                "timeout",
                f"The catalogue did not answer within {self.limits.document_s:g} s.",
                "Try again later.",
            ) from error
        except CatalogueError:
            if not node.key:
                raise
            return None
        return answer.url, answer.value

    def _take(self, node: Node, answer: tuple[str, Any] | None) -> list[Node]:
        self._documents += 1
        if self._documents >= self.limits.documents:
            self.stopped = True
        if answer is None:
            self.unread += 1
            return []
        url, value = answer
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "Feature":
            self._keep(node.key, value, url, node.collection)
        elif kind == "FeatureCollection":
            features = value.get("features")
            for place, one in enumerate(features if isinstance(features, list) else ()):
                if self.stopped:
                    break
                self._keep((*node.key, place), one, url, node.collection)
        elif isinstance(value, dict) and isinstance(value.get("links"), list):
            return self._open(node, value, url)
        elif not node.key:
            raise UpstreamError(
                "not_stac",
                "The catalogue's address gives no STAC catalogue.",
                "The settings' url must be the one of its catalog.json.",
            )
        else:
            self._is_bad(url)
        return []

    def _keep(self, key: tuple[int, ...], value: object, url: str, collection: str | None) -> None:
        try:
            item = fit_item(value, url, collection)
            packed = zlib.compress(json.dumps(item).encode(), 1)
        except (BadRecordError, ValueError, TypeError, RecursionError):
            self._is_bad(url)
            return
        if len(packed) > self.limits.item_bytes:
            self._is_bad(url)
            return
        self._bytes += len(packed)
        if self._bytes > self.limits.bytes or len(self.items) >= self.limits.items:
            self.stopped = True
            return
        insort(self.items, Kept(key, item.get("collection"), packed))

    def _open(self, node: Node, value: dict[str, Any], url: str) -> list[Node]:
        if not node.key:
            _not_an_api(value)
            self._origin = _origin(url)  # where its own redirect led
            self._seen.add(urldefrag(url)[0])
        collection = node.collection
        if value.get("type") == "Collection" or ("type" not in value and "extent" in value):
            made = fit_collection(value, url)
            if made is None:
                self._is_bad(url)
            else:
                collection = made["id"]
                self.collections.setdefault(made["id"], made)
        if len(node.key) >= self.limits.depth:
            self.deep += 1
            return []
        found = []
        for place, link in enumerate(value["links"]):
            made_node = self._follow(node, place, link, url, collection)
            if made_node is not None:
                found.append(made_node)
            if self.stopped:
                break
        return found

    def _follow(self, node: Node, place: int, link: object, url: str, collection: str | None) -> Node | None:
        if (
            not isinstance(link, dict)
            or str(link.get("rel")) not in _KINDS
            or not isinstance(link.get("href"), str)
        ):
            return None
        kind = str(link.get("type") or "json")
        if link["rel"] == "items" and "json" not in kind:
            return None
        try:
            target = urldefrag(urljoin(url, link["href"][:8000]))[0]
            origin = _origin(target)
        except ValueError:
            self._is_bad(url)
            return None
        if origin != self._origin:
            self.elsewhere += 1
            return None
        if target in self._seen:
            return None
        self._seen.add(target)
        if len(self._seen) > self.limits.links:
            self.stopped = True
        return Node((*node.key, place), target, _KINDS[str(link["rel"])], collection)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _not_an_api(value: dict[str, Any]) -> None:
    classes = value.get("conformsTo")
    if isinstance(classes, list) and any(
        str(one).startswith(_API) and "item-search" in str(one) for one in classes
    ):
        raise UpstreamError(
            "not_static",
            "This catalogue is a STAC API, not a static catalogue.",
            "Take `type: static` away from its settings.",
        )
