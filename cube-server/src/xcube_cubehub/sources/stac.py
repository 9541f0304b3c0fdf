"""Items of the SpatioTemporal Asset Catalogue: what becomes a scene, from a folder or an API."""

import json
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from xcube_cubehub.errors import BadInputError, SceneBrokenError, SourceMissingError, SourceUnreachableError
from xcube_cubehub.sources.files import REMOTE, SECRETS, Files
from xcube_cubehub.sources.model import Asset, Bounds, Found, SceneHandle, skipped, unwrapped_bounds
from xcube_cubehub.sources.sentinel2 import handle_of_item
from xcube_cubehub.sources.sentinel3 import WFR_NAME, wfr_handle
from xcube_cubehub.steps import Area, TimeRange, digest

MAX_ITEMS = 20_000
"""Items of one catalogue or search that are looked at."""

PAGE = 100
TIMEOUT_S = 30.0
REFUSED = "an item names files of its own catalogue, on the web, or in a bucket that you allow (--allow-bucket); others are not read"
_WEB = re.compile(r"https?://[^/]", re.IGNORECASE)
_STORE = re.compile(r"(?:s3|gs|az)://([^/]+)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def scene_of_item(
    item: Any, base: str, allowed_root: str | None, buckets: Collection[str] = ()
) -> SceneHandle:
    """A handle for an item.

    Parameters
    ----------
    item : Any
        Parsed JSON.
    base : str
        Address or path of the item, against which relative addresses are taken.
    allowed_root : str or None
        Folder in which local assets must lie; None for an item from elsewhere, which has no local ones.
    buckets : collection of str, optional
        Names of buckets that an item from elsewhere may name, for the credentials of this machine open them.

    Raises
    ------
    SceneBrokenError
        It is no item, or none of a scene that recipes know.
    """
    return _scene(item, base, allowed_root, buckets)[0]


def _scene(
    item: Any, base: str, allowed_root: str | None, buckets: Collection[str]
) -> tuple[SceneHandle, list[str]]:
    """A handle for an item, and which of its assets are not in it because of where they are said to lie."""
    try:
        told = {name: str(asset.get("href", "")) for name, asset in item["assets"].items()}
        found = {name: _address(base, href, allowed_root, buckets) for name, href in told.items()}
        hrefs = {name: address for name, address in found.items() if address is not None}
        handle = _handle(item, hrefs)
        refused = []
        if len(hrefs) < len(told):
            # Thumbnails and the like are not missed
            refused = sorted(set(_handle(item, told).assets) - set(handle.assets))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise SceneBrokenError(f"it is no valid STAC item: {type(error).__name__}: {error}") from error
    return handle, refused


def _handle(item: Any, hrefs: Mapping[str, str]) -> SceneHandle:
    properties = item["properties"]
    identity, collection = str(item["id"]), str(item.get("collection") or "")
    bounds = bounds_of(item)
    if WFR_NAME.match(identity):
        files = {
            posixpath.basename(href).removesuffix(".nc"): Asset(href)
            for href in hrefs.values()
            if href.endswith(".nc")
        }
        mark = digest(identity, properties.get("updated"), sorted(files))
        return wfr_handle(identity, files, bounds, mark)
    instrument = (
        f"{properties.get('constellation', '')} {properties.get('platform', '')} {collection}".lower()
    )
    if (
        "sentinel-2" in instrument
        and "L2A" in f"{identity} {collection} {properties.get('s2:product_type', '')}".upper()
    ):
        return handle_of_item(item, hrefs, bounds)
    raise SceneBrokenError("recipes know no scenes of this kind")


def _address(base: str, href: str, allowed_root: str | None, buckets: Collection[str]) -> str | None:
    """Where an asset is read from; None if its catalogue has no business to name that.

    Notes
    -----
    What is judged is the joined address, as it will be opened. A document from the web names addresses on the web, one
    in an object store those and stores, one on this disk, which whoever builds has chosen, all of them and files below
    its own folder. So nobody elsewhere names a local file, nor a key that this machine's credentials open, but for the
    buckets that whoever builds has named.
    """
    is_whole = _SCHEME.match(href) is not None
    store = _STORE.match(href)
    if store is not None and store[1] in buckets:
        address, is_allowed = href, True
    elif _WEB.match(base):
        address = urljoin(base, href)
        is_allowed = _WEB.match(address) is not None
    elif is_whole:
        address = href
        is_local = allowed_root is not None
        is_allowed = _WEB.match(href) is not None or (
            store is not None and (is_local or _STORE.match(base) is not None)
        )
    elif REMOTE.match(base):
        address, is_allowed = _joined(base, href), True
    else:
        address = posixpath.normpath(posixpath.join(posixpath.dirname(base), href))
        is_allowed = allowed_root is not None and _is_below(address, allowed_root)
    # "::" is how fsspec names what is inside of something else, on whatever protocol
    is_plain = "::" not in address and address.isprintable()
    return address if href and is_allowed and is_plain else None


def _is_below(path: str, root: str) -> bool:
    """Whether a local path is in a folder, by its words and by where links lead."""
    if not path.startswith(root.rstrip("/") + "/") or "\0" in path:
        return False
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _joined(base: str, href: str) -> str:
    """An address relative to a document's own; dots are resolved."""
    if base.lower().startswith("http"):
        return urljoin(base, href)
    protocol, separator, path = base.rpartition("://")
    return f"{protocol}{separator}{posixpath.normpath(posixpath.join(posixpath.dirname(path), href))}"


