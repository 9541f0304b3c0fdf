"""A home that is full: how that is found out, and how a server runs that writes nothing into it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MEMORY_BYTES = 512 * 2**20
"""Enough to look at files, open a notebook and delete; a person who is to make room needs no more."""
NEEDED_BYTES = 2**20
"""Less room than this in a home and a server there soon fails at its own small files."""
HAS_ROOM, HOME_FULL, ALL_FULL = 0, 3, 4
"""Exit statuses of the trial: the last one where the folder for temporary files is full too."""

# Room is asked for by a file without a name, which is gone whatever happens. Written by the person's own server
# process: root may write where they may not, and neither quotas nor network file systems tell the truth by statvfs.
_TRIAL = f"""\
import errno, os, sys
FULL = {{errno.ENOSPC, errno.EDQUOT}}
def full(folder):
    name = os.path.join(folder, ".cubehub-room-" + os.urandom(8).hex())
    try:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.unlink(name)
            os.posix_fallocate(file, 0, {NEEDED_BYTES})
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in FULL:
            return True
        raise
    return False
home, tmp = sys.argv[1:]
sys.exit({HAS_ROOM} if not full(home) else {ALL_FULL} if full(tmp) else {HOME_FULL})
"""

MESSAGE = "Your home is full, so this is a small server for making room; it can't save."
HINT = (
    "Delete what you do not need (right-click, Delete): it is gone at once, without trash. "
    "Then stop this server and start it again (File, Hub Control Panel)."
)


def trial_command(python: Path | str, home: Path, tmp: Path) -> list[str]:
    """Write the command that tries whether there is room; folders as seen by the server."""
    return [str(python), "-I", "-S", "-c", _TRIAL, str(home), str(tmp)]


def rescue_environment(folder: Path | str, home: Path | str) -> dict[str, str]:
    """Write the variables by which a server and its kernels keep their own files out of the home.

    Parameters
    ----------
    folder : path
        Where they go instead; the programs make it and what is below.
    home : path
        The home, from which kernels and extensions that a person installed are still read.
    """
    return {
        "CUBEHUB_RESCUE": "1",
        "JUPYTER_CONFIG_DIR": f"{folder}/jupyter/config",
        "JUPYTER_DATA_DIR": f"{folder}/jupyter/data",
        "JUPYTER_RUNTIME_DIR": f"{folder}/jupyter/runtime",
        "JUPYTER_PATH": f"{home}/.local/share/jupyter",
        "JUPYTERLAB_SETTINGS_DIR": f"{folder}/lab/settings",
        "JUPYTERLAB_WORKSPACES_DIR": f"{folder}/lab/workspaces",
        "IPYTHONDIR": f"{folder}/ipython",
        "HISTFILE": f"{folder}/history",
        "PYTHONDONTWRITEBYTECODE": "1",
        "npm_config_cache": f"{folder}/npm",  # asked by Lab where to find language servers
        "XDG_CACHE_HOME": f"{folder}/cache",
        "XDG_CONFIG_HOME": f"{folder}/config",
        "XDG_DATA_HOME": f"{folder}/data",
        "XDG_STATE_HOME": f"{folder}/state",
    }


RESCUE_ARGUMENTS = (
    # the trash is in the home: what lies there is not gone, and can't be put there when nothing can be written
    "--FileContentsManager.delete_to_trash=False",
    # Jupyter would delete empty folders only
    "--FileContentsManager.always_delete_dir=True",
)


def rescue_script(home: str, folder: str, arguments: Iterable[str] = RESCUE_ARGUMENTS) -> str:
    """Write shell lines for a pod: try whether there is room, and change variables and arguments where there is none.

    Notes
    -----
    The Hub sees no home of a cluster before its server runs: the pod finds out by itself, has all of its memory, and its
    server tells the person (``untold``).
    """
    exports = "\n".join(
        f"    export {name}={shlex.quote(value)}" for name, value in rescue_environment(folder, home).items()
    )
    return f"""\
room={shlex.quote(home)}/.cubehub-room-$$
said=$( LC_ALL=C; export LC_ALL; {{ head -c {NEEDED_BYTES} /dev/zero >"$room"; }} 2>&1 )
rm -f "$room"
case "$said" in
  *"No space left"*|*"uota exceeded"*)
    echo "cubehub: the home is full; this server keeps its own files out of it" >&2
{exports}
    export CUBEHUB_RESCUE=untold
    set -- "$@" {shlex.join(arguments)}
    ;;
esac
"""


def in_rescue(command: Sequence[str]) -> list[str]:
    """Write a server's command for a full home."""
    return [*command, *RESCUE_ARGUMENTS]
