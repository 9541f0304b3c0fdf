"""What a person sees who opens the catalogue's address in a browser; programs get its JSON from the same address."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ITEM_SEARCH = "https://api.stacspec.org/v1.0.0/item-search"
_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#17303d}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.5rem 1rem .5rem 0;"
    "border-bottom:1px solid #d5e0e5;vertical-align:top}pre{background:#f1f5f7;padding:1rem;overflow-x:auto}"
    "a{color:#0b6a8a}"
)


def wants_page(method: str, path: str, accept: str, root: str) -> bool:
    """Whether a request is a browser's for the catalogue's root: it names HTML, which no STAC program does."""
    return method in {"GET", "HEAD"} and path in {root, root.rstrip("/")} and "text/html" in accept


def write_page(landing: Mapping[str, Any], collections: Iterable[Mapping[str, Any]], root_url: str) -> str:
    """Write the page.

    Parameters
    ----------
    landing
        The STAC landing page or catalogue; of it the title, the description and whether items can be searched.
    collections
        The STAC collections.
    root_url
        Address of the catalogue, with a slash at the end.

    Notes
    -----
    Titles may come from anywhere; all of them are escaped, and links lead nowhere but into the catalogue.
    """
    known = sorted(collections, key=lambda collection: str(collection.get("id")))
    rows = "".join(_row(collection, root_url) for collection in known)
    title = escape(str(landing.get("title", "Catalogue")))
    example = escape(
        _example(str(known[0]["id"]) if known else "NAME", _ITEM_SEARCH in str(landing.get("conformsTo")))
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<p><a href="/">Start page</a></p><h1>{title}</h1><p>{escape(str(landing.get("description", "")))}</p>'
        f"<h2>Collections</h2><table><thead><tr><th>Collection</th><th>Time</th><th>For programs</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        f"<h2>In a notebook</h2><pre><code>{example}</code></pre>"
        f"<p>From elsewhere, the address is <code>{escape(root_url)}</code>. It speaks "
        '<a href="https://stacspec.org" rel="noreferrer">STAC</a>, so any STAC program can read it.</p></body></html>'
    )


def _row(collection: Mapping[str, Any], root_url: str) -> str:
    name = str(collection.get("id"))
    own = escape(f"{root_url}collections/{quote(name, safe='')}")
    return (
        f"<tr><td><strong>{escape(str(collection.get('title') or name))}</strong><br><code>{escape(name)}</code></td>"
        f"<td>{escape(_days(collection))}</td>"
        f'<td><a href="{own}">collection</a> · <a href="{own}/items">items</a></td></tr>'
    )


def _days(collection: Mapping[str, Any]) -> str:
    try:
        first, last = collection["extent"]["temporal"]["interval"][0]
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    return f"{str(first or '…')[:10]} to {str(last or 'today')[:10]}"


def _example(collection: str, search: bool) -> str:
    read = (
        f"items = catalogue.search(collections=[{collection!r}]).items()"
        if search
        else f"items = catalogue.get_collection({collection!r}).get_items()"
    )
    return (
        "import os\nfrom pystac_client import Client\n\n"
        f'catalogue = Client.open(os.environ["CUBEHUB_CATALOGUE_URL"])\n{read}\n'
        "for item in items:\n    print(item.id, item.datetime)"
    )


class BrowserPage:
    """Answers browsers at the root with a page, made from what the application behind it tells programs."""

    def __init__(self, app: ASGIApp, root: str, root_url: str) -> None:
        self.app = app
        self.root = root
        self.root_url = root_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        headers = dict(scope.get("headers") or ())
        accept = headers.get(b"accept", b"").decode("latin-1")
        if scope["type"] != "http" or not wants_page(scope["method"], scope["path"], accept, self.root):
            await self.app(scope, receive, send)
            return
        landing = await self._ask(scope, self.root)
        listed = await self._ask(scope, f"{self.root}collections")
        if landing is None or listed is None:
            await self.app(scope, receive, send)
            return
        body = write_page(landing, listed.get("collections", []), self.root_url).encode()
        fields = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"content-security-policy", _POLICY),
            (b"vary", b"Accept"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _ask(self, scope: Scope, path: str) -> dict[str, Any] | None:
        """Give the application's JSON at another path; None unless it succeeds."""
        status = 0
        body = b""

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def keep(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")

        kept = [(name, value) for name, value in scope["headers"] if name == b"host"]
        asked = {
            **scope, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [*kept, (b"accept", b"application/json")],
        }  # fmt: skip
        await self.app(asked, nothing, keep)
        return json.loads(body) if status == 200 else None
