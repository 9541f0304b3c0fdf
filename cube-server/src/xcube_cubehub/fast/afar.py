"""Cubes whose arrays lie in a bucket, read as local ones are: parts that were read once are kept on this disk.

What is here is answered at once. What is not is fetched by threads, never by the loop that serves everybody: there
`NotHereError` says what to fetch, and the same is tried again when it has come. A part is known by the ETag of its
object, so that an index and what it points to are always of the same object.
"""

import json
import struct
import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from xcube_cubehub.bucket import Bucket, BucketError, ChangedError, Got
from xcube_cubehub.errors import BusyError
from xcube_cubehub.fast.disk import Disk
from xcube_cubehub.fast.packs import (
    CLEAR_NUMBERS,
    ENTRY,
    HEAD,
    MAGIC,
    is_whole,
    key_of,
    pack_path,
)
from xcube_cubehub.index import INDEX, Index, level_array, series_array
from xcube_cubehub.shards import (
    ABSENT,
    MAX_CHUNK_BYTES,
    Array,
    DamagedError,
    Layout,
    damaged,
    decode_chunk,
    shard_path,
)

PATIENCE_S = 6.0
AT_ONCE, WAITING = 16, 256
"""Requests to the bucket at the same time, and how many more may wait for a thread."""
REST_S = 2.0
"""After a bucket did not answer, so long nobody is kept waiting for it."""
ABSENT_S = 60.0
"""How long it counts that there is no such object; an operator may put it back."""
MEMORY_BYTES = 32 * 2**20
TABLE_BYTES = 64 * 1024
"""Of a pack of tiles, read at first: the table of most, and of small ones all."""
TRIES = 4
MAX_ABSENT = 10_000
_NOWHERE = Path()
_thread = threading.local()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Head:
    """An object as it is now: ETag, size, and its first or last bytes. The ETag is empty if there is none."""

    etag: str
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes of an object.

    Attributes
    ----------
    place, key : str
        Address of the cube's arrays, and the object below it.
    state : str
        For a head, what the object cannot have changed within; for a part, the object's ETag.
    start, length : int
        Part of the object; ``start`` is -1 for the last bytes, of a head.
    """

    place: str
    key: str
    state: str
    start: int
    length: int
    is_head: bool
    head: "Wanted | None" = None
    """Of a part, what told where it is."""

    @property
    def name(self) -> str:
        """By which it is kept."""
        text = f"{self.is_head}\n{self.place}\n{self.key}\n{self.state}\n{self.start}\n{self.length}"
        return blake2b(text.encode(), digest_size=16).hexdigest()


class NotHereError(Exception):
    """Parts that have to be fetched before the answer can be made."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        super().__init__(f"{len(wanted)} parts")
        self.wanted = wanted


