"""The route of pictures: what a browser gets was written by this server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.web import authenticated

from cubehub_catalogue.errors import InputError
from cubehub_catalogue.handling import ID, Handler, Route
from cubehub_catalogue.pictures import Pictures

if TYPE_CHECKING:
    from cubehub_catalogue.context import Context
    from cubehub_catalogue.picture_links import Size

_SIZES: dict[str, Size] = {"thumbnail": "thumbnail", "quicklook": "quicklook"}
_KEPT_S = 3600


class PictureHandler(Handler):
    """The picture of an item that was found."""

    def initialize(self, context: Context, pictures: Pictures | None = None) -> None:
        """Take what all routes share, and the pictures."""
        super().initialize(context)
        self.pictures = pictures or Pictures()

    @authenticated
    async def get(self, search: str, key: str) -> None:
        """Answer with a PNG or JPEG of the size that is asked for."""
        named = self.get_query_argument("size", "thumbnail")
        size = _SIZES.get(named)
        if size is None:
            raise InputError(
                "bad_size", f"There is no size {named[:40]!r}.", "Ask for thumbnail or quicklook."
            )
        entry = self.context.searches.get(search).entry(key)
        shown = await self.pictures.of(self.context.client(entry.catalogue), entry.item, size)
        self.set_header("Content-Type", shown.picture.media_type)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; sandbox")
        self.set_header("Cache-Control", f"private, max-age={_KEPT_S}")
        self.set_header("Etag", f'"{shown.etag}"')
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        # Jupyter Server's own `finish` would call it JSON
        self.finish(shown.picture.data, set_content_type=shown.picture.media_type)


def handlers(context: Context) -> list[Route]:
    """Give the route of pictures."""
    shared = {"context": context, "pictures": Pictures()}
    return [(f"searches/{ID}/items/{ID}/picture", PictureHandler, shared)]
