"""The example notebooks that a person finds in a new home."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

from cubehub.resources import resource

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "cubehub-examples"
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def give_examples(home: Path, source: Path) -> bool:
    """Copy the examples into a home that does not have them; False if something of that name is there.

    Notes
    -----
    The Hub may run as root while the home's owner runs a server and is not to be trusted: the copy is
    made beside the home and then renamed into it, relative to the home's own descriptor, so that no
    link inside the home is ever followed. What the person has changed or deleted there stays so:
    a marker beside the homes remembers who was given the examples.

    Raises
    ------
    OSError
        The home is a link or missing, or the disk is full; the next call tries again.
    """
    mark = home.parent / f".{home.name}.examples"
    if mark.exists():
        return False
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    staging = home.parent / f".{home.name}.examples-{uuid.uuid4().hex}"
    try:
        shutil.copytree(source, staging)
        try:
            os.rename(staging, FOLDER, dst_dir_fd=descriptor)
            given = True
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            given = False  # something of that name is there already, and it is the person's
        mark.touch(mode=0o600)
        return given
    finally:
        os.close(descriptor)
        shutil.rmtree(staging, ignore_errors=True)


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
