"""Archives in a folder: of the keeper's own, on this machine or mounted from another."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError
from cubehub.storage import trees
from cubehub.storage.archive.errors import StoreError
from cubehub.storage.archive.stores import Stored, checked_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

NUMBER = ".number"
"""File with the number that a folder was given when it was used for the first time; see `cubehub.storage.places`."""
_CUT = ".cut-"
"""Begins the names of what is being written."""


class FolderStore:
    """A folder with one file for each object.

    Parameters
    ----------
    path : path
        Made if it is missing, its parents not.

    Raises
    ------
    BadInputError
        It cannot be used, or others than the keeper get into it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
                _settle(path.parent)  # no archive is on the disk before the folder it is in
            self._at = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            message = f"Archives cannot be kept in {path}: {error.strerror}."
            raise BadInputError(message, "Name a folder that is there, or whose parent is.") from error
        facts = os.fstat(self._at)
        if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            os.close(self._at)
            message = f"Others than the keeper get into {path}."
            raise BadInputError(message, "Run this as its owner, and close it: chmod 700.")

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._at)

    def number(self) -> int | None:
        """The folder's number; None if it was given none.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        try:
            at = os.open(NUMBER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._at)
            with os.fdopen(at, encoding="ascii", errors="replace") as file:
                text = file.read(30)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(NUMBER, error) from error
        if not (text.isascii() and text.isdigit()):
            raise StoreError(f"{self._path / NUMBER} has no number.", "Put it back from a backup.")
        return int(text)

    def mark(self) -> int:
        """Give the folder a number, if it has none; its number."""
        cut = f"{_CUT}{secrets.token_hex(8)}"
        try:
            at = os.open(cut, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._at)
            with os.fdopen(at, "w", encoding="ascii") as file:
                file.write(str(secrets.randbelow(2**62) + 1))
                file.flush()
                os.fsync(at)
            try:
                self._name(cut, NUMBER)
            except FileExistsError:
                os.unlink(cut, dir_fd=self._at)
            os.fsync(self._at)
        except OSError as error:
            raise self._failed(NUMBER, error) from error
        found = self.number()
        assert found is not None  # noqa: S101 - it has its name, or another one had
        return found

    @contextmanager
    def put(self, name: str, *, expected: int = 0, resume: bool = False) -> Iterator[_File]:  # noqa: ARG002 - writing anew takes no time here
        """Write a file: under another name until all of it is on the disk."""
        checked_name(name)
        if self.exists(name):
            raise self._failed(name, OSError(errno.EEXIST, "it is there already"))
        cut = f"{_CUT}{secrets.token_hex(8)}"
        try:
            fd = os.open(cut, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._at)
        except OSError as error:
            raise self._failed(name, error) from error
        done = False
        try:
            free = os.fstatvfs(fd)
            if expected > free.f_bavail * free.f_frsize:
                raise self._failed(name, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            file = _File(self, name, fd)
            yield file
            try:
                os.fsync(fd)
                self._name(cut, name)
                done = True
                os.fsync(self._at)
            except OSError as error:
                raise self._failed(name, error) from error
        finally:
            os.close(fd)
            if not done:
                with suppress(OSError):
                    os.unlink(cut, dir_fd=self._at)

    def _name(self, cut: str, name: str) -> None:
        try:
            trees.move(self._at, os.fsencode(cut), self._at, os.fsencode(name))
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOSYS}:
                raise
            # NFS and some others do not know that way of never renaming over something
            os.link(cut, name, src_dir_fd=self._at, dst_dir_fd=self._at)
            os.unlink(cut, dir_fd=self._at)

    @contextmanager
    def open(self, name: str) -> Iterator[_File]:
        """Read a file."""
        checked_name(name)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._at)
        except OSError as error:
            raise self._failed(name, error) from error
        try:
            yield _File(self, name, fd)
        finally:
            os.close(fd)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self.bytes_of(name) is not None

    def bytes_of(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        try:
            return os.stat(checked_name(name), dir_fd=self._at, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(name, error) from error

    def delete(self, name: str) -> None:
        """Delete a file, on the disk too."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(checked_name(name), dir_fd=self._at)
            os.fsync(self._at)
        except OSError as error:
            raise self._failed(name, error) from error

    def list(self) -> Iterator[Stored]:
        """All files but those that are being written."""
        try:
            with os.scandir(self._at) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        yield Stored(entry.name, entry.stat(follow_symlinks=False).st_size)
        except OSError as error:
            raise self._failed("", error) from error

    def sweep(self, keep: Collection[str] = ()) -> int:  # noqa: ARG002 - nothing is gone on with here
        """Remove what was not written to its end."""
        try:
            with os.scandir(self._at) as entries:
                found = [entry.name for entry in entries if entry.name.startswith(_CUT)]
            for name in found:
                os.unlink(name, dir_fd=self._at)
        except OSError as error:
            raise self._failed("", error) from error
        return len(found)

    def _failed(self, name: str, error: OSError) -> StoreError:
        hint = (
            "Make room there, then try again."
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else "Look at that folder, then try again."
        )
        return StoreError(f"{self._path / name}: {error.strerror}.", hint)


def _settle(folder: Path) -> None:
    """Bring the names in a folder to its disk."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(at)
    finally:
        os.close(at)


class _File:
    """An open file of a store, with its errors in words."""

    def __init__(self, store: FolderStore, name: str, fd: int) -> None:
        self._store, self._name, self._fd = store, name, fd

    def write(self, data: bytes, /) -> None:
        """Take all of it."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            raise self._store._failed(self._name, error) from error  # noqa: SLF001 - of this module

    def read(self, size: int, /) -> bytes:
        """So many bytes or fewer."""
        try:
            return os.read(self._fd, size)
        except OSError as error:
            raise self._store._failed(self._name, error) from error  # noqa: SLF001 - as above