def bounds_of(item: Mapping[str, Any]) -> Bounds | None:
    """The box of an item in degrees, east above west.

    Notes
    -----
    A polygon from -179 to 179 is, for a scene, one that crosses the antimeridian and was written without being cut:
    no scene is wider than half the globe. Its box is read that way.
    """
    lon, lat = [], []
    geometry = item.get("geometry") or {}
    waiting = [geometry.get("coordinates", [])]
    while waiting:
        part = waiting.pop()
        if len(part) >= 2 and all(isinstance(number, int | float) for number in part[:2]):
            lon.append(float(part[0]))
            lat.append(float(part[1]))
        else:
            waiting.extend(inner for inner in part if isinstance(inner, list))
    if lon:
        return unwrapped_bounds(lon, lat)
    box = item.get("bbox") or []
    if len(box) not in {4, 6}:
        return None
    west, south, east, north = (float(box[n]) for n in ((0, 1, 2, 3) if len(box) == 4 else (0, 1, 3, 4)))
    return unwrapped_bounds([west, east + 360 if east < west else east], [south, north])


def found_in_items(
    items: Iterable[tuple[Any, str]], allowed_root: str | None, buckets: Collection[str] = ()
) -> Found:
    """Handles of items and their addresses; what is none becomes a line."""
    scenes, report = [], []
    for item, base in items:
        try:
            scene, refused = _scene(item, base, allowed_root, buckets)
            scenes.append(scene)
            if refused:
                names = ", ".join(refused)
                report.append(skipped(scene.name, f"without {names}: {REFUSED}"))
        except SceneBrokenError as error:
            name = str(item.get("id", base)) if isinstance(item, Mapping) else base
            report.append(skipped(name, error.message))
    return Found(tuple(scenes), tuple(report))


def static_items(files: Files, start: str, found: list[tuple[str, str]]) -> Iterator[tuple[Any, str]]:
    """Items below a catalogue file, by its links; files that are broken are added to ``found`` with the reason.

    Links that leave the folder of the catalogue are not followed: a catalogue is data, and data does not choose what
    is read.
    """
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in seen or len(seen) > MAX_ITEMS:
            continue
        seen.add(path)
        try:
            document = json.loads(files.text(path))
            if not isinstance(document, dict):
                raise SceneBrokenError("it is no STAC document")  # noqa: TRY301 - one place says what is broken
        except (SceneBrokenError, ValueError, RecursionError) as error:
            found.append((posixpath.basename(path), f"it cannot be read: {error}"))
            continue
        if document.get("type") == "Feature":
            yield document, files.address(path)
            continue
        for member in document.get("features") or []:
            yield member, files.address(path)
        for link in document.get("links") or []:
            href = str(link.get("href", "")) if isinstance(link, dict) else ""
            if (
                isinstance(link, dict)
                and link.get("rel") in {"child", "item"}
                and href
                and not REMOTE.match(href)
            ):
                target = _joined(path, href)
                if (
                    _is_below(target, files.root)
                    if files.is_local
                    else target.startswith(files.root.rstrip("/") + "/")
                ):
                    waiting.append(target)


@dataclass(frozen=True)
class StacApi:
    """Scenes that a STAC API finds.

    Attributes
    ----------
    url : str
        Landing page.
    collections : tuple of str
        To search; all if none.
    query : dict
        As the ``query`` extension takes it, such as ``{"eo:cloud_cover": {"lt": 80}}``.
    max_items : int
        More is an error: a cube of it would not end.
    """

    url: str
    collections: tuple[str, ...] = ()
    query: dict[str, Any] = field(default_factory=dict)
    max_items: int = MAX_ITEMS
    timeout_s: float = TIMEOUT_S
    buckets: frozenset[str] = frozenset()
    """That its items may name."""

    @property
    def title(self) -> str:
        """Address and collections."""
        return f"{SECRETS.sub('//', self.url)} ({', '.join(self.collections) or 'all collections'})"

    def find(self, area: Area, time: TimeRange) -> Found:
        """Items that touch the area and the time."""
        items: dict[str, Any] = {}
        for box in area.boxes:
            for item in self._search(box, time):
                items[f"{item.get('collection')}/{item.get('id')}"] = item
                if len(items) > self.max_items:
                    raise SourceMissingError(
                        f"{self.title} has more than {self.max_items:,} items",
                        "take less time or a smaller area",
                    )
        return found_in_items(
            ((item, self._own(item)) for _, item in sorted(items.items())), None, self.buckets
        )

    def _own(self, item: Mapping[str, Any]) -> str:
        """Address of an item by its own word."""
        for link in item.get("links") or []:
            if (
                isinstance(link, Mapping)
                and link.get("rel") == "self"
                and _WEB.match(str(link.get("href", "")))
            ):
                return str(link["href"])
        return self.url

    def _search(self, box: Bounds, time: TimeRange) -> Iterator[Any]:
        from pystac_client import Client  # noqa: PLC0415 - slow to import, and only needed here
        from pystac_client.exceptions import APIError  # noqa: PLC0415

        interval = "/".join(f"{edge}Z" if edge is not None else ".." for edge in (time.start, time.end))
        try:
            client = Client.open(self.url, timeout=self.timeout_s)
            if self.query and not client.conforms_to("QUERY"):
                raise BadInputError(f"{self.title} knows no query extension", "leave the query out")
            search = client.search(
                collections=list(self.collections) or None,
                bbox=list(box),
                datetime=None if interval == "../.." else interval,
                query=self.query or None,
                max_items=self.max_items + 1,
                limit=PAGE,
            )
            yield from (item for item in search.items_as_dicts() if isinstance(item, Mapping))
        except (
            APIError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            NotImplementedError,
        ) as error:
            message = f"{self.title} does not answer as a STAC API: {type(error).__name__}: {error}"
            raise SourceUnreachableError(
                message[:400], "check the address and the names of collections"
            ) from error
