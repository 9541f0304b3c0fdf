"""Finds the small pictures that an item names: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cubehub_catalogue.asset_links import absolute, elsewhere, hrefs
from cubehub_catalogue.errors import UnknownError

if TYPE_CHECKING:
    from cubehub_catalogue.query import Item

Size = Literal["thumbnail", "quicklook"]

_SHOWN = frozenset({"image/png", "image/jpeg", "image/jpg", "image/webp", "image/gif", ""})
_ROLES: dict[Size, tuple[str, ...]] = {
    "thumbnail": ("thumbnail", "overview", "visual"),
    "quicklook": ("overview", "thumbnail", "visual"),
}
_KEYS: dict[Size, tuple[str, ...]] = {
    "thumbnail": ("thumbnail", "preview", "quicklook", "rendered_preview", "overview", "browse"),
    "quicklook": ("quicklook", "overview", "rendered_preview", "preview", "browse", "thumbnail"),
}
_RELS: dict[Size, tuple[str, ...]] = {"thumbnail": ("icon", "preview"), "quicklook": ("preview", "icon")}
_MOST = 3


def has_picture(item: Item) -> bool:
    """Whether an item names a picture that can be shown."""
    return bool(_candidates(item, "thumbnail"))


def picture_links(item: Item, size: Size) -> list[str]:
    """Give the addresses of an item's picture, the best first.

    Raises
    ------
    UnknownError
        It names none, or none that a web server gives.
    """
    found = [absolute(item, href) for href in _candidates(item, size)]
    shown = [href for href in found if not elsewhere(href)]
    if shown:
        return shown[:_MOST]
    if found:
        raise UnknownError(
            "picture_elsewhere",
            f"The picture of this item lies at {found[0].partition(':')[0][:20]}:, which the panel can't read.",
            "Insert code for the item and look at it in a notebook.",
        )
    raise UnknownError(
        "no_picture", "This item has no picture.", "Insert code for the item and look at it in a notebook."
    )


def _candidates(item: Item, size: Size) -> list[str]:
    assets = item.get("assets")
    named = list(assets.items()) if isinstance(assets, dict) else []
    named = [(key, asset) for key, asset in named if isinstance(asset, dict) and _shown(asset)]
    found = [
        href for role in _ROLES[size] for _, asset in named if role in _roles(asset) for href in hrefs(asset)
    ]
    found += [
        href for name in _KEYS[size] for key, asset in named if key.lower() == name for href in hrefs(asset)
    ]
    links = item.get("links")
    for rel in _RELS[size]:
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == rel and _shown(link):
                found += hrefs(link)
    return sorted(dict.fromkeys(found), key=elsewhere)


def _roles(asset: dict[str, Any]) -> list[Any]:
    roles = asset.get("roles")
    return roles if isinstance(roles, list) else []


def _shown(asset: dict[str, Any]) -> bool:
    """Whether a picture is of a kind that is shown: no GeoTIFF, which is large, and nothing that can hold a script."""
    kind = asset.get("type")
    if kind is not None and not isinstance(kind, str):
        return False
    return (kind or "").partition(";")[0].strip().lower() in _SHOWN
