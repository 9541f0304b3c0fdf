"""The processes that people's requests reach: they answer tiles and series, and hand on the rest."""

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from isal import igzip

from xcube_cubehub.access import Access, may_read
from xcube_cubehub.bucket import BucketError, ChangedError
from xcube_cubehub.callers import Callers
from xcube_cubehub.errors import BusyError, CubeError, RequestError, TokenError
from xcube_cubehub.fast import http, png, published, tiles
from xcube_cubehub.fast.afar import Afar, NotHereError
from xcube_cubehub.fast.asked import (
    Legend,
    Series,
    Statistics,
    Tile,
    legend_of,
    series_of,
    statistics_of,
    tile_of,
)
from xcube_cubehub.fast.colours import Palettes
from xcube_cubehub.fast.forward import forward
from xcube_cubehub.fast.http import Connection, Request, error, response
from xcube_cubehub.fast.legends import Legends
from xcube_cubehub.fast.metrics import Metrics
from xcube_cubehub.fast.numbers import Numbers, Opened
from xcube_cubehub.fast.objects import Object, Part, object_of, read_far_part, read_part
from xcube_cubehub.fast.published import PUBLISHING_SOCKET, Published, Shown
from xcube_cubehub.fast.warp import MERCATOR
from xcube_cubehub.grid import TILE
from xcube_cubehub.index import INDEX, Style
from xcube_cubehub.tokens import ImageCookie

log = logging.getLogger(__name__)
LOOK_AGAIN_S = 0.25
"""How often it is seen whether other cubes were published."""
OPEN_CUBES = 32
MAX_WAITING_AREAS = 100
ROUNDS = 8
"""Of a tile from a bucket: index, chunks, the same of another level; and again if the objects change meanwhile."""
COMPLAIN_S, MAX_COMPLAINTS = 10.0, 1000
"""How often the log repeats what it has said."""
GZIP_FROM_BYTES = 2048
MAX_POINT_BYTES = 1024


@dataclass
class Places:
    """Where the server behind is, and what it tells."""

    socket: Path
    published: Path
    palettes: Path
    prefix: str
    publishing: Path | None = Path(PUBLISHING_SOCKET)
    """Where cubes are taken in; None where nobody can publish."""