class Afar:
    """What this process has read from buckets. Made after the fork.

    Parameters
    ----------
    disk : Disk
        Where parts are kept.
    patience_s : float
        How long a request may take.
    """

    def __init__(self, disk: Disk, patience_s: float = PATIENCE_S) -> None:
        self._disk, self._patience_s = disk, patience_s
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._memory: OrderedDict[str, Head | bytes] = OrderedDict()
        self._bytes = 0
        self._absent: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._resting: dict[str, float] = {}
        self._flying: dict[str, Future[None]] = {}
        self._getters = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket")
        self.waiters = ThreadPoolExecutor(4, thread_name_prefix="afar", initializer=_may_wait)
        """For what may wait for the bucket: series, files."""

    def obtain(self, wanted: Sequence[Wanted]) -> list[Any]:
        """Heads and parts, in the order asked for.

        Raises
        ------
        NotHereError
            Some are not here, and this thread may not wait for them.
        ChangedError
            An object is another one by now; the same asked for anew will do.
        BucketError
            The bucket does not answer.
        """
        found = [self._here(w) for w in wanted]
        missing = [w for w, f in zip(wanted, found, strict=True) if f is None]
        if not missing:
            return found
        if not getattr(_thread, "may_wait", False):
            raise NotHereError(missing)
        try:
            for future in self.fetch(missing):
                future.result(4 * self._patience_s)
        except TimeoutError as error:
            message = "the bucket takes too long"
            raise BusyError(message, "try again in a minute") from error
        again = [f if f is not None else self._here(w) for w, f in zip(wanted, found, strict=True)]
        if any(f is None for f in again):
            message = "too much is read from the bucket at once"
            raise BusyError(message, "try again in a minute")
        return again

    def fetch(self, wanted: Sequence[Wanted]) -> list[Future[None]]:
        """Begin to fetch; what is on its way already is not fetched twice.

        Raises
        ------
        BusyError
            Too many wait already.
        """
        futures = []
        for w in wanted:
            with self._lock:
                future = self._flying.get(w.name)
                if future is None:
                    if len(self._flying) >= AT_ONCE + WAITING:
                        message = "too many parts of cubes are being fetched already"
                        raise BusyError(message, "try again in a minute")
                    future = self._flying[w.name] = self._getters.submit(self._fetch, w)
            futures.append(future)
        return futures

    def _here(self, w: Wanted) -> Head | bytes | None:
        name = w.name
        with self._lock:
            found = self._memory.get(name)
            if found is not None:
                self._memory.move_to_end(name)
                return found
            gone = self._absent.get(name)
        if gone is not None:
            if time.monotonic() < gone:
                return Head("", 0, b"")
            self._absent.pop(name, None)
        data = self._disk.read(name)
        if data is None:
            return None
        if not w.is_head:
            if len(data) != w.length:
                return None
            # Not into the memory: what is decoded of it is kept, and the kernel has the file
            return data
        head = _decode_head(data)
        if head is not None:
            self._remember(name, head)
        return head

    def _remember(self, name: str, what: Head | bytes) -> None:
        with self._lock:
            if name not in self._memory:
                self._bytes += _size(what)
            self._memory[name] = what
            while self._bytes > MEMORY_BYTES and len(self._memory) > 1:
                self._bytes -= _size(self._memory.popitem(last=False)[1])

    def forget(self, *wanted: Wanted) -> None:
        """Have these fetched anew when they are asked for again."""
        for w in wanted:
            with self._lock:
                old = self._memory.pop(w.name, None)
                self._bytes -= 0 if old is None else _size(old)
            self._disk.remove(w.name)

    def bucket(self, place: str) -> Bucket:
        """The bucket of an address."""
        with self._lock:
            found = self._buckets.get(place)
            if found is None:
                found = self._buckets[place] = Bucket(place, self._patience_s)
                while len(self._buckets) > 64:
                    self._buckets.pop(next(iter(self._buckets)))
            return found

    def _fetch(self, w: Wanted) -> None:
        try:
            self._get(w)
        finally:
            with self._lock:
                self._flying.pop(w.name, None)

    def _get(self, w: Wanted) -> None:
        try:
            got = self.ask(w.place, lambda bucket: _get(bucket, w))
        except ChangedError:
            if w.head is not None:
                self.forget(w.head)
            raise
        if got is None:
            if len(self._absent) > MAX_ABSENT:
                self._absent.clear()
            self._absent[w.name] = time.monotonic() + ABSENT_S
            return
        if not w.is_head and len(got.data) != w.length:
            raise damaged(f"{w.place}/{w.key}")
        what = Head(got.etag, got.size, got.data) if w.is_head else got.data
        self._remember(w.name, what)
        self._disk.write(w.name, _encode_head(what) if isinstance(what, Head) else what)

    def ask(self, place: str, how: Callable[[Bucket], T | None]) -> T | None:
        """Ask a bucket; None only if the cube is there and the object is not.

        Raises
        ------
        BucketError
            The bucket does not answer; at once, if it did not a moment ago.
        """
        root = place.rsplit("/", 1)[0]
        if time.monotonic() < self._resting.get(root, 0):
            message = f"{root} did not answer a moment ago"
            raise BucketError(message, "try again in a minute")
        try:
            got = how(self.bucket(place))
            gone = got is None and not self._is_there(root)
        except ChangedError:
            raise
        except BucketError:
            self._resting[root] = time.monotonic() + REST_S
            raise
        if gone:
            message = f"{root} is not there any more"
            raise BucketError(message, "check the bucket, or build the cube anew")
        self._resting.pop(root, None)
        return got

    def _is_there(self, root: str) -> bool:
        """Whether a cube's index is in its bucket: then an object that is not there means "no value", and else nothing."""
        now = time.monotonic()
        if now - self._seen.get(root, float("-inf")) < 5:
            return True
        above, name = root.rsplit("/", 1)
        if self.bucket(above).get(f"{name}.{INDEX}") is None:
            return False
        self._seen[root] = now
        return True


