"""Whose a home folder is: user names can be given again, accounts can't."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def owner(home: Path) -> str | None:
    """Directory's id of the account that a home was made for; None where that was never noted."""
    try:
        return _mark(home).read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


def claim(home: Path, account: str) -> Path | None:
    """Note whose a home is; move aside what an earlier account of the same name left.

    Parameters
    ----------
    home : Path
        The folder; it need not be there.
    account : str
        Directory's id of the account that is to have it.

    Returns
    -------
    Path or None
        Where the earlier account's files are now.

    Notes
    -----
    The note stands beside the home, where its owner can't reach it, and so does what others note there
    (``.NAME.…``), which goes along. No plain name holds a dot, so the new place is nobody's home. The files move
    first: killed in between, the next call finds no home and goes on.

    Raises
    ------
    OSError
        It could not be noted or moved; the home is as it was.
    """
    before = owner(home)
    if before == account:
        return None
    moved = None
    if before is not None and os.path.lexists(home):
        moved = home.with_name(f"{home.name}.of-{before}")
        number = 1
        while os.path.lexists(moved):
            number += 1
            moved = home.with_name(f"{home.name}.of-{before}.{number}")
        home.rename(moved)
        for noted in home.parent.glob(f".{home.name}.*"):
            if noted != _mark(home):
                noted.rename(noted.with_name(f".{moved.name}{noted.name.removeprefix(f'.{home.name}')}"))
    new = _mark(home).with_suffix(".new")
    new.write_text(account, encoding="utf-8")
    new.replace(_mark(home))
    return moved


def of_others(home: Path, account: str) -> bool:
    """Whether there are files of anybody else beside a home, or of an earlier account in it."""
    if owner(home) not in (None, account) and os.path.lexists(home):
        return True
    return any(
        owner(other) != account
        for other in home.parent.iterdir()
        if not other.name.startswith(".") and other.name != home.name
    )


def _mark(home: Path) -> Path:
    return home.with_name(f".{home.name}.account")
