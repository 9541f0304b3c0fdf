"""Our own routes beside xcube's: health, sign-in of images, the viewer's page and settings, the base map."""

import asyncio
import functools
import io
import json
import re
from importlib import resources
from urllib.parse import urlsplit

import tornado.web
from PIL import Image

from xcube_cubehub import basemap
from xcube_cubehub.render import viewer_config
from xcube_cubehub.web import PlainHandler, ToldError, identify, remember

_ORIGIN = re.compile(r"https?://[\w.\[\]:-]+", re.ASCII)
WEEK_S = 7 * 24 * 3600


class HealthHandler(PlainHandler):
    """200 once the cubes are open."""

    def get(self) -> None:
        """Say that cubes can be served, or 503."""
        if not self.services.ready:
            raise tornado.web.HTTPError(503, "the cubes are being opened")
        self.write({"status": "ok"})


class SessionHandler(PlainHandler):
    """Called by the viewer page whenever its token changes, so that map images stay visible after a renewal."""

    async def post(self) -> None:
        """Set or clear the cookie for images; 503 while the token cannot be judged."""
        claim = await identify(self, self.services, images=False)
        if claim.problem is not None:
            raise ToldError(claim.problem.status, claim.problem)
        remember(self, self.services, claim)
        self.set_status(204)


class ViewerIndexHandler(PlainHandler):
    """xcube's viewer page with our title and the script that keeps images signed in."""

    def get(self) -> None:
        """The page."""
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-cache")
        # The address of the page that a sign-in comes back to holds a code.
        self.set_header("Referrer-Policy", "strict-origin")
        self.set_header("X-Frame-Options", "SAMEORIGIN")
        # Scripts are ours, and what they ask is asked of this server and of the realm: a link that names another server,
        # or a shared view made by hand, sends no sign-in elsewhere. Images may come from base maps that people add.
        # Of this server only the viewer's own folder has scripts: people's servers are below the same address.
        issuer = urlsplit(self.services.settings.issuer)
        origin = self.identify_origin()
        if _ORIGIN.fullmatch(origin) is None:
            raise tornado.web.HTTPError(400, "the Host header is not a host")
        scripts = f"{origin}{self.services.settings.prefix}/viewer/"
        self.set_header(
            "Content-Security-Policy",
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
            f"img-src * data: blob:; connect-src 'self' {issuer.scheme}://{issuer.netloc} data: blob:; "
            f"frame-src 'self' {issuer.scheme}://{issuer.netloc}; worker-src 'self' blob:; object-src 'none'; "
            f"base-uri 'self'; form-action 'self' {issuer.scheme}://{issuer.netloc}; frame-ancestors 'self'",
        )
        self.write(viewer_page())


@functools.lru_cache(maxsize=1)
def viewer_page() -> str:
    """The page of the viewer that xcube brings, adapted."""
    page = (resources.files("xcube.webapi.viewer") / "dist" / "index.html").read_text(encoding="utf-8")
    page = page.replace("<title>xcube Viewer</title>", "<title>CubeHub: cubes</title>")
    page = page.replace("./images/favicon.ico", "./config/logo.svg")
    # before the viewer's own, which reads the address once
    page = page.replace("<head>", '<head>\n<script src="./config/links.js"></script>', 1)
    return page.replace(
        "</head>",
        '<script src="./config/session.js" defer></script>\n<link rel="stylesheet" href="./config/cubehub.css">\n</head>',
    )


class ViewerConfigHandler(PlainHandler):
    """The viewer's config.json, for the origin by which the visitor came."""

    def get(self) -> None:
        """The configuration as JSON."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        self.write(json.dumps(viewer_config(self.services.settings, self.identify_origin())))


class NoExtensionsHandler(PlainHandler):
    """The viewer asks at each start for panels that the server adds; xcube answers 404 if there are none."""

    def get(self) -> None:
        """An empty list of panels."""
        self.write({"result": {"extensions": [], "contributions": {}}})


class BasemapHandler(PlainHandler):
    """Base map tiles."""

    async def get(self, z: str, x: str, y: str) -> None:
        """One PNG tile; 404 for one that does not exist."""
        try:
            png = await asyncio.get_running_loop().run_in_executor(
                None, basemap.render, int(z), int(x), int(y)
            )
        except ValueError as error:
            raise tornado.web.HTTPError(404, str(error)) from error
        self.set_header("Content-Type", "image/png")
        self.set_header("Cache-Control", f"public, max-age={WEEK_S}")
        self.write(png)


class EmptyTileHandler(PlainHandler):
    """A transparent tile: the viewer falls back to overlays of other hosts if it is given none."""

    def get(self) -> None:
        """One transparent pixel."""
        self.set_header("Content-Type", "image/png")
        self.set_header("Cache-Control", f"public, max-age={WEEK_S}")
        self.write(empty_tile())


@functools.lru_cache(maxsize=1)
def empty_tile() -> bytes:
    """One transparent pixel as PNG."""
    out = io.BytesIO()
    Image.new("RGBA", (1, 1)).save(out, "PNG")
    return out.getvalue()