def _get(bucket: Bucket, w: Wanted) -> Got | None:
    if w.is_head:
        return bucket.get(w.key, length=w.length, last=w.length if w.start < 0 else None)
    got = bucket.get(w.key, start=w.start, length=w.length, match=w.state)
    if got is None:
        message = f"{w.place}/{w.key} was taken away"
        raise ChangedError(message, "try again")
    return got


def _may_wait() -> None:
    _thread.may_wait = True


def _size(what: Head | bytes) -> int:
    return 200 + len(what.data if isinstance(what, Head) else what)


def _encode_head(head: Head) -> bytes:
    return json.dumps([head.etag, head.size, len(head.data)]).encode() + b"\n" + head.data


def _decode_head(data: bytes) -> Head | None:
    line, _, rest = data.partition(b"\n")
    with suppress(ValueError):
        etag, size, length = json.loads(line)
        if length == len(rest):
            return Head(str(etag), int(size), rest)
    return None


class AfarShards:
    """Reads chunks of one array from its shards in a bucket, as `xcube_cubehub.shards.ShardReader` does from a disk.

    Parameters
    ----------
    afar : Afar
        What was read already.
    place, array : str
        Address of the cube's arrays, and the array below it.
    state : str
        What no shard of it can have changed within.
    layout : Layout
        How it is cut.
    """

    def __init__(self, afar: Afar, place: str, array: str, state: str, layout: Layout) -> None:
        self._afar, self._place, self._array, self._state, self.layout = (
            afar,
            place,
            Path(array),
            state,
            layout,
        )

    def mark(self, step: int) -> None:
        """Nothing: what is read is of one state of each object, and the index's epoch tells of others."""
        del step

    def read(self, chunks: Sequence[tuple[int, ...]]) -> list[Array | None]:
        """Chunks in the order asked for; None for one that is absent.

        Raises
        ------
        DamagedError
            An object is not what it should be.
        BucketError
            The bucket does not answer.
        NotHereError
            They have to be fetched, and this thread may not wait.
        """
        for left in reversed(range(TRIES)):
            try:
                return self._read(chunks)
            except ChangedError:
                self._afar.forget(
                    *(self._head(shard) for shard in {self.layout.locate(c)[0] for c in chunks})
                )
                if not left:
                    raise
        return []

    def _head(self, shard: tuple[int, ...]) -> Wanted:
        key = shard_path(self._array, shard).as_posix()
        return Wanted(self._place, key, self._state, -1, self.layout.index_bytes, is_head=True)

    def _read(self, chunks: Sequence[tuple[int, ...]]) -> list[Array | None]:
        located = [self.layout.locate(chunk) for chunk in chunks]
        shards = list(dict.fromkeys(shard for shard, _ in located))
        wanted = [self._head(shard) for shard in shards]
        heads = dict(zip(shards, zip(wanted, self._afar.obtain(wanted), strict=True), strict=True))
        parts = [self._part(*heads[shard], place) for shard, place in located]
        there = [part for part in parts if part is not None]
        data = iter(self._afar.obtain(there))
        found: list[Array | None] = []
        for (shard, _), part in zip(located, parts, strict=True):
            if part is None:
                found.append(None)
                continue
            try:
                found.append(decode_chunk(next(data), self.layout, f"{self._place}/{part.key}"))
            except DamagedError:
                # It may have been damaged on its way, or here; or be repaired by now
                self._afar.forget(heads[shard][0], part)
                raise
        return found

    def _part(self, wanted: Wanted, head: Head, place: int) -> Wanted | None:
        if not head.etag:
            return None
        length = self.layout.index_bytes
        if len(head.data) != length:
            self._afar.forget(wanted)
            raise damaged(f"{self._place}/{wanted.key}")
        offset, count = struct.unpack_from("<QQ", head.data, 16 * place)
        if offset == ABSENT:
            return None
        if count > MAX_CHUNK_BYTES or offset + count > head.size - length or count == 0:
            self._afar.forget(wanted)
            raise damaged(f"{self._place}/{wanted.key}")
        return Wanted(self._place, wanted.key, head.etag, offset, count, is_head=False, head=wanted)


