"""An object that goes up in parts, and goes on from those that an earlier try has brought up."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from cubehub.storage.archive.errors import StoreError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cubehub.storage.archive.uploads import Part, Uploads

_AT_ONCE = 3


class Parted:
    """What is uploaded in parts.

    Parameters
    ----------
    uploads : Uploads
        Of the bucket.
    key : str
        Name of the object.
    part : int
        Bytes of each part but the last.
    resume : bool
        Whether to go on from the parts of an earlier try.

    Notes
    -----
    What is packed a second time is nearly always the same, byte for byte: the same files in the same order by the same
    program. Nothing relies on that. A part is left out only if the bucket has one of that number, size and MD5; any other
    is sent, and takes the earlier one's place. In the end the object is read back and compared as any archive is.
    """

    def __init__(self, uploads: Uploads, key: str, part: int, *, resume: bool) -> None:
        self._uploads, self._key, self._part = uploads, key, part
        self._held = bytearray()
        self._tags: list[str | Future[str]] = []
        self._coming: list[Future[str]] = []
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        ident, self._there = self._earlier() if resume else (None, {})
        self._ident = ident or uploads.begin(key)
        self.left_out = 0
        """Parts that were there."""

    def _earlier(self) -> tuple[str | None, dict[int, Part]]:
        """An upload to go on with. Where none can be told, all is sent: a key may lack the right to list."""
        with suppress(StoreError):
            ident = self._uploads.newest(self._key, time.time())
            if ident is not None:
                return ident, self._uploads.parts(self._key, ident)
        return None, {}

    def write(self, data: memoryview, /) -> None:
        """Take all of it; may wait for parts to be taken."""
        while data:
            took = self._part - len(self._held)
            self._held += data[:took]
            data = data[took:]
            if len(self._held) == self._part:
                self._send()

    def _send(self) -> None:
        data, self._held = bytes(self._held), bytearray()
        number = len(self._tags) + 1
        there = self._there.get(number)
        tag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if there is not None and there.bytes == len(data) and there.tag == tag:
            self._tags.append(tag)
            self.left_out += 1
            return
        while len(self._coming) >= _AT_ONCE:
            self._coming.pop(0).result()
        self._coming.append(self._pool.submit(self._uploads.send, self._key, self._ident, number, data))
        self._tags.append(self._coming[-1])

    def end(self) -> None:
        """Make an object of it."""
        if self._held:
            self._send()
        tags = [one if isinstance(one, str) else one.result() for one in self._tags]
        self._uploads.end(self._key, self._ident, tags)

    def close(self) -> None:
        """Wait for what is on its way, and begin nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def give_up(self) -> None:
        """Have the bucket forget the parts."""
        self.close()
        with suppress(StoreError):  # else the next sweep does
            self._uploads.give_up(self._key, exactly=True)
