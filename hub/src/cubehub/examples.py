"""The example notebooks that a person finds in a new home."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cubehub.resources import resource

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "cubehub-examples"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def give_examples(home: Path, source: Path) -> bool:
    """Copy the examples into a home that does not have them; False if something of that name is there.

    Notes
    -----
    The Hub may run as root while the home's owner runs a server and is not to be trusted: the copy is made under a
    name nobody knows and then renamed, all relative to the home's own descriptor and to those of the folders made, so
    that no link inside the home is ever followed. It is made in the home and not beside it: where homes have limits,
    nothing can be renamed into one. What the person has changed or deleted there stays so: a marker beside the homes
    remembers who was given the examples.

    Raises
    ------
    OSError
        The home is a link or missing, or it or the disk is full; the next call tries again.
    """
    mark = home.parent / f".{home.name}.examples"
    if mark.exists():
        return False
    descriptor = os.open(home, _FOLDER)
    staging = f".cubehub-examples-{uuid.uuid4().hex}"
    try:
        try:
            _copy(source, descriptor, staging)
            os.rename(staging, FOLDER, src_dir_fd=descriptor, dst_dir_fd=descriptor)
            given = True
        except OSError as error:
            with suppress(OSError):
                shutil.rmtree(staging, dir_fd=descriptor)
            if error.errno not in _TAKEN:
                raise
            given = False  # something of that name is there already, and it is the person's
        mark.touch(mode=0o600)
        return given
    finally:
        os.close(descriptor)


def _copy(source: Path, into: int, name: str) -> None:
    """Copy a folder into an open one, under a name that is not there."""
    os.mkdir(name, 0o755, dir_fd=into)
    folder = os.open(name, _FOLDER, dir_fd=into)
    try:
        for entry in sorted(source.iterdir()):
            if entry.is_dir():
                _copy(entry, folder, entry.name)
                continue
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(entry.name, flags, 0o644, dir_fd=folder), "wb") as file:
                file.write(entry.read_bytes())
    finally:
        os.close(folder)


def welcome(spawner: Any) -> None:
    """Hook for `ProfileLocalSpawner.home_hook`; a failure is logged and does not keep the server from starting.

    Notes
    -----
    Not JupyterHub's `pre_spawn_hook`: that runs before the decision, and a refusal must leave no home behind.
    """
    try:
        if give_examples(spawner.home, resource("binder", "notebooks").resolve()):
            spawner.log.info("gave %s the example notebooks", spawner.user.name)
    except OSError as error:
        spawner.log.warning("%s did not get the example notebooks: %s", spawner.user.name, error)
