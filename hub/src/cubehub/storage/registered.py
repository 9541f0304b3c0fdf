"""What an account registered in the platform's own catalogue, for exports and erasures.

The catalogue keeps it, in files of its own form: a program of its environment lists and erases them, whether it runs or not.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cubehub.errors import CubeHubError

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "cubehub_stac.account"
_PATIENCE_S, _LONGEST = 300.0, 400
_AGAIN = "Run `cubehub up` once, which makes the catalogue's environment, then this again."


@dataclass(frozen=True)
class Erased:
    """What was done about the items of an account.

    Attributes
    ----------
    removed, kept : tuple of dict
        Collection, id, title, group, time of registering; what is kept is a group's, and is nobody's now.
    left : tuple of str
        What could not be done, and why.
    """

    removed: tuple[dict[str, Any], ...] = field(default=())
    kept: tuple[dict[str, Any], ...] = field(default=())
    left: tuple[str, ...] = field(default=())


def has_any(data: Path) -> bool:
    """Whether anybody ever registered something here."""
    return _folder(data).is_dir()


def items_of(data: Path, account: str) -> list[dict[str, Any]]:
    """Give all that an account registered, as the catalogue keeps it.

    Raises
    ------
    CubeHubError
        It cannot be listed whole.
    """
    if not has_any(data):
        return []
    told = _ask(data, "list", account)
    if told["left"]:
        raise _failed(f"{told['left'][0]}", "Mend or remove that file, then try again.")
    return list(told["items"])


def erase(data: Path, account: str) -> Erased:
    """Erase what an account registered for itself, and take its name off what it registered for groups.

    Notes
    -----
    What fails is told in what is given, so that the rest of an erasure goes on.
    """
    if not has_any(data):
        return Erased()
    try:
        told = _ask(data, "erase", account)
        return Erased(tuple(told["removed"]), tuple(told["kept"]), tuple(told["left"]))
    except CubeHubError as error:
        return Erased(left=(error.message,))


def _folder(data: Path) -> Path:
    return data / "catalogue" / "own"


def _ask(data: Path, what: str, account: str) -> dict[str, Any]:
    folder = _folder(data)
    python = data / "envs" / "catalogue" / "bin" / "python"
    # as the files' owner: root would leave files that the catalogue can't read, and follow links that it was given
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        status = folder.stat()
        owner = {"user": status.st_uid, "group": status.st_gid, "extra_groups": []}
    try:
        ran = subprocess.run(
            [str(python), "-m", MODULE, what, str(folder), account], capture_output=True, text=True, errors="replace",
            check=False, timeout=_PATIENCE_S, cwd="/", env={"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}, **owner,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _failed("its environment is not there", _AGAIN) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise _failed(f"its program did not run: {error}", _AGAIN) from error
    try:
        told = json.loads(ran.stdout) if ran.returncode == 0 else None
    except ValueError:
        told = None
    wanted = {"items", "left"} if what == "list" else {"removed", "kept", "left"}
    if not isinstance(told, dict) or not wanted <= told.keys():
        lines = [line.strip() for line in ran.stderr.splitlines() if line.strip()]
        last = f"; its last words: {lines[-1][:_LONGEST]}" if lines else ""
        raise _failed(f"its program ended with {ran.returncode}{last}", _AGAIN)
    return told


def _failed(why: str, hint: str) -> CubeHubError:
    return CubeHubError(f"What was registered in the catalogue: {why}", hint, code="catalogue_items")
