"""Items of the SpatioTemporal Asset Catalogue: what becomes a scene, from a folder or an API."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
READABLE = re.compile(r"^(https?|s3|gs|az)://", re.IGNORECASE)
"""Protocols by which an asset of a remote item is read; a remote item never names a local file."""


def scene_of_item(item: Any, base: str, allowed_root: str | None) -> SceneHandle:
    """A handle for an item.

    Parameters
    ----------
    item : Any
        Parsed JSON.
    base : str
        Address or path of the item, against which relative addresses are taken.
    allowed_root : str or None
        Folder in which local assets must lie; None for an item from elsewhere, which has no local ones.

    Raises
    ------
    SceneBrokenError
        It is no item, or none of a scene that recipes know.
    """
    try:
        properties, assets = item["properties"], item["assets"]
        identity, collection = str(item["id"]), str(item.get("collection") or "")
        hrefs = dict(_readable(assets, base, allowed_root))
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
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise SceneBrokenError(f"it is no valid STAC item: {type(error).__name__}: {error}") from error
    raise SceneBrokenError("recipes know no scenes of this kind")


def _readable(assets: Mapping[str, Any], base: str, allowed_root: str | None) -> Iterator[tuple[str, str]]:
    for name, asset in assets.items():
        href = str(asset.get("href", ""))
        if READABLE.match(href):
            yield name, href
        elif REMOTE.match(base) and not REMOTE.match(href):
            yield name, _joined(base, href)
        elif allowed_root is not None and not REMOTE.match(href):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(base), href))
            if path.startswith(allowed_root.rstrip("/") + "/"):
                yield name, path


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


def found_in_items(items: Iterator[tuple[Any, str]], allowed_root: str | None) -> Found:
    """Handles of items and their addresses; what is none becomes a line."""
    scenes, report = [], []
    for item, base in items:
        try:
            scenes.append(scene_of_item(item, base, allowed_root))
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
                if target.startswith(files.root.rstrip("/") + "/"):
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
        return found_in_items(((item, self._own(item)) for _, item in sorted(items.items())), None)

    def _own(self, item: Mapping[str, Any]) -> str:
        """Address of an item by its own word."""
        for link in item.get("links") or []:
            if (
                isinstance(link, Mapping)
                and link.get("rel") == "self"
                and READABLE.match(str(link.get("href", "")))
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