class Front:
    """Answers requests.

    Parameters
    ----------
    places : Places
        Of the server behind.
    callers : Callers
        Tells who sends a request.
    metrics : Metrics
        Counts.
    afar : Afar, optional
        By which cubes in a bucket are read.
    attended : callable
        Whether somebody starts again what ends; if not, the server is not healthy.
    """

    def __init__(
        self,
        places: Places,
        callers: Callers,
        metrics: Metrics,
        afar: Afar | None = None,
        attended: Callable[[], bool] = lambda: True,
    ) -> None:
        self._places, self._callers, self._metrics = places, callers, metrics
        self._prefix = places.prefix.encode()
        self._published = Published({})
        self._looked = float("-inf")
        self._told: tuple[int, int] = (0, 0)
        self._palettes: Palettes | None = None
        self._cubes: OrderedDict[str, Opened] = OrderedDict()
        self._numbers = Numbers()
        self._legends = Legends()
        self._afar = afar
        self._attended = attended
        self._complained: dict[str, float] = {}

    def close(self) -> None:
        """Begin nothing more that takes long."""
        self._numbers.close()

    def answer(self, connection: Connection, request: Request) -> bytes | Awaitable[None]:
        """The response, or what writes it."""
        self._metrics.requests += 1
        if request.url.startswith(self._prefix):
            path, _, query = request.url[len(self._prefix) :].decode("latin-1").partition("?")
            if path.startswith("/publishing/"):
                return self._hand_in(connection, request)
            found: bytes | Awaitable[None] | None = None
            if request.method == b"GET":
                found = self._get(connection, request, path, query)
            elif request.method == b"POST":
                asked = series_of(path, query) or statistics_of(path, query, posted=True)
                found = None if asked is None else self._numbers_or_else(connection, request, asked)
            if found is not None:
                return found
        return self._pass_on(connection, request)

    def _get(  # noqa: PLR0911 - one for each kind of address
        self, connection: Connection, request: Request, path: str, query: str
    ) -> bytes | Awaitable[None] | None:
        """The response to what is understood to the letter; None for all else."""
        if (tile := tile_of(path, query)) is not None:
            return self._tile_or_else(connection, request, tile)
        if path == "/metrics":
            return self._told_metrics(request)
        if path == "/health" and not self._attended():
            return error(503, "what starts the parts of this server again does not work",
                         keep_alive=request.keep_alive)  # fmt: skip
        if (wanted := object_of(path)) is not None:
            return self._object_or_else(connection, request, wanted)
        if (value := statistics_of(path, query, posted=False)) is not None:
            return self._numbers_or_else(connection, request, value)
        if (legend := legend_of(path, query)) is not None:
            return self._legend_or_else(connection, request, legend)
        return None

    def _hand_in(self, connection: Connection, request: Request) -> bytes | Awaitable[None]:
        if self._places.publishing is None:
            return error(404, "nobody can publish on this platform", "ask the operator for published_dir",
                         keep_alive=request.keep_alive)  # fmt: skip
        self._metrics.passed_on += 1
        return forward(connection, request, self._places.publishing)

    def _pass_on(self, connection: Connection, request: Request) -> Awaitable[None]:
        self._metrics.passed_on += 1
        return forward(connection, request, self._places.socket)

    def _told_metrics(self, request: Request) -> bytes:
        # Who comes through the Hub's proxy has this header; what is counted is for whoever runs the machine
        if request.header(b"x-forwarded-for") is not None:
            return error(404, "not served here", keep_alive=request.keep_alive)
        head = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n"
        return response(200, head, self._metrics.text(), keep_alive=request.keep_alive)

    # What there is

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_AGAIN_S:
            return
        self._looked = now
        try:
            found = self._places.published.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp == self._told:
                return
            self._published = published.read(self._places.published)
            if self._palettes is None or not self._palettes.is_of(self._places.palettes):
                self._palettes = Palettes(self._places.palettes)
            self._told = stamp
        except FileNotFoundError:
            # Not told yet, or what was told does not hold any more: the server behind knows
            self._published, self._told = Published({}), (0, 0)
        except (OSError, ValueError, KeyError, TypeError):
            if self._told != (0, 0):
                log.exception("what is published cannot be read; going on as before")

    def _open(self, name: str, shown: Shown) -> Opened | None:
        try:
            found = os.stat(f"{shown.folder}/{INDEX}")  # noqa: PTH116 - for each request, and ten times as fast
        except OSError:
            return None
        stamp = (found.st_mtime_ns, found.st_ino)
        opened = self._cubes.get(name)
        if (
            opened is None or opened.stamp != stamp
            or (opened.cube.folder is not shown.folder and opened.cube.folder != shown.folder)
        ):  # fmt: skip
            if opened is not None:
                opened.cube.packs.close()
            try:
                cube = tiles.Cube(shown.folder, afar=self._afar)
            except CubeError as failure:
                log.error("%s; %s is left to the server behind", failure.message, name)  # noqa: TRY400
                self._cubes.pop(name, None)
                return None
            opened = self._cubes[name] = Opened(stamp, cube)
            while len(self._cubes) > OPEN_CUBES:
                self._cubes.popitem(last=False)[1].cube.packs.close()
        return opened

    # Who asks

    async def _admits(self, request: Request, name: str, shown: Shown, *, images: bool = False) -> bool:
        """Whether a request may be answered here; what may not, the server behind refuses in its own words."""
        authorization = _text(request.header(b"authorization"))
        cookie = _cookie(request) if images and authorization is None else None
        public = shown.rule.access is Access.PUBLIC
        if authorization is None and (public or cookie is None):
            return public
        try:
            claim = await self._callers.read(authorization, cookie)
        except TokenError:
            return False
        if public:
            return claim.problem is None
        caller = await self._callers.confirm(claim)
        return may_read(name, shown.rule, caller.identity)

    async def _unknown(self, connection: Connection, request: Request, *, images: bool = False) -> None:
        """Hand on what is not here, and ask first who asks, as for what is forbidden: else the time would tell the two apart."""
        authorization = _text(request.header(b"authorization"))
        cookie = _cookie(request) if images and authorization is None else None
        if authorization is not None or cookie is not None:
            with contextlib.suppress(TokenError):
                await self._callers.confirm(await self._callers.read(authorization, cookie))
        await self._pass_on(connection, request)

    # Tiles

    def _tile_or_else(self, connection: Connection, request: Request, tile: Tile) -> bytes | Awaitable[None]:
        self._look()
        shown = self._published.cubes.get(tile.cube)
        style = shown.styles.get(tile.variable) if shown is not None else None
        if shown is None or style is None:
            return self._unknown(connection, request, images=True)
        if shown.rule.access is Access.PUBLIC and request.header(b"authorization") is None:
            try:
                return self._tile(request, tile, shown, style) or self._pass_on(connection, request)
            except NotHereError as missing:
                return self._tile_from_afar(connection, request, tile, shown, style, missing)
        return self._tile_for_person(connection, request, tile, shown, style)

    async def _tile_for_person(
        self, connection: Connection, request: Request, tile: Tile, shown: Shown, style: Style
    ) -> None:
        made = None
        if await self._admits(request, tile.cube, shown, images=True):
            try:
                made = self._tile(request, tile, shown, style)
            except NotHereError as missing:
                await self._tile_from_afar(connection, request, tile, shown, style, missing)
                return
        if made is None:
            await self._pass_on(connection, request)
        else:
            connection.write(made)

    async def _tile_from_afar(
        self,
        connection: Connection,
        request: Request,
        tile: Tile,
        shown: Shown,
        style: Style,
        missing: NotHereError,
    ) -> None:
        """Fetch what a tile needs, and make it then; what was found tells what else is needed."""
        for _ in range(ROUNDS):
            try:
                await self._fetch(missing)
                made = self._tile(request, tile, shown, style)
            except NotHereError as more:
                missing = more
                continue
            except ChangedError:
                continue
            except CubeError as failure:
                made = self._cannot(failure, request)
            if made is None:
                await self._pass_on(connection, request)
            else:
                connection.write(made)
            return
        connection.write(self._cannot(BusyError("the cube changes while it is read"), request))

    async def _fetch(self, missing: NotHereError) -> None:
        if self._afar is not None:
            # Shielded: others may wait for the same
            coming = [asyncio.shield(asyncio.wrap_future(f)) for f in self._afar.fetch(missing.wanted)]
            for failure in await asyncio.gather(*coming, return_exceptions=True):
                if isinstance(failure, BaseException):
                    raise failure

    def _cannot(self, failure: CubeError, request: Request) -> bytes:
        """The answer where a cube cannot be read: for now, or because it is damaged."""
        now = time.monotonic()
        if now - self._complained.get(failure.message, float("-inf")) > COMPLAIN_S:
            if len(self._complained) > MAX_COMPLAINTS:
                self._complained.clear()
            self._complained[failure.message] = now
            log.error("%s; %s", failure.message, failure.hint)
        if isinstance(failure, BucketError | BusyError):
            return error(503, "the store of this cube does not answer now", "try again in a minute",
                         code=failure.code, keep_alive=request.keep_alive)  # fmt: skip
        return error(503, "this part of the cube cannot be read", "tell the operator the time of this answer",
                     code=failure.code, keep_alive=request.keep_alive)  # fmt: skip

    def _tile(
        self, request: Request, tile: Tile, shown: Shown, style: Style, tries: int = ROUNDS
    ) -> bytes | None:
        opened = self._open(tile.cube, shown)
        if opened is None or not opened.cube.index.times or tile.variable not in opened.cube.index.variables:
            return None
        colours, scale = tile.colours or style.colours, tile.scale or style.scale
        low = style.low if tile.low is None else tile.low
        high = style.high if tile.high is None else tile.high
        wanted = style
        if (colours, low, high, scale) != (style.colours, style.low, style.high, style.scale):
            wanted = Style(colours, low, high, scale)
        palette = self._palettes.get(wanted.colours) if self._palettes is not None else None
        if palette is None or (wanted.scale == "log" and min(wanted.low, wanted.high) <= 0):
            return None
        cube = opened.cube
        step = len(cube.times) - 1 if tile.seconds is None else cube.nearest(tile.seconds)
        place = tile.place
        key = (
            f"{cube.index.version} {tile.variable} {step} {place.crs} {place.z} {place.x} {place.y} {place.size}"
            f" {wanted.colours} {wanted.low} {wanted.high} {wanted.scale}"
        ).encode()
        etag = b'"' + hashlib.blake2b(key, digest_size=9).hexdigest().encode() + b'"'
        scope = b"public" if shown.rule.access is Access.PUBLIC else b"private"
        head = (
            b"Content-Type: image/png\r\nCache-Control: " + scope + b", no-cache\r\nETag: " + etag
            + b"\r\nVary: Authorization, Cookie\r\n"
        )  # fmt: skip
        if http.unchanged(request, etag):
            self._metrics.unchanged += 1
            return response(304, head, keep_alive=request.keep_alive)
        try:
            body = self._image(cube, tile, step, wanted, palette)
        except CubeError as failure:
            if tries and cube.is_moved():
                return self._tile(request, tile, shown, style, tries - 1)
            return self._cannot(failure, request)
        self._metrics.tiles += 1
        return response(200, head, body, keep_alive=request.keep_alive)

    def _image(self, cube: tiles.Cube, tile: Tile, step: int, wanted: Style, palette: png.Palette) -> bytes:
        place, name = tile.place, tile.variable
        if not place.exists:
            return png.transparent(place.size)
        index = cube.index
        own = index.variables[name].style
        if (
            own is not None and (own.low, own.high, own.scale) == (wanted.low, wanted.high, wanted.scale)
            and place.crs == MERCATOR and place.size == TILE and place.z <= index.prepared.get(name, -1)
            and len(palette.rgba) == tiles.PREPARED_COLOURS
        ):  # fmt: skip
            try:
                found = cube.packs.read(name, index.times[step], place.z, place.x, place.y)
            except CubeError as failure:
                log.error("%s; the tile is made from the values", failure.message)  # noqa: TRY400
                found = None
            if found is not None and found[1] != tiles.NOT_PREPARED:
                self._metrics.prepared += 1
                return png.assemble(TILE, palette, found[1], found[0]) if found[0] else png.transparent(TILE)
        painted = tiles.paint(cube, name, step, place, wanted, len(palette.rgba))
        cube.stay()
        return tiles.image(painted, palette, place.size)

    # Files

    async def _object_or_else(self, connection: Connection, request: Request, wanted: Object) -> None:
        self._look()
        shown = self._published.cubes.get(wanted.cube)
        part = None
        if shown is not None and await self._admits(request, wanted.cube, shown):
            try:
                part = await self._part(wanted, shown, request.header(b"range"))
            except CubeError as failure:
                connection.write(self._cannot(failure, request))
                return
        if shown is None:
            await self._unknown(connection, request)
            return
        if part is None:
            await self._pass_on(connection, request)
            return
        scope = b"public" if shown.rule.access is Access.PUBLIC else b"private"
        head = part.head + b"Cache-Control: " + scope + b", no-cache\r\nVary: Authorization\r\n"
        self._metrics.objects += 1
        connection.write(response(part.status, head, part.body, keep_alive=request.keep_alive))
        await connection.drain()

    async def _part(self, wanted: Object, shown: Shown, header: bytes | None) -> Part | None:
        loop, opened = asyncio.get_running_loop(), self._open(wanted.cube, shown)
        if opened is not None and opened.cube.afar is not None:
            afar, place = opened.cube.afar, opened.cube.index.place
            return await loop.run_in_executor(afar.waiters, read_far_part, afar, place, wanted.name, header)
        return await loop.run_in_executor(None, read_part, shown.folder, wanted.name, header)

    # Legends

    async def _legend_or_else(self, connection: Connection, request: Request, asked: Legend) -> None:
        self._look()
        shown = self._published.cubes.get(asked.cube)
        opened = None if shown is None else self._open(asked.cube, shown)
        if shown is None or opened is None or not await self._admits(request, asked.cube, shown, images=True):
            await self._pass_on(connection, request)
            return
        key = (asked, self._told, opened.stamp)
        made = self._legends.get(key)
        if made is None:
            self._metrics.passed_on += 1
            made = await self._legends.draw(key, connection, request, self._places.socket)
            if made is None:
                return  # what was said instead of an image has been handed on
        scope = b"public" if shown.rule.access is Access.PUBLIC else b"private"
        head = (
            b"Content-Type: image/png\r\nCache-Control: " + scope + b", no-cache\r\nETag: " + made.etag
            + b"\r\nVary: Authorization, Cookie\r\n"
        )  # fmt: skip
        self._metrics.legends += 1
        if http.unchanged(request, made.etag):
            self._metrics.unchanged += 1
            connection.write(response(304, head, keep_alive=request.keep_alive))
            return
        connection.write(response(200, head, made.image, keep_alive=request.keep_alive))

    # Series and statistics

    async def _numbers_or_else(
        self, connection: Connection, request: Request, asked: Series | Statistics
    ) -> None:
        self._look()
        shown = self._published.cubes.get(asked.cube)
        if shown is None or asked.variable not in shown.styles:
            await self._unknown(connection, request)
            return
        if not await self._admits(request, asked.cube, shown):
            await self._pass_on(connection, request)
            return
        opened = self._open(asked.cube, shown)
        if opened is None or asked.variable not in opened.cube.index.variables:
            await self._pass_on(connection, request)
            return
        try:
            body = await self._of_one_cube(connection, request, opened, asked, shown)
        except RequestError as failure:
            connection.write(
                error(failure.status, failure.message, failure.hint, keep_alive=request.keep_alive)
            )
            return
        except CubeError as failure:
            connection.write(self._cannot(failure, request))
            return
        if body is None:
            await self._pass_on(connection, request)
            return
        if isinstance(asked, Series):
            self._metrics.series += 1
        else:
            self._metrics.statistics += 1
        scope = b"" if shown.rule.access is Access.PUBLIC else b"private, "
        head = (
            b"Content-Type: application/json\r\nCache-Control: " + scope
            + b"no-store\r\nVary: Authorization, Accept-Encoding\r\n"
        )  # fmt: skip
        if len(body) >= GZIP_FROM_BYTES and http.takes_gzip(request):
            body = igzip.compress(body, 1)
            head += b"Content-Encoding: gzip\r\n"
        connection.write(response(200, head, body, keep_alive=request.keep_alive))

    async def _of_one_cube(
        self,
        connection: Connection,
        request: Request,
        opened: Opened,
        asked: Series | Statistics,
        shown: Shown,
    ) -> bytes | None:
        """What is asked for, made again while the cube is exchanged for another one."""
        for _ in range(ROUNDS):
            body = await self._numbers.of(connection, request, opened, asked)
            again = self._open(asked.cube, shown)
            # of times that were added meanwhile it knows nothing; of others that were replaced it has both, perhaps
            same = again is not None and again.cube.index.epoch == opened.cube.index.epoch
            if same and not opened.cube.is_moved():
                return body
            if again is None or asked.variable not in again.cube.index.variables:
                return None
            opened = again
        raise BusyError("the cube changes while it is read", "try again in a moment")


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _cookie(request: Request) -> str | None:
    """Value of the cookie by which images follow a sign-in."""
    name = f"{ImageCookie.NAME}=".encode()
    for part in (request.header(b"cookie") or b"").split(b";"):
        if part.strip().startswith(name):
            return part.strip()[len(name) :].decode("latin-1").strip('"')
    return None
