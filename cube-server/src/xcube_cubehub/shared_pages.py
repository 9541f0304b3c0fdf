"""Our routes that show cubes outside of the viewer: cards, pictures, pages for other sites; and links into it."""

import asyncio
import hashlib
import ipaddress
import json
from concurrent.futures import ThreadPoolExecutor

import tornado.web

from xcube_cubehub import embed
from xcube_cubehub.access import current_identity
from xcube_cubehub.callers import Caller
from xcube_cubehub.errors import BusyError, CubeError, RequestError
from xcube_cubehub.permalinks import readable
from xcube_cubehub.web import PlainHandler, ToldError, identify

_DRAWING = ThreadPoolExecutor(1, thread_name_prefix="quicklooks")
"""One thread: what the fast path keeps is not locked, and pictures must not take the cores from tiles."""
MAX_WAITING = 100
SENTINEL = "sentinel"
"""The viewer asks for it at each start, to see whether links can be kept at all."""


class CubeHandler(PlainHandler):
    """Who asks, and whether a cube is for them; what is not there and what is not for them look the same."""

    waiting = 0

    def set_default_headers(self) -> None:
        """Say to caches whose answer it is, and to browsers that it is what it says."""
        self.set_header("Vary", "Authorization, Cookie")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def caller(self, *, images: bool) -> Caller:
        """Find out who asks, and hold that while the request is answered."""
        current_identity.set(None)
        claim = await identify(self, self.services, images=images)
        caller = await self.services.callers.confirm(claim)
        current_identity.set(caller.identity)
        return caller

    async def admit(self, cube: str) -> bool:
        """Whether the cube is public; refuses one that is not there or not for the sender."""
        current_identity.set(None)
        if self.services.policy.is_public(cube) and cube in self.services.showing.front.cubes:
            # a token that does not hold is refused all the same, as on every route
            await identify(self, self.services, images=True)
            return True
        caller = await self.caller(images=True)
        if not self.services.policy.allows(cube) or cube not in self.services.showing.front.cubes:
            if caller.problem is not None:
                raise ToldError(caller.problem.status, caller.problem)
            raise not_there()
        return False

    def told_unchanged(self, etag: str, *, public: bool) -> bool:
        """Set the headers of an answer that changes with its tag; whether the client has it already."""
        self.set_header("Etag", f'"{etag}"')
        self.set_header("Cache-Control", f"{'public' if public else 'private'}, no-cache")
        if self.check_etag_header():
            self.set_status(304)
            return True
        return False


def not_there() -> tornado.web.HTTPError:
    """The error for a cube that is not there, or not for the sender."""
    return tornado.web.HTTPError(404, "there is no such cube")


class CardsHandler(CubeHandler):
    """What the landing page shows of the cubes that a visitor may see."""

    async def get(self) -> None:
        """The cards as JSON."""
        caller = await self.caller(images=True)
        cards = self.services.showing.cards(self.services.policy.allows)
        body = json.dumps({"cubes": cards}).encode()
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        etag = hashlib.blake2b(body, digest_size=12).hexdigest()
        if not self.told_unchanged(etag, public=caller.identity is None):
            self.write(body)


class QuicklookHandler(CubeHandler):
    """The picture of a cube."""

    public = False

    async def prepare(self) -> None:
        """Refuse a cube that is not for the sender before anything else is said, the method included."""
        self.public = await self.admit(self.path_kwargs["cube"] or "")

    async def get(self, cube: str) -> None:
        """A PNG; ``var`` and ``time`` choose what it shows."""
        public = self.public
        try:
            wanted = self.services.showing.picture(
                cube, self.get_query_argument("var", None), self.get_query_argument("time", None)
            )
            self.set_header("Content-Type", "image/png")
            if self.told_unchanged(wanted.etag, public=public):
                return
            if CubeHandler.waiting >= MAX_WAITING:
                raise BusyError("too many pictures are being drawn already", "try again in a minute")
            CubeHandler.waiting += 1
            try:
                loop = asyncio.get_running_loop()
                body = await loop.run_in_executor(_DRAWING, self.services.showing.draw, wanted)
            finally:
                CubeHandler.waiting -= 1
        except RequestError as error:
            raise ToldError(error.status, error) from error
        except CubeError as error:
            raise tornado.web.HTTPError(500, "the cube cannot be read") from error
        self.write(body)


class EmbedHandler(CubeHandler):
    """A page for a frame in other people's pages: public cubes only, without script, cookie or sign-in."""

    def prepare(self) -> None:
        """Refuse all but public cubes before anything else is said; say who may frame the page."""
        showing = self.services.showing
        current_identity.set(None)
        sites = " ".join(showing.sites)
        self.set_header(
            "Content-Security-Policy",
            "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors 'self' {sites}".rstrip(),
        )
        self.set_header("Referrer-Policy", "no-referrer")
        cube = self.path_kwargs["cube"] or ""
        if not self.services.policy.is_public(cube) or cube not in showing.front.cubes:
            raise not_there()

    def get(self, cube: str) -> None:
        """The page; ``var`` and ``time`` choose what it shows."""
        showing = self.services.showing
        try:
            wanted = showing.picture(
                cube, self.get_query_argument("var", None), self.get_query_argument("time", None)
            )
        except RequestError as error:
            raise ToldError(error.status, error) from error
        except CubeError as error:
            raise tornado.web.HTTPError(500, "the cube cannot be read") from error
        folder = showing.front.cubes[cube].folder
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-cache")
        self.write(embed.page(self.services.settings.prefix, showing.entry(cube), wanted, folder))


def place_of(address: str | None) -> str:
    """Whom a visitor counts as: an address, or the network of one of IPv6, of which each has as many as they like."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "address unknown"
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return f"address {mapped or ipaddress.ip_network((found, 64), strict=False)}"
    return f"address {found}"


class PermalinkHandler(CubeHandler):
    """Views that people share: stored by the viewer, and opened by whoever has the link."""

    async def get(self) -> None:
        """A view, without what its reader may not see."""
        self.set_header("Cache-Control", "private, no-store")
        key = self.get_query_argument("key", None) or ""
        if key == SENTINEL:
            self.set_status(204)
            return
        await self.caller(images=False)
        state = self.services.links.load(key)
        if state is None:
            raise tornado.web.HTTPError(404, "there is no such view, or nobody opened it for a year")
        base = f"{self.identify_origin()}{self.services.settings.prefix}"
        # The viewer takes a state only from the address at which it is; a platform may have several
        answer = {"apiUrl": base, "state": readable(state, self.services.policy.allows)}
        self.write(json.dumps(answer))

    async def put(self) -> None:
        """Keep a view; the answer is its key."""
        caller = await self.caller(images=False)
        self.set_header("Cache-Control", "private, no-store")
        identity = caller.identity
        visitor = identity is None
        sender = f"person {identity.subject}" if identity is not None else place_of(self.request.remote_ip)
        try:
            key = self.services.links.save(self.request.body, sender, visitor=visitor)
        except RequestError as error:
            raise ToldError(error.status, error) from error
        self.write({"key": key})
