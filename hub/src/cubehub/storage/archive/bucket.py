"""Archives in an S3-compatible bucket: uploaded in parts, which retries and cut connections do not hurt."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError
from obstore.store import S3Store

from cubehub.errors import BadInputError
from cubehub.storage.archive.errors import StoreError
from cubehub.storage.archive.parted import Parted
from cubehub.storage.archive.stores import BUCKET, Stored, checked_name
from cubehub.storage.archive.uploads import HINT, Uploads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from concurrent.futures import Future

_ADDRESS = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9][A-Za-z0-9._=-]*)*)/?", re.ASCII
)
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})|HTTP (\d{3})|(\d{3}) [A-Z][A-Za-z ]+:")
_PART = 16 << 20
_MOST_PARTS = 9_000
"""Of 10,000 that S3 takes."""
_AT_ONCE = 3
_ATTEMPTS = 5
_MISSING = (NotFoundError, FileNotFoundError)


class BucketStore:
    """A prefix in a bucket with one object for each archive.

    Parameters
    ----------
    address : str
        ``s3://BUCKET/PREFIX``.
    environment : mapping of str to str
        Endpoint, region and credentials by their usual names.
    part_bytes : int
        Of an upload in parts; S3 takes 5 MiB and more. An upload holds four of them in memory.
    patience_s : float
        For how long a request that fails is tried again, in seconds.
    timeout_s : float
        For one try, in seconds: a part on a slow line takes its time.

    Raises
    ------
    BadInputError
        The address names no bucket.
    """

    def __init__(
        self, address: str, environment: Mapping[str, str], *, part_bytes: int = _PART, patience_s: float = 180, timeout_s: float = 300
    ) -> None:  # fmt: skip
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise BadInputError(
                f"{address!r} names no bucket.", f"Write {BUCKET}BUCKET or {BUCKET}BUCKET/PREFIX."
            )
        self._address, self._part, self.patience_s = address.rstrip("/"), part_bytes, patience_s
        bucket, self._prefix = found[1], found[2].lstrip("/") + "/" * bool(found[2])
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
        config: dict[str, Any] = {
            key: value
            for key, value in (
                ("endpoint", endpoint),
                (
                    "region",
                    environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
                ),
                ("access_key_id", environment.get("AWS_ACCESS_KEY_ID")),
                ("secret_access_key", environment.get("AWS_SECRET_ACCESS_KEY")),
                ("session_token", environment.get("AWS_SESSION_TOKEN")),
            )
            if value
        }
        self.client = S3Store(
            bucket,
            config=cast("Any", config),
            client_options={
                "connect_timeout": timedelta(seconds=10),
                "timeout": timedelta(seconds=timeout_s),
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={
                "max_retries": 10,
                "retry_timeout": timedelta(seconds=patience_s),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=15),
                    "base": 2,
                },
            },
        )
        self.uploads = Uploads(bucket, config, patience_s=patience_s, timeout_s=timeout_s)

    def close(self) -> None:
        """Let go of the connections."""
        self.uploads.close()

    @contextmanager
    def put(self, name: str, *, expected: int = 0, resume: bool = False) -> Iterator[_Upload]:
        """Upload an object: at once and only if there is none of that name, or in parts, which become one at the end."""
        if self.exists(name):
            raise StoreError(
                f"{self._address}/{name} is there already.", "Delete it first if it is not needed."
            )
        part = max(self._part, -(-expected // _MOST_PARTS))
        upload = _Upload(self, self._prefix + name, part, resume=resume)
        try:
            yield upload
            upload.end()
        except StoreError:
            upload.drop(keep=resume)
            raise
        except BaseException:
            # what it was made from is not what it was, or nobody wants it: the parts are of no use
            upload.drop()
            raise

    @contextmanager
    def open(self, name: str) -> Iterator[_Download]:
        """Read an object, one range after the other."""
        key = self._prefix + checked_name(name)
        try:
            meta = obstore.head(self.client, key)
        except Exception as error:
            raise self.failed(key, "read", error) from error
        download = _Download(self, key, meta["size"], meta["e_tag"], self._part)
        try:
            yield download
        finally:
            download.close()

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self.size(self._prefix + checked_name(name)) is not None

    def bytes_of(self, name: str) -> int | None:
        """Bytes of an object; None if there is none."""
        return self.size(self._prefix + checked_name(name))

    def size(self, key: str) -> int | None:
        """Bytes of an object, None if there is none."""
        try:
            return obstore.head(self.client, key)["size"]
        except _MISSING:
            return None
        except Exception as error:
            raise self.failed(key, "looked for", error) from error

    def delete(self, name: str) -> None:
        """Delete an object."""
        key = self._prefix + checked_name(name)
        try:
            obstore.delete(self.client, key)
        except _MISSING:
            return
        except Exception as error:
            raise self.failed(key, "deleted", error) from error

    def list(self) -> Iterator[Stored]:
        """All objects directly below the prefix."""
        try:
            for batch in obstore.list(self.client, self._prefix or None):
                for meta in batch:
                    name = meta["path"].removeprefix(self._prefix)
                    if "/" not in name:
                        yield Stored(name, meta["size"])
        except Exception as error:
            raise self.failed(self._prefix, "listed", error) from error

    def sweep(self, keep: Collection[str] = ()) -> int:
        """Give up all uploads in parts that were not brought to their end, but those that are to be gone on with."""
        names = {self._prefix + name for name in keep}
        return self.uploads.give_up(self._prefix, keep=names, at=time.time())

    def failed(self, key: str, what: str, error: Exception) -> StoreError:
        """The error in words; of what the store answered its code, never its text."""
        text = str(error)
        if isinstance(error, AlreadyExistsError):
            why = "there is one already"
        elif isinstance(error, _MISSING):
            why = "there is none"
        elif isinstance(error, PreconditionError):
            why = "it was exchanged meanwhile"
        elif code := _CODE.search(text):
            why = code[1]
        elif status := _STATUS.search(text):
            why = f"status {next(filter(None, status.groups()))}"
        else:
            why = (
                "no answer in time"
                if "timed out" in text or "kind: Timeout" in text
                else "the connection failed"
            )
        return StoreError(f"{BUCKET}{self.uploads.bucket}/{key} cannot be {what}: {why}.", HINT)


class _Upload:
    """What is uploaded: held back until there is more than one part of it."""

    def __init__(self, store: BucketStore, key: str, part: int, *, resume: bool) -> None:
        self._store, self._key, self._part, self._resume = store, key, part, resume
        self._held = bytearray()
        self._parts: Parted | _Streamed | None = None
        self._bytes = 0

    def write(self, data: bytes, /) -> None:
        """Take all of it; may wait for parts to be taken."""
        self._bytes += len(data)
        try:
            if self._parts is None:
                self._held += data
                if len(self._held) <= self._part:
                    return
                data, self._held = bytes(self._held), bytearray()
                if self._store.uploads.signs:
                    self._parts = Parted(self._store.uploads, self._key, self._part, resume=self._resume)
                else:
                    self._parts = _Streamed(self._store, self._key, self._part)
            self._parts.write(memoryview(data))
        except StoreError:
            raise
        except Exception as error:
            raise self._store.failed(self._key, "uploaded", error) from error

    def end(self) -> None:
        """Make an object of it."""
        try:
            if self._parts is None:
                obstore.put(
                    self._store.client, self._key, bytes(self._held), mode="create", use_multipart=False
                )
            else:
                self._parts.end()
        except Exception as error:
            # the answer may have been lost on its way, or the first of two tries have done it
            if self._store.size(self._key) != self._bytes:
                if isinstance(error, StoreError):
                    raise
                raise self._store.failed(self._key, "uploaded", error) from error
        if (size := self._store.size(self._key)) != self._bytes:
            with suppress(Exception):
                obstore.delete(self._store.client, self._key)
            raise StoreError(f"{self._key} has {size} bytes in the bucket, not {self._bytes}.", HINT)
        if self._parts is not None:
            # of the same name there may be one more, whose beginning was not answered
            self._parts.give_up()
            self._parts = None

    def drop(self, *, keep: bool = False) -> None:
        """Give it up: parts that were taken would be paid for. Or keep them, for the next try."""
        if self._parts is None:
            return
        if keep:
            self._parts.close()
        else:
            self._parts.give_up()


class _Streamed:
    """What is uploaded with the rights of a role, which only obstore knows: a cut upload is not gone on with."""

    def __init__(self, store: BucketStore, key: str, part: int) -> None:
        self._writer: obstore.WritableFile | None = obstore.open_writer(
            store.client, key, buffer_size=part, max_concurrency=_AT_ONCE
        )

    def write(self, data: memoryview, /) -> None:
        """Take all of it."""
        assert self._writer is not None  # noqa: S101 - nothing is written after the end
        while data:
            data = data[self._writer.write(data) :]

    def end(self) -> None:
        """Make an object of it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """Give it up, if it was not ended."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.__exit__(StoreError, None, None)

    give_up = close


class _Download:
    """An object read range by range, the next one on its way while one is used."""

    def __init__(self, store: BucketStore, key: str, size: int, etag: str | None, part: int) -> None:
        self._store, self._key, self._size, self._etag, self._part = store, key, size, etag, part
        self._pool = ThreadPoolExecutor(1)
        self._next = 0
        self._held = memoryview(b"")
        self._coming: Future[memoryview] | None = self._ask()

    def close(self) -> None:
        """Ask for no more."""
        self._pool.shutdown(cancel_futures=True)

    def read(self, size: int, /) -> bytes:
        """So many bytes or fewer."""
        if not self._held:
            if self._coming is None:
                return b""
            self._held = self._coming.result()
            self._coming = self._ask()
        data, self._held = bytes(self._held[:size]), self._held[size:]
        return data

    def _ask(self) -> Future[memoryview] | None:
        begin, end = self._next, min(self._next + self._part, self._size)
        self._next = end
        return self._pool.submit(self._range, begin, end) if begin < end else None

    def _range(self, begin: int, end: int) -> memoryview:
        options: Any = {"range": (begin, end)} | ({"if_match": self._etag} if self._etag else {})
        until = time.monotonic() + self._store.patience_s
        for attempt in range(_ATTEMPTS):
            try:
                data = memoryview(obstore.get(self._store.client, self._key, options=options).bytes())
            except Exception as error:
                lasting = isinstance(error, (PreconditionError, *_MISSING))
                if lasting or attempt == _ATTEMPTS - 1 or time.monotonic() > until:
                    raise self._store.failed(self._key, "read", error) from error
            else:
                if len(data) == end - begin:
                    return data
        raise StoreError(f"{self._key} ends before its end.", HINT)
