"""Legends: xcube draws each once, with axes and fonts that nothing here has; after that it comes from memory."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httptools

from xcube_cubehub.fast.forward import forward
from xcube_cubehub.fast.http import Connection, Request

KEPT = 128
MAX_BYTES = 128 * 1024
"""A larger one is not kept; one of usual size has some 5 KB."""
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"range", b"accept-encoding"})


@dataclass(frozen=True)
class Drawn:
    """A legend's PNG, and a strong tag of it."""

    image: bytes
    etag: bytes


class _Heard:
    """In a client's place: keeps an answer, whole, instead of sending it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.parts: list[bytes] = []
        self.closed = False

    @property
    def gone(self) -> bool:
        return self._connection.gone

    def write(self, data: bytes) -> None:
        self.parts.append(data)

    async def drain(self) -> None:
        """Nobody has to be waited for."""

    def close(self) -> None:
        self.closed = True


class _Image:
    """What the parser of an answer finds."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.kind = b""
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.kind = value

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.whole = True


class Legends:
    """Legends that were asked for lately, by all that they depend on."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Drawn] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    def get(self, key: Hashable) -> Drawn | None:
        """One that is kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    async def draw(
        self, key: Hashable, connection: Connection, request: Request, socket: Path
    ) -> Drawn | None:
        """Have xcube draw one; None where it answers with something else, which is then sent as it is."""
        async with self._one_at_a_time:
            # Maybe it was drawn while this one waited
            found = self.get(key)
            if found is not None:
                return found
            heard: Any = _Heard(connection)
            unconditional = [h for h in request.headers if h[0] not in _CONDITIONS]
            await forward(heard, replace(request, headers=unconditional), socket)
        answer = b"".join(heard.parts)
        image = _Image()
        parser: Any = httptools.HttpResponseParser(image)
        try:
            parser.feed_data(answer)
        except httptools.HttpParserError:
            image.whole = False
        if not (image.whole and parser.get_status_code() == 200 and image.kind == b"image/png"):
            connection.write(answer)
            if heard.closed:
                connection.close()
            return None
        body = b"".join(image.parts)
        made = Drawn(body, b'"' + hashlib.blake2b(body, digest_size=9).hexdigest().encode() + b'"')
        if len(body) <= MAX_BYTES:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
