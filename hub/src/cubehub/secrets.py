"""Secrets of one data folder: generated once, one 0600 file each, never seen elsewhere."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

_READABLE = "abcdefghijkmnpqrstuvwxyz23456789"
"""Letters and digits that nobody mistakes for each other when typing from paper."""


def write_private(path: Path, content: str) -> None:
    """Write a 0600 file in one step: a reader finds the old content or the new, never a half."""
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


class Secrets:
    """The secrets in one folder.

    Parameters
    ----------
    folder
        Made if missing, and closed to everyone else (0700) either way.

    Notes
    -----
    A secret is made when it is first read and stays the same afterwards, so a start that was
    interrupted goes on with what the parts already know.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for secret in folder.iterdir():
            # a restore from a backup may have opened them, and the Hub refuses such a one
            if secret.is_file() and not secret.is_symlink():
                secret.chmod(0o600)

    def __repr__(self) -> str:
        return f"Secrets({str(self.folder)!r})"

    def path(self, name: str) -> Path:
        """Where the secret of this name is kept."""
        if not name or "/" in name or name.startswith("."):
            raise ValueError(f"{name!r} is no name for a secret")
        return self.folder / name

    def get(self, name: str) -> str:
        """Give a machine's secret: 64 hexadecimal digits (32 random bytes)."""
        return self._keep(name, secrets.token_hex(32))

    def password(self, name: str) -> str:
        """Give a person's password: four groups of five easily typed characters (99 bits)."""
        groups = ("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))
        return self._keep(name, "-".join(groups))

    def known(self, name: str) -> str | None:
        """Give a secret if it was ever made."""
        try:
            return self.path(name).read_text() or None
        except FileNotFoundError:
            return None

    def _keep(self, name: str, fresh: str) -> str:
        kept = self.known(name)
        if kept is None:
            write_private(self.path(name), fresh)
            kept = fresh
        return kept
