"""The place for archives that a policy names: a folder has to be the one that it was before, or it is not used.

Notes
-----
Where the disk of a folder is not mounted, there is an empty folder on another disk, or none. What is written there lies
hidden as soon as the disk is back, and what is looked for there is taken for lost. So a folder gets a number when it is
used for the first time, in a file of its own, and the record knows it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import journal

if TYPE_CHECKING:
    from cubehub.storage.archive import Store
    from cubehub.storage.archive.folder import FolderStore
    from cubehub.storage.journal import Journal

CODE = "another_archive_folder"
ARCHIVE, LISTING = ".tar.zst", ".jsonl.zst"
"""Endings of the two objects of an archive."""


def store_at(where: str, made: Journal) -> Store | None:
    """The store that a policy names, for a keeper; None if it names none.

    Raises
    ------
    BadInputError
        It cannot be used.
    CubeHubError
        It is a folder, and not the one that the record knows.
    """
    if not where or _is_bucket(where):
        return _bucket(where)
    path = _path(where)
    known, archives = made.place_of(path), made.archives()
    with_it = _opened(path, create=known is None and not archives)
    try:
        number = with_it.number()
        if known is None:
            others = set(made.places().values())
            if archives and number not in others and not _has_any(with_it, archives):
                raise _another(path)  # noqa: TRY301 - closed below
            made.set_place(path, number or with_it.mark())
        elif number != known:
            raise _another(path)  # noqa: TRY301 - as above
    except BaseException:
        with_it.close()
        raise
    return with_it


def store_to_read(where: str, state: Path) -> Store | None:
    """The store that a policy names, for whoever only looks into it, while a keeper may be at work; see `store_at`."""
    if not where or _is_bucket(where):
        return _bucket(where)
    path = _path(where)
    known = journal.read_place(state, path)
    store = _opened(path, create=False)
    if known is not None and store.number() != known:
        store.close()
        raise _another(path)
    return store


def trouble(where: str, state: Path) -> CubeHubError | None:
    """Why the folder that was used before cannot be had just now; None if it can, or none was used."""
    if not where or _is_bucket(where) or journal.read_place(state, _path(where)) is None:
        return None
    try:
        store = store_to_read(where, state)
    except CubeHubError as error:
        # what else is wrong with it may be so for whoever asks alone
        return error if error.code == CODE else None
    if store is not None:
        store.close()
    return None


def accept(where: str, made: Journal) -> int:
    """Take a folder for the right one from now on; how many archives that the record knows are not in it.

    Raises
    ------
    BadInputError
        It cannot be used, or is no folder.
    """
    if not where or _is_bucket(where):
        raise BadInputError(
            "archive.to in storage.yaml names no folder.", "Only a folder can be another one than before."
        )
    path = _path(where)
    store = _opened(path, create=True)
    try:
        made.set_place(path, store.number() or store.mark())
        there = {found.name for found in store.list()}
    finally:
        store.close()
    return sum(f"{name}{ARCHIVE}" not in there for name in made.archives())


def _is_bucket(where: str) -> bool:
    return where.startswith("s3://")


def _bucket(where: str) -> Store | None:
    from cubehub.storage.archive import opened  # noqa: PLC0415 - its libraries take time to load

    return opened(where) if where else None


def _path(where: str) -> str:
    return os.path.abspath(where)  # noqa: PTH100 - links stay, for what they lead to may be away


def _opened(path: str, *, create: bool) -> FolderStore:
    from cubehub.storage.archive.folder import FolderStore  # noqa: PLC0415 - as above

    if not create and not os.path.lexists(path):
        raise _another(path)
    return FolderStore(Path(path))


def _has_any(store: FolderStore, archives: list[str]) -> bool:
    there = {found.name for found in store.list()}
    return any(f"{name}{ARCHIVE}" in there for name in archives)


def _another(path: str) -> CubeHubError:
    return CubeHubError(
        f"{path} is not the folder that archives were put into.",
        "Is its disk mounted? If it is to be a new folder: `cubehub storage archive --new-folder`.",
        code=CODE,
    )
