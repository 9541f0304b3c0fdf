"""The description document of an OpenSearch service, and addresses made of its templates.

References
----------
OpenSearch 1.1 Draft 6; OGC 10-032r8 (geo and time); OGC 13-026r8 (Earth observation; ranges as ``[0,20[``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from cubehub_catalogue.errors import UpstreamError
from cubehub_catalogue.sources.opensearch_xml import local, parse
from cubehub_catalogue.sources.records import text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

_LONGEST_TEMPLATE = 20_000
_MOST_URLS = 100
_FIELD = re.compile(r"\{([^{}?]{1,100})(\?)?\}")
_EXTENSION = re.compile(r"/extensions/(\w+)/\d\.\d/?$")
_WEB = re.compile(r"https?://[^{}/?#@\\\s]+(?:[/?]|$)")
_FORMATS = {
    "application/geo+json": 0,
    "application/vnd.geo+json": 0,
    "application/atom+xml": 1,
    "application/json": 2,
    "application/ld+json": 3,
}
_ALWAYS = {"language": "*", "inputEncoding": "UTF-8", "outputEncoding": "UTF-8", "searchTerms": ""}


@dataclass(frozen=True)
class Template:
    """One way to ask."""

    address: str
    relation: str
    """``results`` or ``collection``."""
    format: str
    fields: frozenset[str]
    """Names it has a place for, with the usual prefixes whatever the document calls them: ``geo:box``."""
    prefixes: Mapping[str, str]
    most: int | None
    """The most that `count` may be."""
    first_index: int = 1
    first_page: int = 1
    options: tuple[str, ...] = ()
    """Collections that the document lists."""

    def filled(self, values: Mapping[str, str]) -> str:
        """Give the address with values in it; places that are optional and have none go.

        Raises
        ------
        UpstreamError
            It needs what a search does not have.
        """
        missing: list[str] = []

        def place(found: re.Match[str]) -> str:
            name = _canonical(found[1], self.prefixes)
            value = values.get(name, "" if found[2] else _ALWAYS.get(name))
            if value is None:
                missing.append(name)
            return quote(value or "", safe="")

        head, mark, query = self.address.partition("?")
        parts = []
        for part in query.split("&"):
            names = [(_canonical(name, self.prefixes), optional) for name, optional in _FIELD.findall(part)]
            if names and all(optional and name not in values for name, optional in names):
                continue
            parts.append(_FIELD.sub(place, part))
        written = _FIELD.sub(place, head) + (mark + "&".join(parts) if mark and parts else "")
        if missing:
            raise UpstreamError(
                "bad_description",
                f"This catalogue can't be searched: it always wants {', '.join(sorted(set(missing)))}.",
                "Ask your administrator to name one of its collections' own description documents.",
            )
        return written


@dataclass(frozen=True)
class Description:
    """What a service can be asked."""

    title: str
    results: Template | None
    collections: Template | None


def read(written: str, url: str) -> Description:
    """Read a description document.

    Parameters
    ----------
    written
        The document.
    url
        Where it came from; templates may be relative to it.

    Raises
    ------
    UpstreamError
        It is none, or has no way to ask that is understood here.
    """
    root, prefixes = parse(written)
    if local(root) != "OpenSearchDescription":
        raise _no_description(f"it is <{local(root)[:40]}>")
    found: dict[str, list[Template]] = {"results": [], "collection": []}
    for element in [one for one in root.iter() if local(one) == "Url"][:_MOST_URLS]:
        made = _template(element, prefixes, url)
        if made is not None:
            found[made.relation].append(made)
    best = {name: min(listed, key=_preference, default=None) for name, listed in found.items()}
    if best["results"] is None and best["collection"] is None:
        raise _no_description("it has no Url that answers Atom or GeoJSON")
    name = next((one.text for one in root if local(one) in {"LongName", "ShortName"}), None)
    return Description(text(name) or "", best["results"], best["collection"])


def _preference(template: Template) -> tuple[int, int]:
    return _FORMATS[template.format], -len(template.fields)


def _template(element: Element, prefixes: Mapping[str, str], url: str) -> Template | None:
    written = element.get("template") or ""
    kind = (element.get("type") or "").partition(";")[0].strip().lower()
    relations = (element.get("rel") or "results").split()
    relation = next((one for one in ("collection", "results") if one in relations), None)
    if kind not in _FORMATS or relation is None or not 0 < len(written) <= _LONGEST_TEMPLATE:
        return None
    # a template is no URL until it is filled, and its host must not be one of the places
    head, mark, query = written.partition("?")
    try:
        address = urljoin(url, head) + mark + query
    except ValueError:
        return None
    if not _WEB.match(address):
        return None
    limits = {one.get("value"): one for one in element if local(one) == "Parameter"}
    count, parent = (_parameter(limits, name, prefixes) for name in ("count", "eo:parentIdentifier"))
    options = (
        [text(one.get("value")) for one in parent if local(one) == "Option"] if parent is not None else []
    )
    return Template(
        address,
        relation,
        kind,
        frozenset(_canonical(name, prefixes) for name, _ in _FIELD.findall(address)),
        prefixes,
        _whole(count.get("maxInclusive") if count is not None else None),
        _whole(element.get("indexOffset"), 1) or 0,
        _whole(element.get("pageOffset"), 1) or 0,
        tuple(one for one in options if one),
    )


def _parameter(
    limits: Mapping[str | None, Element], name: str, prefixes: Mapping[str, str]
) -> Element | None:
    for written, element in limits.items():
        if written and _canonical(written.strip("{}?"), prefixes) == name:
            return element
    return None


def _whole(written: str | None, otherwise: int | None = None) -> int | None:
    return int(written) if written and re.fullmatch(r"\d{1,9}", written) else otherwise


def _canonical(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, colon, plain = name.strip().partition(":")
    if not colon:
        return name.strip()
    known = _EXTENSION.search(prefixes.get(prefix, ""))
    return f"{known[1] if known else prefix}:{plain}"


def _no_description(why: str) -> UpstreamError:
    return UpstreamError(
        "bad_description",
        f"The catalogue's address gives no OpenSearch description: {why}.",
        "The settings' url must be the one of the description document (OSDD).",
    )
