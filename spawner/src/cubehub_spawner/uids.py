"""A user id for each account: which one, and homes that belong to it."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import stat
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cubehub_spawner import _drop
from cubehub_spawner.errors import SpawnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FIRST, LAST = 70_000, 99_999
"""Below 65536 are the system's own, from 100000 on those that ``/etc/subuid`` gives to containers."""
_REGISTRY = ".uids.json"
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 200


def uid_of(account: str, homes: Path, first: int = FIRST, last: int = LAST) -> int:
    """Give an account's user id, the same each time; a new account gets one that nobody had before.

    Parameters
    ----------
    account : str
        The directory's id of the account: user names can be given again.
    homes : Path
        Folder of the homes, where the ids are noted; they are part of what the files there mean.
    first, last : int
        The range from which ids are given.

    Notes
    -----
    An id that owns a home is not given either: the note may have been lost, and whoever got the id would own that home.

    Raises
    ------
    SpawnerError
        The range is used up, or the account has no id.
    OSError, ValueError
        The note can't be read or written.
    """
    if not account:
        raise SpawnerError("The account has no id in the directory, so it can't get a user id here.")
    with _registry(homes) as known:
        if account not in known:
            taken = {
                *known.values(),
                *(entry.stat(follow_symlinks=False).st_uid for entry in os.scandir(homes)),
            }
            free = (uid for uid in range(first, last + 1) if uid not in taken and not _is_somebodys(uid))
            uid = next(free, None)
            if uid is None:
                raise SpawnerError("All user ids of the configured range are given away.")
            known[account] = uid
        return known[account]


@contextmanager
def _registry(homes: Path) -> Iterator[dict[str, int]]:
    """Read who has which id, and write it where it was changed; one at a time."""
    file = homes / _REGISTRY
    # the lock is a file of its own, since the note is replaced
    lock = os.open(homes / f"{_REGISTRY}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = file.read_text(encoding="utf-8") if file.exists() else "{}"
        known = {str(account): int(uid) for account, uid in json.loads(text).items()}
        before = dict(known)
        yield known
        if known != before:
            new = file.with_suffix(".new")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                json.dump(known, opened)
                opened.flush()
                os.fsync(descriptor)  # an id that is forgotten would be given again
            new.replace(file)
    finally:
        os.close(lock)


def _is_somebodys(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def drop_command(uid: int, command: Iterable[str], *, die_with_parent: bool = False) -> list[str]:
    """Write the command that becomes `uid` and then runs `command`, whose program is a full path."""
    options = ["--die-with-parent"] if die_with_parent else []
    return [sys.executable, "-I", _drop.__file__, str(uid), *options, "--", *command]


def let_pass(*folders: Path) -> None:
    """Let everyone pass through folders to what lies below and is theirs; nobody else can list them."""
    for folder in folders:
        folder.chmod(0o711)


def own(home: Path, uid: int) -> None:
    """Make a home and what is in it a user id's, with nobody else let in.

    Notes
    -----
    Its owner may run programs in it meanwhile, and this runs as root; so nothing is reached by a path they could change:
    each entry is opened without following links and changed by its descriptor. What is left as it is: links (their
    owner does not matter), other file systems, what belongs to neither the Hub nor the earlier owner, and files that
    have a name outside the home too, which may be another's.

    Usually only what the Hub put there is changed. The whole home is when its folder is another's: it is new, or
    servers were kept apart in another way until now. The folder itself comes last: killed half way, the next start
    goes on.

    Raises
    ------
    OSError
        The home is a link or missing, or something in it can't be changed.
    """
    top = os.open(home, _OPEN | os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = os.fstat(top)
        linked: Counter[int] = Counter()
        whole = found.st_uid != uid
        if whole:
            for _, entry in _walk(top, found.st_dev, lambda _: True):
                linked[entry.st_ino] += stat.S_ISREG(entry.st_mode) and entry.st_nlink > 1
        earlier = {os.geteuid(), found.st_uid} - {uid}
        for one, entry in _walk(top, found.st_dev, lambda folder: whole or folder.st_uid in earlier):
            kind = entry.st_mode
            alone = entry.st_nlink == 1 or entry.st_nlink == linked[entry.st_ino]
            if entry.st_uid in earlier and (stat.S_ISDIR(kind) or (stat.S_ISREG(kind) and alone)):
                os.chown(f"/proc/self/fd/{one}", uid, uid)
        os.fchown(top, uid, uid)
        os.fchmod(top, 0o700)
    finally:
        os.close(top)


def _walk(
    folder: int, device: int, enter: Callable[[os.stat_result], bool], depth: int = 0
) -> Iterator[tuple[int, os.stat_result]]:
    """Open each entry below a folder, what is in a folder before the folder; links are left out."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.is_symlink()]
    for name in names:
        try:
            one = os.open(name, _OPEN | os.O_PATH, dir_fd=folder)
        except FileNotFoundError:  # removed since
            continue
        try:
            found = os.fstat(one)
            if found.st_dev != device:
                continue
            # one descriptor a level: whatever lies deeper than anybody's work stays as it is
            if stat.S_ISDIR(found.st_mode) and depth < _DEEPEST and enter(found):
                inside = os.open(f"/proc/self/fd/{one}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    yield from _walk(inside, device, enter, depth + 1)
                finally:
                    os.close(inside)
            yield one, found
        finally:
            os.close(one)