class AfarPacks:
    """Reads tiles made beforehand from a bucket, as `xcube_cubehub.fast.packs.PackReader` does from a disk."""

    def __init__(self, afar: Afar, index: Index) -> None:
        self._afar, self._index = afar, index
        self._tables: OrderedDict[tuple[str, int], tuple[list[int], np.ndarray, str]] = OrderedDict()

    def read(self, name: str, seconds: int, z: int, x: int, y: int) -> tuple[bytes, int] | None:
        """Compressed chunk (empty if there is nothing in the tile) and "no value" number; None if it was not made.

        Raises
        ------
        DamagedError
            The object is not what it should be.
        BucketError
            The bucket does not answer.
        NotHereError
            It has to be fetched, and this thread may not wait.
        """
        key = pack_path(_NOWHERE, name, seconds).as_posix()
        wanted = Wanted(self._index.place, key, self._index.epoch, 0, TABLE_BYTES, is_head=True)
        (head,) = self._afar.obtain([wanted])
        if not head.etag:
            return None
        found = self._tables.get((name, seconds))
        if found is None or found[2] != head.etag:
            found = self._open(name, seconds, wanted, head)
        keys, table, _ = found
        number = key_of(z, x, y)
        row = bisect_left(keys, number)
        if row == len(keys) or keys[row] != number:
            return b"", -1
        _, offset, length, clear = table[row].item()
        data = self._bytes(wanted, head, offset, length)
        if clear not in CLEAR_NUMBERS or not is_whole(data, clear):
            self._afar.forget(wanted)
            raise damaged(f"{wanted.place}/{wanted.key}")
        return data, clear

    def _bytes(self, wanted: Wanted, head: Head, start: int, length: int) -> bytes:
        if start + length > head.size:
            self._afar.forget(wanted)
            raise damaged(f"{wanted.place}/{wanted.key}")
        if start + length <= len(head.data):
            return head.data[start : start + length]
        part = Wanted(wanted.place, wanted.key, head.etag, start, length, is_head=False, head=wanted)
        (data,) = self._afar.obtain([part])
        return bytes(data)

    def _open(self, name: str, seconds: int, wanted: Wanted, head: Head) -> tuple[list[int], np.ndarray, str]:
        if len(head.data) < HEAD.size or head.data[:4] != MAGIC:
            self._afar.forget(wanted)
            raise damaged(f"{wanted.place}/{wanted.key}")
        _, count = HEAD.unpack_from(head.data)
        table = np.frombuffer(self._bytes(wanted, head, HEAD.size, count * ENTRY.itemsize), ENTRY)
        made = self._tables[name, seconds] = table["key"].tolist(), table, head.etag
        while len(self._tables) > 64:
            self._tables.popitem(last=False)
        return made

    def close(self) -> None:
        """Let go of the tables."""
        self._tables.clear()


def level_shards(afar: Afar, index: Index, name: str, level: int) -> AfarShards:
    """Reader of a variable in a level of the pyramid."""
    array = level_array(_NOWHERE, level, name).as_posix()
    return AfarShards(afar, index.place, array, index.epoch, index.layout(name, level))


def series_shards(afar: Afar, index: Index, name: str) -> AfarShards:
    """Reader of a variable in the time store; its last blocks are written anew when it grows."""
    array, state = series_array(_NOWHERE, name).as_posix(), f"{index.epoch} {index.series_steps}"
    return AfarShards(afar, index.place, array, state, index.series_layout(name))
