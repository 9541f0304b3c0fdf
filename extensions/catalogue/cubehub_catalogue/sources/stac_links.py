"""Links of STAC APIs: where to search, and every way in which one says where the next page is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cubehub_catalogue.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_TAKEN = {
    "authorization", "connection", "content-length", "cookie", "host", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
"""Headers that a link must not set: who asks, and how it is sent, is the client's to say."""


@dataclass(frozen=True)
class Request:
    """One question to a STAC API."""

    url: str
    method: str = "GET"
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def joined(base: str, href: str) -> str:
    """Give the address that a link leads to.

    Raises
    ------
    UpstreamError
        It can't be one, such as ``http://[::1``.
    """
    try:
        return urljoin(base, href)
    except ValueError as error:
        raise UpstreamError(
            "bad_link",
            "A link in the catalogue's answer is no address.",
            "Tell whoever runs the catalogue; the others are not affected.",
        ) from error


def link(value: Any, *rels: str, method: str | None = None) -> dict[str, Any] | None:
    """First link of an object with one of these relations."""
    links = value.get("links") if isinstance(value, dict) else None
    for found in links if isinstance(links, list) else ():
        if (
            not isinstance(found, dict)
            or found.get("rel") not in rels
            or not isinstance(found.get("href"), str)
        ):
            continue
        if method is None or str(found.get("method") or "GET").upper() == method:
            return found
    return None


def following(answer: Any, asked: Request, base: str) -> Request | None:
    """Question for the page after an answer; None where it was the last.

    Parameters
    ----------
    answer
        What came, with its links.
    asked
        What it answers.
    base
        Where it came from, which relative addresses are relative to.

    Notes
    -----
    A link may hold a whole body, or with `merge` only what changes in it; without a body a POST repeats the one that
    was sent, and the address holds what changes. A link that asks the same again would never end, so it is the end.
    """
    found = link(answer, "next")
    if found is None or not found["href"]:
        return None
    method = str(found.get("method") or "GET").upper()
    if method not in ("GET", "POST"):
        return None
    url = joined(base, found["href"])
    body: Mapping[str, Any] | None = None
    if method == "POST":
        given = found.get("body")
        if isinstance(given, dict) and given:
            body = {**(asked.body or {}), **given} if found.get("merge") is True else given
        else:
            body = asked.body
    request = Request(url, method, body, headers={**_kept(asked.headers), **_kept(found.get("headers"))})
    same = request.url == asked.url and request.method == asked.method and request.body == asked.body
    return None if same and not asked.params and request.headers == asked.headers else request


def _kept(headers: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items() if hasattr(headers, "items") else ():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        plain = isinstance(name, str) and name.replace("-", "").replace("_", "").isalnum() and name.isascii()
        if plain and name.lower() not in _NOT_TAKEN and text.isprintable() and len(text) < 4_000:
            found[name] = text
    return found
