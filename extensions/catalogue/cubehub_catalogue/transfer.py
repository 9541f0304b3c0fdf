"""Brings one file: goes on where it stopped, looks for room, compares the checksum, and gives it its name at the end."""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import TYPE_CHECKING, Any, Protocol

from cubehub_catalogue.errors import CatalogueError, InputError, UpstreamError
from cubehub_catalogue.home import folders
from cubehub_catalogue.home.checksums import Checksum

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub_catalogue.downloads import Download
    from cubehub_catalogue.http import Client, Stream

RESERVE_BYTES = 64 * 2**20
"""Left free: a home that is full to the last byte is one in which no notebook can be saved."""
_PIECE, _LOOK_EVERY = 2**20, 64 * 2**20
_ATTEMPTS, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5, 1.0, 30.0
_PASSING = frozenset({"answer_cut", "unreachable", "timeout"})
_WINDOW_S, _LEAST_IN_WINDOW = 600.0, 2**16
"""Who sends less in ten minutes keeps others waiting for nothing."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class Room(Protocol):
    """Who knows what the person's profile leaves."""

    async def left(self) -> int | None:
        """Tell how many bytes may still be written; None where nobody knows."""

    def wrote(self, count: int) -> None:
        """Note what was written."""


class _AnewError(Exception):
    """What there is can't be gone on with."""


def space_error(name: str, error: OSError | None = None) -> CatalogueError:
    """Make the error for what can't be written."""
    if error is not None and error.errno not in folders.NO_SPACE:
        return InputError(
            "cannot_write",
            f"{name} can't be written: {error.strerror}.",
            "Look at the folder and its rights.",
        )
    return InputError(
        "no_space", f"There is no room left for {name}.", "Make room in your home, then resume."
    )


