"""Where an item's assets lie: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

if TYPE_CHECKING:
    from cubehub_catalogue.query import Item


def hrefs(asset: dict[str, Any]) -> list[str]:
    """Give an asset's address and its alternates (extension *alternate-assets*)."""
    others = asset.get("alternate")
    every = [asset, *(others.values() if isinstance(others, dict) else ())]
    return [
        one["href"]
        for one in every
        if isinstance(one, dict) and isinstance(one.get("href"), str) and one["href"]
    ]


def absolute(item: Item, href: str) -> str:
    """Make a relative address whole by the item's link to itself; without one, the client takes the catalogue's root."""
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "self" and isinstance(link.get("href"), str):
            try:
                return urljoin(str(link["href"]), href)
            except ValueError:
                return href
    return href


def elsewhere(href: str) -> bool:
    """Whether an address is one that no web server answers, such as s3:."""
    scheme = href.partition(":")[0].lower() if ":" in href.partition("/")[0] else ""
    return scheme not in ("", "http", "https")
