"""Where archives are kept: a folder or an S3-compatible bucket, behind the same few calls."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cubehub.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cubehub.storage.archive.manifest import Sink, Source

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,199}", re.ASCII)
BUCKET = "s3://"


@dataclass(frozen=True, slots=True)
class Stored:
    """One object of a store."""

    name: str
    bytes: int


class Store(Protocol):
    """A place for archives. Every call raises `StoreError` where the place does not do what it should.

    Names are letters, digits, ``.``, ``_``, ``=`` and ``-``. Several may write to a store, each under names of its own; it is
    swept while nobody does.
    """

    def put(self, name: str, *, expected: int = 0, resume: bool = False) -> AbstractContextManager[Sink]:
        """Write an object: it is there, whole and on the disk, when the block has ended; after an error it is not.

        Parameters
        ----------
        name : str
            Of which there is none yet.
        expected : int
            Bytes that it will have at most, as far as one knows: buckets take so many parts only.
        resume : bool
            Whether what the place has taken may stay there when the place fails, and be gone on with by the next `put` of
            that name. Until then it is no object; `sweep` removes it.
        """

    def open(self, name: str) -> AbstractContextManager[Source]:
        """Read an object from its beginning."""

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""

    def bytes_of(self, name: str) -> int | None:
        """Bytes of an object as it is now; None if there is none."""

    def delete(self, name: str) -> None:
        """Delete an object for good; it need not be there."""

    def list(self) -> Iterator[Stored]:
        """All objects, in no order."""

    def sweep(self, keep: Collection[str] = ()) -> int:
        """Remove what was left of writing that a kill or a cut connection ended; how many such things there were.

        Parameters
        ----------
        keep : collection of str
            Names that will be written again: what can be gone on with stays, for some days.
        """

    def close(self) -> None:
        """Let go of it."""


def checked_name(name: str) -> str:
    """Give a name of an object back.

    Raises
    ------
    BadInputError
        It is none.
    """
    if _NAME.fullmatch(name) is None:
        raise BadInputError(f"{name!r} is no name of an archive.", "Use letters, digits and . _ = - only.")
    return name


def opened(where: str | Path, environment: Mapping[str, str] = os.environ) -> Store:
    """Open the place that a setting names.

    Parameters
    ----------
    where : str or path
        A folder that only the keeper gets into, made if it is missing; or ``s3://BUCKET/PREFIX``.
    environment : mapping of str to str
        Has a bucket's endpoint, region and credentials by their usual names (``AWS_ENDPOINT_URL``,
        ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, …).

    Raises
    ------
    BadInputError
        There is no such place, or it cannot be used.
    """
    if str(where).startswith(BUCKET):
        from cubehub.storage.archive.bucket import BucketStore  # noqa: PLC0415 - its libraries take time to load

        return BucketStore(str(where), environment)
    from cubehub.storage.archive.folder import FolderStore  # noqa: PLC0415 - as above

    return FolderStore(Path(where))
