"""Whose a home is noted to be: names of people are given again, accounts are not."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cubehub.storage.deciding import Owner


def account_of(homes: Path, home: bytes) -> str | None:
    """The account that a home is noted to be of; None where that was never noted."""
    try:
        return (homes / f".{os.fsdecode(home)}.account").read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


def is_anothers(homes: Path, home: str, owner: Owner) -> bool:
    """Whether a home is an earlier account's, whose name somebody has now.

    Notes
    -----
    Until they start their first server, which moves it aside.
    """
    return bool(owner.account) and account_of(homes, os.fsencode(home)) not in {None, owner.account}


def theirs(homes: Path, owners: Mapping[str, Owner]) -> dict[str, Owner]:
    """Everybody by the name of their home; of an earlier account's home nobody is told, and no profile is its own."""
    return {
        home: replace(one, email=None, profile=None, storage=None) if is_anothers(homes, home, one) else one
        for home, one in owners.items()
    }
