"""Where scenes come from: a folder, a static or searchable STAC catalogue, an object store, a data store of xcube."""

import re
from typing import Any

from xcube_cubehub.errors import BadInputError
from xcube_cubehub.sources.cubes import CubeSource, Opening
from xcube_cubehub.sources.folder import FolderSource
from xcube_cubehub.sources.model import Asset, Found, SceneHandle, Source
from xcube_cubehub.sources.stac import StacApi

__all__ = ["Asset", "CubeSource", "FolderSource", "Found", "SceneHandle", "Source", "StacApi", "open_source"]


def open_source(text: str, options: dict[str, Any] | None = None) -> Source:
    """A source by its address.

    Parameters
    ----------
    text : str
        ``stac+https://HOST/PATH#COLLECTION,COLLECTION`` for a STAC API; ``store:ID/DATASET`` for a cube in a data
        store of xcube; otherwise a path or an address of a folder, a SAFE folder, a NetCDF file, a Zarr or a
        ``catalog.json``.
    options : dict, optional
        Parameters of the store or file system; for an API its ``query`` and ``max_items``.

    Raises
    ------
    BadInputError
        The text names no source.

    Notes
    -----
    Nothing is opened yet.
    """
    given = options or {}
    if text.startswith("store:"):
        place = text.removeprefix("store:")
        if not re.fullmatch(r"[A-Za-z0-9_-]+/.+", place):
            raise BadInputError(
                f"{text!r} names no dataset of a store", "write store:ID/DATASET, such as store:file/a.zarr"
            )
        return CubeSource(Opening("store", place, given))
    if text.startswith("stac+"):
        url, _, collections = text.removeprefix("stac+").partition("#")
        if not re.match(r"https?://[^/]", url):
            raise BadInputError(f"{text!r} is no STAC API", "write stac+https://HOST/PATH#COLLECTION")
        unknown = set(given) - {"query", "max_items", "timeout_s"}
        if unknown:
            raise BadInputError(
                f"a STAC API takes no {', '.join(sorted(unknown))}", "it takes query, max_items, timeout_s"
            )
        return StacApi(url, tuple(name for name in collections.split(",") if name), **given)
    if not text.strip() or "\0" in text:
        raise BadInputError("the source has no name", "give a folder or an address")
    return FolderSource(text, given)
