"""An S3-compatible bucket: whole objects and parts of them, with limits on waiting, and errors in words.

Credentials, endpoint and region come from the environment by the usual names (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, ``AWS_REGION``, …), or from a file of such lines; none is ever on a command line or in a log.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from xcube_cubehub.errors import BadInputError, ConfigError, CubeError

SCHEME = "s3://"
_ADDRESS = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9][A-Za-z0-9._=-]*)*)/?", re.ASCII
)
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_LINE = re.compile(r"(?:export\s+)?(AWS_[A-Z0-9_]{1,60})=(.*)")
ANY = "any"
"""In place of an ETag: put, whatever is there."""
CONNECT_S = 3
_MISSING = (NotFoundError, FileNotFoundError)


class BucketError(CubeError):
    """A bucket that does not answer, or not as it should: what is asked for may be there all the same."""

    code = "bucket_unreachable"
    status = 503


class ChangedError(BucketError):
    """An object that is not the one that was expected: somebody has written it anew."""

    code = "changed"


@dataclass(frozen=True, slots=True)
class Got:
    """Bytes of an object, and of which one: its ETag and its size in bytes."""

    data: bytes
    etag: str
    size: int
    start: int


def is_address(text: str) -> bool:
    """Whether a text is meant to name a bucket."""
    return text.startswith(SCHEME)


def split(address: str) -> tuple[str, str]:
    """Bucket and prefix of an address, the prefix without slashes around it.

    Raises
    ------
    BadInputError
        It is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        message = f"{address!r} names no bucket"
        raise BadInputError(
            message, "write s3://BUCKET or s3://BUCKET/PREFIX; credentials go into the environment"
        )
    return found[1], found[2].strip("/")


