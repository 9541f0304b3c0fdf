"""The routes of what a person saved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tornado.web import authenticated

from cubehub_catalogue import sharing
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.handling import Handler
from cubehub_catalogue.saved import Store
from cubehub_catalogue.saved_forms import MOST_BYTES

if TYPE_CHECKING:
    from cubehub_catalogue.context import Context
    from cubehub_catalogue.handling import Route
    from cubehub_catalogue.saved_forms import Kept


class SavedHandler(Handler):
    """Searches, favourites and the cart."""

    most_bytes = MOST_BYTES + 2**20

    @authenticated
    async def get(self) -> None:
        """Answer with all of it, its version as ETag."""
        self._tell(await asyncio.to_thread(self._store().read))

    @authenticated
    async def put(self) -> None:
        """Replace the version that If-Match names."""
        kept = await asyncio.to_thread(self._store().write, self.body(), self.request.headers.get("If-Match"))
        self._tell(kept)

    def compute_etag(self) -> None:
        """Leave the ETag to the file's version."""

    def _store(self) -> Store:
        return Store(self.context.data)

    def _tell(self, kept: Kept) -> None:
        self.set_header("ETag", kept.version)
        self.answer(kept.to_dict())


class ExportHandler(Handler):
    """A search that is passed on."""

    @authenticated
    async def post(self) -> None:
        """Answer to ``{name, query, catalogues}`` with a file ``{name, text}`` and the fragment of a link."""
        sent = self.body()
        name, text = sharing.as_file(sent)
        link = sharing.as_link("", sent.get("query"), sent.get("catalogues", []))
        self.answer({"file": {"name": name, "text": text}, "fragment": link.removeprefix("#")})


class ImportHandler(Handler):
    """A search that came from somebody."""

    @authenticated
    async def post(self) -> None:
        """Answer to ``{text}`` of a file or ``{link}`` with ``{name, query, catalogues}``."""
        sent = self.body()
        text, link = sent.get("text"), sent.get("link")
        if isinstance(text, str):
            self.answer(sharing.from_file(text))
        elif isinstance(link, str):
            self.answer(sharing.from_link(link))
        else:
            raise InputError(
                "bad_saved", "There is neither a file's text nor a link.", "Choose a file, or paste a link."
            )


def handlers(context: Context) -> list[Route]:
    """Give the routes of what is saved."""
    shared = {"context": context}
    return [
        ("saved", SavedHandler, shared),
        ("saved/export", ExportHandler, shared),
        ("saved/import", ImportHandler, shared),
    ]
