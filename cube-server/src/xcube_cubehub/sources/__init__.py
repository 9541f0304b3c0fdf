"""Where scenes come from: a folder, a static or searchable STAC catalogue, an object store, a data store of xcube."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from xcube_cubehub.errors import BadInputError
from xcube_cubehub.sources.cubes import CubeSource, Opening
from xcube_cubehub.sources.folder import FolderSource
from xcube_cubehub.sources.model import Asset, Found, SceneHandle, Source
from xcube_cubehub.sources.stac import StacApi

__all__ = ["Asset", "CubeSource", "FolderSource", "Found", "SceneHandle", "Source", "StacApi", "open_source"]


def open_source(text: str, options: dict[str, Any] | None = None, buckets: Iterable[str] = ()) -> Source:
    """A source by its address.

    Parameters
    ----------
    text : str
        ``stac+https://HOST/PATH#COLLECTION,COLLECTION`` for a STAC API; ``store:ID/DATASET?NAME=VALUE&…`` for a cube
        in a data store of xcube, with the store's parameters (values may be JSON); otherwise a path or an address of a folder, a SAFE folder, a NetCDF file, a Zarr or a
        ``catalog.json``.
    options : dict, optional
        Parameters of the store or file system; for an API its ``query`` and ``max_items``.
    buckets : iterable of str, optional
        Names of buckets that items of a catalogue on the web may name (``s3://NAME/…``). They are read with the
        credentials of the environment, so a catalogue does not choose them.

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
        place, _, query = text.removeprefix("store:").partition("?")
        given = {**store_parameters(query), **given}
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
        wanted = tuple(name for name in collections.split(",") if name)
        return StacApi(url, wanted, **given, buckets=frozenset(buckets))
    if not text.strip() or "\0" in text:
        raise BadInputError("the source has no name", "give a folder or an address")
    return FolderSource(text, given, frozenset(buckets))


def store_parameters(query: str) -> dict[str, Any]:
    """Parameters of a data store as written behind its address; what is no JSON is text.

    Raises
    ------
    BadInputError
        It is no list of ``NAME=VALUE``, or holds what belongs into the environment.
    """
    try:
        pairs = parse_qsl(query, strict_parsing=True) if query else []
    except ValueError as error:
        raise BadInputError(
            "what follows the ? of a store is no NAME=VALUE&NAME=VALUE",
            "such as store:s3/a.zarr?root=BUCKET/PREFIX",
        ) from error
    found: dict[str, Any] = {}
    for name, value in pairs:
        # An address is told in reports, provenance and the list of processes
        if any(word in name.lower() + value.lower() for word in ("secret", "password", "token")):
            raise BadInputError(
                f"the parameter {name} of a store belongs into the environment",
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and leave it out of the address",
            )
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