def read_environment(path: Path) -> None:
    """Take ``AWS_…=…`` lines of a file into the environment, as Kubernetes' and systemd's environment files have them.

    Raises
    ------
    ConfigError
        It cannot be read, or says something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        message = f"{path} with the bucket's credentials cannot be read"
        raise ConfigError(message, "check the path and who may read it") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            # What stands there may be a secret, and is not repeated
            message = f"{path}, line {number}, is not AWS_NAME=VALUE"
            raise ConfigError(message, "write one variable to a line, such as AWS_ACCESS_KEY_ID=…")
        os.environ[found[1]] = found[2].strip().strip("'\"")


class Bucket:
    """Objects below an address. May be used by any number of threads, but not be taken through a fork.

    Parameters
    ----------
    address : str
        ``s3://BUCKET/PREFIX``.
    patience_s : float
        How long one request may take; it is repeated twice at most, within the same time again.

    Raises
    ------
    BadInputError
        The address names no bucket, or the environment says something impossible.
    """

    def __init__(self, address: str, patience_s: float = 60.0) -> None:
        name, prefix = split(address)
        self.address = address.rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        patience = timedelta(seconds=patience_s)
        connect = timedelta(seconds=min(CONNECT_S, patience_s))
        made: Any = S3Store
        try:
            self._store = made(
                name,
                prefix=prefix or None,
                config={"endpoint": endpoint} if endpoint else {},
                client_options={
                    # Only where the operator has written http:// himself
                    "allow_http": endpoint.startswith("http://"),
                    "timeout": patience,
                    "connect_timeout": connect,
                },
                retry_config={
                    "max_retries": 2,
                    "retry_timeout": patience,
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=2),
                    },
                },
            )
        except (BaseError, ValueError) as error:
            message = f"the environment does not fit to {address}: {type(error).__name__}"
            raise BadInputError(message, "check the variables AWS_… ") from error

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, last: int | None = None,
        match: str | None = None, unless: str | None = None,
    ) -> Got | None:  # fmt: skip
        """An object or a part of it; None if there is no such object, or it is still the one with the ETag ``unless``.

        Parameters
        ----------
        start, length : int
            Part to get; all if ``length`` is None.
        last : int
            Get the last bytes instead, so many or all if there are fewer.
        match : str
            ETag that the object must have.

        Raises
        ------
        ChangedError
            It has another ETag than ``match``.
        BucketError
            The bucket does not answer, or refuses.
        """
        options: dict[str, Any] = {}
        if last is not None:
            options["range"] = {"suffix": last}
        elif length is not None:
            options["range"] = (start, start + length)
        if match is not None:
            options["if_match"] = match
        if unless is not None:
            options["if_none_match"] = unless
        try:
            found = obstore.get(self._store, key, options=options)  # type: ignore[arg-type]
            meta, begin = found.meta, found.range[0]
            return Got(bytes(found.bytes()), meta["e_tag"] or "", meta["size"], begin)
        except NotModifiedError:
            return None
        except _MISSING as error:
            if "NoSuchBucket" in str(error):
                raise self._failed("read", error) from error
            return None
        except Exception as error:
            # No such part: a store answers 416, or 200 where there are no bytes at all
            beyond = re.search(r"status code: 416|NotPartial", str(error))
            facts = self.facts(key) if beyond is not None else None
            if facts is None or facts[1] > start:
                raise self._failed("read", error) from error
            return Got(b"", *facts, 0)

    def facts(self, key: str) -> tuple[str, int] | None:
        """ETag of an object and its size in bytes; None if there is none.

        Raises
        ------
        BucketError
            The bucket does not answer, or refuses.
        """
        try:
            meta = obstore.head(self._store, key)
        except _MISSING:
            return None
        except Exception as error:
            raise self._failed("read", error) from error
        return meta["e_tag"] or "", meta["size"]

    def put(self, key: str, data: bytes, *, replacing: str | None = ANY) -> str:
        """Write an object; its ETag.

        Parameters
        ----------
        replacing : str or None
            ETag of the object that it may replace; None if there may be none.

        Raises
        ------
        ChangedError
            There is another object than ``replacing``.
        BucketError
            It cannot be written.
        """
        mode: Any = (
            "overwrite" if replacing == ANY else "create" if replacing is None else {"e_tag": replacing}
        )
        try:
            return str(obstore.put(self._store, key, data, mode=mode, use_multipart=False)["e_tag"] or "")
        except Exception as error:
            raise self._failed("written", error) from error

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; none of them need be there.

        Raises
        ------
        BucketError
            They cannot be deleted.
        """
        try:
            obstore.delete(self._store, list(keys))
        except _MISSING:
            return
        except Exception as error:
            raise self._failed("written", error) from error

    def folder(self, prefix: str = "") -> tuple[list[str], dict[str, str]]:
        """What lies directly below a prefix: names of folders, and objects with their ETags; both without the prefix.

        Raises
        ------
        BucketError
            It cannot be listed.
        """
        try:
            found = obstore.list_with_delimiter(self._store, prefix or None)
        except _MISSING as error:
            raise self._failed("listed", error) from error
        except Exception as error:
            raise self._failed("listed", error) from error
        folders = [path.rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"]]
        return folders, {m["path"].rsplit("/", 1)[-1]: m["e_tag"] or "" for m in found["objects"]}

    def below(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys of all objects below a prefix, and their sizes in bytes.

        Raises
        ------
        BucketError
            They cannot be listed.
        """
        try:
            for batch in obstore.list(self._store, prefix):
                for meta in batch:
                    yield meta["path"], meta["size"]
        except Exception as error:
            raise self._failed("listed", error) from error

    def _failed(self, what: str, error: Exception) -> BucketError:
        # Of the server's words only its code: others hold key ids, and what was signed
        text = str(error)
        if isinstance(error, (PreconditionError, AlreadyExistsError)):
            return ChangedError(f"an object of {self.address} was written by somebody else", "try again")
        code, status = _CODE.search(text), _STATUS.search(text)
        reason = " ".join(part for part in (code and code[1], status and f"(status {status[1]})") if part)
        message = f"{self.address} cannot be {what}: {reason or 'no answer'}"
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError)):
            return BucketError(message, "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do")
        if isinstance(error, _MISSING):
            return BucketError(message, "check the name of the bucket, AWS_ENDPOINT_URL and AWS_REGION")
        return BucketError(message, "check AWS_ENDPOINT_URL, the network and the store")
