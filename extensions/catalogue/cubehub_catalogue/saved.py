"""Saved searches, favourites and the cart: one file in the person's home."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.errors import CatalogueError
from cubehub_catalogue.saved_forms import MOST_BYTES, Kept, checked, dumped, parsed, plain, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = "saved.json"


class ChangedError(CatalogueError):
    """Another page or server saved in the meantime."""

    status = 412


class UnconditionalError(CatalogueError):
    """It was not said which version is replaced."""

    status = 428


class BrokenError(CatalogueError):
    """The file can't be read, or not written."""

    status = 500


class Store:
    """The file.

    Parameters
    ----------
    folder : Path
        Of what the extension keeps; made when something is saved.
    now : callable
        Gives the time, for tests.

    Notes
    -----
    It is written beside and renamed, so that it is whole at each instant, and under a lock, since several servers of a
    person share a home. A file that can't be read is renamed and never overwritten; of one with single entries that
    can't be, a copy is put aside and the others are kept.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder, self._now = folder, now

    @property
    def file(self) -> Path:
        """Where it is."""
        return self.folder / FILE

    def read(self) -> Kept:
        """Give what is kept; what is broken is put aside and told.

        Raises
        ------
        NewerError
            The file is of a later version.
        BrokenError
            It can't be read, or not be put aside.
        """
        content = self._bytes()
        if content is None:
            return Kept()
        kept, broken = parsed(content)
        if kept is not None and not broken:
            return kept
        with self._locked():
            return self._mended()

    def write(self, value: Any, expected: str | None) -> Kept:
        """Replace what is kept.

        Parameters
        ----------
        value
            ``{searches, favourites, cart}``.
        expected
            Version that is replaced, as `Kept.version` says it.

        Raises
        ------
        InputError
            Names what can't be kept.
        UnconditionalError
            No version was said.
        ChangedError
            Another version is there, or the file was broken and has been put aside.
        BrokenError
            It can't be written.
        """
        wanted = checked(value)
        if not expected:
            raise UnconditionalError(
                "no_version", "It was not said which version this replaces.", "Send the ETag as If-Match."
            )
        content = dumped(wanted)
        with self._locked():
            here = self._mended()
            if expected.strip() not in {"*", here.version}:
                if here.problem:
                    # who reads next finds the file mended, so nobody else would be told
                    raise ChangedError(**here.problem)
                raise ChangedError(
                    "changed",
                    "Another window saved in the meantime.",
                    "Load what is there, then do it again.",
                )
            self._put(content)
        return Kept(
            wanted["searches"], wanted["favourites"], wanted["cart"], version_of(content), here.problem
        )

    def _mended(self) -> Kept:
        """Give what is there, under the lock: another server may have mended it since it was looked at."""
        content = self._bytes()
        if content is None:
            return Kept()
        kept, broken = parsed(content)
        return self._set_aside(kept, broken) if broken else kept or Kept()

    def _bytes(self) -> bytes | None:
        try:
            # a pipe of this name would be waited for
            handle = os.open(self.file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error.strerror or "it can't be opened") from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise self._unreadable("it is no file")
        with os.fdopen(handle, "rb") as opened:
            try:
                return opened.read(4 * MOST_BYTES)
            except OSError as error:
                raise self._unreadable(error.strerror or "it can't be read") from error

    def _unreadable(self, why: str) -> BrokenError:
        return BrokenError(
            "saved_unreadable",
            f"What you saved can't be read: {self._shown(self.file)}: {why}.",
            "Look at that file, or move it away; nothing in it was changed.",
        )

    def _set_aside(self, kept: Kept | None, broken: str) -> Kept:
        """Keep a copy of a broken file, then put what of it is whole in its place."""
        try:
            aside = self._link_aside()
            if kept is None:
                self.file.unlink()
            else:
                self._put(dumped(plain(kept)))
        except OSError as error:
            raise self._unreadable(
                f"{broken}, and it can't be put aside ({error.strerror or error})"
            ) from error
        left = (
            "What could be read of it is still there."
            if kept is not None
            else "You begin with an empty list."
        )
        problem = {
            "code": "saved_broken",
            "message": f"The file of what you saved was broken: {broken}. {left}",
            "hint": f"It was kept as {self._shown(aside)}; nothing of it is lost.",
        }
        after = self._bytes()
        whole = parsed(after)[0] if after is not None else None
        made = whole or Kept()
        return Kept(made.searches, made.favourites, made.cart, made.version, problem)

    def _link_aside(self) -> Path:
        """Give the file a second name that no file has."""
        stamp = f"{self._now():%Y%m%dT%H%M%S}"
        for count in range(1000):
            aside = self.folder / f"saved.broken-{stamp}{f'-{count}' if count else ''}.json"
            with contextlib.suppress(FileExistsError):
                os.link(self.file.resolve(), aside)
                return aside
        raise OSError("there is no free name")

    def _put(self, content: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # a file that a person keeps elsewhere by a link stays there
            target = self.file.resolve()
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=".saved-")
            try:
                with os.fdopen(handle, "wb") as opened:
                    opened.write(content)
                    opened.flush()
                    os.fsync(handle)
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise BrokenError(
                "not_saved",
                f"It could not be saved: {self._shown(self.folder)}: {error.strerror}.",
                "Make room in your home, then do it again.",
            ) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BrokenError(
                "not_saved",
                f"It could not be saved: {self._shown(self.folder)}: {error.strerror}.",
                "Make room in your home.",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _shown(self, path: Path) -> str:
        """Write a path as the person knows it."""
        with contextlib.suppress(ValueError, RuntimeError):
            return f"~/{path.relative_to(Path.home())}"
        return str(path)
