"""The routes of downloads into the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.web import authenticated

from cubehub_catalogue.asking import ids
from cubehub_catalogue.downloads import Downloads
from cubehub_catalogue.errors import InputError
from cubehub_catalogue.handling import ID, Handler, Route
from cubehub_catalogue.home.quota import Quota

if TYPE_CHECKING:
    from cubehub_catalogue.context import Context


class _DownloadHandler(Handler):
    def initialize(self, context: Context, downloads: Downloads | None = None) -> None:
        """Take what all routes share, and the downloads."""
        super().initialize(context)
        self.downloads = downloads or _of(context)


class DownloadsHandler(_DownloadHandler):
    """All downloads."""

    @authenticated
    async def get(self) -> None:
        """List them."""
        self.answer({"downloads": self.downloads.told()})

    @authenticated
    async def post(self) -> None:
        """Begin `{search, key, assets: [names], folder}`."""
        sent = self.body()
        search, key, folder = (sent.get(name, "") for name in ("search", "key", "folder"))
        if not all(isinstance(part, str) for part in (search, key, folder)):
            raise InputError("bad_input", "search, key and folder are texts.", "Load the page anew.")
        names = ids(sent.get("assets"), "assets")
        entry = self.context.searches.get(search).entry(key)
        self.answer({"downloads": self.downloads.start(entry.catalogue, entry.item, names, folder)}, 201)


class DownloadHandler(_DownloadHandler):
    """One download."""

    @authenticated
    async def delete(self, id_: str) -> None:
        """Give it up, or take it from the list."""
        await self.downloads.cancel(id_)
        self.set_status(204)
        self.finish()


class ResumeHandler(_DownloadHandler):
    """One download that stopped."""

    @authenticated
    async def post(self, id_: str) -> None:
        """Go on with it."""
        self.answer(self.downloads.resume(id_))


def handlers(context: Context) -> list[Route]:
    """Give the routes of downloads."""
    shared = {"context": context, "downloads": _of(context)}
    return [
        ("downloads", DownloadsHandler, shared),
        (f"downloads/{ID}", DownloadHandler, shared),
        (f"downloads/{ID}/resume", ResumeHandler, shared),
    ]


def _of(context: Context) -> Downloads:
    return Downloads(context.home, context.data, context.client, quota=Quota())
