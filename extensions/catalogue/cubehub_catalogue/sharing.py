"""Searches that are passed on: as a file, or as a link."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from cubehub_catalogue.saved_forms import MOST_ENTRY, VERSION, loaded, refused, search

SUFFIX = ".cubehub-search.json"
FORMAT = "cubehub-search"
"""Of the file, and the name in a link."""
_SHARED = ("name", "query", "catalogues")


def as_file(kept: Any) -> tuple[str, str]:
    """Give name and content of the file by which a search is passed on.

    Raises
    ------
    InputError
        It is no search.
    """
    one = search({"id": "file", **kept} if isinstance(kept, dict) else kept)
    plain = re.sub(r"[^\w.-]+", "-", one["name"]).strip(".-")[:80] or "search"
    content = {
        "format": FORMAT,
        "version": VERSION,
        **{key: one[key] for key in ("name", "query", "catalogues")},
    }
    return plain + SUFFIX, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_file(content: str | bytes) -> dict[str, Any]:
    """Read a search that somebody passed on: ``{name, query, catalogues}``.

    Raises
    ------
    InputError
        It is none.
    """
    if len(content) > MOST_ENTRY:
        raise refused("This file is too large for a search.")
    value = loaded(content)
    if not isinstance(value, dict):
        raise refused("This file is no search of CubeHub.", f"Choose a file that ends in {SUFFIX}.")
    version = value.get("version", VERSION)
    if value.get("format", FORMAT) != FORMAT or not isinstance(version, int) or version > VERSION:
        raise refused(
            "This file is no search of CubeHub, or of a later version.",
            f"Choose a file that ends in {SUFFIX}.",
        )
    one = search({"id": "file", "name": "Search", **{key: value[key] for key in _SHARED if key in value}})
    return {key: one[key] for key in _SHARED}


def as_link(page: str, query: Any, catalogues: list[str]) -> str:
    """Give the address of a page with a search in it.

    Parameters
    ----------
    page : str
        Address of JupyterLab. What follows ``?`` is left out: a token may be there.
    query, catalogues
        As in a saved search.

    Notes
    -----
    The search stands after ``#``, which browsers send to no server, so it is in no log.

    Raises
    ------
    InputError
        It is no search.
    """
    one = search({"id": "link", "name": "link", "query": query, "catalogues": catalogues})
    text = json.dumps(
        {"query": one["query"], "catalogues": one["catalogues"]}, separators=(",", ":"), allow_nan=False
    )
    parts = urlsplit(page)
    return urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", f"{FORMAT}={quote(text, safe='')}")
    )


def from_link(link: str) -> dict[str, Any]:
    """Read the search in an address: ``{name, query, catalogues}``.

    Raises
    ------
    InputError
        There is none.
    """
    found = re.search(rf"[#&]{FORMAT}=([^&]*)", link[: 2 * MOST_ENTRY])
    if found is None:
        raise refused("There is no search in this link.", "Copy the whole of it.")
    value = loaded(unquote(found[1]))
    if not isinstance(value, dict):
        raise refused("The search in this link can't be read.", "Copy the whole of it.")
    one = search({"id": "link", "name": "Search", **{key: value[key] for key in _SHARED if key in value}})
    return {key: one[key] for key in _SHARED}
