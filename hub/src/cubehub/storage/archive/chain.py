"""Folders in one another, however deep, with few of them open at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from cubehub.storage import beneath
from cubehub.storage.archive.errors import ChangedError
from cubehub.storage.names import readable

if TYPE_CHECKING:
    from types import TracebackType

_OPEN = 64
"""Folders of a chain that are open at once, the innermost ones."""

_PATH_BYTES = 4000
"""The kernel takes no path of more than 4,095 at once."""

T = TypeVar("T")


@dataclass(slots=True)
class Link(Generic[T]):
    """One folder of a chain."""

    path: bytes
    about: T
    fd: int | None
    inode: tuple[int, int]


class Chain(Generic[T]):
    """A way down from folder to folder: those far above are closed, and opened again from below on the way back.

    Notes
    -----
    Up is ``..`` of the folder below, and has to be the very folder that was left: paths are as long as somebody likes,
    and descriptors are few.
    """

    def __init__(self) -> None:
        self._links: list[Link[T]] = []

    def __enter__(self) -> Chain[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self._links:
            if link.fd is not None:
                os.close(link.fd)

    def __len__(self) -> int:
        return len(self._links)

    @property
    def last(self) -> Link[T]:
        """The innermost folder."""
        return self._links[-1]

    @property
    def fd(self) -> int:
        """Descriptor of the innermost folder, which stays the chain's."""
        found = self._links[-1].fd
        assert found is not None  # noqa: S101 - the innermost one is always open
        return found

    def enter(self, fd: int, path: bytes, about: T) -> None:
        """Go down into an open folder, which is the chain's from now on."""
        facts = os.fstat(fd)
        self._links.append(Link(path, about, fd, (facts.st_dev, facts.st_ino)))
        if len(self._links) > _OPEN and (far := self._links[-1 - _OPEN]).fd is not None:
            os.close(far.fd)
            far.fd = None

    def leave(self) -> None:
        """Go up to the folder that holds the innermost one.

        Raises
        ------
        ChangedError
            Somebody moved one of them meanwhile.
        """
        if len(self._links) > 1 and (above := self._links[-2]).fd is None:
            fd = os.open(b"..", beneath.FOLDER, dir_fd=self.fd)
            facts = os.fstat(fd)
            if (facts.st_dev, facts.st_ino) != above.inode:
                os.close(fd)
                raise ChangedError(f"{readable(self.last.path)} was moved meanwhile.", "Try again.")
            above.fd = fd
        os.close(self.fd)
        self._links.pop()


def open_deep(at: int, path: bytes) -> int:
    """Open a folder as `beneath.open_folder` does, by a path of any length."""
    current = os.dup(at)
    try:
        while path:
            cut = path.rfind(b"/", 0, _PATH_BYTES) if len(path) > _PATH_BYTES else -1
            first, path = (path, b"") if cut < 0 else (path[:cut], path[cut + 1 :])
            below = beneath.open_folder(current, first)
            os.close(current)
            current = below
    except BaseException:
        os.close(current)
        raise
    return current