class Transfer:
    """One download under way.

    Parameters
    ----------
    download
        What is brought; its state is kept up to date.
    folder
        Descriptor of the folder it goes to.
    client
        Of its catalogue.
    quota
        Tells how much the person's profile leaves.
    pause
        Waits between attempts.
    """

    def __init__(
        self,
        download: Download,
        folder: int,
        client: Client,
        quota: Room | None,
        pause: Callable[[float], Any],
    ) -> None:
        self._one, self._folder, self._client = download, folder, client
        self._quota, self._pause = quota, pause
        self._file = -1
        self._given_up = False
        self._name = download.name

    async def run(self) -> None:
        """Bring the file.

        Raises
        ------
        CatalogueError
            It can't be had, is not what it should be, or there is no room.
        """
        self._file = folders.open_part(self._folder, folders.part_of(self._one.name), new=False)
        try:
            await self._all_of_it()
            await self._in_thread(os.fsync, self._file)
            await self._compare()
            self._one.name = folders.finish(self._folder, self._one.name)
            folders.remove(self._folder, folders.note_of(self._name))
        finally:
            self._given_up = True
            os.close(self._file)

    async def _all_of_it(self) -> None:
        """Try until all is there; whoever sends some of it each time is asked again as long as it does."""
        failures, pause = 0, _FIRST_PAUSE_S
        while True:
            before = os.fstat(self._file).st_size
            try:
                await self._attempt(before)
            except _AnewError:
                os.ftruncate(self._file, 0)
                failures += 1
                if failures >= _ATTEMPTS:
                    raise UpstreamError(
                        "not_resumable",
                        f"{self._one.name} changed while it was downloaded.",
                        "Download it anew.",
                    ) from None
            except UpstreamError as error:
                if os.fstat(self._file).st_size > before:
                    failures, pause = 0, _FIRST_PAUSE_S
                failures += 1
                status = error.upstream_status or 0
                if failures >= _ATTEMPTS or not (error.code in _PASSING or status >= 500 or status == 429):
                    raise
                await self._pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                return

    async def _attempt(self, have: int) -> None:
        note = folders.read_note(self._folder, folders.note_of(self._name))
        same = note.get("href") == self._one.href
        validator = note.get("validator") if same and have else None
        headers = {"Range": f"bytes={have}-", "If-Range": str(validator)} if validator else {}
        room = await self._room()
        most = max(room, 0) + 1
        async with self._client.stream(
            self._one.href, most_bytes=most, headers=headers, accepted=frozenset({416})
        ) as stream:
            start, total = _position(stream, have if headers else 0)
            if start is None:
                if total == have and have:
                    return
                raise _AnewError
            if start == 0:
                os.ftruncate(self._file, 0)
            self._one.total = total if total is not None else None if stream.packed else self._one.total
            self._check_room(total, start, room)
            folders.write_note(
                self._folder,
                folders.note_of(self._name),
                {"download": self._one.id, "href": self._one.href, "validator": _validator(stream)},
            )
            try:
                end = await self._write(stream, start)
            except UpstreamError as error:
                if error.code == "answer_too_large":
                    raise space_error(self._one.name) from None
                raise
            if total is not None and end != total:
                raise UpstreamError("answer_cut", f"{self._one.name} broke off in the middle.", "Resume it.")
            self._one.total = end

    async def _write(self, stream: Stream, start: int) -> int:
        """Write what comes, in pieces large enough for a slow file system; what came is kept whatever happens then."""
        place, gathered, look_at = start, bytearray(), start + _LOOK_EVERY
        pace = _Pace(self._one.name)
        self._one.bytes = place
        try:
            async for piece in stream.pieces:
                gathered += piece
                pace.came(len(piece))
                if len(gathered) >= _PIECE:
                    place = await self._put(gathered, place)
                    gathered = bytearray()
                if place >= look_at:
                    look_at = place + _LOOK_EVERY
                    if await self._room() <= 0:
                        raise space_error(self._one.name)
        finally:
            place = await self._put(gathered, place)
        return place

    async def _put(self, data: bytearray, place: int) -> int:
        if data:
            await self._in_thread(_write_all, self._file, bytes(data), place)
            self._one.bytes = place + len(data)
            if self._quota is not None:
                self._quota.wrote(len(data))
        return place + len(data)

    async def _compare(self) -> None:
        if self._one.algorithm is None or self._one.digest is None:
            return
        checksum = Checksum(self._one.algorithm, self._one.digest)
        if not await self._in_thread(checksum.holds, self._file, lambda: self._given_up):
            os.ftruncate(self._file, 0)
            self._one.bytes = 0
            raise UpstreamError(
                "checksum_mismatch",
                f"{self._one.name} is not what the catalogue says: its {self._one.algorithm} differs.",
                "Download it anew; if it stays, tell who runs the catalogue.",
            )
        self._one.checked = True

    async def _room(self) -> int:
        """How much may still be written."""
        room = folders.free_bytes(self._folder) - RESERVE_BYTES
        left = await self._quota.left() if self._quota is not None else None
        return room if left is None else min(room, left)

    def _check_room(self, total: int | None, start: int, room: int) -> None:
        """Refuse before anything is written what will not fit."""
        if total is not None and total - start > room:
            raise InputError(
                "no_space",
                f"There is no room for {self._one.name}: it needs {size_text(total - start)}, and {size_text(max(room, 0))} may still be used.",
                "Make room in your home, then resume.",
            )

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run something slow in a thread; who is cancelled waits for it, for it uses the open file."""
        task = asyncio.get_running_loop().run_in_executor(None, work, *args)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._given_up = True
            await asyncio.wait([task])
            raise


class _Pace:
    """Gives up what only drips."""

    def __init__(self, name: str) -> None:
        self._name, self._since, self._bytes = name, time.monotonic(), 0

    def came(self, count: int) -> None:
        """Note what came."""
        self._bytes += count
        now = time.monotonic()
        if now - self._since < _WINDOW_S:
            return
        if self._bytes < _LEAST_IN_WINDOW:
            raise UpstreamError("too_slow", f"{self._name} comes too slowly.", "Resume it later.")
        self._since, self._bytes = now, 0


def _position(stream: Stream, asked: int) -> tuple[int | None, int | None]:
    """Say where the answer starts and how long the whole is; no start: what there is can't be gone on with."""
    if stream.status == 416:
        whole = re.fullmatch(r"bytes \*/([0-9]{1,18})", stream.headers.get("content-range", "").strip())
        return None, int(whole[1]) if whole else None
    if stream.status == 206:
        found = _RANGE.fullmatch(stream.headers.get("content-range", "").strip())
        if found is None or int(found[1]) != asked or stream.packed:
            return None, None
        return asked, int(found[3]) if found[3] != "*" else None
    length = stream.headers.get("content-length", "")
    return 0, int(length) if re.fullmatch("[0-9]{1,18}", length) and not stream.packed else None


def _validator(stream: Stream) -> str | None:
    """Give what tells this version of the file from others; a weak tag does not, byte by byte."""
    tag = stream.headers.get("etag", "")
    if tag.startswith('"') and not stream.packed:
        return tag[:1000]
    modified = stream.headers.get("last-modified")
    return modified[:100] if modified and not stream.packed else None


def _write_all(file: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, place)
        view, place = view[written:], place + written


def size_text(count: int) -> str:
    """Write a size as the pages do."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}".replace(".0 ", " ")
    return f"{count / 2**10:.0f} KiB"
