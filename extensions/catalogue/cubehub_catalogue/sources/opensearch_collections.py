"""The collections that the first step of a two-step OpenSearch service lists (OGC 13-026r8, 19-020)."""

from __future__ import annotations

import json
from typing import Any

from cubehub_catalogue.sources.opensearch_answers import no_answer
from cubehub_catalogue.sources.opensearch_xml import ATOM, local, parse
from cubehub_catalogue.sources.records import link, text

_DESCRIPTION = "application/opensearchdescription+xml"
Listed = tuple[str, str, str, str | None]
"""Id, title, description, address of the collection's own description document."""


def listed(written: str, url: str) -> list[Listed]:
    """Read a list of collections, Atom or GeoJSON.

    Raises
    ------
    UpstreamError
        It is neither.
    """
    if written.lstrip("\ufeff \t\r\n").startswith("<"):
        return _of_atom(written, url)
    try:
        answer = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise no_answer("it is neither XML nor JSON") from error
    features = answer.get("features") if isinstance(answer, dict) else None
    if not isinstance(features, list):
        raise no_answer("it has no list `features`")
    return [made for one in features if isinstance(one, dict) and (made := _of_feature(one, url))]


def _of_atom(written: str, url: str) -> list[Listed]:
    root, _ = parse(written)
    found = []
    for entry in root.findall(f"{ATOM}entry"):
        names = [one.text for one in entry if local(one) == "identifier"]
        name = text(next(iter(names), None)) or text(entry.findtext(f"{ATOM}id"))
        if name is None:
            continue
        links = [one.attrib for one in entry.findall(f"{ATOM}link")]
        title = text(entry.findtext(f"{ATOM}title")) or name
        about = text(entry.findtext(f"{ATOM}summary")) or ""
        found.append((name, title, about, _own(links, url)))
    return found


def _of_feature(feature: dict[str, Any], url: str) -> Listed | None:
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    name = text(properties.get("identifier")) or text(feature.get("id"))
    if name is None:
        return None
    links = properties.get("links")
    own = links.get("search") if isinstance(links, dict) else links
    own = [{"rel": "search", **one} for one in own if isinstance(one, dict)] if isinstance(own, list) else []
    about = text(properties.get("abstract")) or text(properties.get("description")) or ""
    return name, text(properties.get("title")) or name, about, _own(own, url)


def _own(links: list[dict[str, Any]], url: str) -> str | None:
    for one in links:
        if (
            one.get("rel") == "search"
            and one.get("type") == _DESCRIPTION
            and (found := link(one.get("href"), url))
        ):
            return found
    return None
